"""The transactions that no proposal of the current view contains, and in which order a primary proposes them.

Clients of this replica take turns among themselves; all of them together with each other replica's relays and with what
earlier views left (`turns`). A backup has no use for turns, and does not pay for them.

Who has a long queue here would be overtaken for ever by others who keep coming, and those who watch the primary could
not tell that from censorship. So what was overtaken by half of what a pool can hold is served first, in the order of
arrival: nothing waits longer than for as much as was there before it, and that half (`suspicion.patience`).
"""

from itertools import takewhile
from typing import Final, NamedTuple

from bftledger.base.ids import ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import CLIENTS, Load
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Crowd, Queue, Turns, least_cost


class Held(NamedTuple):
    """A transaction that waits: in whose queue, and how much had been chosen in this view when it came."""

    transaction: Transaction
    origin: ReplicaId
    since: Load


def most_overtaking(capacity: Load) -> Load:
    """So much may be chosen before what came earlier, in a pool that can hold `capacity`."""
    return Load(capacity.number // 2, capacity.bytes // 2)


class Waiting:
    """In the order of arrival; from the first `batch` of a view on also in turns. `capacity`: of the whole pool."""

    def __init__(self, settings: Settings, capacity: Load) -> None:
        self._settings = settings
        self._most = most_overtaking(capacity)
        self._held: dict[TxId, Held] = {}
        self._chosen = Load(0, 0)
        """How much `batch` has chosen in this view."""
        self._clients: Final = Crowd(least_cost(settings))
        self._replicas: dict[ReplicaId, Queue] = {}
        self._all: Final = Turns[ReplicaId](least_cost(settings))
        self._takes_turns = False
        self.bytes = 0
        """The size of all of them."""

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, transaction: TxId) -> bool:
        return transaction in self._held

    @property
    def fills_batch(self) -> bool:
        """Whether they are enough for the largest proposal."""
        return len(self._held) >= self._settings.batch_count or self.bytes >= self._settings.batch_bytes

    def all(self) -> tuple[Transaction, ...]:
        """All of them, in the order of arrival."""
        return tuple([held.transaction for held in self._held.values()])

    def put(self, transaction: Transaction, origin: ReplicaId) -> None:
        """One more waits, in the queue of `origin`; or changes over to it from another."""
        held = self._held.get(transaction.id)
        if held is None:
            self.bytes += len(transaction.encoded)
        elif self._takes_turns:
            self._leave(held)
        self._held[transaction.id] = Held(transaction, origin, self._chosen if held is None else held.since)
        if self._takes_turns:
            self._enter(transaction, origin)

    def remove(self, transaction: TxId) -> Transaction | None:
        """This one waits no more; None if it did not."""
        held = self._held.pop(transaction, None)
        if held is None:
            return None
        self.bytes -= len(held.transaction.encoded)
        if self._takes_turns:
            self._leave(held)
        return held.transaction

    def clear(self) -> None:
        """A view ended: nothing waits, and nobody has had a turn."""
        self._held.clear()
        self._chosen = Load(0, 0)
        self._replicas.clear()
        self._clients.clear()
        self._all.clear()
        self._takes_turns = False
        self.bytes = 0

    def batch(self) -> tuple[Transaction, ...]:
        """What a proposal made now contains, within the bounds; it waits until it is removed, but has had its turn."""
        if not self._takes_turns:
            self._takes_turns = True
            for held in self._held.values():
                self._enter(held.transaction, held.origin)
        chosen: dict[TxId, Transaction] = {}
        size, turns, settings = 0, self._all, self._settings
        for held in takewhile(self._is_overtaken, self._held.values()):
            size += len(held.transaction.encoded)
            if chosen and (size > settings.batch_bytes or len(chosen) >= settings.batch_count):
                return self._count(chosen)
            chosen[held.transaction.id] = held.transaction
            self._pay(held)
        turns.begin()
        while (head := turns.head) is not None:
            if head.id in chosen:
                turns.skip()
                continue
            size += len(head.encoded)
            if chosen and (size > settings.batch_bytes or len(chosen) >= settings.batch_count):
                turns.refuse()
                break
            chosen[head.id] = head
            turns.advance()
        return self._count(chosen)

    def _pay(self, held: Held) -> None:
        self._all.pay(held.origin, held.transaction)
        if held.origin == CLIENTS:
            self._clients.pay(held.transaction.sender, held.transaction)

    def _is_overtaken(self, held: Held) -> bool:
        chosen, since, most = self._chosen, held.since, self._most
        return chosen.number - since.number >= most.number or chosen.bytes - since.bytes >= most.bytes

    def _count(self, chosen: dict[TxId, Transaction]) -> tuple[Transaction, ...]:
        size = sum([len(transaction.encoded) for transaction in chosen.values()])
        self._chosen = Load(self._chosen.number + len(chosen), self._chosen.bytes + size)
        return tuple(chosen.values())

    # ── the queues ──

    def _enter(self, transaction: Transaction, origin: ReplicaId) -> None:
        if origin == CLIENTS:
            if not self._clients:
                self._all.enter(CLIENTS, self._clients)
            self._clients.put(transaction)
            return
        queue = self._replicas.get(origin)
        if queue is None:
            queue = self._replicas[origin] = Queue()
            self._all.enter(origin, queue)
        queue.waiting[transaction.id] = transaction

    def _leave(self, held: Held) -> None:
        transaction, origin, _ = held
        if origin == CLIENTS:
            self._clients.remove(transaction)
            if not self._clients:
                self._all.leave(CLIENTS)
            return
        waiting = self._replicas[origin].waiting
        del waiting[transaction.id]
        if not waiting:
            del self._replicas[origin]
            self._all.leave(origin)
