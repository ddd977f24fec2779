"""What grows with the ledger and what does not: speed, memory, stores and reads, up to a million transactions."""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from page import Shown, Table
from script import Script

from bftledger.apps.kv import Entry
from bftledger.bench import options as opt
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.growth import PER, Growth, Plan, goals, summary
from bftledger.bench.keyed_clients import key, value_bytes
from bftledger.bench.ledgers import identical, state_size
from bftledger.bench.measured import Load
from bftledger.bench.payloads import transaction_bytes
from bftledger.bench.readable import not_committed
from bftledger.bench.results import Result, Setting, group_config, say, write
from bftledger.home.home import Home

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/growth.py --json growth.json --html growth.html
  python bench/growth.py --transactions 20000 --every 2000 --keys 5000    in half a minute
  python bench/growth.py --keys 1000000 --home G    a larger state; leaves the ledgers in G
  python bench/growth.py --from growth.json --png growth.png    shows it again, whole or interrupted"""

parser = opt.parser(__doc__ or "", EXAMPLES)
add = parser.add_argument
add("--transactions", type=opt.count, default=1_000_000, metavar="N", help="in the ledger at the end (default 1000000)")
add("--every", type=opt.count, default=50_000, metavar="N", help="transactions between two rows (default 50000)")
add("--keys", type=opt.count, default=100_000, metavar="N", help="that are written to, at random (default 100000)")
add("--clients", type=opt.count, default=256, metavar="N", help="closed-loop clients (default 256)")
add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
add("--warmup", type=opt.seconds, default=1.0, metavar="SECONDS", help="of each load that do not count (default 1)")
add("--processes", type=opt.count, default=1, metavar="N", help="that the clients share (default 1)")
add("--connections", type=opt.count, default=1, metavar="N", help="that the clients of a process share (default 1)")
add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until a client gives up (default 30)")
add("--reads", type=opt.count, default=25, metavar="N", help="a row has the medians of so many reads (default 25)")
add("--seed", type=int, default=1, help="of keys, payloads and reads (default 1)")
opt.add_group(parser)
opt.add_output(parser)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """All rows, then a restart; the JSON file is written after each row."""
    with made_home(options.home, replicas=options.replicas, keep=options.keep) as home:
        setting = Setting.take(
            "growth", seed=options.seed, replicas=options.replicas, directory=home.path, config=_config(options, home)
        )
        say(setting.line)
        with running_group(home) as group:
            return _measure(options, group, setting)


def _measure(options: Namespace, group: LocalGroup, setting: Setting) -> Result:
    growth = Growth(group, Plan(load=_load(options), keys=options.keys, reads=options.reads))
    rows: list[dict[str, Any]] = []
    for goal in goals(growth.ledger.transactions, options.transactions, options.every):
        rows.append(growth.row(goal))
        if options.json not in (None, "-"):
            so_far = setting.result(rows, **summary(rows), complete=False, restart=None, state=None, ledgers=None)
            _save(so_far, Path(options.json))
        say(_line(rows[-1]))
    say("a restart …")
    return setting.result(
        rows,
        **summary(rows),
        complete=True,
        restart=growth.restart(),
        state=state_size(group.home.ledger_path(0)),
        ledgers=asdict(identical(group.home)),
    )


def _save(result: Result, to: Path) -> None:
    """Whole or not at all, whenever this is interrupted."""
    part = to.with_name(to.name + ".part")
    write(result, str(part))
    part.replace(to)


def _load(options: Namespace) -> Load:
    return Load(
        clients=options.clients,
        seconds=0.0,  # until there are enough transactions
        size=options.size,
        warmup_s=options.warmup,
        processes=options.processes,
        connections=options.connections,
        seed=options.seed,
        timeout_s=options.timeout,
    )


def _config(options: Namespace, home: Home) -> dict[str, Any]:
    entry = Entry(options.transactions, options.transactions, bytes(32), bytes(value_bytes(options.size)))
    return {
        **group_config(home),
        "clients": options.clients,
        "load": "closed loop: a key each, one transaction under way, every receipt verified; started anew for each row",
        "size": options.size,
        "transaction_bytes": transaction_bytes(home.genesis.genesis_hash, options.size),
        "every": options.every,
        "keys": options.keys,
        "state": (
            f"bounded: puts to {options.keys:,} keys, each as likely as any other, "
            f"at most {options.keys * (len(key(0)) + len(entry.encode())) / 1e6:.1f} MB of keys and entries"
        ),
        "reads": options.reads,
        "warmup_s": options.warmup,
        "processes": options.processes,
        "connections_per_process": options.connections,
        "memory": "of each replica when the load of a row has ended",
    }


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['transactions']:,} transactions, block {row['height']:,}: {row['tx_per_s']:,.0f} tx/s, "
        f"RSS {_most(row['rss_mb'])} MB, store {_most(row['store_mb'])} MB, get {row['get_ms']:.1f} ms"
    )


def text(result: Result) -> str:
    """A line per row; of the replicas the one with the most."""
    names = ("transactions", "blocks", "tx/s", "p50 ms", "p99 ms", "RSS MB", "USS MB", "store MB", "WAL MB")
    head = " ".join(f"{name:>{max(8, len(name))}}" for name in names)
    lines = [f"{head}  {'get ms':>7} {'receipt ms':>10}  CPU µs/tx of the replicas"]
    for row in result["results"]:
        cpu = " ".join(f"{used:5.0f}" for used in row["replicas_cpu_us_per_tx"] if used is not None)
        lines.append(
            f"{row['transactions']:>12,} {row['height']:>8,} {row['tx_per_s']:>8,.0f} {_ms(row['p50_ms']):>8} "
            f"{_ms(row['p99_ms']):>8} {_most(row['rss_mb']):>8} {_most(row['uss_mb']):>8} "
            f"{_most(row['store_mb']):>8} {_most(row['wal_mb']):>8}  "
            f"{row['get_ms']:>7.2f} {row['receipt_ms']:>10.2f}  {cpu}"
        )
    return "\n".join([*lines, "", *_summary_lines(result)])


def _summary_lines(result: Result) -> list[str]:
    lines = [f"memory at the end: {_mb(result['rss_mb_at_end'])} MB"]
    if result["rss_mb_growth_per_100k"] is not None:
        lines.append(
            f"from {result['fitted_from_transactions']:,} transactions on, for {PER:,} more: "
            f"RSS {result['rss_mb_growth_per_100k']:+.2f} MB, USS {_mb(result['uss_mb_growth_per_100k'])} MB, "
            f"store {_mb(result['store_mb_per_100k'])} MB"
        )
    if not result["complete"]:
        return [*lines, "interrupted before the end"]
    restart, state = result["restart"], result["state"]
    return [
        *lines,
        f"state: {state['entries']:,} entries, {state['mb']:,.1f} MB of keys and values",
        (
            f"replica {restart['replica']} killed and started again: answers after {restart['answered_s']:.2f} s, "
            f"is level after {restart['level_s']:.2f} s"
        ),
        f"ledgers: {result['ledgers']['text']}",
    ]


def _most(values: Sequence[float | None]) -> str:
    return _mb(max((value for value in values if value is not None), default=None))


def _mb(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows, restart = result["results"], result["restart"]
    first, last = rows[0], rows[-1]
    growth = result["rss_mb_growth_per_100k"]
    story = (
        f"While the ledger grows to {last['transactions']:,} transactions in {last['height']:,} blocks, the group goes "
        f"from {first['tx_per_s']:,.0f} to {last['tx_per_s']:,.0f} transactions per second. A replica holds at most "
        f"{_mb(result['rss_mb_at_end'])} MB of memory then"
        + ("." if growth is None else f", in the last half {growth:+.2f} MB for each {PER:,} transactions.")
        + ("" if restart is None else f" Killed and started again it is level after {restart['level_s']:.1f} s.")
    )
    speed = {
        "transactions": "transactions",
        "height": "blocks",
        "tx_per_s": "tx/s",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "max_ms": "max ms",
        "tx_per_block": "tx per block",
        "samples": "samples",
        "view": "view",
        "get_ms": "get ms",
        "receipt_ms": "receipt ms",
        "clients_cpu_us_per_tx": "clients' µs/tx",
    }
    size = {
        "transactions": "transactions",
        "rss_mb": "resident (RSS) MB",
        "uss_mb": "its alone (USS) MB",
        "store_mb": "database MB",
        "wal_mb": "log MB",
        "replicas_cpu_us_per_tx": "CPU µs/tx",
    }
    tables = [
        Table(
            [*speed.values(), "not committed"],
            [[*(row[name] for name in speed), not_committed(row) or "none"] for row in rows],
            "Each stretch of the ledger.",
        ),
        Table(
            [*size.values()],
            [[", ".join(map(_mb, row[n])) if isinstance(row[n], list) else row[n] for n in size] for row in rows],
            "At the end of each, by replica.",
        ),
        Table([""], [[line] for line in _summary_lines(result)]),
    ]
    return Shown(f"{last['transactions']:,} transactions: what grows, and what does not", story, tables)


def draw(result: Result) -> list["Picture"]:
    """Speed, memory and stores by the size of the ledger, and what single transactions and reads take."""
    import growth_pictures  # noqa: PLC0415

    return growth_pictures.draw(result["results"])


SCRIPT = Script(
    parser,
    measure,
    text,
    show,
    draw,
    is_good=lambda result: bool(result["complete"] and result["ledgers"]["ok"]),
)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
