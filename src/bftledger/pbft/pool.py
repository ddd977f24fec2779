"""Pending transactions: what clients gave, and what proposals brought, until a block settles it.

In the order of arrival. `waiting` are those that no proposal of the current view contains; the primary proposes them
first come, first served. Those that clients or relays bring are bounded in count, bytes and per sender, those that
proposals bring by the watermarks.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from bftledger.base.ids import PublicKey, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.effects import Ignored
from bftledger.pbft.settings import Settings


def batches(transactions: Iterable[Transaction], settings: Settings) -> Iterator[tuple[Transaction, ...]]:
    """The transactions in their order, cut into pieces that one proposal or RELAY may hold."""
    chosen: list[Transaction] = []
    size = 0
    for transaction in transactions:
        size += len(transaction.encoded)
        if chosen and (size > settings.batch_bytes or len(chosen) >= settings.batch_count):
            yield tuple(chosen)
            chosen, size = [], len(transaction.encoded)
        chosen.append(transaction)
    if chosen:
        yield tuple(chosen)


class Pool:
    """The pending transactions of one replica."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pending: OrderedDict[TxId, Transaction] = OrderedDict()
        self._waiting: OrderedDict[TxId, Transaction] = OrderedDict()
        self._bytes = 0
        self._waiting_bytes = 0
        self._per_sender: Counter[PublicKey] = Counter()

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, transaction: TxId) -> bool:
        return transaction in self._pending

    @property
    def waiting_count(self) -> int:
        """How many transactions no proposal of the current view contains."""
        return len(self._waiting)

    @property
    def fills_batch(self) -> bool:
        """Whether what waits is enough for the largest proposal."""
        return len(self._waiting) >= self._settings.batch_count or self._waiting_bytes >= self._settings.batch_bytes

    @property
    def bytes(self) -> int:
        """The size of all pending transactions."""
        return self._bytes

    @property
    def waiting_bytes(self) -> int:
        """The size of those that wait."""
        return self._waiting_bytes

    def shares(self) -> Mapping[PublicKey, int]:
        """How many pending transactions each sender has."""
        return self._per_sender

    def oldest(self) -> TxId | None:
        """The pending transaction that has been here longest."""
        return next(iter(self._pending), None)

    def admit(self, transaction: Transaction) -> Ignored | None:
        """Takes a client's transaction, or says why not."""
        if transaction.id in self._pending:
            return Ignored.DUPLICATE
        if (
            len(self._pending) >= self._settings.pool_count
            or self._bytes + len(transaction.encoded) > self._settings.pool_bytes
        ):
            return Ignored.POOL_FULL
        if self._per_sender[transaction.sender] >= self._settings.pool_share:
            return Ignored.SHARE_USED
        self._add(transaction)
        self._waiting[transaction.id] = transaction
        self._waiting_bytes += len(transaction.encoded)
        return None

    def mark_proposed(self, transactions: Iterable[Transaction]) -> None:
        """A proposal that was accepted contains these: they are pending, but wait no more."""
        for transaction in transactions:
            self._stop_waiting(transaction.id)
            if transaction.id not in self._pending:
                self._add(transaction)

    def return_proposed(self) -> None:
        """A view ended: all that is pending waits again, in the order of arrival."""
        self._waiting = self._pending.copy()
        self._waiting_bytes = self._bytes

    def settle(self, transactions: Iterable[TxId]) -> None:
        """A block settled these."""
        for transaction_id in transactions:
            transaction = self._pending.pop(transaction_id, None)
            if transaction is not None:
                self._stop_waiting(transaction_id)
                self._bytes -= len(transaction.encoded)
                self._per_sender[transaction.sender] -= 1
                if not self._per_sender[transaction.sender]:
                    del self._per_sender[transaction.sender]

    def batch(self) -> tuple[Transaction, ...]:
        """The transactions that a proposal made now would contain: the oldest waiting ones, within the bounds."""
        return next(batches(self._waiting.values(), self._settings), ())

    def oldest_pending(self, count: int) -> tuple[Transaction, ...]:
        """The `count` pending transactions that have been here longest, as far as one RELAY may hold them."""
        return next(batches(islice(self._pending.values(), count), self._settings), ())

    def pending(self) -> tuple[Transaction, ...]:
        """All pending transactions, in the order of arrival."""
        return tuple(self._pending.values())

    def waiting(self) -> tuple[Transaction, ...]:
        """Those that no proposal of the current view contains, in the order of arrival."""
        return tuple(self._waiting.values())

    def _stop_waiting(self, transaction_id: TxId) -> None:
        transaction = self._waiting.pop(transaction_id, None)
        if transaction is not None:
            self._waiting_bytes -= len(transaction.encoded)

    def _add(self, transaction: Transaction) -> None:
        self._pending[transaction.id] = transaction
        self._bytes += len(transaction.encoded)
        self._per_sender[transaction.sender] += 1
