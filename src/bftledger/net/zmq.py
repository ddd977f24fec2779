"""A replica's transport over ZeroMQ: three kinds of sockets, one poll, no threads but
the libraries' own.

- One PULL that all replicas send to and one PUSH to each of them: votes go one way, and each direction of a pair is a
  connection of its own. A ROUTER would add a routing id that nobody needs and that a peer could choose.
- One ROUTER for clients, whose answers go back by routing id. It hands no id over to another connection: ids are made
  here, so a client that reconnects gets a new one, and nobody can take another's answers by claiming its id.

All is CURVE with this replica's transport key. The ZAP socket and the monitors are polled along with the others, so
handshakes are decided, and room is made, between two rounds of the node's loop.
"""

import contextlib
import math
import socket as sockets
import time
from collections.abc import Mapping
from typing import Any, Final, Self

import zmq

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.net import options
from bftledger.net.backlog import Backlogs
from bftledger.net.connections import Connections
from bftledger.net.curve import TransportKey, check_key
from bftledger.net.endpoints import bind, connect
from bftledger.net.members import Members
from bftledger.net.options import CLIENT_DOMAIN, PEER_DOMAIN, Limits
from bftledger.net.transport import DRAIN_BYTES, DRAIN_MESSAGES, FromClient, FromPeer, Incoming, Traffic
from bftledger.net.zap import Gatekeeper

_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
"""Calculating with libzmq's flags costs more than sending a vote."""


