"""How long a primary lets wait what it could have ordered at once, against what agreement takes without it.

Not in the paper: its limits are absolute, so a primary that takes just less than T for everything is never suspected
(Clement et al., "Making Byzantine Fault Tolerant Systems Tolerate Byzantine Faults", NSDI'09). Here each backup
compares the primary with the rest of the group, as it sees them itself:

- a *wait* is the time from when this backup passed a transaction on to the primary until it has accepted a proposal of
  this view that holds it, and all before that one: a number left open keeps back what comes after it;
- an *agreement* is the time from accepting a proposal until it is committed here (committed-local, §4.2). What it then
  waits for blocks before it, which a primary may have withheld, is none of it.

With an honest primary, what is passed on is in its next proposal, unless a proposal is full; and the next proposal is
made when one in flight is executed, or `batch_wait_ms` later. Hence a wait is the way there and back, and at most
`batch_wait_ms` or some agreement between the two. T is several times a round trip, so the limit is T/4 +
`batch_wait_ms` + 4 agreements.

Of each status tick only the longest wait counts, and the longest agreement: so it is of no use to a primary to order
the transactions of a friend in the same tick, nor to a friend to submit many. And of a tick in which the primary
ordered anything counts what it then still left waiting for too long: it is of no use to order some promptly and the
rest late, or never. And a tick at whose end something waits that was overtaken is good only if that does not wait for
too long either. Of the last `SAMPLES` of each the median counts, so it takes more than a few outliers: a pause of a
process, in which nothing is ordered, a clock that jumps, a message that was lost: that counts until it is passed on
again, at T/2. Nothing that waited while a block with half a batch was executed is counted, nor before the view had
executed what it carried over, nor while this replica is cut off. And nothing is measured by what clients say of time.

Who lags measures on, or a primary could make each backup lag now and then, and nobody would ever have enough samples. A
block that is fetched ends a wait as well, though not one that accuses, since fetching takes its time.

What one backup alone passed on, it alone can measure, and who leaves a view alone moves nobody. So a few slow samples
only lead to sharing with all what is passed on; accused is only for what all knew, of which all have the same samples.

Liveness: this must not make views change for ever. Each accusation doubles the limit for this replica, whatever had
made the primary slow: after two it is beyond T where agreement is fast, and everywhere after a few more beyond what an
honest primary needs. It is halved again only after `CALM` good samples. What was measured before a view, or
long ago, counts for nothing; and the newest sample must be a slow one, so that no primary is accused for what it was
before the network healed.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.settings import Settings

SAMPLES: Final = 15
"""A primary is accused by so many samples."""

ALARM: Final = 5
"""So many make a backup share with all what it passes on."""

PROPOSALS: Final = 64
"""So many agreements are timed at once. Of transactions, all that were passed on and wait, so `passing` bounds them: if
they were fewer, a primary's friends could take their places."""

AGREEMENTS: Final = 4
"""An honest primary needs no longer than so many agreements, with what does not depend on them."""

CALM: Final = 16 * SAMPLES
"""So many good samples make the limit half as high as it was made by an accusation."""

FORGET: Final = 20 * SAMPLES
"""Samples count for so many ticks."""

MOST_DOUBLINGS: Final = 16
"""No limit is doubled more often: by then it is more than an hour."""


_NEVER: Final = Millis(-1)


class Probe(NamedTuple):
    """A transaction was passed on at this time and tick; `shared`: with the knowledge of all."""

    at: Millis
    tick: int
    shared: bool


class Instant(NamedTuple):
    """What the clock says, how many ticks there have been, and their interval; times are in milliseconds."""

    clock: Millis
    tick: int
    interval: Millis

    def since(self, probe: Probe) -> int:
        """How long it waits.

        Never longer than the ticks in it: they bear a clock that jumps, and come late in a replica that is slow itself.
        """
        return min(self.clock - probe.at, (self.tick - probe.tick) * self.interval)


