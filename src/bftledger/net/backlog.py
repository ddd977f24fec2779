"""What receivers have been sent and ZeroMQ still holds, in bytes; ZeroMQ itself counts frames and tells nobody.

A frame's memory comes back when ZeroMQ has encrypted it, and pyzmq reports that for frames sent without a copy, at the
price of a wake-up of its thread. A queue is first in, first out, so one report speaks for everything before it: one
frame in `MARK_BYTES` is watched, the last of them, and the small ones in between cost an addition.
"""

from collections import deque
from collections.abc import Hashable
from typing import Any, Final, Generic, TypeVar

import zmq
from zmq.utils.garbage import gc as reports

MARK_BYTES: Final = 64 * 1024
"""So many bytes of one receiver are sent between two frames that are watched."""

BULK_BYTES: Final = 64 * 1024
"""A frame above it is bulk: votes, receipts and most proposals are not."""

_FORGET_ABOVE: Final = 4096
"""Receivers that are remembered before those that have nothing queued are forgotten: most of them have gone."""

Receiver = TypeVar("Receiver", bound=Hashable)


class _Backlog:
    __slots__ = ("loose", "marked", "marks")

    def __init__(self) -> None:
        self.marks: Final[deque[tuple[zmq.MessageTracker, int]]] = deque()
        self.marked = 0
        """Bytes up to the last watched frame that may still be queued."""
        self.loose = 0
        """Bytes since then; below `MARK_BYTES`."""


class Backlogs(Generic[Receiver]):
    """The bytes that wait for each of many receivers, and what may be added to them.

    A receiver's bulk has half of its share, so votes and small answers find room behind it. A receiver for whom
    nothing is known to wait may always be sent one frame, however large, unless bulk exhausts what all have together.
    """

    def __init__(self, *, each: int, total: int) -> None:
        """`each` bytes for one receiver, `total` for all of them."""
        self._each: Final = each
        self._total: Final = total
        self._of: Final[dict[Receiver, _Backlog]] = {}
        self.marked = 0
        """Bytes that may still be queued for all of them, but for less than `MARK_BYTES` of each."""
        never_block_on_reports()

    def __len__(self) -> int:
        """How many receivers are remembered."""
        return len(self._of)

    def has_room(self, receiver: Receiver, size: int) -> bool:
        """Whether a frame of `size` bytes may be queued for `receiver` now."""
        backlog = self._of.get(receiver)
        if backlog is not None and backlog.marks:
            self._settle(backlog)
        waits = backlog is not None and bool(backlog.marks)
        is_bulk = size > BULK_BYTES
        if self.marked + size > self._total and (waits or is_bulk):
            return False
        if backlog is None or not waits:
            return True
        return backlog.marked + backlog.loose + size <= (self._each // 2 if is_bulk else self._each)

    def send(self, receiver: Receiver, socket: "zmq.Socket[Any]", frame: bytes) -> None:
        """Hands `frame` to `socket` without waiting and counts it. Raises ZMQError if the socket does not take it."""
        backlog = self._of.get(receiver)
        if backlog is None:
            backlog = self._of[receiver] = _Backlog()
        size = backlog.loose + len(frame)
        if size < MARK_BYTES:
            socket.send(frame, zmq.NOBLOCK)
            backlog.loose = size
            return
        tracker = socket.send(frame, zmq.NOBLOCK, copy=False, track=True)
        backlog.marks.append((tracker, size))
        backlog.marked += size
        self.marked += size
        backlog.loose = 0

    def settle(self) -> None:
        """Takes note of what has left, and forgets receivers that have gone; once a round, costs nothing mostly."""
        if self.marked <= self._total // 2 and len(self._of) <= _FORGET_ABOVE:
            return
        for receiver, backlog in list(self._of.items()):
            self._settle(backlog)
            if not backlog.marks:
                del self._of[receiver]

    def _settle(self, backlog: _Backlog) -> None:
        marks = backlog.marks
        while marks and marks[0][0].done:
            size = marks.popleft()[1]
            backlog.marked -= size
            self.marked -= size


def never_block_on_reports() -> None:
    """Lifts the limit of pyzmq's queue of reports, of which there are no more than frames are watched.

    At the limit (1,000) whoever frees a frame waits for pyzmq's thread. Where that is the thread which holds the
    interpreter's lock, as when a connection with many frames ends, the two wait for each other for ever.
    """
    if not reports.is_alive():
        reports.context.sndhwm = reports.context.rcvhwm = 0
