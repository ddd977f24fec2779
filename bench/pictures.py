"""Pictures of results: one style for all, as PNG and as SVG that follows the page's light or dark colours.

Needs matplotlib (the extra `bench`), and is therefore imported only when a picture is asked for.
"""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler

matplotlib.use("agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

INK = "#1f2933"
QUIET = "#7b8794"
GRID = "#dde3ea"
PAPER = "#ffffff"
SERIES = ("#2a6fdb", "#d9480f", "#2b8a3e", "#9c36b5", "#b08900", "#0b8497", "#c2255c", "#6b7a3a")
"""Legible on white and on near-black, and told apart by those who see fewer colours."""

BAD = "#d6336c"
"""What marks an attack, a death, a limit that was passed."""

_VARIABLES = {INK: "var(--ink)", QUIET: "var(--quiet)", GRID: "var(--grid)"}
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 160,
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Picture:
    """`svg`: to be put into a page as it is. `png`: the same on white. `caption`: one sentence, what to see in it."""

    caption: str
    svg: str
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """Whatever is drawn within looks as all pictures do."""
    with matplotlib.rc_context(_STYLE):
        yield


def canvas(rows: int = 1, columns: int = 1, *, height: float = 3.2, width: float = 8.0) -> tuple[Figure, list[Axes]]:
    """An empty figure, inches wide and high, and its axes from top left to bottom right; call it within `style`."""
    figure, grid = pyplot.subplots(rows, columns, figsize=(width, height), squeeze=False)
    return figure, list(grid.flat)


def finish(figure: Figure, caption: str) -> Picture:
    """The picture of a figure, which is closed."""
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": caption}):
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return Picture(caption, _inline(svg.getvalue()), png.getvalue())


def save_png(pictures: Sequence[Picture], path: Path) -> None:
    """The first to `path`, the others beside it as NAME-2.png, NAME-3.png."""
    for number, picture in enumerate(pictures, 1):
        to = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        to.write_bytes(picture.png)


def label(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Title and units."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def legend(axes: Axes) -> None:
    """If there is anything to tell apart."""
    handles, names = axes.get_legend_handles_labels()
    if len([name for name in names if name]) > 1:
        axes.legend(handles, names)


def steps(axes: Axes, values: Sequence[float], axis: str = "x") -> None:
    """A logarithmic axis that shows just these values, as numbers."""
    which = axes.xaxis if axis == "x" else axes.yaxis
    (axes.set_xscale if axis == "x" else axes.set_yscale)("log")
    which.set_ticks(list(values), [f"{value:,g}" for value in values])
    which.set_ticks([], minor=True)


def plain_numbers(axes: Axes, axis: str = "y") -> None:
    """1,000 instead of 10³; a logarithmic axis shows 1, 2 and 5 of each decade."""
    which = axes.xaxis if axis == "x" else axes.yaxis
    if which.get_scale() == "log":
        which.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        which.set_minor_locator(NullLocator())
    which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.12g}"))


def same_height(panels: Sequence[Axes]) -> None:
    """Whoever compares panels compares heights: all have the range of all in which there is something."""
    ranges = [axes.get_ylim() for axes in panels if math.isfinite(axes.dataLim.y0)]
    lowest, highest = min((low for low, _ in ranges), default=1.0), max((high for _, high in ranges), default=10.0)
    for axes in panels:
        axes.set_ylim(lowest, highest)


def limit(axes: Axes, y: float, text: str) -> None:
    """A dashed horizontal line with what it means."""
    axes.axhline(y, color=QUIET, linewidth=1.2, linestyle=(0, (5, 3)))
    axes.annotate(
        text, (1, y), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points", ha="right",
        color=QUIET, fontsize=8,
    )  # fmt: skip


def mark(axes: Axes, x: float, text: str, color: str = BAD, row: int = 0) -> None:
    """A vertical line at something that happened, its name at the top; `row` keeps names apart that lie close."""
    axes.axvline(x, color=color, linewidth=1.2)
    axes.annotate(
        text, (x, 1), xycoords=("data", "axes fraction"), xytext=(3, -10 - 11 * row), textcoords="offset points",
        color=color, fontsize=8,
    )  # fmt: skip


def span(axes: Axes, from_x: float, to_x: float, color: str = BAD) -> None:
    """A shaded stretch, such as that of an attack."""
    axes.axvspan(from_x, to_x, color=color, alpha=0.1, linewidth=0)


def _inline(svg: str) -> str:
    """Without prolog, metadata, fixed size and references to anything outside; ink and grid as the page's variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r' (?:width|height)="[^"]*pt"', "", svg, count=2)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)  # would hold for the whole page
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    # Text without a colour of its own is black, which a dark page would swallow.
    return svg.replace("<svg ", '<svg role="img" fill="var(--ink)" stroke-linejoin="round" ', 1)
