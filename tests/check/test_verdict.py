"""One ledger and what clients saw of it, judged by all oracles that need nothing else; and each of them is asked."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bftledger.base.ids import Millis
from bftledger.check import durability, expiry, fates, integrity, linearizability, witness
from bftledger.check.answers import acknowledgement, result_told, telling
from bftledger.check.expiry import Expired
from bftledger.check.fates import Place
from bftledger.check.history import GET, PUT, Dropped, Read, Wrote
from bftledger.check.ledgers import Ledgers
from bftledger.check.verdict import Seen, judge_ledgers
from bftledger.check.violation import Who
from bftledger.ledger.outcome import Outcome, State
from tests.ledger.ledger_world import GENESIS, VERIFIER, a_world_of

WORLD = a_world_of(4)
BLOCKS = [executed.block.encoded for executed in WORLD.done[1:]]
RECEIPT = WORLD.receipt(2, 1)
COMMITTED = Outcome(tx_id=RECEIPT.transaction.id, state=State.COMMITTED, receipt=RECEIPT)

OPERATIONS = Ledgers(GENESIS.genesis_hash).read(BLOCKS).operations
BEFORE = [replace(each, invoked=0) for each in OPERATIONS[1] if each is not None]
"""Called by somebody who has heard no answer."""

PUT_SEEN = replace(
    next(each for each in OPERATIONS[2] if each is not None and each.id == RECEIPT.transaction.id),
    invoked=1,
    returned=2,
    result=result_told(PUT, COMMITTED),
)
READ_SEEN = replace(PUT_SEEN, kind=GET, args=(), invoked=3, returned=4, result=Read(b"2", 2), id=b"", index=None)
SEEN = Seen(
    history=[*BEFORE, PUT_SEEN, READ_SEEN],
    acknowledged=[acknowledgement(RECEIPT)],
    tellings=[telling(COMMITTED, "a put", asked=1, told=2)],
    expired=[Expired("another", Millis(10), Millis(11))],
)


def objecting(seen: Seen, *ledgers: Sequence[bytes]) -> set[str]:
    """The oracles that object, of all ledgers or three whole ones."""
    named: dict[Who, Sequence[bytes]] = {f"replica {i}": ledger for i, ledger in enumerate(ledgers or (BLOCKS,) * 3)}
    found = judge_ledgers(
        named,
        seen,
        genesis=GENESIS,
        machine=WORLD.machine,
        verifier=VERIFIER,
        holders=len(named),
        ahead=1_000,
    )
    return {violation.oracle for violation in found}


def test_what_clients_saw_of_sound_ledgers_is_so() -> None:
    assert objecting(SEEN) == set()
    assert objecting(Seen(), []) == set()


@pytest.mark.parametrize(
    ("seen", "oracles"),
    [
        (
            replace(SEEN, history=[*SEEN.history, replace(READ_SEEN, invoked=5, returned=6, result=Read(None, 0))]),
            {linearizability.ORACLE, witness.ORACLE},
        ),
        (replace(SEEN, history=[replace(PUT_SEEN, result=Wrote(7))]), {linearizability.ORACLE, witness.ORACLE}),
        (replace(SEEN, acknowledged=[replace(acknowledgement(RECEIPT), index=0)]), {durability.ORACLE}),
        (replace(SEEN, tellings=[replace(SEEN.tellings[0], state=State.EXPIRED, place=None)]), {fates.ORACLE}),
        (replace(SEEN, expired=[Expired("another", Millis(5_000), Millis(11))]), {expiry.ORACLE}),
    ],
)
def test_what_clients_saw_and_is_not_so_is_objected_to(seen: Seen, oracles: set[str]) -> None:
    assert objecting(seen) == oracles


def test_a_ledger_that_ends_before_what_was_acknowledged_is_objected_to() -> None:
    assert objecting(SEEN, BLOCKS, BLOCKS[:1]) == {durability.ORACLE}


def test_bytes_that_are_no_block_end_a_ledger_and_raise_nothing() -> None:
    damaged = [BLOCKS[0], BLOCKS[1][:-1], *BLOCKS[2:]]

    assert len(Ledgers(GENESIS.genesis_hash).read(damaged).blocks) == 1
    assert objecting(SEEN, damaged) >= {integrity.ORACLE, durability.ORACLE}


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledger = Ledgers(GENESIS.genesis_hash).read(BLOCKS)

    assert ledger.hashes == [None, *(executed.block.hash for executed in WORLD.done[1:])]
    assert [held.block_hash for held in ledger.held[1:]] == ledger.hashes[1:]
    assert ledger.places[RECEIPT.transaction.id] == Place(RECEIPT.header.height, 1, ok=True)
    assert [len(block) for block in ledger.operations] == [0, 3, 3, 3, 3]


def test_an_outcome_that_is_not_final_tells_no_result() -> None:
    def outcome(state: State) -> Outcome:
        return Outcome(tx_id=RECEIPT.transaction.id, state=state)

    assert result_told(PUT, COMMITTED) == Wrote(2)
    assert result_told(PUT, outcome(State.EXPIRED)) == Dropped()
    assert result_told(PUT, outcome(State.PENDING)) is None
