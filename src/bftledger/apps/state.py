"""An application's state: an authenticated map from bytes to bytes, and the view that one block has of it.

The map is a Merkle trie of 16 children per branch over the hashes of its keys. A subtree with at most 16 entries is
one bucket, however it came about, so the shape and with it the root are a function of the set of entries alone.
A change marks its path; `root` hashes each marked node once, so a block pays for the paths it touched, once.

    entry  = H("map/key", key) ‖ H("map/value", value)                           64 bytes
    bucket = H("map/bucket", its entries in ascending order)
    branch = H("map/branch", the hashes of its 16 children)
    empty  = 32 zero bytes, in place of an empty subtree's hash
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bftledger.apps.map_proof import EMPTY, KEY_TAG, VALUE_TAG, MapProof, branch_hash, bucket_hash
from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import Digest

MAX_KEY_BYTES: Final = 1_024
MAX_VALUE_BYTES: Final = 1024 * 1024
BUCKET_ENTRIES: Final = 16

_ENTRY: Final = 64
_BUCKET_BYTES: Final = BUCKET_ENTRIES * _ENTRY
_NO_HASHES: Final = bytes(16 * 32)


class _Branch:
    """An inner node: `size` entries below it, the last known hashes of its children, and which of them are stale."""

    __slots__ = ("children", "hashes", "size", "stale")

    def __init__(self, size: int) -> None:
        self.size = size
        self.children: list[_Branch | bytes] = [b""] * 16
        self.hashes = bytearray(_NO_HASHES)
        self.stale = 0


_Node = _Branch | bytes
"""A branch, or a bucket: its entries in ascending order, concatenated. An empty subtree is an empty bucket."""


class AuthenticatedMap:
    """A map whose `root` (32 bytes) commits to every entry, and whose entries and absences have proofs."""

    __slots__ = ("_root", "_root_hash", "_values")

    def __init__(self, entries: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._values: dict[bytes, bytes] = {}
        self._root: _Node = b""
        self._root_hash: Digest | None = EMPTY
        for key, value in entries:
            self._set(key, value)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None."""
        return self._values.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in no particular order."""
        return iter(self._values.items())

    def update(self, changes: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
        """Makes the changes (None deletes) and returns those that undo them."""
        undo = {key: self._values.get(key) for key in changes}
        for key, value in changes.items():
            self._set(key, value)
        return undo

    def root(self) -> Digest:
        """32 bytes that commit to all entries. Hashes what has changed since it was last asked for."""
        if self._root_hash is None:
            self._root_hash = _rehash(self._root)
        return self._root_hash

    def prove(self, key: bytes) -> MapProof:
        """Proof, under `root()`, of the value under `key` or of its absence; see `map_proof.verify_map_proof`."""
        self.root()
        digest = tagged_hash(KEY_TAG, key)
        levels: list[bytes] = []
        node = self._root
        depth = 0
        while isinstance(node, _Branch):
            child = _nibble(digest, depth)
            levels.append(bytes(node.hashes[: 32 * child] + node.hashes[32 * child + 32 :]))
            node = node.children[child]
            depth += 1
        return MapProof(levels=tuple(levels), bucket=node)

    def _set(self, key: bytes, value: bytes | None) -> None:
        present = self._values.get(key)
        if present == value:
            return
        digest = tagged_hash(KEY_TAG, key)
        if value is None:
            del self._values[key]
            self._root = _without(self._root, digest)
        else:
            self._values[key] = value
            entry = digest + tagged_hash(VALUE_TAG, value)
            self._root = _with(self._root, entry, is_new=present is None)
        self._root_hash = None


def _nibble(digest: bytes, depth: int) -> int:
    byte = digest[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _with(root: _Node, entry: bytes, *, is_new: bool) -> _Node:
    """The trie `root` after `entry` has been put in, or has taken the place of the one with the same key."""
    parent: _Branch | None = None
    node, depth, child = root, 0, 0
    while isinstance(node, _Branch):
        node.size += is_new
        byte = entry[depth >> 1]
        child = byte & 15 if depth & 1 else byte >> 4
        node.stale |= 1 << child
        parent, node = node, node.children[child]
        depth += 1
    at = _place(node, entry)
    bucket = node[:at] + entry + node[at if is_new else at + _ENTRY :]
    replacement = bucket if len(bucket) <= _BUCKET_BYTES else _split(bucket, depth)
    if parent is None:
        return replacement
    parent.children[child] = replacement
    return root


def _without(root: _Node, digest: bytes) -> _Node:
    """The trie `root` after the entry of this key, which is in it, has been taken out."""
    parent: _Branch | None = None
    node, depth, child = root, 0, 0
    while isinstance(node, _Branch) and node.size > BUCKET_ENTRIES + 1:
        node.size -= 1
        child = _nibble(digest, depth)
        node.stale |= 1 << child
        parent, node = node, node.children[child]
        depth += 1
    bucket = node if isinstance(node, bytes) else b"".join(_buckets(node))
    at = _place(bucket, digest)
    replacement = bucket[:at] + bucket[at + _ENTRY :]
    if parent is None:
        return replacement
    parent.children[child] = replacement
    return root


def _place(bucket: bytes, digest: bytes) -> int:
    """Where in `bucket` the entry that starts with `digest`'s 32 bytes is, or belongs."""
    digest = digest[:32]
    for at in range(0, len(bucket), _ENTRY):
        if bucket[at : at + 32] >= digest:
            return at
    return len(bucket)


