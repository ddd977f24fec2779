"""What clients' receipts say, kept in files for whoever compares it with the ledgers afterwards.

A file is rows of 92 bytes: the transaction's id, the height of its block, that block's hash, and the place in it; and
when its client began with it and had the receipt, in seconds of the system's monotonic clock. Only verified receipts
are in it.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bftledger.base.ids import Digest, Seq, TxId
from bftledger.check.durability import Acknowledgement
from bftledger.ledger.receipt import Receipt

_ROW: Final = struct.Struct(">32sQ32sIdd")


class Kept(NamedTuple):
    """What a receipt says, when its client began, and when it had it: in seconds."""

    acknowledged: Acknowledgement
    begun: float
    done: float


def row(tx_id: TxId, receipt: Receipt, begun: float, done: float) -> bytes:
    """The row of a receipt."""
    return _ROW.pack(tx_id, receipt.header.height, receipt.header.hash, receipt.index, begun, done)


def read(directory: Path) -> Iterator[Kept]:
    """All rows of all files in `directory`."""
    for path in sorted(directory.iterdir()):
        for tx_id, height, block_hash, index, begun, done in _ROW.iter_unpack(path.read_bytes()):
            yield Kept(Acknowledgement(TxId(tx_id), Seq(height), Digest(block_hash), index), begun, done)
