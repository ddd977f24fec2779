"""View changes: a new primary when the old one does not deliver (OSDI'99 §4.4).

Differs from the paper: MACs are nowhere, so all certificates are signatures and need no acknowledgements; P carries the
certificate of the highest view for each sequence number, which is what the NEW-VIEW is computed from; the checkpoint in
VIEW-CHANGE may be one that its sender has yet to fetch, because its certificate speaks for itself. A prepared
certificate says that somebody had the proposal once, not that anybody has it still; so the new primary uses the
VIEW-CHANGEs of those who can show theirs (TOCS'02).
"""

from itertools import islice

from bftledger.base.ids import Digest, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.effects import Broadcast, Effect, Ignored, Persist, StartTimer, StopTimer
from bftledger.pbft.messages import CheckpointCertificate, NewView, PrePrepare, ViewChange
from bftledger.pbft.proposals import NULL_PROPOSAL
from bftledger.pbft.state import State
from bftledger.pbft.timers import NewViewTimer

# ── leaving a view ──


def start(state: State, view: View) -> list[Effect]:
    """§4.4: the backup "stops accepting messages (other than checkpoint, view-change, and new-view messages) and
    multicasts a ⟨VIEW-CHANGE, v+1, n, C, P, i⟩σᵢ message to all replicas"."""
    assert view > state.view, "views only grow"
    leave(state, view)
    state.active = state.new_view_timer_runs = False
    state.failed_views += 1
    message = state.sign(
        ViewChange(
            view=view,
            stable=state.stable,
            prepared=tuple(
                slot.certificate
                for seq, slot in sorted(state.slots.items())
                if slot.certificate is not None and seq > state.low
            ),
            replica=state.me,
            signature=wire.UNSIGNED,
        )
    )
    state.view_changes[state.me] = message
    return [Persist(message), Broadcast(message), StopTimer(NewViewTimer), *await_new_view(state)]


def leave(state: State, view: View) -> None:
    """Moves on to `view`: votes of the old one count no more."""
    state.view = view
    state.new_view = None
    state.batch_due = state.batch_timer_runs = False
    state.view_changes = {i: change for i, change in state.view_changes.items() if change.view >= view}
    for slot in state.slots.values():
        slot.leave_view()


def change_refusal(state: State, message: ViewChange) -> Ignored | None:
    """Why this VIEW-CHANGE can change nothing; None if it can."""
    if message.view < state.view or (message.view == state.view and state.active):
        return Ignored.STALE_VIEW
    held = state.view_changes.get(message.replica)
    return Ignored.DUPLICATE if held is not None and held.view >= message.view else None


def on_view_change(state: State, message: ViewChange) -> list[Effect]:
    """Keeps a VIEW-CHANGE that `change_refusal` let through; one for each replica, its newest."""
    state.view_changes[message.replica] = message
    return await_new_view(state)


def view_to_join(state: State) -> View | None:
    """§4.5.2: on "f+1 valid view-change messages from other replicas for views greater than its current view, it sends
    a view-change message for the smallest view in the set, even if its timer has not expired"."""
    later = [change.view for i, change in state.view_changes.items() if change.view > state.view and i != state.me]
    return min(later) if len(later) >= state.group.weak_quorum else None


def changes_for_view(state: State) -> list[ViewChange]:
    """The VIEW-CHANGEs for the view that is awaited, in the order of their senders."""
    return [change for _, change in sorted(state.view_changes.items()) if change.view == state.view]


def await_new_view(state: State) -> list[Effect]:
    """§4.5.2: a backup that has 2f+1 view changes for v+1 "starts its timer to expire after some time T".

    Those for later views count too: whoever sent one has left v+1 and will not send its own again if that was lost.
    """
    if state.active or state.new_view_timer_runs or len(state.view_changes) < state.group.quorum:
        return []
    state.new_view_timer_runs = True
    return [StartTimer(NewViewTimer(state.view), state.suspicion_timeout())]


