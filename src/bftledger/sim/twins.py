"""Twins: Byzantine replicas without a line of attack code (Bano et al., "Twins: BFT Systems Made Robust", OPODIS 2021).

A twin is one identity, with one key, run by two machines that are both honest and know nothing of each other. Where the
network shows one of them to some replicas and the other one to others, they equivocate, vote twice and forget what
they promised. A scenario says who is a twin, and which cores hear one another in which view; views have the primaries
that they always have. Scenarios are few enough to try all of them for a small group, and to draw them for larger ones.

Differs from the paper: PBFT's primary of a view is fixed, so who leads is chosen by choosing the twins; and a view is
left only by a quorum, so partitions hold for what belongs to a view (`sim.script` says what does) and for a bounded
time. After the last partition all messages arrive, and progress is required.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from math import comb
from random import Random
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis, ReplicaId
from bftledger.pbft.settings import Settings
from bftledger.sim import run as simulated
from bftledger.sim.plan import Plan, Weather, Work
from bftledger.sim.recording import Observer
from bftledger.sim.run import Report
from bftledger.sim.script import Partition, Script

FORMAT: Final = 1

TIMEOUT_MS: Final = Millis(40)
VIEW_MS: Final = 140
"""A view's time: enough to accuse its primary, to await the next one for as long in vain, and for three ticks."""

LEAST_N: Final = 4
MOST_CORES: Final = 64
MOST_TRIED: Final = 100_000
"""Of a family with more scenarios, some are drawn instead of all tried."""

