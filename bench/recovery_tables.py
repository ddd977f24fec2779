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
    "ledger_gap_ms": "no block ms",
    "suspected_ms": "suspected",
    "new_view_ms": "new view",
    "recovery_ms": f"{BACK:.0%} back",
    "gap_ms": "no receipt",
    "tx_per_s_before": "tx/s",
    "tx_per_s_after": "then",
    "level_s": "level s",
}
_HEADLINE = {"outage_ms": "outage", "ledger_gap_ms": "no new block for"}
"""What a death costs. A result of before there was `outage_ms` has the second only."""

_MEANT = {
    "outage_ms": "outage: until what was submitted after the kill has its first receipt",
    "ledger_gap_ms": "no new block for: the longest time in which no replica had one, asked 20 times a second",
    "gap_ms": "no receipt: cut short by receipts of what had been committed before; no outage",
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
        lines.append(f"{_title(result)}: {_headline(result)}")
        lines += _lines("killed", _KILLS, killed)
        lines += [
            f"  {name}: min {_text(found['min'])}, median {_text(found['median'])}, max {_text(found['max'])}"
            for name, found in _in_order(result["summary"]).items()
        ]
        lines += [f"  {meant}" for name, meant in _MEANT.items() if name in result["summary"]]
        lines.append(f"  {BACK:.0%} back: {live(result)}")
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
        f"replica {row['killed']} killed in view {row['view_before']}: {outage}, no new block for "
        f"{row['ledger_gap_ms']:,.0f} ms, {back}, restarted and level in {row['level_s']:.2f} s; "
        f"{row['ledgers']['text']}"
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
        title = f"{_title(result)}: {_headline(result)}"
        story.append(
            f"In {len(killed)} kills of the primary under load {_measured(result)}. {_back(result, len(killed))}: "
            f"{live(result)}."
        )
        names = {name: head for name, head in _KILLS.items() if name in killed[0]}
        cells = [[*(row[name] for name in names), row["ledgers"]["ok"]] for row in killed]
        meant = ". ".join(_first_up(meant) for name, meant in _MEANT.items() if name in names)
        tables.append(
            Table([*names.values(), "same ledgers"], cells, f"Each kill. {meant}. Of views and blocks: ± 50 ms.")
        )
    if caught:
        tables.append(
            Table(
                [*_CATCH_UPS.values(), "same ledgers"],
                [[*(row.get(name) for name in _CATCH_UPS), row["ledgers"]["ok"]] for row in caught],
                "Each lag; tx/s is what the replica caught up; the load's tx/s, p50 and p99 are of the clients while "
                "it did.",
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


def live(result: Result) -> str:
    """Why the throughput with a dead replica is not that of a whole group."""
    left, cores = result["config"]["replicas"] - 1, result["machine"]["cores"]
    share = f"share {cores} cores" if cores > 1 else "share one core"
    return f"the {left} live replicas {share}, and a dead one takes no processor time"


def _title(result: Result) -> str:
    kills = len(split(result)[0])
    return "A primary killed under load" + (f", median of {kills} kills" if kills > 1 else "")


def _headline(result: Result) -> str:
    """The medians of what a death costs, with the least and the greatest."""
    return ", ".join(
        f"{name} {_from_to(result, what)}" for what, name in _HEADLINE.items() if what in result["summary"]
    )


def _measured(result: Result) -> str:
    """The same as a sentence, without the ranges."""
    words = {
        "outage_ms": "what was submitted after it had its first receipt {}",
        "ledger_gap_ms": "there was no new block for {}",
    }
    said = []
    for what, sentence in words.items():
        found = result["summary"].get(what)
        if found is not None:
            known = f"{found['median']:,.0f} ms" if found["many"] else "longer than the load went on"
            said.append(sentence.format(f"after {known}" if what == "outage_ms" and found["many"] else known))
    return " and ".join(said) + " in the median"


def _from_to(result: Result, what: str) -> str:
    found = result["summary"][what]
    if not found["many"]:
        return "longer than the load went on"
    said = f"{found['median']:,.0f} ms ({found['min']:,.0f} to {found['max']:,.0f})"
    kills = len(split(result)[0])
    return said if found["many"] == kills else f"{said}, and in {kills - found['many']} of {kills} kills longer"


def _back(result: Result, kills: int) -> str:
    found = result["summary"]["recovery_ms"]
    if not found["many"]:
        return f"{BACK:.0%} of the throughput were not back in time"
    often = "" if found["many"] == kills else f" in {found['many']} of them"
    return f"{BACK:.0%} of the throughput were back{often} after {found['median']:,.0f} ms, with one replica less"


def _in_order(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What counts most comes first, also of results in which it did not."""
    return {name: summary[name] for name in sorted(summary, key=lambda name: name not in _HEADLINE)}


def _first_up(words: str) -> str:
    return words[0].upper() + words[1:]


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
