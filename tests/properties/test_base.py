"""The base layer's promises: one encoding for each value, one identity for each transaction, quorums that intersect."""

import hashlib
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftledger.base import cbor, transaction
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier, tagged_hash
from bftledger.base.errors import BadSignature, Malformed
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, PublicKey, View
from tests.builders import ED25519, GENESIS, tx
from tests.properties.examples import transactions

values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(1 << 64), (1 << 64) - 1), st.binary(), st.text()),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=30), inner, max_size=5),
    max_leaves=20,
)


# ── CBOR ──


@given(values)
def test_cbor_is_the_canonical_encoding_and_comes_back(value: Any) -> None:
    data = cbor.encode(value)

    assert data == cbor2.dumps(value, canonical=True)
    assert cbor.decode(data) == value


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_whatever_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except Malformed:
        return

    assert cbor.encode(value) == data


@given(values, st.data())
def test_a_changed_byte_never_means_the_same_value(value: Any, data: st.DataObject) -> None:
    encoded = cbor.encode(value)
    at = data.draw(st.integers(0, len(encoded) - 1))
    changed = encoded[:at] + bytes([encoded[at] ^ data.draw(st.integers(1, 255))]) + encoded[at + 1 :]
    try:
        other = cbor.decode(changed)
    except Malformed:
        return

    assert cbor.encode(other) == changed


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytes.fromhex(text), id=what)
        for what, text in {
            "nothing": "",
            "a longer head than needed": "1817",
            "a length in a longer head": "5801ff",
            "two bytes where one does": "190017",
            "four bytes where two do": "1a0000ffff",
            "eight bytes where four do": "1b00000000ffffffff",
            "an indefinite array": "9fff",
            "an indefinite string": "5fff",
            "an indefinite map": "bfff",
            "a half float": "f93c00",
            "a float": "fa3f800000",
            "a double": "fb3ff0000000000000",
            "a tag": "c000",
            "a bignum": "c249010000000000000000",
            "undefined": "f7",
            "a simple value": "f0",
            "a break": "ff",
            "reserved": "1c",
            "trailing bytes": "0000",
            "a cut array": "8201",
            "a cut string": "4201",
            "a cut head": "19ff",
            "a duplicate key": "a2616100616100",
            "unsorted keys": "a2616200616100",
            "longer keys first": "a262616100616200",
            "a key that is not text": "a10000",
            "invalid UTF-8": "61ff",
            "a surrogate": "63eda080",
            "a lying length": "9bffffffffffffffff",
        }.items()
    ],
)
def test_what_is_not_canonical_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        cbor.decode(data)


@pytest.mark.parametrize("value", [1.5, 1 << 64, -(1 << 64) - 1, {1: 2}, {b"k": 1}, {1, 2}, object(), [1.0], "\ud800"])
def test_what_is_outside_the_profile_is_not_encoded(value: object) -> None:
    with pytest.raises(Malformed):
        cbor.encode(value)


def test_depth_size_and_number_of_items_are_bounded() -> None:
    deep: Any = 0
    for _ in range(cbor.MAX_DEPTH):
        deep = [deep]

    assert cbor.decode(cbor.encode(deep)) == deep
    for beyond in ([deep], [0] * (cbor.MAX_ITEMS + 1)):
        with pytest.raises(Malformed):
            cbor.encode(beyond)
    with pytest.raises(Malformed):
        cbor.decode(b"\x81" * 50_000)
    with pytest.raises(Malformed):
        cbor.decode(cbor.encode(bytes(100)), max_bytes=100)


# ── transactions ──


@settings(max_examples=50, deadline=None)
@given(transactions())
def test_a_transaction_survives_its_encoding(original: transaction.Transaction) -> None:
    decoded = transaction.decode(original.encoded, GENESIS)

    assert decoded == original
    assert decoded.id == original.id
    assert int.from_bytes(decoded.id[:6], "big") == original.created


