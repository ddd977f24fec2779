"""What an attack costs: the measure that does not depend on how long somebody chose to attack."""

from typing import Any

import pytest

from bftledger.bench.attack_cost import control_of, cost, dearest_first, gaps, is_down, is_noise, is_slow, lost
from bftledger.bench.attack_plan import HONEST, Occasion, control, parse
from tests.bench.attack_runs import BEGUN, a_run

REPLACED = (BEGUN + 2.0, 1)


def test_it_is_what_was_lost_until_the_traitor_was_replaced() -> None:
    row = a_run(REPLACED)
    found = cost(row)

    assert found is not None
    assert (found.seconds, found.transactions, found.kept) == pytest.approx((1.8, 180.0, 0.1))
    assert (found.span_s, found.is_over) == (2.0, True)
    assert (row["cost_s"], row["cost_tx"]) == (1.8, 180.0)


@pytest.mark.parametrize(("attacked_s", "mean"), [(3.0, 0.333), (8.0, 0.625), (20.0, 0.73)])
def test_it_does_not_depend_on_how_long_is_attacked_and_the_mean_does(attacked_s: float, mean: float) -> None:
    row = a_run(REPLACED, attacked_s=attacked_s)

    assert (row["cost_s"], row["ratio"]) == (1.8, mean)


def test_where_nobody_was_replaced_it_is_that_of_the_whole_attack() -> None:
    row = a_run()
    found = cost(row)

    assert found is not None
    assert (round(found.seconds, 3), found.kept, found.is_over) == (3.0, 0.625, False)
    assert (row["cost_s"], row["lost_s"], row["lost_tx"]) == (3.0, 3.0, 300.0)


def test_all_that_is_lost_is_known_beside_it() -> None:
    row = a_run(REPLACED)
    whole = lost(row)

    assert whole is not None
    assert (row["lost_s"], round(whole.seconds, 3), whole.is_over) == (3.0, 3.0, False)


def test_a_primary_that_is_replaced_may_be_down_until_then_and_not_slow_in_the_mean() -> None:
    assert (is_down(a_run(REPLACED)), is_slow(a_run(REPLACED))) == (True, False)
    assert (is_down(a_run()), is_slow(a_run())) == (False, False)


def test_it_follows_from_old_rows_too() -> None:
    """They have no part until the traitor was replaced, but the whole and the rest."""
    row = a_run(REPLACED)
    before = cost(row)
    del row["phases"]["until_replaced"], row["cost_s"]

    assert cost(row) == before


def test_where_nothing_was_done_before_nothing_is_known() -> None:
    row = a_run()
    row["phases"]["clean"]["tx_per_s"] = 0.0

    assert (cost(row), is_down(row)) == (None, False)
    assert dearest_first([row, a_run()])[-1] is row


def test_the_dearest_come_first() -> None:
    costs = [a_run(REPLACED), a_run(), a_run((BEGUN + 0.5, 1))]

    assert [row["cost_s"] for row in dearest_first(costs)] == [3.0, 1.8, 0.45]


# ── compared with honest runs ──


def a_control(occasion: Occasion, least: float) -> dict[str, Any]:
    ratios = {"least": least, "median": least, "greatest": 1.0}
    return a_run(attack=control(occasion)) | {"ratios": ratios}


CONTROLS = [a_control(Occasion.NONE, 0.9), a_control(Occasion.VIEW_CHANGE, 0.6), a_control(Occasion.LAG, 0.7)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("slow", "honest"),
        ("flip-flop", "honest"),
        ("wrong-new-view", "honest, primary stopped"),
        ("lie-blocks", "honest, backup stopped"),
    ],
)
def test_a_run_is_compared_with_honest_ones_of_its_occasion(text: str, name: str) -> None:
    found = control_of(a_run(attack=parse(text, faulty=1)), CONTROLS)

    assert found is not None
    assert found["behaviour"] == name


def test_what_is_lost_by_the_occasion_is_noise() -> None:
    """Both keep 62%: as much as groups of which somebody stops the primary, and less than those left in peace."""
    runs = [a_run(attack=parse(text, faulty=1)) for text in ("wrong-new-view", "flip-flop", "lie-blocks")]

    assert [is_noise(run, CONTROLS) for run in runs] == [True, False, False]
    assert not is_noise(runs[0], []), "of what nobody measured nothing is known"
    assert control_of(a_run(attack=HONEST), CONTROLS) is None


# ── no receipt ──


def test_stretches_without_a_receipt_are_those_of_the_row() -> None:
    row = a_run()
    row["gaps"] = [[0.5, 1.75]]

    assert gaps(row) == [[0.5, 1.75]]


def test_of_an_old_row_the_timeline_tells() -> None:
    row = a_run()
    del row["gaps"]
    row["timeline"] |= {"bucket_s": 0.1, "from_s": -0.2, "committed": [3, 0, 2, 0, 0, 0, 1, 0, 0]}

    assert [[round(at, 3) for at in gap] for gap in gaps(row)] == [[0.1, 0.4], [0.5, 0.7]]
