"""Fates: what is told of a transaction is so, and stays so."""

from bftledger.base.ids import Seq, TxId
from bftledger.check.fates import Place, Told, check_fates
from bftledger.ledger.outcome import State

TX = TxId(b"t" * 32)
PLACE = Place(Seq(3), 0, ok=True)
FAILED = Place(Seq(3), 0, ok=False)


def told(state: State, place: Place | None = None, *, asked: int = 10, at: int = 20) -> Told:
    return Told(TX, "put a of client 0", asked, at, state, place)


def said(told: Told, ledger: dict[TxId, Place]) -> str:
    (violation,) = check_fates([told], ledger)
    return str(violation)


def test_what_agrees_with_the_ledger_may_be_told_at_any_time() -> None:
    in_time = [told(State.UNKNOWN), told(State.PENDING), told(State.COMMITTED, PLACE), told(State.PENDING, asked=30)]

    assert check_fates(in_time, {TX: PLACE}) == []
    assert check_fates([told(State.REJECTED, FAILED)], {TX: FAILED}) == []
    assert check_fates([told(State.EXPIRED), told(State.UNKNOWN, asked=30)], {}) == []


def test_what_is_committed_is_where_it_is_said_to_be() -> None:
    at = "fates: put a of client 0 is said to be committed, at block 3, place 0, and is at"

    assert said(told(State.COMMITTED, PLACE), {}) == f"{at} no place"
    assert said(told(State.COMMITTED, PLACE), {TX: PLACE._replace(position=1)}) == f"{at} block 3, place 1"


def test_what_had_no_effect_is_not_committed_and_what_had_one_not_rejected() -> None:
    assert said(told(State.COMMITTED, FAILED), {TX: FAILED}).endswith("its result in block 3 says the opposite")
    assert said(told(State.REJECTED, PLACE), {TX: PLACE}).endswith("its result in block 3 says the opposite")


def test_what_is_in_the_ledger_had_not_expired() -> None:
    assert said(told(State.EXPIRED), {TX: PLACE}).endswith("is said to be expired, and is at block 3, place 0")


def test_who_asks_after_the_acknowledgement_is_not_told_that_it_is_unknown() -> None:
    acknowledged = told(State.COMMITTED, PLACE, at=20)
    overlapping = told(State.UNKNOWN, asked=20)
    later = told(State.UNKNOWN, asked=21, at=40)

    assert check_fates([overlapping, acknowledged], {TX: PLACE}) == []
    (violation,) = check_fates([later, acknowledged], {TX: PLACE})
    assert violation.text.endswith("is said to be unknown, to who asked 1 after it had been acknowledged")
