"""The page about attacks: one HTML file, complete in itself, with a row for each behaviour and the timeline behind it.

It is made of what the JSON file holds and nothing else, so a page can be made again from an old result. What comes from
a run is escaped or lies in a block of JSON that no browser executes; the one script is named by its hash, and the page
may load nothing from anywhere.
"""

import hashlib
import html
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any, Final

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cells import convicts, mark, row_html
from bftledger.bench.attack_cost import AIM, cost, dearest_first, gaps, is_down, is_noise, is_slow
from bftledger.bench.attack_curves import sweeps_html
from bftledger.bench.attack_detail import deeds
from bftledger.bench.attack_dots import outages, strip
from bftledger.bench.attack_foot import method, setting
from bftledger.bench.attack_shapes import TOP
from bftledger.bench.attack_story import figures, story, title
from bftledger.bench.attack_sweep import points
from bftledger.bench.attack_words import Row
from bftledger.bench.attack_work import effort
from bftledger.bench.quiet import warning


def page(document: Mapping[str, Any]) -> str:
    """The file. `document`: what `bench/adversary.py --json` writes."""
    controls: Sequence[Row] = document.get("controls", [])
    results: Sequence[Row] = document["results"]
    rows = [*results, *points(document)]
    script = "".join(["(() => {\n'use strict';\n", _part("attacks.js"), "})();\n"])
    is_safe = all(row["ok"] for row in [*controls, *rows])
    noise = next((control["ratios"] for control in controls if not control["occasion"]), None)
    drawn = [_drawn(order, row, controls) for order, row in enumerate([*controls, *rows])]
    return Template(_part("attacks.html")).substitute(
        title=html.escape(title(document)),
        body="alone" if len(rows) == 1 else "several",
        verdict="safe" if is_safe else "violated",
        verdict_text="No violation" if is_safe else "Violation",
        story=html.escape(story(document)),
        failed=_busy(document["machine"]) + _failed(document["not_measured"]),
        figures=figures(document),
        aim=f"{AIM:.0%}",
        spark_top=f"{TOP:.0%}",
        strips=_strips(results, noise),
        sweeps=sweeps_html(document),
        families="".join(f"<option>{html.escape(name)}</option>" for name in dict.fromkeys(r["family"] for r in rows)),
        count=len(rows),
        count_down=sum(is_down(row) and row["replaced_s"] is not None for row in rows),
        count_slow=sum(is_slow(row) for row in rows),
        loud=f'<button type="button" data-only="loud" aria-pressed="false">beyond the noise <span>{_loud(drawn)}</span>'
        "</button>"
        if controls
        else "",
        count_few=sum(bool(mark(row)) for row in rows),
        count_views=sum(row["view_changes"] > 0 for row in rows),
        count_convicted=sum(bool(row["evidence"]) for row in rows),
        count_violated=sum(not row["ok"] for row in rows),
        rows="\n".join(row_html(row, controls) for row in [*controls, *dearest_first(rows)]),
        method=method(document),
        setting=setting(document),
        style=_part("attacks.css"),
        script=script,
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_json({"rows": drawn}),
    )


# ── the head ──


def _busy(machine: Mapping[str, Any]) -> str:
    said = warning(machine.get("busy_before"))
    return "" if said is None else f'<p class="notice">Right before, {html.escape(said)}.</p>'


def _failed(runs: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f'<p class="notice">{html.escape(run["behaviour"])} could not be measured'
        f"{' (misplaced)' * run.get('misplaced', False)}: {html.escape(run['error'])}</p>"
        for run in runs
    )


_UNTIL: Final = (
    "How much of its clean throughput the group kept until an honest primary of another view took over, and how long "
    f"that took. The shaded part is below the aim of {AIM:.0%}; lines join what costs the same, in seconds of clean "
    "throughput. Rings: a replica was stopped to give it an occasion, which costs by itself."
)


