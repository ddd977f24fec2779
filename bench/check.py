"""Whether something in the core has got slower: each path's cost against the recorded one, on any machine, in a minute.

A path is a small piece of work that is the same every time: the core's steps, frames decoded, signatures verified,
proposals executed, rows stored, messages encoded and signed, a simulated run, a batch in a whole group. It is measured
in processor time against work of the same kinds that is not ours, right before and after; only that ratio is compared.
What seems slower is measured again, and the least ratio counts. The exit status is 1 if a path is slower than recorded
by more than --tolerance, or by more than twice the range that it had when it was recorded, and if one is not measured
any more. A change that is meant to be slower, or is faster, is recorded: --record, and committed with it.
"""

import os
import sys
import tempfile
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import Shown, Table
from script import Script

from bftledger.bench import machine
from bftledger.bench import options as opt
from bftledger.bench.baseline import Baseline
from bftledger.bench.guard import Figure, Finding, compare, examine, measure, slower
from bftledger.bench.paths import RECORDED, Piece, pieces
from bftledger.bench.recorded import record
from bftledger.bench.results import Result, Setting, say
from bftledger.bench.yardsticks import yardsticks

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/check.py
  python bench/check.py --only step,decode --tolerance 5 --seconds 30
  python bench/check.py --record    what it costs now becomes what it may cost
  python bench/check.py --json check.json --png check.png"""

BASELINE = Path(__file__).with_name("baseline.json")


def percent(text: str) -> float:
    """A share in percent, above 0."""
    try:
        (found,) = opt.rates(text.removesuffix("%"))
    except (ArgumentTypeError, ValueError):
        raise ArgumentTypeError(f"{text!r} is not a percentage above 0") from None
    return found


parser = opt.parser(__doc__ or "", EXAMPLES)
add = parser.add_argument
add("--seconds", type=opt.seconds, default=20.0, help="of all paths together (default 20)")
add("--tolerance", type=percent, default=15.0, metavar="PERCENT", help="a path may be so much slower (default 15)")
add("--only", type=lambda text: text.split(","), metavar="PATH,…", help="these paths alone")
add("--record", action="store_true", help="write the baseline instead of comparing with it")
add("--rounds", type=opt.count, default=3, metavar="N", help="of --seconds each, when it is recorded (default 3)")
add("--baseline", type=Path, default=BASELINE, metavar="FILE", help="(default bench/baseline.json)")
opt.add_output(parser, wait_quiet_s=0.0)  # ratios need no quiet machine


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure_all(options: Namespace) -> Result:
    """Records, or compares with what was recorded."""
    if options.record and options.only:
        raise opt.Misused("a baseline has all paths: leave out --only")
    known = None if options.record else Baseline.read(options.baseline)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bftledger-check-", dir=_memory())))
        found = _chosen(pieces(record(RECORDED), directory), options.only)
        setting = Setting.take(
            "check", seed=RECORDED.seed, replicas=RECORDED.replicas, directory=directory, config=_config(options)
        )
        say(setting.line)
        here = _where(setting)
        if known is None:
            return _record(options, setting, found, directory, here)
        return _compare(options, setting, found, directory, known)


def _record(
    options: Namespace, setting: Setting, found: list[Piece], directory: Path, here: Mapping[str, str]
) -> Result:
    rounds = []
    for number in range(1, options.rounds + 1):
        say(f"round {number} of {options.rounds}: {options.seconds:g} s …")
        rounds.append(measure(found, yardsticks(directory), seconds=options.seconds))
    baseline = Baseline.of(
        [{name: figure.ratio for name, figure in one.items()} for one in rounds],
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        commit=machine.commit(),
        where=here,
    )
    baseline.write(options.baseline)
    say(f"written to {options.baseline}")
    findings = compare(
        baseline.paths, {name: one.ratio for name, one in baseline.paths.items()}, tolerance=_share(options)
    )
    result = _result(setting, found, baseline, findings, rounds[-1])
    return result | {"results": [row | {"verdict": "recorded"} for row in result["results"]]}


def _compare(options: Namespace, setting: Setting, found: list[Piece], directory: Path, known: Baseline) -> Result:
    recorded = {name: one for name, one in known.paths.items() if not options.only or name in options.only}
    figures, findings = examine(
        recorded, found, yardsticks(directory), seconds=options.seconds, tolerance=_share(options), say=say
    )
    return _result(setting, found, known, findings, figures)


def _share(options: Namespace) -> float:
    return float(options.tolerance) / 100


def _result(
    setting: Setting, found: list[Piece], known: Baseline, findings: list[Finding], figures: Mapping[str, Figure]
) -> Result:
    what = {piece.name: piece for piece in found}
    rows = []
    for finding in findings:
        name = finding.name
        more: dict[str, Any] = {}
        if name in known.paths:
            more = {"range": [round(known.paths[name].least, 4), round(known.paths[name].greatest, 4)]}
        if name in figures:
            figure = figures[name]
            more |= {
                "what": what[name].what,
                "against": list(what[name].like),
                "turns": figure.turns,
                "least_us": round(figure.least_us, 1),
            }
        rows.append(finding.row() | more)
    about = {"when": known.when, "commit": known.commit, "rounds": known.rounds, "where": dict(known.where)}
    return setting.result(rows, baseline=about, differs=known.differs(_where(setting)), slower=slower(findings))


def _where(setting: Setting) -> dict[str, str]:
    """What the ratios depend on besides the code."""
    versions = machine.versions()
    return {
        "python": versions["python"],
        "cpu": setting.machine["cpu"],
        "cores": str(setting.machine["cores"]),
        "PyNaCl": versions["PyNaCl"],
        "cbor2": versions["cbor2"],
        "sqlite": versions["sqlite"],
        "stores on": setting.machine["filesystem"],
    }


def _config(options: Namespace) -> dict[str, Any]:
    return {
        "replicas": RECORDED.replicas,
        "transactions": f"recorded: {RECORDED.batch} in a block, {RECORDED.size} bytes each",
        "seconds": options.seconds,
        "tolerance": options.tolerance,
        "time": "processor time, as a ratio to that of the yardsticks right before and after; the median of all turns",
    }


def _chosen(found: list[Piece], only: list[str] | None) -> list[Piece]:
    names = [piece.name for piece in found]
    for name in only or []:
        if name not in names:
            raise opt.Misused(f"there is no path {name!r}: use {', '.join(names)}")
    return [piece for piece in found if only is None or piece.name in only]


def _memory() -> Path | None:
    """Where files are in memory, if there is such a place: processor time is measured, not a disk's."""
    found = Path("/dev/shm")
    return found if os.access(found, os.W_OK) else None


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def text(result: Result) -> str:
    """One line per path, and what has got slower."""
    lines = [f"{'path':10} {'recorded':>9} {'its range':>15} {'now':>9} {'change':>8} {'allowed':>8}  verdict"]
    for row in result["results"]:
        change = "-" if row["change"] is None else f"{row['change']:+.1%}"
        lines.append(
            f"{row['path']:10} {_ratio(row['recorded']):>9} {_range(row):>15} {_ratio(row['ratio']):>9} {change:>8} "
            f"{row['allowed']:>8.0%}  {row['verdict']}"
        )
    if result["differs"]:
        lines.append(f"\n{result['differs']}")
    names = result["slower"]
    lines.append(f"\nslower than recorded: {', '.join(names)}" if names else "\nnothing is slower than recorded")
    return "\n".join(lines)


