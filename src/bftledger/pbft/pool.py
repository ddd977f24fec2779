"""Pending transactions: what clients gave, what other replicas passed on, and what proposals brought, until a block
settles them.

`waiting` are those that no proposal of the current view contains. What clients bring is bounded in count, bytes and per
sender; what each replica passes on has a room of its own, which neither clients nor other replicas can fill. What
proposals bring is bounded by the watermarks while their view lasts, and by a room when it has ended: primaries that
nobody follows any more must not fill the pool. Whatever falls out there is still pending where a client brought it.

Whatever a client or a replica brings here has passed the door: any other honest replica would take it now (`admit`), so
a primary has no excuse for not proposing it. What only replicas brought and that is not true of is forgotten with the
view.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from bftledger.base.ids import Millis, PublicKey, ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.effects import Ignored
from bftledger.pbft.passing import Moment, Passing
from bftledger.pbft.rooms import CLIENTS, PROPOSALS, Room, rooms_of
from bftledger.pbft.settings import Settings
from bftledger.pbft.waiting import Waiting

NEVER: Final = Millis(1 << 63)


class Pool:
    """The pending transactions of one replica of `n`."""

    def __init__(self, settings: Settings, n: int) -> None:
        self._settings = settings
        self._pending: OrderedDict[TxId, Transaction] = OrderedDict()
        """In the order of arrival."""
        self._bytes = 0
        self._per_sender: dict[PublicKey, int] = {}
        self._rooms = rooms_of(settings, n)
        self._origins: dict[TxId, ReplicaId] = {}
        """Whose room a transaction takes; those that proposals of the current view brought take nobody's."""
        self._earliest = NEVER
        """Nothing that is pending expires earlier."""
        self.waiting = Waiting(settings)
        """What no proposal of the current view contains."""
        self.passing = Passing(settings, n)
        """What of it a backup passes on."""

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, transaction: TxId) -> bool:
        return transaction in self._pending

    @property
    def bytes(self) -> int:
        """The size of all pending transactions."""
        return self._bytes

    def shares(self) -> Mapping[PublicKey, int]:
        """How many of the clients' pending transactions each sender has."""
        return self._per_sender

    def rooms(self) -> Mapping[ReplicaId, Room]:
        """What clients (`CLIENTS`), each replica's relays, and earlier views' proposals (`PROPOSALS`) take."""
        return self._rooms

    def origins(self) -> Mapping[TxId, ReplicaId]:
        """Whose room each transaction takes that takes any."""
        return self._origins

    def is_of_client(self, transaction: TxId) -> bool:
        """Whether a client of this replica submitted it."""
        return self._origins.get(transaction) == CLIENTS

    def pending(self) -> tuple[Transaction, ...]:
        """All pending transactions, in the order of arrival."""
        return tuple(self._pending.values())

    def oldest(self) -> Transaction | None:
        """The pending transaction that has been here longest."""
        return next(iter(self._pending.values()), None)

    # ── in ──

    def admit(self, transaction: Transaction) -> Ignored | None:
        """Takes a client's transaction, or says why not."""
        tx_id, sender = transaction.id, transaction.sender
        is_known = tx_id in self._pending
        if is_known and self._origins.get(tx_id) == CLIENTS:
            return Ignored.DUPLICATE
        if not self._rooms[CLIENTS].has_place_for(len(transaction.encoded)):
            return Ignored.DUPLICATE if is_known else Ignored.POOL_FULL
        of_sender = self._per_sender.get(sender, 0)
        if of_sender >= self._settings.pool_share:
            return Ignored.DUPLICATE if is_known else Ignored.SHARE_USED
        self._per_sender[sender] = of_sender + 1
        if not is_known:
            self._take(transaction, CLIENTS)
            return None
        self._make_room(transaction)  # from now on it stays, whatever becomes of those that brought it before
        self._give_room(transaction, CLIENTS)
        if tx_id in self.waiting:
            self._wait(transaction)
        return Ignored.DUPLICATE

    def admit_relayed(self, transaction: Transaction, by: ReplicaId) -> Ignored | None:
        """Takes what another replica passed on, or says why not.

        What somebody else brought before stands in the queue of `by` as well: it counts on that.
        """
        room = self._rooms[by]
        if transaction.id in self._pending:
            self.waiting.second(transaction.id, by, room.max_count)
            return Ignored.DUPLICATE
        if not room.has_place_for(len(transaction.encoded)):
            return Ignored.SHARE_USED
        self._take(transaction, by)
        return None

    def has_room_for_relays_of(self, replica: ReplicaId) -> bool:
        """Whether anything that this replica passes on may find room."""
        return self._rooms[replica].has_place_for(1)

    def mark_proposed(self, transactions: Iterable[Transaction]) -> None:
        """A proposal that was accepted contains these: they are pending, but wait no more."""
        pending, origins = self._pending, self._origins
        for transaction in transactions:
            tx_id = transaction.id
            if tx_id not in pending:
                self._keep(transaction)
                continue
            self._stop_waiting(tx_id)
            if origins.get(tx_id, CLIENTS) != CLIENTS:
                self._make_room(transaction)

    # ── out, or back ──

    def settle(self, transactions: Iterable[TxId]) -> None:
        """A block settled these."""
        pending, waiting, origins, forget = self._pending, self.waiting, self._origins, self.passing.forget
        for tx_id in transactions:
            transaction = pending.pop(tx_id, None)
            if transaction is None:
                continue
            self._bytes -= len(transaction.encoded)
            if tx_id in waiting:
                self._stop_waiting(tx_id)
            if tx_id in origins:
                self._make_room(transaction)
            forget(tx_id)

    def take_back(self, transactions: Iterable[Transaction]) -> None:
        """The block of a proposal with these has left some of them pending: those wait again.

        What only the proposal brought has to find room, or is forgotten.
        """
        for transaction in transactions:
            if transaction.id in self._pending and transaction.id not in self.waiting and self._finds_room(transaction):
                self._wait(transaction)

    def return_proposed(self, latest: Millis) -> None:
        """A view ended: all that is pending waits again, in the order of arrival, and was passed on to nobody.

        What only its proposals brought has to find room, first come, first served; and what only replicas brought must
        not be created after `latest`, because others may refuse it still. What is forgotten so may be carried over.
        """
        self.waiting.clear()
        self.passing.clear()
        for transaction in self.pending():
            origin = self._origins.get(transaction.id)
            if origin != CLIENTS and transaction.created > latest:
                self._forget(transaction)
            elif self._finds_room(transaction):
                self._wait(transaction)

    def expired(self, time: Millis) -> tuple[TxId, ...]:
        """What is pending and no block after one of this `time`, in milliseconds since the epoch, can hold.

        Such a block is at least a millisecond later.
        """
        if time < self._earliest:
            return ()
        pending = self._pending.values()
        self._earliest = min([tx.expires for tx in pending if tx.expires > time], default=NEVER)
        return tuple([tx.id for tx in pending if tx.expires <= time])

    # ── what a backup passes on ──

    def share_oldest(self, count: int, now: Moment) -> tuple[Transaction, ...]:
        """The `count` that have been pending longest, as far as one RELAY may hold them, for all to know."""
        return self.passing.share(islice(self._pending.values(), count), self.waiting, now)

    def share_passed(self, count: int, now: Moment) -> tuple[Transaction, ...]:
        """Likewise the `count` that were passed on to the primary alone first."""
        return self.passing.share([each.transaction for each in self.passing.passed_first(count)], self.waiting, now)

    # ── the books ──

    def _take(self, transaction: Transaction, origin: ReplicaId) -> None:
        self._give_room(transaction, origin)
        self._keep(transaction)
        self._wait(transaction)

    def _keep(self, transaction: Transaction) -> None:
        self._pending[transaction.id] = transaction
        self._bytes += len(transaction.encoded)
        self._earliest = min(self._earliest, transaction.expires)

    def _wait(self, transaction: Transaction) -> None:
        origin = self._origins[transaction.id]
        self.waiting.put(transaction, origin)
        self.passing.put(transaction, is_own=origin == CLIENTS)

    def _stop_waiting(self, tx_id: TxId) -> None:
        transaction = self.waiting.remove(tx_id)
        if transaction is not None:
            self.passing.stop(transaction)

    def _finds_room(self, transaction: Transaction) -> bool:
        """What takes nobody's room takes that of proposals, or is forgotten."""
        if transaction.id in self._origins:
            return True
        if self._rooms[PROPOSALS].has_place_for(len(transaction.encoded)):
            self._give_room(transaction, PROPOSALS)
            return True
        self._forget(transaction)
        return False

    def _forget(self, transaction: Transaction) -> None:
        del self._pending[transaction.id]
        self._bytes -= len(transaction.encoded)
        self.passing.forget(transaction.id)
        self._make_room(transaction)

    def _give_room(self, transaction: Transaction, origin: ReplicaId) -> None:
        self._origins[transaction.id] = origin
        self._rooms[origin].add(len(transaction.encoded))

    def _make_room(self, transaction: Transaction) -> None:
        origin = self._origins.pop(transaction.id, None)
        if origin is None:
            return
        self._rooms[origin].remove(len(transaction.encoded))
        if origin == CLIENTS:
            left = self._per_sender.pop(transaction.sender) - 1
            if left:
                self._per_sender[transaction.sender] = left
