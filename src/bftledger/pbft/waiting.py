"""The transactions that no proposal of the current view contains, and in which order a primary proposes them.

Clients of this replica take turns among themselves; all of them together with each other replica's relays and with what
earlier views left (`turns`). A backup has no use for turns, and does not pay for them.

What several brought stands in the queue of each: whoever passes on what somebody else has brought already waits no
longer for it than for what is new (`suspicion.patience`), wherever it stands in the other's queue.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from bftledger.base.ids import Millis, ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Crowd, Queue, Turns, least_cost


class Held(NamedTuple):
    """A transaction that waits, and in whose queues: first in that of whose room it takes."""

    transaction: Transaction
    origins: tuple[ReplicaId, ...]


class Waiting:
    """In the order of arrival; from the first `batch` of a view on also in turns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: dict[TxId, Held] = {}
        self._seconded: Counter[ReplicaId] = Counter()
        """How many of them each has in its queue that take no room of its own."""
        self._clients: Final = Crowd(least_cost(settings))
        self._replicas: dict[ReplicaId, Queue] = {}
        self._all: Final = Turns[ReplicaId](least_cost(settings))
        self._takes_turns = False
        self._aside: dict[TxId, Transaction] = {}
        """What had expired when a batch was made stands in no queue."""
        self.aside_bytes = 0
        """The size of these."""
        self._aside_at = Millis(0)
        self.bytes = 0
        """The size of all of them."""

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, transaction: TxId) -> bool:
        return transaction in self._held

    @property
    def fills_batch(self) -> bool:
        """Whether they are enough for the largest proposal, but for what has expired."""
        count, size = len(self._held) - len(self._aside), self.bytes - self.aside_bytes
        return count >= self._settings.batch_count or size >= self._settings.batch_bytes

    def all(self) -> tuple[Transaction, ...]:
        """All of them, in the order of arrival."""
        return tuple([held.transaction for held in self._held.values()])

    def aside(self) -> Mapping[TxId, Transaction]:
        """Those that had expired when a batch was made: a block settles them, and none holds them."""
        return self._aside

    def seconded(self) -> Counter[ReplicaId]:
        """How many each has in its queue besides those that take room of its own."""
        return self._seconded

    def put(self, transaction: Transaction, origin: ReplicaId) -> None:
        """One more waits, in the queue of `origin`; or in that as well, and takes room of its own from now on."""
        held = self._held.get(transaction.id)
        if held is None:
            self.bytes += len(transaction.encoded)
            self._held[transaction.id] = Held(transaction, (origin,))
        elif origin in held.origins:
            return
        else:
            self._held[transaction.id] = Held(transaction, (origin, *held.origins))
            self._seconded[held.origins[0]] += 1
        if self._takes_turns and transaction.id not in self._aside:
            self._enter(transaction, origin)

    def second(self, transaction: TxId, by: ReplicaId, most: int) -> None:
        """What waits already stands in the queue of `by` as well, unless that has `most` of the kind."""
        held = self._held.get(transaction)
        if held is None or by in held.origins or self._seconded[by] >= most:
            return
        self._held[transaction] = Held(held.transaction, (*held.origins, by))
        self._seconded[by] += 1
        if self._takes_turns and transaction not in self._aside:
            self._enter(held.transaction, by)

    def remove(self, transaction: TxId) -> Transaction | None:
        """This one waits no more; None if it did not."""
        held = self._held.pop(transaction, None)
        if held is None:
            return None
        self.bytes -= len(held.transaction.encoded)
        for by in held.origins[1:]:
            self._seconded[by] -= 1
        if self._aside.pop(transaction, None) is not None:
            self.aside_bytes -= len(held.transaction.encoded)
        elif self._takes_turns:
            for origin in held.origins:
                self._leave(held.transaction, origin)
        return held.transaction

    def clear(self) -> None:
        """A view ended: nothing waits, and nobody has had a turn."""
        self._held.clear()
        self._seconded.clear()
        self._replicas.clear()
        self._clients.clear()
        self._all.clear()
        self._aside.clear()
        self._takes_turns = False
        self.bytes = self.aside_bytes = 0

    def batch(self, now: Millis) -> tuple[Transaction, ...]:
        """What a proposal contains, within the bounds; it waits until it is removed, but has had its turn.

        What expires before `now`, milliseconds since the epoch, is set aside; if that clock was set back since, nothing
        is any more.
        """
        if self._aside and now < self._aside_at:
            self._take_back()
        if not self._takes_turns:
            self._takes_turns = True
            for held in self._held.values():
                for origin in held.origins:
                    self._enter(held.transaction, origin)
        chosen: dict[TxId, Transaction] = {}
        expired: dict[TxId, Transaction] = {}
        size, turns, settings = 0, self._all, self._settings
        turns.begin()
        while (head := turns.head) is not None:
            if head.expires < now:
                expired[head.id] = head
                turns.skip()
                continue
            if head.id in chosen:
                turns.skip()
                continue
            size += len(head.encoded)
            if chosen and (size > settings.batch_bytes or len(chosen) >= settings.batch_count):
                turns.refuse()
                break
            chosen[head.id] = head
            turns.advance()
        if expired:
            self._set_aside(expired, now)
        return tuple(chosen.values())

    def expired(self) -> tuple[Transaction, ...]:
        """What a proposal contains that is made only to settle what has expired: what was set aside."""
        chosen: list[Transaction] = []
        size = 0
        for transaction in self._aside.values():
            size += len(transaction.encoded)
            if chosen and (size > self._settings.batch_bytes or len(chosen) >= self._settings.batch_count):
                break
            chosen.append(transaction)
        return tuple(chosen)

    # ── what has expired ──

    def _set_aside(self, expired: dict[TxId, Transaction], now: Millis) -> None:
        """Nothing looks at these again before a block settles them: there may be thousands."""
        for transaction in expired.values():
            for origin in self._held[transaction.id].origins:
                self._leave(transaction, origin)
            self.aside_bytes += len(transaction.encoded)
        self._aside |= expired
        self._aside_at = now

    def _take_back(self) -> None:
        for transaction in self._aside.values():
            for origin in self._held[transaction.id].origins:
                self._enter(transaction, origin)
        self._aside.clear()
        self.aside_bytes = 0

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
