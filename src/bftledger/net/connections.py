"""Which connections a listening socket has, and making room among them: ZeroMQ offers neither.

Its monitor names the connections it accepts by their descriptors, and a connection whose descriptor is shut down
(shutdown(2), on a duplicate) ends as if its other side had gone. Descriptors are numbers that are used again, but
ZeroMQ reports the end of a connection before it closes the descriptor. So if a duplicate is made, and no end has been
reported after that, the duplicate is of the connection that was meant.
"""

import contextlib
import ipaddress
import os
import socket as sockets
from typing import Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

_IPV6_SITE_BITS: Final = 64
"""A host has all addresses of such a network to itself."""


class Connection:
    """One accepted connection; `born` orders connections by the time at which they were accepted.

    `route`: what the last frame of it was said to be from, or one of whoever had its descriptor before.
    """

    __slots__ = ("born", "descriptor", "route", "source")

    def __init__(self, descriptor: int, born: int, source: str) -> None:
        self.descriptor: Final = descriptor
        self.born: Final = born
        self.source: Final = source
        self.route = b""


class _Pool:
    """Connections by the address that they are from, those longest silent first."""

    def __init__(self) -> None:
        self._by_source: Final[dict[str, dict[Connection, None]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, connection: Connection) -> None:
        """As the one heard last."""
        self._by_source.setdefault(connection.source, {})[connection] = None
        self._count += 1

    def remove(self, connection: Connection) -> bool:
        """False if it was not there."""
        of_source = self._by_source.get(connection.source, {})
        if connection not in of_source:
            return False
        del of_source[connection]
        self._count -= 1
        if not of_source:
            del self._by_source[connection.source]
        return True

    def most_dispensable(self) -> Connection:
        """The one longest silent among those of the address that has the most."""
        source = max(self._by_source, key=lambda source: len(self._by_source[source]))
        return next(iter(self._by_source[source]))


class Connections:
    """The open connections of a socket, at most `limit`: whoever is one too many takes the place of another.

    Those that have never sent a frame are newcomers; at most `newcomers` of them may take the place of one that has.
    So who only connects displaces others who only connect, and an address that has many displaces its own.
    """

    def __init__(self, socket: "zmq.Socket[Any]", name: str, *, limit: int, newcomers: int) -> None:
        """Watches `socket`, which must not be bound yet. `name` is the monitor's, unique in the context."""
        self._limit: Final = limit
        self._newcomer_share: Final = newcomers
        self._open: Final[dict[int, Connection]] = {}
        self._newcomers: Final = _Pool()
        self._heard: Final = _Pool()
        self._ticks = 0
        self.evicted = 0
        """Connections that were ended to make room."""
        address = f"inproc://{name}.monitor"
        socket.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.monitor: Final[zmq.Socket[bytes]] = socket.context.socket(zmq.PAIR)
        self.monitor.rcvhwm = 0  # a full queue would stop ZeroMQ's thread
        self.monitor.connect(address)

    def __len__(self) -> int:
        return len(self._newcomers) + len(self._heard)

    def tick(self) -> int:
        """A number above the `born` of all connections so far, below that of all later ones."""
        self._take_reports()
        self._ticks += 1
        return self._ticks

    def follow(self) -> None:
        """Takes note of what came and went, and makes room."""
        self._take_reports()
        while len(self) > self._limit:
            pool = self._newcomers if len(self._newcomers) > self._newcomer_share else self._heard
            self.evicted += 1
            self.end(pool.most_dispensable())

    def at(self, descriptor: int) -> Connection | None:
        """The connection that has `descriptor` now; not necessarily the one that had it when a frame arrived."""
        return self._open.get(descriptor)

    def heard(self, connection: Connection) -> None:
        """A frame came from `connection`."""
        if self._newcomers.remove(connection) or self._heard.remove(connection):
            self._heard.add(connection)

    def from_route(self, route: bytes) -> Connection | None:
        """The connection whose last frame came from there, if it is open."""
        return next((connection for connection in self._open.values() if connection.route == route), None)

    def end(self, connection: Connection) -> None:
        """Ends `connection`; nothing if it has ended."""
        self._give_up(connection)
        try:
            duplicate = os.dup(connection.descriptor)
        except OSError:
            return
        self._take_reports()
        if self._open.get(connection.descriptor) is not connection:
            os.close(duplicate)
            return
        with sockets.socket(fileno=duplicate) as shared, contextlib.suppress(OSError):
            shared.shutdown(sockets.SHUT_RDWR)

    def _take_reports(self) -> None:
        while True:
            try:
                report = parse_monitor_message(self.monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            descriptor = report["value"]
            previous = self._open.pop(descriptor, None)
            if previous is not None:
                self._give_up(previous)
            if report["event"] == zmq.EVENT_ACCEPTED:
                self._ticks += 1
                connection = self._open[descriptor] = Connection(descriptor, self._ticks, _source(descriptor))
                self._newcomers.add(connection)

    def _give_up(self, connection: Connection) -> None:
        if not self._newcomers.remove(connection):
            self._heard.remove(connection)


def _source(descriptor: int) -> str:
    """The address that a connection is from, or the network if a host has one to itself; '' for local sockets.

    Should the connection have ended already, this is another's address, and of no consequence.
    """
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        return ""
    try:
        connection = sockets.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return ""
    with connection:
        if connection.family not in (sockets.AF_INET, sockets.AF_INET6):
            return ""
        try:
            address = ipaddress.ip_address(connection.getpeername()[0])
        except (OSError, ValueError):
            return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), _IPV6_SITE_BITS), strict=False))
    return str(address)
