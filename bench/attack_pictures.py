"""Pictures of attacks: what each costs and what is kept of the throughput, how strong it has to be, and all runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from pictures import BAD, INK, QUIET, SERIES, Picture, canvas, finish, label, plain_numbers, span

from bftledger.bench.attack_cost import AIM, cost, dearest_first, is_down
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_sweep import limit, points
from bftledger.bench.attack_words import cost as shown_cost

COLUMNS = 6
ROW = 0.17
"""Inches that a name needs."""

THIN = 0.3
"""Percent that a band is wide at least."""

TOP = 150
"""Percent of the clean throughput where the runs' axes end, which are all the same."""

Row = Mapping[str, Any]


def draw(result: Mapping[str, Any]) -> list[Picture]:
    """What each costs, the sweeps, and the runs; of a single behaviour only the last."""
    rows, controls = result["results"], result.get("controls", [])
    curves = [curve for curve in result.get("sweep", ()) if curve["points"]]
    return [
        *([_costs(dearest_first(rows)[::-1], controls)] if len(rows) > 1 else []),
        *([_sweeps(curves, result["config"]["protocol"])] if curves else []),
        _runs([*controls, *dearest_first(rows), *points(result)]),
    ]


def _costs(rows: Sequence[Row], controls: Sequence[Row]) -> Picture:
    """The dearest on top."""
    figure, (lost, kept) = canvas(1, 2, height=1.3 + ROW * len(rows), width=10.0)
    found = [cost(row) for row in rows]
    seconds = [0.0 if one is None else one.seconds for one in found]
    is_over = [one is not None and one.is_over for one in found]
    colors = [
        BAD if not row["ok"] else SERIES[1] if over else SERIES[0] for row, over in zip(rows, is_over, strict=True)
    ]
    lost.barh(range(len(rows)), seconds, color=colors, height=0.66)
    lost.set_yticks(range(len(rows)), [row["behaviour"] for row in rows], fontsize=7)
    for place, (row, value) in enumerate(zip(rows, seconds, strict=True)):
        _note(lost, max(value, 0.0), place, shown_cost(value) + ", convicted" * bool(row["evidence"]))
    lost.set_xlim(min(0.0, *seconds) * 1.2, max(*seconds, 0.1) * 1.28)
    label(lost, title="Cost", x="seconds of clean throughput")
    for control in controls:
        if not control["occasion"]:
            least, greatest = (control["ratios"][name] * 100 for name in ("least", "greatest"))
            kept.axvspan(least, max(greatest, least + THIN), color=QUIET, alpha=0.25, linewidth=0)
    kept.axvline(AIM * 100, color=QUIET, linewidth=1.2, linestyle=(0, (5, 3)))
    for place, (row, one, over) in enumerate(zip(rows, found, is_over, strict=True)):
        mean = (row["ratio"] or 0.0) * 100
        if one is not None and over:
            kept.plot([one.kept * 100, mean], [place, place], color=SERIES[1], linewidth=0.9, alpha=0.6)
            fill = SERIES[1] if is_down(row) else "white"
            kept.plot([one.kept * 100], [place], "o", color=SERIES[1], markersize=4.2, markerfacecolor=fill)
            kept.annotate(f"{one.span_s:.2f} s", (one.kept * 100, place), xytext=(6, 2), textcoords="offset points",
                          fontsize=5.5, color=QUIET)  # fmt: skip
        if repeats(row) > 1 and row["ratios"] is not None:
            kept.plot(
                [row["ratios"]["least"] * 100, row["ratios"]["greatest"] * 100], [place, place], color=INK, lw=0.9
            )
        kept.plot([mean], [place], "|", color=SERIES[0], markersize=7, markeredgewidth=2)
    kept.set_yticks(range(len(rows)), [""] * len(rows))
    kept.set_xlim(left=-3)
    label(
        kept,
        title="Kept of the clean throughput",
        x="percent; dots: until it was replaced; strokes: mean",
    )
    for axes in (lost, kept):
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.grid(visible=False, axis="y")
    noise = "; the grey band is what honest runs keep" if controls else ""
    return finish(
        figure,
        "Left: seconds of clean throughput that an attack costs; orange: until an honest primary took over, which is "
        "lost once; blue: nobody was replaced, and the whole attack counts. Right: what was kept until then, for so "
        f"long, and in the mean of the whole attack; the dashed line is the aim, {AIM:.0%}{noise}.",
    )


def _note(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(3, -2.5), textcoords="offset points", fontsize=6.5, color=INK)


