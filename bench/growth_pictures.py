"""Pictures of a growing ledger: speed, memory and stores, and the times of transactions and reads, by its size."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from pictures import BAD, SERIES, Picture, canvas, finish, label, plain_numbers

from bftledger.bench.growth import PER, last_half, lines

Row = Mapping[str, Any]


def draw(rows: Sequence[Row]) -> list[Picture]:
    """Both."""
    return [_sizes(rows), _costs(rows)]


def _sizes(rows: Sequence[Row]) -> Picture:
    figure, panels = canvas(3, 1, height=6.6)
    speed, memory, stores = panels
    speed.plot(_at(rows), [row["tx_per_s"] for row in rows], marker="o")
    label(speed, title="Throughput since the point before", y="transactions/s")
    _band(memory, rows, "rss_mb", SERIES[0], "resident (RSS)")
    _band(memory, rows, "uss_mb", SERIES[1], "its alone (USS)")
    _fit(memory, rows)
    label(memory, title="Memory of a replica", y="MB")
    _band(stores, rows, "store_mb", SERIES[0], "database")
    _band(stores, rows, "wal_mb", SERIES[1], "write-ahead log")
    label(stores, title="Files of a replica", x="transactions in the ledger", y="MB")
    _finish(panels)
    caption = (
        "Speed, memory and files by the size of the ledger: the replicas' mean, shaded from the least to the most."
    )
    return finish(figure, caption)


def _costs(rows: Sequence[Row]) -> Picture:
    figure, panels = canvas(3, 1, height=6.6)
    latency, reads, cpu = panels
    for name, shown in (("p50_ms", "p50"), ("p99_ms", "p99")):
        latency.plot(_at(rows), [row[name] for row in rows], marker="o", label=shown)
    label(latency, title="A transaction under load", y="ms")
    for name, shown in (("get_ms", "get, with its proof"), ("receipt_ms", "receipt of an old transaction")):
        reads.plot(_at(rows), [row[name] for row in rows], marker="o", label=shown)
    label(reads, title="A read of the idle group, median", y="ms")
    _band(cpu, rows, "replicas_cpu_us_per_tx", SERIES[0], "a replica")
    cpu.plot(
        _at(rows), [row["clients_cpu_us_per_tx"] for row in rows], marker="o", color=SERIES[1], label="the clients"
    )
    label(cpu, title="Processor time of a transaction", x="transactions in the ledger", y="µs")
    _finish(panels)
    return finish(figure, "What a transaction and a read take by the size of the ledger.")


def _at(rows: Sequence[Row]) -> list[int]:
    return [row["transactions"] for row in rows]


def _band(axes: Any, rows: Sequence[Row], name: str, color: str, shown: str) -> None:
    known = [(row["transactions"], [value for value in row[name] if value is not None]) for row in rows]
    known = [(at, values) for at, values in known if values]
    at = [at for at, _ in known]
    axes.fill_between(at, [min(v) for _, v in known], [max(v) for _, v in known], color=color, alpha=0.18, linewidth=0)
    axes.plot(at, [mean(v) for _, v in known], marker="o", color=color, label=shown)


def _fit(axes: Any, rows: Sequence[Row]) -> None:
    """Through the resident memory of the replica whose memory grows most, over the last half."""
    later = last_half(rows)
    known = [line for line in lines(rows, "rss_mb") if line is not None]
    steepest = max(known, key=lambda line: line.slope, default=None)
    if steepest is None:
        return
    ends = [later[0]["transactions"], later[-1]["transactions"]]
    shown = f"{steepest.slope * PER:+.2f} MB per {PER:,}\n(the steepest)"
    axes.plot(ends, [steepest.at(x) for x in ends], color=BAD, linewidth=1.4, linestyle=(0, (4, 2)), label=shown)


def _finish(panels: Sequence[Any]) -> None:
    for axes in panels:
        axes.set_ylim(bottom=0, top=1.08 * axes.get_ylim()[1])
        axes.set_xlim(left=0)
        plain_numbers(axes)
        plain_numbers(axes, "x")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
