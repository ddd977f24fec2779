"""The figures of a run under attack, made of what was seen in it."""

from array import array

import pytest

from bftledger.bench.attack_plan import Occasion, control, parse
from bftledger.bench.measured import Load, Measured
from tests.bench.attack_runs import BEGUN, ENDED, START, a_run


def test_until_an_honest_primary_takes_over_and_from_then_on() -> None:
    found = a_run((BEGUN + 2.0, 1))

    assert (found["ratio"], found["replaced_s"]) == (0.625, 2.0)
    assert (found["ratio_until_replaced"], found["ratio_replaced"]) == (0.1, 0.8)
    assert found["phases"]["until_replaced"]["transactions"] == 20


def test_a_traitor_that_takes_over_replaces_nobody() -> None:
    found = a_run((BEGUN + 1.0, 4), (BEGUN + 2.0, 5))

    assert (found["replaced_s"], found["ratio_until_replaced"]) == (2.0, 0.1)


def test_where_a_backup_makes_the_others_leave_honest_primaries_nobody_is_replaced() -> None:
    """It goes on lying: what it costs is that of the whole attack."""
    backup = parse("flood", faulty=1)
    assert backup.traitors(4) == [3]

    left = a_run((BEGUN + 1.0, 1), (BEGUN + 2.0, 2), attack=backup)
    assert (left["replaced_s"], left["cost_s"]) == (None, left["lost_s"])
    turned = a_run((BEGUN + 1.0, 3), (BEGUN + 2.0, 4), attack=backup)
    assert turned["replaced_s"] == 2.0, "it was primary meanwhile"


def test_the_view_at_the_beginning_of_the_attack_is_the_first_that_can_be_left() -> None:
    was_left_before = a_run((BEGUN - 1.0, 1), (BEGUN + 2.0, 2))

    assert was_left_before["replaced_s"] is None


def test_in_honest_runs_who_takes_over_from_a_stopped_primary_replaces_it_and_noise_nobody() -> None:
    stopped, noise = (a_run((BEGUN + 2.0, 1), attack=control(on)) for on in (Occasion.VIEW_CHANGE, Occasion.NONE))

    assert (stopped["replaced_s"], noise["replaced_s"]) == (2.0, None)


def test_who_is_replaced_at_the_very_end_leaves_no_part_to_be_measured() -> None:
    found = a_run((ENDED - 0.1, 1))

    assert (found["replaced_s"], found["ratio_replaced"]) == (7.9, None)
    assert found["ratio_until_replaced"] == pytest.approx(0.62, abs=0.01)


@pytest.mark.parametrize("at_s", [BEGUN - 1.0, ENDED + 1.0])
def test_what_happens_before_or_after_the_attack_replaces_nobody(at_s: float) -> None:
    found = a_run((at_s, 1))

    assert [found[name] for name in ("replaced_s", "ratio_until_replaced", "ratio_replaced")] == [None] * 3


def test_the_longest_wait_and_what_is_allowed_are_the_verdicts() -> None:
    found = a_run()

    assert (found["slowest_ms"], found["bound_ms"]) == (1_500.0, 11_650)


def test_deviations_are_counted_by_the_second_and_few_are_marked() -> None:
    assert [a_run(deviations=count)["deviations_per_s"] for count in (40, 4)] == [5.0, 0.5]
    assert [a_run(deviations=count)["few_occasions"] for count in (40, 4, 0)] == [False, True, False]
    assert not a_run(attack=parse("silent", faulty=1), deviations=1)["few_occasions"]


# ── stalls ──


def stalled(rate: float | None, begin: float = BEGUN + 2.0) -> Measured:
    """10 each second; those due in the second from `begin` on, the third of the attack, are done all at its end."""
    due = [START + i / 10 for i in range(160)]
    done = [begin + 1.0 if begin <= at < begin + 1.0 else at + 0.05 for at in due]
    return Measured(
        load=Load(clients=1, seconds=16.0, rate=rate),
        start_s=START,
        begun=array("d", due),
        done=array("d", done),
        failures=[],
    )


def test_in_an_open_loop_a_stall_is_charged_for_all_that_was_due_in_it() -> None:
    found = a_run(done=stalled(10.0))

    assert found["phases"]["attacked"]["max_ms"] == pytest.approx(1_000.0)
    assert [round(ms) for ms in found["timeline"]["p50_ms"][4:8]] == [50, 50, 500, 50], "where they were due"
    assert found["timeline"]["committed"][4:8] == [10, 10, 0, 20], "where their receipts came"
    assert (found["rate"], found["kept_up"]) == (10.0, True)


def test_it_is_charged_to_the_part_in_which_they_were_due() -> None:
    found = a_run(done=stalled(10.0, ENDED - 0.5))["phases"]

    assert [found[name]["max_ms"] for name in ("attacked", "after")] == pytest.approx([1_000.0, 500.0])
    assert [found[name]["transactions"] for name in ("clean", "attacked", "after")] == [40, 75, 45]


def test_in_a_closed_loop_latencies_stand_where_the_receipt_came() -> None:
    found = a_run(done=stalled(None))

    assert found["timeline"]["p50_ms"][6] is None
    assert (found["rate"], found["kept_up"]) == (None, True)


def test_stretches_without_a_receipt_are_in_the_row() -> None:
    assert a_run(done=stalled(10.0))["gaps"] == [[pytest.approx(1.95), 3.0]]
    assert a_run()["gaps"] == []


def test_who_does_less_than_is_due_before_the_attack_did_not_keep_up() -> None:
    assert not a_run(done=stalled(12.0))["kept_up"]
