"""The result of the standard set as a block of text for people: configuration first, then what came of it."""

from typing import Any, Final

from bftledger.bench.quiet import warning
from bftledger.bench.readable import LEFT_OUT, not_committed, percentile_of
from bftledger.bench.results import Result
from bftledger.bench.rounds import spread

_COLUMNS: Final = ("", "tx/s", "range", "of ceiling", "p50 ms", "p99 ms", "max ms", "replica µs/tx", "")
_RANGE: Final = 2
"""The column that there is only where a load had several windows,"""
_CEILING: Final = 3
"""and the one that there is only if all replicas share the machine."""


def summary(result: Result) -> str:
    """Between the fences of Markdown, so that it stays as it is wherever it is pasted."""
    about = [(name, value) for name, value in _about(result) if value]
    width = max(len(name) for name, _ in about)
    table = [_COLUMNS, *(_row(row, result) for row in result["results"])]
    shown = [i for i in range(len(_COLUMNS)) if not (i == _CEILING and not _is_here(result))]
    if not any(row[_RANGE] for row in table[1:]):
        shown.remove(_RANGE)
    busy = warning(result["machine"].get("busy_before"))
    is_cut = any(percentile_of(row, percent) is None for row in result["results"] for percent in (50, 99))
    lines = [
        f"bftledger {result['versions']['bftledger']} ({(result['commit'] or 'installed')[:12]}), {result['when']}",
        *(f"  {name:<{width}}  {value}" for name, value in about),
        "",
        *_table([tuple(row[i] for i in shown) for row in table]),
        *([f"  {LEFT_OUT}"] if is_cut else []),
        *_others(result),
        *([f"  Right before, {busy}."] if busy else []),
    ]
    return "\n".join(("```text", *lines, "```"))


def _is_here(result: Result) -> bool:
    """Whether all replicas share the machine: then its cores are their ceiling."""
    config = result["config"]
    return bool(config["replicas_here"] == config["replicas"])


def _about(result: Result) -> list[tuple[str, str]]:
    machine, versions, config = result["machine"], result["versions"], result["config"]
    found, protocol = result["calibrations"], config["protocol"]
    return [
        ("machine", f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"),
        ("system", f"{machine['system']}, ledgers on {machine['filesystem']}"),
        ("before", f"{_busy(machine.get('busy_before'))}, load average {machine['load_before']}"),
        ("software", ", ".join(f"{name} {value}" for name, value in versions.items() if name != "bftledger")),
        ("group", f"{config['replicas']} replicas, application {config['app']}; {config['group']}"),
        (
            "protocol",
            (
                f"window {protocol['window']}, pipeline {protocol['pipeline']}, batches of {protocol['batch_count']}, "
                f"time-out {protocol['request_timeout_ms']} ms"
            ),
        ),
        (
            "load",
            f"puts of {config['size']} bytes, {config['clients']}",
        ),
        (
            "windows",
            (
                f"{_windows(config['windows'])} {config['seconds']:g} s for each load, after {config['warmup_s']:g} s "
                f"of warm-up; seed {result['seed']}"
            ),
        ),
        (
            "calibration",
            (
                f"{found['ed25519_verifications_per_s']:,.0f} Ed25519 verifications/s, "
                f"{found['store_commits_per_s']:,.0f} store commits/s, "
                f"ZeroMQ round trip {found['zeromq_round_trip_us']:.0f} µs"
            ),
        ),
        (
            "ceiling",
            f"{result['ceiling_tx_per_s']:,.0f} tx/s: {machine['cores']} cores x verifications / {config['replicas']}"
            if _is_here(result)
            else "",
        ),
    ]


def _row(row: dict[str, Any], result: Result) -> tuple[str, ...]:
    costs = [cost for cost in row["replicas_cpu_us_per_tx"] if cost is not None]
    least, greatest = spread(row, "tx_per_s")
    remarks = [not_committed(row)] * bool(row["failed"])
    remarks += [f"view {row['view']}"] * bool(row["view"]) + ["not kept up"] * (not row["kept_up"])
    return (
        _load(row),
        f"{row['tx_per_s']:,.0f}",
        f"{least:,.0f} to {greatest:,.0f}" if least < greatest else "",
        f"{row['tx_per_s'] / result['ceiling_tx_per_s']:.0%}",
        *(_ms(percentile_of(row, percent)) for percent in (50, 99)),
        _ms(row["max_ms"]),
        f"{sum(costs) / len(costs):,.0f}" if costs else "-",
        ", ".join(remarks),
    )


def _load(row: dict[str, Any]) -> str:
    if row["rate"] is not None:
        return f"{row['rate']:,.0f}/s due"
    return "1 client" if row["clients"] == 1 else f"{row['clients']} clients"


def _others(result: Result) -> list[str]:
    reads, fetch = result["reads"], result["fetch"]
    lines = [
        (
            f"  verified reads, {reads['at_once']} at once: {reads['reads_per_s']:,.0f}/s, "
            f"p50 {_ms(reads['p50_ms'])} ms, p99 {_ms(reads['p99_ms'])} ms"
        )
    ]
    if fetch is not None:
        lines.append(
            f"  replica {fetch['replica']} away for {fetch['missed_tx']:,} transactions in {fetch['missed_blocks']:,} "
            f"blocks: level {fetch['seconds']:.1f} s after its start, {fetch['tx_per_s']:,.0f} tx/s"
        )
    return lines


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _busy(share: float | None) -> str:
    return "nobody looked how busy it was" if share is None else f"{share:.0%} of the cores busy"


def _windows(count: int) -> str:
    return "a window of" if count == 1 else f"{count} windows, in turns, of"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"
