"""The picture of `breakdown.py`: a transaction's microseconds, stage after stage, by replica and size of a batch."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Patch
from pictures import QUIET, SERIES, Picture, canvas, finish, label, plain_numbers

Row = Mapping[str, Any]

CHECKS: Final = "signatures checked"

FAMILIES: Final = (
    (SERIES[0], (f"{CHECKS}: clients'", f"{CHECKS}: replicas'", "signatures made")),
    (SERIES[5], ("clients' requests", "replies", "pool")),
    (SERIES[2], ("frames opened and decoded", "core steps", "encoding")),
    (SERIES[3], ("execution", "execution: application", "execution: state map", "execution: Merkle trees")),
    (SERIES[1], ("store writes", "store reads", "store commit")),
)
"""Stages that belong together have one hue, from dark to light. What is in none of them is grey."""

LIGHTER: Final = (0.0, 0.32, 0.55, 0.72)
"""So much white is in the first, second, … of a family."""

DARK_INK, LIGHT_INK = "#111111", "#fefefe"
"""On the bars, whose colours are the same on a light and on a dark page."""

INSIDE: Final = 0.055
"""A part of the axis that is wide enough for a number."""


def draw(rows: Sequence[Row]) -> list[Picture]:
    """One panel for each size of a batch, each on a scale of its own."""
    batches = sorted({row["batch"] for row in rows})
    figure, panels = canvas(len(batches), 1, width=9.0, height=1.6 + 1.35 * len(batches))
    for axes, batch in zip(panels, batches, strict=True):
        _panel(axes, [row for row in rows if row["batch"] == batch])
        label(axes, title="one at a time" if batch == 1 else f"{batch:,} at a time")
    label(panels[-1], title=panels[-1].get_title(loc="left"), x="µs of processor time per transaction")
    figure.legend(handles=_handles(rows[0]), loc="outside lower center", ncols=len(FAMILIES), fontsize=7.5)
    caption = (
        "A transaction's processor time in a replica, stage by stage; each panel has a scale of its own. Behind a bar: "
        "the whole, and what of it is beyond one check of the client's signature. What is left of 0 is noise. Sockets, "
        "CURVE, kernel and event loop are not in it."
    )
    return [finish(figure, caption)]


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    end = max(row["us_per_tx"] for row in rows)
    colors = _colors(rows[0])
    for at, row in enumerate(rows):
        left = below = 0.0
        for stage, us in _stages(row).items():
            color = colors[stage]
            if us < 0:  # what is noise must not hide what is not
                below += us
                axes.barh(at, us, left=below - us, color=color, height=0.62)
                continue
            axes.barh(at, us, left=left, color=color, height=0.62)
            if us >= INSIDE * end:
                axes.text(left + us / 2, at, f"{us:,.0f}", ha="center", va="center", fontsize=7.5, color=_ink(color))
            left += us
        axes.annotate(
            f"{row['us_per_tx']:,.1f} in all\n{row['beyond_client_check_us']:,.1f} beyond the check",
            (left, at), xytext=(5, 0), textcoords="offset points", va="center", fontsize=7.5,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row["role"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(min(0.0, *(_negative(row) for row in rows)), 1.24 * end)
    axes.grid(visible=False)
    plain_numbers(axes, "x")


def _handles(row: Row) -> list[Patch]:
    """Of the legend, which fills column by column: one for each family, and what is in none below the last."""
    colors = _colors(row)
    columns = [[stage for stage in family if stage in colors] for _, family in FAMILIES]
    columns[-1] += [stage for stage in colors if not any(stage in column for column in columns)]
    longest = max(map(len, columns))
    nothing = Patch(alpha=0.0, label=" ")
    return [
        handle
        for column in columns
        for handle in [Patch(color=colors[stage], label=stage) for stage in column]
        + [nothing] * (longest - len(column))
    ]


def _stages(row: Row) -> dict[str, float]:
    """In the order of `FAMILIES`, the checks of signatures by signer."""
    stages = dict(row["stages_us_per_tx"])
    del stages[CHECKS]
    stages |= {f"{CHECKS}: {whose}'": us for whose, us in row["checks_us_per_tx"].items()}
    ordered = [stage for _, family in FAMILIES for stage in family if stage in stages]
    return {stage: stages[stage] for stage in [*ordered, *(stage for stage in stages if stage not in ordered)]}


def _negative(row: Row) -> float:
    return sum(us for us in _stages(row).values() if us < 0)


def _colors(row: Row) -> dict[str, str]:
    known = {
        stage: _lighter(color, LIGHTER[number]) for color, family in FAMILIES for number, stage in enumerate(family)
    }
    return {stage: known.get(stage, QUIET) for stage in _stages(row)}


def _lighter(color: str, share: float) -> str:
    red, green, blue = (part + (1 - part) * share for part in to_rgb(color))
    return to_hex((red, green, blue))


def _ink(color: str) -> str:
    red, green, blue = to_rgb(color)
    return DARK_INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else LIGHT_INK
