"""Where each microsecond of a transaction goes: a replica's processor time, stage by stage, without the network's."""

import argparse
import json
import pstats
import sys
from dataclasses import asdict
from typing import Any

from bftledger.bench.core import Cost, Work, measure, profile
from bftledger.bench.stages import SIGNATURES

EXAMPLES = """\
  python bench/breakdown.py
  python bench/breakdown.py --batch 1,16,128 --transactions 5000 --json
  python bench/breakdown.py --batch 128 --profile        the functions of a backup"""

PROFILE_LINES = 45


def row(role: str, work: Work, cost: Cost) -> dict[str, Any]:
    """A replica's row of `results`."""
    return {
        "role": role,
        "batch": work.batch,
        "size": work.size,
        "us_per_tx": round(cost.total_us, 2),
        "us_per_tx_beyond_checks": round(cost.beyond_checks_us, 2),
        "stages_us_per_tx": {stage: round(us, 2) for stage, us in cost.stages.items()},
    }


def show(rows: list[dict[str, Any]]) -> None:
    """A column for each row."""
    print(f"{'µs of processor time per transaction':38}" + "".join(f"{row['role']:>9}" for row in rows))
    print(f"{'  transactions at once':38}" + "".join(f"{row['batch']:>9}" for row in rows))
    for stage in rows[0]["stages_us_per_tx"]:
        print(f"{stage:38}" + "".join(f"{row['stages_us_per_tx'][stage]:9.1f}" for row in rows))
    print(f"{'sum':38}" + "".join(f"{row['us_per_tx']:9.1f}" for row in rows))
    print(f"{'sum without ' + SIGNATURES:38}" + "".join(f"{row['us_per_tx_beyond_checks']:9.1f}" for row in rows))


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def counts(text: str) -> list[int]:
    """Numbers of 1 or more, separated by commas."""
    parts = text.split(",")
    if not all(part.isdigit() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers of 1 or more")
    return [int(part) for part in parts]


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"examples:\n{EXAMPLES}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--batch", type=counts, default=[1, 16, 128], metavar="N,…", help="so many at once (default 1,16,128)")
    add("--transactions", type=int, default=2_000, metavar="N", help="so many in all (default 2000)")
    add("--size", type=int, default=200, metavar="BYTES", help="payload of a transaction (default 200)")
    add("--replicas", type=int, default=4, metavar="N", help="size of the group (default 4)")
    add("--repeat", type=int, default=3, metavar="N", help="the least of so many runs counts (default 3)")
    add("--seed", type=int, default=1, help="of keys and payloads (default 1)")
    add("--profile", action="store_true", help="show where a backup's time goes, by function")
    add("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    works = [
        Work(
            transactions=options.transactions,
            batch=batch,
            size=options.size,
            replicas=options.replicas,
            seed=options.seed,
        )
        for batch in options.batch
    ]
    if options.profile:
        for work in works:
            pstats.Stats(profile(work)).sort_stats("tottime").print_stats(PROFILE_LINES)
        return 0
    rows = []
    for work in works:
        measured = measure(work, repeat=options.repeat, say=say)
        rows += [row("primary", work, measured.primary), row("backup", work, measured.backup)]
    if options.json:
        print(json.dumps({"results": rows, "config": asdict(works[0])}))
        return 0
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