def test_a_transaction_with_any_byte_changed_is_refused() -> None:
    encoded = tx("pay bob", keys=ED25519).encoded
    for at in range(len(encoded)):
        for mask in (1, 0x20, 0x80, 0xFF):
            changed = encoded[:at] + bytes([encoded[at] ^ mask]) + encoded[at + 1 :]
            with pytest.raises((Malformed, BadSignature)):
                transaction.decode(changed, GENESIS).verify(ED25519.verifier)


def test_a_transaction_of_another_group_is_refused() -> None:
    other = Digest(hashlib.sha256(b"another group").digest())

    with pytest.raises(BadSignature):
        transaction.decode(tx("pay bob", keys=ED25519).encoded, other).verify(ED25519.verifier)


@given(st.lists(values, min_size=5, max_size=7) | values)
def test_wrong_types_are_no_transaction(fields: Any) -> None:
    with pytest.raises(Malformed):
        transaction.decode(cbor.encode(fields), GENESIS)


@pytest.mark.parametrize(
    "fields",
    [
        {"nonce": bytes(7)},
        {"nonce": bytes(9)},
        {"created": 2, "expires": 2},
        {"created": -1},
        {"expires": transaction.MAX_MILLIS + 1},
        {"payload": bytes(transaction.MAX_PAYLOAD_BYTES + 1)},
    ],
    ids=str,
)
def test_a_transaction_with_a_field_out_of_range_is_not_made(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"nonce": bytes(8), "created": Millis(1), "expires": Millis(2), "payload": b""}

    with pytest.raises(Malformed):
        transaction.sign(ED25519.signer("alice"), GENESIS, **{**good, **fields})


# ── the group ──


def keys(n: int) -> tuple[PublicKey, ...]:
    return tuple(PublicKey(hashlib.sha256(bytes([i])).digest()) for i in range(n))


@pytest.mark.parametrize("n", range(4, 101))
def test_quorums_intersect_in_a_correct_replica_and_need_no_faulty_one(n: int) -> None:
    group = Group(GENESIS, keys(n))

    assert 3 * group.f < n <= 3 * group.f + 3, "f is the most that n tolerates"
    assert 2 * group.quorum - n > group.f, "any two quorums share a correct replica"
    assert group.quorum <= n - group.f, "the correct ones alone are a quorum"
    assert group.weak_quorum > group.f, "a weak quorum holds a correct replica"
    assert 2 * (group.quorum - 1) - n <= group.f, "no smaller quorum would do"
    assert n != 3 * group.f + 1 or group.quorum == 2 * group.f + 1
    assert [group.primary(View(v)) for v in range(n + 1)] == [*group.replicas, 0]


def test_a_group_of_three_or_with_a_key_twice_is_none() -> None:
    for members in (keys(3), (), (*keys(4), keys(1)[0])):
        with pytest.raises(ValueError, match="replica"):
            Group(GENESIS, members)


# ── keys and hashes ──

ORDER = (1 << 252) + 27742317777372353535851937790883648493
FIELD = (1 << 255) - 19
SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
)


def invalid() -> list[tuple[str, bytes, bytes]]:
    """(why, key, signature) for the message b"m", of which only the replaced part is wrong."""
    signer = Ed25519Signer(bytes(32))
    key, good = signer.public_key, signer.sign(b"m")
    s = int.from_bytes(good[32:], "little")
    cases = [
        ("an empty signature", key, b""),
        ("a short signature", key, good[:-1]),
        ("a long signature", key, good + b"\0"),
        ("a zero signature", key, bytes(64)),
        ("a non-canonical S", key, good[:32] + (s + ORDER).to_bytes(32, "little")),
        ("S with a high bit", key, good[:63] + bytes([good[63] | 0x80])),
        ("S = 0", key, good[:32] + bytes(32)),
        ("a short key", key[:-1], good),
        ("a long key", key + b"\0", good),
        ("another key", Ed25519Signer(bytes([1] * 32)).public_key, good),
        ("a key above the field", (FIELD + 1).to_bytes(32, "little"), good),
        ("no point of the curve", (2).to_bytes(32, "little"), good),
        ("another message's signature", key, signer.sign(b"n")),
        ("a non-canonical R", key, (FIELD + 1).to_bytes(32, "little") + good[32:]),
    ]
    cases += [(f"small-order key {i}", bytes.fromhex(point), good) for i, point in enumerate(SMALL_ORDER)]
    cases += [
        (f"small-order key and R, S = 0, {i}", bytes.fromhex(point), bytes.fromhex(point) + bytes(32))
        for i, point in enumerate(SMALL_ORDER)
    ]
    return cases + [(f"bit {bit} of the signature", key, flip(good, bit)) for bit in range(0, 512, 37)]


