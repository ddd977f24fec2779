"""Rates rise until the group does not keep up, and what is said of it."""

from itertools import pairwise
from typing import Any

import pytest

from bftledger.bench.knee import Knee, rising


def rows(*opened: tuple[float, bool]) -> list[dict[str, Any]]:
    closed = {"rate": None, "kept_up": True}
    return [closed, *({"rate": rate, "kept_up": kept_up} for rate, kept_up in opened)]


def test_rates_go_on_beyond_what_a_closed_loop_got_up_to_three_times_that() -> None:
    found = list(rising(1_000.0))

    assert found[:7] == [100, 250, 500, 750, 900, 1_000, 1_150]
    assert found[-2:] == [2_660, 3_000]
    assert all(1.1 < after / before < 1.2 for before, after in pairwise(found[5:]))


@pytest.mark.parametrize("tx_per_s", [0.0, 1.3, 6.0])
def test_rates_of_a_slow_group_are_whole_numbers_of_1_or_more_that_rise(tx_per_s: float) -> None:
    found = list(rising(tx_per_s))

    assert found[0] >= 1
    assert found == sorted(set(found))


def test_knee_is_between_the_last_rate_that_was_kept_up_with_and_the_first_that_was_not() -> None:
    found = Knee.of(rows((500, True), (1_150, True), (1_322, False)))

    assert found == Knee(kept_up_per_s=1_150, not_kept_up_per_s=1_322)
    assert found.text(1_000, "64 clients") == (
        "The knee: the group kept up with 1,150/s due (115% of what 64 clients got), and not with 1,322/s"
    )


def test_rate_above_one_that_was_not_kept_up_with_does_not_count() -> None:
    assert Knee.of(rows((100, True), (200, False), (300, True))).kept_up_per_s == 100


def test_where_no_knee_was_found_it_is_said() -> None:
    found = Knee.of(rows((500, True), (3_000, True)))

    assert found.not_kept_up_per_s is None
    assert found.text(1_000, "64 clients").startswith(
        "No knee was found: the group kept up with all rates, up to 3,000"
    )


def test_knee_below_every_rate_is_said() -> None:
    assert Knee.of(rows((500, False))).text(1_000, "one client") == (
        "The knee is below 500/s due, the lowest rate that was tried"
    )


def test_without_rates_nothing_is_said() -> None:
    assert Knee.of(rows()).text(1_000, "one client") == ""
