"""Where replicas are reached: ZeroMQ addresses as a configuration writes them, and free ones for a local group.

`tcp://HOST:PORT` with an IPv4 address, an IPv6 address in brackets or a host name; `ipc:///PATH` for processes of
one machine. A replica listens on what others connect to, unless its configuration says otherwise (a host with
several networks, a container): ZeroMQ listens on addresses only, not on host names.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from bftledger.base.errors import OperatorError
from bftledger.home.files import reason

LOOPBACK: Final = "127.0.0.1"
MAX_PORT: Final = 65_535
MAX_IPC_PATH_BYTES: Final = 107
"""What a Unix socket's address holds (sun_path in unix(7), with its final zero)."""

_TCP: Final = re.compile(r"tcp://(?P<host>\[[^\]/]*\]|[^:/\[\]]+):(?P<port>[0-9]{1,5})")
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_FORMS: Final = "an address is tcp://HOST:PORT or ipc:///PATH"


@dataclass(frozen=True, kw_only=True)
class ReplicaAddresses:
    """How one replica is reached by its peers and by clients, and what it listens on."""

    peer: str
    client: str
    peer_bind: str
    client_bind: str

    @classmethod
    def reached_at(cls, peer: str, client: str) -> "ReplicaAddresses":
        """Listens on the addresses at which it is reached."""
        return cls(peer=peer, client=client, peer_bind=peer, client_bind=client)


def check_address(text: str) -> str:
    """`text` if one can connect to it. Raises ValueError that says what is wrong with it."""
    if text.startswith("ipc://"):
        return _check_ipc(text)
    host, _ = _split(text)
    if _is_wildcard(host):
        raise ValueError(
            f"{host} can only be listened on: put it under peer_bind or client_bind, and a host's own here"
        )
    if _address(host) is None and not _is_host_name(host):
        raise ValueError(f"{host} is neither an IP address nor a host name")
    return text


def check_bind(text: str) -> str:
    """`text` if one can listen on it. Raises ValueError that says what is wrong with it."""
    if text.startswith("ipc://"):
        return _check_ipc(text)
    host, port = _split(text)
    if _address(host) is None:
        raise ValueError(f"one listens on an IP address, not on the name {host}: write tcp://0.0.0.0:{port} for all")
    return text


def local_addresses(replicas: int, base_port: int | None = None) -> tuple[ReplicaAddresses, ...]:
    """Loopback addresses for a group of one machine: replica i has the ports base + 2i (peers) and base + 2i + 1.

    Without a base port the system picks free ones. Raises `OperatorError` if a port is taken or there are none.
    """
    count = 2 * replicas
    if base_port is not None and not 1024 <= base_port <= MAX_PORT - count + 1:
        raise OperatorError(
            f"base port {base_port}: for {replicas} replicas use one from 1024 to {MAX_PORT - count + 1}"
        )
    with ExitStack() as stack:  # all stay bound until all are found, so no two are the same
        ports = [_free_port(stack, 0 if base_port is None else base_port + i) for i in range(count)]
    addresses = [f"tcp://{LOOPBACK}:{port}" for port in ports]
    return tuple(ReplicaAddresses.reached_at(*addresses[i : i + 2]) for i in range(0, count, 2))


def duplicate(replicas: tuple[ReplicaAddresses, ...]) -> str | None:
    """An address at which two replicas, or a replica's peers and clients, would meet; None if there is none."""
    seen: set[str] = set()
    for address in _reached(replicas):
        if address in seen:
            return address
        seen.add(address)
    return None


def _reached(replicas: tuple[ReplicaAddresses, ...]) -> Iterator[str]:
    for replica in replicas:
        yield replica.peer
        yield replica.client


def _free_port(stack: ExitStack, port: int) -> int:
    listener = stack.enter_context(socket.socket())
    if port:
        # As ZeroMQ does: connections of an earlier process that still linger do not count as taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1)
    except OSError as error:
        taken = f"port {port} on {LOOPBACK}" if port else f"a port on {LOOPBACK}"
        raise OperatorError(f"{taken} cannot be used: {reason(error)}; choose another base port") from None
    number: int = listener.getsockname()[1]
    return number


def _split(text: str) -> tuple[str, int]:
    match = _TCP.fullmatch(text)
    if not match:
        raise ValueError(_FORMS)
    port = int(match["port"])
    if not 1 <= port <= MAX_PORT:
        raise ValueError(f"a port is a number from 1 to {MAX_PORT}")
    return match["host"], port


def _check_ipc(text: str) -> str:
    path = text.removeprefix("ipc://")
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("an ipc address names an absolute path: ipc:///PATH")
    if len(path.encode()) > MAX_IPC_PATH_BYTES:
        raise ValueError(f"the path of an ipc address has at most {MAX_IPC_PATH_BYTES} bytes")
    return text


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        if host.startswith("["):
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    except ValueError:
        return None


def _is_wildcard(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_unspecified


def _is_host_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
