"""Where each microsecond of a transaction goes: a replica's processor time, stage by stage, without the network's.

A group of real replicas in one process, on real stores, is given batch after batch. What a transaction costs, and what
of it each stage takes, are of the same run. It is a favourable part: no sockets, no CURVE, no kernel, no event loop,
whole batches. So what a transaction costs a real replica is said beside it.
"""

import pstats
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from page import Shown, Table
from script import Script

from bftledger.bench import options as opt
from bftledger.bench.core import WARM_UP_BATCHES, Work, submissions
from bftledger.bench.costs import STRETCH, Cost, measure, profile
from bftledger.bench.measured import percentile, rounded
from bftledger.bench.profiled import profile_rows
from bftledger.bench.real_replica import CLIENTS, SECONDS, WITHOUT, from_result, from_run, largest, said
from bftledger.bench.results import Result, Setting, say
from bftledger.bench.stages import CLIENT_CHECKS, REPLICA_CHECKS
from bftledger.engine import intake
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/breakdown.py
  python bench/breakdown.py --batch 1,16,128 --transactions 5000 --json result.json --html result.html
  python bench/breakdown.py --batch 128 --repeat 1 --profile     the functions of a backup, too
  python bench/breakdown.py --real throughput.json    beside what its replicas used
  python bench/breakdown.py --from result.json --png result.png  shows it again"""

NONE: Final = "none"

CHECKS: Final = "signatures checked"
"""In `stages_us_per_tx`, all of them together."""

parser = opt.parser(__doc__ or "", EXAMPLES)
parser.add_argument(
    "--batch", type=opt.counts, default="1,16,128", metavar="N,…", help="so many at once (default 1,16,128)"
)
parser.add_argument(
    "--transactions",
    type=opt.count,
    default=2_000,
    metavar="N",
    help="so many without the stopwatch and as many with it, up to whole batches (default 2000)",
)
parser.add_argument("--size", type=opt.size, default=200, metavar="BYTES", help="of an operation (default 200)")
parser.add_argument("--replicas", type=opt.count, default=4, metavar="N", help="size of the group (default 4)")
parser.add_argument(
    "--repeat", type=opt.count, default=3, metavar="N", help="the least of so many runs counts (default 3)"
)
parser.add_argument("--seed", type=int, default=1, help="of keys and payloads (default 1)")
parser.add_argument("--profile", action="store_true", help="show the functions of a backup, too, under cProfile")
parser.add_argument(
    "--real",
    metavar="FILE",
    help="a result of throughput.py, which says what a real replica uses; none: leave that out (default: a run of "
    f"{SECONDS:g} s with {CLIENTS} clients)",
)
opt.add_output(parser)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def run(options: Namespace) -> Result:
    """All sizes of batches."""
    _check(options)
    known = None if options.real in (None, NONE) else from_result(Path(options.real), options.size)
    works = [_work(options, batch) for batch in options.batch]
    setting = Setting.take(
        "breakdown",
        seed=options.seed,
        replicas=options.replicas,
        directory=Path(tempfile.gettempdir()),
        config=_config(options, works[0]),
    )
    say(setting.line)
    rows = []
    for work in works:
        found = measure(work, repeat=options.repeat, say=say)
        rows += [row(role, work, found.tx_per_block, getattr(found, role)) for role in ("primary", "backup")]
    more = {"profile": [_profile(work) for work in works]} if options.profile else {}
    return setting.result(rows, real=known or _real(options), **more)


def _real(options: Namespace) -> dict[str, Any] | None:
    if options.real == NONE:
        return None
    return from_run(options.replicas, options.size, options.seed, say)


def row(role: str, work: Work, tx_per_block: float, cost: Cost) -> dict[str, Any]:
    """A replica's row of `results`."""
    stages = {stage: round(us, 3) for stage, us in cost.stages.items() if stage not in (CLIENT_CHECKS, REPLICA_CHECKS)}
    clients, replicas = cost.stages[CLIENT_CHECKS], cost.stages[REPLICA_CHECKS]
    return {
        "role": role,
        "batch": work.batch,
        "size": work.size,
        "transactions": work.transactions,
        "tx_per_block": round(tx_per_block, 2),
        "tx_per_s": round(1e6 / cost.total_us, 1),
        "p50_ms": rounded(percentile(cost.batches_ms, 50)),
        "p99_ms": rounded(percentile(cost.batches_ms, 99)),
        "samples": len(cost.batches_ms),
        "us_per_tx": round(cost.total_us, 3),
        "beyond_client_check_us": round(cost.beyond_client_check_us, 3),
        "beyond_checks_us": round(cost.beyond_checks_us, 3),
        "us_per_tx_beyond_checks": round(cost.beyond_checks_us, 3),
        "client_check_us": round(cost.client_check_us, 3),
        "checks_per_tx": {"clients": round(cost.client_checks, 4), "replicas": round(cost.replica_checks, 4)},
        "checks_us_per_tx": {"clients": round(clients, 3), "replicas": round(replicas, 3)},
        "stages_us_per_tx": {CHECKS: round(clients + replicas, 3), **stages},
        "instrumented_us_per_tx": round(cost.instrumented_us, 3),
        "stopwatch_us_per_tx": round(cost.stopwatch_us, 3),
        "stopwatch_calls_per_tx": round(cost.calls, 3),
        "stopwatch_in_a_tight_loop_us_per_tx": round(cost.tight_loop_us, 3),
    }


