"""Who takes turns with whom in the batches of a primary: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM'96).

Not in the paper, whose primary takes what comes first: whoever brings thousands at once, a client or a faulty backup,
would make all others wait behind them. Here each party has a queue of its own, and a virtual time at which it is next
served: when it was served last, and the cost of what it got. Next is the party with the earliest. One that had nothing
begins at the time of who was served last: nobody saves up turns. So what has the cost c before it in its own queue
waits at most until every other party was served for c, and for one transaction more.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heapreplace
from typing import Final, Generic, Protocol, TypeVar

from bftledger.base.ids import PublicKey, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.settings import Settings

FIRST: Final = -1
"""Before all virtual times."""

K = TypeVar("K", bound=Hashable)


def least_cost(settings: Settings) -> int:
    """What any transaction costs at least: it takes as much of a batch by its count."""
    return settings.batch_bytes // settings.batch_count


class Source(Protocol):
    """Gives one transaction after the other; between `begin` and the last of them nothing may enter or leave."""

    @property
    def head(self) -> Transaction | None:
        """The next one; None at the end."""

    def begin(self) -> None:
        """Starts anew."""

    def advance(self) -> None:
        """The head is taken: on to the next."""

    def refuse(self) -> None:
        """The head is not taken, and there is no more room: the next time it comes first."""


class Queue:
    """First come, first served. The transactions stay until they are removed from `waiting`."""

    __slots__ = ("_rest", "head", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[TxId, Transaction] = {}
        self.head: Transaction | None = None
        self._rest = iter(self.waiting.values())

    def begin(self) -> None:
        """Starts with whoever came first."""
        self._rest = iter(self.waiting.values())
        self.advance()

    def advance(self) -> None:
        """The head is taken: on to the next."""
        self.head = next(self._rest, None)

    def refuse(self) -> None:
        """The head is not taken; it is the first already."""


class Turns(Generic[K]):
    """Parties that take turns. `least`: what the smallest transaction costs; larger ones cost their bytes."""

    __slots__ = ("_clock", "_heap", "_least", "_refused", "_starts", "parties")

    def __init__(self, least: int) -> None:
        self.parties: dict[K, Source] = {}
        self._least = least
        self._starts: dict[K, int] = {}
        """When each party is next served, in virtual time."""
        self._refused: K | None = None
        """Whose head was not taken for want of room: it comes first, once, and pays for it like any other."""
        self._clock = 0
        """When the party was due that was served last."""
        self._heap: list[tuple[int, int, K]] = []

    def enter(self, party: K, source: Source) -> None:
        """A party has something to be served with."""
        self.parties[party] = source
        self._starts[party] = self._clock

    def leave(self, party: K) -> None:
        """A party has nothing more."""
        del self.parties[party], self._starts[party]
        if self._refused == party:
            self._refused = None

    def clear(self) -> None:
        """No party has anything, and none has had a turn."""
        self.parties.clear()
        self._starts.clear()
        self._heap.clear()
        self._refused = None
        self._clock = 0

    @property
    def head(self) -> Transaction | None:
        """That of the party whose turn it is."""
        return self.parties[self._heap[0][2]].head if self._heap else None

    def begin(self) -> None:
        """All parties start anew, at the virtual times that they have."""
        starts, first = self._starts, self._refused
        self._refused = None
        self._heap = [(FIRST if party == first else starts[party], i, party) for i, party in enumerate(self.parties)]
        heapify(self._heap)
        for source in self.parties.values():
            source.begin()

    def advance(self) -> None:
        """The head is taken: whose it was pays for it."""
        _, i, party = self._heap[0]
        source = self.parties[party]
        assert source.head is not None, "a party in the heap has something"
        self._clock = start = max(self._clock, self._starts[party])
        start += max(self._least, len(source.head.encoded))
        self._starts[party] = start
        source.advance()
        if source.head is None:
            heappop(self._heap)
        else:
            heapreplace(self._heap, (start, i, party))

    def refuse(self) -> None:
        """The head is not taken, and there is no more room: the next time it comes first."""
        _, _, party = self._heap[0]
        self._refused = party
        self.parties[party].refuse()


class Crowd(Turns[PublicKey]):
    """Clients that take turns, each with a queue of what it submitted."""

    __slots__ = ("_queues",)

    def __init__(self, least: int) -> None:
        super().__init__(least)
        self._queues: dict[PublicKey, Queue] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __contains__(self, transaction: Transaction) -> bool:
        queue = self._queues.get(transaction.sender)
        return queue is not None and transaction.id in queue.waiting

    def put(self, transaction: Transaction) -> None:
        """A client's newest."""
        queue = self._queues.get(transaction.sender)
        if queue is None:
            queue = self._queues[transaction.sender] = Queue()
            self.enter(transaction.sender, queue)
        queue.waiting[transaction.id] = transaction

    def remove(self, transaction: Transaction) -> None:
        """One of those that are here."""
        waiting = self._queues[transaction.sender].waiting
        del waiting[transaction.id]
        if not waiting:
            del self._queues[transaction.sender]
            self.leave(transaction.sender)

    def clear(self) -> None:
        """Nobody has anything, and nobody has had a turn."""
        super().clear()
        self._queues.clear()
