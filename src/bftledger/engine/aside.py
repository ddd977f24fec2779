"""What a round spends on clients beside new transactions: reads, questions, repeats, and what is refused.

New transactions are what a group is there for, and the pool bounds them. All else has its time from what is left; how
much that is, only whoever runs the engine can say (`node.pace`), who is told here what it took.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from bftledger.base.ids import TxId
from bftledger.base.transaction import Transaction
from bftledger.engine.work import work_of_submission

WORK_PER_GLANCE: Final = 512
"""For a frame that is dropped unread."""

Stopwatch = Callable[[], float]
"""Seconds since any moment."""


def stopped() -> float:
    """A stopwatch for runs in which time is none of the engine's business: nothing takes any."""
    return 0.0


class Aside:
    """Counts for one round; `take` begins the next."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.stopwatch: Final = stopwatch
        self._work = 0
        self._new: dict[TxId, int] = {}
        self._requests_s = 0.0
        self._reads_s = 0.0
        self._lookups_s = 0.0
        self._answers = 0
        self._receipts = 0
        self._encoding_s = 0.0

    def glanced(self) -> None:
        """A frame was dropped unread."""
        self._work += WORK_PER_GLANCE

    def served(self, work: int, seconds: float) -> None:
        """Requests were looked at, new transactions included."""
        self._work += work
        self._requests_s += seconds

    def looked_up(self, work: int, seconds: float) -> None:
        """So much of that was for what needs old blocks read."""
        self._work -= work
        self._requests_s -= seconds
        self._lookups_s += seconds

    def read(self, seconds: float) -> None:
        """Reads that had waited were answered."""
        self._reads_s += seconds

    def answered(self, answers: int, receipts: int, encoding_s: float) -> None:
        """So many answers leave, so many of them to those who waited for what they had submitted."""
        self._answers += answers
        self._receipts += receipts
        self._encoding_s += encoding_s

    def is_new(self, transactions: Iterable[Transaction]) -> None:
        """Of what was looked at, these are transactions that the core is given."""
        self._new |= {tx.id: work_of_submission(len(tx.encoded)) for tx in transactions}

    def had_no_room(self, tx_id: TxId) -> None:
        """The core has refused one."""
        self._new.pop(tx_id, None)

    def take(self) -> "Taken":
        """What it was in this round."""
        share = max(0.0, 1 - sum(self._new.values()) / self._work) if self._work > 0 else 0.0
        of_answers = 1 - self._receipts / self._answers if self._answers else 0.0
        others_s = share * self._requests_s + self._reads_s + of_answers * self._encoding_s
        taken = Taken(share, of_answers, max(0.0, others_s), self._lookups_s)
        self._work = self._answers = self._receipts = 0
        self._requests_s = self._reads_s = self._lookups_s = self._encoding_s = 0.0
        self._new.clear()
        return taken


class Taken(NamedTuple):
    """What a round took for clients beside new transactions, by the engine's stopwatch."""

    share: float = 0.0
    """That part of the work for requests which was for no new transaction and no old block, from 0 to 1."""

    of_answers: float = 0.0
    """That part of the answers which tells nobody what became of what he waited for in the order, from 0 to 1."""

    others_s: float = 0.0
    """Seconds for both, and for reads that had waited."""

    lookups_s: float = 0.0
    """Seconds for what needed old blocks read."""
