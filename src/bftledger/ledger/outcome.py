"""What a client learns: what became of a transaction, and why a question has no answer.

`COMMITTED` and `REJECTED` come with a receipt, which proves them. `EXPIRED` and `REFUSED` are what f+1 replicas say, so
at least one correct one does. The others are not final: the transaction may still be ordered, and its id is what to ask
for later.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bftledger.base.errors import BftLedgerError
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.ledger.receipt import Receipt


class State(Enum):
    """Where a transaction stands, as far as the client could find out. The values are the words for people."""

    COMMITTED = "committed"
    """In the ledger, and it succeeded: the receipt proves it."""
    REJECTED = "rejected"
    """In the ledger without effect, for the application refused it: the receipt proves it."""
    EXPIRED = "expired"
    """Not in the ledger, and it never will be."""
    REFUSED = "refused"
    """The replicas do not take it: a bad signature, a sender who is no member, a payload that means nothing."""
    BUSY = "busy"
    """No replica that was reached has room for it."""
    PENDING = "pending"
    """A quorum of replicas can be reached, but the transaction is not in the ledger yet."""
    NO_QUORUM = "no quorum"
    """Too few replicas answer for anything to be decided."""
    UNKNOWN = "unknown"
    """A quorum of replicas can be reached, and none of them has seen the transaction."""

    @property
    def final(self) -> bool:
        """Whether it can never change. A refused transaction might still be ordered if somebody took it before."""
        return self in _FINAL


_FINAL: Final = frozenset({State.COMMITTED, State.REJECTED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of transaction `tx_id`. `str` of it is one line for people.

    `receipt`: with `COMMITTED` and `REJECTED`, else None; it has been verified. `code`, `reason`: of a rejection or
    refusal, as in `apps.machine`. `retry_ms`: with `BUSY`, when to try again. `alive`: how many of the `replicas`
    answered at the end of a time-out; `quorum`: how many are needed for a decision.
    """

    tx_id: TxId
    state: State
    receipt: Receipt | None = None
    code: int = 0
    reason: str = ""
    retry_ms: Millis = Millis(0)
    alive: int = 0
    quorum: int = 0
    replicas: int = 0

    @property
    def ok(self) -> bool:
        """Whether the transaction had its effect."""
        return self.state is State.COMMITTED

    @property
    def final(self) -> bool:
        """Whether this will never change."""
        return self.state.final

    @property
    def height(self) -> Seq | None:
        """The block that holds it, if one does."""
        return self.receipt.header.height if self.receipt else None

    @property
    def value(self) -> bytes:
        """The application's result; empty unless it is `COMMITTED`."""
        return self.receipt.result.value if self.receipt else b""

    def raise_for_state(self) -> Receipt:
        """The receipt if the transaction is `COMMITTED`; raises `NotCommitted` (`NoQuorum` if that is why) if not."""
        if self.state is State.COMMITTED:
            assert self.receipt is not None, "what is committed has a receipt"
            return self.receipt
        raise NoQuorum(self) if self.state is State.NO_QUORUM else NotCommitted(self)

    def __str__(self) -> str:
        return _SENTENCES[self.state].format(
            id=self.tx_id.hex(),
            height=self.height,
            reason=self.reason,
            retry_ms=self.retry_ms,
            alive=self.alive,
            n=self.replicas,
            quorum=self.quorum,
        )


_SENTENCES: Final = {
    State.COMMITTED: "transaction {id} is committed in block {height}",
    State.REJECTED: "transaction {id} is in block {height} without effect: {reason}",
    State.EXPIRED: "transaction {id} expired before it was ordered: it never will be",
    State.REFUSED: "transaction {id} was refused: {reason}",
    State.BUSY: "the replicas are busy: transaction {id} was not taken; submit it again in {retry_ms} ms",
    State.PENDING: "transaction {id} is not in the ledger yet: ask for it later",
    State.NO_QUORUM: "no quorum: only {alive} of {n} replicas answer, {quorum} are needed; "
    "transaction {id} may still be ordered: ask for it later",
    State.UNKNOWN: "no replica knows transaction {id}",
}


class NotCommitted(BftLedgerError):
    """A transaction that had no effect, or not yet; `outcome` says which."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


class NoQuorum(NotCommitted):
    """Too few replicas answer for a transaction to be decided. It may still be ordered."""


class NoAnswer(BftLedgerError):
    """A question that too few replicas answered, or none with a proof, within its time-out.

    `alive`: how many replicas of `replicas` answered anything at all; `needed`: how many had to.
    """

    def __init__(self, *, alive: int, replicas: int, needed: int) -> None:
        if alive < needed:
            text = f"no quorum: only {alive} of {replicas} replicas answer, {needed} are needed"
            if needed == 1:
                text = f"none of the {replicas} replicas answers"
        else:
            text = f"{alive} of {replicas} replicas answer, but not with what was asked for: try again"
        super().__init__(text)
        self.alive = alive
        self.replicas = replicas
        self.needed = needed


class NotFound(BftLedgerError):
    """f+1 replicas say that what was asked for is not there; the text is what they say."""
