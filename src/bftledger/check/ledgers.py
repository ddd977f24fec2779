"""Ledgers as the oracles want them, made of nothing but the encodings of their blocks.

What cannot be read ends a ledger here: that it is wrong, and why, is what `integrity` says.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bftledger.apps.machine import Result
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Seq, TxId
from bftledger.base.transaction import Transaction, decode
from bftledger.check.durability import Held
from bftledger.check.fates import Place
from bftledger.check.history import Operation, ledger_operation
from bftledger.ledger.block import Block


class Entry(NamedTuple):
    """A transaction of a block, and what came of it."""

    transaction: Transaction
    result: Result


class Read(NamedTuple):
    """A block that can be read."""

    block_hash: Digest
    entries: tuple[Entry, ...]


class Ledger:
    """One replica's blocks. `encoded`: from height 1 on, as they are stored; `blocks`: as far as they can be read."""

    def __init__(self, encoded: Sequence[bytes], blocks: Sequence[Read]) -> None:
        self.encoded = encoded
        self.blocks = blocks

    @property
    def hashes(self) -> list[Digest | None]:
        """Of the blocks, for `agreement.compare_chains`: from block 0 on, the genesis block, which all make alike."""
        return [None, *(block.block_hash for block in self.blocks)]

    @property
    def held(self) -> list[Held]:
        """The same for `durability`. The genesis block holds nothing that anybody submitted."""
        ids = [tuple(entry.transaction.id for entry in block.entries) for block in self.blocks]
        return [_GENESIS, *(Held(block.block_hash, some) for block, some in zip(self.blocks, ids, strict=True))]

    @property
    def places(self) -> dict[TxId, Place]:
        """Where each transaction is, and whether it had its effect, for `fates`."""
        return {entry.transaction.id: Place(height, index, entry.result.ok) for height, index, entry in self._entries()}

    @property
    def operations(self) -> list[list[Operation | None]]:
        """The operations of each block, from the genesis block on, for `witness`."""
        found: list[list[Operation | None]] = [[] for _ in range(len(self.blocks) + 1)]
        for height, index, (transaction, result) in self._entries():
            found[height].append(ledger_operation(transaction, result, height, index))
        return found

    def _entries(self) -> Iterator[tuple[Seq, int, Entry]]:
        for height, block in enumerate(self.blocks, start=1):
            for index, entry in enumerate(block.entries):
                yield Seq(height), index, entry


class Ledgers:
    """Reads the ledgers of one group: a block that several replicas hold is decoded once."""

    def __init__(self, genesis_hash: Digest) -> None:
        self._genesis_hash = genesis_hash
        self._known: dict[bytes, Read] = {}

    def read(self, encoded: Iterable[bytes]) -> Ledger:
        """The ledger of these blocks, from height 1 on."""
        stored = tuple(encoded)
        blocks: list[Read] = []
        try:
            for data in stored:
                if data not in self._known:
                    self._known[data] = self._decoded(data)
                blocks.append(self._known[data])
        except Malformed:
            pass
        return Ledger(stored, blocks)

    def _decoded(self, data: bytes) -> Read:
        block = Block.decode(data)
        pairs = zip(block.transactions, block.results, strict=True)
        entries = (Entry(decode(tx, self._genesis_hash), Result.decode(result)) for tx, result in pairs)
        return Read(block.hash, tuple(entries))


_GENESIS = Held(Digest(b""), ())
