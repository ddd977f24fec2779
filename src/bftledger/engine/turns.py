"""In which order those get their answers that waited: connections take turns by work.

As in the `intake`, a virtual clock runs as if all were answered at once, each connection with its part of the work.
Next is the connection whose oldest would be done first by that clock: it starts when the one before it ends, or when it
comes. So whoever waits for little is not kept by those who wait for much, whatever they wait for and since when.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from bftledger.engine.intake import Ranking
from bftledger.engine.work import Work

T = TypeVar("T", bound=Hashable)
Said = TypeVar("Said")

_FINE: Final = 1_024
"""The clock's unit: with so many connections it still moves with each unit of work."""


class _Queue(Generic[T]):
    """What one connection waits for, the oldest first, each with the work that it will take."""

    __slots__ = ("items", "number", "start")

    def __init__(self, number: int, start: int) -> None:
        self.items: OrderedDict[T, int] = OrderedDict()
        self.number = number
        """Of two that are equal in all else the one that came first is served first."""
        self.start = start
        """When the oldest starts, by the clock."""


class Turns(Generic[T]):
    """What is to be answered, and for which connections. Each item is here once."""

    def __init__(self) -> None:
        self._queues: dict[bytes, _Queue[T]] = {}
        self._ends = Ranking()
        """When the oldest of each connection ends, by the clock."""
        self._clock = 0
        self._opened = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def ranks(self) -> int:
        """How many entries the ranking of the connections has."""
        return self._ends.entries

    def all(self) -> Iterator[T]:
        """All items anew, one connection after the other."""
        return (item for queue in self._queues.values() for item in queue.items)

    def put(self, route: bytes, item: T, work: int) -> None:
        """The connection is to have its answer; that takes about so much work."""
        queue = self._queues.get(route)
        if queue is None:
            self._opened += 1
            queue = self._queues[route] = _Queue(self._opened, self._clock)
        queue.items[item] = work
        self._count += 1
        if len(queue.items) == 1:
            self._rank(route, queue)

    def drop(self, route: bytes, item: T) -> None:
        """It needs no answer any more."""
        queue = self._queues[route]
        del queue.items[item]
        self._count -= 1
        self._rank(route, queue)

    def serve(self, work: Work, answer: Callable[[T], Iterable[Said]]) -> list[Said]:
        """Has one after the other answered until there is no work left; what `answer` spends counts for each."""
        said: list[Said] = []
        while not work.is_spent and (route := self._ends.first()) is not None:
            queue = self._queues[route]
            item, _ = queue.items.popitem(last=False)
            self._count -= 1
            left = work.left
            said += answer(item)
            spent = (left - work.left) * _FINE
            queue.start += spent
            self._clock += spent // max(1, len(self._queues))
            self._rank(route, queue)
        return said

    def _rank(self, route: bytes, queue: _Queue[T]) -> None:
        if queue.items:
            self._ends.set(route, (queue.start + next(iter(queue.items.values())) * _FINE, queue.number))
        elif self._queues.pop(route, None) is not None:
            self._ends.drop(route)
