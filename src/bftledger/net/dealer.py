"""The client's side: one DEALER to each replica, under asyncio.

A frame is some replica's because of the socket it came from: CURVE lets nobody but the holder of the server's key
answer there. The client's own key is made for the occasion and names nobody; its transactions carry their signatures.

The sockets are plain ones whose descriptors the event loop watches. That descriptor only signals that *something*
changed, and ZeroMQ may take the signal back during any other call, so each call is followed by a look at what arrived.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import zmq

from bftledger.base.ids import ReplicaId
from bftledger.net.curve import TransportKey, check_key
from bftledger.net.endpoints import connect
from bftledger.net.options import Limits, connect_to_replica

_READS_PER_TURN: Final = 256
"""After so many frames of one replica the others, and the rest of the program, have their turn."""


@dataclass(frozen=True, slots=True)
class ReplicaAddress:
    """Where clients find a replica, and the 32-byte transport key that it must prove to have."""

    endpoint: str
    key: bytes


class ClientConnection:
    """A client's connections to the replicas of a group. Belongs to the event loop it was made in."""

    def __init__(self, replicas: Mapping[ReplicaId, ReplicaAddress], limits: Limits | None = None) -> None:
        """Connects to all `replicas`, now or whenever they are there.

        Raises `OperatorError` for an address or key that cannot be one, RuntimeError outside a running event loop.
        """
        self._loop: Final = asyncio.get_running_loop()
        self._limits: Final = limits or Limits()
        self._sockets: Final[dict[ReplicaId, zmq.Socket[bytes]]] = {}
        self._arrived: Final[deque[tuple[ReplicaId, bytes]]] = deque()
        self._something: Final = asyncio.Event()
        self._looks: Final[dict[ReplicaId, asyncio.Handle]] = {}
        self._paused = False
        self._closed = False
        self.dropped = 0
        """Frames that found a replica's queue full."""
        self._context: Final = zmq.Context()
        key = TransportKey.generate()
        try:
            for replica, address in replicas.items():
                self._connect(replica, address, key)
        except BaseException:
            self.close()
            raise

    def send(self, replica: ReplicaId, frame: bytes) -> bool:
        """Queues `frame` for `replica`, connected or not; never blocks. False: its queue is full, `frame` dropped.

        Raises KeyError for a replica that was not named, ConnectionError after `close`.
        """
        self._check_open()
        try:
            self._sockets[replica].send(frame, zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1
            return False
        finally:
            self._look(replica)
        return True

    async def receive(self) -> tuple[ReplicaId, bytes]:
        """The next frame of any replica. Raises ConnectionError once the connection is closed.

        May be cancelled, by a time-out for instance, without losing a frame.
        """
        while not self._arrived:
            self._check_open()
            self._something.clear()
            await self._something.wait()
        self._check_open()
        first = self._arrived.popleft()
        if self._paused and len(self._arrived) <= self._limits.request_queue // 2:
            self._paused = False
            for replica in self._sockets:
                self._look(replica)
        return first

    @property
    def waiting(self) -> int:
        """How many frames `receive` has not yet returned."""
        return len(self._arrived)

    def close(self, linger_ms: int = 0) -> None:
        """Ends all connections; `linger_ms` are given to what is still queued. May be called twice.

        Waits at most `linger_ms`, during which the event loop stands still. Whoever awaits `receive` gets its error.
        """
        if self._closed:
            return
        self._closed = True
        for handle in self._looks.values():
            handle.cancel()
        if not self._loop.is_closed():
            for socket in self._sockets.values():
                self._loop.remove_reader(socket.fileno())
        self._context.destroy(linger_ms)
        self._something.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _connect(self, replica: ReplicaId, address: ReplicaAddress, key: TransportKey) -> None:
        server_key = check_key(address.key, f"transport key of replica {replica}")
        socket = self._context.socket(zmq.DEALER)
        connect_to_replica(socket, key, server_key, self._limits)
        connect(socket, address.endpoint)
        self._sockets[replica] = socket
        self._loop.add_reader(socket.fileno(), self._read, replica)
        self._look(replica)

    def _look(self, replica: ReplicaId) -> None:
        """Reads `replica`'s socket in the loop's next turn; once, however often it is called until then."""
        if replica not in self._looks:
            self._looks[replica] = self._loop.call_soon(self._read, replica)

    def _read(self, replica: ReplicaId) -> None:
        if (handle := self._looks.pop(replica, None)) is not None:
            handle.cancel()
        socket = self._sockets[replica]
        for _ in range(_READS_PER_TURN):
            if len(self._arrived) >= self._limits.request_queue:
                self._paused = True  # ZeroMQ's own queue fills, then TCP pushes back
                socket.poll(0)  # takes the signal back, or the event loop would call again at once
                break
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            if len(parts) == 1:
                self._arrived.append((replica, parts[0]))
        else:
            self._look(replica)
        if self._arrived:
            self._something.set()

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionError("the connection is closed")
