"""Pictures of `scale.py`: each figure by the size of the group, with the law that fits it best."""

from collections.abc import Mapping, Sequence
from typing import Any

from pictures import INK, QUIET, SERIES, Picture, canvas, finish, label, plain_numbers, same_height, steps
from scale_tables import of_the_model

from bftledger.bench.scale_fit import best_law
from bftledger.bench.scale_laws import TIME, all_laws
from bftledger.bench.scale_loads import OWN_CORES, SHARED_CORES
from bftledger.bench.scale_processes import PROCESSES
from bftledger.bench.scale_timeouts import is_carried

Row = Mapping[str, Any]
Axes = Any

DASHED = (0, (4, 2.5))


def draw(result: Mapping[str, Any]) -> list[Picture]:
    """Those for which there are rows. The laws are of the rows, whatever whoever measured them fitted."""
    loads = result["results"]
    result = {**result, "laws": all_laws(result["blocks"], result["view_changes"], loads)}
    drawn = []
    if result["blocks"]:
        drawn += [_traffic(result), _processor(result)]
    if result["results"]:
        drawn.append(_throughput(result))
    if result["view_changes"]:
        drawn.append(_views(result))
    return drawn


def _traffic(result: Mapping[str, Any]) -> Picture:
    figure, (left, right) = canvas(1, 2, height=4.2, width=9.0)
    rows = _of_batch(result["blocks"], min(row["batch"] for row in result["blocks"]))
    batch = rows[0]["batch"]
    for color, what, key, name in (
        (SERIES[0], "messages per block, group", "messages_per_block", "the group"),
        (SERIES[2], "messages per block, replica", "replica_messages_per_block", "each replica"),
    ):
        _points(left, rows, lambda row, key=key: row[key], color, name)
        _law(left, result, what, color, batch=batch)
    left.plot(
        [row["replicas"] for row in rows],
        [row["expected_messages_per_block"] for row in rows],
        ls="none",
        marker="x",
        ms=9,
        color=INK,
        label="expected: 3n(n-1)",
    )
    for color, batch_ in zip(SERIES, sorted({row["batch"] for row in result["blocks"]}), strict=False):
        some = _of_batch(result["blocks"], batch_)
        _points(right, some, lambda row: row["bytes_per_block"] / 1_000, color, f"batches of {batch_}")
        _law(right, result, "bytes per block, group", color, batch=batch_, scale=1_000)
    label(left, title="Messages per block", x="replicas", y="messages")
    label(right, title="Bytes per block, the group", x="replicas", y="kB")
    _finish_axes([left, right], result["blocks"])
    return finish(
        figure,
        "Messages and bytes that a block takes; crosses: what the protocol needs; dashed: the law that fits best.",
    )


def _processor(result: Mapping[str, Any]) -> Picture:
    figure, (left, right) = canvas(1, 2, height=4.2, width=9.0)
    batches = sorted({row["batch"] for row in result["blocks"]})
    for color, batch in zip(SERIES, batches, strict=False):
        rows = _of_batch(result["blocks"], batch)
        for role, marker in (("primary", "^"), ("backup", "o")):
            _points(
                left,
                rows,
                lambda row, role=role: row["cpu_us_per_block"][role] / row["batch"],
                color,
                f"{role}, batches of {batch}",
                marker=marker,
                line="-" if role == "backup" else ":",
            )
        _points(right, rows, lambda row: row["cpu_us_per_block"]["backup"] / 1_000, color, f"batches of {batch}")
        _law(right, result, "CPU per block, backup", color, batch=batch, scale=1_000)
        _points(
            right,
            rows,
            lambda row: row["transport_us_per_block"]["backup"] / 1_000,
            color,
            f"the transport's, batches of {batch}",
            marker="s",
            line=":",
        )
    label(left, title="Processor time of a replica per transaction", x="replicas", y="µs, without the transport's")
    label(right, title="Processor time of a backup per block", x="replicas", y="ms")
    _finish_axes([left, right], result["blocks"])
    return finish(
        figure, "Processor time by role and size, measured; the transport's is modelled from what a frame costs."
    )


HOW = (
    (PROCESSES, "measured, processes on shared cores", "D", SERIES[0]),
    (SHARED_CORES, "predicted, shared cores", "o", SERIES[1]),
    (OWN_CORES, "predicted, a core each", "^", SERIES[2]),
)
"""Each has a colour and a mark of its own, in every panel."""


