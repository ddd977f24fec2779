"""Transactions per second of a group of real replica processes: clients x batch x size x operations."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from page import Shown, Table
from script import Script

from bftledger.base.errors import OperatorError
from bftledger.bench import options as opt
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load, Measured
from bftledger.bench.payloads import transaction_bytes
from bftledger.bench.profiled import profile_rows, profile_text
from bftledger.bench.results import Result, Setting, group_config, say
from bftledger.home.home import Home
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/throughput.py
  python bench/throughput.py --clients 64 --seconds 20 --json result.json --html result.html
  python bench/throughput.py --clients 16,64,256 --batch 1,16,128,512 --png batches.png
  python bench/throughput.py --clients 64 --size 200,1000,4096
  python bench/throughput.py --clients 64 --size 40 --operations 1,10,100
  python bench/throughput.py --clients 256 --profile 0    where the primary's time goes
  python bench/throughput.py --from result.json --html result.html    shows it again"""

parser = opt.parser(__doc__ or "", EXAMPLES)
parser.add_argument("--clients", type=opt.counts, default="1,16,64,256", metavar="N,…", help="(default 1,16,64,256)")
parser.add_argument("--size", type=opt.counts, default="200", metavar="BYTES,…", help="of an operation (default 200)")
parser.add_argument(
    "--operations", type=opt.counts, default="1", metavar="N,…", help="of that size in a transaction (default 1)"
)
parser.add_argument(
    "--batch",
    type=opt.counts,
    metavar="N,…",
    help=f"at most so many transactions make a proposal, each in a group of its own (default {Settings().batch_count})",
)
opt.add_load(parser)
opt.add_group(parser)
parser.add_argument("--profile", type=int, metavar="REPLICA", help="profile this replica, which makes it slower")
opt.add_output(parser)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """All loads in all groups."""
    batches: list[int | None] = options.batch or [None]
    if len(batches) > 1 and options.home is not None:
        raise OperatorError("several values of --batch need several groups: leave out --home")
    if options.profile is not None and len(batches) > 1:
        raise OperatorError("--profile shows one replica of one group: give one value of --batch")
    for size, operations in product(options.size, options.operations):
        opt.check_payload(size, operations)
    rows: list[dict[str, Any]] = []
    setting: Setting | None = None
    more: dict[str, Any] = {}
    for batch in batches:
        protocol = None if batch is None else replace(Settings(), batch_count=batch)
        with made_home(options.home, replicas=options.replicas, keep=options.keep, protocol=protocol) as home:
            if setting is None:
                setting = _setting(options, home)
                say(setting.line)
            with running_group(home, profiled=options.profile) as group:
                measured = [_measure(group, load) for load in _loads(options)]
            rows += [{"batch_count": home.config.protocol.batch_count} | one.row() for one in measured]
            if group.profile is not None:
                total = sum(one.total for one in measured)
                more = {"profiled_replica": options.profile, "profile": profile_rows(group.profile, total)}
    assert setting is not None, "there is at least one batch"
    return setting.result(rows, **more)


def _setting(options: Namespace, home: Home) -> Setting:
    config = {
        **group_config(home),
        **opt.load_config(options),
        "clients": "closed loop: a key each, one transaction under way, every receipt verified",
        "transaction_bytes": [
            transaction_bytes(home.genesis.genesis_hash, size, operations)
            for size, operations in product(options.size, options.operations)
        ],
    }
    return Setting.take("throughput", seed=options.seed, replicas=options.replicas, directory=home.path, config=config)


def _loads(options: Namespace) -> list[Load]:
    return [
        opt.load_of(options, clients=clients, size=size, operations=operations)
        for size, operations, clients in product(options.size, options.operations, options.clients)
    ]


