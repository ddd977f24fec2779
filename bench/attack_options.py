"""The options of `adversary.py`."""

from argparse import ArgumentParser

from staging_options import add_load, add_parts, one_rate

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
    add_parts(parser, (4.0, 8.0, 4.0), "CLEAN,ATTACKED,AFTER")
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
        type=one_rate,
        metavar="R",
        help="open loop: so many transactions are due per second, and wait from then on; half of what the group gets "
        "done is a good choice (default: a closed loop, each client with one under way)",
    )
    add("--connections", type=opt.count, default=4, metavar="N", help="that the clients share (default 4)")
    add_load(parser, seed_is="keys, payloads, and what traitors do by chance")
    opt.add_output(parser)
    return parser
