"""Addresses: binding and connecting, with what an operator has to know when it fails."""

import errno
import os
import socket as sockets
import stat
from typing import Any, Final

import zmq

from bftledger.base.errors import OperatorError
from bftledger.net.options import use_ipv6

_MAX_IPC_PATH_BYTES: Final = 107
"""What a Unix socket's address has room for."""

_MAX_PORT: Final = 65_535

_REASONS: Final = {
    errno.EADDRINUSE: "is already in use: stop the process that listens there, or choose another address",
    errno.EACCES: "is not permitted: choose a port above 1023, or a directory that you may write to",
    errno.EADDRNOTAVAIL: "is not an address of this host: choose one of its own, or 0.0.0.0 for all of them",
    errno.ENODEV: "is not an address of this host: choose one of its own, or 0.0.0.0 for all of them",
    errno.ENOENT: "is in a directory that does not exist: make it, or choose another path",
}


def bind(socket: "zmq.Socket[Any]", endpoint: str) -> str:
    """Listens at `endpoint` and returns it, with the port that was chosen for `*`. Raises `OperatorError`."""
    _check(endpoint)
    if endpoint.startswith("ipc://"):
        _check_free(endpoint)
    use_ipv6(socket, endpoint)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise OperatorError(f"{endpoint} {_reason(error)}") from None
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def connect(socket: "zmq.Socket[Any]", endpoint: str) -> None:
    """Connects to `endpoint`, now and whenever it is there. Raises `OperatorError` if it cannot be an address."""
    _check(endpoint)
    use_ipv6(socket, endpoint)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise OperatorError(f"{endpoint} {_reason(error)}") from None


def _check(endpoint: str) -> None:
    scheme, _, address = endpoint.partition("://")
    if scheme not in ("tcp", "ipc") or not address:
        raise OperatorError(f"{endpoint!r} is not an address: write tcp://HOST:PORT or ipc://PATH")
    port = address.rpartition(":")[2]
    if scheme == "tcp" and port != "*" and not (port.isdecimal() and int(port) <= _MAX_PORT):
        raise OperatorError(f"{endpoint} has no port between 1 and {_MAX_PORT}: write tcp://HOST:PORT")
    if scheme == "ipc" and len(address.encode()) > _MAX_IPC_PATH_BYTES:
        raise OperatorError(f"{endpoint} is longer than {_MAX_IPC_PATH_BYTES} bytes: choose a shorter path, or tcp")


def _check_free(endpoint: str) -> None:
    """ZeroMQ removes whatever is at an ipc path before it binds: another replica's socket, or somebody's file."""
    path = endpoint.removeprefix("ipc://")
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise OperatorError(f"{endpoint} is a file and not a socket: choose another path")
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT):
            raise OperatorError(f"{endpoint} {_REASONS[errno.EADDRINUSE]}")


def _reason(error: zmq.ZMQError) -> str:
    reason = _REASONS.get(error.errno or 0)
    return reason or f"cannot be used as an address ({error.strerror}): write tcp://HOST:PORT or ipc://PATH"
