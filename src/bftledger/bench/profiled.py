"""A replica in the foreground with its event loop under cProfile.

    python -m bftledger.bench.profiled FILE --home DIR --id I [--exit-with-parent]

leaves the statistics in FILE when the replica stops. They start with the loop, so start-up is not in them, and their
clock is that of the thread's processor time, so waiting and being preempted cost nothing.
"""

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import BftLedgerError
from bftledger.home.home import Home
from bftledger.node.driver import Driver, run_replica
from bftledger.node.presence import Presence

_LINES: Final = 30


def run_profiled(home: Home, replica: int, file: Path, *, exit_with_parent: bool) -> int:
    """As `driver.run_replica`; writes `file` at its end."""
    profile = cProfile.Profile(time.thread_time)
    original = Driver.run

    def profiled_run(self: Driver) -> None:
        profile.runcall(original, self)

    Driver.run = profiled_run  # type: ignore[method-assign]
    me = home.check_replica_id(replica)
    with Presence(home, me):
        status = run_replica(home, me, exit_with_parent=exit_with_parent)
    profile.dump_stats(file)
    return status


def profile_rows(path: Path, transactions: int) -> list[dict[str, Any]]:
    """Where a replica's processor time went, the most expensive functions first; microseconds per transaction."""
    profile: Any = pstats.Stats(str(path))
    rows = [
        {
            "function": f"{'/'.join(Path(file).parts[-2:])}:{name}" if line else name,
            "calls_per_tx": round(calls / transactions, 2),
            "own_us_per_tx": round(own / transactions * 1e6, 2),
            "cumulative_us_per_tx": round(cumulative / transactions * 1e6, 2),
        }
        for (file, line, name), (_, calls, own, cumulative, _) in profile.stats.items()
    ]
    return sorted(rows, key=lambda row: -row["own_us_per_tx"])[:_LINES]


def profile_text(replica: int, rows: Sequence[dict[str, Any]]) -> str:
    """The rows as lines for people."""
    return "\n".join(
        (
            f"replica {replica} under cProfile, µs of its own processor time per transaction:",
            f"{'own':>8} {'with callees':>12} {'calls':>7}  function",
            *(
                f"{row['own_us_per_tx']:>8.1f} {row['cumulative_us_per_tx']:>12.1f} {row['calls_per_tx']:>7.1f}  "
                f"{row['function']}"
                for row in rows
            ),
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = argparse.ArgumentParser(description="A replica in the foreground, its event loop under cProfile.")
    options.add_argument("file", type=Path)
    options.add_argument("--home", type=Path, required=True)
    options.add_argument("--id", type=int, required=True)
    options.add_argument("--exit-with-parent", action="store_true")
    chosen = options.parse_args(arguments)
    try:
        home = Home.open(chosen.home)
        return run_profiled(home, chosen.id, chosen.file, exit_with_parent=chosen.exit_with_parent)
    except BftLedgerError as error:
        print(f"bftledger: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
