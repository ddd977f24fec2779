"""What hostile clients and strangers cost honest ones: throughput and latency beside each, and what it is worth to it.

Honest clients are alone, then beside a hostile one, then alone again, then beside a control: a process that takes as
much processor time as the hostile one took and sends nothing. Whoever runs on the group's machine costs it that much;
what the hostile one costs beyond it, it costs by what it sends.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from hostile_tables import failure, is_good, line, show, text
from script import Script
from staging_options import add_load, add_parts, config, one_rate, staging, words

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench import options as opt
from bftledger.bench.hostile_plan import ALL, KINDS, Hostile, hostiles
from bftledger.bench.hostile_run import AT, Setup, run
from bftledger.bench.results import Result, Setting, say, write
from bftledger.home.files import make_directory

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

_SAID = ("at", "replicas", "clients", "honest_rate", "size", "connections", "processes", "warmup", "timeout", "seed")
"""Options that make a run what it is."""


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
    add_parts(parser, (4.0, 8.0, 4.0, 4.0), "CLEAN,ATTACKED,AFTER,CONTROL")
    add("--replicas", type=opt.count, default=4, metavar="N", help="size of the groups (default 4)")
    add("--clients", type=opt.count, default=8, metavar="N", help="honest clients, in a closed loop (default 8)")
    add(
        "--honest-rate",
        type=one_rate,
        metavar="R",
        help="open loop instead: so many honest transactions are due per second, and are late from then on",
    )
    add(
        "--connections",
        type=opt.count_or_none,
        default=0,
        metavar="N",
        help="that the honest clients of a process share; 0: each has its own (default 0)",
    )
    add_load(parser, seed_is="keys, payloads and frames")
    opt.add_output(parser)
    return parser


def measure(options: Namespace) -> Result:
    """All runs, one after the other; the JSON file is written after each."""
    try:
        wanted = hostiles(options.hostile, options.rate)
    except OperatorError as error:
        raise opt.Misused(str(error)) from None
    if options.keep is not None:
        make_directory(options.keep)
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
            setup = Setup(at=options.at, rate=options.honest_rate, **staging(options))
            row = run(hostile, setup) | {"command": _command(options, hostile)}
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


def _config(options: Namespace) -> dict[str, Any]:
    load = "closed loop: one transaction under way each"
    if options.honest_rate is not None:
        load = f"open loop: {options.honest_rate:g}/s are due, latency from that moment"
    return config(options) | {
        "load": f"{load}; a key each, every receipt verified",
        "connections_per_process": options.connections or "one per client",
        "hostile_is": "one process at the same priority, at an address of its own, connections to each replica",
        "at": options.at,
        "rates": ["max" if rate is None else rate for rate in options.rate],
        "control_is": "a process that takes as much processor time as the hostile one took, and sends nothing",
    }


def _command(options: Namespace, hostile: Hostile) -> str:
    """What measures this one again."""
    said = [f"python bench/hostile.py --hostile {hostile.name}"]
    if hostile.rate is not None:
        said.append(f"--rate {hostile.rate:g}")
    return " ".join([*said, *words(options, command_line(), _SAID)])


def draw(result: Result) -> Sequence["Picture"]:
    """What is kept beside each, how long honest clients wait, what is kept against the rate, and all runs."""
    import hostile_pictures  # noqa: PLC0415

    return hostile_pictures.draw(result["results"])


def _rates(text: str) -> list[float | None]:
    return [None if part == "max" else opt.rates(part)[0] for part in text.split(",")]


SCRIPT = Script(command_line(), measure, text, show, draw, is_good=is_good)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
