"""How fast the simulator is: clean runs that commit 100 transactions, and what a campaign draws.

Processor time of this one process; the best of several repetitions, because a shared machine only ever adds to it.
"""

import cProfile
import pstats
import sys
import tempfile
import time
from argparse import Namespace
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from page import Shown, Table
from script import Script

from bftledger.bench import options as opt
from bftledger.bench.measured import percentile, rounded
from bftledger.bench.results import Result, Setting, say
from bftledger.ledger.outcome import State
from bftledger.sim.draw import draw
from bftledger.sim.plan import Plan, Weather, Work
from bftledger.sim.run import Report, run
from bftledger.sim.world import World

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/simulator.py
  python bench/simulator.py --seeds 300 --json result.json --html result.html
  python bench/simulator.py --profile        where the time goes, by file"""

TRANSACTIONS = 100
CLIENTS = 4
AT_MOST_US = 120_000_000
IN_LEDGER = (State.COMMITTED, State.REJECTED)


@dataclass(frozen=True)
class Row:
    """One kind of run. Times in milliseconds of processor time; `world_ms`: without the oracles.

    `at_once`: transactions that are under way together, None if that differs. `tx_per_s`: transactions committed in a
    second of processor time, all oracles watching. `p50_ms`, `p99_ms`, `samples`: of single runs, all repetitions.
    """

    what: str
    at_once: int | None
    run_ms: float
    world_ms: float
    tx_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    samples: int
    events: int
    events_per_s: int
    blocks: float


def clean(burst: int) -> Plan:
    """Four replicas, four clients, no faults; each client submits `burst` transactions at once."""
    work = Work(clients=CLIENTS, operations=TRANSACTIONS // CLIENTS, reads=0.0, keys=5, think_ms=0, burst=burst)
    return Plan(seed=1, work=work, weather=Weather(delay_us=500))


def timed(plans: list[Plan], repeat: int) -> tuple[list[list[float]], list[Report]]:
    """By repetition the processor time of each run, in seconds, and what came of them."""
    times: list[list[float]] = []
    reports: list[Report] = []
    for _ in range(repeat):
        reports, each = [], []
        for plan in plans:
            begun = time.process_time()
            reports.append(run(plan))
            each.append(time.process_time() - begun)
        times.append(each)
    return times, reports


def committed(reports: list[Report]) -> int:
    """Transactions of which clients know that they are in the ledger."""
    outcomes = [call.outcome for report in reports for call in report.calls]
    return sum(outcome is not None and outcome.state in IN_LEDGER for outcome in outcomes)


def is_over(world: World) -> bool:
    """Whether all clients have their answers."""
    return all(client.is_over for client in world.clients)


def bare(plans: list[Plan], repeat: int) -> float:
    """The same without oracles, until all clients have their answers and the faults are over."""
    times = []
    for _ in range(repeat):
        begun = time.process_time()
        for plan in plans:
            world = World(plan)
            world.run(1_000 * plan.heal_at)
            world.run(AT_MOST_US, partial(is_over, world))
        times.append(time.process_time() - begun)
    return min(times)


def row(what: str, plans: list[Plan], repeat: int, *, at_once: int | None = None) -> Row:
    """One row of the table."""
    times, reports = timed(plans, repeat)
    assert not any(report.violations for report in reports), "what is measured is sound"
    total_s = min(map(sum, times))
    single_ms = sorted(1_000 * one for each in times for one in each)
    events = sum(report.counts["events"] for report in reports)
    return Row(
        what=what,
        at_once=at_once,
        run_ms=round(1_000 * total_s / len(plans), 2),
        world_ms=round(1_000 * bare(plans, repeat) / len(plans), 2),
        tx_per_s=round(committed(reports) / total_s, 1),
        p50_ms=rounded(percentile(single_ms, 50)),
        p99_ms=rounded(percentile(single_ms, 99)),
        samples=len(single_ms),
        events=events // len(plans),
        events_per_s=round(events / total_s),
        blocks=round(sum(report.height for report in reports) / len(plans), 1),
    )


def profile(plans: list[Plan]) -> list[tuple[str, float]]:
    """The share of each file in the time of these runs, the largest first."""
    profiler = cProfile.Profile(time.process_time)
    for plan in plans:
        profiler.runcall(run, plan)
    by_file: Counter[str] = Counter()
    for (path, _, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        parts = Path(path).parts
        is_ours = "bftledger" in parts
        by_file["/".join(parts[-2:]) if is_ours else f"built in: {name}" if path == "~" else Path(path).name] += own
    total = sum(by_file.values())
    return [(file, own / total) for file, own in by_file.most_common(25)]


parser = opt.parser(__doc__ or "", EXAMPLES)
parser.add_argument("--seeds", type=opt.count, default=100, help="so many seeds of a campaign (default 100)")
parser.add_argument("--repeat", type=opt.count, default=5, help="the best of so many repetitions counts (default 5)")
parser.add_argument("--profile", action="store_true", help="show the share of each file, too")
opt.add_output(parser)


def measure(options: Namespace) -> Result:
    """Clean runs with 4, 20 and 100 transactions at once, and the seeds of a campaign."""
    config = {
        "replicas": 4,
        "clients": f"{CLIENTS}, without faults; the campaign's runs as the seed draws them",
        "repeat": options.repeat,
        "time": "processor time of one process, the best of the repetitions",
    }
    setting = Setting.take("simulator", seed=0, replicas=4, directory=Path(tempfile.gettempdir()), config=config)
    say(setting.line)
    seeds = [draw(seed) for seed in range(options.seeds)]
    rows = []
    for burst in (1, 5, 25):
        at_once = CLIENTS * burst
        what = f"{TRANSACTIONS} transactions, {at_once} at once"
        say(f"{what} …")
        rows.append(row(what, [clean(burst)], options.repeat, at_once=at_once))
    say(f"{options.seeds} seeds …")
    rows.append(row(f"seeds 0 to {options.seeds - 1}, the mean", seeds, min(options.repeat, 2)))
    more = {"profile": profile([clean(5)] * 10 + seeds)} if options.profile else {}
    return setting.result([asdict(one) for one in rows], **more)


def text(result: Result) -> str:
    """One line per kind of run, and the shares of the files."""
    head = (
        f"{'':34} {'run ms':>8} {'world ms':>9} {'tx/s':>7} {'p50 ms':>7} {'p99 ms':>7} {'events':>7} {'events/s':>9}"
    )
    lines = [f"{head} {'blocks':>7}"]
    for one in result["results"]:
        times = f"{one['run_ms']:8.1f} {one['world_ms']:9.1f} {one['tx_per_s']:7,.0f}"
        single = f"{one['p50_ms']:7.1f} {one['p99_ms']:7.1f}"
        counts = f"{one['events']:7,} {one['events_per_s']:9,} {one['blocks']:7.1f}"
        lines.append(f"{one['what']:34} {times} {single} {counts}")
    if "profile" in result:
        lines += ["", *(f"{share:6.1%}  {file}" for file, share in result["profile"])]
    return "\n".join(lines)


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows = result["results"]
    campaign, clean_runs = rows[-1], rows[:-1]
    story = (
        f"A run that a seed draws takes {campaign['run_ms']:.0f} ms of one core with all oracles, so an hour of one "
        f"core sees {3_600_000 / campaign['run_ms']:,.0f} of them. The oracles are "
        f"{1 - campaign['world_ms'] / campaign['run_ms']:.0%} of it."
    )
    columns = {
        "what": "",
        "run_ms": "run ms",
        "world_ms": "without oracles ms",
        "tx_per_s": "tx/s",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "events": "events",
        "events_per_s": "events/s",
        "blocks": "blocks",
    }
    caption = "processor time: the best repetition, and percentiles of single runs"
    tables = [Table([*columns.values()], [[one[name] for name in columns] for one in rows], caption)]
    if "profile" in result:
        tables.append(
            Table(["file", "share of the time"], [[file, f"{share:.1%}"] for file, share in result["profile"]])
        )
    return Shown(f"The simulator: {clean_runs[0]['events_per_s']:,} events per second of one core", story, tables)


def draw_pictures(result: Result) -> list["Picture"]:
    """What a run costs with and without the oracles."""
    import pictures as p  # noqa: PLC0415

    rows = result["results"]
    figure, (axes,) = p.canvas(height=2.4)
    names = [one["what"] for one in rows]
    axes.barh(names, [one["run_ms"] for one in rows], color=p.SERIES[1], height=0.6, label="the oracles")
    axes.barh(names, [one["world_ms"] for one in rows], color=p.SERIES[0], height=0.6, label="the run itself")
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    p.label(axes, x="ms of processor time")
    p.legend(axes)
    return [p.finish(figure, "Processor time of a run, and what of it the oracles take.")]


if __name__ == "__main__":
    sys.exit(Script(parser, measure, text, show, draw_pictures).main())
