"""What there is of a replica's time for clients, beside new transactions, while the group orders."""

import time

import pytest

from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.work import WORK_PER_ROUND
from bftledger.net.transport import DRAIN_BYTES, DRAIN_MESSAGES
from bftledger.node.pace import (
    BURST_S,
    MAX_DEBT_S,
    MAX_PAUSE_S,
    ORDERING_S,
    REQUESTS_UNDER_PRESSURE,
    SHARE,
    WORK_UNDER_PRESSURE,
    Pace,
)


class Moved:
    """The monotonic clock."""

    def __init__(self) -> None:
        self.seconds = 5.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Moved:
    moved = Moved()
    monkeypatch.setattr(time, "monotonic", lambda: moved.seconds)
    return moved


def spend(pace: Pace, others_s: float = 0.0, lookups_s: float = 0.0) -> None:
    pace.spent(lookups_s=lookups_s, others_s=others_s, is_ordering=True)


def all_that_may_be(pace: Pace) -> tuple[int, int, int]:
    return pace.requests, pace.request_bytes, pace.work


def test_who_takes_more_than_a_burst_waits_until_its_share_of_the_time_has_come(clock: Moved) -> None:
    pace = Pace()
    spend(pace, BURST_S + 0.004)

    assert pace.pause_ms in range(40, 42)
    assert (pace.requests, pace.work) == (0, 0)
    clock.seconds += 0.004 / SHARE - 0.001
    pace.go_on()
    assert pace.pause_ms > 0
    clock.seconds += 0.002
    pace.go_on()
    assert pace.pause_ms == 0
    assert all_that_may_be(pace) == (REQUESTS_UNDER_PRESSURE, WORK_UNDER_PRESSURE, WORK_UNDER_PRESSURE)


def test_after_a_while_everything_is_there_again_and_no_more(clock: Moved) -> None:
    pace = Pace()
    spend(pace, BURST_S)
    for _ in range(1_000):
        clock.seconds += 1
        spend(pace)

    assert all_that_may_be(pace) == (DRAIN_MESSAGES, DRAIN_BYTES, WORK_PER_ROUND)
    spend(pace, BURST_S + 0.001)
    assert pace.pause_ms > 0


@pytest.mark.parametrize("round_s", [0.002, 0.008])
def test_in_the_long_run_it_is_that_share(clock: Moved, round_s: float) -> None:
    pace, begin, took_s = Pace(), clock.seconds, 0.0
    while clock.seconds < begin + 60:
        if pace.pause_ms:
            clock.seconds += pace.pause_ms / 1_000
            spend(pace)
            continue
        clock.seconds += round_s
        took_s += round_s
        spend(pace, round_s)

    assert took_s / (clock.seconds - begin) == pytest.approx(SHARE, rel=0.1)


def test_no_round_makes_a_longer_pause_than_there_may_be(clock: Moved) -> None:
    """A process that is stopped for a while takes that for time that clients took."""
    pace = Pace()
    spend(pace, 100.0, 100.0)

    assert pace.pause_ms == pytest.approx(MAX_PAUSE_S * 1_000, abs=1)
    assert pace.lookups_pause_ms == pytest.approx(MAX_PAUSE_S * 1_000, abs=1)


def test_old_blocks_have_a_share_of_their_own(clock: Moved) -> None:
    pace = Pace()
    spend(pace, lookups_s=BURST_S + 0.001)

    assert pace.lookups_pause_ms > 0
    assert pace.lookups == 0
    assert pace.pause_ms == 0
    assert all_that_may_be(pace) == (DRAIN_MESSAGES, DRAIN_BYTES, WORK_PER_ROUND)
    clock.seconds += 0.011
    pace.go_on()
    assert (pace.lookups_pause_ms, pace.lookups) == (0, 1)
    clock.seconds += ORDERING_S
    pace.go_on()
    assert pace.lookups == MAX_FRAMES


def test_when_nothing_is_ordered_there_is_no_limit(clock: Moved) -> None:
    pace = Pace()
    pace.spent(lookups_s=1, others_s=1, is_ordering=False)
    assert (pace.pause_ms, pace.lookups_pause_ms) == (0, 0)
    assert all_that_may_be(pace) == (DRAIN_MESSAGES, DRAIN_BYTES, WORK_PER_ROUND)

    spend(pace, 1, 1)
    assert pace.pause_ms > 0
    for _ in range(int(ORDERING_S / 0.01) + 1):
        clock.seconds += 0.01
        pace.spent(lookups_s=1, others_s=1, is_ordering=False)
    assert (pace.pause_ms, pace.lookups_pause_ms) == (0, 0)


def test_pauses_are_counted(clock: Moved) -> None:
    pace = Pace()
    assert pace.counters() == {}
    for _ in range(3):
        clock.seconds += 10
        spend(pace, 2 * BURST_S)
        spend(pace, 2 * BURST_S)

    assert pace.counters() == {"pauses for clients": 3}


def test_what_was_spent_while_nothing_was_ordered_makes_a_pause_when_it_is_and_that_counts(clock: Moved) -> None:
    pace = Pace()
    pace.spent(lookups_s=0, others_s=2 * BURST_S, is_ordering=False)
    assert pace.pause_ms == 0
    spend(pace)

    assert pace.pause_ms > 0
    assert pace.counters() == {"pauses for clients": 1}


def test_what_is_still_owed_after_the_longest_pause_makes_another_after_the_next_round(clock: Moved) -> None:
    pace = Pace()
    spend(pace, 1.0)
    clock.seconds += MAX_PAUSE_S / 2
    spend(pace)
    clock.seconds += MAX_PAUSE_S / 2 + 0.000_1
    pace.go_on()
    assert pace.pause_ms == 0
    assert all_that_may_be(pace) == (REQUESTS_UNDER_PRESSURE, WORK_UNDER_PRESSURE, WORK_UNDER_PRESSURE)
    spend(pace, 0.000_1)

    assert pace.pause_ms == pytest.approx(MAX_PAUSE_S * 1_000, abs=1)
    clock.seconds += MAX_DEBT_S / SHARE + MAX_PAUSE_S
    spend(pace, 0.000_1)
    assert pace.pause_ms == 0
