"""Pending transactions: what clients gave, what other replicas passed on, and what proposals brought, until a block
settles them.

In the order of arrival. `waiting` are those that no proposal of the current view contains; the primary proposes them
first come, first served. What clients bring is bounded in count, bytes and per sender; what each replica passes on has
a room of its own, which neither clients nor other replicas can fill. What proposals bring is bounded by the watermarks
while their view lasts, and by a room when it has ended: primaries that nobody follows any more must not fill the pool.
Whatever falls out there is still pending where a client brought it.

A backup passes on to the primary what waits here, the submissions of its own clients first, and never more at a time
than half the room that it has there: so an honest primary takes all of it, however loaded it is.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, NamedTuple

from bftledger.base.ids import PublicKey, ReplicaId, TxId
from bftledger.base.transaction import ENVELOPE_BYTES, MAX_PAYLOAD_BYTES, Transaction
from bftledger.pbft.effects import Ignored
from bftledger.pbft.settings import Settings

CLIENTS: Final = ReplicaId(-1)
"""Whose room a submitted transaction takes, as if all clients were one replica."""

PROPOSALS: Final = ReplicaId(-2)
"""Whose room takes what only proposals brought, when their view has ended."""

MAX_TRANSACTION_BYTES: Final = MAX_PAYLOAD_BYTES + ENVELOPE_BYTES
"""No transaction is larger."""


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


class Load(NamedTuple):
    """So many transactions, and of so many bytes together."""

    number: int
    bytes: int


class Moment(NamedTuple):
    """A point in a replica's run: status ticks so far, work of primaries so far (`suspicion.work`), and what they have
    taken from their pools so far."""

    tick: int
    work: int
    taken: Load


START: Final = Moment(0, 0, Load(0, 0))


@dataclass(slots=True)
class Room:
    """How much of what is bounded is here."""

    max_count: int
    max_bytes: int
    count: int = 0
    bytes: int = 0

    def has_place_for(self, size: int) -> bool:
        """Whether one more fits; a single one always does."""
        return not self.count or (self.count < self.max_count and self.bytes + size <= self.max_bytes)

    def add(self, size: int) -> None:
        """One more of this size."""
        self.count += 1
        self.bytes += size

    def remove(self, size: int) -> None:
        """One less of this size."""
        self.count -= 1
        self.bytes -= size


class Pool:
    """The pending transactions of one replica of `n`."""

    def __init__(self, settings: Settings, n: int) -> None:
        self._settings = settings
        self._pending: OrderedDict[TxId, Transaction] = OrderedDict()
        self._waiting: OrderedDict[TxId, Transaction] = OrderedDict()
        self._bytes = 0
        self._waiting_bytes = 0
        self._per_sender: dict[PublicKey, int] = {}
        share, share_bytes = settings.pool_count // (2 * n), settings.pool_bytes // (2 * n)
        self._rooms = {ReplicaId(i): Room(share, share_bytes) for i in range(n)}
        self._rooms[CLIENTS] = Room(settings.pool_count - (n - 1) * share, settings.pool_bytes - (n - 1) * share_bytes)
        self._rooms[PROPOSALS] = Room(settings.pool_count // 2, settings.pool_bytes // 2)
        self._origins: dict[TxId, ReplicaId] = {}
        """Whose room a transaction takes; those that proposals of the current view brought take nobody's."""
        self._own: OrderedDict[TxId, Transaction] = OrderedDict()
        self._others: OrderedDict[TxId, Transaction] = OrderedDict()
        """What waits and was not passed on in this view: this replica's clients' submissions, and all else."""
        self._passed: OrderedDict[TxId, Moment] = OrderedDict()
        """What was passed on to the primary alone, and when."""
        self._shared: OrderedDict[TxId, Moment] = OrderedDict()
        """What others know as well, and since when it is with the primary."""
        self._out = Room(share // 2, share_bytes // 2)
        self._is_out: set[TxId] = set()
        """What was passed on and still waits."""

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

    def capacity(self) -> Load:
        """How much may wait here at most; a room with nothing in it takes any transaction."""
        rooms = self._rooms.values()
        return Load(
            sum([max(room.max_count, 1) for room in rooms]),
            sum([max(room.max_bytes, MAX_TRANSACTION_BYTES) for room in rooms]),
        )

    def shares(self) -> Mapping[PublicKey, int]:
        """How many of the clients' pending transactions each sender has."""
        return self._per_sender

    def rooms(self) -> Mapping[ReplicaId, Room]:
        """What clients (`CLIENTS`), each replica's relays, and earlier views' proposals (`PROPOSALS`) take."""
        return self._rooms

    def origins(self) -> Mapping[TxId, ReplicaId]:
        """Whose room each transaction takes that takes any."""
        return self._origins

    def oldest(self) -> Transaction | None:
        """The pending transaction that has been here longest."""
        return next(iter(self._pending.values()), None)

    # ── in and out ──

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
        if is_known:  # from now on it stays, whatever becomes of those that brought it before
            self._make_room(transaction)
            self._give_room(transaction, CLIENTS)
            return Ignored.DUPLICATE
        self._take(transaction, CLIENTS)
        self._own[tx_id] = transaction
        return None

    def admit_relayed(self, transaction: Transaction, by: ReplicaId) -> Ignored | None:
        """Takes what another replica passed on, or says why not."""
        if transaction.id in self._pending:
            return Ignored.DUPLICATE
        if not self._rooms[by].has_place_for(len(transaction.encoded)):
            return Ignored.SHARE_USED
        self._take(transaction, by)
        self._others[transaction.id] = transaction
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
                pending[tx_id] = transaction
                self._bytes += len(transaction.encoded)
                continue
            self._stop_waiting(tx_id)
            if origins.get(tx_id, CLIENTS) != CLIENTS:
                self._make_room(transaction)

    def return_proposed(self) -> None:
        """A view ended: all that is pending waits again, in the order of arrival, and was passed on to nobody.

        What only its proposals brought has to find room, first come, first served. What does not is forgotten, unless
        the next view carries it over.
        """
        self._make_proposals_find_room()
        self._waiting = self._pending.copy()
        self._waiting_bytes = self._bytes
        for queue in (self._own, self._others, self._passed, self._shared, self._is_out):
            queue.clear()
        self._out.count = self._out.bytes = 0
        for transaction in self._pending.values():
            queue = self._own if self._origins.get(transaction.id) == CLIENTS else self._others
            queue[transaction.id] = transaction

    def settle(self, transactions: Iterable[TxId]) -> None:
        """A block settled these."""
        pending, waiting, origins, passed, shared = (
            self._pending,
            self._waiting,
            self._origins,
            self._passed,
            self._shared,
        )
        for tx_id in transactions:
            transaction = pending.pop(tx_id, None)
            if transaction is None:
                continue
            self._bytes -= len(transaction.encoded)
            if tx_id in waiting:
                self._stop_waiting(tx_id)
            if tx_id in origins:
                self._make_room(transaction)
            passed.pop(tx_id, None)
            shared.pop(tx_id, None)

    # ── what a primary proposes ──

    def batch(self) -> tuple[Transaction, ...]:
        """The transactions that a proposal made now would contain: the oldest waiting ones, within the bounds."""
        return next(batches(self._waiting.values(), self._settings), ())

    def pending(self) -> tuple[Transaction, ...]:
        """All pending transactions, in the order of arrival."""
        return tuple(self._pending.values())

    def waiting(self) -> tuple[Transaction, ...]:
        """Those that no proposal of the current view contains, in the order of arrival."""
        return tuple(self._waiting.values())

    # ── what a backup passes on ──

    @property
    def has_to_pass_on(self) -> bool:
        """Whether anything waits that this replica has not passed on in this view."""
        return bool(self._own or self._others)

    def pass_on(self, now: Moment) -> tuple[Transaction, ...]:
        """What the primary should get next, as much as is certain to find room there."""
        chosen: list[Transaction] = []
        for transaction in chain(self._own.values(), self._others.values()):
            if not self._out.has_place_for(len(transaction.encoded)):
                break
            chosen.append(transaction)
            self._count_as_out(transaction)
        for transaction in chosen:
            if self._own.pop(transaction.id, None):
                self._passed[transaction.id] = now
            else:
                del self._others[transaction.id]
                self._shared[transaction.id] = now
        return tuple(chosen)

    def share_oldest(self, count: int, now: Moment) -> tuple[Transaction, ...]:
        """The `count` that have been pending longest, as far as one RELAY may hold them, for all to know."""
        return self._share(islice(self._pending.values(), count), now)

    def share_passed(self, count: int, now: Moment) -> tuple[Transaction, ...]:
        """Likewise the `count` that were passed on to the primary alone first."""
        return self._share((self._pending[tx_id] for tx_id in islice(self._passed, count)), now)

    def passed_on(self) -> set[TxId]:
        """What this replica has passed on in this view, to the primary alone or to all."""
        return {*self._passed, *self._shared}

    def passed_first(self) -> Moment | None:
        """Since when the primary has what was passed on to it alone first."""
        return next(iter(self._passed.values()), None)

    def is_shared(self, transaction: TxId) -> bool:
        """Whether others know it as well as the primary, as far as this replica does."""
        return transaction in self._shared

    def shared(self) -> Iterator[tuple[Transaction, Moment]]:
        """What the primary and the others know, and since when: what they have known longest comes first."""
        for tx_id, since in self._shared.items():
            yield self._pending[tx_id], since

    def _share(self, transactions: Iterable[Transaction], now: Moment) -> tuple[Transaction, ...]:
        shared = next(batches(transactions, self._settings), ())
        for transaction in shared:
            self._own.pop(transaction.id, None)
            self._others.pop(transaction.id, None)
            self._passed.pop(transaction.id, None)
            if transaction.id in self._waiting and transaction.id not in self._is_out:
                self._count_as_out(transaction)
            self._shared.setdefault(transaction.id, now)
        return shared

    def _count_as_out(self, transaction: Transaction) -> None:
        self._is_out.add(transaction.id)
        self._out.add(len(transaction.encoded))

    # ── the books ──

    def _make_proposals_find_room(self) -> None:
        room = self._rooms[PROPOSALS]
        for transaction in [tx for tx in self._pending.values() if tx.id not in self._origins]:
            if room.has_place_for(len(transaction.encoded)):
                self._give_room(transaction, PROPOSALS)
            else:
                del self._pending[transaction.id]
                self._bytes -= len(transaction.encoded)

    def _take(self, transaction: Transaction, origin: ReplicaId) -> None:
        self._give_room(transaction, origin)
        self._pending[transaction.id] = self._waiting[transaction.id] = transaction
        size = len(transaction.encoded)
        self._bytes += size
        self._waiting_bytes += size

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

    def _stop_waiting(self, transaction_id: TxId) -> None:
        transaction = self._waiting.pop(transaction_id, None)
        if transaction is not None:
            self._waiting_bytes -= len(transaction.encoded)
            self._own.pop(transaction_id, None)
            self._others.pop(transaction_id, None)
            if transaction_id in self._is_out:
                self._is_out.remove(transaction_id)
                self._out.remove(len(transaction.encoded))
