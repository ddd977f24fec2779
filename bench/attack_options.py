"""The options of `adversary.py`."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from bftledger.bench import options as opt
from bftledger.bench.attack_plan import Place
from bftledger.bench.attack_sweep import SWEEPS

EXAMPLES = """\
  python bench/adversary.py --behaviour slow
  python bench/adversary.py --behaviour equivocate censor:1 slow:80:1 --seconds 4,12,6 --html attacks.html
  python bench/adversary.py --behaviour mute:commit+stutter --keep homes    two ways at once; leaves the ledgers
  python bench/adversary.py --behaviour equivocate:2 --replicas 7
  python bench/adversary.py --behaviour all --replicas 7 --collude    two traitors that share their keys
  python bench/adversary.py --behaviour slow --rate 200    open loop: latency counts from when it was due
  python bench/adversary.py --sweep --html sweep.html    from which strength on a primary is replaced
  python bench/adversary.py --sweep slow:25,30,35 flood
  python bench/adversary.py --behaviour all --json attacks.json --html attacks.html
  python bench/adversary.py --behaviour all --json attacks.json --resume    goes on where it was interrupted
  python bench/adversary.py --behaviour all --repeat 3 --controls 4 --json attacks.json
  python bench/adversary.py --behaviour all --only new-view certificates --skip pass-off
  python bench/adversary.py --from attacks.json --html attacks.html    shows it again"""


def command_line(about: str = "") -> ArgumentParser:
    """All of them; `about`: what the script does."""
    parser = opt.parser(about, EXAMPLES)
    add = parser.add_argument
    add(
        "--behaviour",
        "-b",
        nargs="+",
        default=None,
        metavar="NAME",
        help="NAME[:COUNT] or NAME:ARGUMENT:COUNT, each in a run of its own; NAME+NAME for two ways in one run; "
        "all for the whole catalogue, with floods that are some (default all, but for --sweep; see "
        "bftledger-adversary list). Without COUNT f replicas lie",
    )
    add(
        "--sweep",
        nargs="*",
        default=None,
        metavar="NAME",
        help=f"a behaviour at many strengths, a run each: NAME or NAME:STRENGTH,STRENGTH (default {', '.join(SWEEPS)}; "
        "percent of the request time-out, or frames to each replica every 100 ms); and two more between the strongest "
        "that kept its view and the weakest that was replaced",
    )
    add("--only", nargs="+", default=[], metavar="PART", help="of these only those with one of these parts in the name")
    add("--skip", nargs="+", default=[], metavar="PART", help="and none with one of these")
    add("--place", choices=[place.value for place in Place], help="who lies (default: by the behaviour's kind)")
    add("--collude", action="store_true", help="traitors of a run hold one another's keys; all: those that use them")
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
        help="honest runs in each round, of each occasion: the noise (default 2 with all and --sweep, else 0)",
    )
    add("--resume", action="store_true", help="leave out what is in the --json file already, and add to it")
    add("--replicas", type=opt.count, default=4, metavar="N", help="size of the groups (default 4)")
    add("--clients", type=opt.count, default=16, metavar="N", help="clients (default 16)")
    add(
        "--rate",
        type=_rate,
        metavar="R",
        help="open loop: so many transactions are due per second, and wait from then on; half of what the group gets "
        "done is a good choice (default: a closed loop, each client with one under way)",
    )
    add("--size", type=opt.size, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
    add("--connections", type=opt.count, default=4, metavar="N", help="that the clients share (default 4)")
    add("--processes", type=opt.count, default=1, metavar="N", help="that the clients share (default 1)")
    add("--warmup", type=opt.seconds, default=1.0, metavar="SECONDS", help="before the clean part (default 1)")
    add("--timeout", type=opt.seconds, default=30.0, metavar="SECONDS", help="until a client gives up (default 30)")
    add("--seed", type=int, default=1, help="of keys, payloads, and what traitors do by chance (default 1)")
    add("--keep", type=Path, metavar="DIR", help="leave the home of each run there, as DIR/NAME")
    opt.add_output(parser)
    return parser


def _rate(value: str) -> float:
    found = opt.rates(value)
    if len(found) != 1:
        raise ArgumentTypeError(f"{value!r} is not one rate per second")
    return found[0]


def _parts(value: str) -> tuple[float, float, float]:
    parts = value.split(",")
    if len(parts) != 3:
        raise ArgumentTypeError(f"{value!r} is not three times in seconds, as 4,8,4")
    clean, attacked, after = (opt.seconds(part) for part in parts)
    return clean, attacked, after