def _sweeps(curves: Sequence[Mapping[str, Any]], protocol: Mapping[str, Any]) -> Picture:
    """A column for each behaviour: kept, latency, and the time until it was replaced or the frames that it made."""
    figure, grid = canvas(3, len(curves), height=6.6, width=max(4.5, 3.2 * len(curves)))
    for column, curve in enumerate(curves):
        kept, late, third = (grid[row * len(curves) + column] for row in range(3))
        points_ = curve["points"]
        x = [point["value"] for point in points_]
        shares = [None if (found := cost(point)) is None else found.kept * 100 for point in points_]
        kept.plot(x, [(point["ratio"] or 0.0) * 100 for point in points_], "--", color=QUIET, linewidth=1.2)
        _marked(kept, points_, shares, SERIES[0])
        kept.axhline(AIM * 100, color=BAD, linewidth=1.0, linestyle=(0, (5, 3)))
        kept.set_ylim(0, 125)
        _marked(late, points_, [point["p99_ms"] for point in points_], SERIES[4])
        late.set_yscale("log")
        late.set_ylim(10, 10_000)
        if curve["delays"]:
            top = 1.2 * max([1.0, *(point["replaced_s"] or 0.0 for point in points_)])
            _marked(third, points_, [point["replaced_s"] for point in points_], SERIES[3])
            stayed = [point["value"] for point in points_ if point["replaced_s"] is None]
            third.plot(stayed, [top] * len(stayed), "o", color=SERIES[3], markerfacecolor="white", markersize=4.5)
            third.set_ylim(0, top * 1.1)
        else:
            _marked(third, points_, [point["deviations_per_s"] for point in points_], BAD)
            needed = [point.get("protocol_messages_per_s") for point in points_]
            third.plot(x, needed, "--", color=QUIET, linewidth=1.2)
            third.set_yscale("log")
        band = limit(curve, protocol)
        for axes in (kept, late, third):
            if band is not None:
                axes.axvspan(band.least, band.most, color=SERIES[3], alpha=0.15, linewidth=0)
                axes.set_xlim(0, max(x) * 1.05)
            else:
                axes.set_xscale("log")
                plain_numbers(axes, "x")
                axes.xaxis.set_major_locator(LogLocator())
        plain_numbers(late)
        plain_numbers(third)
        label(kept, title=curve["behaviour"], y="kept, % of clean" * (column == 0))
        label(late, y="p99 while attacked, ms" * (column == 0))
        label(
            third,
            x=curve["unit"],
            y="s until replaced; rings: never" if curve["delays"] else "frames/s; dashed: needed",
        )
    return finish(
        figure,
        "By strength. Rings: the traitor kept its place, and what is kept is the mean of the attack; full dots: it was "
        "replaced, and what is kept is what was kept until then; dashed: the mean, and red the aim. Shaded: from where "
        "the rule replaces a slow primary, T/4 + batch_wait_ms + 4 agreements, if these took no time and if each took "
        "as long as the median of clean latencies.",
    )


def _marked(axes: Axes, points_: Sequence[Row], values: Sequence[float | None], color: str) -> None:
    known = [(point, value) for point, value in zip(points_, values, strict=True) if value is not None]
    axes.plot([point["value"] for point, _ in known], [value for _, value in known], color=color, linewidth=1.2)
    for point, value in known:
        face = "white" if point["replaced_s"] is None else color
        axes.plot([point["value"]], [value], "o", color=color, markerfacecolor=face, markersize=4.5)


def _runs(rows: Sequence[Row]) -> Picture:
    """All with the same scales, in percent of what each did when it was clean."""
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    figure, grid = canvas(
        lines, columns, height=3.2 if lines == 1 == columns else 0.4 + 0.95 * lines, width=8.0 if columns == 1 else 12.0
    )
    for axes, row in zip(grid, rows, strict=False):
        line, clean = row["timeline"], row["phases"]["clean"]["tx_per_s"]
        moments = [line["from_s"] + (i + 0.5) * line["bucket_s"] for i in range(len(line["committed"]))]
        rates = [count / line["bucket_s"] / max(clean, 1e-9) * 100 for count in line["committed"]]
        axes.fill_between(moments, rates, color=SERIES[0], alpha=0.25, linewidth=0)
        axes.plot(moments, rates, color=SERIES[0], linewidth=0.9)
        span(axes, *row["attack_s"])
        for event in row["events"]:
            if event["kind"] == "view":
                axes.axvline(event["at_s"], color=SERIES[3], linewidth=0.9)
        axes.set_ylim(0, TOP)
        axes.set_yticks([0, 50, 100])
        axes.tick_params(labelsize=6 if columns > 1 else 8, length=2)
        axes.set_title(row["behaviour"], fontsize=7 if columns > 1 else 10)
        if columns == 1:
            label(axes, title=row["behaviour"], x="seconds from the beginning of the attack", y="% of clean throughput")
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    return finish(
        figure,
        f"Transactions per second over each run, in percent of its clean part, all with one scale that ends at {TOP}%; "
        "shaded while it lies, a stroke where another primary takes over.",
    )
