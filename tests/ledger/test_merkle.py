"""RFC 9162 trees: the vectors of Certificate Transparency's reference implementation, and every tree of small size."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.base.errors import BadProof
from bftledger.base.ids import Digest
from bftledger.ledger import merkle
from bftledger.ledger.history import History, HistoryNode, history_path

LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
SIZES = range(1, 34)


def leaves(size: int) -> list[bytes]:
    return [b"%d" % i for i in range(size)]


def root_by_definition(data: list[bytes]) -> bytes:
    """§2.1.1: "Let k be the largest power of two smaller than n"."""
    if len(data) == 1:
        return hashlib.sha256(b"\0" + data[0]).digest()
    k = 1 << (len(data) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_by_definition(data[:k]) + root_by_definition(data[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_paths_are_those_of_certificate_transparency(index: int, size: int) -> None:
    assert merkle.inclusion_path(LEAVES[:size], index).hex() == "".join(INCLUSION[index, size])


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_paths_are_those_of_certificate_transparency(old: int, new: int) -> None:
    assert merkle.consistency_path(LEAVES[:new], old).hex() == "".join(CONSISTENCY[old, new])


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_every_small_tree_has_its_path(size: int) -> None:
    data = leaves(size)
    tree = merkle.tree(data)
    root, paths = merkle.root_of(tree), merkle.inclusion_paths(tree)

    assert root == merkle.root(data) == root_by_definition(data)
    assert list(paths) == [merkle.inclusion_path(data, i) for i in range(size)]
    for index, path in enumerate(paths):
        merkle.verify_inclusion(root, size, index, merkle.leaf_hash(data[index]), path)


@pytest.mark.parametrize("different", [1, 2, 7])
@pytest.mark.parametrize("size", SIZES)
def test_leaves_that_are_alike_make_the_same_tree(size: int, different: int) -> None:
    data = [leaf % different * b"x" for leaf in range(size)]

    assert merkle.root(data) == root_by_definition(data)
    assert list(merkle.inclusion_paths(merkle.tree(data))) == [merkle.inclusion_path(data, i) for i in range(size)]


@pytest.mark.parametrize("size", SIZES)
def test_path_proves_one_place_only(size: int) -> None:
    data = leaves(size)
    tree = merkle.tree(data)
    root, paths = merkle.root_of(tree), merkle.inclusion_paths(tree)
    for index in range(-1, size + 1):
        for other, path in enumerate(paths):
            if index != other:
                with pytest.raises(BadProof):
                    merkle.verify_inclusion(root, size, index, merkle.leaf_hash(data[other]), path)


@pytest.mark.parametrize("size", SIZES)
def test_every_beginning_of_every_small_tree_is_consistent_with_it(size: int) -> None:
    data = leaves(size)
    for old in range(1, size + 1):
        path = merkle.consistency_path(data, old)
        merkle.verify_consistency(merkle.root(data[:old]), old, merkle.root(data), size, path)
        with pytest.raises(BadProof):
            merkle.verify_consistency(merkle.root([*data[: old - 1], b"x"]), old, merkle.root(data), size, path)
        with pytest.raises(BadProof):
            merkle.verify_consistency(merkle.root(data[:old]), old, merkle.root([*data, b"x"]), size, path)


@given(st.integers(1, 40), st.data())
def test_changed_proof_is_no_proof(size: int, data: st.DataObject) -> None:
    tree, index = leaves(size), data.draw(st.integers(0, size - 1))
    root, leaf = merkle.root(tree), merkle.leaf_hash(tree[index])
    inclusion, consistency = merkle.inclusion_path(tree, index), merkle.consistency_path(tree, index + 1)
    for path in (inclusion, consistency):
        wrong = data.draw(
            st.sampled_from([path + bytes(32), path[:-32] + bytes(32), path + b"x", path[1:], path[:-32]])
        )
        if wrong != path:
            with pytest.raises(BadProof):
                merkle.verify_inclusion(root, size, index, leaf, wrong)
            with pytest.raises(BadProof):
                merkle.verify_consistency(merkle.root(tree[: index + 1]), index + 1, root, size, wrong + bytes(32))


@pytest.mark.parametrize("size", [*range(20), 31, 32, 33, 63, 100])
def test_history_grows_as_the_tree_does_and_proves_every_old_block(size: int) -> None:
    history, stored = History.empty(), dict[tuple[int, int], Digest]()
    blocks = [Digest(hashlib.sha256(b"%d" % i).digest()) for i in range(size)]
    for block_hash in blocks:
        for node in history.append(block_hash):
            assert isinstance(node, HistoryNode)
            assert stored.setdefault((node.level, node.place), node.hash) == node.hash

    def read(level: int, place: int) -> Digest:
        return stored[level, place]

    assert history.root() == merkle.root(blocks)
    assert History.load(size, read).root() == history.root()
    assert len(stored) < 2 * size + 1
    for index in range(size):
        assert history_path(index, size, read) == merkle.inclusion_path(blocks, index)
        assert history_path(index, index + 1, read) == merkle.inclusion_path(blocks[: index + 1], index)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 100])
def test_history_loaded_from_its_nodes_goes_on_as_before(size: int) -> None:
    stored, history = dict[tuple[int, int], Digest](), History.empty()
    for i in range(size):
        stored.update(((node.level, node.place), node.hash) for node in history.append(Digest(bytes([i] * 32))))
    loaded = History.load(size, lambda level, place: stored[level, place])

    assert loaded.append(Digest(b"next")) == history.append(Digest(b"next"))
    assert loaded.root() == history.root()