def _strips(rows: Sequence[Row], noise: Mapping[str, float] | None) -> str:
    """The two pictures with a dot for each behaviour, or those of them that have one."""
    band = " The grey band is what honest runs keep: the noise." if noise is not None else ""
    shown = [
        (outages(rows), "Until the liar was replaced", _UNTIL),
        (strip(rows, noise), "Those whom nobody replaced", f"What was kept in the mean of the whole attack.{band}"),
    ]
    return "".join(
        f'<figure><figcaption><h2>{head}</h2><p class="hint">{hint}</p></figcaption>{svg}</figure>'
        for svg, head, hint in shown
        if svg
    )


def _loud(drawn: Sequence[Mapping[str, Any]]) -> int:
    return sum(row["loud"] for row in drawn)


# ── what the script reads ──


def _drawn(order: int, row: Row, controls: Sequence[Row]) -> dict[str, Any]:
    phases = row["phases"]
    line = row["timeline"]
    lost, honest = cost(row), effort(row, of_traitors=False)
    return {
        "id": row["behaviour"],
        "order": order,
        "family": row["family"],
        "words": " ".join((row["behaviour"], row["family"], row["does"], row["stopped_by"], row["shows"])).lower(),
        "attacked": phases["attacked"]["tx_per_s"],
        "ratio": row["ratio"],
        "cost": None if lost is None else lost.seconds,
        "until": lost.kept if lost is not None and lost.is_over else None,
        "cpu": None if honest is None else honest.cpu_attacked,
        "gap": row["longest_gap_ms"],
        "slowest": row.get("slowest_ms"),
        "deeds": deeds(row),
        "few": bool(mark(row)),
        "control": not row["traitors"],
        "views": row["view_changes"],
        "convicted": len(convicts(row)),
        "ok": row["ok"],
        "down": is_down(row) and row["replaced_s"] is not None,
        "slow": is_slow(row),
        "loud": bool(row["traitors"]) and not is_noise(row, controls),
        "shown": _said(row),
        "attack": row["attack_s"],
        "timeline": {
            "bin": line["bucket_s"],
            "from": line["from_s"],
            "tx": line["committed"],
            "p50": line["p50_ms"],
            "p99": line["p99_ms"],
        },
        "gaps": gaps(row),
        "parts": _parts(row),
        "events": [{"t": e["at_s"], "kind": e["kind"], "flag": e["flag"]} for e in row["events"] if e["flag"]],
        "alt": _alt(row),
    }


def _said(row: Row) -> str:
    """Of its dot."""
    lost = cost(row)
    said = [row["behaviour"]]
    if lost is not None and lost.is_over:
        said.append(f"kept {words.share(lost.kept)} for {lost.span_s:.2f} s")
        if row["ratio_replaced"] is not None:
            said.append(f"then {words.share(row['ratio_replaced'])}")
        said.append(f"cost {words.cost(lost.seconds)} of clean throughput")
    phases = row["phases"]
    rates = f"{words.rate(phases['clean'])} → {words.rate(phases['attacked'])} tx/s"
    return "\n".join([*said, f"mean {words.share(row['ratio'])}: {rates}"])


def _parts(row: Row) -> list[list[Any]]:
    """From when to when, at which mean rate, and in which words."""
    clean = row["phases"]["clean"]["tx_per_s"]
    found = []
    for name in ("clean", "attacked", "after"):
        part = row["phases"][name]
        said = name if name == "clean" or not clean else f"{name} {words.share(part['tx_per_s'] / clean)}"
        found.append([*part["span_s"], part["tx_per_s"], said])
    return found


def _alt(row: Row) -> str:
    phases = row["phases"]
    return (
        f"Throughput and latency over time: {words.rate(phases['clean'])} transactions per second before the attack, "
        f"{words.rate(phases['attacked'])} during it, {words.rate(phases['after'])} after it."
    )


def _part(name: str) -> str:
    return (files("bftledger.bench") / "web" / name).read_text(encoding="utf-8")


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the element around it, nor begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