class Sample(NamedTuple):
    """The longest of a tick, in milliseconds; what was passed on at `waiting` was overtaken, and waited at its end."""

    tick: int
    took: int
    waiting: Millis = _NEVER


class Series:
    """The longest of each tick, of the last `SAMPLES` ticks that had any."""

    __slots__ = ("_doubtful", "_longest", "_newest", "_samples")

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._doubtful: deque[Sample] = deque(maxlen=SAMPLES)
        self._longest: int | None = None
        self._newest = _NEVER

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, took: int, since: Millis) -> None:
        """Milliseconds; negative ones, from a clock that was set back, are dropped."""
        if took >= 0 and (self._longest is None or took > self._longest):
            self._longest = took
        self._newest = max(self._newest, since)

    def close(self, tick: int, limit: int = 0, waiting: Millis | None = None) -> list[int]:
        """A tick is over; returns the samples that this brings, the latest last.

        One up to the `limit` is doubtful while what has been `waiting` since then, and was overtaken by what began
        later, still waits. It counts when that has ended; but not if that, or anything, took longer than the limit.
        """
        while self._samples and tick - self._samples[0].tick > FORGET:
            self._samples.popleft()
        longest, self._longest = self._longest, None
        newest, self._newest = self._newest, _NEVER
        if longest is not None and longest > limit:
            self._doubtful.clear()
        ended = [each for each in self._doubtful if waiting is None or each.waiting < waiting]
        for each in ended:
            self._doubtful.remove(each)
        if longest is not None and longest <= limit and waiting is not None and waiting < newest:
            self._doubtful.append(Sample(tick, longest, waiting))
        elif longest is not None:
            ended.append(Sample(tick, longest))
        self._samples.extend(ended)
        return [each.took for each in ended]

    def doubt(self) -> None:
        """Of what was overtaken it is not known how long it would have waited."""
        self._doubtful.clear()

    def clear(self) -> None:
        """Nothing that was measured counts any more."""
        self._samples.clear()
        self._doubtful.clear()
        self._longest, self._newest = None, _NEVER

    def median(self) -> int:
        """Of an even number the lower one. There must be a sample."""
        return sorted(each.took for each in self._samples)[(len(self._samples) - 1) // 2]


def _first(probes: list[Probe]) -> tuple[Probe | None, Probe | None]:
    """Of these the one that was passed on first, and the first of which all knew."""
    return min(probes, default=None), min([probe for probe in probes if probe.shared], default=None)


def _ends(probes: list[Probe]) -> list[Probe]:
    """Of these the first and the last, and so of those of which all knew: no others are of interest."""
    kinds = (probes, [probe for probe in probes if probe.shared])
    return [end for kind in kinds if kind for end in (min(kind), max(kind))]


@dataclass(slots=True)
class Pace:
    """What one replica has measured in its view. `now` is its clock, which may jump; `tick` counts status ticks."""

    probes: dict[TxId, Probe] = field(default_factory=dict)
    """What was passed on and is in no proposal, the first of them first."""
    kept_back: dict[Seq, list[Probe]] = field(default_factory=dict)
    """What a proposal with this number holds, and one before it was not accepted: as `_ends`."""
    level: Seq = Seq(0)
    """All proposals up to this one were accepted, or their blocks executed."""
    has_ordered: bool = False
    """A proposal was accepted since the last tick."""
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
        self.clear()
        self.level, self.has_ordered = Seq(0), False
        self.accepted.clear()
        for series in (self.waits, self.shared, self.agreements):
            series.clear()
        self.alarmed = self.accuses = False

    def clear(self) -> None:
        """What waits now, waits with good reason."""
        self.probes.clear()
        self.kept_back.clear()

    def keep(self, pending: Callable[[TxId], bool]) -> None:
        """What is pending no more, waits no more."""
        self.probes = {tx_id: probe for tx_id, probe in self.probes.items() if pending(tx_id)}

    def passed_on(self, transaction: TxId, now: Millis, tick: int, *, shared: bool) -> None:
        """The primary gets this from here."""
        self.probes[transaction] = Probe(now, tick, shared)

    def proposed(self, seq: Seq, transactions: Iterable[Transaction]) -> None:
        """A proposal of the primary was accepted here, with these."""
        if self.probes and (ended := self._end(transaction.id for transaction in transactions)):
            self.kept_back[seq] = _ends(ended)

    def arrived(self, level: Seq, now: Instant) -> None:
        """All proposals up to `level` are here."""
        self.level = level
        for probe in self._leave(level):
            self._count(probe, now)

    def agreeing(self, seq: Seq, now: Millis) -> None:
        """A proposal for this number was accepted here."""
        self.has_ordered = True
        if len(self.accepted) < PROPOSALS:
            self.accepted[seq] = now

    def agreed(self, seq: Seq, now: Millis) -> None:
        """And that is committed."""
        since = self.accepted.pop(seq, None)
        if since is not None:
            self.agreements.add(now - since, since)

    def fetched(self, last: Seq, transactions: Iterable[TxId], level: Seq, now: Instant) -> None:
        """Blocks up to `last` with these were fetched, because their proposals did not come, or not in time; now all up
        to `level` are here."""
        self.accepted = {seq: at for seq, at in self.accepted.items() if seq > last}
        self.level = level
        for probe in (*self._end(transactions), *self._leave(level)):
            self.waits.add(now.since(probe), probe.at)
            if probe.shared:
                self.shared.doubt()

    def _end(self, transactions: Iterable[TxId]) -> list[Probe]:
        """These are passed on and in no proposal no more."""
        ended = (self.probes.pop(tx_id, None) for tx_id in transactions)
        return [probe for probe in ended if probe is not None]

    def _leave(self, level: Seq) -> list[Probe]:
        """What a proposal up to `level` holds is kept back no more."""
        return [probe for seq in [seq for seq in self.kept_back if seq <= level] for probe in self.kept_back.pop(seq)]

    def _count(self, probe: Probe, now: Instant) -> None:
        self.waits.add(now.since(probe), probe.at)
        if probe.shared:
            self.shared.add(now.since(probe), probe.at)

    def _close(self, series: Series, first: Probe | None, now: Instant, limit: int) -> list[int]:
        """A tick is over; of what still waits, this was passed on `first`."""
        if first is not None and self.has_ordered and now.since(first) > limit:
            series.add(now.since(first), first.at)
        return series.close(now.tick, limit, first.at if first is not None else None)

    def limit(self, settings: Settings, timeout: Millis) -> int:
        """How long an honest primary lets wait at most, in milliseconds, with T as it is now.

        A few agreements say nothing, and count as none.
        """
        agreement = self.agreements.median() if len(self.agreements) >= ALARM else 0
        return (timeout // 4 + settings.batch_wait_ms + AGREEMENTS * agreement) << self.doublings

    def close_tick(self, now: Instant, settings: Settings, timeout: Millis) -> None:
        """A tick is over: judges what was measured."""
        self.agreements.close(now.tick)
        limit = self.limit(settings, timeout)
        kept_back = [probe for held in self.kept_back.values() for probe in held]
        first, first_shared = _first([*self.probes.values(), *kept_back])
        waits = self._close(self.waits, first, now, limit)
        shared = self._close(self.shared, first_shared, now, limit)
        self.has_ordered = False
        self.alarmed = self.accuses = False
        if len(self.waits) < ALARM:
            return
        self.alarmed = self.waits.median() > limit
        if len(self.agreements) >= ALARM and len(self.shared) == SAMPLES and shared and shared[-1] > limit:
            self.accuses = self.shared.median() > limit
        if self.doublings and not self.alarmed:
            self.calm += len(waits)
            if self.calm >= CALM:
                self.doublings, self.calm = self.doublings - 1, 0

    def accused(self) -> None:
        """This replica leaves the view for it."""
        self.doublings, self.calm = min(self.doublings + 1, MOST_DOUBLINGS), 0
