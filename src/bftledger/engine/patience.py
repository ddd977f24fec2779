"""Who is refused again and again is not heard for a while.

A forged signature costs its sender nothing and a replica a check; and anybody can connect. Turns by work (`intake`)
give a forger no more than its part, but while nobody else asks, that is all there is, and the replicas of a machine
share its cores. So each connection may be refused `BURST` times at once, and then as often as what it was refused is
forgiven: with time, and by each submission of its that is taken. Whoever uses that up is not heard for `SILENCE_MS`:
its frames are dropped unread.

A client whose clock is wrong, or that has no rights, stays below that if it heeds what it is told. Many users behind
one connection share its patience: who passes on transactions that others have signed should check them first.
"""

from collections import OrderedDict
from typing import Final

from bftledger.base.ids import Millis

BURST: Final = 256
"""So many refusals use a connection's patience up."""

FORGIVEN_PER_S: Final = 32
"""So many are forgiven in a second."""

SILENCE_MS: Final = Millis(4_000)
"""So long a connection is not heard then; half of its refusals are forgiven after that."""

MAX_REMEMBERED: Final = 1_024
"""Of so many connections refusals are remembered, the latest: twice as many as there can be at a time."""


class Patience:
    """What a replica has left of it, by connection. Times by its wall clock; one that is set back forgives nothing."""

    def __init__(self) -> None:
        self._refused: OrderedDict[bytes, tuple[int, Millis]] = OrderedDict()
        """How often in thousandths, and when it was last counted: those longest ago first."""
        self._silent: dict[bytes, Millis] = {}
        """Since when a connection is not heard; all of these are in `_refused`."""

    def __len__(self) -> int:
        return len(self._refused)

    @property
    def silent(self) -> int:
        """How many connections are not heard, or have not sent anything since they would be again."""
        return len(self._silent)

    def is_used_up(self, route: bytes, now: Millis) -> bool:
        """Whether what the connection sends is not even looked at."""
        since = self._silent.get(route)
        if since is None:
            return False
        if 0 <= now - since < SILENCE_MS:
            return True
        del self._silent[route]  # also if the clock was set back: nobody is to be silent for an hour
        self._refused[route] = (1_000 * BURST // 2, now)
        return False

    def refused(self, route: bytes, now: Millis) -> None:
        """The connection was refused something."""
        count = self._count(route, now) + 1_000
        self._refused[route] = (count, now)
        self._refused.move_to_end(route)
        if count >= 1_000 * BURST and route not in self._silent:
            self._silent[route] = now
        if len(self._refused) > MAX_REMEMBERED:
            oldest, _ = self._refused.popitem(last=False)
            self._silent.pop(oldest, None)

    def taken(self, route: bytes, now: Millis) -> None:
        """A submission of the connection was taken: that makes up for a refusal."""
        if route not in self._refused or route in self._silent:
            return
        count = self._count(route, now) - 1_000
        if count > 0:
            self._refused[route] = (count, now)
        else:
            del self._refused[route]

    def _count(self, route: bytes, now: Millis) -> int:
        """Refusals that are not forgiven yet, in thousandths."""
        count, at = self._refused.get(route, (0, now))
        return max(0, count - FORGIVEN_PER_S * max(0, now - at))
