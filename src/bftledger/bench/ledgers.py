"""What the stores of a group's replicas hold, read beside them: how much there is, and whether all have the same."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any, Final

from bftledger.base.errors import BftLedgerError, StoreError
from bftledger.base.ids import Digest, TxId
from bftledger.base.transaction import decode
from bftledger.bench.attack_verdict import Finding
from bftledger.check.agreement import compare_chains
from bftledger.home.home import Home
from bftledger.ledger.block import Block
from bftledger.storage import database
from bftledger.storage.snapshot import hold_still, snapshot

_POLL_S: Final = 0.05
_STALLED_S: Final = 60.0


class Counted:
    """How much there is in the ledger in the file `path`. Counts on from where it was at each `update`."""

    def __init__(self, path: Path) -> None:
        self.height = 0
        self.transactions = 0
        self.path = path
        self.update()

    def update(self) -> None:
        """As of now. Raises `StoreError`."""
        query = "SELECT coalesce(max(height), ?1), coalesce(sum(transactions), 0) FROM blocks WHERE height > ?1"
        with _reading(self.path) as db:
            self.height, more = db.execute(query, (self.height,)).fetchone()
        self.transactions += more

    def wait(self, is_enough: Callable[["Counted"], bool]) -> None:
        """Returns when there is so much. Raises `BftLedgerError` if the ledger has not grown for a minute."""
        grown, height = time.monotonic(), self.height
        while not is_enough(self):
            time.sleep(_POLL_S)
            self.update()
            if self.height > height:
                grown, height = time.monotonic(), self.height
            elif time.monotonic() - grown > _STALLED_S:
                raise BftLedgerError(f"{self.path}: has been at block {height} for {_STALLED_S:.0f} s, under load")


def transactions_between(path: Path, above: int, upto: int) -> int:
    """How many there are in the blocks from `above` + 1 to `upto` of the ledger in that file. Raises `StoreError`."""
    query = "SELECT coalesce(sum(transactions), 0) FROM blocks WHERE height > ? AND height <= ?"
    with _reading(path) as db:
        return int(db.execute(query, (above, upto)).fetchone()[0])


def transaction_ids(path: Path, height: int) -> list[TxId]:
    """Those of the block at that height, which is there, in their order. Raises `StoreError`."""
    with _reading(path) as db:
        (data,) = db.execute("SELECT block FROM blocks WHERE height = ?", (height,)).fetchone()
    block = Block.decode(data)
    return [decode(encoded, block.header.genesis_hash).id for encoded in block.transactions]


def state_size(path: Path) -> dict[str, Any]:
    """Of the application's state, for a result: its `entries`, and the `mb` of their keys and values."""
    query = "SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM state"
    with _reading(path) as db:
        entries, length = db.execute(query).fetchone()
    return {"entries": entries, "mb": round(length / 1e6, 3)}


def identical(home: Home) -> Finding:
    """Whether all replicas have the same blocks, by their hashes, and as many. Raises `StoreError`."""
    return compared({f"replica {i}": _hashes(home.ledger_path(i)) for i in home.genesis.group.replicas})


def compared(chains: dict[str, Sequence[Digest]]) -> Finding:
    """The same for the hashes of blocks 1, 2, … by whose they are."""
    forks = compare_chains({who: (None, *hashes) for who, hashes in chains.items()})
    heights = {who: len(hashes) for who, hashes in chains.items()}
    if not forks and len(set(heights.values())) > 1:
        reach = ", ".join(f"{who} block {height}" for who, height in heights.items())
        return Finding(ok=False, text=f"not all ledgers are as long: {reach}")
    return Finding.of(forks, f"{len(chains)} identical ledgers up to block {max(heights.values())}")


def _hashes(path: Path) -> list[Digest]:
    with _reading(path) as db:
        return [Digest(row[0]) for row in db.execute("SELECT hash FROM blocks ORDER BY height")]


@contextmanager
def _reading(path: Path) -> Iterator[Connection]:
    """One state of the store, whether its replica runs or not."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(snapshot(path, is_running=not hold_still(path, stack)))
        except database.SQL_ERRORS as error:
            raise StoreError(f"{path}: {database.reason(error)}") from None
