"""The results of `recovery.py` in words: lines for a terminal, and the tables of the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from page import Shown, Table

from bftledger.bench.catch_up import is_catch_up
from bftledger.bench.kills import is_kill
from bftledger.bench.outage import BACK
from bftledger.bench.results import Result

Row = Mapping[str, Any]

_KILLS = {
    "killed": "replica",
    "view_before": "of view",
    "outage_ms": "outage ms",
    "gap_ms": "gap ms",
    "ledger_gap_ms": "blocks' gap",
    "suspected_ms": "suspected",
    "new_view_ms": "new view",
    "recovery_ms": f"{BACK:.0%} back",
    "tx_per_s_before": "tx/s",
    "tx_per_s_after": "then",
    "level_s": "level s",
}
_CATCH_UPS = {
    "lag": "lag",
    "loaded": "loaded",
    "blocks": "blocks",
    "transactions": "tx",
    "answered_s": "answers s",
    "level_s": "level s",
    "blocks_per_s": "blocks/s",
    "tx_per_s": "tx/s",
    "load_tx_per_s": "load's tx/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
}


def split(result: Result) -> tuple[list[Row], list[Row]]:
    """The rows of kills, and those of lags."""
    rows = result["results"]
    return [row for row in rows if is_kill(row)], [row for row in rows if is_catch_up(row)]


def text(result: Result) -> str:
    """A line for each kill and what they have in common, a line for each lag and the fitted lines, the verdict."""
    killed, caught = split(result)
    lines: list[str] = []
    if killed:
        lines.append(f"{_headline(result)}: {_from_to(result)}")
        lines += _lines("killed", _KILLS, killed)
        lines += [
            f"  {name}: min {_text(found['min'])}, median {_text(found['median'])}, max {_text(found['max'])}"
            for name, found in result["summary"].items()
        ]
    if caught:
        lines += _lines("caught up", _CATCH_UPS, caught)
        lines += [
            f"  {name}: {fit['fixed_s']:.2f} s + {fit['ms_per_block']:.2f} ms for each block "
            f"({fit['ms_per_tx']:.3f} ms for each transaction)"
            for name, fit in result["fits"].items()
            if fit is not None
        ]
    wrong = [f"  {row['ledgers']['text']}" for row in result["results"] if not row["ledgers"]["ok"]]
    found = [f"  {name}: {one['text']}" for name, one in result["verdict"].items()]
    return "\n".join([*lines, "safe" if result["ok"] else "VIOLATED", *wrong, *found])


def kill_line(row: Row) -> str:
    """A kill, as progress."""
    back = "not back" if row["recovery_ms"] is None else f"back after {row['recovery_ms']:,.0f} ms"
    outage = "nothing new is committed" if row["outage_ms"] is None else f"outage {row['outage_ms']:,.0f} ms"
    return (
        f"replica {row['killed']} killed in view {row['view_before']}: {outage}, gap {row['gap_ms']:,.0f} ms, {back}, "
        f"restarted and level in {row['level_s']:.2f} s; {row['ledgers']['text']}"
    )


def catch_up_line(row: Row) -> str:
    """A lag, as progress."""
    return (
        f"replica {row['replica']} answers after {row['answered_s']:.2f} s, is level after {row['level_s']:.2f} s: "
        f"{row['blocks']:,} blocks with {row['transactions']:,} transactions; {row['ledgers']['text']}"
    )


def show(result: Result) -> Shown:
    """The page without its pictures."""
    killed, caught = split(result)
    fit = result["fits"]["idle"]
    story, tables = [], []
    title = "How long a replica takes to catch up"
    if killed:
        title = f"{_headline(result)}: {_from_to(result)}"
        story.append(
            f"In {len(killed)} kills of the primary under load it took {_from_to(result)} until "
            f"{_ENDS[_measure(result)]}; {_back(result, len(killed))}. Receipts that come before are of what had been "
            "committed, and had died with the primary."
        )
        tables.append(_table(killed, "Each kill. Of views and ledger_gap_ms the replicas were asked: ± 50 ms."))
    if caught:
        tables.append(
            _table(
                caught,
                "Each lag; tx_per_s is what the replica caught up; load_tx_per_s, p50_ms and p99_ms are of the clients "
                "while it did.",
            )
        )
    if fit is not None:
        story.append(
            f"A replica that was away is level with an idle group {fit['fixed_s']:.2f} s after its start, and "
            f"{fit['ms_per_block']:.1f} ms later for each block that it missed."
        )
    verdict = [[name, found["ok"], found["text"]] for name, found in result["verdict"].items()]
    tables.append(Table(["oracle", "ok", "finding"], verdict, "The verdict on all ledgers, at the end."))
    return Shown(title, " ".join(story), tables)


_ENDS = {
    "outage_ms": "what was submitted after the kill had its first receipt",
    "ledger_gap_ms": "there was a new block",
}


def _measure(result: Result) -> str:
    """By what the outage is told: in a result of before there was `outage_ms`, by the time without a new block."""
    return next(name for name in _ENDS if name in result["summary"])


def _headline(result: Result) -> str:
    if _measure(result) == "outage_ms":
        return "From the kill of a primary to the first receipt of what is submitted after it"
    return "Longest time without a new block after the kill of a primary"


def _from_to(result: Result) -> str:
    found = result["summary"][_measure(result)]
    if not found["many"]:
        return "longer than the load went on"
    said = f"{found['median']:,.0f} ms in the median, {found['min']:,.0f} to {found['max']:,.0f} ms"
    kills = len(split(result)[0])
    return said if found["many"] == kills else f"{said}, and in {kills - found['many']} of {kills} kills longer"


def _back(result: Result, kills: int) -> str:
    found = result["summary"]["recovery_ms"]
    if not found["many"]:
        return f"{BACK:.0%} of the throughput were not back in time"
    often = "" if found["many"] == kills else f" in {found['many']} of them"
    return f"{BACK:.0%} of the throughput were back{often} after {found['median']:,.0f} ms"


def _table(rows: Sequence[Row], caption: str) -> Table:
    columns = [name for name, value in rows[0].items() if not isinstance(value, dict) and name != "part"]
    cells = [[*(row[name] for name in columns), row["ledgers"]["text"]] for row in rows]
    return Table([*columns, "ledgers"], cells, caption)


def _lines(what: str, columns: Mapping[str, str], rows: Sequence[Row]) -> list[str]:
    head = f"{what:<9} " + " ".join(f"{shown:>11}" for shown in columns.values())
    return [head, *(" " * 10 + " ".join(f"{_text(row.get(name)):>11}" for name in columns) for row in rows)]


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
        case _:
            return f"{value:,}"
