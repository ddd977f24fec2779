"""Transactions per second of a group of real replica processes: clients x batch x size x operations."""

import sys
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from script import Script
from throughput_tables import show, text

from bftledger.bench import options as opt
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load, Measured
from bftledger.bench.payloads import transaction_bytes
from bftledger.bench.profiled import profile_rows
from bftledger.bench.results import Result, Setting, group_config, say
from bftledger.bench.rounds import in_turns
from bftledger.home.home import Home
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/throughput.py
  python bench/throughput.py --clients 64 --seconds 20 --json result.json --html result.html
  python bench/throughput.py --clients 16,64,256 --batch 1,16,128,512 --png batches.png
  python bench/throughput.py --rounds 5 --png throughput.png    medians, and how far the rounds are apart
  python bench/throughput.py --clients 64 --size 200,1000,4096
  python bench/throughput.py --clients 64 --batch 1,16,128,512 --size 40,200,1000,4096 --png grid.png
  python bench/throughput.py --clients 64 --size 40 --operations 1,10,100
  python bench/throughput.py --clients 256 --profile 0    where the primary's time goes
  python bench/throughput.py --from result.json --html result.html    shows it again"""

parser = opt.parser(__doc__ or "", EXAMPLES)
parser.add_argument("--clients", type=opt.counts, default="1,16,64,256", metavar="N,…", help="(default 1,16,64,256)")
parser.add_argument("--size", type=opt.sizes, default="200", metavar="BYTES,…", help="of an operation (default 200)")
parser.add_argument(
    "--operations", type=opt.operations, default="1", metavar="N,…", help="of that size in a transaction (default 1)"
)
parser.add_argument(
    "--batch",
    type=opt.counts,
    metavar="N,…",
    help=f"at most so many transactions make a proposal, each in a group of its own (default {Settings().batch_count})",
)
parser.add_argument(
    "--rounds", type=opt.count, default=1, metavar="N", help="measure all loads N times, in turns (default 1)"
)
opt.add_load(parser)
opt.add_group(parser)
parser.add_argument(
    "--profile", type=opt.count_or_none, metavar="REPLICA", help="profile this replica, which makes it slower"
)
opt.add_output(parser)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def measure(options: Namespace) -> Result:
    """All loads in all groups, and this in rounds; a group is started anew for each."""
    batches: list[int | None] = options.batch or [None]
    if len(batches) > 1 and options.home is not None:
        raise opt.Misused("several values of --batch need several groups: leave out --home")
    if options.profile is not None and (len(batches) > 1 or options.rounds > 1):
        raise opt.Misused("--profile shows one replica of one group: give one value of --batch, and no --rounds")
    if options.profile is not None and options.profile >= options.replicas:
        raise opt.Misused(f"there is no replica {options.profile}: use 0 to {options.replicas - 1}")
    profiled: dict[str, Any] = {}
    with ExitStack() as stack:
        homes = [
            stack.enter_context(
                made_home(
                    options.home,
                    replicas=options.replicas,
                    keep=options.keep,
                    protocol=None if batch is None else replace(Settings(), batch_count=batch),
                )
            )
            for batch in batches
        ]
        setting = _setting(options, homes[0])
        say(setting.line)
        groups = [partial(_measure_group, options, home, profiled) for home in homes]
        return setting.result(in_turns(options.rounds, groups, say), **profiled)


def _setting(options: Namespace, home: Home) -> Setting:
    for size, operations in product(options.size, options.operations):
        opt.check_payload(size, operations, home.genesis.max_payload_bytes)
    config = {
        **group_config(home),
        **opt.load_config(options),
        "clients": "closed loop: a key each, one transaction under way, every receipt verified",
        "rounds": options.rounds,
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


def _measure_group(options: Namespace, home: Home, profiled: dict[str, Any]) -> list[dict[str, Any]]:
    """A row of each load. If a replica is to be profiled, its profile comes into `profiled`."""
    with running_group(home, profiled=options.profile) as group:
        measured = [_measure(group, load) for load in _loads(options)]
    if group.profile is not None:
        total = sum(one.total for one in measured)
        profiled |= {"profiled_replica": options.profile, "profile": profile_rows(group.profile, total)}
    return [{"batch_count": home.config.protocol.batch_count} | one.row() for one in measured]


def _measure(group: LocalGroup, load: Load) -> Measured:
    say(f"batches of {group.home.config.protocol.batch_count}, {load}: {load.seconds:g} s …")
    measured = run_load(group, load)
    group.check()
    opt.say_troubles(measured)
    return measured


# ── showing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def draw(result: Result) -> list["Picture"]:
    """Throughput and latency by clients, and throughput by each of the others that has several values."""
    import throughput_pictures  # noqa: PLC0415

    return throughput_pictures.draw(result)


if __name__ == "__main__":
    sys.exit(Script(parser, measure, text, show, draw).main())
