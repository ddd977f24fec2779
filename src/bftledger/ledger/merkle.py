"""RFC 9162 Merkle trees (§2.1) with SHA-256: roots, inclusion proofs and consistency proofs.

    leaf = SHA-256(0x00 ‖ data)        node = SHA-256(0x01 ‖ left ‖ right)        empty tree = SHA-256("")

A proof is a path: its hashes from the leaf's end on, concatenated. The tree's size is never part of a proof; it must
come from where the root came from, or a proof could be read as one for another place.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from bftledger.base.errors import BadProof
from bftledger.base.ids import Digest

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = Digest(hashlib.sha256(b"").digest())
"""The root of the tree without leaves."""

MAX_PATH_BYTES: Final = 64 * HASH_BYTES
"""No path in a tree of less than 2^64 leaves is longer."""


def leaf_hash(data: bytes) -> Digest:
    """The hash of a leaf: 32 bytes."""
    return Digest(hashlib.sha256(b"\0" + data).digest())


def node_hash(left: bytes, right: bytes) -> Digest:
    """The hash of an inner node: 32 bytes."""
    return Digest(hashlib.sha256(b"\1" + left + right).digest())


Tree = list[list[bytes]]
"""All nodes, level by level, from the leaves' hashes to the root; no level for a tree without leaves."""


def tree(leaves: Sequence[bytes]) -> Tree:
    """The tree over the leaves' data. Splitting at the largest power of two, as the RFC does, is pairing from the left
    and moving an odd last node up."""
    if not leaves:
        return []
    alike = len(set(leaves)) * _FEW < len(leaves)
    sha256 = hashlib.sha256
    level = _hashed_once(b"\0", leaves) if alike else [sha256(b"\0" + leaf).digest() for leaf in leaves]
    levels = [level]
    while len(level) > 1:
        nodes = iter(level)
        if alike:
            above = _hashed_once(b"\1", [left + right for left, right in zip(nodes, nodes, strict=False)])
        else:
            above = [sha256(b"\1" + left + right).digest() for left, right in zip(nodes, nodes, strict=False)]
        if len(level) & 1:
            above.append(level[-1])
        level = above
        levels.append(level)
    return levels


_FEW: Final = 3
"""If there are so many times more leaves than different ones, it pays to look for those that are alike."""


def _hashed_once(prefix: bytes, data: Sequence[bytes]) -> list[bytes]:
    known = {item: hashlib.sha256(prefix + item).digest() for item in set(data)}
    return [known[item] for item in data]


def root_of(levels: Tree) -> Digest:
    """MTH of the leaves' data (§2.1.1)."""
    return Digest(levels[-1][0]) if levels else EMPTY_ROOT


def root(leaves: Sequence[bytes]) -> Digest:
    """The same, if nothing else of the tree is needed."""
    return root_of(tree(leaves))


def inclusion_paths(levels: Tree) -> tuple[bytes, ...]:
    """The inclusion path of every leaf, for much less than the work of the tree (§2.1.3.1)."""
    # A node's path is its sibling and its parent's path; so paths are built from the root down, each once.
    paths: list[bytes] = [b""] if levels else []
    for level in reversed(levels[:-1]):
        last = len(level) - 1
        paths = [paths[i >> 1] if i == last and not i & 1 else level[i ^ 1] + paths[i >> 1] for i in range(len(level))]
    return tuple(paths)


def inclusion_path(leaves: Sequence[bytes], index: int) -> bytes:
    """The path of the leaf at `index`."""
    path = b""
    for level in tree(leaves)[:-1]:
        if index ^ 1 < len(level):
            path += level[index ^ 1]
        index >>= 1
    return path


def verify_inclusion(tree_root: bytes, size: int, index: int, leaf: bytes, path: bytes) -> None:
    """Returns if the tree of this root and size has a leaf of this hash at `index` (§2.1.3.2); else `BadProof`."""
    if not 0 <= index < size:
        raise BadProof("the place is outside of the tree")
    if len(path) % HASH_BYTES:
        raise BadProof("an inclusion path is not whole hashes")
    node, last, at = leaf, size - 1, 0
    while last:
        # The last node of an odd level has no sibling there: it moves up as it is.
        if index & 1 or index < last:
            sibling = path[at : at + HASH_BYTES]
            at += HASH_BYTES
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index >>= 1
        last >>= 1
    if at != len(path) or node != tree_root:
        raise BadProof("the inclusion path does not lead to the root")


def consistency_path(leaves: Sequence[bytes], size: int) -> bytes:
    """Proof that the tree of the first `size` ≥ 1 leaves is the beginning of the tree of all of them (§2.1.4.1)."""
    levels = tree(leaves)
    index, level = size - 1, 0
    while index & 1:
        index >>= 1
        level += 1
    # `index` at `level` is now the largest complete subtree that ends where the old tree ends.
    path = b"" if index == 0 else levels[level][index]
    for nodes in levels[level:-1]:
        if index ^ 1 < len(nodes):
            path += nodes[index ^ 1]
        index >>= 1
    return path if size < len(leaves) else b""


def verify_consistency(old_root: bytes, old_size: int, new_root: bytes, new_size: int, path: bytes) -> None:
    """Returns if the old tree is the beginning of the new one (§2.1.4.2); raises `BadProof` if it is not shown."""
    if len(path) % HASH_BYTES or not 1 <= old_size <= new_size:
        raise BadProof("not a consistency proof between trees of these sizes")
    if old_size == new_size:
        if path or old_root != new_root:
            raise BadProof("trees of one size have different roots")
        return
    hashes = [path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES)]
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise BadProof("the consistency proof is too short")
    index, last = old_size - 1, new_size - 1
    while index & 1:
        index >>= 1
        last >>= 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise BadProof("the consistency proof is too long")
        if index & 1 or index == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        index >>= 1
        last >>= 1
    if last or old != old_root or new != new_root:
        raise BadProof("the consistency proof does not lead to both roots")
