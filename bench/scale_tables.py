"""The result of `scale.py` as lines for people, and as the tables of its page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from page import Shown, Table

from bftledger.bench.readable import carries
from bftledger.bench.scale_fit import best_law
from bftledger.bench.scale_laws import all_laws, ceiling_tx_per_s, optimism, surprises
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
    if row["load"] is not None:
        return f"{row['load']}, {row['how']}"
    return f"batches of {row['batch']}" if row["in_flight"] is None else f"{row['in_flight']} slots in flight"


def _best(row: Row) -> str:
    law = best_law(row)
    return "–" if law is None else law.text()


def _error(row: Row) -> str:
    law = best_law(row)
    return "–" if law is None else law.off


def _others(row: Row) -> str:
    """The forms that fit worse, and by how much those are off."""
    return ", ".join(f"{law['model']} {law['error']:.0%}" for law in row["fits"] if law["model"] != row["best"])


def _p99(row: Row) -> float | None:
    """None where the samples do not carry it; those of a prediction are its blocks, whose transactions have one
    fate."""
    samples = row.get("samples") or row.get("blocks") or 0
    return _rounded(row["p99_ms"], 1) if carries(samples, 99) else None


_N: Column = ("n", lambda row: row["replicas"])

BLOCKS: tuple[Column, ...] = (
    _N,
    ("batch", lambda row: row["batch"]),
    ("messages", lambda row: round(row["messages_per_block"])),
    ("expected", lambda row: row["expected_messages_per_block"]),
    ("excess", lambda row: f"{row['excess_messages']:+.1%}"),
    ("again", lambda row: _rounded(row.get("again_per_block"))),
    ("bytes", lambda row: round(row["bytes_per_block"])),
    ("excess", lambda row: f"{row['excess_bytes']:+.1%}"),
    ("STATUS", lambda row: round(row["status_per_block"], 1)),
    ("of a replica", lambda row: round(row["replica_messages_per_block"], 1)),
)

COSTS: tuple[Column, ...] = (
    _N,
    ("batch", lambda row: row["batch"]),
    ("messages/tx", lambda row: round(row["messages_per_tx"], 2)),
    ("bytes/tx", lambda row: round(row["bytes_per_tx"])),
    ("receipt", lambda row: row["receipt_bytes"]),
    ("CPU µs/block", lambda row: _both(row, "cpu_us_per_block")),
    ("transport", lambda row: _both(row, "transport_us_per_block")),
    ("CPU µs/tx", _per_tx),
    ("ms", lambda row: round(row["latency_ms"], 1)),
)

LOADS: tuple[Column, ...] = (
    _N,
    ("load", lambda row: row["load"]),
    ("how", lambda row: row["how"]),
    ("T ms", lambda row: row["request_timeout_ms"]),
    ("tx/s", lambda row: _rounded(row["tx_per_s"], 1)),
    ("ceiling", lambda row: "–" if row["tx_per_s"] is None else f"{row['tx_per_s'] / row['ceiling_tx_per_s']:.1%}"),
    ("p50 ms", lambda row: _rounded(row["p50_ms"], 1)),
    ("p99 ms", _p99),
    ("view", lambda row: row.get("view")),
    ("not committed", _not_committed),
    ("", lambda row: row["error"] or ""),
)

LOAD_COSTS: tuple[Column, ...] = (
    _N,
    ("load", lambda row: row["load"]),
    ("how", lambda row: row["how"]),
    ("tx/block", lambda row: _rounded(row.get("tx_per_block"), 1)),
    ("ms/block", lambda row: _rounded(row.get("ms_per_block"), 1)),
    ("messages", lambda row: _rounded(row.get("messages_per_block"))),
    ("excess", lambda row: "–" if row.get("excess_messages") is None else f"{row['excess_messages']:+.0%}"),
    ("again", lambda row: _rounded(row.get("again_per_block"))),
    ("primary µs/tx", lambda row: _rounded(row.get("primary_cpu_us_per_tx"))),
    ("backup", lambda row: _rounded(row.get("backup_cpu_us_per_tx"))),
    ("clients", lambda row: _rounded(row.get("clients_cpu_us_per_tx"))),
)

VIEWS: tuple[Column, ...] = (
    _N,
    ("in flight", lambda row: row["in_flight"]),
    ("VIEW-CHANGEs", lambda row: row["view_changes"]),
    ("expected", lambda row: row["expected_view_changes"]),
    ("again", lambda row: row.get("view_changes_again")),
    ("NEW-VIEWs", lambda row: row["new_views"]),
    ("expected", lambda row: row["expected_new_views"]),
    ("again", lambda row: row.get("new_views_again")),
    ("took ms", lambda row: round(row["took_ms"], 1)),
    ("gap ms", lambda row: round(row["gap_ms"])),
)

VIEW_COSTS: tuple[Column, ...] = (
    _N,
    ("in flight", lambda row: row["in_flight"]),
    ("bytes of a VIEW-CHANGE", lambda row: row["view_change_longest"]),
    ("of a NEW-VIEW", lambda row: row["new_view_longest"]),
    ("of all", lambda row: row["bytes"]),
    ("CPU ms", lambda row: _both(row, "cpu_ms")),
)

LAWS: tuple[Column, ...] = (
    ("", lambda row: row["what"]),
    ("of", _subject),
    ("law", _best),
    ("off by at most", _error),
    ("exponent", lambda row: _rounded(row["exponent"], 2)),
    ("other forms are off by", _others),
)


_PARTS = (
    ("blocks", "Messages and bytes, one block after the other; of a replica: messages that each sends", BLOCKS),
    ("blocks", "The same: what it costs, a core each; CPU and transport of primary / backup", COSTS),
    ("results", "Under load; the view in which it ended; 99 of 100 only where the samples carry it", LOADS),
    (
        "results",
        "The same: messages per block; again: those sent again; CPU with the transport's, modelled where predicted",
        LOAD_COSTS,
    ),
    ("view_changes", "View changes, a core each", VIEWS),
    ("view_changes", "The same: what they cost; CPU of the new primary / a backup", VIEW_COSTS),
    (
        "laws",
        "Laws by the size of the group, fitted in relative error. Of loads: µs per transaction, 1,000,000 / tx/s",
        LAWS,
    ),
)


def tables(result: Mapping[str, Any]) -> list[Table]:
    """Those of each part that has rows."""
    rows = {part: result[part] for part, _, _ in _PARTS} | {
        "results": _loads(result),
        "laws": all_laws(result["blocks"], result["view_changes"], result["results"]),
    }
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
    if model := of_the_model(result["results"]):
        lines += [model, ""]
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


def of_the_model(loads: Sequence[Row]) -> str:
    """How far its predictions can be believed; empty if there is nothing to compare them with."""
    found = optimism(loads)
    if not found:
        return ""
    (small, least), (large, most) = min(found), max(found)
    if small == large:
        return f"On the same shared cores the model of the simulator is {most:.1f} times as fast as processes are."
    return (
        f"On the same shared cores the model of the simulator is {least:.1f} ({small} replicas) to {most:.1f} times "
        f"({large}) as fast as processes are: it leaves out switches between processes, interrupted rounds and what "
        "the kernel does meanwhile. So its throughput falls less with the size, too: where there are processes, "
        "believe theirs."
    )


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
    if model := of_the_model(loads):
        said.append(model)
    if lost := [row for row in loads if not is_carried(row)]:
        which = ", ".join(f"{row['replicas']} ({row['load']}, {row['how']})" for row in lost)
        said.append(f"T was too short for so many replicas, so that primaries were changed for nothing: {which}.")
    return " ".join(said) or "Of the parts that have a story none was measured."
