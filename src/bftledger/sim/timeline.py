"""Virtual time: one queue of things to happen, ordered by time and then by origin."""

import heapq
from collections.abc import Callable


class Timeline:
    """Things happen in it, and cause others to happen later. Times are microseconds since it began."""

    def __init__(self) -> None:
        self.now = 0
        """Microseconds since the run began."""
        self.events = 0
        """How many things have happened."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0

    def at(self, time: int, action: Callable[[], None]) -> None:
        """Does this at that time."""
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, action))

    def run(self, until_us: int, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Lets time pass until then, or until `is_over`; whether it was."""
        queue = self._queue
        while not is_over():
            if not queue or queue[0][0] > until_us:
                self.now = until_us
                return is_over()
            self.now, _, action = heapq.heappop(queue)
            self.events += 1
            action()
        return True
