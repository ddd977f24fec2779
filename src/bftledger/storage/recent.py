"""Which ids cannot be in a ledger: found out in memory, since nearly all that are asked for are new."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from bftledger.base.ids import TxId

KEPT: Final = 16_384
"""The ids of so many of the newest transactions are remembered, give or take a block."""


class RecentIds:
    """The newest ids of a ledger. Ids begin with a time: one that is later than all that were forgotten is remembered,
    or is not there."""

    def __init__(self, last: TxId | None, kept: int = KEPT) -> None:
        """`last`: the greatest id in the ledger so far, of which none is remembered."""
        self._kept = kept
        self._ids: set[TxId] = set()
        self._blocks: deque[Sequence[TxId]] = deque()
        self._forgotten = last or TxId(b"")

    def add(self, ids: Sequence[TxId]) -> None:
        """Those of a block. If it is taken back, nothing has to be told: they pass for there."""
        self._ids.update(ids)
        self._blocks.append(ids)
        while len(self._ids) > self._kept:
            oldest = self._blocks.popleft()
            self._ids.difference_update(oldest)
            self._forgotten = max(self._forgotten, *oldest) if oldest else self._forgotten

    def may_hold(self, ids: Iterable[TxId]) -> list[TxId]:
        """Those that may be in the ledger; the others are not."""
        forgotten, remembered = self._forgotten, self._ids
        return [tx_id for tx_id in ids if tx_id <= forgotten or tx_id in remembered]
