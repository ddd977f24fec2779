"""Waiting until the machine is quiet: who begins while it is still warm from what ran before measures that, too.

The load average of a minute is too slow to tell. The kernel counts what each core does in ticks of 10 ms (proc(5),
/proc/stat), so that two seconds say how busy a core is to half a percent.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

QUIET: Final = 0.05
"""A machine is quiet if no more than this share of its cores is busy."""

SAMPLE_S: Final = 2.0

_STAT: Final = Path("/proc/stat")
_IDLE: Final = 3
_COUNTED: Final = 8
"""Of the fields of a core: user, nice, system, idle, iowait, irq, softirq, steal. Guests are part of user and nice."""

_patience_s: ContextVar[float] = ContextVar("patience_s", default=0.0)


@dataclass(frozen=True, slots=True)
class Ticks:
    """Of a core since the machine was started: those in which it was not idle, and all."""

    busy: int
    total: int


Read = Callable[[], Mapping[int, Ticks]]
"""By the number of the core."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Whoever calibrates within the `with` block lets the machine go quiet first, for at most so long."""
    token = _patience_s.set(seconds)
    try:
        yield
    finally:
        _patience_s.reset(token)


def until_quiet(say: Callable[[str], None]) -> float | None:
    """Waits as `patience` says. Returns the share of the cores that was busy in the end; None if nobody looked."""
    return wait(_patience_s.get(), say, read=ticks)


def wait(
    patience_s: float,
    say: Callable[[str], None],
    *,
    read: Read,
    sleep: Callable[[float], None] = time.sleep,
) -> float | None:
    """Looks until the cores are quiet, or for so many seconds, and says that it waits.

    Returns the busy share of the last look; None if there is no time for any, or this system does not count ticks.
    Disks at work count: a core that waits for one is not idle, and commits are measured.
    """
    before, left_s, is_told = read(), patience_s, False
    if not before or patience_s <= 0:
        return None
    busy = 1.0
    while busy > QUIET and left_s > 0:
        if left_s < patience_s and not is_told:
            say(f"{busy:.0%} of the cores are busy: waiting until they are not, for at most {left_s:g} s …")
            is_told = True
        sample_s = min(SAMPLE_S, left_s)
        sleep(sample_s)
        left_s -= sample_s
        after = read()
        busy, before = busy_share(before, after), after
    if (said := warning(busy)) is not None:
        say(f"bench: {said}")
    return busy


def warning(busy: float | None) -> str | None:
    """What whoever reads figures has to know of the machine that they are of, in one line; None if it was quiet.

    `busy`: the share that was busy right before, None if nobody looked.
    """
    if busy is None or busy <= QUIET:
        return None
    return f"{busy:.0%} of the cores were busy with something else: trust no figure but ratios within this run"


def busy_share(before: Mapping[int, Ticks], after: Mapping[int, Ticks]) -> float:
    """The share of the time between two moments in which the cores were not idle, all cores together."""
    busy = sum(after[core].busy - before[core].busy for core in after if core in before)
    total = sum(after[core].total - before[core].total for core in after if core in before)
    return busy / total if total > 0 else 0.0


def ticks() -> dict[int, Ticks]:
    """Of the cores that this process may use, so far. Empty where there is no /proc/stat."""
    try:
        return parsed(_STAT.read_text(), os.sched_getaffinity(0))
    except OSError:
        return {}


def parsed(stat: str, cores: set[int]) -> dict[int, Ticks]:
    """What /proc/stat says of these cores."""
    found = {}
    for line in stat.splitlines():
        name, _, rest = line.partition(" ")
        number = name.removeprefix("cpu")
        if name != number and number.isdecimal() and int(number) in cores:
            counts = [int(count) for count in rest.split()][:_COUNTED]
            total = sum(counts)
            found[int(number)] = Ticks(busy=total - counts[_IDLE], total=total)
    return found