SETTINGS: Final = Settings(
    window=8,
    pipeline=2,
    batch_count=2,
    batch_wait_ms=Millis(5),
    request_timeout_ms=TIMEOUT_MS,
    timeout_cap_ms=Millis(400),
    status_interval_ms=Millis(20),
    idle_status_interval_ms=Millis(100),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Who is a twin, and the partition of the cores in each view. `seed`: of everything that is not said here.

    Cores have numbers as in `Script`, and names for people: 2 is the first core of replica 2 and 2' the second one.
    """

    n: int
    twins: tuple[ReplicaId, ...]
    views: tuple[Partition, ...]
    seed: int = 0

    @property
    def name(self) -> str:
        """In one line: the sets of each view."""
        cores = core_names(self.n, self.twins)
        sets = (" | ".join(" ".join(cores[i] for i in members) for members in partition) for partition in self.views)
        return f"twins {' '.join(map(str, self.twins)) or 'none'}: " + "; ".join(
            f"view {view}: {text}" for view, text in enumerate(sets)
        )

    def plan(self) -> Plan:
        """The run: in each view's time, and after the last one, a client comes and tells all replicas what it wants."""
        script = Script(views=self.views, view_ms=VIEW_MS)
        return Plan(
            seed=self.seed,
            n=self.n,
            settings=SETTINGS,
            # What is sent to two cores arrives in another order at each, and their clocks differ a little: the two
            # cores of a twin that leads do not propose the same.
            weather=Weather(delay_us=300, jitter_us=300, in_order=False),
            round_us=1_000,
            skew_ms=tuple(range(self.n + len(self.twins))),
            twins=self.twins,
            script=script,
            work=Work(
                clients=len(self.views) + 1,
                operations=2,
                reads=0.0,
                keys=2,
                burst=2,
                patience_ms=Millis(1),
                spread_ms=VIEW_MS,
            ),
            heal_at=script.ends_at,
        )

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold, with the cores' names."""
        cores = core_names(self.n, self.twins)
        return {
            "format": FORMAT,
            "n": self.n,
            "twins": list(self.twins),
            "views": [[[cores[i] for i in members] for members in partition] for partition in self.views],
            "seed": self.seed,
        }

    @staticmethod
    def from_json(data: Any) -> "Scenario":
        """The scenario that `to_json` wrote. Raises `OperatorError` for what is none."""
        try:
            return _read(data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OperatorError(f"this is not a Twins scenario ({error}): see docs/formats.md") from None


def core_names(n: int, twins: tuple[ReplicaId, ...]) -> list[str]:
    """What each core is called."""
    return [*map(str, range(n)), *(f"{i}'" for i in twins)]


def _read(data: Any) -> Scenario:
    if data["format"] != FORMAT:
        raise ValueError("of another format")
    n, seed = data["n"], data["seed"]
    twins = tuple(ReplicaId(i) for i in data["twins"])
    if not all(type(number) is int for number in (n, seed, *twins)):
        raise ValueError("n, seed and twins are whole numbers")
    if n < LEAST_N or n + len(twins) > MOST_CORES:
        raise ValueError(f"a group has {LEAST_N} replicas at least, and {MOST_CORES} cores at most")
    if len(set(twins)) < len(twins) or not all(0 <= i < n for i in twins):
        raise ValueError("twins are different replicas of the group")
    places = {name: place for place, name in enumerate(core_names(n, twins))}
    views = tuple(
        tuple(tuple(places[name] for name in members) for members in partition) for partition in data["views"]
    )
    for view, partition in enumerate(views):
        if sorted(place for members in partition for place in members) != list(range(len(places))):
            raise ValueError(f"in view {view}, not every core is in one set")
    return Scenario(n=n, twins=twins, views=views, seed=seed)


# ── scenarios ──


def exhaustive(n: int = 4, twins: int = 1, partitions: int = 2, views: int = 3) -> Iterator[Scenario]:
    """Every scenario: all choices of `twins` twins, all ways to split the cores into at most `partitions` sets in each
    view. There are `count` of them, always in the same order.

    None is left out as the mirror image of another. Who is a twin is never alike: each replica leads other views, the
    last one the first view after the script. And the cores of a twin cannot change places, as their clocks differ.
    """
    chosen = combinations(map(ReplicaId, range(n)), twins)
    splits = _splits(n + twins, partitions)
    for number, (who, script) in enumerate(product(chosen, product(splits, repeat=views))):
        yield Scenario(n=n, twins=who, views=script, seed=number)


def count(n: int = 4, twins: int = 1, partitions: int = 2, views: int = 3) -> int:
    """How many scenarios are all."""
    return comb(n, twins) * int(_ways(n + twins, partitions) ** views)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Scenarios of one kind, as plans of a campaign (`campaign.Source`).

    Few enough are tried all: then a seed is a scenario's number, `seed` modulo `count`. Of more, seeds draw.
    """

    n: int = 4
    twins: int = 1
    partitions: int = 2
    views: int = 3

    @property
    def count(self) -> int | None:
        """How many there are, if that is few enough; else None."""
        found = count(self.n, self.twins, self.partitions, self.views)
        return found if found <= MOST_TRIED else None

    def plan(self, seed: int) -> Plan:
        """The scenario's run."""
        return self.scenario(seed).plan()

    def scenario(self, seed: int) -> Scenario:
        """The scenario of that number, or of that seed."""
        total = self.count
        if total is None:
            return sampled(seed, self.n, self.twins, self.partitions, self.views)
        number = seed % total
        chosen = list(combinations(map(ReplicaId, range(self.n)), self.twins))
        splits = _splits(self.n + self.twins, self.partitions)
        digits, rest = [], number
        for _ in range(self.views):
            rest, digit = divmod(rest, len(splits))
            digits.append(digit)
        script = tuple(splits[digit] for digit in reversed(digits))
        return Scenario(n=self.n, twins=chosen[rest], views=script, seed=number)


def sampled(seed: int, n: int, twins: int, partitions: int, views: int) -> Scenario:
    """One of them, the same for the same seed, where all are too many.

    In some views all sets are alike in size, and nobody gets anywhere; in others the first set has most of the cores.
    """
    chance = Random(f"twins {seed} {n} {twins} {partitions} {views}")
    who = tuple(map(ReplicaId, sorted(chance.sample(range(n), twins))))
    script = []
    for _ in range(views):
        lots = [0] * chance.choice((0, partitions, 3 * partitions)) + list(range(partitions))
        script.append(_partition([chance.choice(lots) for _ in range(n + twins)]))
    return Scenario(n=n, twins=who, views=tuple(script), seed=seed)


def run(scenario: Scenario, observer: Observer | None = None) -> Report:
    """Runs a scenario with all oracles watching; the twins are Byzantine, so nobody judges them."""
    return simulated.run(scenario.plan(), observer)


# ── partitions ──


def _ways(cores: int, partitions: int) -> int:
    """How many partitions have at most so many sets: a sum of Stirling numbers of the second kind."""
    ways = [1] + [0] * partitions  # of no core into 0, 1, 2, … sets
    for _ in range(cores):
        # A core is alone, or in one of the sets that are there.
        ways = [0] + [ways[sets - 1] + sets * ways[sets] for sets in range(1, partitions + 1)]
    return sum(ways)


@cache
def _splits(cores: int, partitions: int) -> tuple[Partition, ...]:
    """All partitions of the cores into at most so many sets. The first core is in the first set, and each other one in
    a set that is there or in the next: so no two differ in nothing but the order of their sets."""
    found = []
    for sets in product(range(partitions), repeat=cores):
        if all(number <= max(sets[:core], default=-1) + 1 for core, number in enumerate(sets)):
            found.append(_partition(sets))
    return tuple(found)


def _partition(sets: Sequence[int]) -> Partition:
    """The partition in which each core is in the set of that number; sets without a core are none."""
    found: dict[int, list[int]] = {}
    for core, number in enumerate(sets):
        found.setdefault(number, []).append(core)
    return tuple(tuple(members) for members in found.values())
