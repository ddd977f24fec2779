"""The results of `throughput.py` in words: lines for a terminal, and the tables of the page."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from page import Shown, Table, cell_text

from bftledger.bench.profiled import profile_text
from bftledger.bench.readable import LEFT_OUT, not_committed, percentile_of
from bftledger.bench.results import Result
from bftledger.bench.rounds import spread

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], object]]

LARGE: Final = 1_000
"""Of transactions of so many bytes or more it is the bytes that count."""

SHAPE: Final = {
    "clients": ("clients", "{:,} clients"),
    "operations": ("operations in each", "{:,} operations in a transaction"),
    "size": ("bytes of each", "operations of {:,} bytes"),
    "batch_count": ("batch at most", "batches of {:,} at most"),
}
"""What a load is made of: the head of its column, and how it is said where all have the same."""


def measure_of(rows: Sequence[Row]) -> str:
    """The field that such loads are judged by: operations where one signature is for several, bytes where they are
    many, else transactions."""
    if any(row["operations"] > 1 for row in rows):
        return "operations_per_s"
    return "payload_mb_per_s" if all(row["size"] >= LARGE for row in rows) else "tx_per_s"


def text(result: Result) -> str:
    """One line per load; `µs/tx` is the processor time that a transaction costs, by process."""
    rows: list[Row] = result["results"]
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("clients", lambda row: f"{row['clients']}"),
        ("ops", lambda row: f"{row['operations']}"),
        ("size", lambda row: f"{row['size']}"),
        ("batch", lambda row: f"{row['batch_count']}"),
        ("tx/s", lambda row: f"{row['tx_per_s']:.0f}"),
        *([("range", between)] if has_rounds(rows) else []),
        ("ops/s", lambda row: f"{row['operations_per_s']:.0f}"),
        ("MB/s", lambda row: f"{row['payload_mb_per_s']:.2f}"),
        ("p50 ms", lambda row: _ms(percentile_of(row, 50))),
        ("p99 ms", lambda row: _ms(percentile_of(row, 99))),
        ("samples", lambda row: f"{row['samples']}"),
        ("view", lambda row: f"{row['view']}"),
        ("tx/blk", lambda row: f"{row['tx_per_block'] or 0:.1f}"),
        ("clients' µs/tx", lambda row: f"{row['clients_cpu_us_per_tx']:.0f}"),
        ("replicas'", lambda row: " ".join(f"{cpu:.0f}" for cpu in row["replicas_cpu_us_per_tx"] if cpu is not None)),
        ("failed", lambda row: not_committed(row) or "-"),
    ]
    cells = [[name for name, _ in columns], *([show(row) for _, show in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.append(f"\nceiling of this machine: {result['ceiling_tx_per_s']:,.0f} tx/s. {LEFT_OUT}")
    if "profile" in result:
        lines.append("\n" + profile_text(result["profiled_replica"], result["profile"]))
    return "\n".join(lines)


def show(result: Result) -> Shown:
    """The page without its pictures."""
    rows: list[Row] = result["results"]
    same = [said.format(rows[0][name]) for name, (_, said) in SHAPE.items() if not _varies(rows, name)]

    def of_ceiling(row: Row) -> str:
        return f"{row['tx_per_s'] / result['ceiling_tx_per_s']:.0%}"

    rates: list[Column] = [
        ("tx/s", lambda row: row["tx_per_s"]),
        *([("of the rounds", between)] if has_rounds(rows) else []),
        *([("of the ceiling", of_ceiling)] if measure_of(rows) == "tx_per_s" else []),
        ("p50 ms", lambda row: percentile_of(row, 50)),
        ("p99 ms", lambda row: percentile_of(row, 99)),
        ("max ms", lambda row: row["max_ms"]),
        ("samples", lambda row: row["samples"]),
        ("not committed", lambda row: not_committed(row) or "none"),
        ("view", lambda row: row["view"]),
    ]
    costs: list[Column] = [
        ("operations/s", lambda row: row["operations_per_s"]),
        ("payload MB/s", lambda row: row["payload_mb_per_s"]),
        ("tx per block", lambda row: row["tx_per_block"]),
        ("clients' CPU µs/tx", lambda row: row["clients_cpu_us_per_tx"]),
        ("a replica's", _replicas_cpu_us),
    ]
    return Shown(
        title=_title(rows, result["config"]["replicas"]),
        story=_story(result),
        tables=[
            _table(rows, rates, f"{LEFT_OUT} A view above 0: the primary was changed. {_all(same)}"),
            _table(rows, costs, f"CPU is processor time, a replica's the mean of all. {_all(same)}"),
        ],
    )


def has_rounds(rows: Sequence[Row]) -> bool:
    """Whether a row is of several."""
    return any(len(row.get("rounds", ())) > 1 for row in rows)


def between(row: Row) -> str:
    """The range of its rounds."""
    return " to ".join(f"{rate:,.0f}" for rate in spread(row, "tx_per_s"))


def clients_of(row: Row) -> str:
    """How many, in words."""
    return "one client" if row["clients"] == 1 else f"{row['clients']} clients"


def _title(rows: Sequence[Row], n: int) -> str:
    measure = measure_of(rows)
    best = max(rows, key=lambda row: float(row[measure]))
    what = {
        "tx_per_s": f"{best['tx_per_s']:,.0f} transactions per second, each signed",
        "operations_per_s": (
            f"{best['operations_per_s']:,.0f} operations per second, {best['operations']} under each signature"
        ),
        "payload_mb_per_s": (
            f"{best['payload_mb_per_s']:.1f} MB per second in transactions of {best['size']:,} bytes, each signed"
        ),
    }[measure]
    return f"{what}, replicated {n} times and proven"


def _story(result: Result) -> str:
    rows = result["results"]
    measure = measure_of(rows)
    best = max(rows, key=lambda row: float(row[measure]))
    calm = min(rows, key=lambda row: float(row["p50_ms"]))
    cores, n = result["machine"]["cores"], result["config"]["replicas"]
    ceiling = f", which is {best['tx_per_s'] / result['ceiling_tx_per_s']:.0%} of what checking one signature per "
    slow = percentile_of(calm, 99)
    return (
        f"{clients_of(best).capitalize()} get {best['tx_per_s']:,.0f} transactions per second out of {n} replicas that "
        f"share {cores} cores"
        + (f"{ceiling}transaction and replica allows. " if measure == "tx_per_s" else ". ")
        + f"With {clients_of(calm)} a transaction takes {calm['p50_ms']:.1f} ms from its signature to its verified "
        + ("receipt." if slow is None else f"receipt, and one in a hundred more than {slow:.1f} ms.")
    )


def _table(rows: Sequence[Row], columns: Sequence[Column], caption: str) -> Table:
    """Before these columns those of the loads, as far as they differ."""
    shape = [name for name in SHAPE if name == "clients" or _varies(rows, name)]
    heads = [*(SHAPE[name][0] for name in shape), *(name for name, _ in columns)]
    cells = [[*(row[name] for name in shape), *(value(row) for _, value in columns)] for row in rows]
    return Table(heads, cells, caption)


def _varies(rows: Sequence[Row], name: str) -> bool:
    return name == "clients" or len({row[name] for row in rows}) > 1


def _all(same: Sequence[str]) -> str:
    return f"All: {cell_text(list(same))}." if same else ""


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _replicas_cpu_us(row: Row) -> float | None:
    """The mean of those that are known."""
    known = [value for value in row["replicas_cpu_us_per_tx"] if value is not None]
    return round(sum(known) / len(known), 1) if known else None
