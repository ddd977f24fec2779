"""How long a primary lets wait what it could have ordered at once, against what agreement takes without it.

Not in the paper: its limits are absolute, so a primary that takes just less than T for everything is never suspected
(Clement et al., "Making Byzantine Fault Tolerant Systems Tolerate Byzantine Faults", NSDI'09). Here each backup
compares the primary with the rest of the group, as it sees them itself:

- a *wait* is the time from when this backup passed a transaction on to the primary until it accepted a proposal of
  this view that holds it;
- an *agreement* is the time from accepting a proposal until it is committed here (committed-local, §4.2). What it then
  waits for blocks before it, which a primary may have withheld, is none of it.

With an honest primary, what is passed on is in its next proposal, unless a proposal is full; and the next proposal is
made when one in flight is executed, or `batch_wait_ms` later. Hence a wait is the way there and back, and at most
`batch_wait_ms` or some agreement between the two. T is several times a round trip, so the limit is T/4 +
`batch_wait_ms` + 4 agreements.

Of each status tick only the longest wait counts, and the longest agreement: so it is of no use to a primary to order
the transactions of a friend in the same tick, nor to a friend to submit many. Of the last `SAMPLES` of each the median
counts, so it takes more than a few outliers: a pause of a process, a lost message, a clock that jumps. Nothing that
waited while half a batch was proposed is counted, nor before the view had executed what it carried over, nor while
this replica is cut off. And nothing is measured by what clients say of time.

Who lags measures on, or a primary could make each backup lag now and then, and nobody would ever have enough samples. A
block that is fetched ends a wait as well, though not one that accuses, since fetching takes its time.

What one backup alone passed on, it alone can measure, and who leaves a view alone moves nobody. So a few slow samples
only lead to sharing with all what is passed on; accused is only for what all knew, of which all have the same samples.

Liveness: this must not make views change for ever. Each accusation doubles the limit for this replica, whatever had
made the primary slow: after two it is beyond T where agreement is fast, and everywhere after a few more beyond what an
honest primary needs. It is halved again only after `CALM` ticks with a good sample. What was measured before a view, or
long ago, counts for nothing; and the newest sample must be a slow one, so that no primary is accused for what it was
before the network healed.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.settings import Settings

SAMPLES: Final = 15
"""A primary is accused by so many samples."""

ALARM: Final = 5
"""So many make a backup share with all what it passes on."""

PROBES: Final = 64
"""So many transactions are timed at once, and so many proposals."""

AGREEMENTS: Final = 4
"""An honest primary needs no longer than so many agreements, with what does not depend on them."""

CALM: Final = 16 * SAMPLES
"""So many good samples make the limit half as high as it was made by an accusation."""

FORGET: Final = 20 * SAMPLES
"""Samples count for so many ticks."""

MOST_DOUBLINGS: Final = 16
"""No limit is doubled more often: by then it is more than an hour."""


class Probe(NamedTuple):
    """A transaction was passed on at this time and tick; `shared`: with the knowledge of all."""

    at: Millis
    tick: int
    shared: bool


class Series:
    """The longest of each tick, of the last `SAMPLES` ticks that had any."""

    __slots__ = ("_longest", "_samples")

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        self._longest: int | None = None

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, took: int) -> None:
        """Milliseconds; negative ones, from a clock that was set back, are dropped."""
        if took >= 0 and (self._longest is None or took > self._longest):
            self._longest = took

    def close(self, tick: int) -> int | None:
        """A tick is over; returns its sample."""
        while self._samples and tick - self._samples[0][0] > FORGET:
            self._samples.popleft()
        longest, self._longest = self._longest, None
        if longest is not None:
            self._samples.append((tick, longest))
        return longest

    def clear(self) -> None:
        """Nothing that was measured counts any more."""
        self._samples.clear()
        self._longest = None

    def median(self) -> int:
        """Of an even number the lower one. There must be a sample."""
        return sorted(took for _, took in self._samples)[(len(self._samples) - 1) // 2]


@dataclass(slots=True)
class Pace:
    """What one replica has measured in its view. `now` is its clock, which may jump; `tick` counts status ticks."""

    probes: dict[TxId, Probe] = field(default_factory=dict)
    accepted: dict[Seq, Millis] = field(default_factory=dict)
    waits: Series = field(default_factory=Series)
    shared: Series = field(default_factory=Series)
    """Those waits of which all know."""
    agreements: Series = field(default_factory=Series)
    alarmed: bool = False
    """A few samples say that the primary is slow: what is passed on is shared with all."""
    accuses: bool = False
    """So do all, of what all know."""
    doublings: int = 0
    calm: int = 0
    """Ticks with a good sample since `doublings` changed."""

    def forget(self) -> None:
        """Another view begins; or what is measured now would say nothing about the primary."""
        self.probes.clear()
        self.accepted.clear()
        for series in (self.waits, self.shared, self.agreements):
            series.clear()
        self.alarmed = self.accuses = False

    def passed_on(self, transaction: TxId, now: Millis, tick: int, *, shared: bool) -> None:
        """The primary gets this from here."""
        if len(self.probes) < PROBES:
            self.probes[transaction] = Probe(now, tick, shared)

    def proposed(self, transactions: Iterable[Transaction], now: Millis, tick: int, interval: Millis) -> None:
        """A proposal of the primary was accepted here.

        `interval`: of the ticks, in milliseconds. A wait is never longer than the ticks in it: they bear a clock that
        jumps, and come late in a replica that is slow itself.
        """
        for transaction in transactions:
            probe = self.probes.pop(transaction.id, None)
            if probe is not None:
                took = min(now - probe.at, (tick - probe.tick) * interval)
                self.waits.add(took)
                if probe.shared:
                    self.shared.add(took)

    def agreeing(self, seq: Seq, now: Millis) -> None:
        """A proposal for this number was accepted here."""
        if len(self.accepted) < PROBES:
            self.accepted[seq] = now

    def agreed(self, seq: Seq, now: Millis) -> None:
        """And that is committed."""
        since = self.accepted.pop(seq, None)
        if since is not None:
            self.agreements.add(now - since)

    def fetched(self, last: Seq, transactions: Iterable[TxId], now: Millis, tick: int, interval: Millis) -> None:
        """Blocks up to `last` with these were fetched, because their proposals did not come, or not in time. As
        `proposed`."""
        self.accepted = {seq: at for seq, at in self.accepted.items() if seq > last}
        for tx_id in transactions:
            probe = self.probes.pop(tx_id, None)
            if probe is not None:
                self.waits.add(min(now - probe.at, (tick - probe.tick) * interval))

    def limit(self, settings: Settings, timeout: Millis) -> int:
        """How long an honest primary lets wait at most, in milliseconds, with T as it is now.

        A few agreements say nothing, and count as none.
        """
        agreement = self.agreements.median() if len(self.agreements) >= ALARM else 0
        return (timeout // 4 + settings.batch_wait_ms + AGREEMENTS * agreement) << self.doublings

    def close_tick(self, tick: int, settings: Settings, timeout: Millis) -> None:
        """A tick is over: judges what was measured."""
        wait, shared = self.waits.close(tick), self.shared.close(tick)
        self.agreements.close(tick)
        self.alarmed = self.accuses = False
        if len(self.waits) < ALARM:
            return
        limit = self.limit(settings, timeout)
        self.alarmed = self.waits.median() > limit
        if len(self.agreements) >= ALARM and len(self.shared) == SAMPLES and shared is not None and shared > limit:
            self.accuses = self.shared.median() > limit
        if self.doublings and wait is not None and not self.alarmed:
            self.calm += 1
            if self.calm == CALM:
                self.doublings, self.calm = self.doublings - 1, 0

    def accused(self) -> None:
        """This replica leaves the view for it."""
        self.doublings, self.calm = min(self.doublings + 1, MOST_DOUBLINGS), 0
