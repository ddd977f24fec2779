"""Frames from anywhere: what is authentic comes through unchanged, everything else raises one of three errors."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftledger.base import cbor
from bftledger.base.crypto import tagged_hash
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.group import Group
from bftledger.base.ids import Digest, ReplicaId
from bftledger.base.transaction import ENVELOPE_BYTES
from bftledger.pbft import messages, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.kinds import MAX_BLOCKS, MAX_HEADERS
from bftledger.pbft.messages import Record
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.settings import MAX_BATCH_BYTES, MAX_BATCH_COUNT, MAX_WINDOW
from tests.builders import ED25519, FAST, GENESIS, NOW, Writer, tx
from tests.effort import counted
from tests.properties.examples import EXAMPLES, W, records

REFUSED = (Malformed, BadSignature, BadProof)
DOOR = Authenticator(W.group, ED25519.verifier)
kinds = pytest.mark.parametrize("kind", EXAMPLES)


def door(group: Group = W.group) -> Authenticator:
    """One that has no memory of transactions it has checked."""
    return Authenticator(group, ED25519.verifier)


# ── what is authentic ──


@pytest.mark.parametrize("kind", records)
def test_every_message_and_certificate_survives_its_frame(kind: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(records[kind])
    def round_trip(record: Record) -> None:
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

    assert Authenticator(W.group, Never()).authenticate(frame, lambda _: False) is None


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
        proposal = make_proposal(fast.time, batch)
        message = W.signed(dataclasses.replace(W.pre_prepare(), digest=proposal.digest))

        with pytest.raises(REFUSED):
            door().authenticate(wire.encode(dataclasses.replace(message, proposal=proposal)))


@pytest.mark.parametrize("kind", ["PrePrepare", "Relay", "Proposed"])
def test_a_batch_above_the_protocols_bounds_is_refused_before_a_transaction_is_looked_at(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for frame in (batch(kind, MAX_BATCH_COUNT + 1, 1), batch(kind, MAX_BATCH_COUNT, MAX_BATCH_BYTES // 4_000)):
        with monkeypatch.context() as patch:
            patch.setattr("bftledger.base.transaction.decode", never)
            with pytest.raises(Malformed):
                door().authenticate(frame)


@pytest.mark.parametrize("kind", ["PrePrepare", "Relay", "Proposed"])
def test_a_batch_at_the_protocols_bounds_is_taken_whatever_the_settings_here_are(kind: str) -> None:
    fast = Writer(4, FAST)
    message: messages.Message
    transactions = tuple(tx(f"{i}", size=860) for i in range(MAX_BATCH_COUNT))
    room = MAX_BATCH_BYTES - sum(len(each.encoded) for each in transactions[1:])
    transactions = (tx("0", size=room - ENVELOPE_BYTES), *transactions[1:])
    proposal = make_proposal(NOW, transactions)
    match kind:
        case "PrePrepare":
            bare = fast.signed(dataclasses.replace(fast.pre_prepare(), digest=proposal.digest))
            message = dataclasses.replace(bare, proposal=proposal)
        case "Relay":
            message = fast.signed(dataclasses.replace(fast.relay(1), transactions=transactions))
        case _:
            message = fast.signed(dataclasses.replace(fast.proposed(1), proposal=proposal))

    assert MAX_BATCH_BYTES - ENVELOPE_BYTES < sum(len(each.encoded) for each in transactions) <= MAX_BATCH_BYTES
    assert Authenticator(fast.group, FAST.verifier).authenticate(wire.encode(message)) == message


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


# What is as long, and has as many parts, as the bounds allow, and is not signed: nothing inside may cost anything.
SIGNATURE = bytes(64)
CERTIFICATE = cbor.encode([33, [1, bytes(32), [[i, SIGNATURE] for i in range(256)]]])
ROOM = 2_000
"""For what stands around the long parts of a frame."""


def never(*_: object) -> object:
    raise AssertionError("looked at in vain")


def batch(kind: str, count: int, size: int) -> bytes:
    """A frame with so many byte strings where its transactions should be; its own signature is the sender's."""
    parts = [bytes(size)] * count
    proposal = cbor.encode([0, parts])
    digest = tagged_hash("proposal", proposal)
    number, fields = {
        "Relay": (8, [parts, 1]),
        "Proposed": (11, [1, proposal, 1]),
        "PrePrepare": (1, [0, 1, digest, 0]),
    }[kind]
    signature = signed(kind, number, fields)[2]
    return cbor.encode([number, fields, signature, *([proposal] if kind == "PrePrepare" else [])])


