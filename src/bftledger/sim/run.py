"""One run of a plan with all oracles watching, and what they say in the end."""

import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.check import evidence, progress
from bftledger.check.violation import Violation
from bftledger.sim import promise
from bftledger.sim.bound import recovery_bound_ms
from bftledger.sim.calls import Call
from bftledger.sim.oracles import Oracles
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Observer
from bftledger.sim.verdict import convicted_in, judge_evidence, judge_ledger
from bftledger.sim.world import World

COMPARISONS: Final = 5
"""After a fork there are so many status intervals of idle replicas for them to find out who is guilty."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run. `lasted_us`: virtual time. `counts`: what happened how often. `trace_hash`: see `trace`."""

    plan: Plan
    violations: tuple[Violation, ...]
    trace_hash: str
    lasted_us: int
    height: int
    views: int
    """The highest view that an honest replica was in."""
    is_forked: bool = False
    """Whether honest replicas executed different blocks at one height."""
    convicted: frozenset[ReplicaId] = frozenset()
    """Whom the evidence convicts that honest replicas hold in the end."""
    calls: tuple[Call, ...] = ()
    """What clients asked and were answered."""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether no oracle objects."""
        return not self.violations

    @property
    def gravest(self) -> Violation | None:
        """The first violation, unless the evidence is wrong: with too many traitors forks must be, that must not."""
        wrong = (violation for violation in self.violations if violation.oracle == evidence.ORACLE)
        return next(wrong, next(iter(self.violations), None))


def run(plan: Plan, observer: Observer | None = None) -> Report:
    """Runs the plan to its end: faults, healing, and then as long as is allowed until all is answered and settled."""
    oracles = Oracles(plan)
    world = World(plan, oracles, observer)
    try:
        found, has_settled = _live(world, oracles)
        oracles.ended(world)
        found += [*judge_ledger(world, has_settled), *judge_evidence(world, is_forked=oracles.is_forked)]
    except Exception as error:  # noqa: BLE001  (whatever goes wrong in a run is what the run has found)
        found = [_defect(error)]
    for violation in found:
        oracles.object_to(world, violation)
    return _report(world, oracles)


def _live(world: World, oracles: Oracles) -> tuple[list[Violation], bool]:
    """Lets the run happen. Returns what took too long, and whether everybody has caught up."""
    plan = world.plan
    world.run(1_000 * plan.heal_at)
    promise.begin(world)
    bound_us = 1_000 * recovery_bound_ms(world)
    answered = False
    while not (answered or oracles.is_forked or _overdue(world, bound_us)):  # after a fork nobody need go on
        answered = world.run(world.now + bound_us // 4, lambda: _is_answered(world) or oracles.is_forked)
    target = max((host.height for host in world.up), default=Seq(0))
    settled = answered and world.run(world.now + bound_us, lambda: _is_settled(world, target))
    if oracles.is_forked:
        _let_them_compare(world)
    found = _overdue(world, bound_us)
    found += promise.check_kept(world)
    found += progress.check_views(oracles.entered, healed=plan.heal_at, group=world.genesis.group)
    if _is_calm(plan):
        found += progress.check_calm(oracles.entered)
    if answered and not settled:
        found.append(_unsettled(world, target))
    return found, settled


def _is_calm(plan: Plan) -> bool:
    """Whether there is nothing for which a correct replica would leave view 0: clocks agree as far as they must, and
    as many messages in a row as a request takes to be ordered fit into the time-out."""
    weather, settings = plan.weather, plan.settings
    is_disturbed = plan.traitors or plan.twins or plan.faults or plan.script or weather.loss or weather.bytes_per_ms
    is_prompt = progress.IN_A_ROW * promise.slowest_us(plan) <= 1_000 * settings.request_timeout_ms
    skew = max(plan.skew_ms, default=0) - min(plan.skew_ms, default=0)
    return not is_disturbed and is_prompt and skew <= settings.clock_skew_ms


def _let_them_compare(world: World) -> None:
    """After a fork: who halted is started again, as an operator would, and all have time to tell what they know."""
    for i in world.plan.honest:
        if world.hosts[i].running is None:
            world.start(world.hosts[i])
    for _ in range(COMPARISONS):
        if len(convicted_in(world)) >= world.genesis.group.weak_quorum:
            return
        world.run(world.now + 1_000 * world.plan.settings.idle_status_interval_ms)


def _report(world: World, oracles: Oracles) -> Report:
    world.retire()
    return Report(
        plan=world.plan,
        violations=tuple(dict.fromkeys(oracles.violations)),
        trace_hash=world.trace_hash,
        lasted_us=world.now,
        height=max((host.height for host in world.up), default=Seq(0)),
        views=max((entered.view for entered in oracles.entered if not entered.awaits), default=View(0)),
        is_forked=oracles.is_forked,
        convicted=frozenset(convicted_in(world)),
        calls=tuple(call for client in world.clients for call in client.calls),
        counts=world.counts,
    )


def _defect(error: Exception) -> Violation:
    """An assertion that does not hold, or any other error that should never leave an engine or a session."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
    return Violation("defect", f"{type(error).__name__} at {where}: {error}")


# ── progress ──


def _overdue(world: World, bound_us: int) -> list[Violation]:
    requests = [
        progress.Request(
            f"{call.kind} {call.key.decode()} of client {client.number}",
            call.since // 1_000,
            None if call.returned is None else call.returned // 1_000,
        )
        for client in world.clients
        for call in client.calls
    ]
    healed = world.plan.heal_at
    return progress.check_answered(requests, healed=healed, bound=bound_us // 1_000, now=world.now // 1_000)


def _is_answered(world: World) -> bool:
    """Asked before every event, hence no generator."""
    for client in world.clients:  # noqa: SIM110
        if not client.is_over:
            return False
    return True


def _is_settled(world: World, target: Seq) -> bool:
    """Whether all honest replicas run, and know everything to be final that clients know to be."""
    return len(world.up) == len(world.plan.honest) and all(
        host.height >= target and host.stable >= target for host in world.up
    )


def _unsettled(world: World, target: Seq) -> Violation:
    told = ", ".join(f"replica {host.id} at {host.height}, stable {host.stable}" for host in world.up)
    return Violation(progress.ORACLE, f"not all replicas reach block {target}: {told}")
