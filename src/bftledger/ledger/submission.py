"""What becomes of a transaction: submitting it, and asking for one that was submitted before.

A receipt ends either at once, whoever it is from, for it proves itself. That a transaction expired, or that the
replicas do not take it, cannot be proven: that f+1 replicas say so must do, and all are asked as soon as one does.
"""

from abc import abstractmethod
from collections import Counter
from typing import Final

from bftledger.base.ids import Millis, ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger.asking import Ask, Asking, Route, Timing
from bftledger.ledger.client_messages import (
    AskReceipt,
    Committed,
    CommittedItem,
    ErrorReply,
    Fate,
    ReceiptReply,
    Refused,
    Reply,
    Submit,
    TxState,
)
from bftledger.ledger.outcome import Outcome, State
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.receipt import Receipt

_IN_LEDGER: Final = (TxState.COMMITTED, TxState.REJECTED)


class _Inquiry(Asking[Outcome]):
    """What both have in common: receipts, and votes of those that have none."""

    def __init__(
        self, request: Submit | AskReceipt, tx_id: TxId, proofs: Proofs, route: Route, timing: Timing, timeout: int
    ) -> None:
        super().__init__(request, route, timing, timeout)
        self.tx_id = tx_id
        self._proofs = proofs
        self._votes: dict[ReplicaId, TxState] = {}
        self._refusals: dict[ReplicaId, tuple[int, str]] = {}

    def _weigh(self, replica: ReplicaId, reply: Reply, now: Millis) -> list[Ask]:
        match reply:
            case ReceiptReply(receipt=data):
                self._prove(replica, self._proofs.receipt(data, self.tx_id), now)
            case Fate(tx_id=tx_id, state=state) if tx_id == self.tx_id:
                return self._heard_fate(replica, state, now)
            case Refused(code=code, reason=reason):
                self._votes.pop(replica, None)
                self._refusals[replica] = (code, reason)
                self._count()
                return self._turn_to_all(now)
            case ErrorReply():
                return self._turn_to_all(now)
            case _:
                pass  # a sign of life
        return []

    def _heard_fate(self, replica: ReplicaId, state: TxState, now: Millis) -> list[Ask]:
        self._refusals.pop(replica, None)
        self._votes[replica] = state
        self._count()
        return self._turn_to_all(now)

    def _count(self) -> None:
        """Sets `answer` if enough replicas say the same."""
        if self._said(TxState.EXPIRED) >= self.group.weak_quorum:
            self.answer = self._outcome(State.EXPIRED)
        elif len(self._refusals) >= self.group.weak_quorum:
            (code, reason), _ = Counter(self._refusals.values()).most_common(1)[0]
            self.answer = self._outcome(State.REFUSED, code=code, reason=reason)

    def _said(self, *states: TxState) -> int:
        return sum(state in states for state in self._votes.values())

    def _prove(self, replica: ReplicaId, receipt: Receipt, now: Millis) -> None:
        self._route.proved(replica)
        result = receipt.result
        self.answer = Outcome(
            tx_id=self.tx_id,
            state=State.COMMITTED if result.ok else State.REJECTED,
            receipt=receipt,
            code=result.code,
            reason=result.reason,
            quorum=self.group.quorum,
            replicas=self.group.n,
        )

    def _give_up(self) -> Outcome:
        if len(self.alive) < self.group.quorum:
            return self._outcome(State.NO_QUORUM)
        return self._outcome(self._last_word())

    @abstractmethod
    def _last_word(self) -> State:
        """What to say at the time-out, with a quorum there."""

    def _outcome(self, state: State, *, code: int = 0, reason: str = "", retry_ms: int = 0) -> Outcome:
        return Outcome(
            tx_id=self.tx_id,
            state=state,
            code=code,
            reason=reason,
            retry_ms=Millis(retry_ms),
            alive=len(self.alive),
            quorum=self.group.quorum,
            replicas=self.group.n,
        )


