"""Laws by which a figure grows with the size of the group, fitted by least squares."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

POWERS: Final = {1: "n", 2: "n²", 3: "n³"}


@dataclass(frozen=True, kw_only=True)
class Law:
    """`a` + `b`·n^`power`. `r2`: the share of the variance that it explains, 1 for all of it."""

    power: int
    a: float
    b: float
    r2: float

    @property
    def model(self) -> str:
        """Its form."""
        return f"a + b·{POWERS[self.power]}"

    def at(self, n: float) -> float:
        """What it says of a group of `n`."""
        return self.a + self.b * n**self.power


def fit(sizes: Sequence[float], values: Sequence[float], power: int) -> Law:
    """The law of this power that is closest. Raises ValueError for fewer than two sizes."""
    a, b, r2 = _line([n**power for n in sizes], values)
    return Law(power=power, a=a, b=b, r2=r2)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The p of c·n^p, and its R², both on logarithmic scales. Raises ValueError for what is not positive."""
    _, slope, r2 = _line([math.log(n) for n in sizes], [math.log(value) for value in values])
    return slope, r2


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Intercept, slope and R²."""
    if len(set(x)) < 2:
        raise ValueError("a law takes two sizes at least")
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((each - mean_x) ** 2 for each in x)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    intercept = mean_y - slope * mean_x
    missed = sum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    variance = sum((b - mean_y) ** 2 for b in y)
    return intercept, slope, 1.0 - missed / variance if variance else 1.0


def laws(what: str, unit: str, points: Sequence[tuple[int, float | None]], powers: Sequence[int]) -> dict[str, Any]:
    """All that is to be said of a figure by size: its laws, which of them fits best, and its exponent.

    Of fewer than three sizes nothing is: any law fits two.
    """
    known = [(n, value) for n, value in points if value is not None and value > 0]
    sizes, values = [n for n, _ in known], [value for _, value in known]
    found = [fit(sizes, values, power) for power in powers] if len(set(sizes)) > 2 else []
    best = max(found, key=lambda law: law.r2, default=None)
    power, r2 = exponent(sizes, values) if found else (None, None)
    return {
        "what": what,
        "unit": unit,
        "points": [list(point) for point in known],
        "fits": [asdict(law) | {"model": law.model} for law in found],
        "best": None if best is None else best.model,
        "exponent": power,
        "exponent_r2": r2,
    }
