"""Bugs in what clients believe (OSDI'99 §4.1)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bftledger.base.ids import Millis, Seq, TxId
from bftledger.engine.answers import Answer, Waiter
from bftledger.engine.archive import Archive
from bftledger.engine.reads import Reads
from bftledger.ledger import submission
from bftledger.ledger.block import Header
from bftledger.ledger.client_messages import AskHeight, Fate, HeightReply, Query, QueryReply, Request, TxState
from bftledger.ledger.outcome import State as Told
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.question import Judge
from bftledger.ledger.session import Session
from bftledger.pbft.messages import CheckpointCertificate
from tests.mutants.mutant import Patch, breaks

_fate = Archive.fate
_on_read = Reads.on_read
_question = Session.question
_read = Proofs.read


@breaks("§4.1", "one replica is believed only what it proves", Proofs, "read", traitor="lie-replies")
def read_unproven(proofs: Proofs, reply: QueryReply, key: bytes, minimum: Seq) -> QueryReply:
    """A client believes what the first replica says that a key holds."""
    return reply


@breaks("§4.1", "a read is not older than what the client has seen", Proofs, "read", traitor="lie-replies")
def old_read_accepted(proofs: Proofs, reply: QueryReply, key: bytes, minimum: Seq) -> QueryReply:
    """A client takes what a key held at any certified block."""
    return _read(proofs, reply, key, Seq(0))


@breaks("§4.1", "a receipt is signed by 2f+1", Proofs, "header", traitor="lie-replies")
def receipt_unproven(proofs: Proofs, header: Header, certificate: CheckpointCertificate | None) -> Header:
    """A client believes a block whose certificate it does not check."""
    return header


@breaks("§4.1", "of 2f+1 replicas one knows of whatever was acknowledged", Session, "question")
def height_of_one(session: Session, request: Request, judge: Judge[Any], timeout_ms: int, needed: int = 1) -> Any:
    """Before it reads, a client asks one replica for its height."""
    return _question(session, request, judge, timeout_ms, 1)


@breaks("§4.1", "of 2f+1 replicas one knows of whatever was acknowledged", Session, "question", traitor="lie-replies")
def height_of_weak_quorum(
    session: Session, request: Request, judge: Judge[Any], timeout_ms: int, needed: int = 1
) -> Any:
    """Before it reads, a client asks f+1 replicas for their heights."""
    return _question(session, request, judge, timeout_ms, min(needed, session.route.group.weak_quorum))


def _whatever_the_minimum(reads: Reads, waiter: Waiter, request: Query | AskHeight) -> Iterable[Answer]:
    return _on_read(reads, waiter, replace(request, minimum=Seq(0)))


@breaks(
    "§4.1",
    "a read is not older than what a quorum knew of before it",
    Proofs,
    "read",
    also=(Patch(Reads, "on_read", _whatever_the_minimum),),
)
def old_state_read(proofs: Proofs, reply: QueryReply, key: bytes, minimum: Seq) -> QueryReply:
    """A replica answers by the state that it has, and a client takes that."""
    return _read(proofs, reply, key, Seq(0))


@breaks("§4.1", "a replica that has signed a block answers with its height, or later", Reads, "_answer_height")
def height_not_awaited(reads: Reads, waiter: Waiter, height: Seq) -> Iterable[Answer]:
    """Instead of waiting for the newest block's certificate it answers with the newest that it has."""
    archive = reads._archive
    certified = next((Seq(h) for h in range(height, 0, -1) if archive._store.certificate(Seq(h)) is not None), Seq(0))
    reads._waiting -= 1
    certificate = archive._store.certificate(certified)
    if certificate is None:
        return [(waiter.route, archive.block_reply(waiter.request_id, Seq(0)))]
    header = archive.header(certified)
    return [(waiter.route, HeightReply(request_id=waiter.request_id, header=header, certificate=certificate))]


# ── fates ──


@breaks("§4.1", "that a transaction expired is said when no later block can hold it", Archive, "fate")
def expired_too_soon(archive: Archive, request_id: int, tx_id: TxId, *, is_pending: bool) -> Fate:
    """A replica says so of any that was made before its newest block, and that it does not know."""
    created = Millis(int.from_bytes(tx_id[:6], "big"))
    if archive.place(tx_id) is None and created < archive._ledger.tip.time:
        return archive.expired(request_id, tx_id)
    return _fate(archive, request_id, tx_id, is_pending=is_pending)


@breaks(
    "§4.1",
    "of an acknowledged transaction every quorum has a replica that can prove it",
    submission.FateQuestion,
    "_count",
)
def unknown_to_one(question: submission.FateQuestion) -> None:
    """That nobody knows a transaction, a client believes of the first replica that does not."""
    if question._said(TxState.UNKNOWN):
        question.answer = question._outcome(Told.UNKNOWN)


@breaks("§4.1", "of f+1 replicas one is correct", submission._Inquiry, "_count", traitor="lie-replies")
def expired_by_one(inquiry: submission._Inquiry) -> None:
    """That a transaction expired, a client believes of one replica."""
    if inquiry._said(TxState.EXPIRED):
        inquiry.answer = inquiry._outcome(Told.EXPIRED)
