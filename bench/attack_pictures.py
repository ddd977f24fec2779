"""Pictures of attacks: what each leaves of the throughput, and the runs themselves side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from pictures import BAD, INK, QUIET, SERIES, Picture, canvas, finish, label, span

from bftledger.bench.attack_repeats import repeats

COLUMNS = 6
ROW = 0.17
"""Inches that a name needs."""

THIN = 0.3
"""Percent that a band is wide at least."""


def draw(rows: Sequence[Mapping[str, Any]], aim: float, controls: Sequence[Mapping[str, Any]] = ()) -> list[Picture]:
    """Both; of a single behaviour only the second. `controls`: the row of the honest runs, or none."""
    return [*([_shares(rows, aim, controls)] if len(rows) > 1 else []), _runs([*controls, *rows])]


def _shares(rows: Sequence[Mapping[str, Any]], aim: float, controls: Sequence[Mapping[str, Any]]) -> Picture:
    ordered = sorted(rows, key=lambda row: (row["ratio"] or 0.0, row["behaviour"]))
    shares = [(row["ratio"] or 0.0) * 100 for row in ordered]
    colors = [
        BAD if not row["ok"] else SERIES[1] if share < aim * 100 else SERIES[0]
        for row, share in zip(ordered, shares, strict=True)
    ]
    figure, (axes,) = canvas(height=1.1 + ROW * len(rows))
    axes.barh(range(len(rows)), shares, color=colors, height=0.66)
    axes.set_yticks(range(len(rows)), [row["behaviour"] for row in ordered], fontsize=7)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.axvline(aim * 100, color=QUIET, linewidth=1.2, linestyle=(0, (5, 3)))
    for control in controls:
        least, greatest = (control["ratios"][name] * 100 for name in ("least", "greatest"))
        axes.axvspan(least, max(greatest, least + THIN), color=QUIET, alpha=0.25, linewidth=0)
    _ranges(axes, ordered)
    for place, (row, share) in enumerate(zip(ordered, shares, strict=True)):
        guilty = ", convicted" if row["evidence"] else ""
        axes.annotate(
            f"{share:.0f} %{guilty}",
            (max(share, _most(row) * 100), place),
            xytext=(3, -2.5),
            textcoords="offset points",
            fontsize=6.5,
            color=INK,
        )
    label(axes, title="Throughput kept under attack", x="percent of the same run's clean throughput")
    axes.margins(x=0.14)
    noise = "; the grey band is what honest runs keep" if controls else ""
    return finish(
        figure,
        f"What is left of the throughput while a behaviour attacks; the dashed line is the aim, {aim:.0%}{noise}.",
    )


def _ranges(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """From the least to the most, where a behaviour has several runs."""
    for place, row in enumerate(rows):
        if repeats(row) > 1 and row["ratios"] is not None:
            axes.plot([row["ratios"]["least"] * 100, _most(row) * 100], [place, place], color=INK, linewidth=0.9)


def _most(row: Mapping[str, Any]) -> float:
    return float(row["ratios"]["greatest"]) if repeats(row) > 1 and row["ratios"] is not None else 0.0


def _runs(rows: Sequence[Mapping[str, Any]]) -> Picture:
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    figure, grid = canvas(
        lines, columns, height=3.2 if lines == 1 == columns else 0.4 + 0.95 * lines, width=8.0 if columns == 1 else 12.0
    )
    for axes, row in zip(grid, rows, strict=False):
        line = row["timeline"]
        moments = [line["from_s"] + (i + 0.5) * line["bucket_s"] for i in range(len(line["committed"]))]
        rates = [count / line["bucket_s"] for count in line["committed"]]
        axes.fill_between(moments, rates, color=SERIES[0], alpha=0.25, linewidth=0)
        axes.plot(moments, rates, color=SERIES[0], linewidth=0.9)
        span(axes, *row["attack_s"])
        for event in row["events"]:
            if event["kind"] == "view":
                axes.axvline(event["at_s"], color=SERIES[3], linewidth=0.9)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=6 if columns > 1 else 8, length=2)
        axes.set_title(row["behaviour"], fontsize=7 if columns > 1 else 10)
        if columns == 1:
            label(axes, title=row["behaviour"], x="seconds from the beginning of the attack", y="transactions/s")
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    return finish(
        figure,
        "Transactions per second over each run; shaded while it lies, a stroke where another primary takes over.",
    )
