"""What is made of the moments of commits around the death of a primary."""

from bisect import bisect_left

import pytest

from bftledger.bench.outage import Around, Outage, longest_gap, outage, timeline

AROUND = Around(from_s=100.0, killed_s=101.0, dead_s=101.01, to_s=103.0, bucket_s=0.25)
"""A second before the kill, two after it, in quarters."""
TOOK_S = 0.02


def commits(*stretches: tuple[float, float, int]) -> list[float]:
    """So many from one moment to another, as seconds from the kill, evenly."""
    return [101.0 + begin + (end - begin) * i / count for begin, end, count in stretches for i in range(count)]


def after(*stretches: tuple[float, float, int], stragglers: int = 0) -> Outage:
    """The outage with such commits, each of which took `TOOK_S`; the first so many after the kill began before it."""
    done = commits(*stretches)
    first = bisect_left(done, AROUND.killed_s)
    begun = [when - TOOK_S for when in done]
    begun[first : first + stragglers] = [AROUND.killed_s - TOOK_S] * stragglers
    return outage(begun, done, AROUND)


def test_gap_is_the_longest_time_without_a_commit_from_the_kill_on() -> None:
    found = after((-1.0, -0.8, 4), (0.1, 0.2, 2), (0.9, 2.0, 20))

    assert found.gap_s == pytest.approx(0.75)  # from 0.15 to 0.9; what was before the kill does not count
    assert found.gap_end_s == pytest.approx(0.9)


def test_throughput_is_back_with_the_first_bucket_after_the_gap_that_has_nine_tenths_of_it() -> None:
    found = after((-1.0, 0.0, 40), (0.6, 1.0, 8), (1.0, 1.25, 9), (1.25, 2.0, 60))

    assert found.before_per_s == pytest.approx(40)
    assert found.recovery_s == pytest.approx(1.25)  # 8 in 0.75 to 1.0 are too few, 9 of 10 are enough
    assert found.after_per_s == pytest.approx(77 / 1.4)


def test_bucket_in_which_the_gap_ends_does_not_count() -> None:
    found = after((-1.0, 0.0, 40), (0.74, 0.75, 40), (0.75, 2.0, 50))

    assert found.recovery_s == pytest.approx(1.0)


def test_what_never_comes_back_has_a_gap_to_the_end_and_no_recovery() -> None:
    found = after((-1.0, 0.0, 40), (0.0, 0.1, 2), stragglers=2)

    assert found.gap_s == pytest.approx(1.95)
    assert (found.outage_s, found.recovery_s, found.after_per_s) == (None, None, 0.0)


def test_throughput_that_was_nothing_cannot_be_back() -> None:
    assert after((0.5, 2.0, 30)).recovery_s is None


def test_outage_is_not_over_with_receipts_of_what_began_before_the_kill() -> None:
    """As it is measured: what had been committed has its receipts when the clients' patience is over, halfway."""
    found = after((-1.0, 0.0, 40), (0.5, 0.55, 16), (1.0, 2.0, 40), stragglers=16)

    assert (found.gap_s, found.gap_end_s) == pytest.approx((0.5, 0.5))
    assert found.outage_s == pytest.approx(1.0)
    assert found.recovery_s == pytest.approx(1.25)  # the stragglers of 0.5 to 0.75 are as many as before in a bucket
    assert found.after_per_s == pytest.approx(40)


def test_what_began_while_the_primary_was_dying_may_be_its_own_work() -> None:
    done = commits((-1.0, 0.0, 40), (0.5, 2.0, 30))
    begun = [*done[:40], 101.005, *([101.4] * 29)]

    assert outage(begun, done, AROUND).outage_s == pytest.approx(0.55)


def test_longest_gap_of_a_ledger_that_does_not_go_on_lasts_to_the_end() -> None:
    assert longest_gap([100.5, 101.5], AROUND) == pytest.approx((1.5, 2.0))


def test_timeline_has_the_kill_between_two_buckets() -> None:
    uneven = Around(from_s=100.4, killed_s=101.0, dead_s=101.0, to_s=101.6, bucket_s=0.25)
    line = timeline(commits((-0.6, -0.5, 5), (-0.5, 0.0, 10), (0.0, 0.5, 20), (0.5, 0.6, 3)), uneven)

    assert line == {"from_s": -0.5, "bucket_s": 0.25, "committed": [5, 5, 10, 10]}
