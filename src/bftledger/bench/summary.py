"""The result of the standard set as a block of text for people: configuration first, then what came of it."""

from typing import Any, Final

from bftledger.bench.results import Result

_COLUMNS: Final = ("", "tx/s", "of ceiling", "p50 ms", "p99 ms", "max ms", "replica µs/tx", "")


def summary(result: Result) -> str:
    """Between the fences of Markdown, so that it stays as it is wherever it is pasted."""
    about = [(name, value) for name, value in _about(result) if value]
    width = max(len(name) for name, _ in about)
    lines = [
        f"bftledger {result['versions']['bftledger']} ({(result['commit'] or 'installed')[:12]}), {result['when']}",
        *(f"  {name:<{width}}  {value}" for name, value in about),
        "",
        *_table([_COLUMNS, *(_row(row, result) for row in result["results"])]),
        *_others(result),
    ]
    return "\n".join(("```text", *lines, "```"))


def _about(result: Result) -> list[tuple[str, str]]:
    machine, versions, config = result["machine"], result["versions"], result["config"]
    found, protocol = result["calibrations"], config["protocol"]
    return [
        ("machine", f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"),
        ("system", f"{machine['system']}, ledgers on {machine['filesystem']}, load before {machine['load_before']}"),
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
            f"{config['seconds']:g} s after {config['warmup_s']:g} s of warm-up; seed {result['seed']}",
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
            f"{result['ceiling_tx_per_s']:,.0f} tx/s: {machine['cores']} cores x verifications / {config['replicas']}",
        ),
    ]


def _row(row: dict[str, Any], result: Result) -> tuple[str, ...]:
    costs = [cost for cost in row["replicas_cpu_us_per_tx"] if cost is not None]
    remarks = [f"{count} {how}" for how, count in row["failed"].items()]
    remarks += [f"view {row['view']}"] * bool(row["view"]) + ["not kept up"] * (not row["kept_up"])
    return (
        _load(row),
        f"{row['tx_per_s']:,.0f}",
        f"{row['tx_per_s'] / result['ceiling_tx_per_s']:.0%}",
        *(_ms(row[name]) for name in ("p50_ms", "p99_ms", "max_ms")),
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
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    last = len(_COLUMNS) - 1
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"
