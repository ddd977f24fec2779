"""How much of its time a replica has for clients while the group orders, beside new transactions.

Replicas answer anybody, and taking turns by work (`engine.intake`) gives who asks without end all that nobody else asks
for. On a processor that replicas share, and in rounds that votes wait for, others pay for it. So while transactions are
being ordered, what needs old blocks read has `SHARE` of the time that passes, and so has all else that is no new
transaction: reads, other questions, repeats, and what is refused. When the former has spent too much, it waits aside
(`Desk.lookups`) and lets others by; when the latter has, nothing of clients is received for a while. ZeroMQ takes their
connections in turn, and TCP makes whoever sends too much wait. Nobody is refused for it. A new transaction waits for
its connection's turn: for a pause beside a few that send too much, for several beside hundreds.

It is time that counts, as it passes, and not work: where the processor is short, all that is done for clients takes
longer, and the pauses are longer too. While nothing is ordered there are none: no vote was cast and no block executed
for `ORDERING_S`.
"""

import math
import time
from typing import Final

from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.work import WORK_PER_ROUND
from bftledger.net.transport import DRAIN_BYTES, DRAIN_MESSAGES

SHARE: Final = 0.1
"""Of the time that passes, for either kind."""

BURST_S: Final = 0.01
"""So much is there at once when nothing was spent for a while."""

MAX_PAUSE_S: Final = 0.1
"""No pause is longer: new transactions wait for it as well. What is then still owed makes another one after the next
round, up to"""

MAX_DEBT_S: Final = 0.1
"""so much: a process that was stopped for a while takes that for time that clients took."""

ORDERING_S: Final = 0.1
"""So long after the last sign of it does a group count as ordering: where transactions are few, reads are not kept."""

REQUESTS_UNDER_PRESSURE: Final = 16
"""When half of `BURST_S` is spent, a round receives no more than so many requests, none after as many bytes as"""

WORK_UNDER_PRESSURE: Final = WORK_PER_ROUND // 16
"""this, and does no more for them: many short pauses are better than few long ones."""


class _Account:
    """Seconds that may be spent; when there are less than none, there is a pause."""

    __slots__ = ("_left_s", "_pause_s")

    def __init__(self) -> None:
        self._left_s = BURST_S
        self._pause_s = 0.0

    def spend(self, seconds: float) -> None:
        self._left_s = max(self._left_s - seconds, -MAX_DEBT_S)
        if seconds > 0:
            self._pause_s = min(MAX_PAUSE_S, max(0.0, -self._left_s / SHARE))

    def earn(self, passed_s: float) -> None:
        self._left_s = min(BURST_S, self._left_s + passed_s * SHARE)
        self._pause_s = max(0.0, self._pause_s - passed_s)

    @property
    def pause_ms(self) -> int:
        return math.ceil(self._pause_s * 1_000)

    @property
    def is_pressed(self) -> bool:
        return self._left_s < BURST_S / 2


class Pace:
    """What there is for clients. Time is that of the system's monotonic clock."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._ordering_until = self._at
        self._lookups = _Account()
        self._others = _Account()
        self.pauses = 0
        """How often nothing of clients was received for a while."""

    def spent(self, *, lookups_s: float, others_s: float, is_ordering: bool) -> None:
        """A round is over: so much of its time went to clients, beside new transactions."""
        self.go_on()
        was_paused = self.pause_ms > 0
        if is_ordering:
            self._ordering_until = self._at + ORDERING_S
        self._lookups.spend(lookups_s)
        self._others.spend(others_s)
        self.pauses += self.pause_ms > 0 and not was_paused

    def counters(self) -> dict[str, int]:
        """The number of pauses by name, for whoever looks for a cause; never a zero."""
        return {"pauses for clients": self.pauses} if self.pauses else {}

    def go_on(self) -> None:
        """Time has passed; what follows is as of now."""
        now = time.monotonic()
        for account in (self._lookups, self._others):
            account.earn(now - self._at)
        self._at = now

    @property
    def pause_ms(self) -> int:
        """For how long all clients wait; 0 if they need not."""
        return self._others.pause_ms if self._is_ordering else 0

    @property
    def lookups_pause_ms(self) -> int:
        """For how long those wait who need old blocks read; 0 if they need not."""
        return self._lookups.pause_ms if self._is_ordering else 0

    @property
    def lookups(self) -> int:
        """How many old blocks may be read in this round."""
        if not self._is_ordering:
            return MAX_FRAMES
        return 0 if self._lookups.pause_ms else 1

    @property
    def requests(self) -> int:
        """How many may be received in this round."""
        if self.pause_ms:
            return 0
        return REQUESTS_UNDER_PRESSURE if self._is_pressed else DRAIN_MESSAGES

    @property
    def request_bytes(self) -> int:
        """No more is received once there is so much."""
        return WORK_UNDER_PRESSURE if self._is_pressed else DRAIN_BYTES

    @property
    def work(self) -> int:
        """What may be done for clients in this round (`engine.work`)."""
        if self.pause_ms:
            return 0
        return WORK_UNDER_PRESSURE if self._is_pressed else WORK_PER_ROUND

    @property
    def _is_ordering(self) -> bool:
        return self._at < self._ordering_until

    @property
    def _is_pressed(self) -> bool:
        return self._is_ordering and self._others.is_pressed
