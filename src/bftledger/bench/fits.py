"""Lines through measured points, and how far values are apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """y = `at_zero` + `slope` · x."""

    at_zero: float
    slope: float

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> "Line | None":
        """The line with the least squares of the distances in y; None unless there are two different x."""
        if len({x for x, _ in points}) < 2:
            return None
        middle_x, middle_y = mean(x for x, _ in points), mean(y for _, y in points)
        spread = sum((x - middle_x) ** 2 for x, _ in points)
        slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
        return cls(middle_y - slope * middle_x, slope)

    def at(self, x: float) -> float:
        """Its y there."""
        return self.at_zero + self.slope * x


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """For a result: `min`, `median` and `max` of those that are known, each None if there is none, and how `many`."""
    known = [value for value in values if value is not None]
    if not known:
        return {"min": None, "median": None, "max": None, "many": 0}
    return {
        "min": round(min(known), 3),
        "median": round(median(known), 3),
        "max": round(max(known), 3),
        "many": len(known),
    }