def _measure(group: LocalGroup, load: Load) -> Measured:
    say(f"batches of {group.home.config.protocol.batch_count}, {load}: {load.seconds:g} s …")
    measured = run_load(group, load)
    group.check()
    opt.say_troubles(measured)
    return measured


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def text(result: Result) -> str:
    """One line per load; `cpu µs/tx` is the processor time that a transaction costs, by process."""
    names = ("clients", "ops", "size", "batch", "tx/s", "ops/s", "MB/s", "p50 ms", "p99 ms", "tx/blk")
    head = " ".join(f"{name:>{width}}" for name, width in zip(names, (7, 3, 5, 5, 7, 7, 5, 7, 7, 6), strict=True))
    lines = [f"{'':{len(head)}}  cpu µs/tx", f"{head}  {'clients':>7}  replicas"]
    for row in result["results"]:
        replicas = " ".join(f"{cpu:5.0f}" for cpu in row["replicas_cpu_us_per_tx"] if cpu is not None)
        lines.append(
            f"{row['clients']:>7} {row['operations']:>3} {row['size']:>5} {row['batch_count']:>5} "
            f"{row['tx_per_s']:>7.0f} {row['operations_per_s']:>7.0f} {row['payload_mb_per_s']:>5.2f} "
            f"{row['p50_ms']:>7.1f} {row['p99_ms']:>7.1f} {row['tx_per_block'] or 0:>6.1f}  "
            f"{row['clients_cpu_us_per_tx']:>7.0f}  {replicas}"
        )
    lines.append(f"\nceiling of this machine: {result['ceiling_tx_per_s']:,.0f} tx/s")
    if "profile" in result:
        lines.append("\n" + profile_text(result["profiled_replica"], result["profile"]))
    return "\n".join(lines)


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows = result["results"]
    best = max(rows, key=lambda row: float(row["tx_per_s"]))
    calm = min(rows, key=lambda row: float(row["p50_ms"]))
    share = best["tx_per_s"] / result["ceiling_tx_per_s"]
    cores, n = result["machine"]["cores"], result["config"]["replicas"]
    columns = {
        "clients": "clients",
        "operations": "operations in each",
        "size": "bytes of each",
        "batch_count": "batch at most",
        "tx_per_s": "tx/s",
        "operations_per_s": "operations/s",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "max_ms": "max ms",
        "tx_per_block": "tx per block",
        "payload_mb_per_s": "payload MB/s",
        "clients_cpu_us_per_tx": "clients' CPU µs/tx",
    }
    cells = [[*(row[name] for name in columns), _mean(row["replicas_cpu_us_per_tx"])] for row in rows]
    return Shown(
        title=f"{best['tx_per_s']:,.0f} transactions per second, each signed, replicated {n} times and proven",
        story=(
            f"{_clients(best)} get {best['tx_per_s']:,.0f} transactions per second out of {n} replicas that share "
            f"{cores} cores, which is {share:.0%} of what checking one signature per transaction and replica allows. "
            f"With {_clients(calm)} a transaction takes {calm['p50_ms']:.1f} ms from its signature to its verified "
            f"receipt, and one in a hundred more than {calm['p99_ms']:.1f} ms."
        ),
        tables=[Table([*columns.values(), "a replica's CPU µs/tx"], cells)],
    )


def draw(result: Result) -> list["Picture"]:
    """Throughput and latency by clients, and throughput by each of the others that has several values."""
    import pictures as p  # noqa: PLC0415

    rows = result["results"]
    varied = [name for name in _AXES if len({row[name] for row in rows}) > 1]
    drawn = [_by_clients(result)] if "clients" in varied or not varied else []
    for what, shown, caption in (
        ("batch_count", ("tx_per_s", "transactions/s"), "The same by the largest batch that makes a proposal."),
        ("size", ("payload_mb_per_s", "MB/s of payload"), "Payload per second, by the size of an operation."),
        ("operations", ("operations_per_s", "operations/s"), "What one signature for several operations is worth."),
    ):
        if what not in varied:
            continue
        figure, (axes,) = p.canvas()
        others = [name for name in _AXES if name != what]
        for name, some in _series(rows, by=others):
            axes.plot([row[what] for row in some], [row[shown[0]] for row in some], marker="o", label=name)
        p.steps(axes, sorted({row[what] for row in rows}))
        p.label(axes, x=_AXES[what], y=shown[1])
        axes.set_ylim(bottom=0)
        p.plain_numbers(axes)
        p.legend(axes)
        drawn.append(p.finish(figure, caption))
    return drawn


def _by_clients(result: Result) -> "Picture":
    import pictures as p  # noqa: PLC0415

    rows = result["results"]
    figure, (left, right) = p.canvas(1, 2)
    for name, some in _series(rows, by=("operations", "size", "batch_count")):
        clients = [row["clients"] for row in some]
        (line,) = left.plot(clients, [row["tx_per_s"] for row in some], marker="o", label=name)
        for what, marker, dashes in (("p50", "o", "-"), ("p99", "^", ":")):
            times = [row[f"{what}_ms"] for row in some]
            shown = f"{name} {what}".strip()
            right.plot(clients, times, marker=marker, ls=dashes, color=line.get_color(), label=shown)
    p.limit(left, result["ceiling_tx_per_s"], "ceiling: signature checks alone")
    left.set_ylim(bottom=0)
    right.set_yscale("log")
    p.label(left, title="Throughput", x=_AXES["clients"], y="transactions/s")
    p.label(right, title="Latency", x=_AXES["clients"], y="ms")
    for axes in (left, right):
        p.steps(axes, sorted({row["clients"] for row in rows}))
        p.plain_numbers(axes)
        p.legend(axes)
    return p.finish(figure, "Committed transactions per second, and the time to a verified receipt, by clients.")


_AXES = {
    "clients": "closed-loop clients",
    "operations": "operations in a transaction",
    "size": "bytes in an operation",
    "batch_count": "transactions in a batch at most",
}
_NAMES = {"clients": "{:,} clients", "operations": "{:,} operations", "size": "{:,} bytes", "batch_count": "batch {:,}"}


def _series(rows: Sequence[dict[str, Any]], by: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The rows that agree in these fields, named by what tells them from the others."""
    differing = [name for name in by if len({row[name] for row in rows}) > 1]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(", ".join(_NAMES[name].format(row[name]) for name in differing), []).append(row)
    return list(found.items())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 1) if known else None


def _clients(row: dict[str, Any]) -> str:
    return "one client" if row["clients"] == 1 else f"{row['clients']} clients"


if __name__ == "__main__":
    sys.exit(Script(parser, measure, text, show, draw).main())