class Submission(_Inquiry):
    """A transaction on its way into the ledger. To submit it again, here or later, is harmless: it is one transaction.

    Ends with `COMMITTED`, `REJECTED`, `EXPIRED` or `REFUSED`; at its time-out with `PENDING`, `BUSY` or `NO_QUORUM`.
    """

    def __init__(
        self,
        request_id: int,
        transaction: Transaction,
        proofs: Proofs,
        route: Route,
        timing: Timing,
        timeout_ms: int,
    ) -> None:
        request = Submit(request_id=request_id, transaction=transaction.encoded)
        super().__init__(request, transaction.id, proofs, route, timing, timeout_ms)
        self._first = route.first()
        self._transaction = transaction
        self._receipt_asked: set[ReplicaId] = set()
        self._retry_ms = Millis(0)

    def committed(self, replica: ReplicaId, frame: Committed, item: CommittedItem, now: Millis) -> None:
        """An item of a frame whose header is certified. Raises `Malformed` or `BadProof`: then call `lied`."""
        if self.answer is None and replica not in self._liars:
            self._prove(replica, self._proofs.committed(frame.header, frame.certificate, item, self._transaction), now)

    def _prove(self, replica: ReplicaId, receipt: Receipt, now: Millis) -> None:
        super()._prove(replica, receipt, now)
        self._route.answered(self._first, now - self._began, now)

    def tick(self, now: Millis) -> list[Ask]:
        """As of every question."""
        if now >= self._deadline and self._busy:
            self._retry_ms = Millis(max(0, min(self._busy.values()) - now))
        if now >= self._resend_at:
            self._receipt_asked.clear()
        return super().tick(now)

    def _heard_fate(self, replica: ReplicaId, state: TxState, now: Millis) -> list[Ask]:
        if state not in _IN_LEDGER:
            return super()._heard_fate(replica, state, now) if state is TxState.EXPIRED else []
        if replica in self._receipt_asked:
            return []
        self._receipt_asked.add(replica)  # once until the next round, whatever it goes on saying
        return [Ask(replica, AskReceipt(request_id=self.request_id, tx_id=self.tx_id))]

    def _last_word(self) -> State:
        return State.BUSY if self.alive <= self._busy.keys() else State.PENDING

    def _outcome(self, state: State, *, code: int = 0, reason: str = "", retry_ms: int = 0) -> Outcome:
        return super()._outcome(
            state, code=code, reason=reason, retry_ms=self._retry_ms if state is State.BUSY else retry_ms
        )


class FateQuestion(_Inquiry):
    """ "What became of this transaction?" of one that somebody submitted.

    Ends with `COMMITTED`, `REJECTED` or `EXPIRED`; with `PENDING` or `UNKNOWN` when a quorum has answered; at its
    time-out with `NO_QUORUM` or one of these. Of an acknowledged transaction every quorum holds a correct replica
    that can prove it, so its fate is not `UNKNOWN` to a quorum. Fewer do not make it so, whoever else shows that it is
    alive, but says nothing of the transaction.
    """

    def __init__(
        self, request_id: int, tx_id: TxId, proofs: Proofs, route: Route, timing: Timing, timeout_ms: int
    ) -> None:
        request = AskReceipt(request_id=request_id, tx_id=tx_id)
        super().__init__(request, tx_id, proofs, route, timing, timeout_ms)

    def _count(self) -> None:
        super()._count()
        if self.answer is not None or len(self._votes) < self.group.quorum:
            return
        expired, claimed = self._said(TxState.EXPIRED), self._said(*_IN_LEDGER)
        everybody = len(self._votes) + len(self._liars) == self.group.n
        if claimed >= self.group.weak_quorum or ((expired or claimed) and not everybody):
            return  # a proof will come, or more votes
        self.answer = self._outcome(self._last_word())

    def _give_up(self) -> Outcome:
        if len(self._votes) < self.group.quorum:
            self.alive &= self._votes.keys()
        return super()._give_up()

    def _last_word(self) -> State:
        return State.PENDING if self._said(TxState.PENDING, *_IN_LEDGER) else State.UNKNOWN
