"""Laws by which a figure grows with the size of the group, fitted in relative error.

The figures of one law differ by a factor of a hundred. Plain least squares would see the largest of them alone, and be
several times off at the smallest; here a tenth too much counts the same at every size, as it looks on a logarithmic
scale. A law is judged by where it is worst.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

POWERS: Final = {1: "n", 2: "n²", 3: "n³"}

PAIRS: Final = "b·n(n-1)"
"""The protocol's form: everybody says something to everybody else. It has a number less than others."""

FREE: Final = "b·n^p"

WORTH: Final = 2.0
"""A law with a number more has to be so many times closer."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """`a` + `b`·n^`power`; of `PAIRS` b·n(n-1).

    `error`: by how much it is off where it is worst, as a share of the figure there. `r2`: the share of the variance
    that it explains, which says nothing of small figures.
    """

    model: str
    power: float
    a: float
    b: float
    error: float
    r2: float

    def at(self, n: float) -> float:
        """What it says of a group of `n`."""
        return self.b * n * (n - 1) if self.model == PAIRS else self.a + self.b * n**self.power

    @property
    def numbers(self) -> int:
        """So many were fitted."""
        return 1 if self.model == PAIRS else 2

    @property
    def off(self) -> str:
        """`error`, for people."""
        return f"{100 * self.error:.2g}%" if self.error >= 0.001 else "<0.1%"

    def text(self, scale: float = 1.0) -> str:
        """For people, in units that are so many times as large."""
        a, b = _said(self.a / scale), _said(self.b / scale)
        if self.model == PAIRS:
            return f"{b}·n(n-1)"
        return f"{b}·n^{self.power:.2f}" if self.model == FREE else f"{a} + {b}·{POWERS[round(self.power)]}"


def _said(number: float) -> str:
    """With three digits, and never as a power of ten."""
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.3g}"


def fit(sizes: Sequence[float], values: Sequence[float], power: int) -> Law:
    """The law a + b·n^power with the least squares of relative errors.

    Raises ValueError for fewer than two sizes, and for figures that are not positive.
    """
    a, b = _line([n**power for n in sizes], values, _weights(values))
    return _judged(f"a + b·{POWERS[power]}", power, a, b, sizes, values)


def fit_pairs(sizes: Sequence[float], values: Sequence[float]) -> Law:
    """The law b·n(n-1), in the same way. Raises ValueError for figures that are not positive, and sizes below 2."""
    if min(sizes) < 2:
        raise ValueError("one alone has nobody to talk to")
    shares = [n * (n - 1) / value for n, value in zip(sizes, values, strict=True)] if _weights(values) else []
    b = sum(shares) / sum(share**2 for share in shares)
    return _judged(PAIRS, 2, 0.0, b, sizes, values)


def fit_free(sizes: Sequence[float], values: Sequence[float]) -> Law:
    """The law b·n^p with the least squares on logarithmic scales. Raises ValueError as `fit` does."""
    _weights(values)
    logs = [math.log(value) for value in values]
    start, power = _line([math.log(n) for n in sizes], logs, [1.0] * len(logs))
    return _judged(FREE, power, 0.0, math.exp(start), sizes, values)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The p of c·n^p, and its R² on logarithmic scales. Raises ValueError for what is not positive."""
    x, y = [math.log(n) for n in sizes], [math.log(value) for value in values]
    start, slope = _line(x, y, [1.0] * len(x))
    return slope, _r2(y, [start + slope * each for each in x])


def _judged(model: str, power: float, a: float, b: float, sizes: Sequence[float], values: Sequence[float]) -> Law:
    law = Law(model=model, power=power, a=a, b=b, error=0.0, r2=0.0)
    said = [law.at(n) for n in sizes]
    error = max(abs(one - value) / value for one, value in zip(said, values, strict=True))
    return Law(model=model, power=power, a=a, b=b, error=error, r2=_r2(values, said))


def _weights(values: Sequence[float]) -> list[float]:
    """So that an error counts by its share of the figure."""
    if min(values) <= 0:
        raise ValueError("a share of nothing is none: figures have to be positive")
    return [1 / value**2 for value in values]


def _line(x: Sequence[float], y: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope of weighted least squares."""
    if len(set(x)) < 2:
        raise ValueError("a law takes two sizes at least")
    whole = sum(weights)
    mean_x = sum(w * a for w, a in zip(weights, x, strict=True)) / whole
    mean_y = sum(w * b for w, b in zip(weights, y, strict=True)) / whole
    spread = sum(w * (a - mean_x) ** 2 for w, a in zip(weights, x, strict=True))
    slope = sum(w * (a - mean_x) * (b - mean_y) for w, a, b in zip(weights, x, y, strict=True)) / spread
    return mean_y - slope * mean_x, slope


def _r2(values: Sequence[float], said: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values)
    missed = sum((value - one) ** 2 for value, one in zip(values, said, strict=True))
    return 1.0 - missed / variance if variance else 1.0


def best_of(found: Sequence[Law], sizes: Sequence[float]) -> Law | None:
    """The law whose largest error is least; one with fewer numbers, unless others are `WORTH` times closer.

    A law that says 0 or less anywhere between the smallest and the largest size is none: no figure is negative.
    """
    able = [law for law in found if min(law.at(min(sizes)), law.at(max(sizes))) > 0]
    return min(able, key=lambda law: law.error * WORTH ** (law.numbers - 1), default=None)


def laws(
    what: str,
    unit: str,
    points: Sequence[tuple[int, float | None]],
    powers: Sequence[int],
    *,
    pairs: bool = False,
    free: bool = False,
) -> dict[str, Any]:
    """All that is to be said of a figure by size: its laws, which of them fits best, and its exponent.

    `pairs`, `free`: whether those are candidates, too. Of fewer than three sizes nothing is said: any law fits two.
    """
    known = [(n, value) for n, value in points if value is not None and value > 0]
    sizes, values = [n for n, _ in known], [value for _, value in known]
    is_enough = len(set(sizes)) > 2
    found = [fit(sizes, values, power) for power in powers] if is_enough else []
    if is_enough and pairs and min(sizes) > 1:
        found.append(fit_pairs(sizes, values))
    if is_enough and free:
        found.append(fit_free(sizes, values))
    best = best_of(found, sizes) if found else None
    power, r2 = exponent(sizes, values) if found else (None, None)
    return {
        "what": what,
        "unit": unit,
        "points": [list(point) for point in known],
        "fits": [asdict(law) for law in found],
        "best": None if best is None else best.model,
        "exponent": power,
        "exponent_r2": r2,
    }


def best_law(found: Mapping[str, Any]) -> Law | None:
    """The law that fits best, of what `laws` says."""
    return next((Law(**one) for one in found["fits"] if one["model"] == found["best"]), None)
