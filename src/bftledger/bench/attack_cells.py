"""A row of the page about attacks, and what opens under it, as HTML."""

import html
from typing import Final

from bftledger.bench import attack_words as words
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_shapes import spark
from bftledger.bench.attack_words import Row

AIM: Final = 0.40
"""Under every attack a group keeps so much of its clean throughput."""


def is_slow(row: Row) -> bool:
    """Whether the group keeps less than it should."""
    return row["ratio"] is not None and bool(row["ratio"] < AIM)


def convicts(row: Row) -> list[int]:
    """Those whom evidence convicts."""
    return sorted({one["replica"] for one in row["evidence"]})


def mark(row: Row) -> str:
    """What is to be known about a run that was hardly an attack; empty if it was one."""
    if not row["traitors"]:
        return ""
    return "few occasions" if row.get("few_occasions", False) else "" if row["deviations"] else "no occasion"


_MARKS: Final = {
    "": "",
    "no occasion": "It never deviated: the run shows nothing but noise",
    "few occasions": "It hardly ever deviated: the run shows little but noise",
}


def row_html(row: Row) -> str:
    """A body of the table: the row, and the hidden one with all details."""
    phases = row["phases"]
    classes = " slow" * is_slow(row) + " control" * (not row["traitors"])
    name = html.escape(row["behaviour"])
    marked = mark(row)
    tag = f'<span class="tag idle" title="{_MARKS[marked]}">{marked}</span>' if marked else ""
    convicted = (
        f'<span class="badge guilty">{" ".join(f"replica {i}" for i in convicts(row))}</span>'
        if row["evidence"]
        else '<span class="badge none">no</span>'
    )
    verdict = '<span class="badge good">safe</span>' if row["ok"] else '<span class="badge bad">violated</span>'
    width = min(1.0, row["ratio"] or 0.0)
    return (
        f'<tbody class="attack{classes}" id="{name}">\n<tr class="row">'
        f'<th scope="row" class="name"><button type="button" aria-expanded="false">{name}</button>'
        f'<span class="tag">{html.escape(row["family"])}</span>{tag}'
        f"<p>{html.escape(row['does'])}</p></th>"
        f'<td class="rule"><p>{html.escape(row["stopped_by"])}</p></td>'
        f'<td class="run">{spark(row)}</td>'
        f'<td class="number">{words.rate(phases["clean"])}</td>'
        f'<td class="number">{words.rate(phases["attacked"])}</td>'
        f'<td class="number">{words.rate(phases["after"])}</td>'
        f'<td class="kept">{words.share(row["ratio"])}'
        f'<span class="bar"><i style="width:{width:.1%}"></i><b style="left:{AIM:.0%}"></b></span>{_range(row)}</td>'
        f'<td class="until">{_until(row)}</td>'
        f'<td class="number">{words.millis(row["longest_gap_ms"])}</td>'
        f'<td class="number">{words.millis(row.get("slowest_ms"))}</td>'
        f'<td class="number">{_deeds(row)}</td>'
        f'<td class="number">{row["view_changes"] or words.NO_VALUE}</td>'
        f"<td>{convicted}</td><td>{verdict}</td></tr>\n"
        f'<tr class="detail" hidden><td colspan="14">{_detail(row)}</td></tr>\n</tbody>'
    )


def _detail(row: Row) -> str:
    about = [("does-again", "What it does", row["does"])]
    about += [("rule-again", "Which rule stops it", row["stopped_by"]), ("", "What a group shows", row["shows"])]
    about += [("", "How it got its chance", row["occasion"]), ("", "How fast it was replaced", _replaced(row))]
    said = "".join(f'<p class="{kind}"><b>{head}</b>{html.escape(text)}</p>' for kind, head, text in about if text)
    return (
        f'<div class="panel"><div class="words">{said}</div>'
        f'<div class="chart"><div class="key">{_KEY}</div>{_phases(row)}{_runs(row)}</div>'
        f'<div class="facts">{_happened(row)}{_oracles(row)}{_proof(row)}{_again(row)}</div></div>'
    )


def _range(row: Row) -> str:
    if repeats(row) == 1:
        return ""
    title = f"The least and the most of {repeats(row)} runs; the run with the median is shown"
    return f'<small title="{title}">{words.spread(row["ratios"])}</small>'


def _until(row: Row) -> str:
    """What was kept until an honest primary of another view took over, how long that took, and what was kept then."""
    if row["replaced_s"] is None:
        return words.NO_VALUE
    then = f"<small>then {words.share(row['ratio_replaced'])}</small>" if row["ratio_replaced"] is not None else ""
    lasted = f"<small>for {words.millis(row['replaced_s'] * 1_000)}</small>"
    return f"{words.share(row.get('ratio_until_replaced'))}{lasted}{then}"


