"""What survives a crash of a replica in `tests.cluster`: promises as frames, blocks, certificates."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bftledger.base import cbor
from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import Digest, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft import messages, wire
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import CheckpointCertificate, Record
from tests.builders import GENESIS_BLOCK

Slot = tuple[int, str, int]
MAX_SKEW_MS = 5_000
"""So much later than its block's time may a transaction be created, as a genesis says it."""


def slot_of(record: Any) -> Slot:
    """Where a promise belongs: (sequence number, kind, view), as a store keeps it."""
    kind = type(record).__name__
    match record:
        case messages.PreparedCertificate(pre_prepare=pre_prepare):
            return pre_prepare.seq, kind, 0
        case messages.ViewChange() | messages.NewView():
            return 0, kind, 0
        case messages.Checkpoint():
            return record.seq, kind, 0
        case _:
            return record.seq, kind, record.view


@dataclass
class MemoryStore:
    """What survives a crash: promises as frames, blocks, certificates."""

    votes: dict[Slot, bytes] = field(default_factory=dict)
    blocks: list[bytes] = field(default_factory=list)
    hashes: list[Digest] = field(default_factory=lambda: [GENESIS_BLOCK])
    ledger: dict[TxId, int] = field(default_factory=dict)
    certificates: dict[int, CheckpointCertificate] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)

    def keep(self, record: Record) -> None:
        if isinstance(record, CheckpointCertificate):
            self.certificates[record.seq] = record
        else:
            self.votes[slot_of(record)] = wire.encode(record)

    def discard(self, seq: Seq) -> None:
        self.votes = {slot: frame for slot, frame in self.votes.items() if not 1 <= slot[0] <= seq}

    def append(self, transactions: Iterable[Transaction], time: int) -> tuple[Digest, bytes]:
        """Executes: what is in the ledger already, or expired, or created too late, stays out of the block."""
        kept = []
        for tx in transactions:
            if tx.id not in self.ledger and tx.expires >= time and tx.created <= time + MAX_SKEW_MS:
                self.ledger[tx.id] = len(self.hashes)
                kept.append(tx)
        block = cbor.encode([self.hashes[-1], time, [tx.encoded for tx in kept]])
        self.blocks.append(block)
        self.hashes.append(tagged_hash("test-block", block))
        return self.hashes[-1], block

    @property
    def time(self) -> int:
        """Of the newest block."""
        return cbor.decode(self.blocks[-1])[1] if self.blocks else 0
