"""Bugs in what clients believe (OSDI'99 §4.1)."""

from typing import Any

from bftledger.base.ids import Seq
from bftledger.ledger import submission
from bftledger.ledger.block import Header
from bftledger.ledger.client_messages import QueryReply, Request, TxState
from bftledger.ledger.outcome import State as Fate
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.question import Judge
from bftledger.ledger.session import Session
from bftledger.pbft.messages import CheckpointCertificate
from tests.mutants.mutant import breaks

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


@breaks("§4.1", "of f+1 replicas one is correct", submission._Inquiry, "_count", traitor="lie-replies")
def expired_by_one(inquiry: submission._Inquiry) -> None:
    """That a transaction expired, a client believes of one replica."""
    if inquiry._said(TxState.EXPIRED):
        inquiry.answer = inquiry._outcome(Fate.EXPIRED)
