"""Laws by the size of the group, fitted to figures."""

from collections.abc import Callable
from typing import Final

import pytest

from bftledger.bench.scale_fit import exponent, fit, laws

SIZES: Final = (4, 7, 10, 16, 31)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_fit_finds_a_law_that_holds_exactly(power: int) -> None:
    law = fit(SIZES, [5 + 3 * n**power for n in SIZES], power)

    assert (law.a, law.b, law.r2) == pytest.approx((5, 3, 1))
    assert law.at(100) == pytest.approx(5 + 3 * 100**power)


def test_exponent_is_that_of_the_power_law() -> None:
    assert exponent(SIZES, [0.5 * n**2.5 for n in SIZES]) == pytest.approx((2.5, 1))


@pytest.mark.parametrize(
    ("value", "best"),
    [
        (lambda n: 3 * n * (n - 1), "a + b·n²"),
        (lambda n: 3 * (n - 1), "a + b·n"),
        (lambda n: 100 + n**2 + n, "a + b·n²"),
        (lambda _: 7, "a + b·n"),
    ],
)
def test_best_law_is_the_one_that_explains_most(value: Callable[[int], float], best: str) -> None:
    found = laws("messages", "messages", [(n, value(n)) for n in SIZES], (1, 2))

    assert found["best"] == best
    assert max(one["r2"] for one in found["fits"]) > 0.99


def test_fit_to_what_varies_by_chance_says_how_little_it_explains() -> None:
    assert fit(SIZES, [5, 1, 4, 2, 5], 1).r2 < 0.5


def test_two_sizes_follow_no_law() -> None:
    found = laws("messages", "messages", [(4, 36.0), (7, 126.0)], (1, 2))

    assert (found["fits"], found["best"], found["exponent"]) == ([], None, None)
    with pytest.raises(ValueError, match="two sizes"):
        fit([4, 4], [1, 2], 1)
