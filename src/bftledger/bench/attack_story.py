"""The head of the page about attacks: what came of it in a few sentences and figures."""

import html
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cost import AIM, Cost, control_of, cost, dearest_first, is_down, is_slow
from bftledger.bench.attack_repeats import Row, repeats
from bftledger.bench.attack_sweep import worst_kept


def title(document: Mapping[str, Any]) -> str:
    """How many attacks, or which one."""
    rows: Sequence[Row] = document["results"]
    if not rows:
        return "How strong an attack has to be"
    return f"{len(rows)} ways to attack a ledger" if len(rows) > 1 else f"{rows[0]['behaviour']}: the attack, measured"


def story(document: Mapping[str, Any]) -> str:
    """What came of it: what it costs until the liar is replaced, and what is kept in the mean."""
    rows: Sequence[Row] = document["results"]
    swept = [point for curve in document.get("sweep", ()) for point in curve["points"]]
    controls: Sequence[Row] = document.get("controls", [])
    everything = [*controls, *rows, *swept]
    broken = sum(not row["ok"] for row in everything)
    liars = max(len(row["traitors"]) for row in everything)
    keys = " and share their keys" * any(row.get("colluding", False) for row in rows)
    group = (
        f"A group of {document['config']['replicas']} real processes serves {_load(document['config'])} while "
        f"{words.counted(liars, 'replica lies', 'replicas lie')}{keys}"
    )
    safety = "every acknowledged transaction is in one ledger"
    if broken:
        safety = f"{words.counted(broken, 'run')} broke a promise"
    manner = " in one way after the other" * (len(rows) > 1)
    costs = _of_one(rows[0]) if len(rows) == 1 else _of_many(rows) if rows else ""
    return f"{group}{manner}, and {safety}.{costs}{_of_sweeps(document)}{_noise(rows, controls)}"


def figures(document: Mapping[str, Any]) -> str:
    """The same as a list of figures, as HTML."""
    swept = [point for curve in document.get("sweep", ()) for point in curve["points"]]
    rows: Sequence[Row] = document["results"] or swept
    controls: Sequence[Row] = document.get("controls", [])
    known = [row["ratio"] for row in rows if row["ratio"] is not None]
    broken = sum(not row["ok"] for row in rows)
    runs = sum(map(repeats, document["results"])) + sum(map(repeats, swept))
    several = len(rows) > 1
    shown = [("Runs", str(runs), words.counted(broken, "violation"))] if runs > 1 else []
    shown += [_honest(control) for control in controls if not control["occasion"]]
    done = sum(row["acknowledged"] for row in rows)
    shown += [("Acknowledged", f"{done:,}", "transactions" + ", none lost" * (not broken))]
    shown += _dearest(rows)
    if several:
        worst = (
            f"median, kept; worst {words.share(min(known, default=None))}, {sum(map(is_slow, rows))} below {AIM:.0%}"
        )
        shown += [("Mean of the attack", words.share(median(known) if known else None), worst)]
    else:
        shown += [("Mean", words.share(min(known, default=None)), "kept, of clean tx/s")]
    gap = max(rows, key=lambda row: float(row["longest_gap_ms"]))
    silent = gap["behaviour"] if several else "without a receipt"
    shown += [("Longest gap", words.millis(gap["longest_gap_ms"]), f"{silent}{_slowest(rows)}")]
    changed = sum(row["view_changes"] > 0 for row in rows)
    changes = str(sum(row["view_changes"] for row in rows))
    shown += [("View changes", changes, f"in {words.counted(changed, 'run')}")]
    convicted = sum(len({one["replica"] for one in row["evidence"]}) for row in rows)
    shown += [("Convicted", str(convicted), "traitors, by proof")]
    return "\n".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)} <small>{html.escape(more)}</small></dd></div>"
        for name, value, more in shown
    )


def _load(config: Mapping[str, Any]) -> str:
    rate = config.get("rate")
    return f"{config['clients']} clients" + (f", {rate:g} transactions due per second," if rate is not None else "")


