"""What the death of a primary does to the commits around it. All moments in seconds, on one clock.

After the death some receipts still come, of what had been decided and whose answer died with the primary: clients ask
the others for it when they have waited long enough. They cut the time without receipts short, though nothing new is
ordered yet. So the outage lasts until there is a receipt of a transaction that began after the death, which only the
next primary can have ordered. In a closed loop that is later than the first receipt of the new view by one latency at
most.
"""

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
    """A stretch of time with a death in it: seen from `from_s` to `to_s`, in buckets of `bucket_s`.

    It was asked to die at `killed_s`, and dead by `dead_s`.
    """

    from_s: float
    killed_s: float
    dead_s: float
    to_s: float
    bucket_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What followed. `outage_s`: from the death to the first commit of what began after it; None if there is none.

    `gap_s`: the longest time without a commit; it ended `gap_end_s` after the death. `recovery_s`: the time from the
    death to the end of the first bucket after that gap whose throughput is back, and which does not end before the
    outage; None if there is none. `before_per_s`, `after_per_s`: commits per second before the death, and from the end
    of the outage.
    """

    outage_s: float | None
    gap_s: float
    gap_end_s: float
    recovery_s: float | None
    before_per_s: float
    after_per_s: float


def outage(begun: Sequence[float], done: Sequence[float], around: Around) -> Outage:
    """`begun`, `done`: when each transaction began and was committed, in the order of `done`."""
    killed_s, to_s = around.killed_s, around.to_s
    before_per_s = _count(done, around.from_s, killed_s) / (killed_s - around.from_s)
    gap_s, gap_end_s = longest_gap(done, around)
    resumed_s = next((end for begin, end in zip(begun, done, strict=True) if begin >= around.dead_s), math.inf)
    return Outage(
        outage_s=None if math.isinf(resumed_s) else resumed_s - killed_s,
        gap_s=gap_s,
        gap_end_s=gap_end_s,
        recovery_s=_recovery_s(done, around, BACK * before_per_s, gap_end_s, resumed_s - killed_s),
        before_per_s=before_per_s,
        after_per_s=_count(done, resumed_s, to_s) / (to_s - resumed_s) if resumed_s < to_s else 0.0,
    )


def longest_gap(moments: Sequence[float], around: Around) -> tuple[float, float]:
    """How long the longest time without any of these moments was from the death on, and how long after it it ended."""
    killed_s, to_s = around.killed_s, around.to_s
    times = [killed_s, *moments[bisect_left(moments, killed_s) : bisect_left(moments, to_s)], to_s]
    gap_s, end_s = max((after - before, after) for before, after in pairwise(times))
    return gap_s, end_s - killed_s


def _recovery_s(
    done: Sequence[float], around: Around, wanted_per_s: float, gap_end_s: float, outage_s: float
) -> float | None:
    """As in `Outage`; `wanted_per_s`: so many commits are enough."""
    bucket_s, seen_s = around.bucket_s, around.to_s - around.killed_s
    if not wanted_per_s or max(gap_end_s, outage_s) >= seen_s:
        return None
    first = max(math.ceil(gap_end_s / bucket_s), math.floor(outage_s / bucket_s))
    for number in range(first, math.floor(seen_s / bucket_s)):
        begin_s = around.killed_s + number * bucket_s
        if _count(done, begin_s, begin_s + bucket_s) >= wanted_per_s * bucket_s:
            return (number + 1) * bucket_s
    return None


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
