"""Normal-case operation: pre-prepare, prepare, commit (OSDI'99 §4.2).

Differs from the paper: a proposal carries a batch (as in TOCS'02) and the primary's time,
which a backup compares with its own clock; a backup accepts a pre-prepare only together with its proposal, so that
whoever sent PREPARE can hand the proposal to others; a primary that signs two proposals for one slot is left at once.
"""

from dataclasses import replace
from typing import Final

from bftledger.base.ids import Millis, Seq
from bftledger.base.transaction import Transaction
from bftledger.pbft import checkpoint, early, suspicion, wire
from bftledger.pbft.effects import Broadcast, Deliver, Effect, Ignored, Persist, Remember, StartTimer, StopTimer
from bftledger.pbft.messages import Commit, Prepare, PreparedCertificate, PrePrepare, Proposal, Testimony
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.state import Slot, State
from bftledger.pbft.timers import BatchTimer

Vote = Prepare | Commit
BATCH_ENOUGH: Final = 1
"""With so many proposals in flight a primary gathers a full batch before it sends another."""


# ── the primary ──


def propose(state: State, now: Millis) -> list[Effect]:
    """§4.2: "When the primary receives a client request, it starts a three-phase protocol".

    At once when nothing is in flight; else when a batch is full or has waited `batch_wait_ms`.
    """
    effects: list[Effect] = []
    if not (state.pool.waiting or state.batch_due or state.batch_timer_runs) or not state.is_primary:
        return effects
    while state.pool.waiting and state.next_seq <= state.high:
        in_flight = state.next_seq - 1 - state.executed
        if in_flight >= state.settings.pipeline:
            break
        if in_flight >= BATCH_ENOUGH and not state.pool.waiting.fills_batch and not state.batch_due:
            if not state.batch_timer_runs:
                state.batch_timer_runs = True
                effects.append(StartTimer(BatchTimer(state.view), state.settings.batch_wait_ms))
            return effects
        state.batch_due = False
        batch = _batch(state, now, in_flight)
        if not batch:
            break
        proposal = make_proposal(now, batch)
        pre_prepare = state.sign(
            PrePrepare(
                view=state.view,
                seq=state.next_seq,
                digest=proposal.digest,
                replica=state.me,
                signature=wire.UNSIGNED,
                proposal=proposal,
            )
        )
        state.next_seq = Seq(state.next_seq + 1)
        effects += accept(state, pre_prepare, proposal)
        effects.append(Broadcast(pre_prepare))
    state.batch_due = False
    if state.batch_timer_runs:
        state.batch_timer_runs = False
        effects.append(StopTimer(BatchTimer))
    return effects


def _batch(state: State, now: Millis, in_flight: int) -> tuple[Transaction, ...]:
    """What the next proposal contains; nothing if only a block is needed, and one is in flight.

    What has expired is not proposed, since the block would leave it out: it would be no work, and whoever fills batches
    with such makes an honest primary look idle. The next block settles it; if nothing else waits, that has to be made.
    """
    waiting = state.pool.waiting
    return waiting.batch(now) or (() if in_flight else waiting.expired())


# ── PRE-PREPARE ──


def refusal(state: State, message: PrePrepare) -> Ignored | None:
    """Why a backup would neither accept nor keep this pre-prepare, whatever its proposal; None if it might (§4.2)."""
    if message.replica != state.group.primary(message.view):
        return Ignored.NOT_PRIMARY
    if message.replica == state.me:
        return Ignored.OWN
    if early.is_early(state, message):
        return early.refusal(state, message)
    if reason := vote_refusal(state, message):
        return reason
    slot = state.slots.get(message.seq)
    if slot and slot.pre_prepare and slot.pre_prepare.digest == message.digest:
        return Ignored.DUPLICATE
    return None


def is_conflict(state: State, message: PrePrepare) -> bool:
    """Whether the primary signed two proposals for one slot.

    §4.2: a backup accepts unless "it has … accepted a pre-prepare message for view v and sequence number n
    containing a different digest".
    """
    slot = state.slots.get(message.seq)
    held = (slot.pre_prepare or slot.announced) if slot else None
    return held is not None and held.digest != message.digest


def is_timely(state: State, proposal: Proposal, now: Millis) -> bool:
    """Whether the proposal's time agrees with this clock (milliseconds since the epoch).

    It may be older than newer, because a proposal that was lost and sent again keeps its time.
    """
    skew = state.settings.clock_skew_ms
    return now - skew - state.settings.timeout_cap_ms <= proposal.time <= now + skew


def accept(state: State, pre_prepare: PrePrepare, proposal: Proposal) -> list[Effect]:
    """Enters the pre-prepare and its proposal into the log; a backup then "multicasts a PREPARE to all" (§4.2)."""
    slot = state.slot(pre_prepare.seq)
    slot.announced = None
    slot.pre_prepare = pre_prepare if pre_prepare.proposal is proposal else replace(pre_prepare, proposal=proposal)
    state.remember(slot, proposal)
    if slot.seq > state.executed:
        state.pool.mark_proposed(proposal.transactions)
        suspicion.on_proposed(state, slot.seq, proposal)
    effects: list[Effect] = [Persist(slot.pre_prepare)]
    if pre_prepare.replica != state.me:
        prepare = state.sign(
            Prepare(
                view=pre_prepare.view,
                seq=pre_prepare.seq,
                digest=pre_prepare.digest,
                replica=state.me,
                signature=wire.UNSIGNED,
            )
        )
        slot.prepares[state.me] = prepare
        effects += [Persist(prepare), Broadcast(prepare)]  # a vote is a promise: disk first
    return effects + advance(state, slot)


