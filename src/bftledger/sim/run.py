"""One run of a plan with all oracles watching, and what they say in the end."""

import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bftledger.adversary.behaviour import TICK_MS
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.check import (
    agreement,
    bounds,
    durability,
    evidence,
    expiry,
    fates,
    integrity,
    linearizability,
    new_views,
    progress,
    witness,
)
from bftledger.check.durability import Held
from bftledger.check.duties import Duties
from bftledger.check.promises import Promises
from bftledger.check.violation import Violation, Who
from bftledger.engine.engine import Engine
from bftledger.ledger.asking import Timing
from bftledger.pbft import invariants, suspicion
from bftledger.pbft.evidence import verify_evidence
from bftledger.pbft.messages import Message, ViewChange
from bftledger.pbft.rooms import room_out
from bftledger.pbft.state import State
from bftledger.pbft.testimony import told_in
from bftledger.pbft.turns import least_cost
from bftledger.sim import limits
from bftledger.sim.calls import Call
from bftledger.sim.history import (
    acknowledgements,
    expirations,
    ledger_of,
    ledger_operations,
    operations,
    places,
    tellings,
)
from bftledger.sim.host import Host
from bftledger.sim.laden import CENSOR
from bftledger.sim.plan import Jump, Plan
from bftledger.sim.recording import Kind, Observer
from bftledger.sim.watch import Watch
from bftledger.sim.world import World, genesis_of

_NO_ROOT: Final = Digest(b"")
"""The header that is hashed holds the state root."""

COMPARISONS: Final = 5
"""After a fork there are so many status intervals of idle replicas for them to find out who is guilty."""

AHEAD_MS: Final = 1_000
"""Blocks are at least 1 ms apart: many of them in a row may be so far ahead of all clocks together."""

OVERHEAD_BYTES: Final = 1_024
"""A client's transaction has no more than so many bytes beside its value."""

BATCH_MS: Final = 2 * TICK_MS
"""A traitor that orders full batches of its own has one decided at every tick of its own, or at every second one."""

MEASURED: Final = 8
"""What may grow is measured after one of so many rounds: it does not come and go."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run. `lasted_us`: virtual time. `counts`: what happened how often. `trace_hash`: of all sent."""

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


