"""The result of `scale.py` as lines for people, and as the tables of its page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from page import Shown, Table

from bftledger.bench.scale_laws import ceiling_tx_per_s, surprises
from bftledger.bench.scale_timeouts import is_carried

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], Any]]


def _both(row: Row, name: str) -> str:
    """Of the primary and of a backup."""
    return f"{row[name]['primary']:,.0f} / {row[name]['backup']:,.0f}"


def _per_tx(row: Row) -> str:
    return " / ".join(f"{row['cpu_us_per_block'][role] / row['batch']:,.0f}" for role in ("primary", "backup"))


def _rounded(value: float | None, digits: int = 0) -> float | int | None:
    return None if value is None else round(value, digits) if digits else round(value)


def _not_committed(row: Row) -> str:
    """How many transactions ended how, other than with a receipt."""
    if row.get("failed") is None:
        return "–"
    return ", ".join(f"{count} {how}" for how, count in row["failed"].items()) or "none"


def _subject(row: Row) -> str:
    return f"batches of {row['batch']}" if row["in_flight"] is None else f"{row['in_flight']} slots in flight"


def _fitted(row: Row, model: str) -> str:
    for law in row["fits"]:
        if law["model"] == model:
            return f"{law['a']:,.4g} + {law['b']:,.4g}·{model[-2:].lstrip('·')}, R² {law['r2']:.4f}"
    return "–"


BLOCKS: tuple[Column, ...] = (
    ("n", lambda row: row["replicas"]),
    ("batch", lambda row: row["batch"]),
    ("messages", lambda row: round(row["messages_per_block"])),
    ("expected", lambda row: row["expected_messages_per_block"]),
    ("excess", lambda row: f"{row['excess_messages']:+.1%}"),
    ("again", lambda row: _rounded(row.get("again_per_block"))),
    ("bytes", lambda row: round(row["bytes_per_block"])),
    ("excess", lambda row: f"{row['excess_bytes']:+.1%}"),
    ("STATUS", lambda row: round(row["status_per_block"], 1)),
    ("messages/replica", lambda row: round(row["replica_messages_per_block"], 1)),
    ("messages/tx", lambda row: round(row["messages_per_tx"], 2)),
    ("bytes/tx", lambda row: round(row["bytes_per_tx"])),
    ("receipt", lambda row: row["receipt_bytes"]),
    ("CPU µs/block", lambda row: _both(row, "cpu_us_per_block")),
    ("transport", lambda row: _both(row, "transport_us_per_block")),
    ("CPU µs/tx", _per_tx),
    ("ms", lambda row: round(row["latency_ms"], 1)),
)

LOADS: tuple[Column, ...] = (
    ("n", lambda row: row["replicas"]),
    ("load", lambda row: row["load"]),
    ("how", lambda row: row["how"]),
    ("T ms", lambda row: row["request_timeout_ms"]),
    ("tx/s", lambda row: _rounded(row["tx_per_s"], 1)),
    ("of ceiling", lambda row: "–" if row["tx_per_s"] is None else f"{row['tx_per_s'] / row['ceiling_tx_per_s']:.1%}"),
    ("p50 ms", lambda row: _rounded(row["p50_ms"], 1)),
    ("p99 ms", lambda row: _rounded(row["p99_ms"], 1)),
    ("view", lambda row: row.get("view")),
    ("not committed", _not_committed),
    ("tx/block", lambda row: _rounded(row.get("tx_per_block"), 1)),
    ("ms/block", lambda row: _rounded(row.get("ms_per_block"), 1)),
    ("messages/block", lambda row: _rounded(row.get("messages_per_block"))),
    ("excess", lambda row: "–" if row.get("excess_messages") is None else f"{row['excess_messages']:+.0%}"),
    ("again", lambda row: _rounded(row.get("again_per_block"))),
    ("CPU µs/tx: primary", lambda row: _rounded(row.get("primary_cpu_us_per_tx"))),
    ("backup", lambda row: _rounded(row.get("backup_cpu_us_per_tx"))),
    ("clients", lambda row: _rounded(row.get("clients_cpu_us_per_tx"))),
    ("", lambda row: row["error"] or ""),
)

VIEWS: tuple[Column, ...] = (
    ("n", lambda row: row["replicas"]),
    ("in flight", lambda row: row["in_flight"]),
    ("VIEW-CHANGEs", lambda row: row["view_changes"]),
    ("expected", lambda row: row["expected_view_changes"]),
    ("again", lambda row: row.get("view_changes_again")),
    ("bytes of one", lambda row: row["view_change_longest"]),
    ("NEW-VIEWs", lambda row: row["new_views"]),
    ("expected", lambda row: row["expected_new_views"]),
    ("again", lambda row: row.get("new_views_again")),
    ("bytes of one", lambda row: row["new_view_longest"]),
    ("bytes of all", lambda row: row["bytes"]),
    ("took ms", lambda row: round(row["took_ms"], 1)),
    ("gap ms", lambda row: round(row["gap_ms"])),
    ("CPU ms", lambda row: _both(row, "cpu_ms")),
)

LAWS: tuple[Column, ...] = (
    ("", lambda row: row["what"]),
    ("of", _subject),
    *((f"a + b·{power}", lambda row, model=f"a + b·{power}": _fitted(row, model)) for power in ("n", "n²", "n³")),
    ("fits best", lambda row: row["best"] or "–"),
    ("exponent", lambda row: _rounded(row["exponent"], 2)),
)


_PARTS = (
    ("blocks", "One block after the other, a core each; CPU and transport of primary / backup", BLOCKS),
    (
        "results",
        "Under load; CPU with the transport's; the view in which it ended; again: messages sent again per block",
        LOADS,
    ),
    ("view_changes", "View changes, a core each; CPU of the new primary / a backup", VIEWS),
    ("laws", "Laws by the size of the group", LAWS),
)


def tables(result: Mapping[str, Any]) -> list[Table]:
    """One for each part that has rows."""
    rows = {part: result[part] for part, _, _ in _PARTS} | {"results": _loads(result)}
    return [
        Table([name for name, _ in columns], [[cell(row) for _, cell in columns] for row in rows[part]], title)
        for part, title, columns in _PARTS
        if rows[part]
    ]


def _loads(result: Mapping[str, Any]) -> list[Row]:
    """With their ceilings, which follow from the rest, and the T of all in a result that says it of all only."""
    shared, machine = result["config"]["cores_shared"], result["machine"]["cores"]
    usual = {"request_timeout_ms": result["config"]["protocol"]["request_timeout_ms"]}
    return [
        usual | row | {"ceiling_tx_per_s": ceiling_tx_per_s(row, result["calibration"], shared, machine)}
        for row in result["results"]
    ]


def text(result: Mapping[str, Any]) -> str:
    """The same as lines, and the surprises."""
    lines = []
    for table in tables(result):
        lines += [table.caption, *_lines(table), ""]
    lines += [f"Not measured: {one['what']}: {one['error']}" for one in result["not_measured"]]
    found = _surprises(result)
    if not found:
        return "\n".join([*lines, "No surprise: no primary was changed, and nothing is a tenth above what is needed."])
    return "\n".join([*lines, f"{_SURPRISES}:", *(f"  {one}" for one in found)])


_SURPRISES = "More than a tenth above what the protocol needs, or ended otherwise than where nothing is wrong"


def _surprises(result: Mapping[str, Any]) -> list[str]:
    """Those of the rows, whatever whoever measured them found surprising."""
    return surprises(result["blocks"], result["view_changes"], _loads(result))


def _lines(table: Table) -> list[str]:
    rows = [list(table.columns), *([_text(value) for value in row] for row in table.rows)]
    is_text = [any(isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, is_text, strict=True)
        ).rstrip()
        for row in rows
    ]


def _text(value: object) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def shown(result: Mapping[str, Any]) -> Shown:
    """The page without its pictures."""
    listed = list(tables(result))
    if found := _surprises(result):
        listed.insert(0, Table([""], [[one] for one in found], f"{_SURPRISES}."))
    return Shown(title=_title(result), story=_story(result["blocks"], result["results"]), tables=listed)


def _title(result: Mapping[str, Any]) -> str:
    measured = [row["replicas"] for part in ("blocks", "results", "view_changes") for row in result[part]]
    sizes = measured or result["config"]["replicas"]
    return f"What agreement costs {min(sizes)} to {max(sizes)} replicas"


def _story(blocks: Sequence[Row], loads: Sequence[Row]) -> str:
    said = []
    if blocks:
        first, last = blocks[0], blocks[-1]
        said.append(
            f"A block takes {first['messages_per_block']:,.0f} messages of {first['replicas']} replicas and "
            f"{last['messages_per_block']:,.0f} of {last['replicas']}, where 3n(n-1) are expected."
        )
    measured = [row for row in loads if row["how"].startswith("measured")]
    if measured:
        got = [f"{row['tx_per_s']:,.0f} ({row['replicas']})" for row in measured if row["tx_per_s"]]
        said.append(f"Processes on this machine commit so many transactions per second: {', '.join(got) or 'none'}.")
    if lost := [row for row in loads if not is_carried(row)]:
        which = ", ".join(f"{row['replicas']} ({row['load']}, {row['how']})" for row in lost)
        said.append(f"T was too short for so many replicas, so that primaries were changed for nothing: {which}.")
    return " ".join(said) or "Of the parts that have a story none was measured."
