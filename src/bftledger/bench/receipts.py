"""What clients' receipts say, kept in files for whoever compares it with the ledgers afterwards.

A file is rows of 76 bytes: the transaction's id, the height of its block, that block's hash, and the place in it. Only
verified receipts are in it.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bftledger.base.ids import Digest, Seq, TxId
from bftledger.check.durability import Acknowledgement
from bftledger.ledger.receipt import Receipt

_ROW: Final = struct.Struct(">32sQ32sI")


def row(tx_id: TxId, receipt: Receipt) -> bytes:
    """The row of a receipt."""
    return _ROW.pack(tx_id, receipt.header.height, receipt.header.hash, receipt.index)


def read(directory: Path) -> Iterator[Acknowledgement]:
    """All rows of all files in `directory`."""
    for path in sorted(directory.iterdir()):
        for tx_id, height, block_hash, index in _ROW.iter_unpack(path.read_bytes()):
            yield Acknowledgement(TxId(tx_id), Seq(height), Digest(block_hash), index)
