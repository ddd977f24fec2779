"""What a transaction costs a replica, as a whole and by stage, both found in the same run.

In every run stretches with the stopwatch take turns with stretches without it, so that whatever else slows the machine
slows both. What a transaction costs is the cost of those without. What it costs more in those with the stopwatch is
what measuring costs; it is taken off the stages, by the calls that were measured in each. So the stages add up to the
whole, and what is in none of them, the rest, is shown as it comes out, below 0 if need be.
"""

import contextlib
import cProfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bftledger.bench.core import PRIMARY, WARM_UP_BATCHES, Group, Member, Work, signers, submissions
from bftledger.bench.stages import CLIENT_CHECKS, REPLICA_CHECKS, Reading, Stopwatch, measuring_ns

STRETCH: Final = 64
"""A stretch has at least so many transactions: enough to be worth the change, and short beside what slows machines."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Microseconds of one replica's processor time per transaction, all of one run; for several replicas their mean."""

    stages: Mapping[str, float]
    """Without what measuring cost. They add up to the whole; any may be below 0 by what is noise."""
    total_us: float
    """The whole, in the stretches without the stopwatch."""
    stopwatch_us: float
    """What the stretches with the stopwatch cost more: what is taken off the stages."""
    tight_loop_us: float
    """What measuring so many calls costs in a tight loop. Between real work it is half as much again, or twice."""
    calls: float
    """So many calls were measured per transaction."""
    client_checks: float
    """So many signatures of clients were checked per transaction."""
    replica_checks: float
    batches_ms: Sequence[float]
    """Milliseconds of processor time that a batch took without the stopwatch: of all runs, in ascending order."""

    @property
    def instrumented_us(self) -> float:
        """The whole, in the stretches with the stopwatch."""
        return self.total_us + self.stopwatch_us

    @property
    def client_check_us(self) -> float:
        """One check of a client's signature."""
        return self.stages[CLIENT_CHECKS] / self.client_checks

    @property
    def beyond_client_check_us(self) -> float:
        """All but one check of a client's signature, which each transaction needs."""
        return self.total_us - self.client_check_us

    @property
    def beyond_checks_us(self) -> float:
        """All but the checks of signatures, clients' and replicas'."""
        return self.total_us - self.stages[CLIENT_CHECKS] - self.stages[REPLICA_CHECKS]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of a work: the primary's cost, and the mean of the backups'. `tx_per_block`: in all its blocks."""

    work: Work
    tx_per_block: float
    primary: Cost
    backup: Cost


@dataclass
class _Spent:
    """Of one replica in one run."""

    plain_ns: list[int] = field(default_factory=list)
    """Of each batch without the stopwatch."""
    watched: Reading = field(default_factory=Reading)
    """Of as many batches with it."""

    @property
    def plain_total_ns(self) -> int:
        return sum(self.plain_ns)


@dataclass(frozen=True)
class _Run:
    spent: list[_Spent]
    """By replica."""
    blocks: int
    measuring_ns: tuple[float, float]
    """As `stages.measuring_ns` says, at its beginning."""

    def total_ns(self, replicas: Sequence[int]) -> int:
        """Of these replicas, with and without the stopwatch."""
        return sum(self.spent[i].plain_total_ns + self.spent[i].watched.total_ns for i in replicas)


def measure(work: Work, *, repeat: int = 3, say: Callable[[str], None] = lambda _: None) -> Measured:
    """The least cost of several runs: a machine that others use only ever adds to it.

    Each run has `work.transactions` without the stopwatch and as many with it, in whole batches.
    """
    if work.transactions % work.batch:
        raise ValueError(f"{work.transactions} transactions are not batches of {work.batch}")
    frames = submissions(replace(work, transactions=2 * work.transactions))
    runs = []
    for turn in range(repeat):
        say(f"2 x {work.transactions} transactions, {work.batch} at a time: run {turn + 1} of {repeat} …")
        runs.append(_run(work, frames))
    backups = range(1, work.replicas)
    return Measured(
        work=work,
        tx_per_block=2 * work.transactions / runs[0].blocks,
        primary=_cost(work, runs, [PRIMARY]),
        backup=_cost(work, runs, backups),
    )


def profile(work: Work) -> cProfile.Profile:
    """The backups' work under cProfile, all of them together."""
    profiler = cProfile.Profile(time.thread_time)
    with _group(work, profiler) as group:
        batches = _batches(work, submissions(work))
        for batch in batches[:WARM_UP_BATCHES]:
            group.commit(batch)
        profiler.clear()
        for batch in batches[WARM_UP_BATCHES:]:
            group.commit(batch)
    return profiler


