"""Who takes up how much of a room that all share: whoever has most makes room for others."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from bftledger.engine.intake import Ranking

T = TypeVar("T", bound=Hashable)


class Room(Generic[T]):
    """What is held, for which connections, and how large it is. Each item is here once."""

    def __init__(self) -> None:
        self._held: dict[bytes, OrderedDict[T, int]] = {}
        self._sizes: dict[bytes, int] = {}
        self._most = Ranking()
        self.size = 0
        """Of all together."""

    @property
    def ranks(self) -> int:
        """How many entries the ranking of the connections has."""
        return self._most.entries

    def all(self) -> Iterator[tuple[T, int]]:
        """All items anew with their sizes, one connection after the other."""
        return (item for held in self._held.values() for item in held.items())

    def put(self, route: bytes, item: T, size: int) -> None:
        """The connection has this in here from now on."""
        self._held.setdefault(route, OrderedDict())[item] = size
        self._count(route, size)

    def drop(self, route: bytes, item: T) -> None:
        """It is not in here any more."""
        self._count(route, -self._held[route].pop(item))

    def make_room(self) -> tuple[bytes, T]:
        """Drops the newest of the connection that has most, and says what that was."""
        route = self._most.first()
        assert route is not None, "who has too much is here"
        item, size = self._held[route].popitem()
        self._count(route, -size)
        return route, item

    def _count(self, route: bytes, size: int) -> None:
        self.size += size
        if self._held[route]:
            self._sizes[route] = self._sizes.get(route, 0) + size
            self._most.set(route, (-self._sizes[route], 0))
        else:
            del self._held[route], self._sizes[route]
            self._most.drop(route)
