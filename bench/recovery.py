"""How a group recovers: the outage after its primary was killed, and how long a replica takes to catch up."""

import sys
import tempfile
from argparse import BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recovery_tables import catch_up_line, kill_line, live, show, split, text
from script import Script

from bftledger.bench import options as opt
from bftledger.bench.catch_up import Lag, catch_up
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.kills import kill_primary
from bftledger.bench.measured import Load
from bftledger.bench.outage import BACK
from bftledger.bench.recovery import summary
from bftledger.bench.results import Result, Setting, group_config, say
from bftledger.bench.tally import Tally
from bftledger.home.home import Home

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/recovery.py
  python bench/recovery.py --kills 20 --lags none --html kills.html
  python bench/recovery.py --kills 0 --lags 200,200,1000,5000 --no-load-while
  python bench/recovery.py --kills 2 --before 1 --after 3 --lags 50    in a minute
  python bench/recovery.py --from recovery.json --html recovery.html    shows it again"""

parser = opt.parser(__doc__ or "", EXAMPLES)
add = parser.add_argument
add(
    "--kills", type=opt.count_or_none, default=5, metavar="K", help="so many primaries, one after the other (default 5)"
)
add("--before", type=opt.seconds, default=3.0, metavar="SECONDS", help="of load before each kill (default 3)")
add("--after", type=opt.seconds, default=6.0, metavar="SECONDS", help="of load after it (default 6)")
add("--bucket", type=opt.seconds, default=0.1, metavar="SECONDS", help="of the timeline (default 0.1)")
add(
    "--lags",
    type=lambda text: [] if text == "none" else opt.counts(text),
    default="100,500,2000",
    metavar="N,…",
    help="a replica misses so many blocks; none to leave catching up out (default 100,500,2000)",
)
add(
    "--load-while",
    action=BooleanOptionalAction,
    default=True,
    help="let it catch up with each lag once more, while the load goes on (the default)",
)
add("--clients", type=opt.count, default=16, metavar="N", help="closed-loop clients (default 16)")
add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
add("--warmup", type=opt.seconds, default=1.0, metavar="SECONDS", help="of load that does not count (default 1)")
add("--processes", type=opt.count, default=1, metavar="N", help="that the clients share (default 1)")
add("--connections", type=opt.count, default=1, metavar="N", help="that the clients of a process share (default 1)")
add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until a client gives up (default 30)")
add("--seed", type=int, default=1, help="of keys and payloads (default 1)")
opt.add_group(parser)
opt.add_output(parser)


def measure(options: Namespace) -> Result:
    """The kills, then the lags, all in one group; at the end the verdict on its ledgers."""
    if not options.kills and not options.lags:
        raise opt.Misused("--kills 0 --lags none: leaves nothing to measure")
    if options.bucket > min(options.before, options.after):
        raise opt.Misused(f"--bucket {options.bucket:g}: is longer than --before or --after")
    with (
        made_home(options.home, replicas=options.replicas, keep=options.keep) as home,
        tempfile.TemporaryDirectory(prefix="bftledger-receipts-") as receipts,
    ):
        setting = Setting.take(
            "recovery",
            seed=options.seed,
            replicas=options.replicas,
            directory=home.path,
            config=_config(options, home),
        )
        say(setting.line)
        tally = Tally(Path(receipts))
        with running_group(home) as group:
            rows = [*_kills(options, group, tally), *_lags(options, group, tally)]
        say("the verdict …")
        verdict = tally.verdict(home)
    return setting.result(rows, **summary(rows, verdict))


def _kills(options: Namespace, group: LocalGroup, tally: Tally) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    load = _load(options, seconds=options.before + options.after)
    for number in range(1, options.kills + 1):
        say(f"[kill {number}/{options.kills}] {load}: {options.before:g} s, then {options.after:g} s …")
        rows.append(kill_primary(group, load, tally, before_s=options.before, bucket_s=options.bucket))
        say(f"  {kill_line(rows[-1])}")
    return rows


def _lags(options: Namespace, group: LocalGroup, tally: Tally) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if not options.lags:
        return rows
    for is_loaded in (False, True) if options.load_while else (False,):
        for blocks in (0, *options.lags):
            lag = Lag(blocks=blocks, is_loaded=is_loaded)
            say(f"[catch up] {lag} …")
            rows.append(catch_up(group, lag, _load(options), tally))
            say(f"  {catch_up_line(rows[-1])}")
    return rows


def _load(options: Namespace, seconds: float = 0.0) -> Load:
    return Load(
        clients=options.clients,
        seconds=seconds,
        size=options.size,
        warmup_s=options.warmup,
        processes=options.processes,
        connections=options.connections,
        seed=options.seed,
        timeout_s=options.timeout,
    )


def _config(options: Namespace, home: Home) -> dict[str, Any]:
    return {
        **group_config(home),
        "clients": options.clients,
        "load": "closed loop: a key each, one transaction under way, every receipt verified",
        "size": options.size,
        "processes": options.processes,
        "connections_per_process": options.connections,
        "before_s": options.before,
        "after_s": options.after,
        "bucket_s": options.bucket,
        "outage_is": "from the kill until the first receipt of a transaction that began after it",
        "back_is": f"a bucket after the outage with {BACK:.0%} of the throughput before the kill, of a replica less",
        "level_is": "at the height of the others, asked up to 100 times a second; counted from its process's start",
        "lags": options.lags,
        "load_while": options.load_while,
    }


def draw(result: Result) -> list["Picture"]:
    """The throughput around the kills, how the gaps are distributed, and catching up by lag."""
    import recovery_pictures  # noqa: PLC0415

    return recovery_pictures.draw(*split(result), result["fits"], live(result))


SCRIPT = Script(parser, measure, text, show, draw, is_good=lambda result: bool(result["ok"]))

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
