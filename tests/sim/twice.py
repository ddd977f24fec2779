"""Runs a campaign twice, in other processes with another hash seed, and compares the traces: `make traces`."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence

HASH_SEEDS = ("1", "4711")


def traces(seeds: int, jobs: int, hash_seed: str) -> dict[str, str]:
    """The trace hash of each seed from 0 on. Raises `CalledProcessError` if a run fails."""
    words = f"--seeds {seeds} --jobs {jobs} --json --traces".split()
    done = subprocess.run(
        [sys.executable, "-m", "bftledger.cli.main", "sim", *words],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict[str, str] = json.loads(done.stdout)["traces"]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints how many traces are the same; the exit status is 0 if all are."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.twice", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="from 0 on; %(default)s unless said otherwise")
    parser.add_argument("--jobs", type=int, default=2, help="processes for each of the two; %(default)s")
    options = parser.parse_args(arguments)

    first, second = (traces(options.seeds, options.jobs, hash_seed) for hash_seed in HASH_SEEDS)
    others = sorted((seed for seed in first.keys() | second.keys() if first.get(seed) != second.get(seed)), key=int)
    same = len(first) - len(others)
    said = f"{same:,} of {options.seeds:,} seeds have the same trace with PYTHONHASHSEED {' and '.join(HASH_SEEDS)}"
    if others:
        said += f"; not: {', '.join(others[:20])}{' ...' if len(others) > 20 else ''}"
    print(said)  # noqa: T201
    return 0 if same == options.seeds else 1


if __name__ == "__main__":
    sys.exit(main())