def _throughput(result: Mapping[str, Any]) -> Picture:
    """A panel for each load: nine series in one nobody tells apart."""
    rows = result["results"]
    loads = list(dict.fromkeys(row["load"] for row in reversed(rows)))
    figure, panels = canvas(2, len(loads), height=6.4, width=3.1 * max(2, len(loads)))
    rates, times = panels[: len(loads)], panels[len(loads) :]
    for load, rate, time in zip(loads, rates, times, strict=True):
        for how, _, _, color in reversed(HOW):
            _rate_law(rate, result, load, how, color)
        for how, name, marker, color in HOW:
            some = [row for row in rows if (row["how"], row["load"]) == (how, load)]
            known = [row for row in some if row["tx_per_s"] and is_carried(row)]
            if known:
                _points(rate, known, lambda row: row["tx_per_s"], color, name, marker=marker)
                _points(time, known, lambda row: row["p50_ms"], color, name, marker=marker, line="-")
                _longer_timeouts(rate, known, result["config"]["protocol"]["request_timeout_ms"])
            for row in some:
                if row not in known and not _was_measured_again(row, known):
                    rate.annotate(
                        "none", (row["replicas"], 0.02), xycoords=("data", "axes fraction"), ha="center", color=color,
                        fontsize=7,
                    )  # fmt: skip
        label(rate, title=load, y="transactions/s" if rate is rates[0] else "")
        label(time, x="replicas", y="ms, median" if time is times[0] else "")
    _finish_axes([*rates, *times], rows, legends=False)
    same_height(rates)
    same_height(times)
    handles = {name: handle for axes in rates for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    return finish(
        figure,
        "Committed transactions per second and median latency by size and load. Dashed: 1,000,000 over the law of the "
        "time per transaction, with the largest error at a point. T: the request time-out, where the usual one was too "
        f"short. {of_the_model(rows)}",
    )


def _rate_law(axes: Axes, result: Mapping[str, Any], load: str, how: str, color: str) -> None:
    """The throughput by the law of the time that a transaction takes; its name in the corner that is empty."""
    for found in result["laws"]:
        law = best_law(found)
        if law is None or (found["what"], found["load"], found["how"]) != (TIME, load, how):
            continue
        grid = _between([n for n, _ in found["points"]])
        axes.plot(grid, [1e6 / law.at(n) for n in grid], ls=DASHED, lw=1.2, color=color)
        axes.text(
            0.03, 0.03 + 0.07 * len(axes.texts), f"{law.text()} µs, off by {law.off}", color=color, fontsize=7,
            transform=axes.transAxes,
        )  # fmt: skip


def _was_measured_again(row: Row, rows: Sequence[Row]) -> bool:
    """Whether the same load is among those that have figures, with another request time-out."""
    same = ("replicas", "how", "load")
    return any(all(other[name] == row[name] for name in same) for other in rows)


def _longer_timeouts(axes: Axes, rows: Sequence[Row], usual_ms: int) -> None:
    """At points that were measured with another T than usual it stands there."""
    for row in rows:
        timeout_ms = row.get("request_timeout_ms", usual_ms)
        if timeout_ms != usual_ms:
            axes.annotate(
                f"T {timeout_ms / 1_000:.3g} s", (row["replicas"], row["tx_per_s"]), xytext=(0, 5),
                textcoords="offset points", ha="center", va="bottom", color=QUIET, fontsize=7,
            )  # fmt: skip


def _views(result: Mapping[str, Any]) -> Picture:
    figure, (left, right) = canvas(1, 2, height=4.2, width=9.0)
    for color, in_flight in zip(SERIES, sorted({row["in_flight"] for row in result["view_changes"]}), strict=False):
        rows = [row for row in result["view_changes"] if row["in_flight"] == in_flight]
        name = f"{in_flight} slots in flight"
        for what, key, marker in (("NEW-VIEW", "new_view_longest", "o"), ("VIEW-CHANGE", "view_change_longest", "^")):
            _points(left, rows, lambda row, key=key: row[key] / 1_000, color, f"{what}, {name}", marker=marker)
            _law(left, result, f"bytes of a {what}", color, in_flight=in_flight, scale=1_000)
        _points(right, rows, lambda row: row["bytes"] / 1e6, color, f"all sent, {name}")
        needed = [
            (
                row["expected_view_changes"] * row["view_change_longest"]
                + row["expected_new_views"] * row["new_view_longest"]
            )
            / 1e6
            for row in rows
        ]
        _law(right, result, "bytes of a view change, group", color, in_flight=in_flight, scale=1e6)
        right.plot(
            [row["replicas"] for row in rows],
            needed,
            ls="none",
            marker="x",
            ms=9,
            color=color,
            label=f"each sent once, {name}",
        )
    label(left, title="One message of a view change", x="replicas", y="kB")
    label(right, title="A view change in all", x="replicas", y="MB")
    _finish_axes([left, right], result["view_changes"])
    return finish(
        figure, "Bytes of VIEW-CHANGE and NEW-VIEW, one and all; crosses: what they would be if none was sent again."
    )


# ── parts of pictures ────────────────────────────────────────────────────────────────────────────────────────────


def _points(
    axes: Axes, rows: Sequence[Row], value: Any, color: str, name: str, *, marker: str = "o", line: Any = "none"
) -> None:
    axes.plot(
        [row["replicas"] for row in rows],
        [value(row) for row in rows],
        marker=marker,
        ls=line,
        lw=1.2,
        color=color,
        label=name,
    )


def _law(
    axes: Axes,
    result: Mapping[str, Any],
    what: str,
    color: str,
    *,
    batch: int | None = None,
    in_flight: int | None = None,
    scale: float = 1.0,
) -> None:
    """The line of the law that fits best, if there is one, with its largest error."""
    for found in result["laws"]:
        law = best_law(found)
        if law is None or (found["what"], found["batch"], found["in_flight"]) != (what, batch, in_flight):
            continue
        grid = _between([n for n, _ in found["points"]])
        name = f"{law.text(scale)}, off by {law.off} at most"
        axes.plot(grid, [law.at(n) / scale for n in grid], ls=DASHED, lw=1.2, color=color, label=name)


def _between(sizes: Sequence[int]) -> list[float]:
    """Sizes from the smallest to the largest, evenly on a logarithmic axis."""
    return [min(sizes) * (max(sizes) / min(sizes)) ** (i / 80) for i in range(81)]


def _finish_axes(panels: Sequence[Axes], rows: Sequence[Row], *, legends: bool = True) -> None:
    for axes in panels:
        steps(axes, sorted({row["replicas"] for row in rows}))
        axes.set_yscale("log")
        axes.margins(x=0.06)
        plain_numbers(axes)
        if legends:
            axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), ncols=1)


def _of_batch(rows: Sequence[Row], batch: int) -> list[Row]:
    return [row for row in rows if row["batch"] == batch]
