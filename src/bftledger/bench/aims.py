"""What this project aims at, and what its reference results say of it: each figure, and whether it is good enough.

A figure is of one file in `bench/results`. Where that is missing, is of an older form, was measured on a busy machine
or at another commit than the rest, this is said beside it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.bench.attack_repeats import runs_of
from bftledger.bench.quiet import QUIET
from bftledger.bench.readable import percentile_of
from bftledger.bench.real_replica import WITHOUT, largest
from bftledger.bench.results import Result, read
from bftledger.bench.rounds import spread
from bftledger.bench.scale_fit import best_law
from bftledger.bench.scale_laws import MESSAGES, TIME, all_laws
from bftledger.bench.scale_processes import PROCESSES
from bftledger.bench.scale_timeouts import is_carried
from bftledger.bench.scale_traffic import SURPRISE

CEILING: Final = 0.60
P50_MS, P99_MS = 4.0, 12.0
OPERATIONS_PER_S: Final = 60_000
OPERATIONS: Final = 100
LARGE: Final = 4_096
BEYOND_US: Final = 20.0
MEMORY_MB: Final = 150.0
TRANSACTIONS: Final = 1_000_000
FLAT: Final = 0.01
"""Memory that grows by no more than this share of itself for each 100,000 transactions is flat."""
START_MS: Final = 2_000.0
KEPT: Final = 0.40
KEPT_REPLACED: Final = 0.70


class Missing(Exception):
    """The result has no such figure; the text says which."""


@dataclass(frozen=True)
class Figure:
    """`text`: for people. `is_met`: None where the aim is no number, or the figure no answer."""

    text: str
    is_met: bool | None


@dataclass(frozen=True)
class Aim:
    """`file`: the name of the result, without `.json`. `figure`: raises `Missing`, and LookupError for older forms."""

    what: str
    aim: str
    file: str
    figure: Callable[[Result], Figure]


@dataclass(frozen=True)
class Finding:
    """What became of an aim. `remarks`: what a reader has to know of the result."""

    aim: Aim
    figure: Figure | None
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.figure is None:
            return "unknown"
        return {True: "met", False: "missed", None: "-"}[self.figure.is_met]


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(result: Result, what: str, **wanted: Any) -> dict[str, Any]:
    """The only row with these values. `what`: what there is none of, otherwise."""
    found: list[dict[str, Any]] = [
        row for row in result["results"] if all(row[name] == value for name, value in wanted.items())
    ]
    if not found:
        raise Missing(f"no {what}")
    return found[0]


def _of_ceiling(clients: int) -> Callable[[Result], Figure]:
    def figure(result: Result) -> Figure:
        row = _row(result, f"row of {clients} clients", clients=clients, operations=1, size=200)
        least, greatest = spread(row, "tx_per_s")
        rounds = f" ({least:,.0f} to {greatest:,.0f})" if least < greatest else ""
        share = row["tx_per_s"] / result["ceiling_tx_per_s"]
        said = f"{row['tx_per_s']:,.0f}/s{rounds}, {share:.0%} of {result['ceiling_tx_per_s']:,.0f}/s"
        return Figure(said, share >= CEILING)

    return figure


def _latency(percent: int, most_ms: float) -> Callable[[Result], Figure]:
    def figure(result: Result) -> Figure:
        row = _row(result, "row of one client", clients=1, operations=1, size=200)
        found = percentile_of(row, percent)
        if found is None:
            raise Missing(f"{row['samples']:,} samples carry no p{percent}")
        return Figure(f"{found:.1f} ms", found <= most_ms)

    return figure


def _operations(result: Result) -> Figure:
    rows = [row for row in result["results"] if row["operations"] == OPERATIONS]
    if not rows:
        raise Missing(f"no row of {OPERATIONS} operations")
    best = max(rows, key=lambda row: float(row["operations_per_s"]))
    said = f"{best['operations_per_s']:,.0f}/s, {best['clients']} clients, {best['size']} bytes each"
    return Figure(said, best["operations_per_s"] >= OPERATIONS_PER_S)


def _payload(result: Result) -> Figure:
    rows = [row for row in result["results"] if row["size"] == LARGE]
    if not rows:
        raise Missing(f"no row of {LARGE:,} bytes")
    best = max(rows, key=lambda row: float(row["payload_mb_per_s"]))
    return Figure(f"{best['payload_mb_per_s']:.1f} MB/s, {best['tx_per_s']:,.0f}/s, {best['clients']} clients", None)


def _beyond(result: Result) -> Figure:
    """Of a real replica, if the result has one: the rest is a part of what it takes, and cannot meet the aim alone."""
    rows = largest(result["results"])
    alone = {role: rows[role]["beyond_client_check_us"] for role in ("backup", "primary")}
    said = ", ".join(f"{role} {us:.1f} µs" for role, us in alone.items())
    said += f", {WITHOUT}, in batches of {rows['backup']['batch']:,}"
    real = result.get("real")
    if real is None:
        return Figure(said, False if max(alone.values()) > BEYOND_US else None)
    check = real["client_check_us"] or rows["backup"]["client_check_us"]
    found = {role: real[f"{role}_us_per_tx"] - check for role in alone}
    of_real = ", ".join(f"{role} {us:.0f} µs" for role, us in found.items())
    return Figure(f"{of_real}, {real['clients']} clients; {said}", max(found.values()) <= BEYOND_US)


def _memory(result: Result) -> Figure:
    if result["transactions"] < TRANSACTIONS:
        raise Missing(f"ended after {result['transactions']:,} transactions")
    return Figure(f"{result['rss_mb_at_end']:.0f} MB", result["rss_mb_at_end"] <= MEMORY_MB)


def _flat(result: Result) -> Figure:
    _memory(result)
    growth = result["rss_mb_growth_per_100k"]
    if growth is None:
        raise Missing("too few rows for a line")
    return Figure(f"{growth:+.2f} MB for each 100,000", growth <= FLAT * result["rss_mb_at_end"])


def _start(result: Result) -> Figure:
    row = _row(result, "start", step="first_commit")
    if row["max_ms"] is None:
        raise Missing("no group started")
    took = f"{row['p50_ms'] / 1_000:.2f} s, at most {row['max_ms'] / 1_000:.2f} s, {row['samples']} starts"
    failed = sum(one["error"] is not None for one in result["rounds"])
    return Figure(took + (f", {failed} rounds failed" if failed else ""), row["max_ms"] <= START_MS and not failed)


def _attacked(result: Result) -> Figure:
    rows = [row for row in result["results"] if row["ratio"] is not None]
    if not rows:
        raise Missing("no attack")
    worst = min(rows, key=lambda row: float(row["ratio"]))
    middle = median(row["ratio"] for row in rows)
    said = [f"{worst['ratio']:.0%} in the worst of {len(rows)} ({worst['behaviour']}), {middle:.0%} in the median"]
    runs = [row["ratios"]["least"] for row in rows if row.get("ratios")]
    if min(runs, default=worst["ratio"]) < worst["ratio"]:
        said.append(f"{min(runs):.0%} in the worst of all runs")
    unsafe = [row["behaviour"] for row in result["results"] if not row["ok"]]
    said.append(f"not safe: {', '.join(unsafe)}" if unsafe else "all safe")
    lost = len(result["not_measured"]) + len(result["results"]) - len(rows)
    said += [f"{lost} not measured"] * bool(lost)
    return Figure(", ".join(said), min([worst["ratio"], *runs]) >= KEPT and not unsafe and not lost)


def _until_replaced(result: Result) -> Figure:
    """Of all runs of each attack."""
    runs = [run for row in result["results"] for run in (runs_of(row) if "runs" in row else [row])]
    replaced = [run for run in runs if run["ratio_until_replaced"] is not None]
    if not replaced:
        raise Missing("no primary was replaced")
    worst = min(replaced, key=lambda run: float(run["ratio_until_replaced"]))
    below = [run for run in replaced if run["ratio_until_replaced"] < KEPT]
    attacks, kept_less = ({run["behaviour"] for run in some} for some in (replaced, below))
    said = f"{worst['ratio_until_replaced']:.0%} in the worst of {len(attacks)} ({worst['behaviour']})"
    if below:
        said += f"; {len(kept_less)} keep less, for {max(run['replaced_s'] for run in below):.1f} s at most"
    return Figure(said, not below)


def _slow(result: Result) -> Figure:
    row = _row(result, "attack called slow", behaviour="slow")
    if row["replaced_s"] is None:
        return Figure("not replaced", is_met=False)
    if row["ratio_replaced"] is None:
        raise Missing("replaced too late to say what was kept then")
    said = f"after {row['replaced_s']:.1f} s, then {row['ratio_replaced']:.0%}"
    return Figure(said, row["ratio_replaced"] >= KEPT_REPLACED)


def _messages(result: Result) -> Figure:
    laws = [law for law in all_laws(result["blocks"], []) if law["what"] == MESSAGES]
    said = []
    for found in laws:
        if (law := best_law(found)) is not None:
            said.append(f"{law.text()}, off by {law.off}, in batches of {found['batch']}")
    if not said:
        raise Missing("too few sizes for a law")
    apart = max(row["excess_messages"] for row in result["blocks"])
    carried = [row for row in result["results"] if is_carried(row)]
    loads = [row["excess_messages"] for row in carried if row.get("excess_messages") is not None]
    said.append(f"at most {apart:+.0%} block by block" + (f", {max(loads):+.0%} under load" if loads else ""))
    return Figure("; ".join(said), max([apart, *loads]) <= SURPRISE)


def _throughput_law(result: Result) -> Figure:
    for found in all_laws([], [], result["results"]):
        law = best_law(found)
        if law is not None and (found["what"], found["how"]) == (TIME, PROCESSES):
            return Figure(f"{law.text()} µs per transaction, off by {law.off}, {found['load']}", None)
    raise Missing("too few sizes of processes for a law")


AIMS: Final = (
    Aim("transactions of 200 bytes, each signed, 256 clients", "60% of the ceiling", "throughput", _of_ceiling(256)),
    Aim("the same, 64 clients", "60% of the ceiling", "throughput", _of_ceiling(64)),
    Aim("the same, one client: median", f"{P50_MS:g} ms", "throughput", _latency(50, P50_MS)),
    Aim("the same, one client: 99 of 100", f"{P99_MS:g} ms", "throughput", _latency(99, P99_MS)),
    Aim(f"operations in transactions of {OPERATIONS}", f"{OPERATIONS_PER_S:,}/s", "operations", _operations),
    Aim("transactions of 4 KiB", "the limit", "payload", _payload),
    Aim("a replica's processor time beyond one signature check", f"{BEYOND_US:g} µs", "breakdown", _beyond),
    Aim(f"a replica's memory after {TRANSACTIONS:,} transactions", f"{MEMORY_MB:g} MB", "growth", _memory),
    Aim("its growth in the last half of that", f"flat: {FLAT:.0%} for each 100,000", "growth", _flat),
    Aim("start of a group until its first commit", f"{START_MS / 1_000:g} s", "start", _start),
    Aim("kept under each attack, all of it", f"{KEPT:.0%}, safe", "adversary", _attacked),
    Aim("kept until a lying or stopped primary is replaced", f"{KEPT:.0%}", "adversary", _until_replaced),
    Aim("a slow primary", f"replaced, then {KEPT_REPLACED:.0%}", "adversary", _slow),
    Aim("messages per block by size", f"3n(n-1), {SURPRISE:.0%} more at most", "scale", _messages),
    Aim("throughput by size, processes on this machine", "a law", "scale", _throughput_law),
)


# ── findings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


Results = Mapping[str, Result | str]
"""By name: a result, or why there is none."""


def results_in(directory: Path) -> Results:
    """Those that the aims need."""
    return {name: _read(directory / f"{name}.json") for name in dict.fromkeys(aim.file for aim in AIMS)}


def findings(results: Results) -> list[Finding]:
    """What these say of each aim."""
    common = commit_of_most(results)
    return [_finding(aim, results[aim.file], common) for aim in AIMS]


def commit_of_most(results: Results) -> str | None:
    """Of the results that could be read; of two that are of as many the one of the newest. None if nobody knows."""
    known = [one for one in results.values() if not isinstance(one, str) and one["commit"] is not None]
    counts = Counter(one["commit"] for one in known)
    newest = max(known, key=lambda one: (counts[one["commit"]], one["when"]), default=None)
    return None if newest is None else newest["commit"]


def _read(path: Path) -> Result | str:
    """The result, or why there is none."""
    if not path.exists():
        return "not measured: there is no such file"
    try:
        result = read(path)
    except OperatorError as error:
        return f"not readable: {str(error).removeprefix(f'{path}: ')}"
    return result if {"commit", "when", "machine"} <= result.keys() else "of an older form"


def _finding(aim: Aim, result: Result | str, common: str | None) -> Finding:
    if isinstance(result, str):
        return Finding(aim, None, (result,))
    remarks = []
    if result["commit"] != common:
        remarks.append(f"of another commit, {short(result['commit'])}")
    busy = result["machine"].get("busy_before")
    if busy is not None and busy > QUIET:
        remarks.append(f"{busy:.0%} of the cores were busy before")
    try:
        return Finding(aim, aim.figure(result), tuple(remarks))
    except Missing as error:
        return Finding(aim, None, (*remarks, str(error)))
    except LookupError as error:
        return Finding(aim, None, (*remarks, f"of an older form, without {error}"))


def short(commit: str | None) -> str:
    """For people; a `+` stays, for sources that differed from it."""
    return "unknown" if commit is None else commit[:7] + "+" * commit.endswith("+")
