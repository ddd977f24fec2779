"""Blocks: what a sequence number decided, and what came of it.

A block is its header, its transactions and their results. The header names everything by a hash: the block before
it, the transactions, the results, the application's state after them, and all blocks before it. The block's hash is
its header's. View and proposer are no part of it, so replicas that decide it in different views hold the same bytes.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from bftledger.base import cbor
from bftledger.base.crypto import DIGEST_BYTES, tagged_hash
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, Seq
from bftledger.base.transaction import MAX_MILLIS
from bftledger.ledger import merkle
from bftledger.pbft.settings import MAX_BATCH_COUNT

VERSION: Final = 1
MAX_HEIGHT: Final = (1 << 63) - 1
MAX_TRANSACTIONS: Final = MAX_BATCH_COUNT
MAX_HEADER_BYTES: Final = 512
MAX_RESULTS_BYTES: Final = 2 * 1024 * 1024
"""The encoded results of a block have at most so many bytes together, not counting those that say there is no room."""

MAX_BLOCK_BYTES: Final = 7 * 1024 * 1024
"""No block is longer, because proposals and results are bounded: any fits a frame, with what proves it."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """⟨version, genesis, height, previous, time, count, T, R, S, H, group⟩; hashes have 32 bytes.

    `previous`: the hash of block `height` - 1, zeros in the genesis block. `time`: milliseconds since the epoch, later
    than the previous block's. `count`: how many transactions the block has, which is the size of the next two trees.
    `transactions_root`, `results_root`: RFC 9162 trees over the encoded transactions and results. `state_root`: the
    application's state after the block. `history_root`: the RFC 9162 tree over the hashes of blocks 0 … height-1.
    `group_digest`: the replicas' keys.
    """

    version: int = VERSION
    genesis_hash: Digest
    height: Seq
    previous: Digest
    time: Millis
    count: int
    transactions_root: Digest
    results_root: Digest
    state_root: Digest
    history_root: Digest
    group_digest: Digest

    @cached_property
    def encoded(self) -> bytes:
        """CBOR array of the eleven fields."""
        return cbor.encode_known([getattr(self, name) for name in _FIELDS])

    @cached_property
    def hash(self) -> Digest:
        """The block's hash: what CHECKPOINTs sign, and what the next header calls `previous`."""
        return tagged_hash("block", self.encoded)

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        """The header whose one encoding is `data`. Raises `Malformed`."""
        fields = cbor.decode(data, MAX_HEADER_BYTES)
        if type(fields) is not list or len(fields) != len(_FIELDS):
            raise Malformed(f"a header has {len(_FIELDS)} fields")
        values = dict(zip(_FIELDS, fields, strict=True))
        for name, limit in _NUMBERS.items():
            if type(values[name]) is not int or not 0 <= values[name] <= limit:
                raise Malformed(f"a header's {name} is out of its range")
        if values["version"] != VERSION:
            raise Malformed(f"a header of version {values['version']}, not {VERSION}")
        for name in _DIGESTS:
            if type(values[name]) is not bytes or len(values[name]) != DIGEST_BYTES:
                raise Malformed(f"a header's {name} has not {DIGEST_BYTES} bytes")
        header = cls(**values)
        header.__dict__["encoded"] = data
        return header


_FIELDS: Final = tuple(Header.__dataclass_fields__)
_NUMBERS: Final = {"version": 255, "height": MAX_HEIGHT, "time": MAX_MILLIS, "count": MAX_TRANSACTIONS}
_DIGESTS: Final = tuple(name for name in _FIELDS if name not in _NUMBERS)

NO_BLOCK: Final = Digest(bytes(DIGEST_BYTES))
"""Stands for the block before the genesis block."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A header with what its roots commit to: encoded transactions, and the encoded result of each."""

    header: Header
    transactions: tuple[bytes, ...]
    results: tuple[bytes, ...]

    @property
    def hash(self) -> Digest:
        """32 bytes."""
        return self.header.hash

    @property
    def height(self) -> Seq:
        """The sequence number that decided it."""
        return self.header.height

    @cached_property
    def encoded(self) -> bytes:
        """CBOR array of the header, the transactions and the results, all as byte strings."""
        return cbor.encode_known([self.header.encoded, self.transactions, self.results])

    @cached_property
    def transactions_tree(self) -> merkle.Tree:
        """That of `header.transactions_root`."""
        return merkle.tree(self.transactions)

    @cached_property
    def results_tree(self) -> merkle.Tree:
        """That of `header.results_root`."""
        return merkle.tree(self.results)

    @cached_property
    def transaction_paths(self) -> tuple[bytes, ...]:
        """The inclusion path of each transaction under `header.transactions_root`."""
        return merkle.inclusion_paths(self.transactions_tree)

    @cached_property
    def result_paths(self) -> tuple[bytes, ...]:
        """The inclusion path of each result under `header.results_root`."""
        return merkle.inclusion_paths(self.results_tree)

    @classmethod
    def decode(cls, data: bytes) -> "Block":
        """The block whose one encoding is `data`. Raises `Malformed`; also if it is not what its header commits to."""
        match cbor.decode(data, MAX_BLOCK_BYTES):
            case [bytes(encoded_header), list(transactions), list(results)]:
                header = Header.decode(encoded_header)
            case _:
                raise Malformed("a block is a header, transactions and results")
        _check_leaves("transactions", transactions, header.count, header.transactions_root)
        _check_leaves("results", results, header.count, header.results_root)
        block = cls(header=header, transactions=tuple(transactions), results=tuple(results))
        block.__dict__["encoded"] = data
        return block


def _check_leaves(what: str, leaves: list[Any], count: int, root: Digest) -> None:
    if len(leaves) != count or any(type(leaf) is not bytes for leaf in leaves):
        raise Malformed(f"a block has not the {count} {what} that its header counts")
    if merkle.root(leaves) != root:
        raise Malformed(f"a block's {what} are not those of its header")
