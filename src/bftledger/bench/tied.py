"""Runs a program that does not outlive whoever started it: `python -m bftledger.bench.tied PROGRAM ARGUMENT…`.

For programs that have no `--exit-with-parent` of their own. The program takes the place of this process, so that its
process id is the one that was started, and the kernel kills it when its parent ends, however that ends (prctl(2),
PR_SET_PDEATHSIG; Linux).
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Becomes the program."""
    program = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main()