def _deeds(row: Row) -> str:
    if not row["traitors"]:
        return words.NO_VALUE
    per_s = row.get("deviations_per_s")
    return f"{deeds(row):,}" + (f"<small>{per_s:,.1f}/s</small>" if per_s is not None else "")


def deeds(row: Row) -> int:
    """How often the traitors deviated."""
    return sum(row["deviations"].values())


def _replaced(row: Row) -> str:
    if row["replaced_s"] is None:
        return ""
    when = f"{row['replaced_s']:.2f} s after it began to lie an honest primary of another view took over"
    if row["detected_s"] is not None and row["detected_s"] <= row["replaced_s"]:
        when = f"Suspected after {row['detected_s']:.2f} s; {when}"
    until = row.get("ratio_until_replaced")
    kept = f" Until then the group keeps {words.share(until)}." if until is not None else ""
    then = row["ratio_replaced"]
    return f"{when}.{kept}" + (f" From then on it keeps {words.share(then)}." if then is not None else "")


_KEY: Final = "".join(
    f'<span><i class="{kind}" style="--c:var(--{colour})"></i>{text}</span>'
    for kind, colour, text in (
        ("", "rate", "receipts per second"),
        ("dashed", "rate", "mean of the part"),
        ("", "p50", "latency, median"),
        ("", "p99", "latency, 99th percentile"),
        ("block", "attack-tint", "it lies"),
        ("dashed", "view", "another primary"),
    )
)


_PARTS: Final = {
    "clean": "clean",
    "attacked": "attacked",
    "until_replaced": "until replaced",
    "replaced": "under another primary",
    "after": "after",
}


def _phases(row: Row) -> str:
    clean = row["phases"]["clean"]["tx_per_s"]
    lines = []
    for name, shown in _PARTS.items():
        if name not in row["phases"]:
            continue
        part = row["phases"][name]
        cells = [words.rate(part), words.share(part["tx_per_s"] / clean if clean else None)]
        cells += [words.millis(part[key]) for key in ("p50_ms", "p99_ms", "max_ms")]
        cells.append(f"{part['transactions']:,}")
        lines.append(f'<tr><th scope="row">{shown}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    heads = "".join(f"<th>{head}</th>" for head in ("", "tx/s", "kept", "p50", "p99", "longest", "receipts"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _runs(row: Row) -> str:
    """All runs of a row of several."""
    if repeats(row) == 1:
        return ""
    lines = []
    for number, run in enumerate(row["runs"]):
        cells = [words.rate(run["phases"][name]) for name in ("clean", "attacked")]
        cells += [words.share(run["ratio"]), words.share(run["ratio_until_replaced"])]
        cells += [words.millis(run["longest_gap_ms"]), words.millis(run["slowest_ms"])]
        cells += [f"{deeds(run):,}", "safe" if run["ok"] else "violated"]
        head = f"{number + 1}{', shown' * (number == row['shown'])}"
        lines.append(f'<th scope="row">{head}</th>' + "".join(f"<td>{cell}</td>" for cell in cells))
    names = ("run", "clean", "attacked", "kept", "until replaced", "gap", "longest wait", "deviations", "verdict")
    heads = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="runs"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _happened(row: Row) -> str:
    lines = "".join(
        f'<li class="{event["kind"]}"><time>{words.signed(event["at_s"])}</time>'
        f"<span>{html.escape(event['what'])}</span></li>"
        for event in row["events"]
    )
    return f"<section><h3>What happened</h3><ol>{lines}</ol></section>"


def _oracles(row: Row) -> str:
    lines = "".join(
        f'<li class="{"" if found["ok"] else "bad"}">'
        f"<span><b>{html.escape(name)}</b>: {html.escape(found['text'])}</span></li>"
        for name, found in row["verdict"].items()
    )
    return f'<section class="oracles"><h3>Verdict</h3><ul>{lines}</ul></section>'


def _proof(row: Row) -> str:
    if not row["traitors"]:
        return ""
    if not row["evidence"]:
        return "<section><h3>Evidence</h3><p>None: it signed nothing that no correct replica signs.</p></section>"
    lines = "".join(
        f"<li><span><b>{html.escape(one['what'])}</b>; kept by replica{'s' * (len(one['kept_by']) > 1)} "
        f"{', '.join(map(str, one['kept_by']))}</span></li>"
        for one in row["evidence"]
    )
    return f"<section><h3>Evidence</h3><ul>{lines}</ul></section>"


def _again(row: Row) -> str:
    if not row["traitors"]:
        return ""
    done = ", ".join(f"{name} {count:,}" for name, count in row["deviations"].items()) or "never"
    liars = f"{'Replica' if len(row['traitors']) == 1 else 'Replicas'} {', '.join(map(str, row['traitors']))}"
    return (
        f"<section><h3>Deeds</h3><p>{liars} deviated so often: {html.escape(done)}.</p></section>"
        f'<section><h3>Again</h3><div class="command"><code>{html.escape(row["command"])}</code>'
        '<button type="button">copy</button></div></section>'
    )