def _split(bucket: bytes, depth: int) -> _Node:
    if len(bucket) <= _BUCKET_BYTES:
        return bucket
    branch = _Branch(len(bucket) // _ENTRY)
    parts: list[list[bytes]] = [[] for _ in range(16)]
    for at in range(0, len(bucket), _ENTRY):
        entry = bucket[at : at + _ENTRY]
        parts[_nibble(entry, depth)].append(entry)
    for child, entries in enumerate(parts):
        if entries:
            branch.children[child] = _split(b"".join(entries), depth + 1)
            branch.stale |= 1 << child
    return branch


def _buckets(node: _Node) -> Iterator[bytes]:
    if isinstance(node, bytes):
        yield node
    else:
        for child in node.children:
            yield from _buckets(child)


def _rehash(node: _Node) -> Digest:
    if isinstance(node, bytes):
        return bucket_hash(node)
    stale = node.stale
    hashes = node.hashes
    children = node.children
    while stale:
        child = (stale & -stale).bit_length() - 1
        stale &= stale - 1
        below = children[child]
        hashes[32 * child : 32 * child + 32] = bucket_hash(below) if type(below) is bytes else _rehash(below)
    node.stale = 0
    return branch_hash(hashes)


class StateView:
    """What the transactions of one block see and write, on top of the state before the block.

    Each transaction ends with `commit` or `discard`. `changes` is what the block changes in all.
    """

    __slots__ = ("_block", "_state", "_transaction")

    def __init__(self, state: AuthenticatedMap) -> None:
        self._state = state
        self._block: dict[bytes, bytes | None] = {}
        self._transaction: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None: as earlier transactions of the block and this one left it."""
        if key in self._transaction:
            return self._transaction[key]
        if key in self._block:
            return self._block[key]
        return self._state.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Writes an entry. Raises ValueError for a key of no or more than 1024 bytes, or a value above 1 MiB."""
        if type(key) is not bytes or not 1 <= len(key) <= MAX_KEY_BYTES:
            raise ValueError(f"a key of the state has 1 to {MAX_KEY_BYTES} bytes")
        if type(value) is not bytes or len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"a value of the state has at most {MAX_VALUE_BYTES} bytes")
        self._transaction[key] = value

    def delete(self, key: bytes) -> None:
        """Takes the entry out, if there is one."""
        self._transaction[key] = None

    def commit(self) -> None:
        """The transaction succeeded: what it wrote stays."""
        self._block.update(self._transaction)
        self._transaction.clear()

    def discard(self) -> None:
        """The transaction was rejected: what it wrote is forgotten."""
        self._transaction.clear()

    @property
    def changes(self) -> dict[bytes, bytes | None]:
        """Every row that differs from the state before the block, with its new value; None is a deletion."""
        return {key: value for key, value in self._block.items() if self._state.get(key) != value}
