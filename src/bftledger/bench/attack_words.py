"""Figures of attacks as words: rates, shares and times, short enough for a table."""

from collections.abc import Mapping
from typing import Any, Final

NO_VALUE: Final = "–"

Row = Mapping[str, Any]


def rate(part: Row) -> str:
    """Transactions per second of a part of a run."""
    return f"{part['tx_per_s']:,.0f}"


def share(ratio: float | None) -> str:
    """In percent."""
    return NO_VALUE if ratio is None else f"{ratio:.0%}"


def millis(value: float | None) -> str:
    """A time given in milliseconds."""
    if value is None:
        return NO_VALUE
    if value >= 1_000:
        return f"{value / 1_000:.{1 if value >= 10_000 else 2}f} s"
    return f"{value:.{0 if value >= 10 else 1}f} ms"


def cost(seconds: float | None) -> str:
    """Seconds of clean throughput that were lost; below zero it was quicker than before."""
    if seconds is None:
        return NO_VALUE
    shown = f"{abs(seconds):.2f}" if abs(seconds) < 9.995 else f"{abs(seconds):.1f}"
    return f"{'−' if seconds < 0 and float(shown) else ''}{shown} s"


def megabytes(value: float | None) -> str:
    """By how much something grew, or shrank."""
    if value is None:
        return NO_VALUE
    return f"{'−' if value < 0 else '+'}{abs(value):.{0 if abs(value) >= 10 else 1}f} MB"


def signed(at_s: float) -> str:
    """A moment, seconds before or after the beginning of the attack."""
    return f"{'−' if at_s < 0 else '+'}{abs(at_s):.2f} s"


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def spread(ratios: Row | None) -> str:
    """From the least to the greatest of some shares."""
    if ratios is None:
        return NO_VALUE
    least, greatest = share(ratios["least"]), share(ratios["greatest"])
    return least if least == greatest else f"{least[:-1]}–{greatest}"
