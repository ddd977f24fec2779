"""How many files the processes of a benchmark may have open: many connections take more than is usual (1,024)."""

import resource
from typing import Final

from bftledger.base.errors import OperatorError

PER_CONNECTION: Final = 2
"""A ZeroMQ socket to one replica: its TCP connection and its mailbox."""

OTHERS: Final = 64
"""What else a process has open."""


def allow_files(needed: int) -> None:
    """Raises this process's limit of open files, if it is lower. Raises `OperatorError` if that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != hard < needed:
        raise OperatorError(f"{needed} open files are needed, and {hard} allowed (ulimit -Hn): take fewer connections")
    if resource.RLIM_INFINITY != soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
