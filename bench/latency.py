"""The distribution of latencies: by closed-loop clients, and at fixed rates up to where the group cannot keep up.

In a closed loop a client waits for its receipt before it begins again, so a group that stalls is asked less. In an open
loop transactions are due at fixed moments, whatever becomes of those before, and their latency counts from then on:
what a user sees whose requests do not wait for others'. The knee is where the backlog begins to grow: between the
highest rate that the group kept up with and the first that it did not.
"""

import math
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from page import Shown, Table
from script import Script

from bftledger.base.errors import OperatorError
from bftledger.bench import options as opt
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.knee import LIMIT, Knee, rising
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load, Measured
from bftledger.bench.payloads import transaction_bytes
from bftledger.bench.readable import LEFT_OUT, carries, not_committed, percentile_of
from bftledger.bench.results import Result, Setting, group_config, say

if TYPE_CHECKING:
    from pictures import Picture

PERCENTILES = (10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100)
SHOWN = (10, 50, 90, 99, 99.9, 100)
TABLED = (10, 50, 90, 95, 99, 99.9, 99.99, 100)
STEPS_PER_DOUBLING = 2
BAR = 48

EXAMPLES = """\
  python bench/latency.py
  python bench/latency.py --clients 1 --rates 500,1000,2000 --seconds 20
  python bench/latency.py --clients 1,64 --rates none --json result.json
  python bench/latency.py --from result.json --png latency.png --html latency.html"""

parser = opt.parser(__doc__ or "", EXAMPLES)
parser.add_argument(
    "--clients", type=opt.counts, default="1,16,64", metavar="N,…", help="closed-loop clients (default 1,16,64)"
)
parser.add_argument(
    "--rates",
    type=lambda text: [] if text == "none" else opt.rates(text),
    metavar="R,…",
    help="open loop: so many transactions are due per second; none for none (default: from 10%% of what the last "
    f"of --clients got, until the group does not keep up, or to {LIMIT:g} times that)",
)
parser.add_argument("--keys", type=opt.count, default=64, metavar="N", help="clients of the open loop (default 64)")
parser.add_argument("--size", type=opt.size, default=200, metavar="BYTES", help="payload (default 200)")
opt.add_load(parser)
opt.add_group(parser)
opt.add_output(parser)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """The closed loops, then the open ones by growing rate; those beyond the knee are left out."""
    with made_home(options.home, replicas=options.replicas, keep=options.keep) as home:
        opt.check_payload(options.size, 1, home.genesis.max_payload_bytes)
        config = {
            **group_config(home),
            **opt.load_config(options),
            "clients": "a key each, every receipt verified; open loop: latency from the moment a transaction is due",
            "transaction_bytes": transaction_bytes(home.genesis.genesis_hash, options.size),
        }
        setting = Setting.take(
            "latency", seed=options.seed, replicas=options.replicas, directory=home.path, config=config
        )
        say(setting.line)
        with running_group(home) as group:
            rows = [
                _measure(group, opt.load_of(options, clients=clients, size=options.size)) for clients in options.clients
            ]
            for rate in _rates(options, rows):
                row = _measure(group, opt.load_of(options, clients=options.keys, size=options.size, rate=rate))
                rows.append(row)
                if not row["kept_up"]:
                    say(f"bench: {rate:g}/s is more than the group keeps up with: higher rates are left out")
                    break
    return setting.result(rows, knee=asdict(Knee.of(rows)))


def _rates(options: Namespace, closed: Sequence[dict[str, Any]]) -> Iterable[float]:
    return rising(closed[-1]["tx_per_s"]) if options.rates is None else sorted(options.rates)


def _measure(group: LocalGroup, load: Load) -> dict[str, Any]:
    say(f"{load}: {load.seconds:g} s …")
    measured = run_load(group, load)
    group.check()
    opt.say_troubles(measured)
    if not measured.latencies_ms:
        raise OperatorError(f"{load}: none of what was due within {load.seconds:g} s was committed")
    return measured.row() | {
        "kept_up": measured.kept_up,
        "percentiles_ms": {f"{percent:g}": measured.percentile_ms(percent) for percent in PERCENTILES},
        "histogram_below_ms": histogram(measured),
        "timeline": measured.timeline(max(0.1, load.seconds / 100)),
    }


