"""What attacks cost: throughput and latency before, while and after replicas lie, and the verdict on the ledgers."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from page import Shown
from script import Script

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench import options as opt
from bftledger.bench.attack import Setup, run
from bftledger.bench.attack_cells import AIM, is_slow
from bftledger.bench.attack_page import page
from bftledger.bench.attack_plan import ALL, Attack, Place, attacks
from bftledger.bench.results import Result, Setting, read, say, write
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
  python bench/adversary.py --behaviour all --only new-view certificates --skip pass-off
  python bench/adversary.py --from attacks.json --html attacks.html    shows it again"""

STEP = 0.1
"""Seconds of a bucket of the timeline."""


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
    add("--resume", action="store_true", help="leave out what is in the --json file already, and add to it")
    add("--replicas", type=opt.count, default=4, metavar="N", help="size of the groups (default 4)")
    add("--clients", type=opt.count, default=16, metavar="N", help="closed-loop clients (default 16)")
    add("--size", type=opt.count, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
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
        raise OperatorError(f"--replicas {options.replicas}: nobody may lie in so small a group; take 4 or more")
    place = None if options.place is None else Place(options.place)
    wanted = attacks(options.behaviour, faulty=faulty, only=options.only, skip=options.skip, place=place)
    if options.resume and options.json in (None, "-"):
        raise OperatorError("--resume goes on with the results in a file: name it with --json")
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    setting = Setting.take(
        "adversary",
        seed=options.seed,
        replicas=options.replicas,
        directory=options.keep or Path(gettempdir()),
        config=_config(options, faulty),
    )
    say(setting.line)
    done, failed = _known(options, setting), []
    for number, attack in enumerate(wanted, 1):
        if attack.name in done:
            say(f"[{number}/{len(wanted)}] {attack.name}: known")
            continue
        say(f"[{number}/{len(wanted)}] {attack.name} …")
        try:
            done[attack.name] = {**run(attack, _setup(options)), "command": _command(options, attack)}
        except BftLedgerError as error:
            say(f"  not measured: {error}")
            failed.append({"behaviour": attack.name, "error": str(error)})
            continue
        say(f"  {_line(done[attack.name])}")
        if options.json not in (None, "-"):
            write(setting.result(list(done.values()), not_measured=failed), options.json)
    if not done:
        raise OperatorError(f"{failed[0]['behaviour']}: {failed[0]['error']}")
    return setting.result(list(done.values()), not_measured=failed)


def _known(options: Namespace, setting: Setting) -> dict[str, dict[str, Any]]:
    """The rows that are there already, which must be of the same configuration. Raises `OperatorError`."""
    path = Path(options.json or "")
    if not options.resume or not path.is_file():
        return {}
    before = read(path)
    same = before["bench"] == "adversary" and before["config"] == {**setting.config}
    if not same or before["seed"] != setting.seed:
        raise OperatorError(f"{path}: was measured with other options: leave out --resume, or name another file")
    return {row["behaviour"]: row for row in before["results"]}


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


def _command(options: Namespace, attack: Attack) -> str:
    """What measures this one again."""
    words = ["python bench/adversary.py --behaviour", f"{attack.name}:{attack.count}"]
    usual = command_line()
    for name in ("replicas", "clients", "size", "connections", "processes", "warmup", "timeout", "seed", "place"):
        if (value := getattr(options, name)) != usual.get_default(name):
            words.append(f"--{name} {value}")
    if options.seconds != usual.get_default("seconds"):
        words.append(f"--seconds {','.join(f'{part:g}' for part in options.seconds)}")
    return " ".join(words)


def text(result: Result) -> str:
    """A line per run."""
    rates = f"{'clean':>7} {'attacked':>8} {'after':>7} {'kept':>5}"
    head = f"{'behaviour':<22} {rates} {'gap':>8} {'views':>5}  {'convicted':<10} verdict"
    lines = [_columns(row) for row in result["results"]]
    wrong = [
        f"  {row['behaviour']}: {name}: {found['text']}"
        for row in result["results"]
        for name, found in row["verdict"].items()
        if not found["ok"]
    ]
    wrong += [f"  {one['behaviour']}: not measured: {one['error']}" for one in result["not_measured"]]
    return "\n".join([head, *lines, *wrong])


def _columns(row: Mapping[str, Any]) -> str:
    rates = [row["phases"][name]["tx_per_s"] for name in ("clean", "attacked", "after")]
    guilty = ", ".join(str(i) for i in sorted({one["replica"] for one in row["evidence"]}))
    return (
        f"{row['behaviour']:<22} {rates[0]:>7,.0f} {rates[1]:>8,.0f} {rates[2]:>7,.0f} {_share(row['ratio']):>5} "
        f"{row['longest_gap_ms']:>5,.0f} ms {row['view_changes']:>5}  {guilty or '-':<10} "
        f"{'safe' if row['ok'] else 'VIOLATED'}{f', below {AIM:.0%}' if is_slow(row) else ''}"
        f"{'' if row['deviations'] else ', no occasion'}"
    )


def _line(row: Mapping[str, Any]) -> str:
    found = [f"kept {_share(row['ratio'])}", f"longest gap {row['longest_gap_ms']:,.0f} ms"]
    if row["replaced_s"] is not None:
        found.append(f"replaced after {row['replaced_s']:.2f} s, then {_share(row['ratio_replaced'])}")
    if row["evidence"]:
        found.append(f"convicted of {', '.join(sorted({one['rule'] for one in row['evidence']}))}")
    found.append("safe" if row["ok"] else "VIOLATED")
    found += [] if row["deviations"] else ["no occasion to deviate"]
    return ", ".join(found)


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.0%}"


def draw(result: Result) -> Sequence["Picture"]:
    """What each attack leaves of the throughput, and all runs side by side."""
    import attack_pictures  # noqa: PLC0415

    return attack_pictures.draw(result["results"], AIM)


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
    is_good=lambda result: all(row["ok"] for row in result["results"]) and not result["not_measured"],
)

if __name__ == "__main__":
    sys.exit(SCRIPT.main())
