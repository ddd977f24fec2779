"""Frames from anywhere: what is authentic comes through unchanged, everything else raises one of three errors."""

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftledger.base import cbor
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.group import Group
from bftledger.base.ids import Digest, ReplicaId
from bftledger.pbft import messages, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.settings import Settings
from tests.builders import ED25519, FAST, GENESIS, Writer
from tests.properties.examples import EXAMPLES, W, records

REFUSED = (Malformed, BadSignature, BadProof)
DOOR = Authenticator(W.group, ED25519.verifier, Settings())
kinds = pytest.mark.parametrize("kind", EXAMPLES)


def door(group: Group = W.group) -> Authenticator:
    """One that has no memory of transactions it has checked."""
    return Authenticator(group, ED25519.verifier, Settings())


# ── what is authentic ──


@pytest.mark.parametrize("kind", records)
def test_every_message_and_certificate_survives_its_frame(kind: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(records[kind])
    def round_trip(record: wire.Record) -> None:
        frame = wire.encode(record)

        assert wire.decode(frame, GENESIS) == record
        assert wire.encode(wire.decode(frame, GENESIS)) == frame

    round_trip()


@kinds
def test_an_authentic_message_comes_through_the_door(kind: str) -> None:
    assert door().authenticate(wire.encode(EXAMPLES[kind])) == EXAMPLES[kind]


def test_every_kind_of_message_has_an_example_and_a_strategy() -> None:
    declared = {kind.__name__ for kind in messages.Message.__args__}

    assert set(EXAMPLES) == declared
    assert set(records) == declared | {"PreparedCertificate", "CheckpointCertificate"}


@kinds
def test_a_message_nobody_wants_costs_no_verification(kind: str) -> None:
    class Never:
        def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
            raise AssertionError("verified in vain")

    frame = wire.encode(EXAMPLES[kind])

    assert Authenticator(W.group, Never(), Settings()).authenticate(frame, lambda _: False) is None


# ── what is not ──


@kinds
def test_a_frame_with_any_byte_changed_is_refused(kind: str) -> None:
    frame = wire.encode(EXAMPLES[kind])
    for at in range(len(frame)):
        for flipped in (frame[at] ^ 1, frame[at] ^ 0x80, hashlib.sha256(b"%d" % at).digest()[0]):
            if flipped != frame[at]:
                with pytest.raises(REFUSED):
                    door().authenticate(frame[:at] + bytes([flipped]) + frame[at + 1 :])


@kinds
def test_a_frame_whose_first_bytes_are_anything_else_is_refused(kind: str) -> None:
    """The kind is not signed as it stands there: no other spelling of it may pass."""
    frame = wire.encode(EXAMPLES[kind])
    for at in range(4):
        for value in set(range(256)) - {frame[at]}:
            with pytest.raises(REFUSED):
                door().authenticate(frame[:at] + bytes([value]) + frame[at + 1 :])


@kinds
def test_a_frame_cut_anywhere_or_followed_by_anything_is_refused(kind: str) -> None:
    frame = wire.encode(EXAMPLES[kind])
    for cut in [*(frame[:at] for at in range(len(frame))), frame + b"\0", frame + frame]:
        with pytest.raises(REFUSED):
            door().authenticate(cut)


@kinds
def test_a_message_of_another_group_is_refused(kind: str) -> None:
    other = Group(Digest(hashlib.sha256(b"another group").digest()), W.group.keys)

    with pytest.raises(REFUSED):
        door(other).authenticate(wire.encode(EXAMPLES[kind]))


@kinds
def test_a_message_signed_by_another_replica_is_refused(kind: str) -> None:
    example = EXAMPLES[kind]
    forged = wire.sign(example, ED25519.signer(f"replica {(example.replica + 1) % 4}"), GENESIS)

    with pytest.raises(REFUSED):
        door().authenticate(wire.encode(forged))


@kinds
@pytest.mark.parametrize("stranger", [4, 255])
def test_a_message_of_no_member_is_refused(kind: str, stranger: int) -> None:
    forged = dataclasses.replace(EXAMPLES[kind], replica=ReplicaId(stranger))

    with pytest.raises(REFUSED):
        door().authenticate(wire.encode(forged))


def test_a_vote_of_one_type_is_none_of_another() -> None:
    prepare = W.prepare(1)
    values = {field.name: getattr(prepare, field.name) for field in dataclasses.fields(prepare)}

    for kind in (messages.Commit, messages.PrePrepare):
        with pytest.raises(REFUSED):
            door().authenticate(wire.encode(kind(**values)))


@pytest.mark.parametrize("field", ["view", "seq"])
def test_a_vote_of_one_view_or_number_is_none_of_another(field: str) -> None:
    changed: Any = {field: 5}

    with pytest.raises(BadSignature):
        door().authenticate(wire.encode(dataclasses.replace(W.prepare(1), **changed)))


def test_a_message_signed_under_another_tag_is_refused() -> None:
    """A client's key that is a replica's, too, makes no message of a transaction."""
    prepare = W.prepare(1)
    raw = ED25519.signer("replica 1").sign(cbor.encode([prepare.view, prepare.seq, prepare.digest, prepare.replica]))

    with pytest.raises(BadSignature):
        door().authenticate(wire.encode(dataclasses.replace(prepare, signature=raw)))


def test_a_certificate_by_itself_is_no_message() -> None:
    for certificate in (W.certificate(1), W.prepared()):
        with pytest.raises(Malformed):
            door().authenticate(wire.encode(certificate))


def test_the_proposal_must_be_the_signed_one() -> None:
    swapped = dataclasses.replace(W.pre_prepare(of="pay bob"), proposal=W.pre_prepare(of="pay eve").proposal)

    with pytest.raises(BadProof):
        door().authenticate(wire.encode(swapped))


def test_a_proposal_with_a_forged_or_repeated_transaction_is_refused() -> None:
    fast = Writer(4, FAST).pre_prepare().proposal
    assert fast is not None
    (forged,) = fast.transactions
    for batch in ((forged,), (forged, forged)):
        proposal = wire.make_proposal(fast.time, batch)
        message = W.signed(dataclasses.replace(W.pre_prepare(), digest=proposal.digest))

        with pytest.raises(REFUSED):
            door().authenticate(wire.encode(dataclasses.replace(message, proposal=proposal)))


def test_a_proposal_or_relay_above_its_bounds_is_refused() -> None:
    small = Authenticator(W.group, ED25519.verifier, Settings(batch_count=2))
    three = ("a", "b", "c")
    for message in (W.pre_prepare(of=three), W.relay(1, *three), W.proposed(1, of=three)):
        with pytest.raises(Malformed):
            small.authenticate(wire.encode(message))


# ── hostile ──


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(REFUSED):
        DOOR.authenticate(data)


values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=70), st.text(max_size=9)
    ),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 33) | values, st.lists(values, max_size=7) | values, st.lists(values, max_size=2))
