"""What the death of a primary does to the commits around it. All moments in seconds, on one clock."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

BACK: Final = 0.9
"""The throughput is back when it is this share of what it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """A stretch of time with a death in it: seen from `from_s` to `to_s`, in buckets of `bucket_s`."""

    from_s: float
    killed_s: float
    to_s: float
    bucket_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What followed. `gap_s`: the longest time without a commit; it ended `gap_end_s` after the death.

    `recovery_s`: the time from the death to the end of the first bucket after that gap whose throughput is back; None
    if there is none. `before_per_s`, `after_per_s`: commits per second before the death, and from the end of the gap.
    """

    gap_s: float
    gap_end_s: float
    recovery_s: float | None
    before_per_s: float
    after_per_s: float


def outage(done: Sequence[float], around: Around) -> Outage:
    """`done`: when each transaction was committed, in order."""
    killed_s, to_s, bucket_s = around.killed_s, around.to_s, around.bucket_s
    before_per_s = _count(done, around.from_s, killed_s) / (killed_s - around.from_s)
    times = [killed_s, *done[bisect_left(done, killed_s) : bisect_left(done, to_s)], to_s]
    gap_s, gap_end_s = max((after - before, after) for before, after in pairwise(times))
    recovery_s = None
    if before_per_s and gap_end_s < to_s:
        for number in range(math.ceil((gap_end_s - killed_s) / bucket_s), math.floor((to_s - killed_s) / bucket_s)):
            begin_s = killed_s + number * bucket_s
            if _count(done, begin_s, begin_s + bucket_s) >= BACK * before_per_s * bucket_s:
                recovery_s = (number + 1) * bucket_s
                break
    return Outage(
        gap_s=gap_s,
        gap_end_s=gap_end_s - killed_s,
        recovery_s=recovery_s,
        before_per_s=before_per_s,
        after_per_s=_count(done, gap_end_s, to_s) / (to_s - gap_end_s) if gap_end_s < to_s else 0.0,
    )


def timeline(done: Sequence[float], around: Around) -> dict[str, Any]:
    """For a row of `results`: commits by whole bucket, the death between two of them, at second 0."""
    bucket_s = around.bucket_s
    first = -math.floor((around.killed_s - around.from_s) / bucket_s + 1e-9)
    last = math.floor((around.to_s - around.killed_s) / bucket_s + 1e-9)
    edges = [around.killed_s + number * bucket_s for number in range(first, last + 1)]
    return {
        "from_s": round(first * bucket_s, 6),
        "bucket_s": bucket_s,
        "committed": [_count(done, begin, end) for begin, end in pairwise(edges)],
    }


def _count(done: Sequence[float], from_s: float, to_s: float) -> int:
    return bisect_left(done, to_s) - bisect_left(done, from_s)
