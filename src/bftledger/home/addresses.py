"""Where replicas are reached: ZeroMQ addresses as a configuration writes them, and free ones for a local group.

`tcp://HOST:PORT` with an IPv4 address, an IPv6 address in brackets or a host name; `ipc:///PATH` for processes of
one machine. A replica listens on what others connect to, unless its configuration says otherwise (a host with
several networks, a container): ZeroMQ listens on addresses only, not on host names.
"""

import ipaddress
import re
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bftledger.base.errors import OperatorError
from bftledger.home.files import reason

LOOPBACK: Final = "127.0.0.1"
MAX_PORT: Final = 65_535
LOWEST_FREE_PORT: Final = 10_000
HIGHEST_FREE_PORT: Final = 32_000
"""Linux gives outgoing connections ports from 32768 on, other systems from 49152 on."""

_ATTEMPTS: Final = 100
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

    Without a base port some are found that are free, and below those that systems give to outgoing connections: a peer
    that keeps trying to reach a stopped replica could be given that very port, connect to itself, and keep it.
    Raises `OperatorError` if a port is taken or none are free.
    """
    count = 2 * replicas
    if base_port is not None and not 1024 <= base_port <= MAX_PORT - count + 1:
        raise OperatorError(
            f"base port {base_port}: for {replicas} replicas use one from 1024 to {MAX_PORT - count + 1}"
        )
    base = _free_ports(count) if base_port is None else _require_free(base_port, count)
    addresses = [f"tcp://{LOOPBACK}:{base + i}" for i in range(count)]
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


def _free_ports(count: int) -> int:
    """The first of `count` consecutive free ports; anywhere, so that groups made at the same time hardly meet."""
    for _ in range(_ATTEMPTS):
        try:
            return _require_free(secrets.choice(range(LOWEST_FREE_PORT, HIGHEST_FREE_PORT - count, count)), count)
        except OperatorError:
            continue
    raise OperatorError(f"no {count} free ports in a row on {LOOPBACK}: name a base port")


def _require_free(base: int, count: int) -> int:
    """`base`, if that port and those after it can be listened at. Raises `OperatorError`."""
    for port in range(base, base + count):
        with socket.socket() as listener:
            # As ZeroMQ does: connections of an earlier process that still linger do not count as taken.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((LOOPBACK, port))
                listener.listen(1)
            except OSError as error:
                what = f"port {port} on {LOOPBACK} cannot be used: {reason(error)}"
                raise OperatorError(f"{what}; choose another base port") from None
    return base


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