class Oracles(Watch):
    """Watches a run as it goes on: agreement, promises, durability before sending, invariants, bounds, view changes."""

    def __init__(self, plan: Plan) -> None:
        self._honest = frozenset(plan.honest)
        self._agreement = agreement.Agreement()
        self._promises = Promises()
        self._duties = Duties()
        group = genesis_of(plan.n, plan.real_keys).group
        is_borne = group.n - len(plan.honest) <= group.f
        self._patience = progress.Patience(plan.settings, group, plan.honest if is_borne else ())
        self._answers = limits.Answers()
        self._heights: Counter[ReplicaId] = Counter()
        self._views: dict[ReplicaId, tuple[View, bool]] = {}
        self._rounds = 0
        self.entered: list[progress.Entered] = []
        self.violations: list[Violation] = []

    @property
    def is_forked(self) -> bool:
        """Whether honest replicas executed different blocks at one height."""
        return any(violation.oracle == agreement.ORACLE for violation in self.violations)

    def begun(self, world: World, host: Host) -> None:
        """Its views are counted anew from what it recovered."""
        assert host.running is not None, "it has just started"
        state = host.running.replica.state
        self._views[host.id] = (state.view, state.active)
        if host.id in self._honest:
            self._duties.began(state)
            self._patience.began(host.id, state.view)
        self._answers.begun(host.id)

    def ended_round(self, world: World, host: Host) -> None:
        """After each durable round."""
        assert host.running is not None, "its round has just ended"
        state = host.running.replica.state
        self._rounds += 1
        is_measured = self._rounds % MEASURED == 0
        try:
            invariants.check(state, with_pool=is_measured)
        except AssertionError as error:
            self.object_to(world, Violation("invariants", f"replica {host.id}: not true: {error}", None, (host.id,)))
        if host.id not in self._honest:
            return
        if is_measured:
            self._measure(world, host, bounds.state_bounds(state))
            self._measure(world, host, limits.disk_bounds(host.disk, state.settings))
            if isinstance(host.running, Engine):
                self._measure(world, host, limits.read_bounds(host.running.desk.reads))
        for violation in self._duties.ended_round(state):
            self.object_to(world, violation)
        self._note_view(world, host.id, state)
        height = host.running.ledger.tip.height
        for number in range(self._heights[host.id] + 1, height + 1):
            block_hash = host.disk.block_hash(Seq(number))
            assert block_hash is not None, "what is executed is stored"
            for violation in self._agreement.add(host.id, number, block_hash, _NO_ROOT):
                self.object_to(world, violation)
        if height > self._heights[host.id]:
            self._patience.executed(host.id, world.now // 1_000)
        self._heights[host.id] = height

    def sends(self, world: World, host: Host, sent: Sequence[tuple[ReplicaId, bytes]]) -> None:
        """After each durable round, before what it says leaves."""
        alone = list(limits.to_one(sent, world.genesis.group.n - 1))
        if alone and host.id in self._honest:
            assert host.running is not None, "it is about to send"
            read = [(to, message) for to, frame in alone if (message := world.door.read(frame)) is not None]
            self._measure(world, host, self._answers.add(host.id, host.running.replica.state, read))

    def _measure(self, world: World, host: Host, found: Iterable[bounds.Bound]) -> None:
        for violation in bounds.exceeded(found, f"replica {host.id}"):
            self.object_to(world, violation)

    def _note_view(self, world: World, replica: ReplicaId, state: State) -> None:
        view, active = state.view, state.active
        if self._views.get(replica) == (view, active):
            return
        self._views[replica] = (view, active)
        self.entered.append(progress.Entered(world.now // 1_000, view, awaits=not active))
        if active:
            self._patience.entered(replica, view)
        if state.new_view is not None:
            for violation in new_views.check_new_view(replica, state.new_view, state.group):
                self.object_to(world, violation)

    def said(self, world: World, host: Host, message: Message) -> None:
        """Before the message of a machine leaves that is no traitor's."""
        if message.replica != host.id or host.id not in self._honest:
            return  # a NEW-VIEW that it passes on, or a twin, who knows nothing of what the other one said
        self._duties.said(message)
        for violation in self._promises.add(message):
            self.object_to(world, violation)
        if isinstance(message, ViewChange):
            for violation in self._patience.left_for(host.id, message.view, world.now // 1_000):
                self.object_to(world, violation)
        for said in (message, *told_in(message)):
            if said.replica == host.id and not host.disk.has_promised(said):
                what = f"replica {host.id} sent {type(said).__name__} before it was durable"
                self.object_to(world, Violation("promises", what, None, (host.id,)))

    def halted(self, world: World, host: Host, reason: str) -> None:
        """An honest replica of an honest quorum has no reason to."""
        if host.id in self._honest:
            self.object_to(world, Violation("halted", f"replica {host.id} halted: {reason}", None, (host.id,)))

    def object_to(self, world: World, violation: Violation) -> None:
        """An oracle has something to say."""
        self.violations.append(violation)
        world.tell(Kind.VIOLATION, str(violation))


def run(plan: Plan, observer: Observer | None = None) -> Report:
    """Runs the plan to its end: faults, healing, and then as long as is allowed until all is answered and settled."""
    oracles = Oracles(plan)
    world = World(plan, oracles, observer)
    try:
        found, has_settled = _live(world, oracles)
        found += [*_judge_ledger(world, has_settled), *_judge_evidence(world, oracles)]
    except Exception as error:  # noqa: BLE001  (whatever goes wrong in a run is what the run has found)
        found = [_defect(error)]
    for violation in found:
        oracles.object_to(world, violation)
    return _report(world, oracles)


def _live(world: World, oracles: Oracles) -> tuple[list[Violation], bool]:
    """Lets the run happen. Returns what took too long, and whether everybody has caught up."""
    plan = world.plan
    world.run(1_000 * plan.heal_at)
    bound_us = 1_000 * _recovery_bound_ms(world)
    answered = False
    while not (answered or oracles.is_forked or _overdue(world, bound_us)):  # after a fork nobody need go on
        answered = world.run(world.now + bound_us // 4, lambda: _is_answered(world) or oracles.is_forked)
    target = max((host.height for host in world.up), default=Seq(0))
    settled = answered and world.run(world.now + bound_us, lambda: _is_settled(world, target))
    if oracles.is_forked:
        _let_them_compare(world)
    found = _overdue(world, bound_us)
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
    is_prompt = progress.IN_A_ROW * (weather.delay_us + weather.jitter_us) <= 1_000 * settings.request_timeout_ms
    skew = max(plan.skew_ms, default=0) - min(plan.skew_ms, default=0)
    return not is_disturbed and is_prompt and skew <= settings.clock_skew_ms


def _let_them_compare(world: World) -> None:
    """After a fork: who halted is started again, as an operator would, and all have time to tell what they know."""
    for i in world.plan.honest:
        if world.hosts[i].running is None:
            world.start(world.hosts[i])
    for _ in range(COMPARISONS):
        if len(_convicted(world)) >= world.genesis.group.weak_quorum:
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
        convicted=frozenset(_convicted(world)),
        calls=tuple(call for client in world.clients for call in client.calls),
        counts=world.counts,
    )


def _defect(error: Exception) -> Violation:
    """An assertion that does not hold, or any other error that should never leave an engine or a session."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
    return Violation("defect", f"{type(error).__name__} at {where}: {error}")


def _recovery_bound_ms(world: World) -> Millis:
    """So long after the healing, or after its call if that is later, every client has its answer."""
    states = [host.running.replica.state for host in world.up if host.running]
    failed = max((state.failed_views for state in states), default=0)
    weather, settings = world.plan.weather, world.plan.settings
    return progress.recovery_bound_ms(
        settings,
        world.genesis.group,
        Timing(),
        failed_views=failed,
        delay_ms=(weather.delay_us + weather.jitter_us) // 1_000,
        busy_ms=_busy_ms(world, states),
    )


def _busy_ms(world: World, states: Sequence[State]) -> Millis:
    """How long a traitor may order batches of its own before what anybody passes on, if one has so many to order."""
    plan, settings = world.plan, world.plan.settings
    if CENSOR not in {name for names in plan.traitors.values() for name in names}:
        return Millis(0)
    work = plan.work
    each = least_cost(settings) + work.payload_bytes + OVERHEAD_BYTES
    at_once = min(work.clients * work.operations, max(1, 2 * room_out(settings, plan.n).max_count))
    most = max(suspicion.patience(state, at_once * each) for state in states)
    return Millis(BATCH_MS * -(-most // settings.batch_bytes))


def _convicted(world: World) -> set[ReplicaId]:
    """Whom the evidence convicts that honest replicas hold; each piece is checked as anybody would check it."""
    held = {data for i in world.plan.honest for _, _, data in world.hosts[i].disk.evidence()}
    return {verify_evidence(data, world.genesis.group, world.keys.verifier).replica for data in held}


def _judge_evidence(world: World, oracles: Oracles) -> list[Violation]:
    return evidence.check_convicted(
        _convicted(world), honest=world.plan.honest, group=world.genesis.group, is_forked=oracles.is_forked
    )


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


# ── the ledger and its clients ──


def _judge_ledger(world: World, has_settled: bool) -> list[Violation]:
    calls = [call for client in world.clients for call in client.calls]
    genesis, honest = world.genesis, world.plan.honest
    ledgers: dict[Who, list[Held]] = {i: ledger_of(world.hosts[i].disk, world.genesis_block) for i in honest}
    longest = world.hosts[max(honest, key=lambda i: (world.hosts[i].height, -i))]
    acknowledged = durability.Durability()
    found: list[Violation] = []
    for acknowledgement in acknowledgements(world.clients):
        found += acknowledged.add(acknowledgement)
    found += acknowledged.violations(ledgers, _holders(world, has_settled))
    blocks = [rows.block for rows in longest.disk.rows()]
    found += integrity.check_chain(longest.id, blocks, genesis, world.machine, world.keys.verifier)
    found += expiry.check_expired(expirations(world.clients), ahead=_clocks_ahead_ms(world.plan))
    found += fates.check_fates(tellings(world.clients), places(longest.disk))
    history = operations(calls)
    found += linearizability.check_history(history)
    found += witness.check_witness(history, ledger_operations(longest.disk, genesis.genesis_hash))
    return found


def _holders(world: World, has_settled: bool) -> int:
    """So many honest replicas have what a client holds a receipt for: all of them when everybody has caught up, else
    as many as there are in every quorum; one at least, however few are honest."""
    group, honest = world.genesis.group, world.plan.honest
    return len(honest) if has_settled else max(1, group.quorum - (group.n - len(honest)))


def _clocks_ahead_ms(plan: Plan) -> int:
    """By so much the time of a block may be ahead at most: the fastest clock of a run, and what that lets pass."""
    jumps = sum(max(0, fault.by_ms) for fault in plan.faults if isinstance(fault, Jump))
    return max((0, *plan.skew_ms)) + jumps + plan.settings.clock_skew_ms + AHEAD_MS
