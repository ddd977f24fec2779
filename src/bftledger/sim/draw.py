"""A plan from a seed: which group, in what weather, with which faults and traitors, serving which clients.

The same seed and `Choice` give the same plan, as long as neither this file nor the catalogue of behaviours changes.
What must outlast that is a plan written down (`Plan.to_json`).
"""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from bftledger.adversary import catalogue
from bftledger.base.ids import Millis, ReplicaId
from bftledger.check.progress import IN_A_ROW
from bftledger.pbft.settings import Settings
from bftledger.sim.laden import laden
from bftledger.sim.plan import Crash, Cut, Fault, Jump, Plan, Slow, Storm, Weather, Work
from bftledger.sim.shapes import shaped
from bftledger.sim.staged import staged

MIXED: Final = 0.6
"""So many plans have all at once: f traitors, crashes and partitions."""

STAGED: Final = 0.4
"""So many plans have a script for their network (`sim.staged`): in most of the others nobody ever leaves view 0."""

LADEN: Final = 0.015
"""So many of the others have a primary that orders without end (`sim.laden`), and take long."""

LAGGING: Final = 0.15
"""So many of the others keep one replica apart until they heal; the rest get ahead of it by more than a window."""

SLOW: Final = 0.2
"""So many of the others have a network that is slow for good, as slow as the time-outs can bear."""

DIVIDED: Final = 0.7
"""So many plans with too many traitors keep the halves apart that are told different things."""

