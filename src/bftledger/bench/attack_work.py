"""What an attack makes replicas do: processor time, memory and bytes on disk, of honest ones and of traitors.

That the work which a faulty replica causes is bounded is a claim of the protocol; these are the figures for it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from bftledger.base.ids import ReplicaId
from bftledger.bench.attack_repeats import Row
from bftledger.bench.footprint import store_mb
from bftledger.bench.group import Group

PARTS: Final = ("clean", "attacked", "after")

MESSAGES_PER_BLOCK: Final = 3
"""Each replica sends all others a PRE-PREPARE or a PREPARE, a COMMIT and a CHECKPOINT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What replicas had used at a moment, on the system's monotonic clock; who does not run is in none of it.

    Processor time in seconds, since each began. Memory (VmRSS) and the store with its log in MB.
    """

    at_s: float
    cpu_s: Mapping[ReplicaId, float]
    memory_mb: Mapping[ReplicaId, float]
    disk_mb: Mapping[ReplicaId, float]

    @classmethod
    def of(cls, group: Group, at_s: float) -> "Usage":
        """Now, which is `at_s`."""
        used, home = group.cpu_s(), group.home
        return cls(
            at_s=at_s,
            cpu_s={replica: used[pid] for replica, pid in group.pids.items() if pid in used},
            memory_mb={replica: held / 1e6 for replica, held in group.memory_bytes().items()},
            disk_mb={replica: sum(store_mb(home.ledger_path(replica))) for replica in group.pids},
        )


def work(
    usages: Sequence[Usage], replicas: Collection[ReplicaId], traitors: Collection[ReplicaId], done: Mapping[str, int]
) -> list[dict[str, Any]]:
    """For a row: by replica what it used in each part, and what it held at the edges of the parts.

    `usages`: at these edges, one more than there are parts. `done`: transactions of each part. Processor time as a
    share of one core and in microseconds for each transaction; null where it is not known.
    """
    return [
        {
            "replica": replica,
            "is_traitor": replica in traitors,
            **{part: _part(usages[i], usages[i + 1], replica, done[part]) for i, part in enumerate(PARTS)},
            "memory_mb": [_rounded(usage.memory_mb.get(replica)) for usage in usages],
            "disk_mb": [_rounded(usage.disk_mb.get(replica)) for usage in usages],
        }
        for replica in sorted(replicas)
    ]


def protocol_messages_per_s(blocks: int, seconds: float, n: int) -> float:
    """What n replicas have to send for so many blocks in so many seconds, all of them together."""
    return round(MESSAGES_PER_BLOCK * n * (n - 1) * blocks / seconds, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What some replicas used, in the mean: shares of a core before and while attacked; and by how many MB memory and
    store of one of them grew during the attack, at most. None where nobody knows."""

    cpu_clean: float | None
    cpu_attacked: float | None
    memory_mb: float | None
    disk_mb: float | None


def effort(row: Row, *, of_traitors: bool) -> Effort | None:
    """Of the traitors of a run, or of the others; None of one that does not know, or that has no traitors."""
    some = [one for one in row.get("work") or [] if one["is_traitor"] == of_traitors]
    if not some:
        return None
    return Effort(
        cpu_clean=_mean([one["clean"]["cpu_share"] for one in some]),
        cpu_attacked=_mean([one["attacked"]["cpu_share"] for one in some]),
        memory_mb=_most([_growth(one["memory_mb"]) for one in some]),
        disk_mb=_most([_growth(one["disk_mb"]) for one in some]),
    )


def _part(before: Usage, after: Usage, replica: ReplicaId, done: int) -> dict[str, float | None]:
    if replica not in before.cpu_s or replica not in after.cpu_s:
        return {"cpu_share": None, "cpu_us_per_tx": None}
    used = after.cpu_s[replica] - before.cpu_s[replica]
    return {
        "cpu_share": round(used / max(after.at_s - before.at_s, 1e-9), 4),
        "cpu_us_per_tx": round(used / done * 1e6, 1) if done else None,
    }


def _growth(edges: Sequence[float | None]) -> float | None:
    """While attacked: from the second edge to the third."""
    _, begin, end, _ = edges
    return None if begin is None or end is None else end - begin


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
