"""What hostile clients and strangers cost honest ones: throughput and latency beside each, and what it is worth to it.

Honest clients are alone, then beside a hostile one, then alone again, then beside a control: a process that takes as
much processor time as the hostile one took and sends nothing. Whoever runs on the group's machine costs it that much;
what the hostile one costs beyond it, it costs by what it sends.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from hostile_tables import failure, is_good, line, show, text
from script import Script

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench import options as opt
from bftledger.bench.hostile_plan import ALL, KINDS, Hostile, hostiles
from bftledger.bench.hostile_run import AT, Setup, run
from bftledger.bench.results import Result, Setting, say, write
from bftledger.home.template import Template
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = f"""\
  python bench/hostile.py --hostile greedy
  python bench/hostile.py --hostile greedy:4 forged:1 idle:300 --seconds 4,12,4,4 --html hostile.html
  python bench/hostile.py --hostile forged:1 reads:1 --rate 100,1000,10000,max    what is kept against the rate
  python bench/hostile.py --hostile greedy:1 --honest-rate 200    transactions are due, whatever becomes of others
  python bench/hostile.py --hostile all --json hostile.json --html hostile.html    about a quarter of an hour
  python bench/hostile.py --from hostile.json --html hostile.html    shows it again

who there is:
{"".join(f"  {kind.name:<13} {kind.does}{chr(10)}" for kind in KINDS.values())}"""

STEP = 0.1
"""Seconds of a bucket of the timeline."""


def command_line() -> ArgumentParser:
    """The options."""
    parser = opt.parser(__doc__ or "", EXAMPLES)
    add = parser.add_argument
    add(
        "--hostile",
        nargs="+",
        default=[ALL],
        metavar="NAME",
        help="NAME[:CONNECTIONS], so many to each replica, each in a run of its own; all for all there are (default "
        "all). Without CONNECTIONS one run over one and one over several; for idle only a crowd",
    )
    add(
        "--rate",
        type=_rates,
        default="max",
        metavar="R,…",
        help="frames per second of a hostile client over all its connections, each in a run of its own; max for as "
        "many as it can (default max)",
    )
    add("--at", choices=AT, default=AT[0], help="whom the hostile one turns to, as seen from view 0 (default all)")
    add(
        "--seconds",
        type=_parts,
        default=(4.0, 8.0, 4.0, 4.0),
        metavar="CLEAN,ATTACKED,AFTER,CONTROL",
        help="length of the parts of each run (default 4,8,4,4)",
    )
    add("--replicas", type=opt.count, default=4, metavar="N", help="size of the groups (default 4)")
    add("--clients", type=opt.count, default=8, metavar="N", help="honest clients, in a closed loop (default 8)")
    add(
        "--honest-rate",
        type=lambda text: opt.rates(text)[0],
        metavar="R",
        help="open loop instead: so many honest transactions are due per second, and are late from then on",
    )
    add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of an honest transaction (default 200)")
    add(
        "--connections",
        type=opt.count_or_none,
        default=0,
        metavar="N",
        help="that the honest clients of a process share; 0: each has its own (default 0)",
    )
    add("--processes", type=opt.count, default=1, metavar="N", help="that the honest clients share (default 1)")
    add("--warmup", type=opt.seconds, default=1.0, metavar="SECONDS", help="before the clean part (default 1)")
    add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until a client gives up (default 30)")
    add("--seed", type=int, default=1, help="of keys, payloads and frames (default 1)")
    add("--keep", type=Path, metavar="DIR", help="leave the home of each run there, as DIR/NAME")
    opt.add_output(parser)
    return parser


def measure(options: Namespace) -> Result:
    """All runs, one after the other; the JSON file is written after each."""
    try:
        wanted = hostiles(options.hostile, options.rate)
    except OperatorError as error:
        raise opt.Misused(str(error)) from None
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    setting = Setting.take(
        "hostile",
        seed=options.seed,
        replicas=options.replicas,
        directory=options.keep or Path(gettempdir()),
        config=_config(options),
    )
    say(setting.line)
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for count, hostile in enumerate(wanted, 1):
        say(f"[{count}/{len(wanted)}] {hostile.title} …")
        try:
            row = run(hostile, _setup(options)) | {"command": _command(options, hostile)}
        except BftLedgerError as error:
            failed.append({"title": hostile.title, "error": str(error)})
            say(failure(failed[-1]))
            continue
        rows.append(row)
        say(f"  {line(row)}")
        if options.json not in (None, "-"):
            write(setting.result(rows, not_measured=failed), options.json)
    if not rows:
        raise OperatorError(f"{failed[0]['title']}: {failed[0]['error']}")
    return setting.result(rows, not_measured=failed)


def _setup(options: Namespace) -> Setup:
    return Setup(
        replicas=options.replicas,
        clients=options.clients,
        honest_rate=options.honest_rate,
        size=options.size,
        connections=options.connections,
        processes=options.processes,
        warmup_s=options.warmup,
        timeout_s=options.timeout,
        parts_s=options.seconds,
        bucket_s=min(STEP, min(options.seconds) / 4),
        at=options.at,
        seed=options.seed,
        keep=options.keep,
    )


def _config(options: Namespace) -> dict[str, Any]:
    load = "closed loop: one transaction under way each"
    if options.honest_rate is not None:
        load = f"open loop: {options.honest_rate:g}/s are due, latency from that moment"
    return {
        "replicas": options.replicas,
        "app": Template().app,
        "durable": "SQLite, WAL, synchronous=FULL: every vote and block before what depends on it is sent",
        "clients": options.clients,
        "load": f"{load}; a key each, every receipt verified",
        "size": options.size,
        "connections_per_process": options.connections or "one per client",
        "processes": options.processes,
        "hostile_is": "one process at the same priority, at an address of its own, connections to each replica",
        "at": options.at,
        "rates": ["max" if rate is None else rate for rate in options.rate],
        "control_is": "a process that takes as much processor time as the hostile one took, and sends nothing",
        "seconds": list(options.seconds),
        "warmup_s": options.warmup,
        "timeout_s": options.timeout,
        "protocol": asdict(Settings()),
    }


def _command(options: Namespace, hostile: Hostile) -> str:
    """What measures this one again."""
    words = [f"python bench/hostile.py --hostile {hostile.name}"]
    if hostile.rate is not None:
        words.append(f"--rate {hostile.rate:g}")
    usual = command_line()
    for name in ("at", "replicas", "clients", "honest_rate", "size", "connections", "processes", "warmup", "timeout"):
        value = getattr(options, name)
        if value != usual.get_default(name):
            words.append(f"--{name.replace('_', '-')} {value}")
    if options.seconds != usual.get_default("seconds"):
        words.append(f"--seconds {','.join(f'{part:g}' for part in options.seconds)}")
    if options.seed != usual.get_default("seed"):
        words.append(f"--seed {options.seed}")
    return " ".join(words)


def draw(result: Result) -> Sequence["Picture"]:
    """What is kept beside each, how long honest clients wait, what is kept against the rate, and all runs."""
    import hostile_pictures  # noqa: PLC0415

    return hostile_pictures.draw(result["results"])


def _rates(text: str) -> list[float | None]:
    return [None if part == "max" else opt.rates(part)[0] for part in text.split(",")]


def _parts(value: str) -> tuple[float, float, float, float]:
    parts = value.split(",")
    if len(parts) != 4:
        raise ArgumentTypeError(f"{value!r} is not four times in seconds, as 4,8,4,4")
    clean, attacked, after, control = (opt.seconds(part) for part in parts)
    return clean, attacked, after, control


SCRIPT = Script(command_line(), measure, text, show, draw, is_good=is_good)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