# ── the new view ──


def re_proposals(changes: tuple[ViewChange, ...]) -> tuple[CheckpointCertificate | None, list[tuple[Seq, Digest]]]:
    """What V decides: the stable checkpoint of min-s, and the digest for each number from min-s+1 to max-s (§4.4).

    "The primary determines the sequence number min-s of the latest stable checkpoint in V and the highest sequence
    number max-s in a prepare message in V. [It] creates a new pre-prepare message for view v+1 for each sequence
    number n between min-s and max-s": the digest of the certificate with the highest view, or that of the null request.
    """
    stable = max((change.stable for change in changes if change.stable), key=lambda c: c.seq, default=None)
    min_s = stable.seq if stable else 0
    chosen: dict[Seq, PrePrepare] = {}
    for change in changes:
        for certificate in change.prepared:
            candidate = certificate.pre_prepare
            held = chosen.get(candidate.seq)
            if candidate.seq > min_s and (held is None or candidate.view > held.view):
                chosen[candidate.seq] = candidate
    max_s = max(chosen, default=Seq(min_s))
    numbers = (Seq(seq) for seq in range(min_s + 1, max_s + 1))
    return stable, [(seq, chosen[seq].digest if seq in chosen else NULL_PROPOSAL.digest) for seq in numbers]


def make_new_view(state: State) -> NewView | None:
    """§4.4: "When the primary p of view v+1 receives 2f valid view-change messages for view v+1 from other replicas, it
    multicasts a ⟨NEW-VIEW, v+1, V, O⟩σₚ message".

    V are such as name only what the primary can hand to the others: in TOCS'02 it selects a request only if it has it
    (condition A3). Correct senders have what their certificates name, and are a quorum.
    """
    if not state.is_awaited:
        return None
    changes = changes_for_view(state)
    if len(changes) < state.group.quorum:
        return None
    used = tuple(islice((change for change in changes if not state.lacks(change)), state.group.quorum))
    if len(used) < state.group.quorum:
        return None
    pre_prepares = tuple(
        state.sign(PrePrepare(view=state.view, seq=seq, digest=digest, replica=state.me, signature=wire.UNSIGNED))
        for seq, digest in re_proposals(used)[1]
    )
    return state.sign(
        NewView(
            view=state.view, view_changes=used, pre_prepares=pre_prepares, replica=state.me, signature=wire.UNSIGNED
        )
    )


def new_view_refusal(state: State, message: NewView) -> Ignored | None:
    """Why this NEW-VIEW can change nothing; None if it can."""
    if message.view < state.view or (message.view == state.view and state.active):
        return Ignored.STALE_VIEW
    return Ignored.OWN if message.replica == state.me else None


def follows(message: NewView) -> bool:
    """§4.4: a backup verifies O "by performing a computation similar to the one used by the primary"."""
    assigned = [(pre_prepare.seq, pre_prepare.digest) for pre_prepare in message.pre_prepares]
    return assigned == re_proposals(message.view_changes)[1]


def enter(state: State, message: NewView) -> list[Effect]:
    """Begins the view of a NEW-VIEW that is known to follow from its V; O waits in `announced` to be accepted."""
    if message.view > state.view:
        leave(state, message.view)
    state.active = True
    state.new_view_timer_runs = False
    state.pace.forget()
    state.watched = None  # the new primary has the whole time, whatever ran while it was awaited
    state.new_view = message
    state.witness.memory.entered(message)
    state.view_changes = {i: change for i, change in state.view_changes.items() if change.view > state.view}
    state.pool.return_proposed(state.latest)
    for pre_prepare in message.pre_prepares:
        if pre_prepare.seq > state.low:
            state.slot(pre_prepare.seq).announced = pre_prepare
    last = max((pre_prepare.seq for pre_prepare in message.pre_prepares), default=Seq(0))
    state.next_seq = Seq(max(last, state.low) + 1)
    return [Persist(message), StopTimer(NewViewTimer)]
