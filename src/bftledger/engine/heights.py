"""Who waits for a height, the lowest first.

What nobody can have yet costs a round nothing, however many wait for it and however far it is: to look whether anybody
is served by a new height is to look at the lowest.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from bftledger.base.ids import Seq

T = TypeVar("T", bound=Hashable)


class ByHeight(Generic[T]):
    """Items, each once, by the height that it waits for."""

    def __init__(self) -> None:
        self._items: dict[Seq, dict[T, None]] = {}
        self._heights: list[Seq] = []
        """Those of `_items`, in order. None is kept that nobody waits for."""

    def __len__(self) -> int:
        """How many items there are, counted anew."""
        return sum(map(len, self._items.values()))

    def counts(self) -> Iterator[tuple[Seq, int]]:
        """Each height, and how many wait for it."""
        return ((height, len(some)) for height, some in self._items.items())

    @property
    def lowest(self) -> Seq | None:
        """The lowest height that somebody waits for."""
        return self._heights[0] if self._heights else None

    def put(self, height: Seq, item: T) -> None:
        """The item waits for this height, behind those that do already."""
        if height not in self._items:
            self._items[height] = {}
            insort(self._heights, height)
        self._items[height][item] = None

    def drop(self, height: Seq, item: T) -> None:
        """The item, which is here, waits no more."""
        some = self._items[height]
        del some[item]
        if not some:
            del self._items[height]
            del self._heights[bisect_left(self._heights, height)]

    def take_lowest(self) -> list[T]:
        """All that wait for the lowest height, which there is, the oldest first; they are no longer here."""
        return list(self._items.pop(self._heights.pop(0)))
