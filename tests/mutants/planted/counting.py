"""Bugs in what counts: quorums, digests, views, watermarks (OSDI'99 §4.2, §4.3)."""

from bftledger.base.group import Group
from bftledger.base.ids import Seq
from bftledger.pbft import checkpoint, normal
from bftledger.pbft.certificates import make_checkpoint_certificate
from bftledger.pbft.effects import Deliver, Effect, Ignored
from bftledger.pbft.messages import Prepare, PrePrepare
from bftledger.pbft.normal import Vote
from bftledger.pbft.state import Slot, State
from tests.mutants.mutant import breaks


@breaks("§4", "any two quorums share a correct replica", Group, "quorum", staged=True)
def quorum_too_small(group: Group) -> int:
    """Everywhere, one fewer is enough."""
    return (group.n + group.f) // 2


@breaks("§4.2", "prepared needs 2f matching PREPAREs", State, "is_prepared", staged=True)
def prepared_one_short(state: State, slot: Slot) -> bool:
    """2f-1 are enough."""
    if slot.pre_prepare is None:
        return False
    digest = slot.pre_prepare.digest
    return sum(vote.digest == digest for vote in slot.prepares.values()) >= state.group.quorum - 2


@breaks("§4.2", "PREPAREs must match the pre-prepare", State, "is_prepared", staged=True)
def prepared_by_any_digest(state: State, slot: Slot) -> bool:
    """All PREPAREs for the sequence number count."""
    return slot.pre_prepare is not None and len(slot.prepares) >= state.group.quorum - 1


@breaks("§4.2", "2f backups prepare; the primary is not one of them", normal, "prepare_refusal", traitor="flood")
def primary_prepares(state: State, message: Prepare) -> Ignored | None:
    """The primary's PREPARE counts beside its pre-prepare."""
    if reason := normal.vote_refusal(state, message):
        return reason
    slot = state.slots.get(message.seq)
    return Ignored.DUPLICATE if slot and message.replica in slot.prepares else None


@breaks("§4.2", "committed-local needs 2f+1 matching COMMITs", State, "is_committed_local", staged=True)
def committed_one_short(state: State, slot: Slot) -> bool:
    """2f are enough."""
    if slot.pre_prepare is None or not slot.prepared:
        return False
    digest = slot.pre_prepare.digest
    return sum(vote.digest == digest for vote in slot.commits.values()) >= state.group.quorum - 1


@breaks("§4.2", "COMMITs must match the pre-prepare", State, "is_committed_local", staged=True)
def committed_by_any_digest(state: State, slot: Slot) -> bool:
    """All COMMITs for the sequence number count."""
    return slot.pre_prepare is not None and slot.prepared and len(slot.commits) >= state.group.quorum


@breaks("§4.2", "votes count in their own view", normal, "vote_refusal", staged=True)
def votes_of_any_view(state: State, message: PrePrepare | Vote) -> Ignored | None:
    """A vote's view is not looked at."""
    if message.seq <= state.low:
        return Ignored.BELOW_WATERMARK
    return Ignored.ABOVE_WATERMARK if message.seq > state.high else None


@breaks("§4.2", "h < n ≤ H", normal, "vote_refusal", staged=True)
def high_watermark_unchecked(state: State, message: PrePrepare | Vote) -> Ignored | None:
    """Sequence numbers may be as far ahead as anyone likes."""
    if message.view != state.view:
        return Ignored.STALE_VIEW
    return Ignored.BELOW_WATERMARK if message.seq <= state.low else None


@breaks("§4.2", "h < n ≤ H", normal, "vote_refusal", staged=True)
def low_watermark_unchecked(state: State, message: PrePrepare | Vote) -> Ignored | None:
    """What is settled may be voted on again."""
    if message.view != state.view:
        return Ignored.STALE_VIEW
    return Ignored.ABOVE_WATERMARK if message.seq > state.high else None


@breaks("§4.2", "a backup accepts one pre-prepare for each (v, n)", normal, "is_conflict", staged=True)
def second_proposal_accepted(state: State, message: PrePrepare) -> bool:
    """A later one takes the place of the first, and gets a PREPARE of its own."""
    return False


@breaks("§4.2", "a pre-prepare is the primary's", normal, "refusal", traitor="flood")
def anyone_proposes(state: State, message: PrePrepare) -> Ignored | None:
    """Whoever sends one is taken for the primary."""
    if reason := normal.vote_refusal(state, message):
        return reason
    return None if state.active else Ignored.NOT_ACTIVE


def _stabilize(state: State, seq: Seq, size: int) -> list[Effect]:
    slot = state.slots.get(seq)
    if slot is None:
        return []
    for block_hash in sorted({vote.block_hash for vote in slot.checkpoints.values()}):
        votes = {i: vote for i, vote in slot.checkpoints.items() if vote.block_hash == block_hash}
        if len(votes) >= size:
            return checkpoint.adopt(state, make_checkpoint_certificate(votes, state.group))
    return []


@breaks("§4.3", "2f+1 CHECKPOINTs make a checkpoint stable", checkpoint, "stabilize")
def stable_by_weak_quorum(state: State, seq: Seq) -> list[Effect]:
    """f+1 are enough."""
    return _stabilize(state, seq, state.group.weak_quorum)


@breaks("§4.3", "CHECKPOINTs must name the same block", checkpoint, "stabilize")
def stable_by_any_block(state: State, seq: Seq) -> list[Effect]:
    """All CHECKPOINTs for the sequence number count."""
    slot = state.slots.get(seq)
    if slot is None or len(slot.checkpoints) < state.group.quorum:
        return []
    return checkpoint.adopt(state, make_checkpoint_certificate(slot.checkpoints, state.group))


@breaks(
    "§4.2",
    "a replica executes in the order of sequence numbers",
    normal,
    "deliver",
)
def executed_out_of_order(state: State) -> list[Effect]:
    """Whatever is committed is executed at once."""
    ready = [slot for seq, slot in sorted(state.slots.items()) if slot.committed and seq > state.executed]
    if state.delivering or not ready:
        return []
    state.delivering = True
    pre_prepare = ready[0].pre_prepare
    assert pre_prepare is not None
    assert pre_prepare.proposal is not None
    return [Deliver(ready[0].seq, pre_prepare.proposal)]