def flip(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ (1 << bit)).to_bytes(len(data), "big")


@pytest.mark.parametrize(("key", "signature"), [pytest.param(k, s, id=why) for why, k, s in invalid()])
def test_every_way_of_being_invalid_is_a_bad_signature(key: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        Ed25519Verifier().verify(key, b"m", signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_what_is_signed_verifies_and_signing_is_deterministic(seed: bytes, message: bytes) -> None:
    signer = Ed25519Signer(seed)
    signature = signer.sign(message)

    Ed25519Verifier().verify(signer.public_key, message, signature)
    assert signer.sign(message) == signature


def test_rfc_8032_test_1() -> None:
    signer = Ed25519Signer(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))

    assert signer.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


@given(st.text(max_size=20), st.text(max_size=20), st.binary(max_size=50))
def test_hashes_of_different_tags_differ(tag: str, other: str, data: bytes) -> None:
    assert (tagged_hash(tag, data) == tagged_hash(other, data)) == (tag == other)


def test_a_seed_of_another_length_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Ed25519Signer(bytes(31))


def test_a_signer_does_not_show_its_secret() -> None:
    seed = hashlib.sha256(b"secret").digest()

    assert seed.hex() not in repr(Ed25519Signer(seed))


@given(values)
def test_cbor_parts_are_the_encodings_of_an_arrays_items(value: Any) -> None:
    encoded = cbor.encode([value, b"\x01" * 300, value])

    assert [bytes(part) for part in cbor.parts(encoded)] == [
        cbor.encode(item) for item in (value, b"\x01" * 300, value)
    ]
    assert cbor.content(cbor.parts(encoded)[1]) == b"\x01" * 300


def test_cbor_parts_of_no_array_and_content_of_no_byte_string_are_malformed() -> None:
    others: tuple[Any, ...] = (0, "text", {}, None)
    for wrong in (b"bytes", *others):
        with pytest.raises(Malformed, match="an array was expected"):
            cbor.parts(cbor.encode(wrong))
        with pytest.raises(Malformed, match="a short array was expected"):
            cbor.split(cbor.encode(wrong))
    for wrong in ([], *others):
        with pytest.raises(Malformed, match="a byte string was expected"):
            cbor.content(memoryview(cbor.encode(wrong)))


@settings(max_examples=500)
@given(st.binary(max_size=40) | values.map(cbor.encode), st.integers(1, 20))
def test_cbor_splits_what_decodes_to_a_short_array_and_nothing_else(data: bytes, max_items: int) -> None:
    try:
        value = cbor.decode(data, max_items=max_items)
    except Malformed:
        value = None
    try:
        found = [cbor.decode_checked(part) for part in cbor.split(data, max_items=max_items)]
    except Malformed:
        found = None

    assert found == (value if isinstance(value, list) and len(value) < 24 else None)


def test_cbor_stops_at_the_items_that_the_caller_allows() -> None:
    eight = cbor.encode([0] * 8)

    assert cbor.decode(eight, max_items=8) == [0] * 8
    with pytest.raises(Malformed, match="too many items"):
        cbor.decode(eight, max_items=7)
    with pytest.raises(Malformed, match="too many items"):
        cbor.decode(cbor.encode([[0] * 4, [0] * 3]), max_items=8)
