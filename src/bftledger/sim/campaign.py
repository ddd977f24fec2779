"""Many seeds, one after the other, and what they add up to. Where several processes share the work, tallies add up."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from bftledger.adversary import catalogue
from bftledger.sim.draw import Choice
from bftledger.sim.plan import Plan
from bftledger.sim.run import Report, run

LISTED: Final = 1_000
"""So many failing seeds are listed; more are only counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed whose run an oracle objects to, and what the gravest objection is (`run.Report.gravest`)."""

    seed: int
    n: int
    text: str
    oracles: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What runs add up to. `traces`: the trace hash of each seed, if they are wanted."""

    runs: int = 0
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    views: Counter[int] = field(default_factory=Counter)
    scripted: int = 0
    """How many runs had a script for their network."""
    mixes: Counter[str] = field(default_factory=Counter)
    """How many runs had which kinds of trouble together."""
    drawn: Counter[str] = field(default_factory=Counter)
    """How many runs had a traitor with which behaviour."""
    blocks: int = 0
    lasted_us: int = 0
    guilty: Counter[int] = field(default_factory=Counter)
    """Of the runs that forked: how many replicas the evidence convicts."""
    traces: dict[int, str] = field(default_factory=dict)

    def add(self, report: Report, *, keeps_trace: bool = False) -> None:
        """One more run."""
        plan = report.plan
        self.runs += 1
        self.counts.update(report.counts)
        self.sizes[plan.n] += 1
        self.views[report.views] += 1
        self.scripted += plan.script is not None
        self.mixes[mix_of(plan)] += 1
        self.drawn.update({name.partition(":")[0] for names in plan.traitors.values() for name in names})
        self.blocks += report.height
        self.lasted_us += report.lasted_us
        if report.is_forked:
            self.guilty[len(report.convicted)] += 1
        if report.violations:
            self.failed += 1
            oracles = tuple(sorted({violation.oracle for violation in report.violations}))
            if len(self.failures) < LISTED:
                self.failures.append(Failure(plan.seed, plan.n, str(report.gravest), oracles))
        if keeps_trace:
            self.traces[plan.seed] = report.trace_hash

    def merge(self, other: "Tally") -> None:
        """What another process counted."""
        self.runs += other.runs
        self.failed += other.failed
        self.failures = [*self.failures, *other.failures][:LISTED]
        self.counts.update(other.counts)
        self.sizes.update(other.sizes)
        self.views.update(other.views)
        self.scripted += other.scripted
        self.mixes.update(other.mixes)
        self.drawn.update(other.drawn)
        self.guilty.update(other.guilty)
        self.blocks += other.blocks
        self.lasted_us += other.lasted_us
        self.traces.update(other.traces)

    @property
    def never_lied(self) -> list[str]:
        """The behaviours that were drawn, and of which nobody ever saw anything, in the order of the catalogue."""
        drawn = [name for name in catalogue.names() if self.drawn[name] and name != "random"]
        return [name for name in drawn if not self.counts[f"lies: {name}"]]


def mix_of(plan: Plan) -> str:
    """What kinds of trouble a plan has, in words: "Byzantine, crash, cut".

    A script keeps replicas apart in its views, or at least ends them early.
    """
    kinds = {type(fault).__name__.lower() for fault in plan.faults}
    found = [
        *(["Byzantine"] if plan.traitors or plan.twins else []),
        *(kind for kind in ("crash", "cut") if kind in kinds),
    ]
    if plan.script is not None:
        found.append("views apart" if plan.script.has_partitions else "views cut short")
    if kinds - {"crash", "cut"}:
        found.append("other")
    return ", ".join(found) or "none"


class Source(Protocol):
    """What makes plans of seeds: `draw.Choice`, `twins.Family`. It can be sent to another process."""

    def plan(self, seed: int) -> Plan:
        """The same plan for the same seed."""
        ...


def run_seeds(seeds: Iterable[int], source: Source | None = None, *, keeps_traces: bool = False) -> Tally:
    """Runs these seeds' plans; `source`: whose, by default what `draw` makes of them."""
    source = source or Choice()
    tally = Tally()
    for seed in seeds:
        tally.add(run(source.plan(seed)), keeps_trace=keeps_traces)
    return tally
