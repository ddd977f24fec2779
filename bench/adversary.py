"""What attacks cost: throughput and latency before, while and after replicas lie, and the verdict on the ledgers."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from page import Shown
from script import Script

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench import options as opt
from bftledger.bench.attack import Setup, run
from bftledger.bench.attack_cells import AIM
from bftledger.bench.attack_lines import failure, is_good, line, text
from bftledger.bench.attack_page import page
from bftledger.bench.attack_plan import ALL, Attack, Place, attacks
from bftledger.bench.attack_series import Series, known, order
from bftledger.bench.results import Result, Setting, say, write
from bftledger.home.template import Template
from bftledger.pbft.settings import Settings

if TYPE_CHECKING:
    from pictures import Picture

EXAMPLES = """\
  python bench/adversary.py --behaviour slow
  python bench/adversary.py --behaviour equivocate censor:1 slow:80:1 --seconds 4,12,6 --html attacks.html
  python bench/adversary.py --behaviour mute:commit+stutter --keep homes    two ways at once; leaves the ledgers
  python bench/adversary.py --behaviour equivocate:2 --replicas 7
  python bench/adversary.py --behaviour all --json attacks.json --html attacks.html
  python bench/adversary.py --behaviour all --json attacks.json --resume    goes on where it was interrupted
  python bench/adversary.py --behaviour all --repeat 3 --controls 4 --json attacks.json
  python bench/adversary.py --behaviour all --only new-view certificates --skip pass-off
  python bench/adversary.py --from attacks.json --html attacks.html    shows it again"""

STEP = 0.1
"""Seconds of a bucket of the timeline."""

CONTROLS = 2
"""So many honest runs are enough to see how large the noise is."""


def command_line() -> ArgumentParser:
    """The options."""
    parser = opt.parser(__doc__ or "", EXAMPLES)
    add = parser.add_argument
    add(
        "--behaviour",
        "-b",
        nargs="+",
        default=[ALL],
        metavar="NAME",
        help="NAME[:COUNT] or NAME:ARGUMENT:COUNT, each in a run of its own; NAME+NAME for two ways in one run; "
        "all for the whole catalogue (default all; bftledger-adversary list shows it). Without COUNT f replicas lie",
    )
    add("--only", nargs="+", default=[], metavar="PART", help="of these only those with one of these parts in the name")
    add("--skip", nargs="+", default=[], metavar="PART", help="and none with one of these")
    add("--place", choices=[place.value for place in Place], help="who lies (default: whoever can do most harm)")
    add(
        "--seconds",
        type=_parts,
        default=(4.0, 8.0, 4.0),
        metavar="CLEAN,ATTACKED,AFTER",
        help="length of the parts of each run (default 4,8,4)",
    )
    add("--repeat", type=opt.count, default=1, metavar="N", help="rounds: so many runs of each behaviour (default 1)")
    add(
        "--controls",
        type=opt.count_or_none,
        metavar="N",
        help="honest runs in each round, which show the noise (default 2 with all, else 0)",
    )
    add("--resume", action="store_true", help="leave out what is in the --json file already, and add to it")
    add("--replicas", type=opt.count, default=4, metavar="N", help="size of the groups (default 4)")
    add("--clients", type=opt.count, default=16, metavar="N", help="closed-loop clients (default 16)")
    add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
    add("--connections", type=opt.count, default=4, metavar="N", help="that the clients share (default 4)")
    add("--processes", type=opt.count, default=1, metavar="N", help="that the clients share (default 1)")
    add("--warmup", type=opt.seconds, default=1.0, metavar="SECONDS", help="before the clean part (default 1)")
    add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until a client gives up (default 30)")
    add("--seed", type=int, default=1, help="of keys, payloads, and what traitors do by chance (default 1)")
    add("--keep", type=Path, metavar="DIR", help="leave the home of each run there, as DIR/NAME")
    opt.add_output(parser)
    return parser


def measure(options: Namespace) -> Result:
    """All runs, one after the other; the JSON file is written after each."""
    faulty = (options.replicas - 1) // 3
    if not faulty:
        raise opt.Misused(f"--replicas {options.replicas}: nobody may lie in so small a group; take 4 or more")
    place = None if options.place is None else Place(options.place)
    try:
        wanted = attacks(options.behaviour, faulty=faulty, only=options.only, skip=options.skip, place=place)
    except OperatorError as error:
        raise opt.Misused(str(error)) from None
    if options.resume and options.json in (None, "-"):
        raise opt.Misused("--resume goes on with the results in a file: name it with --json")
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    controls = options.controls
    if controls is None:
        controls = CONTROLS if ALL in options.behaviour else 0
    setting = Setting.take(
        "adversary",
        seed=options.seed,
        replicas=options.replicas,
        directory=options.keep or Path(gettempdir()),
        config=_config(options, faulty) | {"repeat": options.repeat, "controls": controls},
    )
    say(setting.line)
    series = Series(setting, known(Path(options.json), setting) if options.resume else None)
    runs = list(order(wanted, repeat=options.repeat, controls=controls))
    for count, (attack, number) in enumerate(runs, 1):
        name = f"[{count}/{len(runs)}] {attack.name}{f', run {number}' if number > 1 else ''}"
        if series.has(attack, number):
            say(f"{name}: known")
            continue
        say(f"{name} …")
        try:
            found = run(attack, _setup(options), number)
        except BftLedgerError as error:
            series.fail(attack, error)
            say(failure(series.failed[-1]))
            continue
        say(f"  {line(found)}")
        series.add(attack, found | {"command": _command(options, attack, found["seed"])})
        if options.json not in (None, "-"):
            write(series.result(), options.json)
    if series.is_empty:
        raise OperatorError(f"{series.failed[0]['behaviour']}: {series.failed[0]['error']}")
    return series.result()


def _setup(options: Namespace) -> Setup:
    return Setup(
        replicas=options.replicas,
        clients=options.clients,
        size=options.size,
        connections=options.connections,
        processes=options.processes,
        warmup_s=options.warmup,
        timeout_s=options.timeout,
        parts_s=options.seconds,
        bucket_s=min(STEP, min(options.seconds) / 4),
        seed=options.seed,
        keep=options.keep,
    )


def _config(options: Namespace, faulty: int) -> dict[str, Any]:
    return {
        "replicas": options.replicas,
        "faulty": faulty,
        "app": Template().app,
        "durable": "SQLite, WAL, synchronous=FULL: every vote and block before what depends on it is sent",
        "clients": options.clients,
        "load": "closed loop: a key each, one transaction under way, every receipt verified",
        "size": options.size,
        "connections": options.connections,
        "processes": options.processes,
        "seconds": list(options.seconds),
        "warmup_s": options.warmup,
        "timeout_s": options.timeout,
        "place": options.place or "where each behaviour can do most harm",
        "protocol": asdict(Settings()),
    }


def _command(options: Namespace, attack: Attack, seed: int) -> str | None:
    """What measures this one again; nothing for a control."""
    if attack.is_control:
        return None
    words = ["python bench/adversary.py --behaviour", f"{attack.name}:{attack.count}"]
    usual = command_line()
    for name in ("replicas", "clients", "size", "connections", "processes", "warmup", "timeout", "seed", "place"):
        value = seed if name == "seed" else getattr(options, name)
        if value != usual.get_default(name):
            words.append(f"--{name} {value}")
    if options.seconds != usual.get_default("seconds"):
        words.append(f"--seconds {','.join(f'{part:g}' for part in options.seconds)}")
    return " ".join(words)


def draw(result: Result) -> Sequence["Picture"]:
    """What each attack leaves of the throughput, and all runs side by side."""
    import attack_pictures  # noqa: PLC0415

    return attack_pictures.draw(result["results"], AIM, result.get("controls", []))


def show(_: Result) -> Shown:
    """The page is made by `attack_page`."""
    raise AssertionError("this script composes its page")


def _parts(value: str) -> tuple[float, float, float]:
    parts = value.split(",")
    if len(parts) != 3:
        raise ArgumentTypeError(f"{value!r} is not three times in seconds, as 4,8,4")
    clean, attacked, after = (opt.seconds(part) for part in parts)
    return clean, attacked, after


SCRIPT = Script(
    parser=command_line(),
    measure=measure,
    text=text,
    show=show,
    draw=draw,
    compose=page,
    is_good=is_good,
)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
