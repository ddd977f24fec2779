"""A row of the page about attacks, as HTML."""

import html
from collections.abc import Sequence
from typing import Final

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cost import AIM, control_of, cost, is_down, is_slow, lost
from bftledger.bench.attack_detail import deeds, detail_html
from bftledger.bench.attack_plan import Place
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_shapes import spark
from bftledger.bench.attack_words import Row
from bftledger.bench.attack_work import effort


def convicts(row: Row) -> list[int]:
    """Those whom evidence convicts."""
    return sorted({one["replica"] for one in row["evidence"]})


def mark(row: Row) -> str:
    """What is to be known about a run that was hardly an attack; empty if it was one."""
    if not row["traitors"]:
        return ""
    return "few occasions" if row.get("few_occasions", False) else "" if row["deviations"] else "no occasion"


_MARKS: Final = {
    "no occasion": "It never deviated: the run shows nothing but noise",
    "few occasions": "It hardly ever deviated: the run shows little but noise",
    "not kept up": "The group did less than was due before it was attacked: ask for less with --rate",
}


def row_html(row: Row, controls: Sequence[Row] = ()) -> str:
    """A body of the table: the row, and the hidden one with all details. `controls`: those of all occasions."""
    control = control_of(row, controls)
    classes = " slow" * is_slow(row) + " down" * is_down(row) if row["traitors"] else " control"
    name = html.escape(row["behaviour"])
    marks = [mark(row), "" if row.get("kept_up", True) else "not kept up"]
    tags = "".join(f'<span class="tag idle" title="{_MARKS[one]}">{one}</span>' for one in marks if one)
    convicted = (
        f'<span class="badge guilty">{" ".join(f"replica {i}" for i in convicts(row))}</span>'
        if row["evidence"]
        else '<span class="badge none">no</span>'
    )
    verdict = '<span class="badge good">safe</span>' if row["ok"] else '<span class="badge bad">violated</span>'
    return (
        f'<tbody class="attack{classes}" id="{name}">\n<tr class="row">'
        f'<th scope="row" class="name"><button type="button" aria-expanded="false">{name}</button>'
        f'<span class="tag">{html.escape(row["family"])}</span>{tags}'
        f"<p>{html.escape(row['does'])}</p></th>"
        f'<td class="rule"><p>{html.escape(row["stopped_by"])}</p></td>'
        f'<td class="run">{spark(row)}</td>'
        f'<td class="number cost">{_cost(row, control)}</td>'
        f'<td class="until">{_until(row)}</td>'
        f'<td class="kept">{_mean(row, control)}</td>'
        f'<td class="number">{_rates(row)}</td>'
        f'<td class="number">{words.millis(row["longest_gap_ms"])}</td>'
        f'<td class="number">{words.millis(row.get("slowest_ms"))}</td>'
        f'<td class="number">{_work(row)}</td>'
        f'<td class="number">{_deeds(row)}</td>'
        f'<td class="number">{row["view_changes"] or words.NO_VALUE}</td>'
        f"<td>{convicted}</td><td>{verdict}</td></tr>\n"
        f'<tr class="detail" hidden><td colspan="14">{detail_html(row, control)}</td></tr>\n</tbody>'
    )


def _cost(row: Row, control: Row | None) -> str:
    """Seconds of clean throughput, whether that is all, and what honest runs of the same occasion lose."""
    found = cost(row)
    if found is None:
        return words.NO_VALUE
    lasted = "once" if found.is_over else f"in {found.span_s:.1f} s of it"
    honest = (cost if found.is_over else lost)(control) if control is not None and control["occasion"] else None
    beside = f"<small>honest {words.cost(honest.seconds)}</small>" if honest is not None else ""
    return f"{words.cost(found.seconds)}<small>{lasted}</small>{beside}"


def _until(row: Row) -> str:
    """What was kept until an honest primary of another view took over, how long that took, and what was kept then."""
    found = cost(row)
    if found is None or not found.is_over:
        is_kept = row["traitors"] and row["place"] != Place.BACKUP.value
        return '<small class="alone">not replaced</small>' if is_kept else words.NO_VALUE
    then = f"<small>then {words.share(row['ratio_replaced'])}</small>" if row["ratio_replaced"] is not None else ""
    lasted = f"<small>for {words.millis(found.span_s * 1_000)}</small>"
    return f"{words.share(found.kept)}{lasted}{then}"


def _mean(row: Row, control: Row | None) -> str:
    """With the range of several runs, and a bar with the aim and with what honest runs keep."""
    width = min(1.0, row["ratio"] or 0.0)
    spread = control["ratios"] if control is not None else None
    noise = honest = ""
    if spread is not None:
        least, greatest = (min(1.0, spread[name]) for name in ("least", "greatest"))
        noise = f'<u style="left:{least:.1%};width:{max(greatest - least, 0.02):.1%}"></u>'
        honest = f'<small class="wraps">honest <span>{words.spread(spread)}</span></small>'
    several = ""
    if repeats(row) > 1:
        title = f"The least and the most of {repeats(row)} runs; the run with the median is shown"
        several = f'<small title="{title}">{words.spread(row["ratios"])}</small>'
    bar = f'<span class="bar">{noise}<i style="width:{width:.1%}"></i><b style="left:{AIM:.0%}"></b></span>'
    return f"{words.share(row['ratio'])}{bar}{several}{honest}"


def _rates(row: Row) -> str:
    phases = row["phases"]
    return (
        f"{words.rate(phases['attacked'])}<small>of {words.rate(phases['clean'])}</small>"
        f"<small>then {words.rate(phases['after'])}</small>"
    )


def _work(row: Row) -> str:
    """An honest replica's share of a core before and while attacked, the traitor's, and by how much memory grew."""
    honest, liars = effort(row, of_traitors=False), effort(row, of_traitors=True)
    if honest is None:
        return words.NO_VALUE
    lines = [f"of {words.share(honest.cpu_clean)}"]
    lines += [f"traitor {words.share(liars.cpu_attacked)}"] if liars is not None else []
    lines.append(f"{words.megabytes(honest.memory_mb)}")
    return words.share(honest.cpu_attacked) + "".join(f"<small>{line}</small>" for line in lines)


def _deeds(row: Row) -> str:
    if not row["traitors"]:
        return words.NO_VALUE
    per_s = row.get("deviations_per_s")
    return f"{deeds(row):,}" + (f"<small>{per_s:,.1f}/s</small>" if per_s is not None else "")
