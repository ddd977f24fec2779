"""One replica of the protocol: `step` takes an event and returns effects. The only dispatcher.

Phases change the state and return effects; which phase an event belongs to, and what follows from what it found, is
decided here. There is no clock, no chance and no I/O: the same events give the same effects everywhere.
"""

from collections.abc import Iterable
from typing import assert_never

from bftledger.base.crypto import Signer
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId, View
from bftledger.base.transaction import Transaction
from bftledger.pbft import checkpoint, normal, recovery, status, suspicion, testimony, transfer, view_change, wire
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.effects import (
    Broadcast,
    Effect,
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

    `genesis_block`: the hash of block 0, 32 bytes. A replica with a store calls `recover` once, before the first step.
    """

    def __init__(
        self, me: ReplicaId, group: Group, signer: Signer, settings: Settings, *, genesis_block: Digest
    ) -> None:
        assert group.keys[me] == signer.public_key, "the signer is not this replica's"
        assert settings.window <= largest_window(group.n), "no view change would fit a frame"
        self.state = State(
            me=me,
            group=group,
            settings=settings,
            signer=signer,
            pool=Pool(settings, group.n),
            executed_hash=genesis_block,
            witness=Witness(settings.window),
        )
        self._found: list[Evidence] = []
        """What the records of the last run prove, unless it was known: to be announced at the start."""

    def recover(
        self,
        records: Iterable[wire.Record],
        *,
        executed: Seq,
        executed_hash: Digest,
        certificate: CheckpointCertificate | None,
        recent: Iterable[recovery.Recent] = (),
        evidence: Iterable[Evidence] = (),
    ) -> None:
        """Continues from what the store kept. See `recovery.recover`.

        `recent`: the newest blocks, `witness.SPAN` of them. `evidence`: what `Convict` was performed on.
        """
        kept = list(records)
        recovery.recover(self.state, kept, executed=executed, executed_hash=executed_hash, certificate=certificate)
        self._found = recovery.recollect(self.state, kept, recent, evidence)

    def last_words(self) -> tuple[Message, ...]:
        """What is still to be said to all when this replica must halt; it promises nothing."""
        return tuple(testimony.last_words(self.state))

    def relayed_in_vain(self, peer: ReplicaId, count: int) -> None:
        """So many transactions of a RELAY of `peer` were not among those of its event: none of them may be ordered."""
        self.state.wasted[peer] += count

    # ── the door's question ──

    def refusal(self, message: Message) -> Ignored | None:
        """Why `message` can change nothing now, so that its signatures need not be checked; None if it might.

        What would convict its sender is wanted though it changes nothing else. Changes nothing itself: the message is
        not authentic yet.
        """
        if message.replica == self.state.me:
            return Ignored.OWN
        reason = self._refusal(message)
        return None if reason is not None and self._is_telling(message) else reason

    def refusal_of(self, peer: ReplicaId, message: Message, size: int) -> Ignored | None:
        """`refusal` of a frame of `size` bytes that `peer` hands over; what matters only for guilt is rationed."""
        if message.replica == self.state.me:
            return Ignored.OWN
        reason = self._refusal(message)
        if reason is not None and not self._is_telling(message):
            return reason
        if reason is None and not isinstance(message, Testimony):
            return None
        if testimony.is_heard_enough(self.state, peer):
            return Ignored.HEARD_ENOUGH
        self.state.heard[peer] += size
        return None

    def _is_telling(self, message: Message) -> bool:
        state = self.state
        is_news = isinstance(message, Prepare | Commit) and testimony.is_news(state, message)
        return is_news or state.witness.would_convict(message)

    def _refusal(self, message: Message) -> Ignored | None:
        state = self.state
        if message.replica == state.me:
            return Ignored.OWN
        match message:
            case PrePrepare():
                return normal.refusal(state, message)
            case Prepare():
                return normal.prepare_refusal(state, message)
            case Commit():
                return normal.commit_refusal(state, message)
            case Checkpoint():
                return checkpoint.refusal(state, message)
            case ViewChange():
                return view_change.change_refusal(state, message)
            case NewView():
                return view_change.new_view_refusal(state, message)
            case Stable():
                return None if message.certificate.seq > state.low else Ignored.BELOW_WATERMARK
            case Proposed():
                return transfer.proposed_refusal(state, message)
            case Blocks():
                return transfer.blocks_refusal(state, message)
            case Status():
                return status.refusal(state, message)
            case Relay():
                return suspicion.relay_refusal(state, message)
            case Testimony() | FetchProposal() | FetchBlocks():
                return None
            case _:
                assert_never(message)

    # ── the step ──

    def step(self, event: Event, now: Millis) -> tuple[Effect, ...]:
        """What is to be done because of `event`. `now`: this replica's clock, milliseconds since the epoch."""
        found = self._on_event(event, now)
        effects: list[Effect] = [Ignore(found)] if isinstance(found, Ignored) else found
        effects += self._begin_view()
        effects += self._accept_announced()
        effects += normal.deliver(self.state)
        effects += normal.propose(self.state, now)
        effects += transfer.follow(self.state)
        if not isinstance(event, Withdrawn):  # else a pool full of such would be passed on and withdrawn in one go
            effects += suspicion.pass_on(self.state)
        effects += suspicion.watch_oldest(self.state)
        effects += status.hasten(self.state)
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
                return self._on_timer(timer, now)
            case Delivered(seq, block_hash, transactions):
                return self._on_delivered(seq, block_hash, transactions)
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
        reason = self._refusal(message)
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
            case PrePrepare():
                return self._on_pre_prepare(message, now)
            case Prepare():
                return normal.on_prepare(state, message)
            case Commit():
                return normal.on_commit(state, message)
            case Checkpoint():
                return checkpoint.on_checkpoint(state, message)
            case ViewChange():
                return self._on_view_change(message)
            case NewView():
                return self._on_new_view(message)
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
                return self._leave_for(View(state.view + 1)) if is_exposed else []
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
        found = [(tx, self.state.pool.admit(tx)) for tx in transactions]
        return [Refuse(tx.id, reason) for tx, reason in found if reason in (Ignored.POOL_FULL, Ignored.SHARE_USED)]

    def _on_pre_prepare(self, message: PrePrepare, now: Millis) -> list[Effect] | Ignored:
        state = self.state
        if normal.is_conflict(state, message):
            return self._leave_for(View(state.view + 1))  # proof that the primary is faulty needs no timer
        slot = state.slots.get(message.seq)
        proposal = message.proposal or (slot.proposals.get(message.digest) if slot else None)
        if proposal is None:
            return Ignored.NO_PROPOSAL
        if not (slot and slot.announced) and not normal.is_timely(state, proposal, now):
            return Ignored.BAD_TIME
        return normal.accept(state, message, proposal)

    def _on_delivered(self, seq: Seq, block_hash: Digest, transactions: tuple[TxId, ...]) -> list[Effect]:
        state = self.state
        state.delivering = False
        slot = state.slots[seq]
        state.pool.settle(transactions)
        if slot.pre_prepare and slot.pre_prepare.proposal:
            suspicion.on_work(state, suspicion.work(slot.pre_prepare.proposal, state.settings))
            if transactions:
                state.failed_views = 0
        return checkpoint.on_executed(state, seq, block_hash)

    def _on_installed(self, event: Installed) -> list[Effect]:
        state = self.state
        state.pool.settle(event.transactions)
        effects: list[Effect] = [Persist(event.certificate)]
        effects += checkpoint.adopt(state, event.certificate)
        effects += checkpoint.on_executed(state, event.seq, event.block_hash)
        return effects + transfer.after_install(state)

    def _on_view_change(self, message: ViewChange) -> list[Effect]:
        state = self.state
        effects = view_change.on_view_change(state, message)
        if message.stable is not None:
            effects += checkpoint.adopt(state, message.stable)
        joined = view_change.view_to_join(state)
        return effects + (transfer.fetch_named(state, message) if joined is None else self._leave_for(joined))

    def _leave_for(self, view: View) -> list[Effect]:
        return view_change.start(self.state, view) + transfer.fetch_proposals(self.state)

    def _begin_view(self) -> list[Effect]:
        message = view_change.make_new_view(self.state)
        if message is None:
            return []
        return [*testimony.hear(self.state, message), *self._enter(message), Broadcast(message)]

    def _on_new_view(self, message: NewView) -> list[Effect] | Ignored:
        if not view_change.follows(message):
            return Ignored.WRONG_NEW_VIEW
        return self._enter(message)

    def _enter(self, message: NewView) -> list[Effect]:
        effects: list[Effect] = []
        stable, _ = view_change.re_proposals(message.view_changes)
        if stable is not None:
            effects += checkpoint.adopt(self.state, stable)
        effects += view_change.enter(self.state, message)
        effects += self._accept_announced()
        return effects + transfer.fetch_proposals(self.state)

    def _accept_announced(self) -> list[Effect]:
        effects: list[Effect] = []
        for pre_prepare, proposal in transfer.announced_with_proposal(self.state):
            effects += normal.accept(self.state, pre_prepare, proposal)
        return effects

    # ── timers ──

    def _on_timer(self, timer: Timer, now: Millis) -> list[Effect] | Ignored:
        state = self.state
        match timer:
            case StatusTimer():
                effects = status.on_tick(state)
                if suspicion.is_slow(state, now):
                    return effects + self._leave_for(View(state.view + 1))
                return effects + suspicion.share_overdue(state)
            case BatchTimer(view):
                if view != state.view:
                    return Ignored.STALE_TIMER
                state.batch_timer_runs, state.batch_due = False, True
                return []
            case NewViewTimer(view):
                if view != state.view or state.active:
                    return Ignored.STALE_TIMER
                return self._leave_for(View(view + 1))
            case RequestTimer(view, subject, relayed):
                if state.watched != (view, subject):
                    return Ignored.STALE_TIMER
                if relayed and suspicion.is_stalled(state, now):
                    return self._leave_for(View(view + 1))
                state.cut_off = state.cut_off or (relayed and state.alone)
                return suspicion.go_on_watching(state, timer)
            case _:
                assert_never(timer)
