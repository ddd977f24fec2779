"""The figures of a run under attack, made of what was seen in it."""

import pytest

from bftledger.bench.attack_plan import parse
from tests.bench.attack_runs import BEGUN, ENDED, a_run


def test_until_an_honest_primary_takes_over_and_from_then_on() -> None:
    found = a_run((BEGUN + 2.0, 1))

    assert (found["ratio"], found["replaced_s"]) == (0.625, 2.0)
    assert (found["ratio_until_replaced"], found["ratio_replaced"]) == (0.1, 0.8)
    assert found["phases"]["until_replaced"]["transactions"] == 20


def test_a_traitor_that_takes_over_replaces_nobody() -> None:
    found = a_run((BEGUN + 1.0, 4), (BEGUN + 2.0, 5))

    assert (found["replaced_s"], found["ratio_until_replaced"]) == (2.0, 0.1)


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