class ZmqTransport:
    """`Transport` over ZeroMQ. Bound on return; call `connect` for each other replica."""

    def __init__(
        self,
        *,
        key: TransportKey,
        peers: Mapping[ReplicaId, bytes],
        peer_bind: str,
        client_bind: str,
        limits: Limits | None = None,
    ) -> None:
        """Binds both sockets. Raises `OperatorError` for an address that cannot be had, or a bad key.

        `peers`: the other replicas' transport keys, 32 bytes each: nobody else may connect as a peer. `peer_bind`,
        `client_bind`: tcp://HOST:PORT (port * for a free one) or ipc://PATH.
        """
        keys = {replica: check_key(public, f"transport key of replica {replica}") for replica, public in peers.items()}
        if len({key.public, *keys.values()}) != len(keys) + 1:
            raise OperatorError("two replicas have the same transport key: give each its own in the genesis")
        self._key: Final = key
        self._keys: Final = keys
        self._limits: Final = limits or Limits()
        self._traffic: Final = Traffic(dropped_to_peers=dict.fromkeys(keys, 0))
        self._to_peers: Final[dict[ReplicaId, zmq.Socket[bytes]]] = {}
        share = self._limits.peer_queue_bytes
        self._peer_backlogs: Final = Backlogs[ReplicaId](each=share, total=share * len(keys))
        self._client_backlogs: Final = Backlogs[bytes](
            each=self._limits.client_queue_bytes, total=self._limits.clients_queue_bytes
        )
        self._wake_in, self._wake_out = sockets.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._context: Final = zmq.Context()
        self._context.max_sockets = len(keys) + 16  # one for each replica, those below, and the monitors' other ends
        try:
            self._peers = self._listen(zmq.PULL, PEER_DOMAIN)
            self._clients = self._listen(zmq.ROUTER, CLIENT_DOMAIN)
            self._clients.router_mandatory = True  # a client that is gone or does not read is told, and counted
            newcomers = len(keys) + self._limits.peer_newcomers
            self._peer_connections = Connections(
                self._peers, PEER_DOMAIN, limit=len(keys) + newcomers, newcomers=newcomers
            )
            self._client_connections = Connections(
                self._clients, CLIENT_DOMAIN, limit=self._limits.clients, newcomers=max(1, self._limits.clients // 4)
            )
            self._members = Members(self._peer_connections, keys, self._limits.peer_connections_per_second)
            self._gatekeeper = Gatekeeper(self._context, keys, self._members.admit)
            self._control: Final = (
                self._gatekeeper.socket,
                self._peer_connections.monitor,
                self._client_connections.monitor,
            )
            self.peer_endpoint: Final = bind(self._peers, peer_bind)
            self.client_endpoint: Final = bind(self._clients, client_bind)
        except BaseException:
            self.close()
            raise
        self._ready: set[Any] | None = None
        """What had something to be received when `wait` returned, until `drain`; else None."""
        self._poller: Final = zmq.Poller()
        self._poller_of_peers: Final = zmq.Poller()
        for source in (self._peers, *self._control, self._wake_in.fileno()):
            self._poller.register(source, zmq.POLLIN)
            self._poller_of_peers.register(source, zmq.POLLIN)
        self._poller.register(self._clients, zmq.POLLIN)

    @property
    def traffic(self) -> Traffic:
        self._traffic.refused_connections = self._gatekeeper.refused
        self._traffic.evicted_connections = self._peer_connections.evicted + self._client_connections.evicted
        self._traffic.replaced_connections = self._members.replaced
        return self._traffic

    def connect(self, replica: ReplicaId, endpoint: str) -> None:
        """Sends to `replica` at its `peer_endpoint` from now on, whether or not it is there yet; again if it moved.

        Raises `OperatorError` if `endpoint` cannot be an address, KeyError if `replica` is not a peer.
        """
        server_key = self._keys[replica]
        socket = self._context.socket(zmq.PUSH)
        try:
            options.connect_to_peer(socket, self._key, server_key, self._limits)
            connect(socket, endpoint)
        except BaseException:
            socket.close(0)
            raise
        if (previous := self._to_peers.pop(replica, None)) is not None:
            previous.close(0)
        self._to_peers[replica] = socket

    def send_peer(self, replica: ReplicaId, frame: bytes) -> bool:
        socket = self._to_peers.get(replica)
        size, backlogs = len(frame), self._peer_backlogs
        if socket is not None and size <= self._limits.peer_frame_bytes and backlogs.has_room(replica, size):
            try:
                backlogs.send(replica, socket, frame)
            except zmq.Again:
                pass
            else:
                self._traffic.sent += 1
                return True
        self._traffic.dropped_to_peers[replica] += 1
        return False

    def send_client(self, route: bytes, frame: bytes) -> bool:
        size, backlogs = len(frame), self._client_backlogs
        if size <= self._limits.answer_frame_bytes and backlogs.has_room(route, size):
            try:
                self._clients.send(route, _MORE)  # refused here, or both are taken
                backlogs.send(route, self._clients, frame)
            except zmq.ZMQError as error:
                if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                    raise
            else:
                self._traffic.sent += 1
                return True
        self._traffic.dropped_to_clients += 1
        return False

    def end_client(self, route: bytes) -> None:
        if (connection := self._client_connections.from_route(route)) is not None:
            self._client_connections.end(connection)
            self._traffic.ended_connections += 1

    def drain(
        self,
        max_messages: int = DRAIN_MESSAGES,
        max_bytes: int = DRAIN_BYTES,
        *,
        max_requests: int = DRAIN_MESSAGES,
        max_request_bytes: int = DRAIN_BYTES,
    ) -> list[Incoming]:
        incoming: list[Incoming] = []
        ready, self._ready = self._ready, None
        if ready is None:  # nobody has waited since, who would know
            ready = self._poll(0)
        if not ready.isdisjoint(self._control):
            self._admit()
        self._client_backlogs.settle()
        if self._peers in ready:
            self._drain_peers(incoming, max_messages, max_bytes)
        if self._clients in ready:
            self._drain_clients(incoming, min(max_messages, max_requests), min(max_bytes, max_request_bytes))
        self._traffic.received += len(incoming)
        return incoming

    def wait(self, timeout_ms: int, *, for_clients: bool = True) -> bool:
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            remaining_ms = math.ceil((deadline - time.monotonic()) * 1000)
            ready = self._poll(max(0, remaining_ms), for_clients=for_clients)
            woken = self._wake_in.fileno() in ready
            if woken:
                self._clear_wake()
            if not ready.isdisjoint(self._control):
                self._admit()
                ready.difference_update(self._control)
            self._ready = ready
            if woken or self._peers in ready or self._clients in ready:
                return True
            if time.monotonic() >= deadline:
                return False

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full: a wake-up is pending; closed: nobody waits
            self._wake_out.send(b"\0")

    def close(self, linger_ms: int = 0) -> None:
        self._context.destroy(linger_ms)
        self._wake_in.close()
        self._wake_out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self, kind: int, domain: str) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        options.listen(socket, self._key, domain, self._limits)
        return socket

    def _poll(self, timeout_ms: int, *, for_clients: bool = True) -> set[Any]:
        """The sources that have something to be received: one question for all of them."""
        poller = self._poller if for_clients else self._poller_of_peers
        return {source for source, _ in poller.poll(timeout_ms)}

    def _drain_peers(self, incoming: list[Incoming], messages: int, max_bytes: int) -> None:
        receive, sender = self._peers.recv, self._members.sender
        size = 0
        for _ in range(messages):
            try:
                frame = receive(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if frame.more:
                self._skip_rest(self._peers)
                continue
            data = frame.bytes
            incoming.append(FromPeer(sender(frame), data))
            size += len(data)
            if size >= max_bytes:
                return

    def _drain_clients(self, incoming: list[Incoming], messages: int, max_bytes: int) -> None:
        receive, connections = self._clients.recv, self._client_connections
        size = 0
        for _ in range(messages):
            try:
                route = receive(zmq.NOBLOCK)
            except zmq.Again:
                return
            frame = receive(zmq.NOBLOCK, copy=False)
            if (connection := connections.at(int(frame.get(zmq.SRCFD)))) is not None:
                connections.heard(connection)
                connection.route = route
            if frame.more:
                size += self._skip_rest(self._clients)
                if size >= max_bytes:
                    return
                continue
            data = frame.bytes
            incoming.append(FromClient(route, data))
            size += len(data)
            if size >= max_bytes:
                return

    def _skip_rest(self, socket: "zmq.Socket[bytes]") -> int:
        """Drops the frames after the first: ZeroMQ delivers a message with all its frames or not at all.

        Returns how many bytes they had.
        """
        self._traffic.malformed += 1
        size = 0
        while True:
            frame = socket.recv(zmq.NOBLOCK, copy=False)
            size += len(frame)
            if not frame.more:
                return size

    def _admit(self) -> None:
        """Decides who may come in, then who has to go for it."""
        self._gatekeeper.answer(self._limits.handshakes_per_round)
        self._peer_connections.follow()
        self._client_connections.follow()

    def _clear_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                pass
