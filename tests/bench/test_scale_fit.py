"""Laws by the size of the group, fitted to figures."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from bftledger.bench.scale_fit import PAIRS, Law, best_law, best_of, exponent, fit, fit_free, fit_pairs, laws
from bftledger.bench.scale_laws import all_laws, optimism
from bftledger.bench.scale_loads import OWN_CORES, SHARED_CORES
from bftledger.bench.scale_processes import PROCESSES

SIZES: Final = (4, 7, 10, 16, 31)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_fit_finds_a_law_that_holds_exactly(power: int) -> None:
    law = fit(SIZES, [5 + 3 * n**power for n in SIZES], power)

    assert (law.a, law.b, law.r2) == pytest.approx((5, 3, 1))
    assert law.error == pytest.approx(0)
    assert law.at(100) == pytest.approx(5 + 3 * 100**power)


def test_fit_is_off_by_the_same_share_at_every_size_whatever_the_figures_are() -> None:
    """What is a hundred times as large does not count for a hundred times as much: the same figures, seen from both
    ends, are fitted as well."""
    values = [10.0, 1_000.0]
    for wrong in range(2):
        seen = [value * (1.2 if at == wrong else 1.0) for at, value in enumerate(values)]
        law = fit([1, 1, 100, 100], [values[0], seen[0], values[1], seen[1]], 1)

        assert law.error < 0.12


def test_error_is_by_how_much_the_law_is_off_where_it_is_worst() -> None:
    law = Law(model="a + b·n", power=1, a=0, b=10, error=0, r2=0)
    judged = fit_free([1, 10, 100], [10, 200, 1_000])

    assert law.at(10) == 100
    assert judged.error == pytest.approx(1 - 1 / 2 ** (2 / 3))
    assert judged.off == "37%"


def test_law_that_plain_squares_would_put_five_times_off_at_four_replicas_is_not() -> None:
    """The bytes of a view change as they were: unweighted, a + b·n³ had R² 0.9989 and said 51,362 at n = 4."""
    found = laws("bytes", "bytes", [(4, 9_314), (7, 53_748), (10, 157_622), (16, 573_517), (31, 3_317_829)], (1, 2, 3))
    best = best_law(found)

    assert best is not None
    assert best.model == "a + b·n³"
    assert best.error < 0.25
    assert best.at(4) == pytest.approx(9_314, rel=0.25)


def test_exponent_is_that_of_the_power_law() -> None:
    assert exponent(SIZES, [0.5 * n**2.5 for n in SIZES]) == pytest.approx((2.5, 1))


def test_free_power_is_fitted_on_logarithmic_scales() -> None:
    law = fit_free(SIZES, [0.5 * n**2.5 for n in SIZES])

    assert (law.power, law.b, law.error) == pytest.approx((2.5, 0.5, 0))
    assert law.at(100) == pytest.approx(0.5 * 100**2.5)
    assert law.text() == "0.5·n^2.50"


@pytest.mark.parametrize(
    ("value", "best", "said"),
    [
        (lambda n: 3 * n * (n - 1), PAIRS, "3·n(n-1)"),
        (lambda n: 3 * n * (n - 1) * (1.04 if n == 10 else 1), PAIRS, "3.02·n(n-1)"),
        (lambda n: 200 + 3 * n**2, "a + b·n²", "200 + 3·n²"),
        (lambda n: 3 * (n - 1), "a + b·n", "-3 + 3·n"),
        (lambda n: 1_500 + n**2, "a + b·n²", "1,500 + 1·n²"),
        (lambda _: 7, "a + b·n", "7 + 0·n"),
    ],
)
def test_best_law_is_the_closest_and_the_protocol_has_a_number_less(
    value: Callable[[int], float], best: str, said: str
) -> None:
    found = laws("messages", "messages", [(n, value(n)) for n in SIZES], (1, 2), pairs=True)
    law = best_law(found)

    assert found["best"] == best
    assert law is not None
    assert law.text() == said


def test_law_that_falls_below_nothing_between_the_sizes_is_none() -> None:
    below = Law(model="a + b·n", power=1, a=-50, b=10, error=0.01, r2=1)
    above = Law(model="a + b·n²", power=2, a=1, b=1, error=0.5, r2=0.5)

    assert below.at(4) < 0
    assert best_of([below, above], SIZES) == above
    assert best_of([below], SIZES) is None


def test_two_sizes_follow_no_law() -> None:
    found = laws("messages", "messages", [(4, 36.0), (7, 126.0)], (1, 2), pairs=True, free=True)

    assert (found["fits"], found["best"], found["exponent"]) == ([], None, None)
    assert best_law(found) is None
    with pytest.raises(ValueError, match="two sizes"):
        fit([4, 4], [1, 2], 1)


@pytest.mark.parametrize("fitted", [lambda s, v: fit(s, v, 1), fit_free, fit_pairs])
def test_share_of_nothing_is_no_error(fitted: Callable[[Sequence[float], Sequence[float]], Law]) -> None:
    with pytest.raises(ValueError, match="positive"):
        fitted([4, 7, 10], [1, 0, 2])


# ── loads ──


def load(replicas: int, tx_per_s: float | None, how: str = PROCESSES, **more: Any) -> dict[str, Any]:
    return {"replicas": replicas, "how": how, "load": "64 clients", "tx_per_s": tx_per_s, **more}


def test_law_of_a_load_is_of_the_time_that_a_transaction_takes() -> None:
    rows = [load(n, 1e6 / (500 + 2 * n**3)) for n in SIZES]
    (found,) = all_laws([], [], [*rows, load(40, None), load(50, 1.0, view=3)])
    law = best_law(found)

    assert (found["what"], found["load"], found["how"]) == ("time per transaction", "64 clients", PROCESSES)
    assert [n for n, _ in found["points"]] == list(SIZES)
    assert law is not None
    assert law.text() == "500 + 2·n³"


def test_model_is_compared_with_processes_of_the_same_size_and_load_on_shared_cores() -> None:
    rows = [load(4, 1_000.0), load(7, 500.0), load(4, 1_500.0, SHARED_CORES), load(7, 1_000.0, SHARED_CORES)]
    alone = [load(31, 10.0, SHARED_CORES), load(4, 9e9, OWN_CORES), load(10, None), load(10, 3.0, SHARED_CORES)]

    assert optimism([*rows, *alone]) == [(4, 1.5), (7, 2.0)]
    assert optimism(alone) == []
