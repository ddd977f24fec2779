"""The audit of the ledger in a store: every block done again, and everything derived from the blocks compared."""

import sqlite3
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from bftledger.apps.machine import StateMachine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.ledger import chain
from bftledger.ledger.block import Block
from bftledger.ledger.executor import Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.storage.report import Findings

_SHOWN: Final = 60


class LedgerAudit:
    """Checks the tables blocks, transactions, history and state, in this order.

    A block that is wrong ends the re-execution; form, links, signatures and index of the blocks above it are checked
    nevertheless. `hashes` are those of the genesis block and of the blocks found, None where one is damaged.
    """

    def __init__(
        self, db: sqlite3.Connection, findings: Findings, genesis: Genesis, verifier: Verifier, machine: StateMachine
    ) -> None:
        self._db = db
        self._findings = findings
        self._genesis = genesis
        self._verifier = verifier
        self._machine = machine
        self._executor: Executor | None = None
        self._recent = _RecentIds()
        self._ids_of = lru_cache(maxsize=256)(self._read_ids)
        self._indexed = 0
        self._has_gap = False
        self.hashes: list[Digest | None] = []
        self.transactions = 0

    # ── blocks ──

    def check_blocks(self) -> None:
        """The chain on top of the genesis block, each block's columns, transactions, and what executing it gives."""
        state, history = AuthenticatedMap(), History.empty()
        first = execute_genesis(self._genesis, self._machine, state, history).block
        self._executor = Executor(self._genesis, self._machine, state, self._recent.contains, history, first.header)
        self.hashes.append(first.hash)
        below: Block | None = first
        rows = self._db.execute("SELECT height, hash, time, transactions, header, block FROM blocks ORDER BY height")
        for height, *columns in rows:
            if height != len(self.hashes):
                self._stop(len(self.hashes), f"is missing; the next one stored is {height}, and not looked at")
                self._has_gap = True
                return
            below = self._check_block(height, columns, below)

    def _check_block(self, height: int, columns: Sequence[Any], previous: Block | None) -> Block | None:
        """Notes what is wrong with the block; returns it if it can be read."""
        try:
            block = chain.decode_at(_blob(columns[-1]), height)
        except (BadProof, Malformed) as error:
            self.hashes.append(None)
            self._stop(height, error)
            return None
        header = block.header
        self.hashes.append(block.hash)
        expected = (block.hash, header.time, header.count, header.encoded)
        names = ("hash", "time", "transactions", "header")
        for name, is_stored, should_be in zip(names, columns, expected, strict=False):
            if type(is_stored) is not type(should_be) or is_stored != should_be:
                self._note(height, f"the column {name} is not what the block says")
        try:
            self._check_successor(block, previous)
        except (BadProof, Malformed) as error:
            self._stop(height, error)
            if columns[0] != block.hash:
                self.hashes[-1] = None  # nothing says that this is the block that once stood here
        transactions = self._check_transactions(block)
        self._check_index(block, transactions)
        self._recent.add(transactions, header.time)
        return block if self.hashes[-1] else None

    def _check_successor(self, block: Block, previous: Block | None) -> None:
        """Raises if the block does not follow the one before it, or is not what executing it gives."""
        if self._executor is not None:
            self._executor.replay(block)
        elif previous is not None:
            chain.verify_link(previous.header, block.header)

    def _check_transactions(self, block: Block) -> list[Transaction]:
        """Those of the block that can be read, with the signatures of all checked."""
        found = []
        for position, data in enumerate(block.transactions):
            self.transactions += 1
            try:
                transaction = decode_transaction(data, self._genesis.genesis_hash)
                found.append(transaction)
                transaction.verify(self._verifier)
            except (Malformed, BadSignature) as error:
                self._note(block.height, f"transaction {position}: {error}")
        return found

    def _stop(self, height: int, what: object) -> None:
        if self._executor is None:
            self._note(height, what)
        else:
            self._note(height, f"{what}; nothing from here on is executed again, so the state is not checked")
        self._executor = None

    def _note(self, height: int, what: object) -> None:
        self._findings.add("blocks", f"height {height}", what, height)

    # ── transactions ──

    def _check_index(self, block: Block, transactions: list[Transaction]) -> None:
        for position, transaction in enumerate(transactions):
            tx_id = transaction.id
            row = self._db.execute("SELECT height, position FROM transactions WHERE id = ?", (tx_id,)).fetchone()
            if row is None:
                self._note_index(tx_id, f"is missing: it is in block {block.height}, position {position}", block.height)
                continue
            self._indexed += 1
            if len(transactions) == block.header.count and row != (block.height, position):
                what = f"says block {row[0]}, position {row[1]}, but it is in block {block.height}, position {position}"
                self._note_index(tx_id, what, block.height)

    def check_index(self) -> None:
        """No row of the table transactions is about a transaction that the blocks do not hold."""
        if self._db.execute("SELECT count(*) FROM transactions").fetchone()[0] == self._indexed:
            return  # each has been looked up from its block
        for tx_id, height, position in self._db.execute("SELECT id, height, position FROM transactions"):
            ids = self._ids_of(height)
            if ids is not None and tx_id not in ids:
                self._note_index(tx_id, f"says block {height}, position {position}, which does not hold it", height)

    def _read_ids(self, height: int) -> frozenset[TxId] | None:
        """The ids of the block's transactions; None if it cannot be read, which has been noted."""
        row = self._db.execute("SELECT block FROM blocks WHERE height = ?", (height,)).fetchone()
        if row is None:
            return frozenset()
        try:
            transactions = chain.decode_at(_blob(row[0]), height).transactions
            return frozenset([decode_transaction(data, self._genesis.genesis_hash).id for data in transactions])
        except (BadProof, Malformed):
            return None

    def _note_index(self, tx_id: object, what: str, height: Any) -> None:
        name = tx_id.hex() if isinstance(tx_id, bytes) else repr(tx_id)
        self._findings.add("transactions", f"id {name}", what, height if isinstance(height, int) else None)

    # ── history ──

    def check_history(self) -> None:
        """The table history holds exactly the complete subtrees over the blocks' hashes."""
        history, found = History.empty(), 0
        for height, block_hash in enumerate(self.hashes if self._has_blocks else ()):
            if block_hash is None:
                return  # without it no node above can be told; the block has been noted
            for level, position, node in history.append(block_hash):
                where = "level = ? AND position = ?"
                row = self._db.execute(f"SELECT hash FROM history WHERE {where}", (level, position)).fetchone()
                found += row is not None
                if row != (node,):
                    what = "is missing" if row is None else "is not the hash that the blocks give"
                    what = f"{what} (completed by block {height})"
                    self._findings.add("history", f"level {level}, position {position}", what, height)
        if not self._has_gap and self._db.execute("SELECT count(*) FROM history").fetchone()[0] != found:
            for level, position in self._db.execute("SELECT level, position FROM history"):
                if not self._is_complete(level, position):
                    self._findings.add("history", f"level {level}, position {position}", "is about no blocks there are")

    def _is_complete(self, level: object, position: object) -> bool:
        """Whether there is a subtree of this name, all of whose leaves are hashes of blocks."""
        if not isinstance(level, int) or not isinstance(position, int):
            return False
        leaves = len(self.hashes) if self._has_blocks else 0
        return 0 <= level < 64 and position >= 0 and (position + 1) << level <= leaves

    @property
    def _has_blocks(self) -> bool:
        """Whether anything is stored above the genesis block, whose state and history come with block 1."""
        return len(self.hashes) > 1 or self._has_gap

    # ── state ──

    def check_state(self) -> None:
        """The table state holds exactly what executing all blocks gave."""
        if self._executor is None:
            return
        state, height = self._executor.state, self._executor.tip.height
        if not self._has_blocks:
            state = AuthenticatedMap()
        found = 0
        for key, value in self._db.execute("SELECT key, value FROM state"):
            should_be = state.get(key) if isinstance(key, bytes) else None
            found += should_be is not None
            if should_be is None:
                self._note_state(key, f"is not in the state after block {height}", height)
            elif value != should_be:
                self._note_state(key, f"has another value than after block {height}", height)
        if found != len(state):
            for key, _ in state.items():
                if self._db.execute("SELECT 1 FROM state WHERE key = ?", (key,)).fetchone() is None:
                    self._note_state(key, f"is missing: it is in the state after block {height}", height)

    def _note_state(self, key: object, what: str, height: Seq) -> None:
        name = repr(key)
        self._findings.add("state", f"key {name if len(name) < _SHOWN else name[:_SHOWN] + '…'}", what, height)


class _RecentIds:
    """The ids of the transactions that have not expired: what must be known to find one that is in two blocks."""

    def __init__(self) -> None:
        self._ids: set[TxId] = set()
        self._by_block: deque[tuple[int, list[TxId]]] = deque()

    def add(self, transactions: Sequence[Transaction], time: int) -> None:
        ids = [transaction.id for transaction in transactions]
        if ids:
            self._ids.update(ids)
            self._by_block.append((max(transaction.expires for transaction in transactions), ids))
        while self._by_block and self._by_block[0][0] < time:
            self._ids.difference_update(self._by_block.popleft()[1])

    def contains(self, ids: Sequence[TxId]) -> set[TxId]:
        return self._ids.intersection(ids)


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("is not stored as bytes")
    return value
