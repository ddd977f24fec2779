"""Who brings forged signatures again and again is shunned for a while.

A forged signature costs its sender nothing and a replica a check, and anybody can connect. Turns by work (`intake`)
give a forger no more than its part; but while nobody else asks, that is all there is, and on a machine that replicas
share with others it is taken from those. So a connection may bring up to `BURST` of them at once and `FORGIVEN_PER_S`
for ever, and all connections together up to `BURST_OF_ALL` and `FORGIVEN_PER_S_OF_ALL`. Whoever brings the one that is
too many is shunned for `SHUNNED_MS`: its connection ends, and what of it is still on its way is dropped unread, some of
it with the answer BUSY. Whoever connects again begins anew, within what is forgiven all connections together.

No client of ours ever sends a bad signature, so only forgers come here, and who passes on what others have signed
without a look at it: many users behind one connection share what is forgiven it. No other refusal counts: a client with
a wrong clock, without rights, or with payloads that mean nothing, is told so each time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from bftledger.base.ids import Millis

BURST: Final = 64
FORGIVEN_PER_S: Final = 8
"""Of one connection."""

BURST_OF_ALL: Final = 512
FORGIVEN_PER_S_OF_ALL: Final = 256
"""Of all together, which may be many that are one forger's: a few hundredths of a core's time for checks."""

SHUNNED_MS: Final = Millis(4_000)

TOLD: Final = 64
"""So many frames of a connection are answered BUSY in that time; whoever goes on has no answer to wait for."""

MAX_REMEMBERED: Final = 1_024
"""So many connections are remembered, those that forged last: twice as many as there can be at a time."""


@dataclass(slots=True)
class _Bucket:
    """Forgeries that are not forgiven yet, in thousandths, and when they were last counted.

    By the wall clock: one that is set back forgives nothing meanwhile.
    """

    at: Millis
    count: int = 0

    def add(self, now: Millis, forgiven_per_s: int) -> int:
        """One more; how many there are, rounded up."""
        self.count = max(0, self.count - forgiven_per_s * max(0, now - self.at)) + 1_000
        self.at = now
        return -(-self.count // 1_000)


@dataclass(slots=True)
class _Shunned:
    since: Millis
    told: int = 0


class Forgers:
    """The connections that have brought forgeries lately."""

    def __init__(self) -> None:
        self._forged: OrderedDict[bytes, _Bucket] = OrderedDict()
        """By connection, those that forged longest ago first."""
        self._shunned: dict[bytes, _Shunned] = {}
        """All of these are in `_forged`."""
        self._new: list[bytes] = []
        self._all = _Bucket(Millis(0))

    def __len__(self) -> int:
        return len(self._forged)

    @property
    def shunned(self) -> int:
        """How many connections are shunned, or have not sent anything since they would not be any more."""
        return len(self._shunned)

    def forged(self, route: bytes, now: Millis) -> None:
        """The connection has brought a forged signature, and it was checked."""
        bucket = self._forged.setdefault(route, _Bucket(now))
        self._forged.move_to_end(route)
        of_all = self._all.add(now, FORGIVEN_PER_S_OF_ALL)
        if bucket.add(now, FORGIVEN_PER_S) >= BURST or of_all >= BURST_OF_ALL:
            self._shunned.setdefault(route, _Shunned(now))
            self._new.append(route)
        if len(self._forged) > MAX_REMEMBERED:
            oldest, _ = self._forged.popitem(last=False)
            self._shunned.pop(oldest, None)

    def take_new(self) -> list[bytes]:
        """Those that are shunned since this was asked last: whose connections should end."""
        new, self._new = self._new, []
        return new

    def is_shunned(self, route: bytes, now: Millis) -> bool:
        """Whether what the connection sends is not even looked at. A clock that is set back ends it."""
        shunned = self._shunned.get(route)
        if shunned is None:
            return False
        if 0 <= now - shunned.since < SHUNNED_MS:
            return True
        del self._shunned[route]
        self._forged[route] = _Bucket(now, 1_000 * BURST // 2)
        return False

    def tell(self, route: bytes, now: Millis) -> Millis | None:
        """In how many milliseconds a shunned connection may come again; None if it has been told often enough."""
        shunned = self._shunned[route]
        shunned.told += 1
        return None if shunned.told > TOLD else Millis(shunned.since + SHUNNED_MS - now)
