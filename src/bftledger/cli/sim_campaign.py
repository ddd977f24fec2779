"""Campaigns: seeds spread over processes, a bar while they run, and what they add up to."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any, Final

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bftledger.base.errors import OperatorError
from bftledger.cli import output
from bftledger.cli.sim_coverage import Coverage, covered_run, is_available
from bftledger.sim.campaign import Failure, Source, Tally, run_seeds

CHUNK: Final = 20
"""So many seeds a process takes at a time."""

COVERED: Final = 50
TRACED: Final = 2
"""Of the first of so many chunks, so many seeds are run under a tracer, for the coverage of the protocol's branches."""


@dataclass(slots=True)
class Outcome:
    """What a campaign came to. `covered`: None if it was not measured.

    `cpu_s`: processor time of all its processes, but for what was traced; `events`: how many it was spent on.
    """

    tally: Tally = field(default_factory=Tally)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    events: int = 0
    is_complete: bool = True
    covered: Coverage | None = None


def run_campaign(
    first: int, seeds: int | None, source: Source, *, jobs: int, keeps_traces: bool = False, covers: bool = True
) -> Outcome:
    """Runs `seeds` seeds from `first` on, for ever if None, until they are done, or until Ctrl-C or SIGTERM.

    Says on standard error what fails when it fails.
    """
    outcome = Outcome()
    begun = time.monotonic()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    todo = _chunks(first, seeds)
    with _Bar(seeds) as bar, ProcessPoolExecutor(jobs, _context(), _begin_worker) as pool:
        running: set[Future[Any]] = set()
        try:
            for number, chunk in enumerate(todo):
                traced = TRACED if covers and number % COVERED == 0 and is_available() else 0
                for work, part in ((covered_run, chunk[:traced]), (timed_run, chunk[traced:])):
                    if part:
                        running.add(pool.submit(work, part, source, keeps_traces))
                while len(running) >= 2 * jobs:
                    _collect(running, outcome, bar)
            while running:
                _collect(running, outcome, bar)
        except KeyboardInterrupt:
            outcome.is_complete = False
            for future in [future for future in running if future.cancel()]:
                running.remove(future)
            with contextlib.suppress(BrokenProcessPool):  # the signal may have been for all processes
                while running:  # what has begun ends soon, and counts
                    _collect(running, outcome, bar)
        except BrokenProcessPool:
            raise OperatorError("a process of the campaign was killed: run it again with fewer --jobs") from None
        finally:
            signal.signal(signal.SIGTERM, before)
    outcome.elapsed_s = time.monotonic() - begun
    outcome.tally.failures.sort(key=lambda failure: failure.seed)
    return outcome


def timed_run(seeds: range, source: Source, keeps_traces: bool) -> tuple[Tally, float, Coverage | None]:
    """These seeds' tally, and the processor time they took."""
    begun = time.process_time()
    tally = run_seeds(seeds, source, keeps_traces=keeps_traces)
    return tally, time.process_time() - begun, None


