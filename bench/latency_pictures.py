"""The pictures of `latency.py`: distributions, latency by rate up to the knee, and loads over time."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pictures as p

from bftledger.bench.readable import carries

LEGIBLE = len(p.SERIES)
"""More lines than colours nobody can tell apart."""

Row = dict[str, Any]
Name = Callable[[Row], str]


def draw(closed: Sequence[Row], opened: Sequence[Row], name: Name) -> list[p.Picture]:
    """Of closed loops and open ones, in the order in which they were measured; `name` says what a load is called."""
    drawn = [_distributions(closed, opened, name)]
    if len(opened) > 1:
        drawn.append(_by_rate(opened))
    if opened:
        drawn.append(_over_time(opened, name))
    return drawn


def _distributions(closed: Sequence[Row], opened: Sequence[Row], name: Name) -> p.Picture:
    parts = [(title, some) for title, some in (("Closed loop", closed), ("Open loop", thinned(opened))) if some]
    figure, grid = p.canvas(1, len(parts), height=4.2)
    for axes, (title, some) in zip(grid, parts, strict=True):
        for row in some:
            at = [(float(percent), ms) for percent, ms in row["percentiles_ms"].items() if float(percent) < 100]
            at = [(percent, ms) for percent, ms in at if carries(row["samples"], percent)]
            axes.plot([1 / (1 - percent / 100) for percent, _ in at], [ms for _, ms in at], label=name(row))
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([1 / (1 - x) for x in (0.5, 0.9, 0.99, 0.999)], ["50%", "90%", "99%", "99.9%"])
        axes.set_xticks([], minor=True)
        p.plain_numbers(axes)
        p.label(axes, title=title, x="so many transactions have their receipt", y="ms" if axes is grid[0] else "")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)  # lines are everywhere within
    p.same_height(grid)
    return p.finish(
        figure,
        "How long the quickest 50, 90, 99 and 99.9 of 100 transactions take, at each load, as far as the samples go: "
        "10 at least lie beyond the end of a line.",
    )


def thinned(rows: Sequence[Row]) -> list[Row]:
    """As many of them as can be told apart: the lowest rate, some between, and the two at the knee."""
    if len(rows) <= LEGIBLE:
        return list(rows)
    few = LEGIBLE - 2
    return [rows[len(rows[:-2]) * number // few] for number in range(few)] + list(rows[-2:])


def _by_rate(opened: Sequence[Row]) -> p.Picture:
    figure, (axes,) = p.canvas()
    rates = [row["rate"] for row in opened]
    for percent in (50, 99, 99.9):
        carried = [row for row in opened if carries(row["samples"], percent)]
        times = [row["percentiles_ms"][f"{percent:g}"] for row in carried]
        if carried:
            axes.plot([row["rate"] for row in carried], times, marker="o", label=f"p{percent:g}")
    if not opened[-1]["kept_up"]:
        p.span(axes, rates[-2], rates[-1])
        p.mark(axes, rates[-2], "the knee: beyond, the backlog grows")
    axes.set_yscale("log")
    p.plain_numbers(axes)
    p.plain_numbers(axes, "x")
    p.label(axes, title="Open loop", x="transactions due per second", y="ms")
    p.legend(axes)
    return p.finish(figure, "Latency from the moment a transaction is due, by how many are due.")


def _over_time(opened: Sequence[Row], name: Name) -> p.Picture:
    figure, (axes,) = p.canvas()
    for row in (opened[0], *opened[1:][-2:]):
        # A stretch without any receipt is no number, which breaks the line.
        worst = [math.nan if bucket["max_ms"] is None else bucket["max_ms"] for bucket in row["timeline"]]
        at = [bucket["at_s"] for bucket in row["timeline"]]
        axes.plot(at, worst, marker=".", markersize=3.5, linewidth=1.2, label=name(row))
    axes.set_yscale("log")
    p.plain_numbers(axes)
    p.label(axes, title="Open loop over time", x="seconds", y="the slowest, ms")
    p.legend(axes)
    return p.finish(
        figure,
        "The slowest receipt of each stretch of time, at the lowest and highest rates: a growing backlog rises. Where "
        "a line is broken no receipt came.",
    )
