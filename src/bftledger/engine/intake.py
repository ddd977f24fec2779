"""Where clients' requests wait until a round has time for them: bounded, and each connection in its turn.

A replica serves anybody, and finds out who signed something only by working on it. So a round spends no more than
`WORK_PER_ROUND` on clients, counted and not timed, after it has seen to peers and timers; the rest waits here. Who
sends much waits behind who sends little, and when there is no room, who has most in here is told to come again.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

MAX_FRAMES: Final = 1_024
MAX_BYTES: Final = 4 * 1024 * 1024
"""So much waits at most."""

WORK_PER_ROUND: Final = 1024 * 1024
"""What a round spends on clients: each request counts with its bytes, and with what follows."""

WORK_PER_REQUEST: Final = 2 * 1024
"""For a request, which may have a signature to check."""

WORK_PER_LOOKUP: Final = 128 * 1024
"""For a question about the past, which may take the reading of a block."""


class Intake:
    """Frames of clients with the connections that they came from."""

    def __init__(self) -> None:
        self._queues: OrderedDict[bytes, deque[bytes]] = OrderedDict()
        self._frames = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._frames

    def put(self, route: bytes, frame: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Takes a frame in; yields those, newest first, that must make room for it, or it itself."""
        self._queues.setdefault(route, deque()).append(frame)
        self._frames += 1
        self._bytes += len(frame)
        while self._frames > MAX_FRAMES or self._bytes > MAX_BYTES:
            longest = max(self._queues, key=lambda other: len(self._queues[other]))
            yield longest, self._remove(longest, self._queues[longest].pop())

    def take(self) -> tuple[bytes, bytes] | None:
        """The next frame, if any is left: the oldest of the connection whose turn it is."""
        if not self._queues:
            return None
        route, queue = next(iter(self._queues.items()))
        self._queues.move_to_end(route)
        return route, self._remove(route, queue.popleft())

    def _remove(self, route: bytes, frame: bytes) -> bytes:
        self._frames -= 1
        self._bytes -= len(frame)
        if not self._queues[route]:
            del self._queues[route]
        return frame