def _chunks(first: int, seeds: int | None) -> Iterator[range]:
    starts = count(first, CHUNK)
    if seeds is None:
        return (range(start, start + CHUNK) for start in starts)
    end = first + seeds
    return (range(start, min(start + CHUNK, end)) for start in islice(starts, -(-seeds // CHUNK)))


def _collect(running: set[Future[Any]], outcome: Outcome, bar: "_Bar") -> None:
    """Waits until some are done, and adds them up."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    running -= done
    for future in done:
        tally, cpu_s, covered = future.result()
        outcome.tally.merge(tally)
        if covered is None:
            outcome.cpu_s += cpu_s
            outcome.events += tally.counts["events"]
        else:
            outcome.covered = covered if outcome.covered is None else outcome.covered.merged(covered)
        bar.advance(tally, outcome.tally)


def _context() -> Any:
    return multiprocessing.get_context("forkserver" if sys.platform != "darwin" else "spawn")


def _begin_worker() -> None:
    """A signal ends the campaign, which ends its processes in its own time; but none of them outlives it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


class _Bar:
    """Progress on standard error: drawn in a terminal, a line now and then elsewhere."""

    def __init__(self, seeds: int | None) -> None:
        self._seeds = seeds
        self._is_drawn = sys.stderr.isatty()
        self._told = time.monotonic()
        self._begun = self._told
        self._progress = Progress(
            TextColumn("{task.fields[done]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=output.console(stderr=True),
            transient=True,
            disable=not self._is_drawn,
        )
        self._task = self._progress.add_task("", total=seeds, done="0 seeds", pace="")

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, part: Tally, whole: Tally) -> None:
        """A chunk is done."""
        for failure in part.failures:
            self._progress.console.print(f"seed {failure.seed}: {output.printable(failure.text)}", style=output.BAD)
        elapsed = max(time.monotonic() - self._begun, 0.001)
        total = f" of {self._seeds:,}" if self._seeds else ""
        done = f"{whole.runs:,}{total} seeds, {output.plural(whole.failed, 'failure')}"
        pace = f"{whole.runs / elapsed:,.0f}/s"
        self._progress.update(self._task, advance=part.runs, done=done, pace=pace)
        if not self._is_drawn and time.monotonic() - self._told > 30:
            self._told = time.monotonic()
            output.note(f"{done}, {pace}")


def show(outcome: Outcome, words: str) -> None:
    """The summary, as tables and sentences."""
    tally = outcome.tally
    counts = tally.counts
    seconds = max(outcome.elapsed_s, 0.001)
    output.say(
        f"{output.plural(tally.runs, 'run')} in {outcome.elapsed_s:,.1f} s ({tally.runs / seconds:,.1f} per second), "
        f"{tally.lasted_us / 1e6:,.0f} s of virtual time",
        output.STRONG,
    )
    pace = f", {outcome.events / outcome.cpu_s:,.0f} per second of processor time" if outcome.cpu_s else ""
    rows: list[tuple[str, str]] = [
        ("groups", ", ".join(f"n = {n}: {times:,}" for n, times in sorted(tally.sizes.items()))),
        ("events", f"{counts['events']:,}{pace}"),
        ("messages", _messages(counts)),
        ("blocks", f"{tally.blocks:,}"),
        ("highest view", _histogram(tally.views)),
        ("trouble", "; ".join(f"{mix}: {times:,}" for mix, times in tally.mixes.most_common(8))),
        ("faults", _named(counts, ("cut", "storm", "jump", "slow"))),
        ("crashes", _crashes(counts)),
        ("scripts", _scripts(tally)),
        ("hostile", _prefixed(counts, "hostile: ")),
        ("lies", _prefixed(counts, "lies: ")),
        ("never lied", ", ".join(tally.never_lied)),
        ("ignored", _prefixed(counts, "ignored: ")),
        ("dropped", _prefixed(counts, "dropped from peers: ")),
    ]
    if outcome.covered is not None:
        rows.append(("branches", str(outcome.covered)))
    if tally.guilty:
        rows.append(("forks", ", ".join(f"{times:,} convict {n}" for n, times in sorted(tally.guilty.items()))))
    for name, told in rows:
        if told:
            output.paragraph(f"  {name + ':':14}{told}", indent=16)
    for failure in tally.failures[:20]:
        output.paragraph(f"  seed {failure.seed}: {failure.text}", output.BAD, indent=4)
    if tally.failed > 20:
        output.say(f"  and {tally.failed - 20:,} more", output.BAD)
    if tally.failures:
        output.say(f"look at one with: bftledger sim --seed {tally.failures[0].seed}{words}")


def facts(outcome: Outcome) -> dict[str, Any]:
    """The same for programs."""
    tally = outcome.tally
    return {
        "runs": tally.runs,
        "failed": tally.failed,
        "complete": outcome.is_complete,
        "failures": [_fact(failure) for failure in tally.failures],
        "elapsed_s": round(outcome.elapsed_s, 3),
        "cpu_s": round(outcome.cpu_s, 3),
        "events_per_cpu_s": round(outcome.events / outcome.cpu_s) if outcome.cpu_s else None,
        "virtual_s": tally.lasted_us / 1e6,
        "blocks": tally.blocks,
        "sizes": {str(n): times for n, times in sorted(tally.sizes.items())},
        "highest_views": {str(view): times for view, times in sorted(tally.views.items())},
        "trouble": dict(tally.mixes.most_common()),
        "scripted": tally.scripted,
        "counts": dict(sorted(tally.counts.items())),
        "never_lied": tally.never_lied,
        "convicted_in_forks": {str(n): times for n, times in sorted(tally.guilty.items())},
        "coverage": outcome.covered.facts() if outcome.covered else None,
        "traces": {str(seed): trace for seed, trace in sorted(tally.traces.items())},
    }


def _fact(failure: Failure) -> dict[str, Any]:
    return {"seed": failure.seed, "replicas": failure.n, "oracles": list(failure.oracles), "text": failure.text}


def _histogram(views: Any) -> str:
    shown = [f"{view}: {times:,}" for view, times in sorted(views.items()) if view < 6]
    more = sum(times for view, times in views.items() if view >= 6)
    return ", ".join([*shown, *([f"6 and more: {more:,}"] if more else [])])


def _messages(counts: Any) -> str:
    by_scripts = counts["script: kept apart"] + counts["script: too late"]
    cut_off = f"cut off {counts['cut_off']:,}" + f" ({by_scripts:,} of them by scripts)" * (by_scripts > 0)
    return f"{counts['messages']:,}; lost {counts['lost']:,}, {cut_off}, arrived twice {counts['duplicated']:,}"


def _crashes(counts: Any) -> str:
    """Those that happened: a process may be down already, or do nothing at which it could have died in time."""
    if not counts["crash"]:
        return ""
    where = _prefixed(counts, "crashed: ")
    return f"{counts['crashes']:,} of {counts['crash']:,} planned" + f": {where}" * bool(where)


def _scripts(tally: Tally) -> str:
    """What scripts have kept from arriving; a partition in which nobody had anything to say is none."""
    if not tally.scripted:
        return ""
    counts = tally.counts
    apart, late = counts["script: kept apart"], counts["script: too late"]
    return (
        f"in {output.plural(tally.scripted, 'run')}; {output.plural(counts['script: partitions'], 'partition')} "
        f"kept {output.plural(apart, 'message')} apart, {late:,} came after their view's time"
    )


def _named(counts: Any, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {counts[name]:,}" for name in names if counts[name])


def _prefixed(counts: Any, prefix: str) -> str:
    found = sorted(
        ((name.removeprefix(prefix), times) for name, times in counts.items() if name.startswith(prefix)),
        key=lambda item: (-item[1], item[0]),
    )
    return ", ".join(f"{name} {times:,}" for name, times in found)
