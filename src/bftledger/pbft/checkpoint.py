"""Checkpoints: proving blocks final and forgetting the past (OSDI'99 §4.3).

Differs from the paper: one for each sequence number, because its certificate is also the block's proof towards
clients; and the low watermark follows any certificate, even one of a block that this replica has yet to execute or
fetch, because a quorum's word for it is the reason why nothing below can change.
"""

from bftledger.base.ids import Digest, Seq
from bftledger.pbft import wire
from bftledger.pbft.certificates import make_checkpoint_certificate
from bftledger.pbft.effects import Broadcast, Discard, Effect, Halt, Ignored, Persist
from bftledger.pbft.messages import Checkpoint, CheckpointCertificate, Stable
from bftledger.pbft.state import State


def watermark_refusal(state: State, seq: Seq) -> Ignored | None:
    """Why nothing of this number is taken now; None if "h < n ≤ H" (§4.2)."""
    low = state.low
    if seq <= low:
        return Ignored.BELOW_WATERMARK
    return Ignored.ABOVE_WATERMARK if seq > low + state.settings.window else None


def refusal(state: State, message: Checkpoint) -> Ignored | None:
    """Why this CHECKPOINT can change nothing; None if it can. The view does not matter."""
    if reason := watermark_refusal(state, message.seq):
        return reason
    slot = state.slots.get(message.seq)
    held = slot and slot.checkpoints.get(message.replica)
    if held:
        return Ignored.DUPLICATE if held.block_hash == message.block_hash else Ignored.CONFLICTING
    return None


def on_executed(state: State, seq: Seq, block_hash: Digest) -> list[Effect]:
    """§4.3: "When a replica i produces a checkpoint, it multicasts a message ⟨CHECKPOINT, n, d, i⟩σᵢ"."""
    state.executed, state.executed_hash = seq, block_hash
    state.witness.memory.executed(seq, block_hash)
    if seq <= state.low:
        return contradiction(state) or settle(state)
    slot = state.slot(seq)
    slot.block_hash = block_hash
    vote = state.sign(Checkpoint(seq=seq, block_hash=block_hash, replica=state.me, signature=wire.UNSIGNED))
    slot.checkpoints[state.me] = vote
    return [Persist(vote), Broadcast(vote), *stabilize(state, seq)]


def on_checkpoint(state: State, message: Checkpoint) -> list[Effect]:
    """Counts a CHECKPOINT that `refusal` let through."""
    state.slot(message.seq).checkpoints[message.replica] = message
    return stabilize(state, message.seq)


def stabilize(state: State, seq: Seq) -> list[Effect]:
    """§4.3: with 2f+1 CHECKPOINTs "for n with the same digest d signed by different replicas" it becomes stable."""
    slot = state.slots.get(seq)
    if slot is None:
        return []
    for block_hash in {vote.block_hash for vote in slot.checkpoints.values()}:
        votes = {i: vote for i, vote in slot.checkpoints.items() if vote.block_hash == block_hash}
        if len(votes) >= state.group.quorum:
            return adopt(state, make_checkpoint_certificate(votes, state.group))
    return []


def adopt(state: State, certificate: CheckpointCertificate) -> list[Effect]:
    """Takes over a certificate, this replica's or another's: the watermarks move, the log below is discarded."""
    if certificate.seq <= state.low:
        return []
    state.stable = certificate
    state.witness.memory.settle(state.low)
    state.next_seq = max(state.next_seq, Seq(certificate.seq + 1))
    return [Persist(certificate), *(contradiction(state) or settle(state))]


def proof(state: State) -> list[Stable]:
    """What tells others of the newest stable checkpoint known here, if there is one."""
    if state.stable is None:
        return []
    return [state.sign(Stable(certificate=state.stable, replica=state.me, signature=wire.UNSIGNED))]


def settle(state: State) -> list[Effect]:
    """§4.3: discards "all pre-prepare, prepare, and commit messages with sequence number less than or equal to n"."""
    return [Discard(state.forget_settled())]


def contradiction(state: State) -> list[Effect]:
    """A quorum signed another block than this replica made of the same history: its state is wrong, it must stop."""
    assert state.stable is not None
    own = state.executed_hash if state.executed == state.low else None
    if state.executed > state.low:
        slot = state.slots.get(state.low)
        own = slot.block_hash if slot else None
    if own is None or own == state.stable.block_hash:
        return []
    return [
        Halt(
            f"block {state.low} is {own.hex()[:16]} here, but a quorum certified {state.stable.block_hash.hex()[:16]}: "
            "this replica's state or program differs from the others'"
        )
    ]
