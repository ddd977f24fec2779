"""One replica of the protocol: `step` takes an event and returns effects. The only dispatcher.

Phases change the state and return effects; which phase an event belongs to, and what follows from what it found, is
decided here. There is no clock, no chance and no I/O: the same events give the same effects everywhere.
"""

from collections.abc import Iterable
from typing import assert_never

from bftledger.base.crypto import Signer
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.pbft import checkpoint, early, normal, recovery, relevance, status, suspicion, testimony, transfer, views
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.effects import (
    Effect,
    Halt,
    Ignore,
    Ignored,
    Persist,
    Refuse,
)
from bftledger.pbft.events import (
    BlocksRead,
    Delivered,
    Event,
    Installed,
    InstallFailed,
    Received,
    Started,
    Submitted,
    TimerFired,
    Withdrawn,
)
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    FetchBlocks,
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Proposed,
    Record,
    Relay,
    Stable,
    Status,
    Testimony,
    ViewChange,
)
from bftledger.pbft.pool import Pool
from bftledger.pbft.settings import Settings
from bftledger.pbft.state import State
from bftledger.pbft.timers import BatchTimer, NewViewTimer, RequestTimer, StatusTimer, Timer
from bftledger.pbft.witness import Witness


class Replica:
    """A deterministic PBFT replica.

    `genesis_block`: the hash of block 0, 32 bytes. `ahead_ms`: a transaction may be created so long after its clock,
    and all other honest replicas take it. A replica with a store calls `recover` once, before the first step.
    """

    def __init__(
        self,
        me: ReplicaId,
        group: Group,
        signer: Signer,
        settings: Settings,
        *,
        genesis_block: Digest,
        ahead_ms: Millis = Millis(0),
    ) -> None:
        assert group.keys[me] == signer.public_key, "the signer is not this replica's"
        assert settings.window <= largest_window(group.n), "no view change would fit a frame"
        self.state = State(
            me=me,
            group=group,
            settings=settings,
            signer=signer,
            pool=Pool(settings, group.n),
            ahead_ms=ahead_ms,
            executed_hash=genesis_block,
            witness=Witness(settings.window),
        )
        self._found: list[Evidence] = []
        """What the records of the last run prove, unless it was known: to be announced at the start."""

    def recover(
        self,
        records: Iterable[Record],
        *,
        executed: Seq,
        executed_hash: Digest,
        certificate: CheckpointCertificate | None,
        recent: Iterable[recovery.Recent] = (),
        evidence: Iterable[Evidence] = (),
    ) -> None:
        """Continues from what the store kept. See `recovery.recover`.

        `recent`: the newest blocks, `memory.SPAN` of them. `evidence`: what `Convict` was performed on.
        """
        kept = list(records)
        recovery.recover(self.state, kept, executed=executed, executed_hash=executed_hash, certificate=certificate)
        self._found = recovery.recollect(self.state, kept, recent, evidence)
        if kept or executed:
            self.state.pool.passing.restarted()

    def last_words(self) -> tuple[Message, ...]:
        """What is still to be said to all when this replica must halt; it promises nothing."""
        return tuple(testimony.last_words(self.state))

    def relayed_in_vain(self, peer: ReplicaId, count: int) -> None:
        """So many transactions of a RELAY of `peer` were not among those of its event: none of them may be ordered."""
        self.state.wasted[peer] += count

    # ── the door's question ──

    def refusal(self, message: Message) -> Ignored | None:
        """Why `message` can change nothing now, None if it might: see `relevance.refusal`."""
        return relevance.refusal(self.state, message)

    def refusal_of(self, peer: ReplicaId, message: Message, size: int) -> Ignored | None:
        """The same of a frame of `size` bytes that `peer` hands over: see `relevance.refusal_of`."""
        return relevance.refusal_of(self.state, peer, message, size)

    # ── the step ──

    def step(self, event: Event, now: Millis) -> tuple[Effect, ...]:
        """What is to be done because of `event`. `now`: this replica's clock, milliseconds since the epoch."""
        self.state.now = now
        found = self._on_event(event, now)
        effects: list[Effect] = [Ignore(found)] if isinstance(found, Ignored) else found
        state = self.state
        if not state.active:
            effects += views.begin(state)
        if state.new_view is not None:
            effects += views.accept_announced(state)
        if state.early:
            effects += self._take_early(now)
        effects += normal.deliver(state)
        effects += normal.propose(state, now)
        effects += transfer.follow(state)
        if state.asked_early:
            effects += transfer.answer_early(state)
        if not isinstance(event, Withdrawn):  # else a pool full of such would be passed on and withdrawn in one go
            effects += suspicion.pass_on(state)
        effects += suspicion.watch_oldest(state)
        effects += status.hasten(state)
        return tuple(effects)

    def _on_event(self, event: Event, now: Millis) -> list[Effect] | Ignored:
        state = self.state
        match event:
            case Received(message):
                return self._on_received(message, now)
            case Submitted(transactions):
                return self._on_submitted(transactions)
            case Withdrawn(transactions):
                state.pool.settle(transactions)
                return []
            case TimerFired(timer):
                return self._on_timer(timer)
            case Delivered():
                return self._on_delivered(event)
            case Installed():
                return self._on_installed(event)
            case InstallFailed():
                return transfer.fetch_blocks(state)
            case BlocksRead():
                return transfer.on_blocks_read(state, event)
            case Started():
                found, self._found = self._found, []
                return testimony.announce(state, found) + status.on_tick(state)
            case _:
                assert_never(event)

    def _on_received(self, message: Message, now: Millis) -> list[Effect]:
        state = self.state
        self._hear(message)
        reason = relevance.of_phase(state, message)
        effects = testimony.hear(state, message) if reason is not Ignored.OWN else []
        match message:
            case Prepare() | Commit():
                effects += testimony.contest(state, message)
            case Checkpoint():
                effects += testimony.contest_block(state, message)
            case _:
                pass
        found = reason or self._on_message(message, now)
        return effects + ([Ignore(found)] if isinstance(found, Ignored) else found)

    def _on_message(self, message: Message, now: Millis) -> list[Effect] | Ignored:
        state = self.state
        match message:
            case PrePrepare() | Prepare() | Commit() if early.is_early(state, message):
                early.keep(state, message)
                return []
            case PrePrepare():
                return self._on_pre_prepare(message, now)
            case Prepare():
                return normal.on_prepare(state, message)
            case Commit():
                return normal.on_commit(state, message)
            case Checkpoint():
                return checkpoint.on_checkpoint(state, message)
            case ViewChange():
                return views.on_view_change(state, message)
            case NewView():
                return views.on_new_view(state, message)
            case Status():
                return status.on_status(state, message)
            case Relay():
                return suspicion.on_relay(state, message)
            case Stable():
                return checkpoint.adopt(state, message.certificate)
            case FetchProposal():
                return transfer.on_fetch_proposal(state, message)
            case Proposed():
                slot = state.slot(message.seq)
                if slot.announced is not None:
                    return normal.accept(state, slot.announced, message.proposal)
                state.remember(slot, message.proposal)
                return []
            case FetchBlocks():
                return transfer.on_fetch_blocks(state, message)
            case Blocks():
                return transfer.on_blocks(state, message)
            case Testimony():
                is_exposed = state.active and testimony.exposes_primary(state, message)
                return views.leave_for(state, View(state.view + 1)) if is_exposed else []
            case _:
                assert_never(message)

    def _hear(self, message: Message) -> None:
        """After a restart, and after a time alone, the primary has the whole time from when a quorum is there again.

        Who accused it before would leave its view alone, and be of no use there until the others leave it, too.
        """
        state = self.state
        if isinstance(message, NewView):
            return  # anyone may have passed it on
        state.unheard.discard(message.replica)
        if state.cut_off and not state.alone:
            state.cut_off, state.watched = False, None

    # ── what each event leads to ──

    def _on_submitted(self, transactions: tuple[Transaction, ...]) -> list[Effect]:
        admit = self.state.pool.admit
        found = ((tx, admit(tx)) for tx in transactions)
        return [Refuse(tx.id, reason) for tx, reason in found if reason not in (None, Ignored.DUPLICATE)]

    def _on_pre_prepare(self, message: PrePrepare, now: Millis) -> list[Effect] | Ignored:
        state = self.state
        if normal.is_conflict(state, message):
            return views.leave_for(state, View(state.view + 1))  # proof that the primary is faulty needs no timer
        slot = state.slots.get(message.seq)
        proposal = message.proposal or (slot.proposals.get(message.digest) if slot else None)
        if proposal is None:
            return Ignored.NO_PROPOSAL
        if not (slot and slot.announced) and not normal.is_timely(state, proposal, now):
            return Ignored.BAD_TIME
        return normal.accept(state, message, proposal)

    def _take_early(self, now: Millis) -> list[Effect]:
        """Perhaps a view has begun for which something was kept: that is judged as if it came now.

        The primary may turn out to be faulty by that; then what was kept for the next view may be due, too.
        """
        state, effects = self.state, list[Effect]()
        while taken := early.take(state):
            for message in taken:
                found = relevance.of_phase(state, message) or self._on_message(message, now)
                effects += [Ignore(found)] if isinstance(found, Ignored) else found
            for message in taken:  # when all is in the log
                if not isinstance(message, PrePrepare):
                    effects += testimony.contest(state, message)
        return effects

    def _on_delivered(self, event: Delivered) -> list[Effect]:
        state, seq, transactions = self.state, event.seq, event.transactions
        state.delivering = False
        slot = state.slots[seq]
        state.pool.settle(transactions)
        if slot.pre_prepare and (proposal := slot.pre_prepare.proposal):
            suspicion.on_work(state, seq, event.load)
            if len(transactions) < len(proposal.transactions):
                state.pool.take_back(proposal.transactions)
            if event.load.number:
                state.failed_views = 0
        effects = checkpoint.on_executed(state, seq, event.block_hash)
        if suspicion.is_late(state) and not any(isinstance(effect, Halt) for effect in effects):
            effects += self._judge()
        return effects

    def _on_installed(self, event: Installed) -> list[Effect]:
        state = self.state
        suspicion.on_settled_by_fetching(state, event.seq, event.transactions)
        state.pool.settle(event.transactions)
        suspicion.on_fetched(state, Seq(event.seq - len(event.loads) + 1), event.loads)
        effects: list[Effect] = [Persist(event.certificate)]
        effects += checkpoint.adopt(state, event.certificate)
        effects += checkpoint.on_executed(state, event.seq, event.block_hash)
        return effects + transfer.after_install(state)

    # ── timers ──

    def _on_timer(self, timer: Timer) -> list[Effect] | Ignored:
        state = self.state
        match timer:
            case StatusTimer():
                state.unjudged = True
                return status.on_tick(state) + self._judge()
            case BatchTimer(view):
                if view != state.view:
                    return Ignored.STALE_TIMER
                state.batch_timer_runs, state.batch_due = False, True
                return []
            case NewViewTimer(view):
                if view != state.view or state.active:
                    return Ignored.STALE_TIMER
                return views.leave_for(state, View(view + 1))
            case RequestTimer(view, subject, relayed):
                if state.watched != (view, subject):
                    return Ignored.STALE_TIMER
                if relayed and suspicion.is_stalled(state):
                    return views.leave_for(state, View(view + 1))
                is_late = relayed and state.lagging and not suspicion.works_off(state)
                state.overdue = state.watched if is_late else None
                state.cut_off = state.cut_off or (relayed and state.alone)
                return suspicion.go_on_watching(state, timer)
            case _:
                assert_never(timer)

    def _judge(self) -> list[Effect]:
        """Judges the primary at a tick; or later, when this replica has executed a block that was decided here, if it
        lagged then. See `suspicion.is_late`."""
        state = self.state
        state.pace.keep(state.pool.__contains__)
        if state.lagging:
            return []
        overdue, state.overdue = state.overdue, None
        is_tick, state.unjudged = state.unjudged, False
        if overdue is not None and overdue == (state.view, state.waits_longest) and suspicion.is_stalled(state):
            return views.leave_for(state, View(state.view + 1))
        if not is_tick:
            return []
        if suspicion.is_slow(state) or suspicion.is_slower_than_agreement(state):
            return views.leave_for(state, View(state.view + 1))
        return suspicion.share_overdue(state)
