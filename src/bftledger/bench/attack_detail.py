"""What opens under a row of the page about attacks: the words, the timeline, the figures and the verdict, as HTML."""

import html
from collections.abc import Sequence
from typing import Final

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cost import cost, lost, until
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_words import Row
from bftledger.bench.attack_work import PARTS


def deeds(row: Row) -> int:
    """How often the traitors deviated."""
    return sum(row["deviations"].values())


def detail_html(row: Row, control: Row | None = None) -> str:
    """The panel. `control`: the honest runs of the same occasion."""
    about = [("does-again", "What it does", row["does"])]
    about += [("rule-again", "Which rule stops it", row["stopped_by"]), ("", "What a group shows", row["shows"])]
    about += [("", "How it got its chance", row["occasion"]), ("", "How fast it was replaced", _replaced(row))]
    about += [("", "What it cost", _costs(row, control))]
    said = "".join(f'<p class="{kind}"><b>{head}</b>{html.escape(text)}</p>' for kind, head, text in about if text)
    return (
        f'<div class="panel"><div class="words">{said}</div>'
        f'<div class="chart"><div class="key">{_key(row)}</div>{_phases(row)}{_runs(row)}{_work(row)}</div>'
        f'<div class="facts">{_happened(row)}{_oracles(row)}{_proof(row)}{_again(row)}</div></div>'
    )


def _replaced(row: Row) -> str:
    if row["replaced_s"] is None:
        return ""
    when = f"{row['replaced_s']:.2f} s after it began to lie an honest primary of another view took over"
    if not row["traitors"]:
        when = f"After {row['replaced_s']:.2f} s another primary took over"
    if row["detected_s"] is not None and row["detected_s"] <= row["replaced_s"]:
        when = f"Suspected after {row['detected_s']:.2f} s; {when[0].lower()}{when[1:]}"
    found = cost(row)
    kept = f" Until then the group keeps {words.share(found.kept)}." if found is not None else ""
    then = row["ratio_replaced"]
    return f"{when}.{kept}" + (f" From then on it keeps {words.share(then)}." if then is not None else "")


def _count(transactions: float) -> str:
    """Below zero there were more than before."""
    return f"{transactions:,.0f} transactions".replace("-", "−")


def _costs(row: Row, control: Row | None) -> str:
    """In seconds and in transactions, until it was replaced and in all; and what honest runs keep."""
    once, whole = cost(row), lost(row)
    if once is None or whole is None:
        return ""
    said = ""
    if once.is_over:
        said = f"{words.cost(once.seconds)} of clean throughput until then, {_count(once.transactions)}; "
    said += (
        f"{words.cost(whole.seconds)} in the whole attack, {_count(whole.transactions)}: "
        f"{words.share(row['ratio'])} kept in the mean of {whole.span_s:.1f} s."
    )
    if control is not None:
        honest = " with the same occasion" if control["occasion"] else ""
        said += f" Where nobody lies{honest} it is {words.spread(control['ratios'])}."
    return said


_KEY: Final = (
    ("", "rate", "receipts per second"),
    ("dashed", "rate", "mean of the part"),
    ("", "p50", "latency, median"),
    ("", "p99", "latency, 99th percentile"),
    ("nothing", "soft", "no receipt"),
    ("block", "attack-tint", "it lies"),
    ("dashed", "view", "another primary"),
)


def _key(row: Row) -> str:
    found = "".join(
        f'<span><i class="{kind}" style="--c:var(--{colour})"></i>{text}</span>' for kind, colour, text in _KEY
    )
    if row.get("rate") is None:
        return f"{found}<span>latencies stand where the receipt came</span>"
    return f"{found}<span>latencies stand where the transaction was due, {row['rate']:g} each second</span>"


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
        part = until(row["phases"]) if name == "until_replaced" else row["phases"].get(name)
        if part is None:
            continue
        cells = [words.rate(part), words.share(part["tx_per_s"] / clean if clean else None)]
        cells += [words.millis(part.get(key)) for key in ("p50_ms", "p99_ms", "max_ms")]
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
        cells += [words.cost(run.get("cost_s")), words.share(run["ratio_until_replaced"]), words.share(run["ratio"])]
        cells += [words.millis(run["longest_gap_ms"]), words.millis(run["slowest_ms"])]
        cells += [f"{deeds(run):,}", "safe" if run["ok"] else "violated"]
        head = f"{number + 1}{', shown' * (number == row['shown'])}"
        lines.append(f'<th scope="row">{head}</th>' + "".join(f"<td>{cell}</td>" for cell in cells))
    names = (
        "run",
        "clean",
        "attacked",
        "cost",
        "until replaced",
        "mean",
        "gap",
        "longest wait",
        "deviations",
        "verdict",
    )
    heads = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="runs"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _work(row: Row) -> str:
    """What each replica used: of a core and of memory and disk, before the attack, in it and after it."""
    if not row.get("work"):
        return ""
    lines = []
    for one in row["work"]:
        cells = [words.share(one[part]["cpu_share"]) for part in PARTS]
        cells += ["–" if (us := one[part]["cpu_us_per_tx"]) is None else f"{us:,.0f}" for part in PARTS[:2]]
        cells += [_edges(one["memory_mb"]), _edges(one["disk_mb"])]
        head = f"replica {one['replica']}{', traitor' * one['is_traitor']}"
        lines.append(f'<tr><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    names = (
        *("", "core: clean", "attacked", "after", "µs/tx: clean", "attacked"),
        *("memory, MB: attack begins → ends", "store, MB"),
    )
    heads = "".join(f"<th>{name}</th>" for name in names)
    return f'<table class="work"><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _edges(held: Sequence[float | None]) -> str:
    """When the attack began and when it ended."""
    return " → ".join("–" if value is None else f"{value:.1f}" for value in held[1:3])


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
    keys = ", which hold one another's keys," * row.get("colluding", False)
    sent = ""
    lies_per_s, per_s = row.get("deviations_per_s"), row.get("protocol_messages_per_s")
    if lies_per_s is not None and per_s is not None:
        sent = (
            f" That is {lies_per_s:,.0f} a second; the protocol needs {per_s:,.0f} messages a second of "
            "all replicas for the blocks of this run."
        )
    liars = f"{'Replica' if len(row['traitors']) == 1 else 'Replicas'} {', '.join(map(str, row['traitors']))}"
    return (
        f"<section><h3>Deeds</h3><p>{liars}{keys} deviated so often: {html.escape(done)}.{sent}</p></section>"
        f'<section><h3>Again</h3><div class="command"><code>{html.escape(row["command"])}</code>'
        '<button type="button">copy</button></div></section>'
    )
