"""What an attack costs: what is lost until the traitor is replaced, beside the mean, and what honest runs lose.

A mean over the whole attack says as much of how long somebody chose to attack as of the attack: a primary that lets
nothing through for a second and is then replaced leaves 50% of two seconds, and 90% of ten. What is lost until then
does not depend on that, nor does the share that is kept until then.

All of it follows from a row, also from one that was measured before rows had these figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from bftledger.bench.attack_repeats import Row

AIM: Final = 0.40
"""Under every attack a group keeps so much of its clean throughput."""

GAP_S: Final = 0.2
"""A stretch without any receipt that is so long is shown as one."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the same run would have done beside what it did, from the beginning of the attack on.

    `seconds`: of clean throughput; `transactions`: the same as a number of them. Below zero it was quicker than before.
    `kept`: the share that was done. `span_s`: how long that was. `is_over`: an honest primary took over at its end;
    else it is the whole attack, and the longer that lasts, the more is lost.
    """

    seconds: float
    transactions: float
    kept: float
    span_s: float
    is_over: bool


def cost(row: Row) -> Cost | None:
    """Until an honest primary of another view took over, or the attack ended; None if nothing was done before it."""
    part = until(row["phases"])
    return _cost(row["phases"]["attacked"] if part is None else part, row["phases"]["clean"], part is not None)


def lost(row: Row) -> Cost | None:
    """Over the whole attack."""
    return _cost(row["phases"]["attacked"], row["phases"]["clean"], False)


def until(phases: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The part of the attack until the traitor was replaced, made of the others where it is not among them."""
    if "until_replaced" in phases or "replaced" not in phases:
        return phases.get("until_replaced")
    attacked, replaced = phases["attacked"], phases["replaced"]
    span_s = [attacked["span_s"][0], replaced["span_s"][0]]
    count = attacked["transactions"] - replaced["transactions"]
    return {"span_s": span_s, "transactions": count, "tx_per_s": count / max(span_s[1] - span_s[0], 1e-9)}


def is_down(row: Row) -> bool:
    """Whether the group keeps less than it should until the traitor is replaced."""
    found = cost(row)
    return found is not None and found.kept < AIM


def is_slow(row: Row) -> bool:
    """Whether it keeps less than it should in the mean of the whole attack."""
    return row["ratio"] is not None and bool(row["ratio"] < AIM)


def dearest_first(rows: Sequence[Row]) -> list[Row]:
    """By what they cost, the greatest first; what is not known comes last."""
    return sorted(rows, key=lambda row: -found.seconds if (found := cost(row)) is not None else float("inf"))


def control_of(row: Row, controls: Sequence[Row]) -> Row | None:
    """The honest runs that had the same occasion; None if there were none, and for a control."""
    if not row["traitors"]:
        return None
    return next((control for control in controls if control["occasion"] == row["occasion"]), None)


def is_noise(row: Row, controls: Sequence[Row]) -> bool:
    """Whether honest runs of the same occasion kept as little in the mean."""
    control = control_of(row, controls)
    if control is None or row["ratio"] is None or control["ratios"] is None:
        return False
    return bool(row["ratio"] >= control["ratios"]["least"])


def gaps(row: Row) -> list[list[float]]:
    """From when to when there was no receipt, in the whole run, of stretches of `GAP_S` and more.

    As exact as the timeline's buckets where the row does not say.
    """
    if (known := row.get("gaps")) is not None:
        return [list(gap) for gap in known]
    line, found = row["timeline"], []
    for is_empty, some in groupby(enumerate(line["committed"]), lambda one: not one[1]):
        places = [*map(itemgetter(0), some)]
        if is_empty and len(places) * line["bucket_s"] >= GAP_S:
            found.append([line["from_s"] + at * line["bucket_s"] for at in (places[0], places[-1] + 1)])
    return found


def _cost(part: Mapping[str, Any], clean: Mapping[str, Any], is_over: bool) -> Cost | None:
    rate = clean["tx_per_s"]
    if not rate:
        return None
    span_s = part["span_s"][1] - part["span_s"][0]
    missing = rate * span_s - part["tx_per_s"] * span_s
    return Cost(
        seconds=missing / rate,
        transactions=missing,
        kept=part["tx_per_s"] / rate,
        span_s=span_s,
        is_over=is_over,
    )