def signed(kind: str, number: int, fields: list[Any]) -> list[Any]:
    """Parts of a frame that its sender has signed, whatever stands in it."""
    name = {"PrePrepare": "PRE-PREPARE", "ViewChange": "VIEW-CHANGE", "NewView": "NEW-VIEW"}.get(kind, kind.upper())
    digest = tagged_hash(f"message/{name}", GENESIS, cbor.encode(fields))
    return [number, fields, ED25519.signer(f"replica {fields[-1]}").sign(digest)]


def bombs() -> Iterator[tuple[str, bytes]]:
    yield "lengths that lie", b"\x9b" + b"\xff" * 8
    yield "a string that lies", b"\x83\x02\x5b" + b"\x7f" + b"\xff" * 7
    yield "nested arrays", b"\x81" * 100_000
    yield "nested arrays in a frame", b"\x83\x05" + b"\x81" * 100_000
    yield "many items", b"\x99\xff\xff" + b"\0" * 65_535
    for number in (*range(1, 14), 32, 33):
        items = [0] * 16_000
        yield f"many items in a frame of kind {number}", cbor.encode([number, items, SIGNATURE])
        yield f"a long string in a frame of kind {number}", cbor2.dumps([number, [], bytes(MAX_FRAME_BYTES - 16)])
        yield (
            f"a long field in a frame of kind {number}",
            cbor2.dumps([number, [bytes(MAX_FRAME_BYTES - ROOM)] * 1, SIGNATURE]),
        )
    frame = wire.encode(W.view_change(1))
    for _ in range(2_000):  # a NEW-VIEW in a NEW-VIEW in a NEW-VIEW …
        frame = cbor2.dumps([6, [1, [frame], [], 1], SIGNATURE], canonical=True)
    yield "nested messages", frame
    vote = list(W.prepared().prepares[0])
    yield "many signers", cbor.encode([5, [1, None, [cbor.encode([32, [b"", [vote] * 5_000]])], 1], SIGNATURE])
    pre_prepare = cbor.encode([1, [0, 1, bytes(32), 0], SIGNATURE, None])
    prepared = cbor.encode([32, [pre_prepare, []]])
    change = cbor.encode([5, [1, None, [prepared] * MAX_WINDOW, 1], SIGNATURE])
    yield "prepared certificates", cbor.encode([5, [1, CERTIFICATE, [prepared] * MAX_WINDOW, 1], SIGNATURE])
    full = MAX_FRAME_BYTES - ROOM - len(CERTIFICATE)
    long = bytes(full // MAX_WINDOW - 5)
    yield "a VIEW-CHANGE", cbor.encode([5, [1, CERTIFICATE, [long] * MAX_WINDOW, 1], SIGNATURE])
    many = [change] * ((MAX_FRAME_BYTES - 130 * MAX_WINDOW - ROOM) // (len(change) + 5))
    yield "a NEW-VIEW", cbor.encode([6, [1, many, [pre_prepare] * MAX_WINDOW, 1], SIGNATURE])
    many = [frame[: (MAX_FRAME_BYTES - 130 * MAX_WINDOW - ROOM) // 256 - 5]] * 256
    yield "a NEW-VIEW of 256", cbor.encode([6, [1, many, [pre_prepare] * MAX_WINDOW, 1], SIGNATURE])
    slot = [MAX_NUMBER, True, b"\xff" * 32, b"\xff" * 32, b"\xff" * 32]
    yield "a STATUS", cbor.encode([7, [1, True, 1, 1, [slot] * MAX_WINDOW, b"\xff" * 32, 1], SIGNATURE])
    unsigned = [cbor.encode([bytes(32), i.to_bytes(8, "big"), 0, 1, bytes(896), SIGNATURE]) for i in range(4_096)]
    yield "a RELAY", cbor.encode([8, [unsigned, 1], SIGNATURE])
    yield "a STABLE", cbor.encode([9, [CERTIFICATE, 1], SIGNATURE])
    yield "a PROPOSED", cbor.encode([11, [1, cbor.encode([0, unsigned]), 1], SIGNATURE])
    yield "a PRE-PREPARE", cbor.encode([1, [0, 1, bytes(32), 0], SIGNATURE, cbor.encode([0, unsigned])])
    yield (
        "a PRE-PREPARE with another proposal",
        cbor.encode([*signed("PrePrepare", 1, [0, 1, bytes(32), 0]), cbor.encode([0, unsigned])]),
    )
    blocks = [bytes(27_000)] * MAX_BLOCKS
    yield "BLOCKS", cbor.encode([13, [1, blocks, [bytes(130)] * MAX_HEADERS, CERTIFICATE, 1], SIGNATURE])


LINES = 160_000
"""Some ten for each item that the largest frame may have; a door without its limits runs millions for some of these."""


@pytest.mark.parametrize("frame", [pytest.param(frame, id=what) for what, frame in bombs()])
def test_a_bomb_is_refused_for_little_work_and_by_its_first_signature(frame: bytes) -> None:
    with counted() as effort, pytest.raises(REFUSED):
        door().authenticate(frame)

    assert effort.lines <= LINES, effort
    assert effort.checks <= 1, effort


@pytest.mark.parametrize("kind", ["ViewChange", "NewView", "Status", "Relay", "Proposed", "Testimony"])
def test_nothing_long_is_decoded_before_its_sender_has_signed_for_it(kind: str) -> None:
    number, fields, _ = cbor.decode(wire.encode(EXAMPLES[kind]))
    at = {"ViewChange": 2, "NewView": 1, "Status": 6, "Relay": 0, "Proposed": 1, "Testimony": 0}[kind]
    fields[at] = b"" if kind == "Proposed" else [b"no frame"]

    with pytest.raises(BadSignature):
        door().authenticate(cbor.encode([number, fields, SIGNATURE]))
    with pytest.raises(Malformed):
        door().authenticate(cbor.encode(signed(kind, number, fields)))


def test_a_proposal_is_not_decoded_before_it_is_known_to_be_the_signed_one() -> None:
    number, fields, signature, _ = cbor.decode(wire.encode(EXAMPLES["PrePrepare"]))
    frame = cbor.encode([number, fields, signature, b"no proposal"])

    with pytest.raises(BadProof):
        door().authenticate(frame)


def garbage() -> Iterator[tuple[str, bytes]]:
    """What a member signed itself: as long as the bounds allow, and worth nothing."""
    pre_prepare = wire.encode(dataclasses.replace(W.pre_prepare(), proposal=None))
    forged = cbor.encode([1, [0, 1, bytes(32), 0], SIGNATURE, None])
    for what, inside in (("authentic", pre_prepare), ("forged", forged)):
        prepared = cbor.encode([32, [inside, [[2, SIGNATURE], [3, SIGNATURE]]]])
        change = cbor.encode(signed("ViewChange", 5, [1, None, [prepared] * MAX_WINDOW, 1]))
        yield f"a VIEW-CHANGE of {what} pre-prepares without votes", change
        count = (MAX_FRAME_BYTES - 130 * MAX_WINDOW - ROOM) // (len(change) + 5)
        yield (
            f"a NEW-VIEW of the same VIEW-CHANGE of {what} pre-prepares",
            cbor.encode(signed("NewView", 6, [1, [change] * count, [inside] * MAX_WINDOW, 1])),
        )
    empty = [cbor.encode([5, [1, None, [prepared] * MAX_WINDOW, i % 256], SIGNATURE]) for i in range(count)]
    yield "a NEW-VIEW of forged VIEW-CHANGEs", cbor.encode(signed("NewView", 6, [1, empty, [], 1]))
    unsigned = [cbor.encode([bytes(32), i.to_bytes(8, "big"), 0, 1, bytes(896), SIGNATURE]) for i in range(4_096)]
    yield "a RELAY", cbor.encode(signed("Relay", 8, [unsigned, 1]))


@pytest.mark.parametrize("frame", [pytest.param(frame, id=what) for what, frame in garbage()])
def test_garbage_that_a_member_signed_costs_little(frame: bytes) -> None:
    with counted() as effort, pytest.raises(REFUSED):
        door().authenticate(frame)

    assert effort.lines <= 4 * LINES, effort
    assert effort.checks <= 3, effort
