"""Who takes turns with whom in the batches of a primary: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM'96).

Not in the paper, whose primary takes what comes first: whoever brings thousands at once, a client or a faulty backup,
would make all others wait behind them. Here each party has a queue of its own, and a virtual time at which it is next
served: when it was served last, and the cost of what it got. Next is the party with the earliest. One that had nothing
begins at the time of who was served last, or later if it still owes for what it got: nobody saves up turns, and nobody
gets one by coming back. So what has the cost c before it in its own queue waits at most until every other party was
served for c, and for one transaction more; or longer only if others come that were never here. What stands in several
queues is paid for by the party whose turn it was.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heapreplace
from typing import Final, Generic, Protocol, TypeVar

from bftledger.base.ids import PublicKey, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import Load
from bftledger.pbft.settings import Settings

FIRST: Final = -1
"""Before all virtual times."""

MOST_LEFT: Final = 10_000
"""Of so many parties that have nothing it is known what they owe; of who left earlier it is forgotten."""

K = TypeVar("K", bound=Hashable)


def least_cost(settings: Settings) -> int:
    """What any transaction costs at least: it takes as much of a batch by its count."""
    return settings.batch_bytes // settings.batch_count


def cost(transaction: Transaction, least: int) -> int:
    """What a transaction costs where each costs its bytes, and this at least."""
    return max(least, len(transaction.encoded))


def cost_of(load: Load, settings: Settings) -> int:
    """What transactions cost together, or somewhat less: their sizes do not say which of them cost more."""
    return max(load.number * least_cost(settings), load.bytes)


class Source(Protocol):
    """Gives one transaction after the other; between `begin` and the last of them nothing may enter or leave."""

    @property
    def head(self) -> Transaction | None:
        """The next one; None at the end."""

    def begin(self) -> None:
        """Starts anew."""

    def advance(self) -> None:
        """The head is taken: on to the next."""

    def skip(self) -> None:
        """The head was taken in another's turn: on to the next."""

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

    def skip(self) -> None:
        """The head was taken in another's turn: on to the next."""
        self.advance()

    def refuse(self) -> None:
        """The head is not taken; it is the first already."""


class Turns(Generic[K]):
    """Parties that take turns. `least`: what the smallest transaction costs; larger ones cost their bytes."""

    __slots__ = ("_clock", "_heap", "_least", "_left", "_refused", "_starts", "parties")

    def __init__(self, least: int) -> None:
        self.parties: dict[K, Source] = {}
        self._least = least
        self._starts: dict[K, int] = {}
        """When each party is next served, in virtual time."""
        self._left: dict[K, int] = {}
        """When those that have nothing would be served next, if that is still to come."""
        self._refused: K | None = None
        """Whose head was not taken for want of room: it comes first, once, and pays for it like any other."""
        self._clock = 0
        """When the party was due that was served last."""
        self._heap: list[tuple[int, int, K]] = []

    def enter(self, party: K, source: Source) -> None:
        """A party has something to be served with. What it got just before it had nothing, it still pays for."""
        self.parties[party] = source
        self._starts[party] = max(self._clock, self._left.pop(party, self._clock))

    def leave(self, party: K) -> None:
        """A party has nothing more."""
        del self.parties[party]
        start = self._starts.pop(party)
        if start > self._clock:
            self._left[party] = start
            if len(self._left) > MOST_LEFT:
                del self._left[next(iter(self._left))]
        if self._refused == party:
            self._refused = None

    def clear(self) -> None:
        """No party has anything, and none has had a turn."""
        self.parties.clear()
        self._starts.clear()
        self._left.clear()
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
        self._starts[party] = start + cost(source.head, self._least)
        source.advance()
        self._go_on(i, party)

    def skip(self) -> None:
        """The head was taken when it was another party's turn, who paid for it: on to the next."""
        _, i, party = self._heap[0]
        self.parties[party].skip()
        self._go_on(i, party)

    def _go_on(self, i: int, party: K) -> None:
        if self.parties[party].head is None:
            heappop(self._heap)
        else:
            heapreplace(self._heap, (self._starts[party], i, party))

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
