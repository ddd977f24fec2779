"""What of a row of `results` is fit to be shown: percentiles that its samples carry, and what went otherwise."""

from collections.abc import Mapping
from typing import Any, Final

BEYOND: Final = 10
"""So many samples have to lie beyond a percentile, or it is the mood of a few."""

Row = Mapping[str, Any]


def carries(samples: int, percent: float) -> bool:
    """Whether so many samples say anything of that percentile; the 100th is the maximum, which any has."""
    return percent == 100 or round(samples * (100 - percent) / 100, 6) >= BEYOND


def percentile_of(row: Row, percent: int) -> float | None:
    """The row's `p50_ms`, `p99_ms`, …; None if its samples do not carry it.

    Of several rounds a row has the median of their percentiles, so each round has to carry its own.
    """
    value: float | None = row[f"p{percent}_ms"]
    rounds = max(1, len(row.get("rounds", ())))
    return value if carries(row["samples"] // rounds, percent) else None


def not_committed(row: Row) -> str:
    """How many transactions ended how, other than committed; empty if none did."""
    return ", ".join(f"{count} {how}" for how, count in row["failed"].items())


LEFT_OUT: Final = f"Percentiles with fewer than {BEYOND} samples beyond them are left out."
"""For whoever misses one."""
