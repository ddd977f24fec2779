"""The lines of a run's machines: what is sent goes up one, over the way that the plan's links say, and down another.

A line is shared as connections share one: all that have something to carry get as much of it (generalized processor
sharing; Parekh and Gallager, "A Generalized Processor Sharing Approach to Flow Control", 1993), each in its own order.
So whoever floods a machine fills his own share of its line, and no connection has to wait for the end of another's
megabyte. Times are in microseconds, and nothing here is rounded in another way on another machine.
"""

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Final

from bftledger.sim.links import Links
from bftledger.sim.network import Link
from bftledger.sim.timeline import Timeline
from bftledger.sim.trace import Trace

_SHARES: Final = 720_720
"""Up to 16 connections share so much without a remainder."""

_US_PER_MS: Final = 1_000
_PARTS: Final = _SHARES * _US_PER_MS
"""A byte in parts."""


class Line:
    """One direction of a machine's line.

    What it has served of each connection is measured by one clock, which is the faster the fewer connections there
    are: so it is known at once at what time of that clock a frame is through, whatever comes later.
    """

    def __init__(self, bytes_per_ms: int, timeline: Timeline) -> None:
        self._rate = bytes_per_ms * _SHARES
        """Parts of bytes in a microsecond."""
        self._timeline = timeline
        self._served = 0
        self._since = 0
        self._frames: list[tuple[int, int, int, Callable[[], None]]] = []
        self._last: dict[int, int] = {}
        """Of each connection that has something to carry, when its last frame is through."""
        self._order = 0
        self._token = 0

    def carry(self, connection: int, size: int, then: Callable[[], None]) -> None:
        """Calls `then` when these bytes are through."""
        self._go_on()
        through = self._last.get(connection, self._served) + size * _PARTS
        self._last[connection] = through
        self._order += 1
        heapq.heappush(self._frames, (through, self._order, connection, then))
        self._wait()

    def lasts_us(self, connection: int, connections: int) -> int:
        """How long it takes until what there is of a connection is through, if so many share the line."""
        self._go_on()
        left = self._last.get(connection, self._served) - self._served
        return -(-max(0, left) * connections // self._rate)

    def _go_on(self) -> None:
        now = self._timeline.now
        if self._last:
            self._served += (now - self._since) * self._rate // len(self._last)
        self._since = now

    def _wait(self) -> None:
        self._token += 1
        left = self._frames[0][0] - self._served
        wait = -(-left * len(self._last) // self._rate)
        self._timeline.at(self._timeline.now + max(0, wait), partial(self._due, self._token))

    def _due(self, token: int) -> None:
        if token != self._token:
            return
        self._go_on()
        through: list[Callable[[], None]] = []
        while self._frames and self._frames[0][0] <= self._served:
            at, _, connection, then = heapq.heappop(self._frames)
            if self._last.get(connection) == at:  # a frame of no bytes ends with the one before it
                del self._last[connection]
            through.append(then)
        if self._frames:
            self._wait()
        for then in through:
            then()


class Lines:
    """All lines of a run, and the ways between them."""

    def __init__(self, links: Links, timeline: Timeline, trace: Trace, chance: Random) -> None:
        self._links = links
        self._timeline = timeline
        self._trace = trace
        self._chance = chance
        self._up = {place: Line(rate, timeline) for place, rate in enumerate(links.up)}
        self._down = {place: Line(rate, timeline) for place, rate in enumerate(links.down)}
        self._last: dict[Link, int] = {}
        """When the last of what has left reaches the other end of each link."""
        self._healed: int | None = None
        self.settled = 0
        """When what was under way at healing, or missing, is there."""
        self.slowest_us: dict[Link, int] = {}
        """What the slowest frame of each link took, of those that were sent since healing; from `settled` on."""

    def carry(
        self, source: int, to: int, size: int, arrive: Callable[[], None], *, later_us: int = 0, in_order: bool = True
    ) -> None:
        """Calls `arrive` when a frame of `size` bytes is there.

        `later_us`: what the weather makes it take longer on its way. `in_order`: it overtakes none of its link.
        """
        arrived = partial(self._arrived, source, to, size, self._timeline.now, arrive)
        leave = partial(self._leave, source, to, size, arrived, later_us, in_order)
        if (line := self._up.get(source)) is None:
            leave()
        else:
            line.carry(to, size, leave)

    def _leave(
        self, source: int, to: int, size: int, arrived: Callable[[], None], later_us: int, in_order: bool
    ) -> None:
        reaches = self._timeline.now + self._links.delay_us(source, to, self._chance) + later_us
        last = self._last.get((source, to), 0)
        if in_order:
            reaches = max(reaches, last)
        self._last[source, to] = max(reaches, last)
        if (line := self._down.get(to)) is not None:
            arrived = partial(line.carry, source, size, arrived)
        self._timeline.at(reaches, arrived)

    def _arrived(self, source: int, to: int, size: int, sent: int, arrive: Callable[[], None]) -> None:
        now = self._timeline.now
        self._trace.note(now, source, to, size, now)
        if self._healed is not None and sent >= self._healed:
            took = now - max(sent, self.settled)
            self.slowest_us[source, to] = max(self.slowest_us.get((source, to), 0), took)
        arrive()

    def heal(self, honest: Iterable[Link], connections: int, missing_bytes: int = 0) -> None:
        """From now on it is counted how long frames take.

        What is still under way on the `honest` links may delay them, and so may what is missing at one end of some and
        has to be fetched. `connections`: so many have a line in common at most.
        """
        now = self._timeline.now
        left = max((self._left_us(source, to, connections) for source, to in honest), default=0)
        narrowest = self._links.narrowest
        fetching = _US_PER_MS * 2 * missing_bytes * connections // narrowest if narrowest else 0
        self._healed, self.settled = now, now + left + fetching

    def _left_us(self, source: int, to: int, connections: int) -> int:
        """How long what is under way on a link takes at most."""
        left = max(0, self._last.get((source, to), 0) - self._timeline.now)
        for line, connection in ((self._up.get(source), to), (self._down.get(to), source)):
            left += line.lasts_us(connection, connections) if line is not None else 0
        return left
