"""The pictures of `throughput.py`: by clients, by each other axis, and by two axes at once as a table of shades."""

from collections.abc import Sequence
from typing import Any

import pictures as p
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from throughput_tables import measure_of

from bftledger.bench.readable import percentile_of
from bftledger.bench.results import Result
from bftledger.bench.rounds import spread

AXES = {
    "clients": "closed-loop clients",
    "operations": "operations in a transaction",
    "size": "bytes in an operation",
    "batch_count": "transactions in a batch at most",
}
NAMES = {"clients": "{:,} clients", "operations": "{:,} operations", "size": "{:,} bytes", "batch_count": "batch {:,}"}
LEGIBLE = len(p.SERIES)
"""More lines than colours nobody can tell apart."""

LINES_FROM = 3
"""Fewer numbers of clients make no line: they are bars."""

BARS = 8
"""More of them nobody reads."""

UNITS = {"tx_per_s": "transactions/s", "operations_per_s": "operations/s", "payload_mb_per_s": "MB/s of payload"}

CAP = 2.5
"""Points on either side of a line that ends a range."""

Row = dict[str, Any]


def draw(result: Result) -> list[p.Picture]:
    """Throughput and latency by clients, and throughput by each of the others that has several values.

    Batches and sizes that are varied together have one picture, and lines only where there are few of them.
    """
    rows = result["results"]
    varied = [name for name in AXES if len({row[name] for row in rows}) > 1]
    is_grid = {"batch_count", "size"} <= set(varied)
    drawn = [_grid(result)] if is_grid else []
    if "clients" in varied or not varied:
        lines = 2 * len(_series(rows, by=[name for name in AXES if name != "clients"]))
        few = lines <= LEGIBLE
        is_short = len({row["clients"] for row in rows}) < LINES_FROM and len(rows) <= BARS
        if few or not is_grid:
            drawn.append(_bars(result) if is_short else _by_clients(result))
    for what, shown, caption in (
        ("batch_count", ("tx_per_s", "transactions/s"), "The same by the largest batch that makes a proposal."),
        ("size", ("payload_mb_per_s", "MB/s of payload"), "Payload per second, by the size of an operation."),
        ("operations", ("operations_per_s", "operations/s"), "What one signature for several operations is worth."),
    ):
        if what in varied and not (is_grid and what != "operations"):
            drawn.append(_by(rows, what, *shown, caption))
    return drawn


def _by_clients(result: Result) -> p.Picture:
    rows = result["results"]
    figure, (left, right) = p.canvas(1, 2)
    for name, some in _series(rows, by=("operations", "size", "batch_count")):
        color = _line(left, some, "clients", "tx_per_s", label=name, marker="o")
        for what, marker, dashes in (("p50", "o", "-"), ("p99", "^", ":")):
            shown = f"{name} {what}".strip()
            carried = [row for row in some if percentile_of(row, int(what[1:])) is not None]
            _line(right, carried, "clients", f"{what}_ms", label=shown, marker=marker, ls=dashes, color=color)
    p.limit(left, result["ceiling_tx_per_s"], "ceiling: signature checks alone")
    left.set_ylim(bottom=0)
    right.set_yscale("log")
    p.label(left, title="Throughput", x=AXES["clients"], y="transactions/s")
    p.label(right, title="Latency", x=AXES["clients"], y="ms")
    for axes in (left, right):
        p.steps(axes, sorted({row["clients"] for row in rows}))
        p.plain_numbers(axes)
        p.legend(axes)
    caption = "Committed transactions per second, and the time to a verified receipt, by clients."
    return p.finish(figure, caption + _rounds(rows))


def _bars(result: Result) -> p.Picture:
    """A bar for each load, in the unit that such loads are judged by, and their latencies beside it."""
    rows = result["results"]
    names = [name for name, _ in _series(rows, by=list(AXES))] if len(rows) > 1 else [_clients(rows[0])]
    measure = measure_of(rows)
    figure, (left, right) = p.canvas(1, 2, height=1.3 + 0.42 * len(rows), width=9.0)
    for at, row in enumerate(rows):
        least, greatest = _range(row, measure)
        off = [[row[measure] - least], [greatest - row[measure]]] if least < greatest else None
        left.barh(at, row[measure], color=p.SERIES[0], height=0.6, xerr=off, capsize=CAP, ecolor=p.QUIET)
        _beside(left, greatest, at, f"{row[measure]:,.1f}" if row[measure] < 100 else f"{row[measure]:,.0f}")
        known = {f"p{percent}": percentile_of(row, percent) for percent in (50, 99)}
        for (_, ms), marker in zip(known.items(), "o^", strict=True):
            if ms is not None:
                right.plot(ms, at, marker, color=p.SERIES[1], markersize=6)
        said = ", ".join(f"{name} {ms:,.3g} ms" for name, ms in known.items() if ms is not None)
        _beside(right, max((ms for ms in known.values() if ms is not None), default=0.0), at, said)
    left.set_yticks(range(len(rows)), names)
    right.set_yticks(range(len(rows)), [""] * len(rows))
    p.label(left, title=UNITS[measure], x=UNITS[measure])
    p.label(right, title="Latency: median (dot), 99 of 100 (triangle)", x="ms")
    for axes, room in ((left, 1.3), (right, 1.9)):
        axes.set_xlim(0, room * axes.get_xlim()[1])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        p.plain_numbers(axes, "x")
    return p.finish(figure, f"What was done per second, and the time to a verified receipt.{_rounds(rows)}")


