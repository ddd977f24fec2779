"""What can still change something: the door asks before it checks a signature, so that what is useless costs nothing.

Each phase knows what it has no use for. What would convict its sender is wanted all the same, within limits.
"""

from typing import assert_never

from bftledger.base.ids import ReplicaId
from bftledger.pbft import checkpoint, early, normal, status, suspicion, testimony, transfer, view_change
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
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
from bftledger.pbft.state import State


def refusal(state: State, message: Message) -> Ignored | None:
    """Why `message` can change nothing now, so that its signatures need not be checked; None if it might.

    What would convict its sender is wanted though it changes nothing else. Changes nothing itself: the message is
    not authentic yet.
    """
    if message.replica == state.me:
        return Ignored.OWN
    reason = of_phase(state, message)
    return None if reason is not None and _is_telling(state, message) else reason


def refusal_of(state: State, peer: ReplicaId, message: Message, size: int) -> Ignored | None:
    """`refusal` of a frame of `size` bytes that `peer` hands over; what matters only for guilt is rationed."""
    if message.replica == state.me:
        return Ignored.OWN
    reason = of_phase(state, message) or early.refusal_of_length(state, message, size)
    if reason is not None and not _is_telling(state, message):
        return reason
    if reason is None and not isinstance(message, Testimony):
        return None
    if testimony.is_heard_enough(state, peer):
        return Ignored.HEARD_ENOUGH
    state.heard[peer] += size
    return None


def _is_telling(state: State, message: Message) -> bool:
    is_news = isinstance(message, Prepare | Commit) and testimony.is_news(state, message)
    return is_news or state.witness.would_convict(message)


def of_phase(state: State, message: Message) -> Ignored | None:
    """Why the phase that a message belongs to has no use for it now, whatever it may tell of its sender."""
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
