"""The authenticated map against a plain dict and a definition of its root that is too slow to use."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.apps.map_proof import EMPTY, MapProof, verify_map_proof
from bftledger.apps.state import AuthenticatedMap
from bftledger.base import cbor
from bftledger.base.crypto import tagged_hash
from bftledger.base.errors import BadProof, Malformed, StoreError

KEYS = st.integers(0, 300).map(lambda number: b"key %d" % number)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=120)


def root_by_definition(entries: dict[bytes, bytes]) -> bytes:
    """The module's docstring, word by word."""
    hashed = sorted(tagged_hash("map/key", key) + tagged_hash("map/value", value) for key, value in entries.items())
    return _subtree(hashed, 0)


def _subtree(hashed: list[bytes], depth: int) -> bytes:
    if not hashed:
        return bytes(32)
    if len(hashed) <= 16:
        return tagged_hash("map/bucket", b"".join(hashed))
    children = [[entry for entry in hashed if int(entry.hex()[depth], 16) == nibble] for nibble in range(16)]
    return tagged_hash("map/branch", b"".join(_subtree(child, depth + 1) for child in children))


def a_map(size: int) -> AuthenticatedMap:
    return AuthenticatedMap((b"key %d" % i, b"value %d" % i) for i in range(size))


@given(st.lists(CHANGES, max_size=6))
def test_root_is_a_function_of_the_entries_alone(batches: list[dict[bytes, bytes | None]]) -> None:
    tree, model = AuthenticatedMap(), dict[bytes, bytes]()
    for changes in batches:
        tree.update(changes)
        model |= {key: value for key, value in changes.items() if value is not None}
        model = {key: value for key, value in model.items() if changes.get(key, b"") is not None}

        assert tree.root() == root_by_definition(model)
        assert dict(tree.items()) == model


@given(CHANGES, CHANGES)
def test_what_was_before_undoes_an_update(first: dict[bytes, bytes | None], second: dict[bytes, bytes | None]) -> None:
    tree = AuthenticatedMap()
    tree.update(first)
    root, entries = tree.root(), dict(tree.items())
    before = {key: tree.get(key) for key in second}
    tree.update(second)
    tree.root()
    tree.update(before)

    assert tree.root() == root
    assert dict(tree.items()) == entries


@given(st.lists(CHANGES, min_size=1, max_size=6), st.booleans())
def test_a_map_that_keeps_little_in_memory_says_the_same(
    batches: list[dict[bytes, bytes | None]], is_reopened: bool
) -> None:
    """What an update changed is stored before the next one."""
    store: dict[bytes, bytes] = {}
    tree, whole = AuthenticatedMap(stored=store.get, room_bytes=1_000), AuthenticatedMap()
    for changes in batches:
        tree.update(changes)
        whole.update(changes)
        store |= {key: value for key, value in changes.items() if value is not None}
        for key in [key for key, value in changes.items() if value is None]:
            store.pop(key, None)
    if is_reopened:
        tree = AuthenticatedMap(store.items(), stored=store.get, room_bytes=1_000)

    assert tree.root() == whole.root()
    assert len(tree) == len(store)
    assert [tree.get(b"key %d" % number) for number in range(301)] == [
        store.get(b"key %d" % number) for number in range(301)
    ]


def test_a_stored_row_that_the_root_does_not_commit_to_is_refused() -> None:
    store = {b"key": b"value", b"lost": b"value"}
    tree = AuthenticatedMap(store.items(), stored=store.get)
    store[b"key"] = b"another value"
    del store[b"lost"]
    store[b"new"] = b"value"

    for key in (b"key", b"lost", b"key"):
        with pytest.raises(StoreError, match="restore the store"):
            tree.get(key)
    assert tree.get(b"new") is None


def test_root_survives_growing_to_thousands_and_shrinking_to_nothing() -> None:
    chance = random.Random(1)
    tree, keys = a_map(5_000), [b"key %d" % i for i in range(5_000)]
    chance.shuffle(keys)
    for removed, key in enumerate(keys):
        tree.update({key: None})
        if removed % 977 == 0 or removed > 4_950:
            assert tree.root() == root_by_definition(dict(tree.items()))

    assert tree.root() == EMPTY


@given(st.dictionaries(KEYS, st.binary(max_size=3), max_size=150), KEYS)
def test_presence_and_absence_have_proofs(entries: dict[bytes, bytes], key: bytes) -> None:
    tree = AuthenticatedMap(entries.items())
    proof = MapProof.decode(tree.prove(key).encode())

    verify_map_proof(tree.root(), key, entries.get(key), proof)
    with pytest.raises(BadProof):
        verify_map_proof(tree.root(), key, b"another value", proof)
    with pytest.raises(BadProof):
        verify_map_proof(tree.root(), key, None if key in entries else b"", proof)
    with pytest.raises(BadProof):
        verify_map_proof(tagged_hash("another root"), key, entries.get(key), proof)


def test_proof_of_one_key_says_nothing_about_another() -> None:
    tree = a_map(2_000)
    proof = tree.prove(b"key 7")

    with pytest.raises(BadProof):
        verify_map_proof(tree.root(), b"no such key", None, proof)


@pytest.mark.parametrize("key", [b"key 7", b"no such key"])
def test_every_flipped_byte_of_a_proof_is_refused(key: bytes) -> None:
    tree = a_map(600)
    encoded = tree.prove(key).encode()
    for at in range(len(encoded)):
        for mask in (0x01, 0x80):
            flipped = encoded[:at] + bytes([encoded[at] ^ mask]) + encoded[at + 1 :]
            with pytest.raises((BadProof, Malformed)):
                verify_map_proof(tree.root(), key, tree.get(key), MapProof.decode(flipped))


@given(st.binary(max_size=200))
def test_hostile_proof_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        MapProof.decode(data)


def test_proof_is_written_in_one_way_only() -> None:
    """An empty sibling that is spelled out would make a second encoding of the same proof."""
    level = b"\x00\x01" + bytes(32)
    with pytest.raises(Malformed, match="spelled out"):
        MapProof.decode(cbor.encode([b"", [level]]))