# ── PREPARE and COMMIT ──


def vote_refusal(state: State, message: PrePrepare | Vote) -> Ignored | None:
    """§4.2: accepted are messages of the current view "and h < n ≤ H". Votes for a view whose NEW-VIEW has not come
    are kept, because they overtake it easily."""
    if message.view != state.view:
        return Ignored.STALE_VIEW if message.view < state.view else Ignored.FUTURE_VIEW
    return checkpoint.watermark_refusal(state, message.seq)


def prepare_refusal(state: State, message: Prepare) -> Ignored | None:
    """Why this PREPARE can change nothing; None if it can."""
    if early.is_early(state, message):
        return early.refusal(state, message)
    if reason := vote_refusal(state, message):
        return reason
    if message.replica == state.primary:
        return Ignored.FROM_PRIMARY
    slot = state.slots.get(message.seq)
    if slot is None:
        return None
    if (held := slot.prepares.get(message.replica)) is not None:
        return Ignored.DUPLICATE if held.digest == message.digest else Ignored.CONFLICTING
    return Ignored.NOT_NEEDED if slot.prepared else None


def commit_refusal(state: State, message: Commit) -> Ignored | None:
    """Why this COMMIT can change nothing; None if it can."""
    if early.is_early(state, message):
        return early.refusal(state, message)
    if reason := vote_refusal(state, message):
        return reason
    slot = state.slots.get(message.seq)
    if slot is None:
        return None
    if (held := slot.commits.get(message.replica)) is not None:
        return Ignored.DUPLICATE if held.digest == message.digest else Ignored.CONFLICTING
    return Ignored.NOT_NEEDED if slot.committed else None


def on_prepare(state: State, message: Prepare) -> list[Effect]:
    """Counts a PREPARE that `prepare_refusal` let through."""
    slot = state.slot(message.seq)
    slot.prepares[message.replica] = message
    return advance(state, slot)


def on_commit(state: State, message: Commit) -> list[Effect]:
    """Counts a COMMIT that `commit_refusal` let through."""
    slot = state.slot(message.seq)
    slot.commits[message.replica] = message
    return advance(state, slot)


def advance(state: State, slot: Slot) -> list[Effect]:
    """§4.2: multicasts a COMMIT "when prepared(m, v, n, i) becomes true"; with a quorum of them m is committed."""
    effects: list[Effect] = []
    if not state.active or slot.pre_prepare is None:
        return effects
    if not slot.prepared and state.is_prepared(slot):
        slot.prepared = True
        state.witness.memory.prepared(slot.seq, state.view)
        slot.certificate = prepared_certificate(state, slot)
        pre_prepare = slot.pre_prepare
        commit = state.sign(
            Commit(
                view=pre_prepare.view,
                seq=pre_prepare.seq,
                digest=pre_prepare.digest,
                replica=state.me,
                signature=wire.UNSIGNED,
            )
        )
        slot.commits[state.me] = commit
        effects += [Persist(slot.certificate), Persist(commit), Broadcast(commit)]
    if not slot.committed and state.is_committed_local(slot):
        slot.committed = True
        state.pace.agreed(slot.seq, state.now)
    return effects


def prepared_certificate(state: State, slot: Slot) -> PreparedCertificate:
    """The proof that the slot is prepared, for a later view change: exactly as many PREPAREs as are needed."""
    assert slot.pre_prepare is not None
    digest = slot.pre_prepare.digest
    votes = sorted((i, vote.signature) for i, vote in slot.prepares.items() if vote.digest == digest)
    return PreparedCertificate(pre_prepare=slot.pre_prepare.bare, prepares=tuple(votes[: state.group.quorum - 1]))


def deliver(state: State) -> list[Effect]:
    """§4.2: a replica executes m "after committed-local(m, v, n, i) is true and i's state reflects the sequential
    execution of all requests with lower sequence numbers"."""
    slot = None if state.delivering else state.slots.get(Seq(state.executed + 1))
    if slot is None or not slot.committed:
        return []
    assert slot.pre_prepare is not None
    assert slot.pre_prepare.proposal is not None
    state.delivering = True
    return [remember(state, slot), Deliver(slot.seq, slot.pre_prepare.proposal)]


def remember(state: State, slot: Slot) -> Remember:
    """What decided the slot, to be kept with its block: exactly as many COMMITs as are needed."""
    assert slot.pre_prepare is not None
    digest = slot.pre_prepare.digest
    votes = [vote for _, vote in sorted(slot.commits.items()) if vote.digest == digest][: state.group.quorum]
    state.witness.memory.decided(slot.seq, votes)
    return Remember(slot.seq, state.sign(Testimony(messages=tuple(votes), replica=state.me, signature=wire.UNSIGNED)))