def _beside(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)


def _clients(row: Row) -> str:
    return NAMES["clients"].format(row["clients"]).replace("1 clients", "one client")


def _by(rows: Sequence[Row], what: str, field: str, label: str, caption: str) -> p.Picture:
    figure, (axes,) = p.canvas()
    for name, some in _series(rows, by=[name for name in AXES if name != what]):
        _line(axes, some, what, field, label=name, marker="o")
    p.steps(axes, sorted({row[what] for row in rows}))
    p.label(axes, x=AXES[what], y=label)
    axes.set_ylim(bottom=0)
    p.plain_numbers(axes)
    p.legend(axes)
    return p.finish(figure, caption + _rounds(rows))


def _line(axes: Axes, rows: Sequence[Row], x: str, y: str, **look: Any) -> str:
    """A line through the rows, each with the range of its rounds. Its colour."""
    bars = [_range(row, y) for row in rows]
    low = [row[y] - least for row, (least, _) in zip(rows, bars, strict=True)]
    high = [greatest - row[y] for row, (_, greatest) in zip(rows, bars, strict=True)]
    drawn = axes.errorbar(
        [row[x] for row in rows],
        [row[y] for row in rows],
        yerr=[[max(0.0, one) for one in low], [max(0.0, one) for one in high]] if any((*low, *high)) else None,
        capsize=CAP,
        elinewidth=1,
        **look,
    )
    return str(drawn.lines[0].get_color())


def _range(row: Row, name: str) -> tuple[float, float]:
    """What the rounds say of the field: of a throughput in other units the same share of it."""
    if name.endswith("_ms"):
        return spread(row, name)
    least, greatest = spread(row, "tx_per_s")
    each = row[name] / row["tx_per_s"]
    return each * least, each * greatest


def _rounds(rows: Sequence[Row]) -> str:
    count = max(len(row.get("rounds", ())) for row in rows)
    return f" Medians of {count} rounds, with the least and the greatest." if count > 1 else ""


# ── batches and sizes together ───────────────────────────────────────────────────────────────────────────────────────


def _grid(result: Result) -> p.Picture:
    """A cell for each batch and size, the darker the faster; a panel for each number of clients and operations."""
    rows = result["results"]
    panels = _series(rows, by=("clients", "operations"))
    sizes = sorted({row["size"] for row in rows})
    batches = sorted({row["batch_count"] for row in rows})
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = p.canvas(lines, columns, height=lines * (0.9 + 0.55 * len(sizes)), width=8.0)
    best = max(row["tx_per_s"] for row in rows)
    for number, (axes, (name, some)) in enumerate(zip(grid, panels, strict=False)):
        for row in some:
            _cell(axes, batches.index(row["batch_count"]), sizes.index(row["size"]), row, best)
        axes.set_xticks(range(len(batches)), [f"{batch:,}" for batch in batches])
        axes.set_yticks(range(len(sizes)), [f"{size:,}" for size in sizes])
        axes.set_xlim(-0.5, len(batches) - 0.5)
        axes.set_ylim(-0.5, len(sizes) - 0.5)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        p.label(
            axes,
            title=name or "Transactions per second",
            x=AXES["batch_count"] if number >= len(panels) - columns else "",
            y=AXES["size"] if number % columns == 0 else "",
        )
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    caption = "Transactions and MB of payload per second, by the largest batch and the size of an operation."
    return p.finish(figure, caption + _rounds(rows))


def _cell(axes: Axes, x: int, y: int, row: Row, best: float) -> None:
    shade = 0.06 + 0.6 * row["tx_per_s"] / best
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=p.SERIES[0], alpha=shade, linewidth=0))
    least, greatest = spread(row, "tx_per_s")
    lines = [f"{least:,.0f} to {greatest:,.0f}"] * (least < greatest) + [f"{row['payload_mb_per_s']:.2g} MB/s"]
    axes.text(x, y + 0.12 + 0.06 * len(lines), f"{row['tx_per_s']:,.0f}/s", ha="center", va="center", weight="bold")
    axes.text(x, y + 0.03, "\n".join(lines), ha="center", va="top", fontsize=7)


def _series(rows: Sequence[Row], by: Sequence[str]) -> list[tuple[str, list[Row]]]:
    """The rows that agree in these fields, named by what tells them from the others."""
    differing = [name for name in by if len({row[name] for row in rows}) > 1]
    found: dict[str, list[Row]] = {}
    for row in rows:
        name = ", ".join(NAMES[name].format(row[name]) for name in differing)
        found.setdefault(name.replace("1 clients", "one client"), []).append(row)
    return list(found.items())
