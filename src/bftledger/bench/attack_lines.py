"""What came of attacks as lines for a terminal, and whether it is good."""

from collections.abc import Mapping, Sequence
from typing import Any

from bftledger.bench.attack_cells import AIM, is_slow
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_words import NO_VALUE, counted, millis, share, spread
from bftledger.bench.results import Result

Row = Mapping[str, Any]

_HEAD = (
    f"{'behaviour':<24} {'clean':>7} {'attacked':>8} {'after':>7} {'kept':>5} {'range':>9} {'until':>5} "
    f"{'replaced':>8} {'gap':>8} {'slowest':>8} {'deviations':>10} {'per s':>7} {'views':>5}  {'convicted':<10} verdict"
)


def text(result: Result) -> str:
    """A line per behaviour, that of the honest runs first; then what is wrong, and what could not be measured."""
    controls: Sequence[Row] = result.get("controls", [])
    rows: Sequence[Row] = [*controls, *result["results"]]
    wrong = [
        f"  {row['behaviour']}: {name}: {found['text']}"
        for row in rows
        for name, found in row["verdict"].items()
        if not found["ok"]
    ]
    return "\n".join(
        [_HEAD, *map(_columns, rows), *map(_noise, controls), *wrong, *map(failure, result["not_measured"])]
    )


def is_good(result: Result) -> bool:
    """Whether all runs could be measured, and nothing is wrong."""
    return all(row["ok"] for row in [*result["results"], *result.get("controls", [])]) and not result["not_measured"]


def line(run: Row) -> str:
    """What came of one run, while others are still to come."""
    found = [f"kept {share(run['ratio'])}", f"longest gap {millis(run['longest_gap_ms'])}"]
    found.append(f"slowest answer {millis(run['slowest_ms'])}")
    if run["replaced_s"] is not None:
        until, then = share(run["ratio_until_replaced"]), share(run["ratio_replaced"])
        found.append(f"replaced after {run['replaced_s']:.2f} s, until then {until}, then {then}")
    if run["evidence"]:
        found.append(f"convicted of {', '.join(sorted({one['rule'] for one in run['evidence']}))}")
    return ", ".join([*found, *_marks(run)])


def failure(run: Row) -> str:
    """What could not be measured, and why."""
    return f"  {run['behaviour']}: not measured{', misplaced' * run.get('misplaced', False)}: {run['error']}"


def _columns(row: Row) -> str:
    rates = [row["phases"][name]["tx_per_s"] for name in ("clean", "attacked", "after")]
    guilty = ", ".join(str(i) for i in sorted({one["replica"] for one in row["evidence"]}))
    replaced = row["replaced_s"]
    deeds, per_s = sum(row["deviations"].values()), row.get("deviations_per_s")
    return (
        f"{row['behaviour']:<24} {rates[0]:>7,.0f} {rates[1]:>8,.0f} {rates[2]:>7,.0f} {share(row['ratio']):>5} "
        f"{spread(row.get('ratios')) if repeats(row) > 1 else NO_VALUE:>9} "
        f"{share(row.get('ratio_until_replaced')):>5} {NO_VALUE if replaced is None else f'{replaced:.2f} s':>8} "
        f"{millis(row['longest_gap_ms']):>8} {millis(row.get('slowest_ms')):>8} {deeds:>10} "
        f"{NO_VALUE if per_s is None else f'{per_s:,.1f}':>7} {row['view_changes']:>5}  {guilty or '-':<10} "
        f"{', '.join(_marks(row))}"
    )


def _marks(row: Row) -> list[str]:
    found = ["safe" if row["ok"] else "VIOLATED"]
    if not row["traitors"]:
        return [*found, "control"]
    found += [f"below {AIM:.0%}"] * is_slow(row)
    found += ["no occasion"] * (not row["deviations"])
    return [*found, *["few occasions"] * row.get("few_occasions", False)]


def _noise(control: Row) -> str:
    return f"  noise: {counted(repeats(control), 'honest run')} kept {spread(control['ratios'])}"
