"""After a restart: the state that the store's records imply (OSDI'99 §4.2's log, made durable).

Nothing here is a number that could be wrong by itself: the view follows from the newest VIEW-CHANGE and NEW-VIEW, the
slots from signed messages. What this replica signed before is known again before it can sign anything else. Votes of
others are not stored, but for the certificates that they made; STATUS brings them back.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bftledger.base.ids import Digest, Seq
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Record,
    Testimony,
    ViewChange,
)
from bftledger.pbft.state import State


def recover(
    state: State,
    records: Iterable[Record],
    *,
    executed: Seq,
    executed_hash: Digest,
    certificate: CheckpointCertificate | None,
) -> None:
    """Puts a fresh `state` where its store says it was: `executed` is the newest block, `certificate` the newest."""
    state.executed, state.executed_hash, state.stable = executed, executed_hash, certificate
    state.unheard, state.cut_off = state.others, True
    state.witness.memory.settle(state.low)
    kept = list(records)
    for record in kept:
        match record:
            case NewView() if record.view > state.view or (record.view == state.view and not state.active):
                state.view, state.active, state.new_view = record.view, True, record
            case ViewChange() if record.view > state.view:
                state.view, state.active, state.new_view = record.view, False, None
                state.view_changes = {state.me: record}
            case _:
                pass
    if state.active:
        state.view_changes = {}
    _recover_log(state, kept)
    if state.active:
        accepted = [seq for seq, slot in state.slots.items() if slot.pre_prepare or slot.announced]
        state.next_seq = Seq(max([*accepted, state.low, state.executed]) + 1)


class Recent(NamedTuple):
    """One of the newest blocks."""

    seq: Seq
    block_hash: Digest
    certificate: CheckpointCertificate | None
    commits: Testimony | None = None
    """What decided it, if that was kept."""


def recollect(
    state: State, records: Iterable[Record], recent: Iterable[Recent], kept: Iterable[Evidence]
) -> list[Evidence]:
    """Makes the witness remember what the store does: evidence, and what others signed. Returns what is new of it."""
    witness = state.witness
    witness.restore(kept)
    found: list[Evidence] = []
    for block in recent:
        witness.memory.executed(block.seq, block.block_hash)
        if block.certificate is not None:
            found += witness.see_certificate(block.certificate)
        if block.commits is not None:
            found += witness.see(block.commits)
            witness.memory.decided(block.seq, (vote for vote in block.commits.messages if isinstance(vote, Commit)))
    if state.stable is not None:
        found += witness.see_certificate(state.stable)
    for record in records:
        if isinstance(record, PreparedCertificate):
            witness.memory.prepared(record.pre_prepare.seq, record.pre_prepare.view)
            found += witness.see_certificate(record)
        elif isinstance(record, NewView) or (isinstance(record, Message) and record.replica != state.me):
            found += witness.see(record)
    if state.new_view is not None:
        witness.memory.entered(state.new_view)
    return found


def _recover_log(state: State, records: list[Record]) -> None:
    for record in records:  # the certificates first: what they name must not be forgotten for what follows
        if isinstance(record, PreparedCertificate):
            slot = state.slot(record.pre_prepare.seq)
            if slot.certificate is None or slot.certificate.pre_prepare.view < record.pre_prepare.view:
                slot.certificate = record
    for record in records:
        match record:
            case PrePrepare():
                slot = state.slot(record.seq)
                if record.proposal is not None:
                    state.remember(slot, record.proposal)
                if record.view == state.view:
                    slot.pre_prepare = record
            case Prepare() if record.view == state.view:
                state.slot(record.seq).prepares[state.me] = record
            case Commit() if record.view == state.view:
                state.slot(record.seq).commits[state.me] = record
            case Checkpoint():
                slot = state.slot(record.seq)
                slot.checkpoints[state.me] = record
                slot.block_hash = record.block_hash
            case _:
                pass
    if state.new_view is not None:
        for pre_prepare in state.new_view.pre_prepares:
            if pre_prepare.seq > state.low and state.slot(pre_prepare.seq).pre_prepare is None:
                state.slot(pre_prepare.seq).announced = pre_prepare
    for slot in state.slots.values():
        if slot.certificate and slot.certificate.pre_prepare.view == state.view and slot.pre_prepare:
            pre_prepare = slot.pre_prepare
            for replica, signature in slot.certificate.prepares:
                slot.prepares[replica] = Prepare(
                    view=pre_prepare.view,
                    seq=pre_prepare.seq,
                    digest=pre_prepare.digest,
                    replica=replica,
                    signature=signature,
                )
            slot.prepared = state.is_prepared(slot) and state.me in slot.commits
        if slot.seq > state.executed and slot.pre_prepare and slot.pre_prepare.proposal:
            state.pool.mark_proposed(slot.pre_prepare.proposal.transactions)
    state.forget_settled()
