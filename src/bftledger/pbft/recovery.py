"""After a restart: the state that the store's records imply (OSDI'99 §4.2's log, made durable).

Nothing here is a number that could be wrong by itself: the view follows from the newest VIEW-CHANGE and NEW-VIEW, the
slots from signed messages. What this replica signed before is known again before it can sign anything else. Votes of
others are not stored, but for the certificates that they made; STATUS brings them back.
"""

from collections.abc import Iterable

from bftledger.base.ids import Digest, Seq
from bftledger.pbft import wire
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    ViewChange,
)
from bftledger.pbft.state import State


def recover(
    state: State,
    records: Iterable[wire.Record],
    *,
    executed: Seq,
    executed_hash: Digest,
    certificate: CheckpointCertificate | None,
) -> None:
    """Puts a fresh `state` where its store says it was: `executed` is the newest block, `certificate` the newest."""
    state.executed, state.executed_hash, state.stable = executed, executed_hash, certificate
    state.unheard, state.cut_off = state.others, True
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


def _recover_log(state: State, records: list[wire.Record]) -> None:
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
