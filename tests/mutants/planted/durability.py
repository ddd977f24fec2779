"""Bugs in what is kept: disk before promise, and what a restart knows (OSDI'99 §4.2's log, made durable)."""

from collections.abc import Iterable
from types import UnionType

from bftledger.base.ids import Digest, Millis, Seq
from bftledger.engine.engine import Engine, Round
from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.work import WORK_PER_ROUND
from bftledger.pbft import checkpoint, normal, recovery
from bftledger.pbft.effects import Discard, Effect, Persist
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    NewView,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Record,
    ViewChange,
)
from bftledger.pbft.state import Slot, State
from tests.mutants.mutant import breaks

_end_round = Engine.end_round
_recover = recovery.recover
_accept = normal.accept
_advance = normal.advance
_on_executed = checkpoint.on_executed

KEPT_VOTES = "a replica that restarts knows what it signed"


@breaks("§4.2", "a vote is durable before it leaves", Engine, "end_round")
def sent_before_durable(engine: Engine, now: Millis, work: int = WORK_PER_ROUND, lookups: int = MAX_FRAMES) -> Round:
    """What a round promised is committed together with the next."""
    has_promised, engine._has_promised = engine._has_promised, getattr(engine, "_is_late", False)
    finished = _end_round(engine, now, work, lookups)
    engine._is_late = has_promised  # type: ignore[attr-defined]
    return finished


@breaks("§4.2", "a vote is durable before it leaves", normal, "accept")
def pre_prepare_not_kept(state: State, pre_prepare: PrePrepare, proposal: Proposal) -> list[Effect]:
    """The pre-prepare that was accepted, or sent, is not written down."""
    effects = _accept(state, pre_prepare, proposal)
    return [effect for effect in effects if not (isinstance(effect, Persist) and isinstance(effect.record, PrePrepare))]


@breaks("§4.4", "what is prepared is known after a restart", normal, "advance")
def prepared_certificate_not_kept(state: State, slot: Slot) -> list[Effect]:
    """Prepared certificates are not written down."""
    effects = _advance(state, slot)
    return [e for e in effects if not (isinstance(e, Persist) and isinstance(e.record, PreparedCertificate))]


@breaks("§4.3", "the log is discarded when a checkpoint is stable", checkpoint, "on_executed", staged=True)
def discarded_when_executed(state: State, seq: Seq, block_hash: Digest) -> list[Effect]:
    """What was promised about a number is forgotten on disk as soon as its block is executed."""
    return [*_on_executed(state, seq, block_hash), Discard(seq)]


Certificate = CheckpointCertificate | None


def _without(records: Iterable[Record], forgotten: type[Record] | UnionType) -> list[Record]:
    return [record for record in records if not isinstance(record, forgotten)]


@breaks("§4.2", KEPT_VOTES, recovery, "_recover_log", staged=True)
def votes_forgotten(state: State, records: list[Record]) -> None:
    """It knows its view, and nothing of its log."""


@breaks("§4.4", KEPT_VOTES, recovery, "recover", staged=True)
def view_forgotten(
    state: State, records: Iterable[Record], *, executed: Seq, executed_hash: Digest, certificate: Certificate
) -> None:
    """It begins in view 0 again."""
    kept = _without(records, ViewChange | NewView)
    _recover(state, kept, executed=executed, executed_hash=executed_hash, certificate=certificate)


@breaks("§4.4", "what is prepared is known after a restart", recovery, "recover", staged=True)
def prepared_certificates_forgotten(
    state: State, records: Iterable[Record], *, executed: Seq, executed_hash: Digest, certificate: Certificate
) -> None:
    """Prepared certificates are not read again."""
    kept = _without(records, PreparedCertificate)
    _recover(state, kept, executed=executed, executed_hash=executed_hash, certificate=certificate)


@breaks("§4.2", "a primary assigns each number once in a view", recovery, "recover", staged=True)
def next_number_forgotten(
    state: State, records: Iterable[Record], *, executed: Seq, executed_hash: Digest, certificate: Certificate
) -> None:
    """After a restart it goes on with the first number that is not executed."""
    _recover(state, records, executed=executed, executed_hash=executed_hash, certificate=certificate)
    state.next_seq = Seq(state.executed + 1)


@breaks("§4.3", "the low watermark is known after a restart", recovery, "recover")
def stable_checkpoint_forgotten(
    state: State, records: Iterable[Record], *, executed: Seq, executed_hash: Digest, certificate: Certificate
) -> None:
    """The newest certificate is not read again."""
    kept = _without(records, Checkpoint)
    _recover(state, kept, executed=executed, executed_hash=executed_hash, certificate=None)
