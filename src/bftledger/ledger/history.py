"""The history tree: an RFC 9162 tree over the hashes of all blocks, grown one block at a time.

Only complete subtrees are ever stored, each once, when its last leaf arrives: (level, place) is the subtree over the
leaves place·2^level … (place+1)·2^level - 1. To grow, the tree needs no more than the few complete subtrees at its
right edge; to prove an old leaf against any later size, it reads stored nodes.
"""

from collections.abc import Callable
from typing import NamedTuple

from bftledger.base.ids import Digest
from bftledger.ledger.merkle import EMPTY_ROOT, leaf_hash, node_hash


class HistoryNode(NamedTuple):
    """A complete subtree of 2^level leaves, its place among those of its level, and its hash (32 bytes)."""

    level: int
    place: int
    hash: Digest


ReadNode = Callable[[int, int], Digest]
"""The stored hash of the complete subtree (level, place)."""


class History:
    """The tree over the first `size` blocks' hashes. Make it with `empty` or `load`."""

    __slots__ = ("_edge", "size")

    def __init__(self, size: int, edge: list[Digest]) -> None:
        self.size = size
        self._edge = edge
        """The hashes of the complete subtrees that make up the tree, from left to right, each smaller than the last."""

    @classmethod
    def empty(cls) -> "History":
        """The tree without blocks."""
        return cls(0, [])

    @classmethod
    def load(cls, size: int, read: ReadNode) -> "History":
        """The tree over `size` blocks, from its stored nodes."""
        return cls(size, [read(level, place) for level, place in _edge_places(size)])

    def append(self, block_hash: Digest) -> tuple[HistoryNode, ...]:
        """Adds the next block and returns the complete subtrees that this makes, to be stored."""
        node = leaf_hash(block_hash)
        level, place = 0, self.size
        nodes = [HistoryNode(0, place, node)]
        while place & 1:
            node = node_hash(self._edge.pop(), node)
            level, place = level + 1, place >> 1
            nodes.append(HistoryNode(level, place, node))
        self._edge.append(node)
        self.size += 1
        return tuple(nodes)

    def root(self) -> Digest:
        """32 bytes: MTH over the hashes of all blocks so far."""
        return _fold(self._edge)


def history_path(index: int, size: int, read: ReadNode) -> bytes:
    """The inclusion path of block `index` in the tree over the first `size` blocks, from stored nodes."""
    assert 0 <= index < size, "a block is not in a history that ends before it"
    path = b""
    level, node, last = 0, index, size - 1
    while last:
        sibling = node ^ 1
        if sibling <= last:
            path += _subtree(level, sibling, size, read)
        level, node, last = level + 1, node >> 1, last >> 1
    return path


def _subtree(level: int, place: int, size: int, read: ReadNode) -> Digest:
    """The hash of the subtree (level, place), which may be cut off by the tree's right edge."""
    if (place + 1) << level <= size:
        return read(level, place)
    start = place << level
    places = [(low, at + (start >> low)) for low, at in _edge_places(size - start)]
    return _fold([read(low, at) for low, at in places])


def _edge_places(size: int) -> list[tuple[int, int]]:
    """The complete subtrees that make up a tree of `size` leaves, from left to right: one for each bit of `size`."""
    return [(level, (size >> level) - 1) for level in reversed(range(size.bit_length())) if size >> level & 1]


def _fold(edge: list[Digest]) -> Digest:
    if not edge:
        return EMPTY_ROOT
    node = edge[-1]
    for left in reversed(edge[:-1]):
        node = node_hash(left, node)
    return node
