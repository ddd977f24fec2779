"""What is made of the moments at which transactions began and were done. Here the window is from 100 s to 101 s."""

from array import array

import pytest

from bftledger.bench.clients import Seen
from bftledger.bench.measured import Load, Mark, Measured, percentile

START_S = 100.0


def measured(
    *pairs: tuple[float, float],
    rate: float | None = None,
    failures: tuple[tuple[float, str], ...] = (),
    marks: tuple[Mark, ...] = (),
) -> Measured:
    """`pairs`: when a transaction began and was done, in seconds from the start of the window."""
    seen = Seen(
        begun=array("d", (START_S + begun for begun, _ in pairs)),
        done=array("d", (START_S + done for _, done in pairs)),
        failures=[(START_S + when, how) for when, how in failures],
    )
    load = Load(clients=1, seconds=1.0, rate=rate)
    return Measured.of(load, START_S, [seen], replicas_cpu_s=[None], marks=list(marks))


def test_closed_loop_counts_what_was_done_within_the_window() -> None:
    found = measured((-0.2, -0.1), (-0.1, 0.1), (0.1, 0.4), (0.4, 1.1))

    assert found.latencies_ms == pytest.approx([200, 300])
    assert found.tx_per_s == 2


def test_open_loop_takes_the_latencies_of_all_that_was_due_within_the_window() -> None:
    found = measured((-0.1, 0.1), (0.1, 0.4), (0.9, 5.9), rate=2)

    assert found.latencies_ms == pytest.approx([300, 5_000])
    assert found.tx_per_s == 2


def test_what_several_processes_saw_is_put_in_order() -> None:
    seen = [
        Seen(begun=array("d", [100.0]), done=array("d", [100.9]), failures=[(100.5, "busy")], view=1, first_height=7),
        Seen(begun=array("d", [100.2]), done=array("d", [100.3]), failures=[(100.1, "busy")], view=2, last_height=9),
    ]
    found = Measured.of(Load(clients=2, seconds=1.0), START_S, seen, replicas_cpu_s=[], marks=[])

    assert list(found.done) == [100.3, 100.9]
    assert [when for when, _ in found.failures] == [100.1, 100.5]
    assert (found.failed, found.view, found.blocks) == ({"busy": 2}, 2, 3)


def test_what_a_process_saw_survives_the_way_to_the_other() -> None:
    seen = Seen(begun=array("d", [1 / 3]), done=array("d", [2 / 3]), failures=[(0.5, "expired")], lag_ms=0.25)

    assert Seen.from_json(seen.to_json()) == seen


def test_timeline_says_of_each_stretch_what_was_done_in_it() -> None:
    found = measured((0.0, 0.1), (0.0, 0.2), (0.5, 0.9), failures=((0.3, "busy"),))

    first, second = found.timeline(0.5)

    assert (first["at_s"], first["committed"], first["tx_per_s"], first["failed"]) == (0, 2, 4, 1)
    assert (first["p50_ms"], first["max_ms"]) == (100, 200)
    assert (second["at_s"], second["committed"], second["failed"]) == (0.5, 1, 0)


def test_timeline_has_no_latency_where_nothing_was_done() -> None:
    assert measured().timeline(1.0)[0]["p99_ms"] is None


def test_longest_gap_reaches_from_the_last_commit_before_it_to_the_first_after_it() -> None:
    found = measured((0.0, 0.1), (0.0, 0.2), (0.2, 0.8))

    assert found.longest_gap_s(0.0, 1.0) == pytest.approx(0.6)
    assert found.longest_gap_s(0.75, 1.0) == pytest.approx(0.2)


def test_marks_are_in_the_order_of_their_moments() -> None:
    found = measured(marks=(Mark(what="replica 3 killed", at_s=0.5), Mark(what="attack", at_s=0.1)))

    assert [mark.what for mark in found.marks] == ["attack", "replica 3 killed"]


def test_open_loop_kept_up_although_as_much_as_ever_is_under_way_at_the_end() -> None:
    steady = [(i / 100, i / 100 + 0.05) for i in range(-20, 110)]

    assert measured(*steady, rate=100).kept_up


def test_open_loop_whose_backlog_grows_was_not_kept_up_with() -> None:
    slower = [(i / 100, i / 94 + 0.05) for i in range(110)]
    much_slower = [(i / 100, i / 20 + 0.05) for i in range(110)]

    assert not measured(*slower, rate=100).kept_up
    assert not measured(*much_slower, rate=100).kept_up


def test_what_failed_was_not_kept_up_with() -> None:
    assert not measured((0.1, 0.2), failures=((0.3, "busy"),)).kept_up


def test_row_of_a_window_without_a_commit_has_no_figures_that_nobody_measured() -> None:
    row = measured(failures=((0.5, "no quorum"),)).row()

    assert (row["tx_per_s"], row["samples"], row["failed"]) == (0, 0, {"no quorum": 1})
    assert row["p50_ms"] is row["mean_ms"] is row["tx_per_block"] is row["clients_cpu_us_per_tx"] is None


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 2), (51, 3), (99, 4), (100, 4)])
def test_percentile_is_by_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([1, 2, 3, 4], percent) == expected
