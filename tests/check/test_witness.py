"""The ledger's order as the witness: right for what a ledger gave, wrong for everything that it did not."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from bftledger.apps.machine import CONFLICT, RESULT_TOO_LARGE
from bftledger.base.ids import Millis
from bftledger.check.history import Dropped, Failed, Operation, Read, Wrote, ledger_operation
from bftledger.check.linearizability import check_history
from bftledger.check.witness import check_witness
from tests.check.histories import drawn, ledger_of
from tests.ledger.ledger_world import START, World

Block = list[Operation | None]


def write(number: int, at: tuple[int, int | None], place: tuple[int, int], version: int) -> Operation:
    return Operation(
        client=f"client {number}",
        key=b"k",
        kind="put",
        args=(b"v%d" % number,),
        invoked=at[0],
        returned=at[1],
        result=None if at[1] is None else Wrote(version),
        id=b"id %d" % number,
        height=place[0],
        index=place[1],
    )


def read(at: tuple[int, int], height: int, value: bytes | None, version: int, *, is_fresh: bool = True) -> Operation:
    return Operation(
        client="reader",
        key=b"k",
        kind="get",
        invoked=at[0],
        returned=at[1],
        result=Read(value, version),
        height=height,
        is_fresh=is_fresh,
    )


ONE = write(1, (0, 10), (1, 0), 1)
TWO = write(2, (20, 30), (2, 0), 2)
LEDGER = ledger_of([ONE, TWO])


def said(*history: Operation, ledger: list[Block] = LEDGER) -> str:
    """The one thing that is wrong."""
    (violation,) = check_witness(history, ledger)
    return str(violation)


def test_a_history_of_the_ledger_has_it_as_its_witness() -> None:
    fresh = read((31, 32), 2, b"v2", 2)
    old = read((40, 41), 1, b"v1", 1, is_fresh=False)

    assert check_witness([ONE, TWO, fresh, old, read((5, 6), 0, None, 0)], LEDGER) == []
    assert check_witness([], LEDGER) == []


def test_what_was_not_answered_may_be_in_the_ledger_or_not() -> None:
    never = write(3, (0, None), (9, 9), 3)
    unknown = replace(TWO, returned=None, result=None)

    assert check_witness([ONE, unknown, never], LEDGER) == []


def test_a_write_without_answer_has_its_place_in_time() -> None:
    """Nothing that it did was there before it was called."""
    unknown = replace(TWO, returned=None, result=None)

    assert "has its place before reader [15, 16]" in said(ONE, unknown, read((15, 16), 2, b"v2", 2))


def test_an_acknowledged_write_that_is_not_in_the_ledger_is_found() -> None:
    assert "has a place that the ledger does not have: block 3, 0" in said(ONE, TWO, write(3, (40, 50), (3, 0), 3))


def test_an_acknowledged_write_elsewhere_than_its_receipt_says_is_found() -> None:
    found = check_witness([replace(ONE, height=2), TWO], LEDGER)

    assert "is not at its place in block 2, 0" in str(found[0])


def test_a_place_that_is_below_the_first_is_none() -> None:
    assert "has a place that the ledger does not have: block 1, -1" in said(replace(ONE, index=-1))


def test_a_result_that_does_not_follow_from_the_ledger_is_found() -> None:
    assert "does not follow from the ledger before it, block 2, place 0" in said(ONE, replace(TWO, result=Wrote(1)))
    assert "does not follow from the ledger before it" in said(ONE, replace(TWO, result=Failed(CONFLICT)))


def test_a_result_of_the_ledger_itself_is_replayed_too() -> None:
    forged = ledger_of([ONE, replace(TWO, result=Wrote(7))])

    assert "somebody [20, ?] put k v2: no answer does not follow" in said(ONE, ledger=forged)


def test_a_result_without_room_is_taken_as_it_is() -> None:
    full = replace(TWO, result=Failed(RESULT_TOO_LARGE))

    assert check_witness([ONE, full, read((50, 51), 2, b"v1", 1)], ledger_of([ONE, full])) == []


def test_another_operation_under_the_same_id_is_found() -> None:
    assert "is put of something else in block 2" in said(ONE, replace(TWO, args=(b"other",)))


def test_what_expired_is_not_in_the_ledger() -> None:
    assert "is in block 2 nevertheless" in said(ONE, replace(TWO, result=Dropped()))
    assert check_witness([ONE, TWO, replace(write(3, (0, 9), (0, 0), 0), result=Dropped())], LEDGER) == []


def test_a_place_before_that_of_what_had_returned_is_found() -> None:
    late = replace(ONE, invoked=40, returned=50)

    assert said(late, TWO) == (
        "witness: client 1 [40, 50] put k v1: version 1 has its place before client 2 [20, 30] put k v2: version 2, "
        "which had returned when it was called: block 1, not 2"
    )


def test_what_overlaps_may_be_in_either_order() -> None:
    assert check_witness([replace(ONE, invoked=25, returned=50), TWO], LEDGER) == []
    assert check_witness([replace(ONE, invoked=30, returned=50), TWO], LEDGER) == []


def test_a_fresh_read_below_an_acknowledged_write_is_found() -> None:
    assert "has its place before client 2 [20, 30]" in said(ONE, TWO, read((31, 32), 1, b"v1", 1))


def test_a_read_does_not_see_what_was_written_after_it_returned() -> None:
    assert "has its place before reader [15, 16]" in said(ONE, TWO, read((15, 16), 2, b"v2", 2))


def test_fresh_reads_do_not_go_back() -> None:
    slow = replace(TWO, invoked=0, returned=90)

    later = read((13, 14), 1, b"v1", 1)
    assert "has its place before reader [11, 12]" in said(ONE, slow, read((11, 12), 2, b"v2", 2), later)
    assert check_witness([ONE, slow, read((11, 12), 2, b"v2", 2), replace(later, is_fresh=False)], LEDGER) == []


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_read_is_right_for_its_height_whatever_it_claims(is_fresh: bool) -> None:
    assert "is not what block 2 left" in said(ONE, TWO, read((31, 32), 2, b"v1", 1, is_fresh=is_fresh))
    assert "is not what block 1 left" in said(ONE, TWO, read((5, 6), 1, None, 0, is_fresh=is_fresh))


def test_a_read_of_a_block_that_there_is_not_is_found() -> None:
    assert "is of a block that the ledger does not have, 3" in said(ONE, TWO, read((31, 32), 3, b"v2", 2))


def test_transactions_that_are_no_operations_keep_their_places() -> None:
    shifted = [[], [None, replace(ONE, index=1)]]

    assert check_witness([replace(ONE, index=1)], shifted) == []
    assert "is not at its place in block 1, 0" in said(ONE, ledger=shifted)


@pytest.mark.parametrize("seed", range(20))
def test_two_thousand_operations_have_the_ledger_as_their_witness(seed: int) -> None:
    history = drawn(f"long {seed}", 2_000, clients=20, keys=10)

    assert check_witness(history, ledger_of(history)) == []


def exchange(history: list[Operation], chance: Random) -> None:
    """Two writes have each other's place."""
    one, other = chance.sample([i for i, found in enumerate(history) if found.is_answered and not found.is_read], 2)
    a, b = history[one], history[other]
    history[one] = replace(a, height=b.height, index=b.index)
    history[other] = replace(b, height=a.height, index=a.index)


