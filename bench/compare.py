"""The same load on this project's group and on what else is installed here, in turns, in one table.

Compared are puts of the same keys and values by closed-loop clients. All clients of a system are in one Python process
and share its client (an `AsyncClient`, a gRPC channel), all nodes are processes of this machine, and a put is
acknowledged when it is on the disks of a quorum (fsync, on one file system). What such a put is worth differs:

  bftledger   n = 3f+1 nodes of which f may lie and collude. Each operation is a transaction that its client signs and
              every node verifies; the client gets, and checks, a receipt with a quorum's signatures.
  bftledger, N operations per signature
              the same for transactions of N operations; operations are counted, latencies are those of a transaction.
  etcd        Raft, three nodes, of which one may crash and none may lie. Nothing is signed, and the answer of one node
              is all that there is. Measured over gRPC if there is an `etcd` on PATH (pip install 'bftledger[compare]').
  etcd, N operations in a Txn
              the same nodes, N puts in each of etcd's transactions (128 at most, by default): beside ours of N.

Both sides' clients share the processors with the nodes: what they use is in the table, by operation.
"""

import sys
import tempfile
import textwrap
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import Shown, Table
from script import Script

from bftledger.base import cbor
from bftledger.bench import options as opt
from bftledger.bench.contest import compete, likes_text, table
from bftledger.bench.etcd import BatchedEtcd, Etcd
from bftledger.bench.measured import Load
from bftledger.bench.readable import LEFT_OUT, not_committed, percentile_of
from bftledger.bench.results import Result, Setting, say
from bftledger.bench.systems import Batched, Ledger, System
from bftledger.home.files import make_directory

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/compare.py
  python bench/compare.py --clients 16,256 --rounds 5 --seconds 5 --json compare.json --html compare.html
  python bench/compare.py --value 1000 --operations 10
  python bench/compare.py --directory /srv/bench    on another disk
  python bench/compare.py --from compare.json --png compare.png    shows it again"""

KEY_BYTES = 8
WIDTH = 110

parser = opt.parser(__doc__ or "", EXAMPLES)
add = parser.add_argument
add("--clients", type=opt.counts, default="1,16,64,256", metavar="N,…", help="(default 1,16,64,256)")
add("--value", type=opt.count, default=200, metavar="BYTES", help=f"under a key of {KEY_BYTES} (default 200)")
add("--rounds", type=opt.count, default=3, metavar="N", help="of each system, for each of --clients (default 3)")
add("--operations", type=opt.count, default=100, metavar="N", help="in the batched transactions (default 100)")
add("--seconds", type=opt.seconds, default=3.0, help="measured window of each round (default 3)")
add("--warmup", type=opt.seconds, default=1.0, help="seconds before it that do not count (default 1)")
add("--timeout", type=opt.seconds, default=30.0, help="seconds until a client gives up (default 30)")
add("--replicas", type=opt.count, default=4, metavar="N", help="size of this project's group (default 4)")
add("--directory", type=Path, metavar="DIR", help="keep what the nodes keep in there, meanwhile (default: temporary)")
add("--seed", type=int, default=1, help="of keys and payloads (default 1)")
opt.add_output(parser)


def systems(options: Namespace) -> list[System]:
    """All that are known. The first is what the others are compared with."""
    ledger, etcd = Ledger(options.replicas), Etcd()
    return [ledger, Batched(ledger, options.operations), etcd, BatchedEtcd(etcd, options.operations)]


def likes(options: Namespace) -> dict[str, str]:
    """What is batched is compared with what is batched, too."""
    _, ours, _, theirs = systems(options)
    return {theirs.name: ours.name}


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """Those that can be measured here, in turns."""
    size = len(cbor.encode(["put", bytes(KEY_BYTES), bytes(options.value)]))
    opt.check_payload(size, options.operations)
    here: list[System] = []
    absent: list[dict[str, str]] = []
    for system in systems(options):
        if (why := system.missing()) is None:
            here.append(system)
        elif why not in [one["why"] for one in absent]:
            say(f"bench: {system.name} is not measured: {why}")
            absent.append({"system": system.name, "why": why})
    load = Load(
        clients=1,
        seconds=options.seconds,
        size=size,
        warmup_s=options.warmup,
        seed=options.seed,
        timeout_s=options.timeout,
    )
    if options.directory is not None:
        make_directory(options.directory)
    with ExitStack() as stack:
        prefix = "bftledger-compare-"
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=options.directory)))
        setting = Setting.take(
            "compare", seed=options.seed, replicas=options.replicas, directory=directory, config=_config(options)
        )
        say(setting.line)
        for number, system in enumerate(here):
            stack.callback(system.stop)
            system.start(directory / str(number))
        about = [{"name": one.name, "guarantees": one.guarantees, **one.facts()} for one in here]
        rows = list(compete(here, load, options.clients, options.rounds, say, likes(options)))
    return setting.result(rows, systems=about, not_measured=absent)


def _config(options: Namespace) -> dict[str, Any]:
    return {
        "replicas": options.replicas,
        "load": "closed loop: puts of random values; the clients of a system are one process with one connection",
        "key_bytes": KEY_BYTES,
        "value_bytes": options.value,
        "clients": options.clients,
        "operations_per_signature": [1, options.operations],
        "order": "for each number of clients: rounds, in each of which every system has its turn, another one first",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "warmup_s": options.warmup,
    }


def is_whole(result: Result) -> bool:
    """Whether no round was missed."""
    return not any(row["missed"] for row in result["results"])


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def text(result: Result) -> str:
    """The table, and what its rows promise."""
    lines = [table(result["results"]), ""]
    for one in result["systems"]:
        promise = f"{one['name']} ({one['version']}, {one['nodes']} nodes): {one['guarantees']}"
        lines.append(textwrap.fill(promise, WIDTH, subsequent_indent="  "))
    for row in result["results"]:
        lines += [f"{_many(row)}, {row['system']}: {why}" for why in row["missed"]]
    lines += [f"{one['system']} is not measured: {one['why']}" for one in result["not_measured"]]
    lines.append(f"ratios are to {result['systems'][0]['name']}, within a round: their median, and the range")
    return "\n".join([*lines, *likes_text(result["results"])])


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows, about = result["results"], result["systems"]
    first = about[0]["name"]
    others = [_against(rows, one["name"], first) for one in about[1:]]
    story = f"{first} does {_best(rows, first):,.0f} operations per second at most. " + " ".join(others)
    rates = [
        [
            row["clients"],
            row["system"],
            *_shown(row["operations_per_s"], "{median:,.0f}"),
            *_shown(row["ratio"], "{median:.2f}", "{least:.2f} to {greatest:.2f}"),
            *_shown(row.get("ratio_to_like"), "{median:.2f} ({least:.2f} to {greatest:.2f})"),
            percentile_of(row, 50),
            percentile_of(row, 99),
            row["samples"],
            not_committed(row) or "none",
        ]
        for row in rows
    ]
    costs = {
        "clients": "clients",
        "system": "system",
        "clients_cpu_us_per_operation": "clients' CPU µs/op",
        "servers_cpu_us_per_operation": "servers' CPU µs/op",
        "clients_cpu_share": "clients' cores",
        "servers_cpu_share": "servers' cores",
        "tx_per_block": "tx per block",
    }
    heads = [
        *("clients", "system", "ops/s", f"times {first}", "range", "times its like", "p50 ms", "p99 ms", "samples"),
        "not done",
    ]
    medians = f"Medians of the rounds; ratios are within a round. {LEFT_OUT}"
    promises = [[one["name"], one["version"], one["nodes"], one["guarantees"]] for one in about]
    promises += [[one["system"], None, None, f"not measured: {one['why']}"] for one in result["not_measured"]]
    return Shown(
        title="The same puts, side by side",
        story=story,
        tables=[
            Table(heads, rates, medians),
            Table([*costs.values()], [[row[name] for name in costs] for row in rows], "What an operation costs."),
            Table(["system", "version", "nodes", "what an acknowledged operation is safe from"], promises),
        ],
    )


def draw(result: Result) -> list["Picture"]:
    """Operations per second by clients, and the processor time of an operation where there are most clients."""
    import pictures as p  # noqa: PLC0415

    rows = [row for row in result["results"] if row["operations_per_s"] is not None]
    names = [one["name"] for one in result["systems"]]
    clients = sorted({row["clients"] for row in rows})
    figure, (left, right) = p.canvas(1, 2, height=3.8, width=9.5)
    for name, color in zip(names, p.SERIES, strict=False):
        some = [row for row in rows if row["system"] == name]
        rates = [row["operations_per_s"] for row in some]
        middle = [rate["median"] for rate in rates]
        below = [rate["median"] - rate["least"] for rate in rates]
        above = [rate["greatest"] - rate["median"] for rate in rates]
        at = [row["clients"] for row in some]
        left.errorbar(at, middle, yerr=[below, above], marker="o", capsize=3, color=color, label=name)
    left.set_yscale("log")
    p.steps(left, clients)
    p.plain_numbers(left)
    p.label(left, title="Throughput: median and range of the rounds", x="closed-loop clients", y="operations/s")
    most = [row for row in rows if row["clients"] == clients[-1]]
    for i, (row, color) in enumerate(zip(most, p.SERIES, strict=False)):
        servers, own = row["servers_cpu_us_per_operation"], row["clients_cpu_us_per_operation"]
        right.barh(i, servers, color=color, height=0.55)
        right.barh(i, own, left=servers, color=color, height=0.55, alpha=0.4)
        right.annotate(
            f"{servers:,.0f} + {own:,.0f}", (servers + own, i), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=8,
        )  # fmt: skip
    right.set_yticks([])
    costs = [row["servers_cpu_us_per_operation"] + row["clients_cpu_us_per_operation"] for row in most]
    right.set_xlim(0, 1.35 * max(costs))
    right.invert_yaxis()
    right.grid(visible=False, axis="y")
    p.plain_numbers(right, "x")
    p.label(right, title=f"What an operation costs, {_many(most[0])}", x="µs of CPU: all servers, and (paler) clients")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    return [
        p.finish(figure, "Operations per second by closed-loop clients, and what one costs all processes together.")
    ]


def _shown(spread: dict[str, float] | None, *forms: str) -> list[str | None]:
    """Its numbers in each of these forms; None for what was not measured."""
    return [None if spread is None else form.format(**spread) for form in forms]


def _best(rows: list[dict[str, Any]], name: str) -> float:
    rates = [row["operations_per_s"] for row in rows if row["system"] == name]
    return max((float(rate["median"]) for rate in rates if rate is not None), default=0.0)


def _against(rows: list[dict[str, Any]], name: str, first: str) -> str:
    some = [row for row in rows if row["system"] == name and row["ratio"] is not None]
    if not some:
        return f"{name} was not measured in the same rounds."
    low, high = min(some, key=_ratio), max(some, key=_ratio)
    most = f"{name} does {_ratio(high):.1f} times the operations of {first} with {_many(high)}"
    said = f"{most}." if low is high else f"{most}, and {_ratio(low):.1f} times with {_many(low)}."
    to_like = sorted(f"{row['ratio_to_like']['median']:.1f}" for row in some if row.get("ratio_to_like") is not None)
    if not to_like:
        return said
    times = " to ".join(dict.fromkeys((min(to_like, key=float), max(to_like, key=float))))
    return f"{said} Beside its like, {some[0]['like']}, it does {times} times the operations."


def _many(row: dict[str, Any]) -> str:
    return "one client" if row["clients"] == 1 else f"{row['clients']} clients"


def _ratio(row: dict[str, Any]) -> float:
    return float(row["ratio"]["median"])


if __name__ == "__main__":
    sys.exit(Script(parser, measure, text, show, draw, is_good=is_whole).main())
