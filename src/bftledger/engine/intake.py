"""Where clients' requests wait until a round has time for them: bounded, and each connection in its turn.

A replica serves anybody, and finds out who signed something only by working on it. So a round spends no more than
`work.WORK_PER_ROUND` on requests, after it has seen to peers and timers; the rest waits here. When there is no room,
who has most of what there is too much of, frames or bytes, is told to come again.

Connections take turns by work: worst-case fair queueing, WF²Q+ (Bennett and Zhang, ToN 5(5), 1997). A virtual clock
runs as if all were served at once, each with its part. The oldest request of each starts when the one before it ends,
or when it comes, and ends when its work is done, by that clock. Next is, of those that have started, the one that ends
first. So whoever waits gets its part of the work, many short requests do not wait behind few long ones, and long ones
come one by one between them. Who leaves is forgotten: who comes back starts at the clock, like anybody new, and gets
nothing of the part of those who wait.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from bftledger.engine.work import work_of

MAX_FRAMES: Final = 1_024
MAX_BYTES: Final = 4 * 1024 * 1024
"""So much waits at most."""

_FINE: Final = MAX_FRAMES
"""The clock's unit: with every connection that there can be, it still moves with each byte."""

SPARE: Final = 64
"""So many old ranks may a `Ranking` hold besides as many as there are ranks."""


class Ranking:
    """Who has the lowest rank: a heap in which old ranks are left until they come up, or are the larger half.

    Every entry enters and leaves the heap once, so each call is amortised O(log n), whatever the order of calls.
    """

    def __init__(self) -> None:
        self._ranks: dict[bytes, tuple[int, int]] = {}
        self._heap: list[tuple[tuple[int, int], bytes]] = []

    def set(self, route: bytes, rank: tuple[int, int]) -> None:
        """Gives a connection a rank, or another one."""
        self._ranks[route] = rank
        heappush(self._heap, (rank, route))
        if len(self._heap) > 2 * len(self._ranks) + SPARE:
            self._heap = [(rank, route) for route, rank in self._ranks.items()]
            heapify(self._heap)

    def drop(self, route: bytes) -> None:
        """Takes a connection out, if it is here."""
        self._ranks.pop(route, None)

    @property
    def entries(self) -> int:
        """How many ranks are held, old ones included."""
        return len(self._heap)

    def first(self) -> bytes | None:
        """The connection with the lowest rank, if any has one."""
        while self._heap and self._ranks.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][1] if self._heap else None


@dataclass(slots=True)
class _Queue:
    """What one connection has in here, the oldest first."""

    number: int
    """Of two that are equal in all else the one that came first is served first, and makes room last."""

    start: int = 0
    end: int = 0
    """When the oldest starts and ends, by the clock."""

    frames: deque[bytes] = field(default_factory=deque)
    size: int = 0
    """Bytes of them all."""


class Intake:
    """Frames of clients with the connections that they came from."""

    def __init__(self) -> None:
        self._queues: dict[bytes, _Queue] = {}
        self._frames = 0
        self._bytes = 0
        self._opened = 0
        self._clock = 0
        self._early = Ranking()
        """Those whose oldest has yet to start, by its start."""
        self._ready = Ranking()
        """The others, by the end of their oldest."""
        self._by_frames = Ranking()
        self._by_bytes = Ranking()
        self._rankings = self._early, self._ready, self._by_frames, self._by_bytes

    def __len__(self) -> int:
        return self._frames

    @property
    def size(self) -> int:
        """Of all that waits, in bytes."""
        return self._bytes

    @property
    def ranks(self) -> int:
        """How many entries the largest of the rankings has."""
        return max(ranking.entries for ranking in self._rankings)

    def waiting(self) -> dict[bytes, list[bytes]]:
        """All that waits, anew: the frames of each connection, the oldest first."""
        return {route: list(queue.frames) for route, queue in self._queues.items()}

    def put(self, route: bytes, frame: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Takes a frame in; yields those that must make room for it, or it itself.

        That is, as long as there are too many bytes, the newest of whoever has most bytes, and as long as there are too
        many frames, the newest of whoever has most frames.
        """
        queue = self._queues.get(route)
        if queue is None:
            self._opened += 1
            queue = self._queues[route] = _Queue(self._opened)
            self._begin(route, queue, work_of(frame), self._clock)
        queue.frames.append(frame)
        self._count(route, queue, 1, len(frame))
        while self._frames > MAX_FRAMES or self._bytes > MAX_BYTES:
            most = (self._by_bytes if self._bytes > MAX_BYTES else self._by_frames).first()
            assert most is not None, "who has too much is here"
            crowded = self._queues[most]
            crowded_out = crowded.frames.pop()
            self._count(most, crowded, -1, -len(crowded_out))
            yield most, crowded_out

    def take(self) -> tuple[bytes, bytes] | None:
        """The next frame, if any is left: the oldest of the connection whose turn it is."""
        route = self._next()
        if route is None:
            return None
        queue = self._queues[route]
        frame = queue.frames.popleft()
        self._clock += (queue.end - queue.start) // len(self._queues)
        if queue.frames:
            self._begin(route, queue, work_of(queue.frames[0]), queue.end)
        self._count(route, queue, -1, -len(frame))
        return route, frame

    def put_back(self, route: bytes, frame: bytes, work: int) -> None:
        """What was just taken has turned out to take so much work yet: it waits for its turn with that, and goes first.

        Nobody makes room for it, since it made some.
        """
        queue = self._queues.get(route)
        start = self._clock if queue is None else queue.start
        if queue is None:
            self._opened += 1
            queue = self._queues[route] = _Queue(self._opened)
        queue.frames.appendleft(frame)
        self._count(route, queue, 1, len(frame))
        self._begin(route, queue, work, start)

    def charge(self, route: bytes, work: int) -> None:
        """What was just taken has taken so much more work: whoever brought it starts later with the next."""
        if (queue := self._queues.get(route)) is not None:
            self._begin(route, queue, work_of(queue.frames[0]), queue.start + work * _FINE)
        self._clock += work * _FINE // max(1, len(self._queues))

    def _next(self) -> bytes | None:
        """Whose turn it is. If nothing has started, the clock goes on to what starts first."""
        while (route := self._early.first()) is not None:
            queue = self._queues[route]
            if queue.start > self._clock:
                if self._ready.first() is not None:
                    break
                self._clock = queue.start
            self._early.drop(route)
            self._ready.set(route, (queue.end, queue.number))
        return self._ready.first()

    def _begin(self, route: bytes, queue: _Queue, work: int, start: int) -> None:
        """The connection waits with another oldest frame from now on, which takes so much work."""
        queue.start, queue.end = start, start + work * _FINE
        if start <= self._clock:
            self._ready.set(route, (queue.end, queue.number))
        else:
            self._ready.drop(route)
            self._early.set(route, (start, queue.number))

    def _count(self, route: bytes, queue: _Queue, frames: int, size: int) -> None:
        """So many frames and bytes more, or fewer; whoever has none is gone."""
        self._frames += frames
        self._bytes += size
        queue.size += size
        if queue.frames:
            self._by_frames.set(route, (-len(queue.frames), -queue.number))
            self._by_bytes.set(route, (-queue.size, -queue.number))
        else:
            del self._queues[route]
            for ranking in self._rankings:
                ranking.drop(route)
