"""What came of a load: throughput, latencies, a timeline, and what failed."""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from bftledger.bench.clients import Seen
from bftledger.bench.payloads import payload_bytes

_LEAST_SHARE: Final = 0.9
_BACKLOG_SHARE: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to measure: so many clients in so many processes, each process with so many connections.

    `rate`: transactions per second that are due, of all clients together, whatever becomes of them (an open loop); None
    for a closed loop, in which each client has one under way. `operations` of `size` bytes each make a transaction.
    `receipts`: a directory in which the clients leave what their receipts say (`bench.receipts`). Times in seconds.
    """

    clients: int
    seconds: float
    rate: float | None = None
    size: int = 200
    operations: int = 1
    warmup_s: float = 1.0
    processes: int = 1
    connections: int = 1
    seed: int = 1
    timeout_s: float = 30.0
    receipts: Path | None = None

    def __str__(self) -> str:
        shape = "closed loop" if self.rate is None else f"{self.rate:g}/s due"
        many = f"{self.operations} x " if self.operations > 1 else ""
        return f"{self.clients} client{'s' * (self.clients != 1)}, {shape}, {many}{self.size} bytes"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that happened at a moment of the window, in seconds from its start."""

    what: str
    at_s: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of a load. Moments in seconds on the system's monotonic clock.

    A transaction counts for the throughput of the moment at which its receipt was verified. The latencies are those of
    the transactions that were done within the window, in a closed loop; in an open one of those that were due in it.
    """

    load: Load
    start_s: float
    """When the window began; it lasted `load.seconds`."""
    begun: "array[float]"
    done: "array[float]"
    """Of every committed transaction, in and out of the window, in the order of `done`."""
    failures: list[tuple[float, str]]
    """When those that were not committed ended, and as what, in and out of the window; in order."""
    marks: list[Mark] = field(default_factory=list)
    blocks: int = 0
    """How many blocks hold the transactions of the window, or were made meanwhile."""
    view: int = 0
    """The group's view at the end."""
    lag_ms: float = 0.0
    """How late the clients themselves began transactions that were due, 99th percentile."""
    clients_cpu_s: float = 0.0
    """Processor time used within the window."""
    replicas_cpu_s: list[float | None] = field(default_factory=list)
    """The same by replica; None for one that is not on this host, or was started or ended within the window."""

    @classmethod
    def of(
        cls,
        load: Load,
        start_s: float,
        seen: Sequence[Seen],
        *,
        replicas_cpu_s: list[float | None],
        marks: list[Mark],
    ) -> "Measured":
        """Adds up what the processes saw."""
        pairs = sorted((done, begun) for one in seen for done, begun in zip(one.done, one.begun, strict=True))
        heights = [height for one in seen for height in (one.first_height, one.last_height) if height]
        return cls(
            load=load,
            start_s=start_s,
            begun=array("d", (begun for _, begun in pairs)),
            done=array("d", (done for done, _ in pairs)),
            failures=sorted(failure for one in seen for failure in one.failures),
            marks=sorted(marks, key=lambda mark: mark.at_s),
            blocks=max(heights) - min(heights) + 1 if heights else 0,
            view=max(one.view for one in seen),
            lag_ms=max(one.lag_ms for one in seen),
            clients_cpu_s=sum(one.cpu_s for one in seen),
            replicas_cpu_s=replicas_cpu_s,
        )

    @property
    def total(self) -> int:
        """How many transactions were committed in and out of the window."""
        return len(self.done)

    @property
    def failed(self) -> dict[str, int]:
        """What became of those that were not committed, in and out of the window."""
        return dict(Counter(how for _, how in self.failures))

    @cached_property
    def latencies_ms(self) -> list[float]:
        """Of the transactions of the window, in ascending order."""
        end_s = self.start_s + self.load.seconds
        counted = self.done if self.load.rate is None else self.begun
        return sorted(
            (done - begun) * 1_000
            for moment, begun, done in zip(counted, self.begun, self.done, strict=True)
            if self.start_s <= moment < end_s
        )

    @property
    def tx_per_s(self) -> float:
        """Over the window."""
        return self.tx_per_s_between(0.0, self.load.seconds)

    @property
    def kept_up(self) -> bool:
        """Whether the group did what it was asked to: nothing failed, and in an open loop the backlog did not grow.

        At least nine tenths of what was due were done. The backlog may be larger at the end of the window than at its
        start by what is under way at any moment (what is due in the time that the quickest tenth take at most), and by
        2% of what was due.
        """
        if self.failures or not self.done:
            return False
        if self.load.rate is None:
            return True
        if self.tx_per_s < _LEAST_SHARE * self.load.rate:
            return False
        end_s = self.start_s + self.load.seconds
        growth = self._under_way(end_s) - self._under_way(self.start_s)
        usual = self.load.rate * (self.percentile_ms(10) or 0.0) / 1_000
        return growth <= usual + _BACKLOG_SHARE * self.load.rate * self.load.seconds

    def _under_way(self, when_s: float) -> int:
        return sum(begun <= when_s < done for begun, done in zip(self.begun, self.done, strict=True))

    def tx_per_s_between(self, from_s: float, to_s: float) -> float:
        """Over a part of the window, in seconds from its start."""
        return self._committed_between(from_s, to_s) / (to_s - from_s)

    def latencies_ms_between(self, from_s: float, to_s: float) -> list[float]:
        """Of the transactions done in that part of the window, in ascending order."""
        first, last = self._position(from_s), self._position(to_s)
        return sorted((self.done[i] - self.begun[i]) * 1_000 for i in range(first, last))

    def percentile_ms(self, percent: float) -> float | None:
        """The nearest-rank percentile; the 100th is the maximum. None if nothing was committed."""
        return percentile(self.latencies_ms, percent)

    def longest_gap_s(self, from_s: float, to_s: float) -> float:
        """The longest time without a commit in that part of the window."""
        first, last = self._position(from_s), self._position(to_s)
        times = [self.start_s + from_s, *self.done[first:last], self.start_s + to_s]
        return max(after - before for before, after in pairwise(times))

    def timeline(self, bucket_s: float = 0.1) -> list[dict[str, Any]]:
        """The window in buckets: what was done and what failed in each, and the latencies of what was done."""
        result = []
        for number in range(max(1, round(self.load.seconds / bucket_s))):
            at_s = number * bucket_s
            latencies = self.latencies_ms_between(at_s, at_s + bucket_s)
            begin = self.start_s + at_s
            result.append(
                {
                    "at_s": round(at_s, 6),
                    "committed": len(latencies),
                    "tx_per_s": round(len(latencies) / bucket_s, 1),
                    "p50_ms": rounded(percentile(latencies, 50)),
                    "p99_ms": rounded(percentile(latencies, 99)),
                    "max_ms": rounded(percentile(latencies, 100)),
                    "failed": sum(begin <= when < begin + bucket_s for when, _ in self.failures),
                }
            )
        return result

    def row(self) -> dict[str, Any]:
        """The row of `results`."""
        latencies, seconds = self.latencies_ms, self.load.seconds
        count = self._committed_between(0.0, seconds)
        mean = sum(latencies) / len(latencies) if latencies else None
        return {
            "clients": self.load.clients,
            "rate": self.load.rate,
            "size": self.load.size,
            "operations": self.load.operations,
            "tx_per_s": round(self.tx_per_s, 1),
            "operations_per_s": round(self.tx_per_s * self.load.operations, 1),
            "p50_ms": rounded(self.percentile_ms(50)),
            "p99_ms": rounded(self.percentile_ms(99)),
            "mean_ms": rounded(mean),
            "max_ms": rounded(self.percentile_ms(100)),
            "samples": len(latencies),
            "tx_per_block": round(count / self.blocks, 1) if self.blocks else None,
            "payload_mb_per_s": round(self.tx_per_s * payload_bytes(self.load.size, self.load.operations) / 1e6, 3),
            "failed": self.failed,
            "view": self.view,
            "lag_ms": round(self.lag_ms, 3),
            "clients_cpu_us_per_tx": _us_each(self.clients_cpu_s, count),
            "clients_cpu_share": round(self.clients_cpu_s / seconds, 3),
            "replicas_cpu_us_per_tx": [_us_each(cpu, count) for cpu in self.replicas_cpu_s],
            "replicas_cpu_share": [None if cpu is None else round(cpu / seconds, 3) for cpu in self.replicas_cpu_s],
        }

    def _committed_between(self, from_s: float, to_s: float) -> int:
        return self._position(to_s) - self._position(from_s)

    def _position(self, at_s: float) -> int:
        return bisect_left(self.done, self.start_s + at_s)


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of what is in ascending order; None if there is nothing."""
    if not ascending:
        return None
    rank = -(-len(ascending) * percent // 100)
    return ascending[max(0, int(rank) - 1)]


def rounded(value: float | None) -> float | None:
    """To three decimals."""
    return None if value is None else round(value, 3)


def _us_each(seconds: float | None, count: int) -> float | None:
    return round(seconds / count * 1e6, 1) if count and seconds is not None else None
