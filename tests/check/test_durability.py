"""What was acknowledged stays: in every honest chain, where the receipt says."""

from dataclasses import replace

from bftledger.base.ids import ReplicaId, Seq, TxId
from bftledger.check.durability import Acknowledgement, Durability, Held
from bftledger.check.violation import MAX_VIOLATIONS
from tests.builders import block_hash


def tx_id(number: int) -> TxId:
    return TxId(block_hash(f"transaction {number}"))


CHAIN = [Held(block_hash(0), ())] + [
    Held(block_hash(height), (tx_id(2 * height), tx_id(2 * height + 1))) for height in range(1, 6)
]


def acknowledged(height: int, index: int) -> Acknowledgement:
    return Acknowledgement(tx_id(2 * height + index), Seq(height), block_hash(height), index)


def durability(*receipts: Acknowledgement) -> Durability:
    made = Durability()
    for receipt in receipts:
        assert made.add(receipt) == []
    return made


ALL = durability(*(acknowledged(height, index) for height in range(1, 6) for index in range(2)))
ZERO, ONE, TWO = ReplicaId(0), ReplicaId(1), ReplicaId(2)


def test_chains_that_hold_everything_pass_though_one_is_shorter() -> None:
    assert ALL.violations({ZERO: CHAIN, ONE: CHAIN, TWO: CHAIN[:3]}, holders=2) == []
    assert len(ALL) == 10


def test_the_same_receipt_from_several_replicas_is_one() -> None:
    made = durability(acknowledged(1, 0), acknowledged(1, 0))

    assert len(made) == 1


def test_another_block_at_that_height_is_found_and_who_has_it() -> None:
    forked = [*CHAIN[:4], Held(block_hash("fork"), CHAIN[4].tx_ids), *CHAIN[5:]]

    found = ALL.violations({ZERO: CHAIN, ONE: forked, TWO: forked})
    assert [violation.height for violation in found] == [4, 4]
    assert found[0].replicas == (1, 2)
    assert str(found[0]).endswith(", place 0, but not so at replica 1, replica 2")


def test_a_block_without_the_transaction_is_found() -> None:
    emptied = [*CHAIN[:2], replace(CHAIN[2], tx_ids=()), *CHAIN[3:]]

    assert len(ALL.violations({ZERO: emptied})) == 2


def test_a_transaction_at_another_place_of_its_block_is_found() -> None:
    turned = [*CHAIN[:2], replace(CHAIN[2], tx_ids=CHAIN[2].tx_ids[::-1]), *CHAIN[3:]]

    assert len(ALL.violations({ZERO: turned})) == 2


def test_a_place_below_the_first_is_none() -> None:
    last = Acknowledgement(tx_id(3), Seq(1), block_hash(1), -1)

    assert len(durability(last).violations({ZERO: CHAIN})) == 1


def test_what_too_few_honest_replicas_hold_is_found() -> None:
    found = ALL.violations({ZERO: CHAIN, ONE: CHAIN[:5], TWO: CHAIN[:5]}, holders=2)

    assert [violation.height for violation in found] == [5, 5]
    assert found[0].text.endswith(", but 1 of 3 honest replicas have that block")
    assert ALL.violations({ZERO: CHAIN[:5]}) != []


def test_two_receipts_that_put_one_transaction_in_different_places_are_found_at_once() -> None:
    made = durability(acknowledged(3, 0))
    elsewhere = replace(acknowledged(3, 0), height=Seq(4), block_hash=block_hash(4))

    (found,) = made.add(elsewhere)
    assert "was acknowledged in block 3" in str(found)
    assert "and in block 4" in str(found)
    assert found in made.violations({ZERO: CHAIN})


def test_a_lost_ledger_is_told_in_few_lines() -> None:
    many = durability(*(Acknowledgement(tx_id(i), Seq(1), block_hash(1), i) for i in range(100)))

    assert len(many.violations({ZERO: CHAIN[:1]})) == MAX_VIOLATIONS