def test_wrong_types_in_a_frame_are_refused(number: object, fields: object, rest: list[object]) -> None:
    with pytest.raises(REFUSED):
        DOOR.authenticate(cbor2.dumps([number, fields, *rest], canonical=True))


WRONG: tuple[Any, ...] = (None, True, -1, 1 << 63, b"", b"\0", "text", [], [None], [[]], [[1, 2], [3]], {}, [1] * 40)


@kinds
def test_a_wrong_type_in_any_field_is_refused(kind: str) -> None:
    number, fields, *rest = cbor.decode(wire.encode(EXAMPLES[kind]))
    for at in range(len(fields)):
        for wrong in WRONG:
            if wrong == fields[at] and type(wrong) is type(fields[at]):
                continue
            with pytest.raises(REFUSED):
                DOOR.authenticate(cbor.encode([number, [*fields[:at], wrong, *fields[at + 1 :]], *rest]))


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "lengths that lie", b"\x9b" + b"\xff" * 8
    yield "a string that lies", b"\x83\x02\x5b" + b"\x7f" + b"\xff" * 7
    yield "nested arrays", b"\x81" * 100_000
    yield "many items", b"\x99\xff\xff" + b"\0" * 65_535
    yield "a long string", cbor2.dumps([1, [], bytes(1 << 20)])
    frame = wire.encode(W.view_change(1))
    for _ in range(2_000):  # a NEW-VIEW in a NEW-VIEW in a NEW-VIEW …
        frame = cbor2.dumps([6, [1, [frame], [], 1], bytes(64)], canonical=True)
    yield "nested messages", frame
    vote = list(W.prepared().prepares[0])
    yield "many signers", cbor.encode([5, [1, None, [cbor.encode([32, [b"", [vote] * 5_000]])], 1], bytes(64)])
    yield "many view changes", cbor.encode([6, [1, [wire.encode(W.view_change(1))] * 60, [], 1], bytes(64)])


@pytest.mark.parametrize("frame", [pytest.param(frame, id=what) for what, frame in bombs()])
def test_a_bomb_is_refused_at_once(frame: bytes) -> None:
    times = []
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(REFUSED):
            door().authenticate(frame)
        times.append(time.process_time() - began)

    assert min(times) < 0.01
