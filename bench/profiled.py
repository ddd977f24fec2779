"""The command line with a replica's event loop under cProfile.

    python bench/profiled.py FILE --home DIR replica --id I

leaves the statistics in FILE when the replica stops. They start with the loop, so start-up is not in them, and their
clock is that of the thread's processor time, so waiting and being preempted cost nothing.
"""

import cProfile
import sys
import time
from pathlib import Path

from bftledger.cli.main import run
from bftledger.node.driver import Driver


def main(file: Path, arguments: list[str]) -> int:
    """Runs the command line; returns its exit status."""
    profile = cProfile.Profile(time.thread_time)
    original = Driver.run

    def profiled_run(self: Driver) -> None:
        profile.runcall(original, self)

    Driver.run = profiled_run  # type: ignore[method-assign]
    status = run(arguments)
    profile.dump_stats(file)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
