"""Limits of a replica's machine: what its disk holds, what a peer gets that asks, and what is timed of the primary.

`check.bounds` measures the core, `sim.desk_limits` what clients make grow, this the rest. Each limit follows from a
rule of forgetting, or of rationing, and says which; that something is not unlimited in principle is no limit.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple

from bftledger.base.ids import ReplicaId, Seq, TxId, View
from bftledger.check.bounds import Bound
from bftledger.pbft import wire
from bftledger.pbft.memory import SPAN
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Proposed,
    Stable,
    Testimony,
    ViewChange,
)
from bftledger.pbft.pace import Probe
from bftledger.pbft.settings import Settings
from bftledger.pbft.state import TOLD_PER_TICK, State
from bftledger.pbft.transfer import BLOCKS_PER_TICK, BYTES_PER_TICK
from bftledger.sim.host import Disk
from bftledger.storage.store import KEPT_VIEWS

# ── on disk ──

_NUMBER_AND_KIND: Final = attrgetter("seq", "kind")


def disk_bounds(disk: Disk, settings: Settings) -> Iterator[Bound]:
    """What grows on disk beside the ledger, after a round.

    Votes are for numbers that are not settled (`State.forget_settled`). Those are above what is executed or stable,
    whichever is lower, and below the high watermark: if the stable checkpoint is at most a window ahead of what is
    executed, within two windows; if it is further ahead, all below it is settled, and they are within one. For each
    number the store keeps votes of `KEPT_VIEWS`, and the proposals of its PRE-PREPAREs. Decisions are kept for `SPAN`
    blocks, evidence once for each replica and rule.
    """
    numbers = 2 * settings.window
    views = Counter(map(_NUMBER_AND_KIND, disk.slots()))
    most: Counter[str] = Counter()
    for (_, kind), count in views.items():
        most[kind] = max(most[kind], count)
    yield Bound("numbers with votes on disk", len({seq for seq, _ in views if seq}), numbers)
    for kind, limit in KEPT_VIEWS.items():
        yield Bound(f"views with a {kind} for one number on disk", most[kind], limit)
    sizes = disk.sizes()
    yield Bound("proposals on disk", sizes.proposals, numbers * KEPT_VIEWS["PRE-PREPARE"])
    yield Bound("decisions on disk", sizes.decisions, SPAN)
    yield Bound("pieces of evidence against one replica by one rule on disk", sizes.evidence, 1)


# ── peers that ask ──


@dataclass(slots=True)
class _Interval:
    """What one replica sent since its last tick to single peers. `answers`: so often may each ask the same."""

    tick: int = 0
    answers: int = 1
    before: int = 0
    """So often might they in the interval before, whose end may be in the round that this one begins in."""
    counts: Counter[tuple[ReplicaId, str, Seq | None]] = field(default_factory=Counter)
    bytes: Counter[tuple[ReplicaId, str]] = field(default_factory=Counter)
    largest: Counter[tuple[ReplicaId, str]] = field(default_factory=Counter)

    @property
    def times(self) -> int:
        return self.answers + self.before


class Answers:
    """What honest replicas send to single peers between two ticks, most of it for their asking.

    A peer may ask the same `answers_per_tick` times (`State.may_answer`): STATUS, a proposal of one number, what the
    primary sent for one number, and blocks `BLOCKS_PER_TICK` as often. No more is sent once the blocks and proposals of
    a tick have `BYTES_PER_TICK`, or the TESTIMONYs `TOLD_PER_TICK`; only the last may go beyond. So whatever a traitor
    asks, and however often, it costs so much of a replica's time and line and no more.
    """

    def __init__(self) -> None:
        self._intervals: dict[ReplicaId, _Interval] = {}

    def begun(self, replica: ReplicaId) -> None:
        """It has started, new or again."""
        self._intervals[replica] = _Interval()

    def add(self, replica: ReplicaId, state: State, sent: Iterable[tuple[ReplicaId, Message]]) -> Iterator[Bound]:
        """What a round sent to single peers, also if that is nothing: it may have begun an interval. Yields how much
        that makes, with what its interval saw before."""
        interval = self._intervals[replica]
        if state.tick != interval.tick:
            interval = _Interval(state.tick, state.answers_per_tick, before=interval.answers)
            self._intervals[replica] = interval
        for to, message in sent:
            yield from _counted(interval, to, message, state.settings.window)
            yield from _weighed(interval, to, message)


def to_one(sent: Sequence[tuple[ReplicaId, bytes]], others: int) -> Iterator[tuple[ReplicaId, bytes]]:
    """What does not go to all `others`: a broadcast is the same frame to each of them in turn."""
    start = 0
    while start < len(sent):
        frame = sent[start][1]
        if [each is frame for _, each in sent[start : start + others]] == [True] * others:
            start += others
        else:
            yield sent[start]
            start += 1


def _counted(interval: _Interval, to: ReplicaId, message: Message, window: int) -> Iterator[Bound]:
    name, times = type(message).__name__, interval.times
    number: Seq | None = None
    match message:
        case Stable() | NewView() | ViewChange():  # for one STATUS
            limit = times
        case PrePrepare() | Prepare() | Commit() | Checkpoint():  # for one STATUS, of each number in the window
            limit = times * window
        case Blocks():
            limit = times * BLOCKS_PER_TICK
        case Proposed():
            limit, number = times, message.seq
        case Testimony(messages=(PrePrepare() as contested,)):  # what the primary sent
            limit, number = times, contested.seq
        case _:
            return
    interval.counts[to, name, number] += 1
    what = name if number is None else f"{name} for number {number}"
    yield Bound(f"{what} to replica {to} in one status interval", interval.counts[to, name, number], limit)


def _weighed(interval: _Interval, to: ReplicaId, message: Message) -> Iterator[Bound]:
    match message:
        case Blocks():
            what, size, ration = "blocks", sum(map(len, (*message.blocks, *message.headers))), BYTES_PER_TICK
        case Proposed():
            what, size, ration = "blocks", len(message.proposal.encoded), BYTES_PER_TICK
        case Testimony() if len(message.messages) > 1 or not isinstance(message.messages[0], PrePrepare):
            what, size, ration = "testimony", sum(len(wire.encode(told)) for told in message.messages), TOLD_PER_TICK
        case _:
            return
    interval.bytes[to, what] += size
    interval.largest[to, what] = max(interval.largest[to, what], size)
    without_the_last = interval.bytes[to, what] - 2 * interval.largest[to, what]  # of this interval and the one before
    yield Bound(f"bytes of {what} to replica {to} in one status interval", without_the_last, interval.times * ration)


# ── what is timed ──


class _Over(NamedTuple):
    """What was timed at this tick of this view and pending no more."""

    view: View
    tick: int
    probes: dict[TxId, Probe]


class Timed:
    """What honest replicas time of their primary although it is over.

    What is pending no more is forgotten at the next tick at which the primary is judged (`pace.Pace.keep`), or with the
    view. A replica that lags judges later (`State.unjudged`).
    """

    def __init__(self) -> None:
        self._over: dict[ReplicaId, _Over] = {}

    def begun(self, replica: ReplicaId) -> None:
        """It has started, new or again."""
        self._over.pop(replica, None)

    def look(self, replica: ReplicaId, state: State) -> Iterator[Bound]:
        """After a round. Yields what should have been forgotten since the last look."""
        now = {tx_id: probe for tx_id, probe in state.pace.probes.items() if tx_id not in state.pool}
        before = self._over.get(replica)
        if before is not None and before.view == state.view and before.tick < state.tick and not state.unjudged:
            kept = sum(now.get(tx_id) is probe for tx_id, probe in before.probes.items())
            yield Bound("transactions timed that were gone before the last tick", kept, 0)
        self._over[replica] = _Over(state.view, state.tick, now)
