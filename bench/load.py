"""One load on a running group: starts the clients' processes, has them warm up, measures one window, adds up."""

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from clients import Job, Window
from group import LocalGroup

from bftledger.base.errors import BftLedgerError

_CLIENTS = Path(__file__).with_name("clients.py")
_LEAD_S = 0.1
"""The window is announced so long before the warm-up ends."""

_GRACE_S = 2.0
"""A process that has reported has so long to end; then it is killed."""


class LoadError(BftLedgerError):
    """The clients did not come to an end; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to measure: so many closed-loop clients in so many processes, each with so many connections."""

    clients: int
    size: int
    seconds: float
    warmup_s: float
    processes: int
    connections: int
    seed: int
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of a load. Times of processors are those used within the window."""

    load: Load
    latencies_ms: list[float]
    """Of every transaction whose receipt came within the window, in ascending order."""
    blocks: int
    """How many blocks hold them, or were made meanwhile."""
    total: int
    """How many transactions were committed in and out of the window."""
    failed: dict[str, int]
    """What became of those that were not committed, in and out of the window."""
    view: int
    """The group's view at the end."""
    clients_cpu_s: float
    replicas_cpu_s: list[float]

    @property
    def tx_per_s(self) -> float:
        return len(self.latencies_ms) / self.load.seconds

    def percentile_ms(self, percent: float) -> float:
        """The nearest-rank percentile; the 100th is the maximum."""
        rank = -(-len(self.latencies_ms) * percent // 100)
        return self.latencies_ms[max(0, int(rank) - 1)]

    def row(self) -> dict[str, Any]:
        """The row of `results`."""
        count = len(self.latencies_ms)
        seconds = self.load.seconds
        return {
            "clients": self.load.clients,
            "size": self.load.size,
            "tx_per_s": round(self.tx_per_s, 1),
            "p50_ms": round(self.percentile_ms(50), 3),
            "p99_ms": round(self.percentile_ms(99), 3),
            "mean_ms": round(sum(self.latencies_ms) / count, 3),
            "max_ms": round(self.latencies_ms[-1], 3),
            "samples": count,
            "tx_per_block": round(count / self.blocks, 1),
            "failed": self.failed,
            "view": self.view,
            "clients_cpu_us_per_tx": round(self.clients_cpu_s / count * 1e6, 1),
            "clients_cpu_share": round(self.clients_cpu_s / seconds, 3),
            "replicas_cpu_us_per_tx": [round(cpu / count * 1e6, 1) for cpu in self.replicas_cpu_s],
            "replicas_cpu_share": [round(cpu / seconds, 3) for cpu in self.replicas_cpu_s],
        }


def run_load(group: LocalGroup, load: Load) -> Measured:
    """Measures one load. Raises `LoadError` if the clients fail, or nothing was committed within the window."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_Process(job)) for job in _jobs(group, load)]
        for process in processes:
            process.hear()
        time.sleep(max(0.0, load.warmup_s - _LEAD_S))
        start = time.monotonic() + _LEAD_S
        end = start + load.seconds
        for process in processes:
            process.say({"start": start, "end": end})
        time.sleep(max(0.0, start - time.monotonic()))
        before = group.cpu_s()
        time.sleep(max(0.0, end - time.monotonic()))
        used = [after - at_start for at_start, after in zip(before, group.cpu_s(), strict=True)]
        windows = [Window(**process.hear()) for process in processes]
    measured = _sum(load, windows, used)
    if not measured.latencies_ms:
        raise LoadError(f"{load.clients} clients: nothing was committed within {load.seconds} s: {measured.failed}")
    return measured


def _jobs(group: LocalGroup, load: Load) -> list[Job]:
    """The clients, dealt out evenly."""
    count = min(load.processes, load.clients)
    bounds = [load.clients * i // count for i in range(count + 1)]
    return [
        Job(
            home=str(group.home.path),
            first=first,
            clients=end - first,
            connections=min(load.connections or end - first, end - first),
            size=load.size,
            seed=load.seed,
            timeout_s=load.timeout_s,
        )
        for first, end in pairwise(bounds)
    ]


def _sum(load: Load, windows: list[Window], replicas_cpu_s: list[float]) -> Measured:
    heights = [height for window in windows for height in (window.first_height, window.last_height) if height]
    failed: Counter[str] = Counter()
    for window in windows:
        failed.update(window.failed)
    return Measured(
        load=load,
        latencies_ms=sorted(latency for window in windows for latency in window.latencies_ms),
        blocks=max(heights) - min(heights) + 1 if heights else 0,
        total=sum(window.total for window in windows),
        failed=dict(failed),
        view=max(window.view for window in windows),
        clients_cpu_s=sum(window.cpu_s for window in windows),
        replicas_cpu_s=replicas_cpu_s,
    )


class _Process:
    """A process with clients; killed at the end of the `with` block if it has not ended."""

    def __init__(self, job: Job) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_CLIENTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.say(asdict(job))

    def say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is nothing to hear either
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadError(f"a process with clients ended with status {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        self._process.kill()
        self._process.communicate()
