"""The values of an authenticated map: all in memory, or the newest there and the rest where they are stored.

What is kept in memory is in two generations. When the young one is full it becomes the old one, and what was old and
has not been asked for since is forgotten; so what is used stays, and nothing is paid for keeping an order.
"""

from collections.abc import Callable, ItemsView, Mapping
from typing import Final

Stored = Callable[[bytes], bytes | None]
"""The value that is stored under a key, None if there is none."""

ROOM_BYTES: Final = 4 * 1024 * 1024
"""A generation has about so many bytes."""

_ROW_BYTES: Final = 160
"""What Python needs for a row beyond its value, with a key of the usual length."""


class Rows:
    """Values by key. Without `stored` all are kept; with it, `get` may not know what is there, and `read` asks."""

    __slots__ = ("_bytes", "_old", "_room", "_stored", "_young")

    def __init__(self, stored: Stored | None, room_bytes: int) -> None:
        self._stored = stored
        self._room = room_bytes
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._bytes = 0

    @property
    def are_all_here(self) -> bool:
        """Whether what `get` does not find does not exist."""
        return self._stored is None

    def get(self, key: bytes) -> bytes | None:
        """The value, if it is in memory."""
        value = self._young.get(key)
        if value is None and self._old and (value := self._old.get(key)) is not None:
            self.remember(key, value)
        return value

    def read(self, key: bytes) -> bytes | None:
        """The value from where it is stored; None if there is none."""
        return None if self._stored is None else self._stored(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Keeps a value, at least until the next `update` but one."""
        self._young[key] = value
        self._bytes += len(value) + _ROW_BYTES

    def remember(self, key: bytes, value: bytes) -> None:
        """Keeps a value that is stored, if there is room: only an update makes some."""
        if self._bytes <= self._room:
            self.put(key, value)

    def update(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Keeps what has changed; None deletes. What was put since the last time but one may not be stored yet."""
        if self._bytes > self._room and self._stored is not None:
            self._old, self._young, self._bytes = self._young, {}, 0
        young = self._young
        for key, value in changes.items():
            if value is None:
                young.pop(key, None)
                self._old.pop(key, None)
            else:
                young[key] = value
                self._bytes += len(value) + _ROW_BYTES

    def items(self) -> ItemsView[bytes, bytes]:
        """All rows, if they are all here."""
        assert self._stored is None, "rows that are stored are counted there"
        return self._young.items()
