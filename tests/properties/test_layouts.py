"""What is read by its layout, for speed, is read as item by item: accepted alike, refused alike, and of one meaning."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings
from nacl.exceptions import CryptoError

from bftledger.base import cbor, transaction
from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.errors import BadSignature, Malformed
from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.pbft import kinds, wire
from bftledger.pbft.frames import Sealed
from bftledger.pbft.messages import Checkpoint, Commit, Framed, Message, Prepare, Record
from tests.builders import ED25519, GENESIS, Writer
from tests.properties.examples import records, transactions
from tests.properties.test_base import invalid

W = Writer(4, ED25519)
VOTES = ("Prepare", "Commit", "Checkpoint")
EDGES = (0, 1, 22, 23, 24, 25, 254, 255, 256, 257, 65_535, 65_536, (1 << 32) - 1, 1 << 32)


def outcome(read: Callable[[bytes], Any], data: bytes) -> Any:
    """What comes of reading it: the value, or that it is malformed."""
    try:
        return read(data)
    except Malformed:
        return Malformed


def changed(data: bytes, at: int, by: int) -> bytes:
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


# ── transactions ──


def known(read: Callable[[bytes, Any], transaction.Transaction], data: bytes) -> tuple[Any, ...]:
    """All of a transaction, also what follows from its fields."""
    found = read(data, GENESIS)
    return found, found.id, found.encoded


def assert_read_alike(data: bytes) -> None:
    by_layout = outcome(partial(known, transaction.decode), data)
    item_by_item = outcome(partial(known, transaction._decode_item_by_item), data)

    assert by_layout == item_by_item


@given(transactions(), st.data())
def test_a_transaction_and_what_is_nearly_one_are_read_alike(
    original: transaction.Transaction, data: st.DataObject
) -> None:
    encoded = original.encoded
    at = data.draw(
        st.integers(0, min(len(encoded), 140) - 1) | st.integers(1, 80).map(lambda back: len(encoded) - back)
    )

    assert_read_alike(encoded)
    assert_read_alike(changed(encoded, at, data.draw(st.integers(1, 255))))
    assert_read_alike(encoded[:at])
    assert_read_alike(encoded + b"\0")


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256])
def test_a_transaction_with_any_bit_of_its_frame_changed_is_read_alike(size: int) -> None:
    encoded = transaction.sign(
        ED25519.signer("alice"),
        GENESIS,
        nonce=bytes(8),
        created=Millis(1 << 32),
        expires=Millis(transaction.MAX_MILLIS),
        payload=bytes(size),
    ).encoded

    assert known(transaction.decode, encoded)[2] is encoded
    for at in range(len(encoded)):
        for bit in range(8):
            assert_read_alike(changed(encoded, at, 1 << bit))


@pytest.mark.parametrize("created", [0, 23, 255, 65_536, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, 1 << 47])
def test_a_transaction_of_any_time_is_read_alike_however_its_times_are_written(created: int) -> None:
    alice = ED25519.signer("alice")
    for expires in (created + 1, 1 << 33, transaction.MAX_MILLIS, transaction.MAX_MILLIS + 1):
        fields: list[Any] = [alice.public_key, bytes(8), created, expires, b"pay bob", bytes(64)]
        assert_read_alike(cbor.encode(fields))
        longest = b"".join(
            cbor.encode(field) if isinstance(field, bytes) else b"\x1b" + field.to_bytes(8, "big") for field in fields
        )
        assert_read_alike(b"\x86" + longest)


# ── votes ──


def assert_opened_alike(frame: bytes) -> None:
    if frame[1] not in kinds.BY_NUMBER:
        return
    kind = kinds.BY_NUMBER[frame[1]]
    slowly = replace(kind, short=None)
    opened = outcome(lambda data: Sealed(data, kind, GENESIS), frame)
    expected = outcome(lambda data: Sealed(data, slowly, GENESIS), frame)

    if Malformed in (opened, expected):
        assert opened is expected
        return
    assert opened.outline == expected.outline
    assert opened.signing_digest() == expected.signing_digest()
    if isinstance(opened.outline, Prepare | Commit | Checkpoint):
        assert wire.encode(opened.outline) == frame == wire.encode(replace(expected.outline))


@pytest.mark.parametrize("kind", VOTES)
@given(st.data())
def test_a_vote_and_what_is_nearly_one_are_opened_alike(kind: str, data: st.DataObject) -> None:
    frame = wire.encode(data.draw(records[kind]))
    at = data.draw(st.integers(0, len(frame) - 1))

    assert_opened_alike(frame)
    assert_opened_alike(changed(frame, at, data.draw(st.integers(1, 255))))
    assert_opened_alike(frame[: max(2, at)])


@pytest.mark.parametrize("seq", EDGES)
@pytest.mark.parametrize("view", [0, 23, 24, 300])
@pytest.mark.parametrize("replica", [0, 23, 24, 255])
def test_votes_at_the_edges_of_their_layouts_are_opened_alike(seq: int, view: int, replica: int) -> None:
    digest, signature = W.prepare(1).digest, W.prepare(1).signature
    who: dict[str, Any] = {"replica": ReplicaId(replica), "signature": signature}
    of_view: dict[str, Any] = {"view": View(view), "seq": Seq(seq), "digest": digest, **who}
    votes: tuple[Message, ...] = (
        Prepare(**of_view),
        Commit(**of_view),
        Checkpoint(seq=Seq(seq), block_hash=digest, **who),
    )
    for frame in map(wire.encode, votes):
        assert_opened_alike(frame)
        for at in [*range(12), *range(len(frame) - 70, len(frame) - 60)]:
            for bit in range(8):
                assert_opened_alike(changed(frame, at, 1 << bit))


def test_a_vote_that_is_changed_has_another_frame() -> None:
    vote = wire.decode(wire.encode(W.commit(1)), GENESIS)
    assert isinstance(vote, Commit)
    frame = wire.encode(vote)
    other = replace(vote, seq=Seq(vote.seq + 1))

    assert isinstance(vote, Framed)
    assert wire.encode(vote) is frame
    assert wire.encode(other) != frame
    assert wire.decode(wire.encode(other), GENESIS) == other


@pytest.mark.parametrize("number", [32, 33])
def test_a_negative_number_does_not_pass_for_the_kind_with_its_bits(number: int) -> None:
    """The encoding of -1 is the byte 0x20: of a certificate there was a second spelling, and a VIEW-CHANGE that held
    it had another signature after it had been read and written again."""
    kind = kinds.BY_NUMBER[number]
    certificate: Record = W.certificate(1) if number == 33 else W.prepared()
    frame = wire.encode(certificate)
    assert frame[1:3] == bytes((0x18, number)) == kind.number_item

    for spelling in (frame[:1] + frame[2:], frame[:1] + bytes([number]) + frame[2:]):
        with pytest.raises(Malformed):
            wire.decode(spelling, GENESIS)


# ── signatures ──


@pytest.mark.parametrize(("key", "signature"), [pytest.param(k, s, id=why) for why, k, s in invalid()])
def test_what_libsodium_opens_is_what_is_verified(key: bytes, signature: bytes) -> None:
    if len(key) != 32 or len(signature) != 64:
        return
    with pytest.raises(CryptoError):
        bindings.crypto_sign_open(signature + b"m", key)
    with pytest.raises(BadSignature):
        Ed25519Verifier().verify(key, b"m", signature)