def age(history: list[Operation], chance: Random) -> None:
    """A read returns what was there ten blocks before."""
    reads = [i for i, found in enumerate(history) if found.is_answered and found.is_read and (found.height or 0) > 60]
    number = chance.choice(reads)
    history[number] = replace(history[number], height=(history[number].height or 0) - 60)


def forget(history: list[Operation], chance: Random) -> None:
    """A write that was acknowledged is not in the ledger."""
    number = chance.choice([i for i, found in enumerate(history) if found.is_answered and not found.is_read])
    history[number] = replace(history[number], id=b"another")


@pytest.mark.parametrize("fault", [exchange, age, forget])
def test_one_fault_among_two_thousand_operations_is_found(fault: Callable[[list[Operation], Random], None]) -> None:
    for seed in range(10):
        history = drawn(f"faulty {seed}", 2_000, clients=20, keys=3)
        ledger = ledger_of(history)
        fault(history, Random(seed))

        assert check_witness(history, ledger) != [], seed


def test_whatever_has_the_ledger_as_its_witness_is_linearizable() -> None:
    """The cheap check must never pass what the search refuses."""
    chance = Random("both")
    passed = refused = 0
    for seed in range(300):
        history = drawn(f"both {seed}", 12, clients=3)
        ledger = ledger_of(history)
        if chance.random() < 0.6:
            shift(history, chance)
        if check_witness(history, ledger):
            refused += 1
        else:
            passed += 1
            assert check_history(history) == [], seed
    assert passed > 50
    assert refused > 50


def shift(history: list[Operation], chance: Random) -> None:
    """An operation was at another time than it was."""
    number = chance.randrange(len(history))
    found = history[number]
    if found.returned is not None:
        moved = chance.randrange(-30, 30)
        history[number] = replace(found, invoked=found.invoked + moved, returned=found.returned + moved)


def test_transactions_of_a_real_ledger_become_operations() -> None:
    world = World()
    made = [world.transaction("put k one"), world.transaction("cas k 5 two"), world.transaction("delete k")]
    executed = world.execute(*made, world.transaction(payload=b"nonsense"), time=START)

    block = executed.block
    ledger: list[Block] = [
        [],
        [
            ledger_operation(tx, result, block.height, index)
            for index, (tx, result) in enumerate(zip(executed.transactions, executed.results, strict=True))
        ],
    ]
    assert [found and str(found).split("] ")[1] for found in ledger[1]] == [
        "put k one: no answer",
        "cas k 5 two: no answer",
        "delete k: no answer",
        None,
    ]
    assert [found and found.result for found in ledger[1]] == [Wrote(1), Failed(CONFLICT), Wrote(0), None]
    first = ledger[1][0]
    assert first is not None
    assert (first.id, first.height, first.index, first.invoked) == (made[0].id, 1, 0, Millis(START))
    acknowledged = [replace(found, returned=found.invoked + 5) for found in ledger[1] if found]
    assert check_witness(acknowledged, ledger) == []
