"""Real sockets on loopback at free ports; every wait has a deadline, everything opened is closed."""

import socket as sockets
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import zmq
from zmq.utils.monitor import recv_monitor_message

from bftledger.base.ids import ReplicaId
from bftledger.net.curve import TransportKey
from bftledger.net.options import Limits
from bftledger.net.transport import Incoming
from bftledger.net.zmq import ZmqTransport

DEADLINE_S = 10.0
TCP = "tcp://127.0.0.1:*"


class Wires:
    """Makes keys, transports and hostile sockets, and closes them with the test."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._context = stack.enter_context(zmq.Context())
        self.directory = directory
        self.keys = [TransportKey.generate() for _ in range(4)]

    def replica(self, me: int, peer_bind: str = TCP, limits: Limits | None = None) -> ZmqTransport:
        """Replica `me` of four, bound and not connected to anyone."""
        peers = {ReplicaId(i): key.public for i, key in enumerate(self.keys) if i != me}
        transport = ZmqTransport(
            key=self.keys[me], peers=peers, peer_bind=peer_bind, client_bind=TCP, limits=limits or Limits()
        )
        return self._stack.enter_context(transport)

    def pair(self, limits: Limits | None = None) -> tuple[ZmqTransport, ZmqTransport]:
        """Replicas 0 and 1, connected to each other."""
        zero, one = self.replica(0, limits=limits), self.replica(1, limits=limits)
        zero.connect(ReplicaId(1), one.peer_endpoint)
        one.connect(ReplicaId(0), zero.peer_endpoint)
        until(lambda: bool(reachable(zero) and reachable(one)), zero, one)
        return zero, one

    def socket(self, kind: int, endpoint: str, server: TransportKey, key: TransportKey | None = None) -> "Socket":
        """Any ZeroMQ socket with CURVE, under a key of its own or a given one."""
        key = key or TransportKey.generate()
        socket = self._stack.enter_context(self._context.socket(kind))
        socket.linger = 0
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = server.public, key.public, key.secret
        return Socket(socket, endpoint, self._stack)

    def socket_without_curve(self, kind: int, endpoint: str) -> "Socket":
        socket = self._stack.enter_context(self._context.socket(kind))
        socket.linger = 0
        return Socket(socket, endpoint, self._stack)

    def plain_connection(self, endpoint: str) -> sockets.socket:
        """A TCP connection that says nothing."""
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        return self._stack.enter_context(sockets.create_connection((host, int(port)), DEADLINE_S))


class Socket:
    """A connecting socket that remembers how its handshakes ended."""

    def __init__(self, socket: "zmq.Socket[bytes]", endpoint: str, stack: ExitStack) -> None:
        self.raw = socket
        self._endpoint = endpoint
        self._monitor = stack.enter_context(socket.get_monitor_socket())
        self.events: set[int] = set()

    def connect(self) -> "Socket":
        self.raw.connect(self._endpoint)
        return self

    def saw(self, *events: int) -> bool:
        """Whether any of the monitor's `events` has happened."""
        while self._monitor.poll(0):
            self.events.add(recv_monitor_message(self._monitor)["event"])
        return not self.events.isdisjoint(events)


def a_client(wires: Wires, replica: ZmqTransport, source: str = "", *, comes_back: bool = True) -> Socket:
    """A client of replica 0, from the local address `source` if that is given. `comes_back`: whether it connects anew
    when its connection is lost."""
    endpoint = replica.client_endpoint
    if source:
        endpoint = endpoint.replace("tcp://", f"tcp://{source}:0;")
    client = wires.socket(zmq.DEALER, endpoint, server=wires.keys[0])
    if not comes_back:
        client.raw.reconnect_ivl = -1  # counts only before it connects
    return client.connect()


def reachable(transport: ZmqTransport) -> frozenset[ReplicaId]:
    """The replicas that a frame can be queued for now: connected, authenticated, their queue not full."""
    return frozenset(replica for replica, socket in transport._to_peers.items() if socket.poll(0, zmq.POLLOUT))


def until(condition: Callable[[], bool], *transports: ZmqTransport) -> list[Incoming]:
    """Runs the loops of `transports` until `condition` holds; returns what they received. Fails at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    received: list[Incoming] = []
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        for transport in transports:
            transport.wait(5)
            received += transport.drain()
    return received


def receive(transport: ZmqTransport, count: int = 1, *others: ZmqTransport) -> list[Incoming]:
    """The next `count` frames of `transport`."""
    deadline = time.monotonic() + DEADLINE_S
    received: list[Incoming] = []
    while len(received) < count:
        assert time.monotonic() < deadline, f"only {received} arrived"
        transport.wait(5)
        received += transport.drain()
        for other in others:
            other.wait(0)
    return received
