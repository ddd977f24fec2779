"""Which laws the figures of a run follow, and what in them nobody would expect."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bftledger.bench import scale_loads
from bftledger.bench.scale_fit import laws
from bftledger.bench.scale_processes import PROCESSES
from bftledger.bench.scale_timeouts import is_carried, trouble
from bftledger.bench.scale_traffic import SURPRISE, expected_messages

Row = Mapping[str, Any]

MESSAGES: Final = "messages per block, group"
TIME: Final = "time per transaction"

_BLOCKS: Final[tuple[tuple[str, str, tuple[int, ...], Callable[[Row], float | None]], ...]] = (
    (MESSAGES, "messages", (1, 2), lambda row: row["messages_per_block"]),
    ("messages per block, replica", "messages", (1, 2), lambda row: row["replica_messages_per_block"]),
    ("bytes per block, group", "bytes", (1, 2), lambda row: row["bytes_per_block"]),
    ("bytes per block, replica", "bytes", (1, 2), lambda row: row["replica_bytes_per_block"]),
    ("CPU per block, primary", "µs", (1, 2), lambda row: row["cpu_us_per_block"]["primary"]),
    ("CPU per block, backup", "µs", (1, 2), lambda row: row["cpu_us_per_block"]["backup"]),
    ("CPU per block, backup with transport", "µs", (1, 2), lambda row: _with_transport(row, "backup")),
    ("bytes of a receipt", "bytes", (1, 2), lambda row: row["receipt_bytes"]),
    ("bytes of replies per transaction", "bytes", (1, 2), lambda row: row["reply_bytes_per_tx"]),
)

_VIEWS: Final[tuple[tuple[str, str, tuple[int, ...], Callable[[Row], float | None]], ...]] = (
    ("bytes of a VIEW-CHANGE", "bytes", (1, 2, 3), lambda row: row["view_change_longest"]),
    ("bytes of a NEW-VIEW", "bytes", (1, 2, 3), lambda row: row["new_view_longest"]),
    ("messages of a view change, group", "messages", (1, 2, 3), lambda row: row["messages"]),
    ("bytes of a view change, group", "bytes", (1, 2, 3), lambda row: row["bytes"]),
)


def _with_transport(row: Row, role: str) -> float:
    return float(row["cpu_us_per_block"][role] + row["transport_us_per_block"][role])


def all_laws(blocks: Sequence[Row], views: Sequence[Row], loads: Sequence[Row] = ()) -> list[dict[str, Any]]:
    """Of everything that is counted, for each batch, and for each number of slots in flight; of loads the time that a
    transaction takes, the inverse of the throughput, for each load and how it was run."""
    found = []
    for batch in sorted({row["batch"] for row in blocks}):
        rows = [row for row in blocks if row["batch"] == batch]
        for what, unit, powers, value in _BLOCKS:
            points = [(row["replicas"], value(row)) for row in rows]
            law = laws(what, unit, points, powers, pairs=what == MESSAGES)
            found.append({"batch": batch, "in_flight": None, "load": None, "how": None, **law})
    for in_flight in sorted({row["in_flight"] for row in views}):
        rows = [row for row in views if row["in_flight"] == in_flight]
        for what, unit, powers, value in _VIEWS:
            law = laws(what, unit, [(row["replicas"], value(row)) for row in rows], powers)
            found.append({"batch": None, "in_flight": in_flight, "load": None, "how": None, **law})
    for how, load in dict.fromkeys((row["how"], row["load"]) for row in loads):
        rows = [row for row in loads if (row["how"], row["load"]) == (how, load) and is_carried(row)]
        points = [(row["replicas"], 1e6 / row["tx_per_s"] if row["tx_per_s"] else None) for row in rows]
        law = laws(TIME, "µs", points, (1, 2, 3), free=True)
        found.append({"batch": None, "in_flight": None, "load": load, "how": how, **law})
    return found


def optimism(loads: Sequence[Row]) -> list[tuple[int, float]]:
    """How many times as fast as processes the model is on the same shared cores, by the size of the group."""
    got = {(row["replicas"], row["load"], row["how"]): row["tx_per_s"] for row in loads if row["tx_per_s"]}
    return [
        (replicas, rate / got[replicas, load, PROCESSES])
        for (replicas, load, how), rate in got.items()
        if how == scale_loads.SHARED_CORES and (replicas, load, PROCESSES) in got
    ]


def ceiling_tx_per_s(row: Row, verifications_per_s: float, shared: int, machine: int) -> float:
    """What the replicas of a load cannot pass, because each verifies the signature of every transaction.

    With a core each that is what one core verifies. Else they share cores: `shared` of them where that is predicted,
    and those of the `machine` where it is measured.
    """
    replicas: int = row["replicas"]
    match row["how"]:
        case scale_loads.OWN_CORES:
            return verifications_per_s
        case scale_loads.SHARED_CORES:
            return shared * verifications_per_s / replicas
        case _:
            return machine * verifications_per_s / replicas


def surprises(blocks: Sequence[Row], views: Sequence[Row], loads: Sequence[Row]) -> list[str]:
    """A sentence for each figure that is more than a tenth above what the protocol needs, and for each load in which
    the primary was changed or a transaction was not committed, though nothing was wrong with any replica."""
    found = [
        f"{row['replicas']} replicas, batches of {row['batch']}: {row['messages_per_block']:,.0f} messages and "
        f"{row['bytes_per_block']:,.0f} bytes per block where {row['expected_messages_per_block']:,} and "
        f"{row['expected_bytes_per_block']:,} were expected{_again(row.get('again_per_block'))}"
        for row in blocks
        if row["is_surprise"]
    ]
    found += [
        f"{_load(row)}: {row['messages_per_block']:,.0f} messages of the normal case per block where "
        f"{sum(expected_messages(row['replicas']).values()):,} were expected{_again(row.get('again_per_block'))}"
        for row in loads
        if (row.get("excess_messages") or 0.0) > SURPRISE and is_carried(row)
    ]
    found += [
        f"{_load(row)}: {trouble(row)}, though nothing was wrong with any replica"
        for row in loads
        if not is_carried(row)
    ]
    found += [
        f"{row['replicas']} replicas, view change with {row['in_flight']} slots in flight: {row['view_changes']:,} "
        f"VIEW-CHANGEs and {row['new_views']:,} NEW-VIEWs where {row['expected_view_changes']:,} and "
        f"{row['expected_new_views']:,} were expected"
        f"{_again(row.get('view_changes_again'))}{_again(row.get('new_views_again'), ' and')}"
        for row in views
        if row["is_surprise"]
    ]
    return found


def _load(row: Row) -> str:
    timeout_ms = row.get("request_timeout_ms")
    timeout = "" if timeout_ms is None else f", T {timeout_ms:,} ms"
    return f"{row['replicas']} replicas, {row['load']}, {row['how']}{timeout}"


def _again(count: float | None, before: str = "; sent again to the same replica:") -> str:
    """How many were sent there before; nothing for a result that does not say."""
    return "" if count is None else f"{before} {count:,.0f}"