def _of_one(row: Row) -> str:
    found = cost(row)
    if found is None:
        return ""
    mean = f" It keeps {words.share(row['ratio'])} of its throughput in the mean of the whole attack"
    if not found.is_over:
        return f"{mean}, and nobody replaces the liar: {words.cost(found.seconds)} of clean throughput are lost."
    return (
        f" It keeps {words.share(found.kept)} of its throughput for {found.span_s:.2f} s, until another primary takes "
        f"over: that costs {words.cost(found.seconds)} of clean throughput, once.{mean}, which says as much of how "
        "long that was."
    )


def _of_many(rows: Sequence[Row]) -> str:
    over, said = _over(rows), ""
    if over:
        down = [found for row, found in over if is_down(row)]
        said = (
            f" Under {len(down)} of them it keeps less than {AIM:.0%} of its throughput until the liar is replaced"
            + (f", after {max(found.span_s for found in down):.2f} s at the latest" if down else "")
            + f"; the dearest of those that are, {over[0][0]['behaviour']}, costs {words.cost(over[0][1].seconds)} of "
            "it, once."
        )
    worst = min(rows, key=lambda row: row["ratio"] or 0.0)
    middle = median(row["ratio"] or 0.0 for row in rows)
    span_s = worst["phases"]["attacked"]["span_s"]
    return (
        f"{said} In the mean of the whole attack, which says as much of its {span_s[1] - span_s[0]:.0f} s, it keeps "
        f"{words.share(middle)} in the median and {words.share(worst['ratio'])} at worst, under {worst['behaviour']}."
    )


def _of_sweeps(document: Mapping[str, Any]) -> str:
    """The worst that a primary may do for ever."""
    worst = worst_kept(document.get("sweep", ()))
    if worst is None:
        return ""
    return (
        f" A primary that holds back for {worst['value']} ms ({worst['behaviour']}) is not replaced, and leaves "
        f"{words.share(worst['ratio'])} for as long as it likes: the worst that was found."
    )


def _noise(rows: Sequence[Row], controls: Sequence[Row]) -> str:
    """What honest runs keep, of the occasion of a single one."""
    if len(rows) == 1 and rows[0]["occasion"] and (control := control_of(rows[0], controls)) is not None:
        return f" Where nobody lies, and the same replica is stopped, it keeps {words.spread(control['ratios'])}."
    usual = [control for control in controls if not control["occasion"]]
    if not usual:
        return ""
    return f" Honest runs keep {words.spread(usual[0]['ratios'])}: that is the noise."


def _honest(control: Row) -> tuple[str, str, str]:
    return "Noise", words.spread(control["ratios"]), f"kept by {words.counted(repeats(control), 'honest run')}"


def _over(rows: Sequence[Row]) -> list[tuple[Row, Cost]]:
    """Those whose traitors were replaced, the dearest first; without those who were given an occasion, if there are
    others: who was stopped for that costs by himself."""
    return [
        (row, found)
        for row in dearest_first(rows)
        if (len(rows) == 1 or not row["occasion"]) and (found := cost(row)) is not None and found.is_over
    ]


def _dearest(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    over = _over(rows)
    if not over:
        return []
    (row, found), down = over[0], sum(is_down(row) for row, _ in over)
    of = f", {row['behaviour']}" if len(rows) > 1 else ""
    least = min((found for _, found in over), key=lambda one: one.kept)
    return [
        ("Until replaced", words.share(least.kept), f"kept at worst; {down} below {AIM:.0%}"),
        ("Cost, once", words.cost(found.seconds), f"of clean throughput{of}"),
    ]


def _slowest(rows: Sequence[Row]) -> str:
    """The longest that a client waited."""
    known = [row for row in rows if row.get("slowest_ms") is not None]
    if not known:
        return ""
    slowest = max(known, key=lambda row: float(row["slowest_ms"]))
    return f"; a client waited {words.millis(slowest['slowest_ms'])}" + f", {slowest['behaviour']}" * (len(rows) > 1)
