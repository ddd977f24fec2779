"""One load on a running group: starts the clients' processes, has them warm up, measures one window, adds up."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from bftledger.base.errors import BftLedgerError
from bftledger.bench.clients import Job, Seen, job_line
from bftledger.bench.group import Group, Module, cpu_s_of
from bftledger.bench.measured import Load, Mark, Measured

_LEAD_S = 0.05
"""What is to happen in all processes at one moment is announced so long before it."""

CLIENTS: Final[Module] = ("bftledger.bench.clients",)
"""The module that a process with clients runs."""

_GRACE_S = 2.0
"""A process that has reported has so long to end; then it is killed."""


class LoadError(BftLedgerError):
    """The clients did not come to an end; the text says why."""


def run_load(group: Group, load: Load) -> Measured:
    """Measures one load. Raises `LoadError` if the clients fail, or nothing was committed within the window."""
    with running_load(group, load) as running:
        measured = running.finish()
    if not measured.latencies_ms:
        raise LoadError(f"{load.clients} clients: nothing was committed within {load.seconds} s: {measured.failed}")
    return measured


@contextlib.contextmanager
def running_load(group: Group, load: Load) -> Iterator["RunningLoad"]:
    """A load that is under way and warm: its window has just begun. What the caller does meanwhile it can `mark`.

    It is over with `finish`, which gives the result, or with the `with` block. Raises `LoadError`.
    """
    with _begun(group, load, CLIENTS) as (processes, start):
        end = start + load.seconds
        time.sleep(max(0.0, start - _LEAD_S - time.monotonic()))
        for process in processes:
            process.say({"start": start, "end": end})
        time.sleep(max(0.0, start - time.monotonic()))
        yield RunningLoad(group, load, start, processes)


@contextlib.contextmanager
def endless_load(group: Group, load: Load, clients: Module = CLIENTS) -> Iterator["EndlessLoad"]:
    """The same without an end: its window lasts until `finish` is called, whatever `load.seconds` says.

    `clients`: another module for the processes with clients, and its arguments. Raises `LoadError`.
    """
    with _begun(group, load, clients) as (processes, start):
        time.sleep(max(0.0, start - time.monotonic()))
        yield EndlessLoad(group, load, start, processes)


@contextlib.contextmanager
def _begun(group: Group, load: Load, clients: Module) -> Iterator[tuple[list["_Process"], float]]:
    """The processes, whose clients have begun, and when they will be warm."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_Process(job, clients)) for job in _jobs(group, load)]
        for process in processes:
            process.hear()
        begin = time.monotonic() + _LEAD_S
        for process in processes:
            process.say({"begin": begin})
        yield processes, begin + max(load.warmup_s, _LEAD_S)


class RunningLoad:
    """A load under way. Times in seconds; `at_s` counts from the start of the window."""

    def __init__(self, group: Group, load: Load, start_s: float, processes: list["_Process"]) -> None:
        self.load = load
        self.start_s = start_s
        """On the system's monotonic clock (`time.monotonic`, the same in all processes)."""
        self._group = group
        self._processes = processes
        self._marks: list[Mark] = []
        self._cpu_before = group.cpu_s()

    @property
    def at_s(self) -> float:
        """Now."""
        return time.monotonic() - self.start_s

    def sleep_until(self, at_s: float) -> None:
        """Returns at that moment of the window."""
        time.sleep(max(0.0, at_s - self.at_s))

    def mark(self, what: str, at_s: float | None = None) -> None:
        """Notes that something happened, now or at that moment, for the timeline."""
        self._marks.append(Mark(what=what, at_s=self.at_s if at_s is None else at_s))

    def finish(self) -> Measured:
        """Waits for the end of the window, and until all transactions under way have ended. Raises `LoadError`."""
        self.sleep_until(self.load.seconds)
        after = self._group.cpu_s()
        pids = self._group.pids
        used = [
            after[pids[i]] - self._cpu_before[pids[i]] if pids.get(i) in after and pids[i] in self._cpu_before else None
            for i in self._group.home.genesis.group.replicas
        ]
        seen = [Seen.from_json(process.hear()) for process in self._processes]
        return Measured.of(self.load, self.start_s, seen, replicas_cpu_s=used, marks=self._marks)


class EndlessLoad(RunningLoad):
    """A load that ends with `finish`. Which blocks hold its transactions it does not know."""

    def __init__(self, group: Group, load: Load, start_s: float, processes: list["_Process"]) -> None:
        super().__init__(group, load, start_s, processes)
        self._clients_cpu_before = self._clients_cpu_s()

    def finish(self) -> Measured:
        """Ends the window and waits until all transactions under way have ended. Raises `LoadError`."""
        end = time.monotonic() + _LEAD_S
        for process in self._processes:
            process.say({"start": end, "end": end})  # what they count between these two is counted here
        self.load = replace(self.load, seconds=end - self.start_s)
        self.sleep_until(self.load.seconds)
        clients_cpu_s = self._clients_cpu_s() - self._clients_cpu_before
        return replace(super().finish(), clients_cpu_s=clients_cpu_s)

    def _clients_cpu_s(self) -> float:
        return sum(cpu_s_of(process.pid) or 0.0 for process in self._processes)


def _jobs(group: Group, load: Load) -> list[Job]:
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
            operations=load.operations,
            seed=load.seed,
            timeout_s=load.timeout_s,
            rate=None if load.rate is None else load.rate / count,
            phase=i / count,
            receipts=None if load.receipts is None else str(load.receipts / f"{first}.rows"),
        )
        for i, (first, end) in enumerate(pairwise(bounds))
    ]


class _Process:
    """A process with clients; killed at the end of the `with` block if it has not ended."""

    def __init__(self, job: Job, clients: Module) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *clients],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.say(job_line(job))

    @property
    def pid(self) -> int:
        return self._process.pid

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