def show(result: Result) -> Shown:
    """The page without its pictures."""
    names = result["slower"]
    known = result["baseline"]
    story = f"Recorded {known['when']} with Python {known['where']['python']} in {known['rounds']} rounds. " + (
        f"Slower than then: {', '.join(names)}." if names else "Nothing is slower than then."
    )
    columns = {
        "path": "path",
        "what": "what it does",
        "recorded": "ratio recorded",
        "ratio": "now",
        "change": "change",
        "allowed": "allowed",
        "turns": "turns",
        "least_us": "least µs",
        "verdict": "verdict",
    }
    cells = [[row.get(name) for name in columns] for row in result["results"]]
    caption = "ratios of processor time to that of work of the same kind that is not ours"
    return Shown(
        "What the core's paths cost, against what they did", story, [Table([*columns.values()], cells, caption)]
    )


def draw(result: Result) -> list["Picture"]:
    """The change of each path, with what is allowed."""
    import pictures as p  # noqa: PLC0415

    rows = [row for row in result["results"] if row["change"] is not None]
    figure, (axes,) = p.canvas(height=0.9 + 0.32 * len(rows))
    for i, row in enumerate(rows):
        allowed, change = 100 * row["allowed"], 100 * row["change"]
        least = 100 * (1 / (1 + row["allowed"]) - 1)
        axes.barh(i, allowed - least, left=least, height=0.8, color=p.GRID, label="allowed" if i == 0 else None)
        axes.plot(change, i, "o", color=p.SERIES[0] if row["ok"] else p.BAD)
        axes.annotate(
            f"{change:+.1f}%", (max(change, allowed), i), xytext=(6, 0), textcoords="offset points", va="center",
            fontsize=8, color=p.INK if row["ok"] else p.BAD,
        )  # fmt: skip
    axes.axvline(0, color=p.QUIET, linewidth=1)
    axes.set_yticks(range(len(rows)), [row["path"] for row in rows])
    axes.use_sticky_edges = False
    axes.margins(x=0.04)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    p.label(axes, title="Cost against the recorded one", x="% of the recorded ratio; shaded: what is allowed")
    return [p.finish(figure, "By how much each path's cost differs from the recorded one; above 0 is slower.")]


def _range(row: Mapping[str, Any]) -> str:
    return " - ".join(f"{value:.3f}" for value in row["range"]) if "range" in row else "-"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(
        Script(
            parser, measure_all, text, show, draw, is_good=lambda result: all(row["ok"] for row in result["results"])
        ).main()
    )
