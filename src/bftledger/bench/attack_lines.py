"""What came of attacks as lines for a terminal, and whether it is good."""

from collections.abc import Mapping, Sequence
from typing import Any

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cost import AIM, control_of, cost, dearest_first, is_down, is_slow
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_sweep import limit
from bftledger.bench.attack_words import NO_VALUE, counted, millis, share, spread
from bftledger.bench.attack_work import effort
from bftledger.bench.results import Result

Row = Mapping[str, Any]

_HEAD = (
    f"{'behaviour':<24} {'cost':>7} {'until':>5} {'replaced':>8} {'mean':>5} {'range':>9} {'honest':>9} "
    f"{'clean':>7} {'attacked':>8} {'after':>7} {'gap':>8} {'slowest':>8} {'deviations':>10} {'per s':>8} {'views':>5} "
    f"{'cpu':>7} {'traitor':>7} {'memory':>8}  {'convicted':<10} verdict"
)

_ABOUT = """\
cost: seconds of clean throughput that were lost until an honest primary took over (replaced), or in the whole attack
      where none did; until: what was kept up to then
mean: what was kept in the whole attack, which depends on how long that is; honest: the same where nobody lies
cpu:  of a core, by an honest replica while attacked; memory: by how much that of an honest one grew"""


def text(result: Result) -> str:
    """A line per behaviour, the dearest first after those of the honest runs, then the sweeps by strength; then what
    is wrong, and what could not be measured."""
    controls: Sequence[Row] = result.get("controls", [])
    curves: Sequence[Row] = result.get("sweep", [])
    rows: Sequence[Row] = [*controls, *dearest_first(result["results"])]
    swept = [point for curve in curves for point in curve["points"]]
    wrong = [
        f"  {row['behaviour']}: {name}: {found['text']}"
        for row in [*rows, *swept]
        for name, found in row["verdict"].items()
        if not found["ok"]
    ]
    lines = [_HEAD, *(_columns(row, controls) for row in rows)]
    for curve in curves:
        lines += [f"{curve['behaviour']}, by {curve['unit']}{_limit(curve, result['config'])}:"]
        lines += [_columns(point, controls) for point in curve["points"]]
    return "\n".join(
        [*lines, _ABOUT, *map(_noise, controls), *wrong, *map(failure, result["not_measured"])],
    )


def is_good(result: Result) -> bool:
    """Whether all runs could be measured, and nothing is wrong."""
    swept = [point for curve in result.get("sweep", []) for point in curve["points"]]
    return (
        all(row["ok"] for row in [*result["results"], *result.get("controls", []), *swept])
        and not result["not_measured"]
    )


def line(run: Row) -> str:
    """What came of one run, while others are still to come."""
    lost = cost(run)
    found = [f"cost {words.cost(lost.seconds if lost else None)}", f"kept {share(run['ratio'])} in the mean"]
    found += [f"longest gap {millis(run['longest_gap_ms'])}"]
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


def _columns(row: Row, controls: Sequence[Row]) -> str:
    rates = [row["phases"][name]["tx_per_s"] for name in ("clean", "attacked", "after")]
    guilty = ", ".join(str(i) for i in sorted({one["replica"] for one in row["evidence"]}))
    replaced = row["replaced_s"]
    deeds, per_s = sum(row["deviations"].values()), row.get("deviations_per_s")
    lost, control = cost(row), control_of(row, controls)
    honest, liars = effort(row, of_traitors=False), effort(row, of_traitors=True)
    return (
        f"{row['behaviour']:<24} {words.cost(lost.seconds if lost else None):>7} "
        f"{share(lost.kept if lost and lost.is_over else None):>5} "
        f"{NO_VALUE if replaced is None else f'{replaced:.2f} s':>8} {share(row['ratio']):>5} "
        f"{spread(row.get('ratios')) if repeats(row) > 1 else NO_VALUE:>9} "
        f"{spread(control['ratios'] if control else None):>9} "
        f"{rates[0]:>7,.0f} {rates[1]:>8,.0f} {rates[2]:>7,.0f} "
        f"{millis(row['longest_gap_ms']):>8} {millis(row.get('slowest_ms')):>8} {deeds:>10} "
        f"{NO_VALUE if per_s is None else f'{per_s:,.1f}':>8} {row['view_changes']:>5} "
        f"{share(honest.cpu_attacked if honest else None):>7} {share(liars.cpu_attacked if liars else None):>7} "
        f"{words.megabytes(honest.memory_mb if honest else None):>8}  {guilty or '-':<10} {', '.join(_marks(row))}"
    )


def _marks(row: Row) -> list[str]:
    found = ["safe" if row["ok"] else "VIOLATED"]
    found += ["not kept up with when clean"] * (not row.get("kept_up", True))
    if not row["traitors"]:
        return [*found, "control"]
    found += [f"below {AIM:.0%} until replaced"] * (is_down(row) and row["replaced_s"] is not None)
    found += [f"below {AIM:.0%}"] * is_slow(row)
    found += ["no occasion"] * (not row["deviations"])
    return [*found, *["few occasions"] * row.get("few_occasions", False)]


def _noise(control: Row) -> str:
    occasion = control["behaviour"].removeprefix("honest")
    return f"  noise{occasion}: {counted(repeats(control), 'honest run')} kept {spread(control['ratios'])}"


def _limit(curve: Row, config: Row) -> str:
    found = limit(curve, config["protocol"])
    if found is None:
        return ""
    return f"; the rule replaces it from {found.least:.0f} to {found.most:.0f} ms on; here {found.said}"
