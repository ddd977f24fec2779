"""Which seeds catch which planted bugs: `python -m tests.mutants.hunt [NAME…] [--seeds N] [--jobs N] [--write]`.

For each mutant seeds are tried one after the other until a run fails that is fine without the bug; then as many more as
`--rate` says, to tell how sharp the campaign is. `--write` states the seeds in `seeds.toml`, for `test_mutants`.
`--again` tries only the stated seeds: with `--write` it states what they say now, where a change has altered that.
"""

import argparse
import multiprocessing
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.mutants.catalogue import MUTANTS
from tests.mutants.objection import first_objection, is_catch

SEEDS: Final = Path(__file__).with_name("seeds.toml")
MOST: Final = 10_000
RATE: Final = 50


@dataclass(slots=True)
class Found:
    """What a hunt came to. `seed`: the first that catches the mutant, None if none does; `text`: the objection there.

    `caught`: of `tried` seeds so many catch it, and which oracle objects first; `alike`: these fail without the bug as
    well, and do not count; nor do those that only `crashed`.
    """

    name: str
    seed: int | None = None
    text: str = ""
    tried: int = 0
    caught: int = 0
    by: Counter[str] = field(default_factory=Counter)
    alike: list[int] = field(default_factory=list)
    crashed: list[int] = field(default_factory=list)
    seconds: float = 0.0


def hunt(name: str, seeds: Iterable[int], rate: int) -> Found:
    """Tries these seeds of the mutant's campaign until one catches it, and `rate` of them at least."""
    mutant, found, begun = MUTANTS[name], Found(name), time.process_time()
    for seed in seeds:
        if found.seed is not None and found.tried >= rate:
            break
        plan = mutant.campaign.plan(seed)
        with mutant.planted():
            objection = first_objection(plan)
        found.tried += 1
        if objection is None:
            continue
        if not is_catch(objection):
            found.crashed.append(seed)
            continue
        if first_objection(plan) is not None:
            found.alike.append(seed)
            continue
        found.caught += 1
        found.by[objection.partition(":")[0]] += 1
        if found.seed is None:
            found.seed, found.text = seed, objection
    found.seconds = time.process_time() - begun
    return found


def stated() -> dict[str, dict[str, Any]]:
    """The seeds that are stated: by mutant, `seed`, and what the first oracle `says`."""
    return tomllib.loads(SEEDS.read_text()) if SEEDS.exists() else {}


def write(hunted: Iterable[Found]) -> None:
    """States these seeds, and keeps what is stated of other mutants."""
    known = {name: entry for name, entry in stated().items() if name in MUTANTS}
    for found in hunted:
        if found.seed is not None:
            known[found.name] = {"seed": found.seed, "says": found.text}
    lines = ["# Which seed catches which planted bug. Written by `make mutants`; to be reviewed like any change.\n"]
    for name in MUTANTS:
        if name in known:
            lines.append(f"\n[{name}]\nseed = {known[name]['seed']}\nsays = {_quoted(known[name]['says'])}\n")
    SEEDS.write_text("".join(lines))


def _quoted(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text)
    return f'"{escaped}"'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which mutants; all without it")
    parser.add_argument("--seeds", type=int, default=MOST, help="so many are tried at most")
    parser.add_argument("--rate", type=int, default=RATE, help="so many are tried at least")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="the stated seeds alone are tried")
    parser.add_argument("--write", action="store_true", help=f"state the seeds in {SEEDS.name}")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - MUTANTS.keys())
    if unknown:
        parser.error(f"no such mutant: {', '.join(unknown)}")
    names = options.names or list(MUTANTS)
    known = stated()
    if options.again and (unstated := [name for name in names if name not in known]):
        parser.error(f"no seed is stated of {', '.join(unstated)}: hunt for it without --again")
    every = {name: (known[name]["seed"],) if options.again else range(options.seeds) for name in names}
    hunted = []
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("forkserver")) as pool:
        jobs = [pool.submit(hunt, name, seeds, options.rate) for name, seeds in every.items()]
        for job in as_completed(jobs):
            hunted.append(job.result())
            print(_line(hunted[-1]), flush=True)  # noqa: T201
    if options.write:
        write(hunted)
    return int(any(found.seed is None for found in hunted))


def _line(found: Found) -> str:
    mutant = MUTANTS[found.name]
    rate = f"{found.caught} of {found.tried}"
    by = ", ".join(f"{oracle} {times}" for oracle, times in found.by.most_common())
    seed = "NOT CAUGHT" if found.seed is None else f"seed {found.seed}"
    alike = f"; fails without the bug too: {found.alike[:5]}" if found.alike else ""
    crashed = f"; crashes: {found.crashed[:5]}" if found.crashed else ""
    what = f"{found.name:34} {mutant.section:12} {mutant.campaign_name:32}"
    return f"{what} {seed:10} {rate:10} {by}{alike}{crashed} ({found.seconds:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
