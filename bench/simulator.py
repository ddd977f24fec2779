"""How fast the simulator is: clean runs that commit 100 transactions, and what a campaign draws.

Processor time of this one process; the best of several repetitions, because a shared machine only ever adds to it.
"""

import argparse
import cProfile
import json
import pstats
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bftledger.sim.draw import draw
from bftledger.sim.plan import Plan, Weather, Work
from bftledger.sim.run import Report, run
from bftledger.sim.world import World

EXAMPLES = """\
  python bench/simulator.py
  python bench/simulator.py --seeds 300 --json
  python bench/simulator.py --profile        where the time goes, by file"""

TRANSACTIONS = 100
CLIENTS = 4
AT_MOST_US = 120_000_000


@dataclass(frozen=True)
class Row:
    """One kind of run. Times in milliseconds of processor time; `world_ms`: without the oracles."""

    what: str
    run_ms: float
    world_ms: float
    events: int
    events_per_s: int
    blocks: float


def clean(burst: int) -> Plan:
    """Four replicas, four clients, no faults; each client submits `burst` transactions at once."""
    work = Work(clients=CLIENTS, operations=TRANSACTIONS // CLIENTS, reads=0.0, keys=5, think_ms=0, burst=burst)
    return Plan(seed=1, work=work, weather=Weather(delay_us=500))


def best(plans: list[Plan], repeat: int) -> tuple[float, list[Report]]:
    """The least processor time that all of them took, in seconds, and what came of them."""
    times = []
    reports: list[Report] = []
    for _ in range(repeat):
        begun = time.process_time()
        reports = [run(plan) for plan in plans]
        times.append(time.process_time() - begun)
    return min(times), reports


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


def measure(what: str, plans: list[Plan], repeat: int) -> Row:
    """One row of the table."""
    total_s, reports = best(plans, repeat)
    assert not any(report.violations for report in reports), "what is measured is sound"
    events = sum(report.counts["events"] for report in reports)
    return Row(
        what=what,
        run_ms=round(1_000 * total_s / len(plans), 2),
        world_ms=round(1_000 * bare(plans, repeat) / len(plans), 2),
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


def main() -> int:
    """Returns the exit status."""
    options = argparse.ArgumentParser(
        description=__doc__, epilog=f"examples:\n{EXAMPLES}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, default=100, help="so many seeds of a campaign (default 100)")
    options.add_argument("--repeat", type=int, default=5, help="the best of so many repetitions counts (default 5)")
    options.add_argument("--profile", action="store_true", help="show the share of each file instead")
    options.add_argument("--json", action="store_true", help="one JSON object on standard output")
    chosen = options.parse_args()
    seeds = [draw(seed) for seed in range(chosen.seeds)]
    if chosen.profile:
        shares = profile([clean(5)] * 10 + seeds)
        print("\n".join(f"{share:6.1%}  {file}" for file, share in shares))
        return 0
    rows = [
        *(
            measure(f"{TRANSACTIONS} transactions, {CLIENTS * n} at once", [clean(n)], chosen.repeat)
            for n in (1, 5, 25)
        ),
        measure(f"seeds 0 to {chosen.seeds - 1}, the mean", seeds, min(chosen.repeat, 2)),
    ]
    if chosen.json:
        print(json.dumps({"results": [asdict(row) for row in rows]}))
        return 0
    print(f"{'':34} {'run ms':>8} {'world ms':>9} {'events':>7} {'events/s':>9} {'blocks':>7}")
    for row in rows:
        times = f"{row.run_ms:8.1f} {row.world_ms:9.1f}"
        print(f"{row.what:34} {times} {row.events:7,} {row.events_per_s:9,} {row.blocks:7.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
