"""The connections of a hostile client: as many as wanted, at full speed or at a rate, and what comes back."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import zmq

from bftledger.base.errors import Malformed, OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.bench.hostile_frames import Source
from bftledger.home.home import Home
from bftledger.ledger.client_messages import Committed
from bftledger.ledger.client_wire import decode_reply
from bftledger.net.curve import TransportKey
from bftledger.net.options import Limits, connect_to_replica

_OUTLINE_BYTES: Final = 3
"""The kind of an answer is in so many first bytes."""

_BURST: Final = 16
"""Frames for one connection before the next has its turn."""

_QUEUE_BYTES: Final = 256 * 1024
"""So much may wait for one connection, and"""

_QUEUE: Final = 128
"""so many frames: enough for it never to run dry, and little beside what is taken in."""

_KERNEL_BYTES: Final = 64 * 1024
"""The same for the kernel, which doubles it."""

_FRAMES_PER_TURN: Final = 256
"""Then it looks at the clock and at answers."""

_ANSWERS_PER_TURN: Final = 64
_PAUSE_MS: Final = 1
_IDLE_MS: Final = 50

_BEHIND_S: Final = 0.1
"""Who was kept from sending for longer does not make up for it."""

_LOOPBACK: Final = "tcp://127.0.0.1:"
_ELSEWHERE: Final = "tcp://127.0.0.2:0;127.0.0.1:"
"""From another address of this host: a stranger is one by its address, too, where replicas make room by addresses."""


@dataclass(kw_only=True)
class Exchanged:
    """What was sent, and what came back, by the name of its kind.

    `committed`: so many transactions were said to be in the ledger. Frames that were left in a queue at the end count
    as sent.
    """

    frames: int = 0
    size: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    answers_size: int = 0
    committed: int = 0


class Answers:
    """Counts answers, of which no more is looked at than it takes."""

    def __init__(self, exchanged: Exchanged) -> None:
        self._exchanged = exchanged
        self._names: dict[bytes, str] = {}

    def take(self, frame: bytes) -> None:
        """One more."""
        found = self._exchanged
        found.answers_size += len(frame)
        outline = frame[:_OUTLINE_BYTES]
        name = self._names.get(outline)
        if name is None or name == Committed.__name__:
            try:
                reply = decode_reply(frame)
            except Malformed:
                found.answers["Malformed"] += 1
                return
            name = self._names[outline] = type(reply).__name__
            if isinstance(reply, Committed):
                found.committed += len(reply.items)
        found.answers[name] += 1


class Lines:
    """Connections, so many to each of these replicas, each with a key of its own. To be closed."""

    def __init__(self, home: Home, at: Sequence[ReplicaId], connections: int, *, largest: int, reads: bool) -> None:
        """`largest`: no frame will be longer. `reads`: whether answers are taken in."""
        self._reads = reads
        self._poller = zmq.Poller()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._context = zmq.Context()
        try:
            self._context.max_sockets = connections * len(at) + 16
            for _ in range(connections):
                for replica in at:
                    self._connect(home, replica, largest)
        except zmq.ZMQError as error:
            self.close()
            many = connections * len(at)
            raise OperatorError(f"{many} connections cannot be opened ({error.strerror}): take fewer") from None

    def close(self) -> None:
        """Ends them; what has yet to be sent is dropped."""
        self._context.destroy(0)

    def flood(self, source: Source | None, end_s: float, rate: float | None) -> Exchanged:
        """Sends, each connection in its turn, until that moment of the system's monotonic clock.

        `rate`: no more than so many frames per second. Without a source it only keeps the connections.
        """
        found = Exchanged()
        answers, sockets = Answers(found), self._sockets
        turn, begin = 0, time.monotonic()
        frame = None if source is None else next(source.frames)
        while (now := time.monotonic()) < end_s:
            allowed = _FRAMES_PER_TURN
            if rate is not None:
                # So far as its rate goes; what it was kept from sending moves the beginning, and is lost.
                begin = max(begin, now - _BEHIND_S - found.frames / rate)
                allowed = min(allowed, int((now - begin) * rate) - found.frames)
            sent, stuck = 0, 0
            while frame is not None and source is not None and sent < allowed and stuck < len(sockets):
                socket = sockets[turn % len(sockets)]
                turn += 1
                try:
                    for _ in range(min(_BURST, allowed - sent)):
                        socket.send(frame, zmq.NOBLOCK)
                        sent += 1
                        found.size += len(frame)
                        frame, stuck = next(source.frames), 0
                except zmq.Again:
                    stuck += 1
            found.frames += sent
            self._receive(answers, 0 if sent else _PAUSE_MS if source is not None else _IDLE_MS)
        return found

    def _receive(self, answers: Answers, timeout_ms: int) -> None:
        if not self._reads:
            time.sleep(timeout_ms / 1_000)
            return
        for socket, _ in self._poller.poll(timeout_ms):
            try:
                for _ in range(_ANSWERS_PER_TURN):
                    answers.take(socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                pass

    def _connect(self, home: Home, replica: ReplicaId, largest: int) -> None:
        socket: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        connect_to_replica(socket, TransportKey.generate(), home.genesis.replicas[replica].transport_key, Limits())
        socket.sndhwm = max(2, min(_QUEUE, _QUEUE_BYTES // max(1, largest)))
        socket.sndbuf = _KERNEL_BYTES
        if not self._reads:
            socket.rcvhwm = 1
        endpoint = home.config.replicas[replica].client
        socket.connect(endpoint.replace(_LOOPBACK, _ELSEWHERE))
        self._sockets.append(socket)
        if self._reads:
            self._poller.register(socket, zmq.POLLIN)