COLLUDE: Final = "collude"
"""Instead of a behaviour: the traitor shares its key with the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody wants of the plans that are drawn.

    `sizes`: of groups, one of which is drawn; larger ones cost more, hence the weights. `traitors`: behaviours with the
    number of replicas that have each; None: as the seed wants. `excess`: f+1 traitors that collude to fork the group,
    so that the oracles must object. `collude`: those that are named share their keys. `calm`: no faults at all; with
    `excess`, nothing keeps those apart who are told different things, and fewer plans fork.
    `stages`: so many have a script, but never one that is to be calm or to fork. `loads`: so many of the others have a
    primary that orders without end, unless traitors are named. `network`: one of `shapes.NAMES`, or the weather alone.
    """

    sizes: tuple[int, ...] = (4, 4, 4, 7)
    traitors: tuple[tuple[str, int], ...] | None = None
    excess: bool = False
    collude: bool = False
    calm: bool = False
    real_keys: bool = False
    stages: float = STAGED
    loads: float = LADEN
    network: str = ""

    def plan(self, seed: int) -> Plan:
        """The plan of that seed."""
        plan = self._plan(seed)
        return shaped(plan, self.network) if self.network else plan

    def _plan(self, seed: int) -> Plan:
        drawn = _Draw(seed, self)
        plan = drawn.plan()
        if self.excess:
            return plan
        if not self.calm and Random(f"whether staged {seed}").random() < self.stages:
            return self._staged(plan)
        if not self.calm and self.traitors is None and Random(f"whether laden {seed}").random() < self.loads:
            return laden(plan, Random(f"load {seed}"))
        return drawn.harder(plan)

    def _staged(self, plan: Plan) -> Plan:
        """The plan with a script. Each replica may lead when it matters, so those that are asked for are anywhere."""
        chance = Random(f"stages {plan.seed}")
        plan = staged(plan, chance)
        if self.traitors is None:
            return plan
        places = [ReplicaId(i) for i in range(plan.n)]
        chance.shuffle(places)
        return replace(plan, traitors={places[i]: names for i, names in plan.traitors.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged(Choice):
    """Likewise, and all of them have a script."""

    stages: float = 1.0


def draw(seed: int, choice: Choice | None = None) -> Plan:
    """The plan of that seed."""
    return (choice or Choice()).plan(seed)


@dataclass(slots=True)
class _Draw:
    seed: int
    choice: Choice
    chance: Random = field(init=False)
    n: int = field(init=False)
    f: int = field(init=False)
    heal_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.chance = Random(f"plan {self.seed}")
        self.n = self.chance.choice(self.choice.sizes)
        self.f = (self.n - 1) // 3
        self.heal_at = self.chance.choice((300, 500, 800, 1_500))

    def plan(self) -> Plan:
        chance, choice = self.chance, self.choice
        mixed = chance.random() < MIXED
        settings, weather, work = self._settings(), self._weather(), self._work()
        traitors = self._traitors(mixed)
        honest = [i for i in range(self.n) if i not in traitors]
        faults = () if choice.calm else self._faults(mixed, honest)
        if choice.excess and not choice.calm and chance.random() < DIVIDED:
            faults = (self._divide(honest), *faults)
        return Plan(
            seed=self.seed,
            n=self.n,
            settings=settings,
            weather=weather,
            round_us=chance.choice((100, 1_000, 3_000)),
            skew_ms=tuple(chance.randint(-400, 400) for _ in range(self.n)),
            faults=faults,
            traitors=traitors,
            work=work,
            heal_at=0 if choice.calm else self.heal_at,
            real_keys=choice.real_keys,
        )

    def harder(self, plan: Plan) -> Plan:
        """Some plans are slower, and some keep a replica apart, than was drawn so far."""
        chance = self.chance
        if chance.random() < SLOW:
            plan = self._slowed(plan)
        if not self.choice.calm and chance.random() < LAGGING:
            plan = self._lagging(plan)
        return plan

    def _slowed(self, plan: Plan) -> Plan:
        """A network that takes long for each message, before the plan heals and after; also longer than a tick."""
        bearable_us = 1_000 * plan.settings.request_timeout_ms // IN_A_ROW
        delay_us = bearable_us * self.chance.choice((4, 6, 8)) // 10
        weather = replace(plan.weather, delay_us=delay_us, jitter_us=min(plan.weather.jitter_us, bearable_us // 10))
        settings = replace(plan.settings, status_interval_ms=Millis(self.chance.choice((20, 50, 100))))
        return replace(plan, weather=weather, settings=settings)

    def _lagging(self, plan: Plan) -> Plan:
        """One honest replica hears nobody until the others are so far ahead that it needs their blocks."""
        chance = self.chance
        away, heal_at = chance.choice(plan.honest), max(plan.heal_at, chance.choice((1_500, 2_500)))
        others = [ReplicaId(i) for i in range(-plan.work.clients if chance.random() < 0.5 else 0, plan.n) if i != away]
        links = sorted([*((away, i) for i in others), *((i, away) for i in others)])
        return replace(
            plan,
            settings=replace(plan.settings, window=4, batch_count=min(plan.settings.batch_count, 4)),
            work=replace(plan.work, operations=chance.choice((12, 20)), think_ms=min(plan.work.think_ms, 100)),
            faults=(Cut(at=0, until=heal_at, links=tuple(links)), *plan.faults),
            heal_at=heal_at,
        )

    def _settings(self) -> Settings:
        chance = self.chance
        return Settings(
            window=chance.choice((4, 16, 64)),
            pipeline=chance.choice((1, 3, 8)),
            batch_count=chance.choice((1, 4, 50)),
            batch_wait_ms=Millis(chance.choice((5, 20))),
            request_timeout_ms=Millis(chance.choice((200, 400))),
            timeout_cap_ms=Millis(2_000),
            status_interval_ms=Millis(chance.choice((50, 100))),
            idle_status_interval_ms=Millis(1_000),
            pool_count=chance.choice((20, 10_000, 10_000)),
        )

    def _weather(self) -> Weather:
        """What the network is like throughout: it may be slow, or reorder, but it delivers."""
        chance = self.chance
        return Weather(
            delay_us=chance.choice((500, 2_000, 5_000)),
            jitter_us=chance.choice((0, 500, 5_000)),
            in_order=chance.random() < 0.5,
            bytes_per_ms=chance.choice((0, 0, 20_000)),
        )

    def _work(self) -> Work:
        chance = self.chance
        reads_mostly = chance.random() < 0.2  # one key, so that what one client writes others read at once
        return Work(
            clients=chance.choice((2, 3) if reads_mostly else (1, 2, 3)),
            operations=chance.choice((6, 10) if reads_mostly else (2, 4, 6)),
            reads=0.7 if reads_mostly else chance.choice((0.0, 0.25, 0.5)),
            keys=1 if reads_mostly else chance.choice((1, 2, 5)),
            burst=chance.choice((1, 1, 3)),
            think_ms=chance.choice((10, 100, 300)),
            payload_bytes=chance.choice((0, 0, 200)),
            lifetime_ms=Millis(chance.choice((60_000, 60_000, 1_500))),
            hostile=0 if self.choice.calm else chance.choice((0, 0, 1)),
            forgets=chance.choice((0.0, 0.0, 0.5)),
        )

    # ── traitors ──

    def _traitors(self, mixed: bool) -> dict[ReplicaId, tuple[str, ...]]:
        chance, choice = self.chance, self.choice
        members = [ReplicaId(i) for i in range(self.n)]
        chance.shuffle(members)
        # The primary of view 0 is among those that are asked for: many a behaviour is a primary's.
        first = [ReplicaId(0), *(i for i in members if i != 0)]
        if choice.traitors is not None:
            wanted = [name for name, count in choice.traitors for _ in range(count)]
            shared = (COLLUDE,) if choice.collude else ()
            return {member: (name, *shared) for member, name in zip(first, wanted, strict=False)}
        if choice.excess:
            return dict.fromkeys(first[: self.f + 1], ("equivocate", "double-vote", COLLUDE))
        if choice.calm:
            return {}
        count = self.f if mixed else chance.choice((0, 0, self.f))
        behaviours = catalogue.light_names()
        shared = (COLLUDE,) if count > 1 and chance.random() < 0.5 else ()
        return {member: (*self._habits(behaviours), *shared) for member in sorted(members[:count])}

    def _habits(self, behaviours: list[str]) -> tuple[str, ...]:
        chance = self.chance
        if chance.random() < 0.2:
            return ("random",)
        return tuple(chance.sample(behaviours, chance.choice((1, 1, 2, 3))))

    # ── faults ──

    def _faults(self, mixed: bool, honest: list[int]) -> tuple[Fault, ...]:
        chance = self.chance
        kinds = [self._crash, self._crash, self._cut, self._cut, self._storm, self._jump, self._slow]
        chosen = [self._crash, self._cut] if mixed else []
        chosen += [chance.choice(kinds) for _ in range(chance.choice((0, 1, 2, 4)))]
        found = [make(honest) for make in chosen]
        return tuple(sorted(found, key=lambda fault: fault.at))

    def _times(self, longest: int) -> tuple[int, int]:
        """When a fault begins and ends: before the run heals."""
        at = self.chance.randrange(self.heal_at - 50)
        return at, min(self.heal_at, at + self.chance.randint(10, longest))

    def _crash(self, honest: list[int]) -> Fault:
        at, until = self._times(1_000)
        how = self.chance.randrange(3)
        return Crash(
            at=at,
            until=until,
            replica=ReplicaId(self.chance.choice(honest)),
            fuse=self.chance.randint(1, 12) if how == 0 else 0,
            sent=self.chance.randint(0, 8) if how == 1 else -1,
        )

    def _cut(self, honest: list[int]) -> Fault:
        """A partition, one-way or both ways; a replica alone; or some links only. Clients may be cut off, too."""
        chance = self.chance
        at, until = self._times(1_200)
        places = list(range(-3 if chance.random() < 0.3 else 0, self.n))
        chance.shuffle(places)
        how = chance.randrange(4)
        if how == 0:  # some links, each one-way
            links = [(a, b) for a in places for b in places if a != b and chance.random() < 0.3]
        else:
            size = 1 if how == 1 else chance.randint(1, len(places) - 1)
            inside, outside = places[:size], places[size:]
            links = [(a, b) for a in inside for b in outside]
            if how != 2:
                links += [(b, a) for a, b in links]
        return Cut(at=at, until=until, links=tuple((ReplicaId(a), ReplicaId(b)) for a, b in sorted(links)))

    def _divide(self, honest: list[int]) -> Fault:
        """The halves of the honest ones do not hear each other: they cannot compare what they were told."""
        half = len(honest) // 2
        pairs = [(a, b) for a in honest[:half] for b in honest[half:]]
        links = sorted([*pairs, *((b, a) for a, b in pairs)])
        return Cut(at=0, until=self.heal_at, links=tuple((ReplicaId(a), ReplicaId(b)) for a, b in links))

    def _storm(self, honest: list[int]) -> Fault:
        chance = self.chance
        at, until = self._times(1_500)
        weather = Weather(
            loss=chance.choice((0.02, 0.1, 0.3)),
            duplication=chance.choice((0.0, 0.1)),
            delay_us=chance.choice((500, 5_000, 50_000)),
            jitter_us=chance.choice((0, 5_000, 50_000)),
            in_order=chance.random() < 0.3,
        )
        return Storm(at=at, until=until, weather=weather)

    def _jump(self, honest: list[int]) -> Fault:
        at, until = self._times(1_000)
        by_ms = self.chance.choice((-60_000, -3_000, -500, 500, 3_000, 60_000))
        return Jump(at=at, until=until, replica=ReplicaId(self.chance.choice(honest)), by_ms=by_ms)

    def _slow(self, honest: list[int]) -> Fault:
        at, until = self._times(1_500)
        round_us = self.chance.choice((5_000, 30_000, 150_000))
        return Slow(at=at, until=until, replica=ReplicaId(self.chance.choice(honest)), round_us=round_us)
