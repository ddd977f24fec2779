"""The oracles that watch a run as it goes on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.check import agreement, bounds, new_views, progress
from bftledger.check.duties import Duties
from bftledger.check.promises import Promises
from bftledger.check.violation import Violation
from bftledger.engine.engine import Engine
from bftledger.pbft import invariants
from bftledger.pbft.messages import Message, ViewChange
from bftledger.pbft.state import State
from bftledger.pbft.testimony import told_in
from bftledger.sim import limits
from bftledger.sim.desk_limits import desk_bounds
from bftledger.sim.host import Host
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Kind
from bftledger.sim.watch import Watch
from bftledger.sim.world import World, genesis_of

_NO_ROOT: Final = Digest(b"")
"""The header that is hashed holds the state root."""

MEASURED: Final = 8
"""What may grow is measured after one of so many rounds of each machine, and at last: it does not come and go."""


class Oracles(Watch):
    """Watches a run as it goes on: agreement, promises, durability before sending, invariants, bounds, view changes."""

    def __init__(self, plan: Plan) -> None:
        self._honest = frozenset(plan.honest)
        self._agreement = agreement.Agreement()
        self._promises = Promises()
        self._duties = Duties()
        group = genesis_of(plan.n, plan.real_keys, plan.max_payload_bytes).group
        is_borne = group.n - len(plan.honest) <= group.f
        self._patience = progress.Patience(plan.settings, group, plan.honest if is_borne else ())
        self._answers = limits.Answers()
        self._timed = limits.Timed()
        self._heights: Counter[ReplicaId] = Counter()
        self._views: dict[ReplicaId, tuple[View, bool]] = {}
        self._rounds: Counter[ReplicaId] = Counter()
        """Of each machine by itself: where four are in step, every eighth of all rounds is the same one's."""
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
        self._timed.begun(host.id)

    def ended_round(self, world: World, host: Host) -> None:
        """After each durable round."""
        assert host.running is not None, "its round has just ended"
        state = host.running.replica.state
        self._rounds[host.lane] += 1
        is_measured = self._rounds[host.lane] % MEASURED == 0
        try:
            invariants.check(state, with_pool=is_measured)
        except AssertionError as error:
            self.object_to(world, Violation("invariants", f"replica {host.id}: not true: {error}", None, (host.id,)))
        if host.id not in self._honest:
            return
        if is_measured:
            self._measure_all(world, host)
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
        if host.id in self._honest:
            assert host.running is not None, "it is about to send"
            alone = limits.to_one(sent, world.genesis.group.n - 1)
            read = [(to, message) for to, frame in alone if (message := world.door.read(frame)) is not None]
            self._measure(world, host, self._answers.add(host.id, host.running.replica.state, read))

    def ended(self, world: World) -> None:
        """The run is over. At no honest replica that runs somebody waits for what is there, for what will never be, or
        for a round that does not come."""
        for host in world.up:
            self._measure_all(world, host)
            if isinstance(host.running, Engine) and host.running.desk.is_behind:
                rounds = bounds.Bound("rounds that are needed and never come", int(not host.has_round), 0)
                self._measure(world, host, [rounds])

    def _measure_all(self, world: World, host: Host) -> None:
        """What may grow, between two rounds of an honest replica."""
        assert host.running is not None, "it runs"
        state = host.running.replica.state
        self._measure(world, host, bounds.state_bounds(state))
        self._measure(world, host, limits.disk_bounds(host.disk, state.settings))
        self._measure(world, host, self._timed.look(host.id, state))
        if isinstance(host.running, Engine):
            self._measure(world, host, desk_bounds(host.running.desk, state.settings))

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
