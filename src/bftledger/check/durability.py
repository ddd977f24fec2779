"""Durability: what a client holds a verified receipt for is in the ledger for ever, and in one place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from bftledger.base.ids import Digest, Seq, TxId
from bftledger.check.violation import MAX_VIOLATIONS, Violation, Who, first, named, short

ORACLE = "durability"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a receipt says: the transaction is the `index`-th of the block of this hash at `height`."""

    tx_id: TxId
    height: Seq
    block_hash: Digest
    index: int


@dataclass(frozen=True, slots=True)
class Held:
    """A block as a replica has it in the end: its hash, and the ids of its transactions in their order."""

    block_hash: Digest
    tx_ids: tuple[TxId, ...]


Chain = Sequence[Held]
"""A replica's blocks from block 0, the genesis block, on."""


class Durability:
    """All receipts that clients verified, whoever gave them."""

    def __init__(self) -> None:
        self._acknowledged: dict[TxId, Acknowledgement] = {}
        self._found: list[Violation] = []

    def __len__(self) -> int:
        return len(self._acknowledged)

    def add(self, acknowledged: Acknowledgement) -> list[Violation]:
        """A client has verified a receipt. Returns a violation if an earlier one puts the transaction elsewhere."""
        known = self._acknowledged.setdefault(acknowledged.tx_id, acknowledged)
        if known == acknowledged or len(self._found) >= MAX_VIOLATIONS:
            return []
        what = f"{_described(known)}, and {_place(acknowledged)}"
        self._found.append(Violation(ORACLE, what, acknowledged.height))
        return self._found[-1:]

    def violations(self, chains: Mapping[Who, Chain], holders: int = 1) -> list[Violation]:
        """What was acknowledged and is not in the chain of an honest replica that is long enough, or in too few.

        `chains`: of all honest replicas, in the end. `holders`: so many of them must reach each acknowledged height; a
        receipt is worth f+1 of them at once, and all of them when everybody has caught up.
        """
        return first(chain(self._found, self._missing(chains, holders)))

    def _missing(self, chains: Mapping[Who, Chain], holders: int) -> Iterator[Violation]:
        for acknowledged in sorted(self._acknowledged.values(), key=lambda a: (a.height, a.index, a.tx_id)):
            height = acknowledged.height
            reaching = [who for who, blocks in chains.items() if height < len(blocks)]
            if len(reaching) < holders:
                what = f"but {len(reaching)} of {len(chains)} honest replicas have that block"
                yield Violation(ORACLE, f"{_described(acknowledged)}, {what}", height, tuple(reaching))
            without = [who for who in reaching if not _holds(chains[who][height], acknowledged)]
            if without:
                what = f"{_described(acknowledged)}, but not so at {named(*without)}"
                yield Violation(ORACLE, what, height, tuple(without))


def _holds(block: Held, acknowledged: Acknowledgement) -> bool:
    index = acknowledged.index
    if block.block_hash != acknowledged.block_hash or not 0 <= index < len(block.tx_ids):
        return False
    return block.tx_ids[index] == acknowledged.tx_id


def _described(acknowledged: Acknowledgement) -> str:
    return f"transaction {short(acknowledged.tx_id)} was acknowledged {_place(acknowledged)}"


def _place(acknowledged: Acknowledgement) -> str:
    return f"in block {acknowledged.height}, {short(acknowledged.block_hash)}, place {acknowledged.index}"
