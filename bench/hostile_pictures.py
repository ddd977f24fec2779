"""Pictures of hostile clients: what honest ones keep and how long they wait, against the rate, and all runs."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from pictures import BAD, INK, QUIET, SERIES, Picture, canvas, finish, label, legend, plain_numbers, span

from bftledger.bench.hostile_row import PARTS

Row = Mapping[str, Any]

COLUMNS = 5
ROW = 0.2
"""Inches that a name needs."""

_LABEL = 7
"""Percent that a figure takes beside its bar."""

_LOOKS = {"clean": (SERIES[2], "o"), "attacked": (BAD, "D"), "after": (SERIES[0], "s"), "control": (QUIET, "|")}
"""Colour and shape of each part."""


def draw(rows: Sequence[Row]) -> list[Picture]:
    """All of them; of a single run no comparison, and no sweep where no one has several rates."""
    several = [_kept(rows), _waits(rows)] if len(rows) > 1 else []
    swept = _swept(rows)
    return [*several, *([_sweep(swept)] if swept else []), _runs(rows)]


def _kept(rows: Sequence[Row]) -> Picture:
    ordered = sorted(rows, key=lambda row: row["kept"] or 0.0)
    figure, (axes,) = canvas(height=1.3 + ROW * len(rows))
    shares = [(row["kept"] or 0.0) * 100 for row in ordered]
    axes.barh(range(len(rows)), shares, color=[SERIES[0] if row["ok"] else BAD for row in ordered], height=0.6)
    for place, row in enumerate(ordered):
        at, share = (row["kept_control"] or 0.0) * 100, shares[place]
        if row["kept_control"] is not None:
            name = "beside the control" if not place else ""
            axes.plot([at, at], [place - 0.42, place + 0.42], color=INK, linewidth=1.6, label=name)
        axes.annotate(
            f"{share:.0f} %", (at if share <= at < share + _LABEL else share, place), xytext=(4, -2.5),
            textcoords="offset points", fontsize=7, color=INK,
        )  # fmt: skip
    _names(axes, ordered)
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    label(axes, title="Throughput that honest clients keep", x="percent of the same run's clean throughput")
    return finish(
        figure,
        "What honest clients keep beside each; the strokes: beside a process that takes as much processor time and "
        "sends nothing.",
    )


def _waits(rows: Sequence[Row]) -> Picture:
    ordered = sorted(rows, key=lambda row: row["kept"] or 0.0)
    figure, grid = canvas(1, 2, height=1.3 + ROW * len(rows))
    for axes, percent in zip(grid, ("p50", "p99"), strict=True):
        for name in PARTS:
            color, marker = _LOOKS[name]
            known = [
                (row["phases"][name][f"{percent}_ms"], place)
                for place, row in enumerate(ordered)
                if row["phases"][name][f"{percent}_ms"] is not None
            ]
            axes.plot(
                [ms for ms, _ in known], [place for _, place in known], marker, color=color, label=name,
                markersize=9 if marker == "|" else 4.5, markeredgewidth=1.8 if marker == "|" else 0,
            )  # fmt: skip
        axes.set_xscale("log")
        _names(axes, ordered if axes is grid[0] else [])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        plain_numbers(axes, "x")
        label(axes, title=f"{percent} of honest transactions", x="ms")
    legend(grid[1])
    return finish(figure, "How long honest clients wait in each part of each run.")


def _swept(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Those that were measured at several rates, by increasing rate."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["kept"] is not None and row["sent"]["frames_per_s"] > 0:
            found.setdefault(row["hostile"], []).append(row)
    return {
        name: sorted(some, key=lambda row: row["sent"]["frames_per_s"]) for name, some in found.items() if len(some) > 1
    }


def _sweep(swept: Mapping[str, Sequence[Row]]) -> Picture:
    figure, grid = canvas(1, 2, height=3.8, width=9.0)
    for (name, rows), color in zip(swept.items(), cycle(SERIES), strict=False):
        rates = [row["sent"]["frames_per_s"] for row in rows]
        grid[0].plot(rates, [row["kept"] * 100 for row in rows], marker="o", color=color, label=name)
        grid[0].plot(
            rates, [(row["kept_control"] or 0) * 100 for row in rows], color=color, linewidth=1, linestyle=(0, (4, 3))
        )
        grid[1].plot(rates, [row["p99_ms"] or float("nan") for row in rows], marker="o", color=color, label=name)
    for axes in grid:
        axes.set_xscale("log")
        plain_numbers(axes, "x")
    grid[0].set_ylim(bottom=0)
    grid[1].set_yscale("log")
    plain_numbers(grid[1])
    label(grid[0], title="Throughput kept", x="frames per second that a hostile one sent", y="percent")
    label(grid[1], title="p99 of honest transactions", x="frames per second that a hostile one sent", y="ms")
    legend(grid[0])
    return finish(
        figure,
        "What honest clients keep by how much a hostile one sends; dashed: beside a process that takes as much "
        "processor time.",
    )


def _runs(rows: Sequence[Row]) -> Picture:
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    height = 3.2 if columns == 1 else 0.4 + 1.15 * lines
    figure, grid = canvas(lines, columns, height=height, width=8.0 if columns == 1 else 12.0)
    for axes, row in zip(grid, rows, strict=False):
        found = row["timeline"]
        moments = [found["from_s"] + (i + 0.5) * found["bucket_s"] for i in range(len(found["committed"]))]
        rates = [count / found["bucket_s"] for count in found["committed"]]
        axes.fill_between(moments, rates, color=SERIES[0], alpha=0.25, linewidth=0)
        axes.plot(moments, rates, color=SERIES[0], linewidth=0.9)
        for name, color in (("attacked", BAD), ("control", INK)):
            from_s, to_s = row["phases"][name]["span_s"]
            span(axes, from_s, to_s, color)
        for event in row["events"]:
            if event["kind"] == "view":
                axes.axvline(event["at_s"], color=SERIES[3], linewidth=0.9)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=6 if columns > 1 else 8, length=2)
        axes.set_title(row["title"], fontsize=7 if columns > 1 else 10)
        if columns == 1:
            label(axes, title=row["title"], x="seconds from the beginning of the attack", y="honest transactions/s")
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    return finish(
        figure,
        "Honest transactions per second over each run; shaded while it is attacked (red) and beside the control "
        "(grey), a stroke where another primary takes over.",
    )


def _names(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows], fontsize=7)
    axes.grid(visible=False, axis="y")
    if rows:
        axes.set_ylim(-0.7, len(rows) - 0.3)
