"""Expiry: who is told too early that a transaction expired."""

from bftledger.base.ids import Millis
from bftledger.check.expiry import Expired, check_expired


def told(at: int, expires: int = 10_000) -> Expired:
    return Expired(name="put a of client 0", expires=Millis(expires), told=Millis(at))


def test_what_expired_by_the_fastest_clock_may_be_said_to_have() -> None:
    assert check_expired([told(10_001), told(9_000), told(8_000)], ahead=2_000) == []


def test_what_no_clock_could_have_called_expired_was_not() -> None:
    (violation,) = check_expired([told(10_001), told(7_999)], ahead=2_000)

    assert str(violation) == "expiry: put a of client 0 is said to have expired 2001 ms before it does"
