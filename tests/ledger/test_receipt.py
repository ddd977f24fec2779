"""A receipt proves what became of a transaction, and nothing that has been changed is one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.apps.machine import Result
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.ids import Millis, Seq
from bftledger.ledger.client_messages import HeightReply, QueryReply, ReadProof
from bftledger.ledger.reads import verify_height, verify_read
from bftledger.ledger.receipt import Receipt, verify_receipt
from tests.ledger.ledger_world import ALICE, GENESIS, START, VERIFIER, World, a_genesis, a_world_of, certify

WORLD = a_world_of(12)
REFUSED = (Malformed, BadProof, BadSignature)


def verify(receipt: Receipt) -> Receipt:
    return verify_receipt(receipt.encode(), GENESIS, VERIFIER)


@pytest.mark.parametrize("later", [None, 6, 9, 12])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_receipt_proves_a_transaction_by_its_block_or_a_later_one(index: int, later: int | None) -> None:
    receipt = WORLD.receipt(5, index, later=later)

    assert verify(receipt) == receipt
    assert Receipt.decode(receipt.encode(), GENESIS.genesis_hash).encode() == receipt.encode()


def test_receipt_of_a_rejected_transaction_says_so() -> None:
    world = World()
    world.execute(world.transaction("delete nothing"))

    assert not verify(world.receipt(1, 0)).result.ok


@pytest.mark.parametrize("later", [None, 11])
@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_every_flipped_byte_of_a_receipt_is_refused(later: int | None, mask: int) -> None:
    encoded = WORLD.receipt(5, 1, later=later).encode()
    for at in range(len(encoded)):
        flipped = encoded[:at] + bytes([encoded[at] ^ mask]) + encoded[at + 1 :]
        with pytest.raises(REFUSED):
            verify_receipt(flipped, GENESIS, VERIFIER)


@given(st.data())
def test_truncated_extended_or_overwritten_receipt_is_refused(data: st.DataObject) -> None:
    encoded = WORLD.receipt(5, 1, later=11).encode()
    at = data.draw(st.integers(0, len(encoded) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=8))
    for changed in (encoded[:at], encoded + noise, encoded[:at] + noise + encoded[at:], noise):
        with pytest.raises(REFUSED):
            verify_receipt(changed, GENESIS, VERIFIER)


def test_receipt_with_a_part_of_another_is_refused() -> None:
    receipt, other, later = WORLD.receipt(5, 1), WORLD.receipt(6, 2), WORLD.receipt(5, 1, later=9)
    forged = [
        replace(receipt, **{name: getattr(other, name)})
        for name in ("transaction", "index", "transaction_path", "result_path", "header", "certificate")
    ]
    forged += [
        replace(receipt, result=Result(0, value=b"another")),
        replace(receipt, later=later.later),
        replace(receipt, history_path=later.history_path),
        replace(later, history_path=b""),
        replace(later, later=None),
        replace(later, later=WORLD.done[10].block.header),
        replace(later, certificate=receipt.certificate),
        replace(receipt, later=receipt.header, history_path=b""),
        replace(WORLD.receipt(5, 1, later=9), later=WORLD.done[4].block.header),
    ]
    for receipt_like in forged:
        with pytest.raises(REFUSED):
            verify(receipt_like)


def test_certificate_needs_exactly_a_quorum_of_distinct_members() -> None:
    receipt = WORLD.receipt(5, 1)
    whole = certify(receipt.header, (0, 1, 2, 3)).signatures
    for signatures in (whole, whole[:2], (), (whole[0], whole[0], whole[1]), (whole[1], whole[0], whole[2])):
        with pytest.raises(REFUSED):
            verify(replace(receipt, certificate=replace(receipt.certificate, signatures=signatures)))
    swapped = ((whole[0][0], whole[1][1]), (whole[1][0], whole[0][1]), whole[2])
    with pytest.raises(BadSignature):
        verify(replace(receipt, certificate=replace(receipt.certificate, signatures=swapped)))


def test_receipt_of_another_group_is_refused() -> None:
    other = a_genesis(created=Millis(START + 1))
    world = World(other)
    world.execute(world.transaction())
    encoded = world.receipt(1, 0).encode()

    assert verify_receipt(encoded, other, VERIFIER)
    with pytest.raises(REFUSED):
        verify_receipt(encoded, GENESIS, VERIFIER)


def test_transaction_that_its_sender_did_not_sign_has_no_receipt() -> None:
    """Even if a quorum put it into the ledger."""
    world = World()
    forged = replace(world.transaction(by=ALICE), signature=world.transaction().signature)
    world.execute(forged)

    with pytest.raises(BadSignature):
        verify(world.receipt(1, 0))


def a_read(key: bytes, *, height: int | None = None) -> QueryReply:
    header = WORLD.executor.tip
    proof = ReadProof(map_proof=WORLD.state.prove(key), header=header, certificate=certify(header))
    return QueryReply(
        request_id=1, value=WORLD.state.get(key), height=Seq(header.height if height is None else height), proof=proof
    )


@pytest.mark.parametrize("key", [b"key1", b"absent"])
def test_certified_read_proves_a_value_or_its_absence(key: bytes) -> None:
    assert verify_read(a_read(key), key, Seq(12), GENESIS, VERIFIER) == WORLD.executor.tip


def test_certified_read_is_refused_when_anything_is_amiss() -> None:
    reply = a_read(b"key1")
    proof = reply.proof
    assert proof is not None
    wrong = [
        (replace(reply, value=b"another"), b"key1", 12),
        (replace(reply, value=None), b"key1", 12),
        (reply, b"absent", 12),
        (reply, b"key1", 13),
        (a_read(b"key1", height=13), b"key1", 12),
        (replace(reply, proof=None), b"key1", 12),
        (replace(reply, proof=replace(proof, header=WORLD.done[11].block.header)), b"key1", 11),
        (replace(reply, proof=replace(proof, certificate=certify(proof.header, (0, 1)))), b"key1", 12),
    ]
    for answer, key, minimum in wrong:
        with pytest.raises(REFUSED):
            verify_read(answer, key, Seq(minimum), GENESIS, VERIFIER)


def test_height_is_believed_only_with_its_certificate() -> None:
    header = WORLD.executor.tip
    reply = HeightReply(request_id=1, header=header, certificate=certify(header))

    assert verify_height(reply, Seq(12), GENESIS, VERIFIER) == header
    with pytest.raises(BadProof, match="below 13"):
        verify_height(reply, Seq(13), GENESIS, VERIFIER)
    with pytest.raises(REFUSED):
        verify_height(replace(reply, header=replace(header, height=Seq(99))), Seq(1), GENESIS, VERIFIER)
