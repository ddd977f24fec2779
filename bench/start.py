"""How long it takes until a new group works: its keys, its processes, its first commit, and `up` as it is typed."""

import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from page import Shown, Table
from script import Script

from bftledger.base.errors import OperatorError
from bftledger.bench import options as opt
from bftledger.bench.results import Result, Setting, say
from bftledger.bench.start import STEPS, Plan, start_once, summary
from bftledger.home.template import Template
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/start.py
  python bench/start.py --rounds 20 --json start.json --html start.html
  python bench/start.py --replicas 7 --directory /dev/shm    without waiting for a disk
  python bench/start.py --from start.json --png start.png"""

parser = opt.parser(__doc__ or "", EXAMPLES)
add = parser.add_argument
add("--rounds", type=opt.count, default=6, metavar="N", help="new groups, one after the other (default 6)")
add("--replicas", type=opt.count, default=Template().replicas, metavar="N", help="size of a group (default 4)")
add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of the first transaction (default 200)")
add("--directory", type=Path, metavar="DIR", help="where the groups are made (default: the temporary directory)")
add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until the client gives up (default 30)")
add("--seed", type=int, default=1, help="of the payloads and the clients' keys (default 1)")
opt.add_output(parser)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """All rounds; one in which a group does not start is noted, and the next begins."""
    directory = Path(gettempdir()) if options.directory is None else options.directory
    if not directory.is_dir():
        raise OperatorError(f"{directory}: is no directory")
    setting = Setting.take(
        "start", seed=options.seed, replicas=options.replicas, directory=directory, config=_config(options)
    )
    say(setting.line)
    plan = Plan(
        replicas=options.replicas,
        directory=directory,
        size=options.size,
        seed=options.seed,
        timeout_s=options.timeout,
    )
    rounds = []
    for number in range(1, options.rounds + 1):
        say(f"[round {number}/{options.rounds}] two new groups of {options.replicas} …")
        rounds.append(start_once(plan, number))
        say(f"  {_line(rounds[-1])}")
    return setting.result(summary(rounds), rounds=rounds, ok=all(row["error"] is None for row in rounds))


def _config(options: Namespace) -> dict[str, Any]:
    return {
        "replicas": options.replicas,
        "rounds": options.rounds,
        "size": options.size,
        "timeout_s": options.timeout,
        "app": Template().app,
        "durable": "SQLite, WAL, synchronous=FULL",
        "answered_is": "a client connects when all listen, seen within 5 ms, and each answers that it is in a view",
        "up_is": "as typed, with the interpreter's start; its client is there before the replicas are, and tries again",
        "throughput": "none: a round has one transaction, so tx_per_s is null",
        "protocol": asdict(Settings()),
    }


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line(row: Mapping[str, Any]) -> str:
    if row["error"] is not None:
        return f"failed: {row['error']}"
    return (
        f"all answer after {_ms(row['answered_ms'])} ms, first commit after {_ms(row['first_commit_ms'])} ms; "
        f"init {_ms(row['init_ms'])} ms, up --detach {_ms(row['up_ms'])} ms"
    )


SHOWN = {"p50_ms": "median ms", "min_ms": "least ms", "max_ms": "greatest ms"}
"""A handful of starts carries no 99th percentile."""


def text(result: Result) -> str:
    """A line for each step over all rounds, and one for each round that failed."""
    lines = [f"{'':<12} {'median':>8} {'min ms':>8} {'max ms':>8} {'times':>6}"]
    for row in result["results"]:
        figures = " ".join(f"{_ms(row[name]):>8}" for name in SHOWN)
        lines.append(f"{row['step']:<12} {figures} {row['samples']:>6}  {row['what']}")
    failed = [row for row in result["rounds"] if row["error"] is not None]
    return "\n".join([*lines, *(f"round {row['round']} failed: {row['error']}" for row in failed)])


def show(result: Result) -> Shown:
    """The page without its pictures."""
    found = {row["step"]: row for row in result["results"]}
    first, rounds, replicas = found["first_commit"], len(result["rounds"]), result["config"]["replicas"]
    failed = sum(row["error"] is not None for row in result["rounds"])
    init, up = (_ms(found[name]["p50_ms"]) for name in ("init", "up"))
    story = (
        f"A client of a new group of {replicas} has verified its first receipt {_ms(first['p50_ms'])} ms after the "
        f"processes were started, in the median of {first['samples']} starts, and after {_ms(first['max_ms'])} ms at "
        f"most. bftledger init takes {init} ms, and bftledger up --detach {up} ms."
        + (f" {failed} of {rounds} rounds failed." if failed else "")
    )
    heads = {"what": "step", **SHOWN, "samples": "starts"}
    columns = [*(f"{name}_ms" for name in STEPS), "error"]
    return Shown(
        f"{_ms(first['p50_ms'])} ms from starting {replicas} processes to the first commit",
        story,
        [
            Table(
                [*heads.values()],
                [[row[name] for name in heads] for row in result["results"]],
                "Each step, over all rounds. So few starts have no percentiles but the median.",
            ),
            Table(
                ["round", *columns],
                [[row["round"], *(row[name] for name in columns)] for row in result["rounds"]],
                "Each round.",
            ),
        ],
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def draw(result: Result) -> list["Picture"]:
    """Every start as a dot, by what was waited for."""
    from pictures import BAD, SERIES, canvas, finish, label, plain_numbers  # noqa: PLC0415

    figure, (axes,) = canvas(height=2.6)
    for place, row in enumerate(result["results"]):
        took = [one[f"{row['step']}_ms"] for one in result["rounds"] if one[f"{row['step']}_ms"] is not None]
        axes.plot(took, [place] * len(took), "o", color=SERIES[0], alpha=0.5, markersize=5, markeredgewidth=0)
        if row["p50_ms"] is not None:
            axes.plot([row["p50_ms"]] * 2, [place - 0.3, place + 0.3], color=BAD, linewidth=2)
            axes.annotate(
                _ms(row["p50_ms"]), (row["p50_ms"], place - 0.3), xytext=(0, 2), textcoords="offset points",
                ha="center", va="bottom", color=BAD, fontsize=8,
            )  # fmt: skip
    names = {
        "first_commit": "start to first commit",
        "answered": "start until all answer",
        "init": "bftledger init",
        "up": "bftledger up --detach",
    }
    axes.set_yticks(range(len(result["results"])), [names[row["step"]] for row in result["results"]])
    axes.set_ylim(len(result["results"]) - 0.5, -0.75)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    label(axes, x="ms")
    plain_numbers(axes, "x")
    return [finish(figure, f"Each of {len(result['rounds'])} starts is a dot; the strokes are the medians.")]


SCRIPT = Script(parser, measure, text, show, draw, is_good=lambda result: bool(result["ok"]))

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
