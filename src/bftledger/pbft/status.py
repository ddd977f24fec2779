"""STATUS and re-sending: the one answer to all loss of messages (TOCS'02 §5.2).

A replica says periodically what it has; whoever has what it lacks sends just that again. Nothing is sent again because
it might be missing. "Unfinished for a while" means: it was so at the previous tick too, so that messages under way are
not sent twice.
"""

from collections.abc import Iterable
from typing import Final

from bftledger.base.ids import Millis, ReplicaId, Seq
from bftledger.pbft import checkpoint, testimony, transfer, wire
from bftledger.pbft.effects import Broadcast, Effect, Ignored, Send, StartTimer
from bftledger.pbft.messages import Message, SlotStatus, Status
from bftledger.pbft.state import Slot, State
from bftledger.pbft.timers import StatusTimer

_NOTHING: Final = SlotStatus(seq=Seq(0), has_pre_prepare=False, prepares=0, commits=0, checkpoints=0)
"""What a peer has of a number that it does not describe."""


def is_unfinished(state: State) -> bool:
    """Whether anything is under way that loss could have stopped."""
    return (
        not state.active
        or state.lagging
        or len(state.pool) > 0
        or state.executed > state.low
        or any(slot.is_under_way for slot in state.slots.values())
    )


def interval(state: State) -> Millis:
    """How long until the next tick."""
    settings = state.settings
    return settings.status_interval_ms if is_unfinished(state) else settings.idle_status_interval_ms


def hasten(state: State) -> list[Effect]:
    """Something is under way again: the next tick must not wait for the longer time."""
    if not state.idle or not is_unfinished(state):
        return []
    state.idle = False
    return [StartTimer(StatusTimer(), state.settings.status_interval_ms)]


def on_tick(state: State) -> list[Effect]:
    """Says what is here and what lacks, and asks again for what did not come."""
    state.tick += 1
    state.idle = not is_unfinished(state)
    effects: list[Effect] = [Broadcast(state.sign(describe(state))), StartTimer(StatusTimer(), interval(state))]
    effects += transfer.fetch_proposals(state)
    if state.low <= state.executed:
        state.fetch = None
    elif state.stable_at_tick > state.executed and state.executed == state.executed_at_tick:
        effects += transfer.fetch_again(state)
    transfer.forget_early(state)
    state.answered.clear()
    state.sent_bytes.clear()
    state.forgive()
    state.convicted_at_tick = frozenset(state.witness.convicted)
    state.answers_per_tick = max(1, interval(state) // state.settings.status_interval_ms)
    state.stable_at_tick = state.low
    state.executed_at_tick = state.executed
    state.known_at_tick = max(state.slots, default=state.low)
    return effects


def describe(state: State) -> Status:
    """This replica's STATUS, unsigned."""
    numbers = map(Seq, range(state.low + 1, state.known_at_tick + 1))
    slots = [state.slots.get(seq) or Slot(seq) for seq in numbers]
    return Status(
        view=state.view,
        active=state.active,
        stable=state.low,
        stable_hash=state.stable.block_hash if state.stable else None,
        executed=state.executed,
        executed_hash=state.executed_hash if state.executed else None,
        slots=tuple(
            SlotStatus(
                seq=slot.seq,
                has_pre_prepare=slot.pre_prepare is not None,
                prepares=bits(slot.prepares),
                commits=bits(slot.commits),
                checkpoints=bits(slot.checkpoints),
            )
            for slot in slots
        ),
        view_changes=bits(i for i, change in state.view_changes.items() if change.view == state.view),
        convicted=bits(state.witness.convicted),
        replica=state.me,
        signature=wire.UNSIGNED,
    )


def bits(replicas: Iterable[ReplicaId]) -> int:
    """A set of replicas as a bit mask."""
    mask = 0
    for i in replicas:
        mask |= 1 << i
    return mask


def refusal(state: State, peer: Status) -> Ignored | None:
    """Why this STATUS can change nothing; None if it can.

    It says that its sender is alive, too, so one more passes than is answered: ticks here and there are not in step.
    """
    often = state.answered[peer.replica, Status] > state.answers_per_tick
    return Ignored.ASKED_TOO_OFTEN if often else None


def on_status(state: State, peer: Status) -> list[Effect]:
    """What this replica has and `peer` lacks; a bounded number of times between two ticks."""
    if not state.may_answer(peer.replica, Status):
        return []
    lacking: list[Message] = [*testimony.for_peer(state, peer)]
    forked = testimony.disclose(state, peer.replica) if testimony.is_forked(state, peer) else []
    if peer.stable < state.stable_at_tick:
        lacking += checkpoint.proof(state)
    if state.active:
        if state.new_view and (peer.view < state.view or (peer.view == state.view and not peer.active)):
            lacking.append(state.new_view)
    elif peer.view < state.view or (
        peer.view == state.view and not peer.active and not peer.view_changes >> state.me & 1
    ):
        lacking.append(state.view_changes[state.me])
    described = {slot.seq: slot for slot in peer.slots}
    for seq in range(max(peer.stable, state.low) + 1, state.known_at_tick + 1):
        if (slot := state.slots.get(Seq(seq))) is not None:
            lacking += missing_votes(state, slot, described.get(slot.seq, _NOTHING), peer)
    return [*forked, *(Send(peer.replica, message) for message in lacking)]


def missing_votes(state: State, slot: Slot, has: SlotStatus, peer: Status) -> list[Message]:
    """This replica's own messages for one slot that a peer does not have, and can still use."""
    missing: list[Message] = []
    me = state.me
    if peer.view == state.view and state.active and peer.executed < slot.seq:
        peer_is_prepared = has.commits >> peer.replica & 1
        if slot.pre_prepare and slot.pre_prepare.replica == me and not has.has_pre_prepare:
            missing.append(slot.pre_prepare)
        if (prepare := slot.prepares.get(me)) and not peer_is_prepared and not has.prepares >> me & 1:
            missing.append(prepare)
        if (commit := slot.commits.get(me)) and not has.commits >> me & 1:
            missing.append(commit)
    if (checkpoint := slot.checkpoints.get(me)) and not has.checkpoints >> me & 1:
        missing.append(checkpoint)
    return missing
