"""Several runs of one behaviour as one row: the run in the middle is shown, the verdict is the worst of all."""

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any, Final

Row = Mapping[str, Any]

_COMMON: Final = frozenset(
    {
        *("behaviour", "family", "does", "stopped_by", "shows", "place", "occasion"),
        *("traitors", "colluding", "clients", "rate", "size"),
    }
)
"""The same in all runs of a behaviour."""

_OF_ALL: Final = frozenset({"runs", "shown", "ratios", "costs"})
"""What only a row of several runs has."""


def combined(runs: Sequence[Row]) -> dict[str, Any]:
    """The row of `results`, of one run or more. `ratios`, `costs`: of `ratio` and `cost_s` in all runs.

    Its figures are those of the run with the median `ratio` (of two in the middle the lower), which is number `shown`
    of `runs`; but `ok`, `verdict`, `slowest_ms`, `bound_ms` and `longest_gap_ms` are the worst, `evidence` is that of
    all, and `acknowledged` their sum. `runs` have their own figures, but for the timeline of the one that is shown.
    """
    middle = median_low([_ratio(run) for run in runs])
    shown = next(i for i, run in enumerate(runs) if _ratio(run) == middle)
    slowest = max(runs, key=lambda run: float(run["slowest_ms"]))
    return {
        **runs[shown],
        "ratios": _spread([run["ratio"] for run in runs if run["ratio"] is not None]),
        "costs": _spread([run["cost_s"] for run in runs if run.get("cost_s") is not None]),
        "slowest_ms": slowest["slowest_ms"],
        "bound_ms": slowest["bound_ms"],
        "longest_gap_ms": max(run["longest_gap_ms"] for run in runs),
        "acknowledged": sum(run["acknowledged"] for run in runs),
        "verdict": {name: _worst(name, runs, shown) for name in runs[shown]["verdict"]},
        "ok": all(run["ok"] for run in runs),
        "evidence": _evidence(runs),
        "shown": shown,
        "runs": [
            {name: value for name, value in run.items() if name not in _left_out(i == shown)}
            for i, run in enumerate(runs)
        ],
    }


def runs_of(row: Row) -> list[dict[str, Any]]:
    """The runs that `combined` made this row of."""
    common = {name: value for name, value in row.items() if name not in _OF_ALL}
    return [{**common, **run} for run in row["runs"]]


def repeats(row: Row) -> int:
    """How many runs a row is of; one in results that know of no more."""
    return len(row.get("runs", [row]))


def _left_out(is_shown: bool) -> frozenset[str]:
    return _COMMON | {"timeline"} if is_shown else _COMMON


def _ratio(run: Row) -> float:
    return run["ratio"] or 0.0


def _spread(ratios: Sequence[float]) -> dict[str, float] | None:
    return {"median": median_low(ratios), "least": min(ratios), "greatest": max(ratios)} if ratios else None


def _worst(oracle: str, runs: Sequence[Row], shown: int) -> dict[str, Any]:
    """The first finding that something is wrong, or that of the run that is shown."""
    for number, run in enumerate(runs, 1):
        found = run["verdict"][oracle]
        if not found["ok"]:
            of = f"run {number} of {len(runs)}: " if len(runs) > 1 else ""
            return {**found, "text": of + found["text"]}
    return dict(runs[shown]["verdict"][oracle])


def _evidence(runs: Sequence[Row]) -> list[dict[str, Any]]:
    """One for each replica and rule, as it was found first."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for run in runs:
        for one in run["evidence"]:
            found.setdefault((one["replica"], one["rule"]), one)
    return [one for _, one in sorted(found.items(), key=lambda item: item[0])]
