"""Pictures of recovery: the throughput around kills, how long the gaps were, and catching up by lag."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from statistics import median
from typing import Any

from pictures import BAD, QUIET, SERIES, Picture, canvas, finish, label, mark, plain_numbers

from bftledger.bench.outage import BACK

Row = Mapping[str, Any]

_SHIFTS = (0.0, 0.16, -0.16, 0.08, -0.08)
"""So that points of equal value are seen beside each other."""


def draw(killed: Sequence[Row], caught: Sequence[Row], fits: Mapping[str, Any], live: str) -> list[Picture]:
    """Those of what was measured. `live`: why a group with a dead replica is not slower."""
    drawn = [_timeline(killed, live), _gaps(killed)] if killed else []
    return [*drawn, *([_catching_up(caught, fits)] if caught else [])]


def _timeline(killed: Sequence[Row], live: str) -> Picture:
    figure, (axes,) = canvas(height=3.4)
    lines = [_rates(row) for row in killed]
    length = min(len(rates) for _, rates in lines)
    middles = lines[0][0][:length]
    for number, (at_s, rates) in enumerate(lines):
        axes.plot(at_s, rates, color=SERIES[0], linewidth=0.8, alpha=0.35, label="" if number else "each kill")
    middle = [median(rates[i] for _, rates in lines) for i in range(length)]
    axes.plot(middles, middle, color=SERIES[0], linewidth=2, label=f"median of {len(killed)}")
    before = median(row["tx_per_s_before"] for row in killed)
    axes.axhline(
        BACK * before, color=QUIET, linewidth=1.2, linestyle=(0, (5, 3)), label=f"{BACK:.0%} of what it was before"
    )
    mark(axes, 0.0, "the primary is killed")
    for name, shown in (("outage_ms", "median outage"), ("ledger_gap_ms", "median time without a new block")):
        found = [row[name] / 1_000 for row in killed if row.get(name) is not None]
        if found:  # a result of before there was an outage has the second only
            axes.axvspan(0.0, median(found), color=BAD, alpha=0.1, linewidth=0, label=shown)
            break
    axes.set_xlim(middles[0], middles[-1])
    axes.set_ylim(bottom=0, top=1.18 * max(max(rates) for _, rates in lines))
    label(axes, x="seconds from the kill", y="transactions/s")
    plain_numbers(axes)
    _legend_above(axes, columns=4)
    return finish(
        figure,
        "Committed transactions per second around the death of the primary, by buckets of time. After it "
        f"{live}. Receipts within the outage are of what had been committed before.",
    )


def _rates(row: Row) -> tuple[list[float], list[float]]:
    line = row["timeline"]
    moments = [line["from_s"] + (i + 0.5) * line["bucket_s"] for i in range(len(line["committed"]))]
    return moments, [count / line["bucket_s"] for count in line["committed"]]


def _gaps(killed: Sequence[Row]) -> Picture:
    kinds = {
        "outage_ms": "outage: what began after the kill has its first receipt",
        "ledger_gap_ms": "no new block for so long",
        "suspected_ms": "a replica leaves the view of the dead primary",
        "new_view_ms": "f+1 replicas are in the next view",
        "recovery_ms": f"{BACK:.0%} of the throughput is back, with a replica less",
        "gap_ms": "no receipt at all for so long, cut short by old ones",
    }
    figure, (axes,) = canvas(height=3.8)
    kinds = {name: what for name, what in kinds.items() if name in killed[0]}
    for place, name in enumerate(kinds):
        values = [row[name] for row in killed if row.get(name) is not None]
        for value, shift in zip(values, cycle(_SHIFTS), strict=False):
            axes.plot(value, place + shift, "o", color=SERIES[0], alpha=0.6, markersize=5, markeredgewidth=0)
        if values:
            middle = median(values)
            axes.plot([middle, middle], [place - 0.32, place + 0.32], color=BAD, linewidth=2)
            axes.annotate(
                f"{middle:,.0f}", (middle, place - 0.32), xytext=(0, 2), textcoords="offset points",
                ha="center", va="bottom", color=BAD, fontsize=8,
            )  # fmt: skip
    axes.set_yticks(range(len(kinds)), list(kinds.values()))
    axes.set_ylim(len(kinds) - 0.4, -0.75)
    axes.set_xlim(0, 1.04 * axes.get_xlim()[1])
    axes.grid(visible=False, axis="y")
    label(axes, x="ms from the kill")
    plain_numbers(axes, "x")
    return finish(figure, f"Each of {len(killed)} kills is a dot; the strokes are the medians.")


def _catching_up(caught: Sequence[Row], fits: Mapping[str, Any]) -> Picture:
    figure, (axes,) = canvas(height=3.4)
    for name, is_loaded, color, marker in (("idle", False, SERIES[0], "o"), ("loaded", True, SERIES[1], "s")):
        rows = [row for row in caught if row["loaded"] == is_loaded]
        if not rows:
            continue
        what = "while the load goes on" if is_loaded else "in an idle group"
        axes.plot([row["blocks"] for row in rows], [row["level_s"] for row in rows], marker, color=color, label=what)
        fit = fits[name]
        if fit is not None:
            ends = [0, max(row["blocks"] for row in rows)]
            times = [fit["fixed_s"] + blocks * fit["ms_per_block"] / 1_000 for blocks in ends]
            shown = f"{fit['fixed_s']:.2f} s + {fit['ms_per_block']:.2f} ms per block"
            axes.plot(ends, times, color=color, linewidth=1.2, linestyle=(0, (5, 3)), label=shown)
    each = sum(row["transactions"] for row in caught) / max(1, sum(row["blocks"] for row in caught))
    axes.set_ylim(bottom=0)
    label(axes, x=f"blocks to catch up, each with {each:.1f} transactions in the mean", y="s from start to level")
    plain_numbers(axes)
    plain_numbers(axes, "x")
    _legend_above(axes, columns=2)
    return finish(
        figure, "How long after its start a replica is level with the others, by how much it had to catch up by then."
    )


def _legend_above(axes: Any, columns: int) -> None:
    """Outside of the data, which may be anywhere."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)