def turns(batches: int, stretch: int) -> list[tuple[bool, int]]:
    """Stretches, in their order: whether with the stopwatch, and of how many batches. `batches` are so, `batches` not.

    No, yes, yes, no, and again: what changes in the course of a run, as the ledger does, is alike in both.
    """
    found = []
    for number, start in enumerate(range(0, batches, stretch)):
        count = min(stretch, batches - start)
        found += [(number % 2 == 1, count), (number % 2 == 0, count)]
    return found


def _run(work: Work, frames: Sequence[bytes]) -> _Run:
    """All batches, in stretches without and with the stopwatch."""
    watch = Stopwatch({key.public_key for key in signers(work.replicas)})
    own_cost = measuring_ns()
    spent = [_Spent() for _ in range(work.replicas)]
    batches = _batches(work, frames)
    stretch = -(-STRETCH // work.batch)
    with _group(work) as group:
        for batch in batches[:WARM_UP_BATCHES]:
            group.commit(batch)
        before = _height(group.members[PRIMARY])
        rest = batches[WARM_UP_BATCHES:]
        for is_watched, count in turns(len(rest) // 2, stretch):
            group.watch = watch if is_watched else None
            with watch.running() if is_watched else contextlib.nullcontext():
                for batch in rest[:count]:
                    group.forget()
                    group.commit(batch)
                    _note(group, spent)
            rest = rest[count:]
        assert not rest, "every batch has been submitted"
        return _Run(spent, _height(group.members[PRIMARY]) - before, own_cost)


def _note(group: Group, spent: Sequence[_Spent]) -> None:
    """What the last batch has cost."""
    for member, noted in zip(group.members, spent, strict=True):
        if group.watch is None:
            noted.plain_ns.append(member.cpu_ns)
        else:
            noted.watched.add(member.watched)


def _cost(work: Work, runs: Sequence[_Run], replicas: Sequence[int]) -> Cost:
    """The mean over these replicas, of the run in which it was least; `batches_ms` of all runs."""
    best = min(runs, key=lambda run: run.total_ns(replicas))
    count = work.transactions * len(replicas)
    plain_ns = sum(best.spent[i].plain_total_ns for i in replicas)
    watched = Reading()
    for i in replicas:
        watched.add(best.spent[i].watched)
    inside, outside = best.measuring_ns
    calls = watched.calls.total()
    stopwatch_ns = watched.total_ns - plain_ns
    stages = watched.stages(stopwatch_ns / calls, within=inside / (inside + outside))
    return Cost(
        stages={stage: ns / 1_000 / count for stage, ns in stages.items()},
        total_us=plain_ns / 1_000 / count,
        stopwatch_us=stopwatch_ns / 1_000 / count,
        tight_loop_us=calls * (inside + outside) / 1_000 / count,
        calls=calls / count,
        client_checks=watched.calls[CLIENT_CHECKS] / count,
        replica_checks=watched.calls[REPLICA_CHECKS] / count,
        batches_ms=sorted(ns / 1e6 for run in runs for i in replicas for ns in run.spent[i].plain_ns),
    )


@contextlib.contextmanager
def _group(work: Work, profiler: cProfile.Profile | None = None) -> Iterator[Group]:
    with TemporaryDirectory() as directory:
        group = Group(Path(directory), work, profiler)
        try:
            yield group
        finally:
            group.close()


def _batches(work: Work, frames: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [frames[start : start + work.batch] for start in range(0, len(frames), work.batch)]


def _height(member: Member) -> int:
    return member.engine.ledger.tip.height