def histogram(measured: Measured) -> dict[float, int]:
    """How many latencies were below each bound (in milliseconds) and not below the one before it."""
    counts: dict[int, int] = {}
    for latency in measured.latencies_ms:
        step = math.floor(math.log2(max(latency, 0.001)) * STEPS_PER_DOUBLING)
        counts[step] = counts.get(step, 0) + 1
    return {
        round(2 ** ((step + 1) / STEPS_PER_DOUBLING), 3): counts.get(step, 0)
        for step in range(min(counts), max(counts) + 1)
    }


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def text(result: Result) -> str:
    """A line of percentiles per load, the knee, then a histogram of each."""
    rows = result["results"]
    heads = "".join(f" {_percentile_name(percent):>7}" for percent in SHOWN)
    lines = [f"{'load':>16} {'tx/s':>7}{heads} ms {'samples':>8} {'view':>4}"]
    for row in rows:
        times = "".join(f" {'-' if (ms := _percentile(row, percent)) is None else f'{ms:.1f}':>7}" for percent in SHOWN)
        remarks = [*([] if row["kept_up"] else ["not kept up"]), *([not_committed(row)] if row["failed"] else [])]
        lines.append(
            f"{load_name(row):>16} {row['tx_per_s']:>7.0f}{times}    {row['samples']:>8} {row['view']:>4}"
            + "".join(f"  {remark}" for remark in remarks)
        )
    lines.append(LEFT_OUT)
    if said := _knee(rows):
        lines.append(f"\n{said}")
    for row in rows:
        lines.append(f"\n{load_name(row)}: {row['samples']} transactions")
        counts = row["histogram_below_ms"]
        for bound, count in counts.items():
            bar = "█" * round(count / max(counts.values()) * BAR)
            lines.append(f"  below {float(bound):>8.1f} ms {count / row['samples']:>6.1%} {bar}")
    return "\n".join(lines)


def show(result: Result) -> Shown:
    """The page without its pictures."""
    closed, opened = _split(result["results"])
    kept = list(takewhile(lambda row: row["kept_up"], opened))
    first = closed[0]
    story = (
        f"{load_name(first).capitalize()} alone on the group: half of the transactions have their verified receipt "
        f"after {first['p50_ms']:.1f} ms{_slowest(first, ', 99 of 100 after {:.1f} ms')}. "
    )
    if kept:
        best = kept[-1]
        story += (
            f"With {best['rate']:,.0f} transactions due per second, whatever becomes of those before, it is "
            f"{best['p50_ms']:.1f}{_slowest(best, ' and {:.1f}')} ms. "
        )
    if opened:
        story += f"{_knee(result['results'])}."
    columns = ["load", "tx/s", *(f"{_percentile_name(percent)} ms" for percent in TABLED)]
    cells = [
        [load_name(row), row["tx_per_s"], *(_percentile(row, percent) for percent in TABLED)]
        for row in result["results"]
    ]
    more = ["load", "samples", "not committed", "view", "kept up", "clients late ms"]
    facts = [
        [
            load_name(row),
            row["samples"],
            not_committed(row) or "none",
            row["view"],
            row["kept_up"],
            row["lag_ms"] if row["rate"] else None,
        ]
        for row in result["results"]
    ]
    late = "Late: by how much the clients themselves began after the moment that was due, 99 of 100 at most."
    return Shown(
        f"From signature to verified receipt: {first['p50_ms']:.1f} ms with {load_name(first)}",
        story,
        [Table(columns, cells, LEFT_OUT), Table(more, facts, f"A view above 0: the primary was changed. {late}")],
    )


def draw(result: Result) -> list["Picture"]:
    """The distributions, the latency by rate up to the knee, and the loads over time."""
    import latency_pictures  # noqa: PLC0415

    return latency_pictures.draw(*_split(result["results"]), load_name)


def _percentile(row: dict[str, Any], percent: float) -> float | None:
    """None if the samples do not carry it."""
    found: float = row["percentiles_ms"][f"{percent:g}"]
    return found if carries(row["samples"], percent) else None


def _percentile_name(percent: float) -> str:
    return "max" if percent == 100 else f"p{percent:g}"


def _slowest(row: dict[str, Any], words: str) -> str:
    """What there is to say of the slowest of 100, if anything."""
    slow = percentile_of(row, 99)
    return "" if slow is None else words.format(slow)


def _knee(rows: Sequence[dict[str, Any]]) -> str:
    """Where it is, as far as it was found, relative to the last closed loop; empty if no rate was tried."""
    last = _split(rows)[0][-1]
    return Knee.of(rows).text(last["tx_per_s"], load_name(last))


def _split(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [row for row in rows if row["rate"] is None], [row for row in rows if row["rate"] is not None]


def load_name(row: dict[str, Any]) -> str:
    """What a row is called."""
    if row["rate"] is not None:
        return f"{row['rate']:,.0f}/s due"
    return "one client" if row["clients"] == 1 else f"{row['clients']} clients"


if __name__ == "__main__":
    sys.exit(Script(parser, measure, text, show, draw).main())
