"""Several rounds of the same load as one row: the median of what they gave, and how far they were apart.

A machine that others use, or that is warm from the load before, gives another figure each time. Who measures all loads
in turns, several times, sees by the range what a difference between two figures is worth.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

_ALIKE: Final = ("batch_count", "clients", "rate", "size", "operations")
"""What the load is, and so the same in all rounds."""

_GREATEST: Final = ("max_ms", "view")

_KEPT: Final = ("tx_per_s", "p50_ms", "p99_ms")
"""What is kept of each round."""


Row = dict[str, Any]


def in_turns(rounds: int, groups: Sequence[Callable[[], Sequence[Row]]], say: Callable[[str], None]) -> list[Row]:
    """The rows of all loads of all groups, each `together` of so many rounds.

    A call of a group measures its loads and gives a row for each, always the same. In a round each group has its turn.
    """
    found: list[list[Sequence[Row]]] = [[] for _ in groups]
    for number in range(1, rounds + 1):
        if rounds > 1:
            say(f"round {number} of {rounds}:")
        for measure, of_group in zip(groups, found, strict=True):
            of_group.append(measure())
    return [together(of_load) for of_group in found for of_load in zip(*of_group, strict=True)]


def together(rounds: Sequence[Row]) -> Row:
    """One row of the rows (`Measured.row`) of one load's rounds, at least one, in order.

    Medians; of `max_ms` and `view` the greatest; `samples` and `failed` are those of all rounds, and `kept_up` says
    whether all were. And `tx_per_s_range`,
    the least and the greatest throughput, and `rounds`: throughput and percentiles of each.
    """
    rates = [row["tx_per_s"] for row in rounds]
    return {
        **{name: _of_all(name, [row[name] for row in rounds]) for name in rounds[0]},
        "tx_per_s_range": [min(rates), max(rates)],
        "rounds": [{name: row[name] for name in _KEPT} for row in rounds],
    }


def spread(row: Row, name: str) -> tuple[float, float]:
    """The least and the greatest of a field in the rounds of a row; its only value where there was one round."""
    values = [one[name] for one in row.get("rounds", [row])]
    return min(values), max(values)


def _of_all(name: str, values: Sequence[Any]) -> Any:
    if name in _ALIKE:
        return values[0]
    if name in _GREATEST:
        return max((value for value in values if value is not None), default=None)
    if name == "kept_up":
        return all(values)
    if name == "samples":
        return sum(values)
    if name == "failed":
        return dict(sum((Counter(one) for one in values), Counter()))
    if isinstance(values[0], list):  # by replica
        return [_median(of_one) for of_one in zip(*values, strict=True)]
    return _median(values)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 3) if known else None
