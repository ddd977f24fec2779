"""The transactions that no proposal of the current view contains, and in which order a primary proposes them.

Clients of this replica take turns among themselves; all of them together with each other replica's relays and with what
earlier views left (`turns`). A backup has no use for turns, and does not pay for them.
"""

from typing import Final

from bftledger.base.ids import ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Crowd, Queue, Turns, least_cost


class Waiting:
    """In the order of arrival; from the first `batch` of a view on also in turns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._origins: dict[TxId, tuple[Transaction, ReplicaId]] = {}
        self._clients: Final = Crowd(least_cost(settings))
        self._replicas: dict[ReplicaId, Queue] = {}
        self._all: Final = Turns[ReplicaId](least_cost(settings))
        self._takes_turns = False
        self.bytes = 0
        """The size of all of them."""

    def __len__(self) -> int:
        return len(self._origins)

    def __contains__(self, transaction: TxId) -> bool:
        return transaction in self._origins

    @property
    def fills_batch(self) -> bool:
        """Whether they are enough for the largest proposal."""
        return len(self._origins) >= self._settings.batch_count or self.bytes >= self._settings.batch_bytes

    def all(self) -> tuple[Transaction, ...]:
        """All of them, in the order of arrival."""
        return tuple([transaction for transaction, _ in self._origins.values()])

    def put(self, transaction: Transaction, origin: ReplicaId) -> None:
        """One more waits, in the queue of `origin`; or changes over to it from another."""
        held = self._origins.get(transaction.id)
        if held is None:
            self.bytes += len(transaction.encoded)
        elif self._takes_turns:
            self._leave(*held)
        self._origins[transaction.id] = transaction, origin
        if self._takes_turns:
            self._enter(transaction, origin)

    def remove(self, transaction: TxId) -> Transaction | None:
        """This one waits no more; None if it did not."""
        held = self._origins.pop(transaction, None)
        if held is None:
            return None
        self.bytes -= len(held[0].encoded)
        if self._takes_turns:
            self._leave(*held)
        return held[0]

    def clear(self) -> None:
        """A view ended: nothing waits, and nobody has had a turn."""
        self._origins.clear()
        self._replicas.clear()
        self._clients.clear()
        self._all.clear()
        self._takes_turns = False
        self.bytes = 0

    def batch(self) -> tuple[Transaction, ...]:
        """What a proposal made now contains, within the bounds; it waits until it is removed, but has had its turn."""
        if not self._takes_turns:
            self._takes_turns = True
            for transaction, origin in self._origins.values():
                self._enter(transaction, origin)
        chosen: list[Transaction] = []
        size, turns, settings = 0, self._all, self._settings
        turns.begin()
        while (head := turns.head) is not None:
            size += len(head.encoded)
            if chosen and (size > settings.batch_bytes or len(chosen) >= settings.batch_count):
                turns.refuse()
                break
            chosen.append(head)
            turns.advance()
        return tuple(chosen)

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

    def _leave(self, transaction: Transaction, origin: ReplicaId) -> None:
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
