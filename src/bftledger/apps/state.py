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

from bftledger.apps.map_proof import EMPTY, MapProof, branch_hash, hash_of_entries, key_hash, value_hash
from bftledger.apps.rows import ROOM_BYTES, Rows, Stored
from bftledger.base.errors import StoreError
from bftledger.base.ids import Digest

MAX_KEY_BYTES: Final = 1_024
MAX_VALUE_BYTES: Final = 1024 * 1024
BUCKET_ENTRIES: Final = 16

_ENTRY: Final = 64
_MAX_DIGESTS: Final = 8_192
"""Of so many keys the hashes are remembered: those that are written again and again are hashed once."""

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
    """A map whose `root` (32 bytes) commits to every entry, and whose entries and absences have proofs.

    With `stored`, not all values are kept in memory (about `room_bytes`, twice): they are read back from there, and
    checked against the root. What an `update` changed must be stored, or undone by another, before the next but one.
    """

    __slots__ = ("_digests", "_root", "_root_hash", "_rows")

    def __init__(
        self,
        entries: Iterable[tuple[bytes, bytes]] = (),
        *,
        stored: Stored | None = None,
        room_bytes: int = ROOM_BYTES,
    ) -> None:
        self._rows = Rows(stored, room_bytes)
        self._digests: dict[bytes, bytes] = {}
        self._root: _Node = b""
        self._root_hash: Digest | None = None
        for key, value in entries:
            if stored is None:
                self._rows.put(key, value)
            self._root = _with(self._root, key_hash(key), value_hash(value))

    def __len__(self) -> int:
        return self._root.size if isinstance(self._root, _Branch) else len(self._root) // _ENTRY

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None. Raises `StoreError` if what is stored is not what the root commits to."""
        value = self._rows.get(key)
        if value is not None or self._rows.are_all_here:
            return value
        expected = _find(self._root, self._digest(key))
        if expected is None:
            return None
        value = self._rows.read(key)
        if value is None or value_hash(value) != expected:
            raise StoreError(f"the state's row {key.hex()} is not what was stored; restore the store")
        self._rows.remember(key, value)
        return value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in no particular order. Only of a map that keeps them all in memory."""
        return iter(self._rows.items())

    def update(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Makes the changes; None deletes."""
        self._rows.update(changes)
        root = self._root
        for key, value in changes.items():
            digest = self._digests.get(key) or self._digest(key)
            root = _without(root, digest) if value is None else _with(root, digest, value_hash(value))
        self._root = root
        self._root_hash = None

    def root(self) -> Digest:
        """32 bytes that commit to all entries. Hashes what has changed since it was last asked for."""
        if self._root_hash is None:
            self._root_hash = Digest(_rehash(self._root))
        return self._root_hash

    def prove(self, key: bytes) -> MapProof:
        """Proof, under `root()`, of the value under `key` or of its absence; see `map_proof.verify_map_proof`."""
        self.root()
        digest = key_hash(key)
        levels: list[bytes] = []
        node = self._root
        depth = 0
        while isinstance(node, _Branch):
            child = _nibble(digest, depth)
            levels.append(bytes(node.hashes[: 32 * child] + node.hashes[32 * child + 32 :]))
            node = node.children[child]
            depth += 1
        return MapProof(levels=tuple(levels), bucket=node)

    def _digest(self, key: bytes) -> bytes:
        digest = self._digests.get(key)
        if digest is None:
            if len(self._digests) >= _MAX_DIGESTS:
                self._digests.clear()
            digest = self._digests[key] = key_hash(key)
        return digest


def _nibble(digest: bytes, depth: int) -> int:
    byte = digest[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4


def _find(node: _Node, digest: bytes) -> bytes | None:
    """The hash of the value of this key, if there is an entry."""
    depth = 0
    while isinstance(node, _Branch):
        node = node.children[_nibble(digest, depth)]
        depth += 1
    at = _place(node, digest)
    return node[at + 32 : at + _ENTRY] if node[at : at + 32] == digest else None


def _with(root: _Node, digest: bytes, value: bytes) -> _Node:
    """The trie `root` after the entry of this key has got this value's hash, whether or not it was there before."""
    path: list[_Branch] = []
    node, child, depth = root, 0, 0
    while isinstance(node, _Branch):
        byte = digest[depth >> 1]
        child = byte & 15 if depth & 1 else byte >> 4
        node.stale |= 1 << child
        path.append(node)
        node = node.children[child]
        depth += 1
    at = node.find(digest)
    if at >= 0 and not at % _ENTRY:
        replacement: _Node = b"".join((node[: at + 32], value, node[at + _ENTRY :]))
    else:
        at = _place(node, digest)
        is_new = node[at : at + 32] != digest
        bucket = b"".join((node[:at], digest, value, node[at if is_new else at + _ENTRY :]))
        for branch in path:
            branch.size += is_new
        replacement = bucket if len(bucket) <= _BUCKET_BYTES else _split(bucket, depth)
    if not path:
        return replacement
    path[-1].children[child] = replacement
    return root


def _without(root: _Node, digest: bytes) -> _Node:
    """The trie `root` after the entry of this key, if there is one, has been taken out."""
    if _find(root, digest) is None:
        return root
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
    """Where in `bucket` the entry of this key is, or belongs."""
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


def _rehash(node: _Node) -> bytes:
    if isinstance(node, bytes):
        return hash_of_entries(node) if node else EMPTY
    stale, hashes, children = node.stale, node.hashes, node.children
    while stale:
        lowest = stale & -stale
        stale ^= lowest
        child = lowest.bit_length() - 1
        below = children[child]
        if not below:
            hashes[32 * child : 32 * child + 32] = EMPTY
        elif isinstance(below, bytes):
            hashes[32 * child : 32 * child + 32] = hash_of_entries(below)
        else:
            hashes[32 * child : 32 * child + 32] = _rehash(below)
    node.stale = 0
    return branch_hash(hashes)


class StateView:
    """What the transactions of one block see and write, on top of the state before the block.

    Each transaction ends with `commit` or `discard`. `changes` is what the block changes in all.
    """

    __slots__ = ("_before", "_block", "_state", "_transaction")

    def __init__(self, state: AuthenticatedMap) -> None:
        self._state = state
        self._before: dict[bytes, bytes | None] = {}
        """What the state said, so that it is asked once."""
        self._block: dict[bytes, bytes | None] = {}
        """The same, and then what transactions made of it."""
        self._transaction: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, or None: as earlier transactions of the block and this one left it."""
        if key in self._transaction:
            return self._transaction[key]
        if key in self._block:
            return self._block[key]
        value = self._before[key] = self._block[key] = self._state.get(key)
        return value

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
        return {key: value for key, value in self._block.items() if value != self._value_before(key)}

    @property
    def before(self) -> dict[bytes, bytes | None]:
        """What undoes the `changes`, which must have been asked for: what all rows were that were looked at."""
        return self._before

    def _value_before(self, key: bytes) -> bytes | None:
        if key not in self._before:
            self._before[key] = self._state.get(key)
        return self._before[key]