def _work(options: Namespace, batch: int) -> Work:
    whole = -(-options.transactions // batch) * batch
    return Work(transactions=whole, batch=batch, size=options.size, replicas=options.replicas, seed=options.seed)


def _config(options: Namespace, work: Work) -> dict[str, Any]:
    return {
        "replicas": work.replicas,
        "app": "kv",
        "durable": "SQLite, WAL, synchronous=FULL: every vote and block before what depends on it is sent",
        "protocol": asdict(Settings()),
        "batch": options.batch,
        "transactions": options.transactions,
        "transactions_are": "at least so many without the stopwatch and as many with it, in each run: whole batches",
        "size": work.size,
        "size_is": "bytes of an operation of the application; the signed transaction adds its envelope",
        "senders": work.senders,
        "seed": work.seed,
        "repeat": options.repeat,
        "warm_up_batches": WARM_UP_BATCHES,
        "stretch_transactions": STRETCH,
        "time": f"processor time of one process, counted while it is in the replica: {WITHOUT}, and without clients",
        "real_is": "of a replica's process, everything in it: `replicas_cpu_us_per_tx` of throughput.py",
        "tx_per_s_is": "what one core could do that did nothing else",
        "p50_ms_and_p99_ms_are": "of the processor time of a batch, without the stopwatch, in all runs: no latencies",
    }


def _check(options: Namespace) -> None:
    """Raises `Misused` for what no group can be given."""
    opt.check_replicas(options.replicas)
    longest = max(map(len, submissions(Work(transactions=1, batch=1, size=options.size))))
    most = min(intake.MAX_FRAMES, intake.MAX_BYTES // longest)
    if max(options.batch) > most:
        raise opt.Misused(f"a replica has no room for {max(options.batch)} such requests at once: use {most} at most")


def _profile(work: Work) -> dict[str, Any]:
    say(f"{work.transactions} transactions, {work.batch} at a time, under cProfile …")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "profile")
        pstats.Stats(profile(work)).dump_stats(file)
        return {"batch": work.batch, "functions": profile_rows(file, work.transactions * (work.replicas - 1))}


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines_of(one: Mapping[str, Any]) -> dict[str, float | None]:
    """A row's figures by what they are called for people; None: a heading."""
    stages = dict(one["stages_us_per_tx"])
    checks = {
        CHECKS: stages.pop(CHECKS),
        "  of them clients'": one["checks_us_per_tx"]["clients"],
        "  of them other replicas'": one["checks_us_per_tx"]["replicas"],
    }
    return {
        **checks,
        **stages,
        "the whole": one["us_per_tx"],
        "without one check of a client's signature": one["beyond_client_check_us"],
        "without any check of a signature": one["beyond_checks_us"],
        "": None,
        "one check of a client's signature": one["client_check_us"],
        "with the stopwatch": one["instrumented_us_per_tx"],
        "  of it the stopwatch, taken off above": one["stopwatch_us_per_tx"],
        "  the stopwatch in a tight loop": one["stopwatch_in_a_tight_loop_us_per_tx"],
        "ms of a batch, p50": one["p50_ms"],
        "ms of a batch, p99": one["p99_ms"],
        "transactions/s of one core": one["tx_per_s"],
    }


def text(result: Result) -> str:
    """A column for each replica and size of a batch."""
    rows = result["results"]
    columns = [lines_of(one) for one in rows]
    width = max(map(len, columns[0]))
    head = [
        f"{'µs of processor time per transaction':{width}}" + "".join(f"{one['role']:>10}" for one in rows),
        f"{'  transactions at once':{width}}" + "".join(f"{one['batch']:>10,}" for one in rows),
    ]
    lines = [
        f"{name:{width}}" + "".join("" if (us := column[name]) is None else f"{us:10,.2f}" for column in columns)
        for name in columns[0]
    ]
    judged = ["", *said(rows, result.get("real"))]
    return "\n".join([*head, *(line.rstrip() for line in lines), *judged, *_profile_lines(result)])


def _profile_lines(result: Result) -> list[str]:
    lines = []
    for one in result.get("profile", ()):
        lines += [
            f"\na backup under cProfile, {one['batch']} at once, µs of its own processor time per transaction:",
            f"{'own':>8} {'with callees':>12} {'calls':>7}  function",
        ]
        lines += [
            f"{f['own_us_per_tx']:>8.1f} {f['cumulative_us_per_tx']:>12.1f} {f['calls_per_tx']:>7.1f}  {f['function']}"
            for f in one["functions"]
        ]
    return lines


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows = result["results"]
    judged = largest(rows)
    primary, backup = judged["primary"], judged["backup"]
    columns = [lines_of(one) for one in rows]
    names = [name for name in columns[0] if name]
    heads = ["", *(f"{one['role']}, {one['batch']:,} at once" for one in rows)]
    cells = [[name.strip(), *(column[name] for column in columns)] for name in names]
    tables = [Table(heads, cells, "microseconds of processor time per transaction, but for the last three rows")]
    for one in result.get("profile", ()):
        tables.append(
            Table(
                ["own µs", "with callees", "calls", "function"],
                [
                    [f["own_us_per_tx"], f["cumulative_us_per_tx"], f["calls_per_tx"], f["function"]]
                    for f in one["functions"]
                ],
                f"a backup under cProfile, {one['batch']:,} at once, per transaction",
            )
        )
    beyond = backup["beyond_client_check_us"]
    return Shown(
        title=f"A transaction costs a backup {beyond:.1f} µs beyond the check of its signature, without the transport",
        story=(
            f"With {backup['batch']:,} at once, {WITHOUT}, a backup's core spends {backup['us_per_tx']:.1f} µs on a "
            f"transaction, {backup['client_check_us']:.1f} of them on its client's signature; the primary's core "
            f"spends {primary['us_per_tx']:.1f}. All checks of signatures left out, those of votes as well, it is "
            f"{backup['beyond_checks_us']:.1f} and {primary['beyond_checks_us']:.1f}. It is a favourable part of the "
            f"whole{_whole(result.get('real'))}."
        ),
        tables=[
            Table([""], [[f"{line[0].upper()}{line[1:]}."] for line in said(rows, result.get("real"))]),
            *tables,
        ],
    )


def _whole(real: Mapping[str, Any] | None) -> str:
    """What that is, as far as it is known."""
    if real is None or real["backup_us_per_tx"] is None:
        return ""
    return f": a real backup spends {real['backup_us_per_tx']:.0f} µs"


def draw(result: Result) -> list["Picture"]:
    """What a transaction costs by stage."""
    import breakdown_pictures  # noqa: PLC0415

    return breakdown_pictures.draw(result["results"])


if __name__ == "__main__":
    sys.exit(Script(parser, run, text, show, draw).main())
