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
from statistics import median
from string import Template
from typing import Any

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cells import AIM, convicts, deeds, is_slow, mark, row_html
from bftledger.bench.attack_foot import method, setting
from bftledger.bench.attack_repeats import repeats
from bftledger.bench.attack_shapes import strip
from bftledger.bench.attack_words import Row


def page(document: Mapping[str, Any]) -> str:
    """The file. `document`: what `bench/adversary.py --json` writes."""
    rows: Sequence[Row] = document["results"]
    controls = _controls(document)
    script = "".join(["(() => {\n'use strict';\n", _part("attacks.js"), "})();\n"])
    is_safe = all(row["ok"] for row in [*controls, *rows])
    title = f"{len(rows)} ways to attack a ledger" if len(rows) > 1 else f"{rows[0]['behaviour']}: the attack, measured"
    return Template(_part("attacks.html")).substitute(
        title=html.escape(title),
        body="alone" if len(rows) == 1 else "several",
        verdict="safe" if is_safe else "violated",
        verdict_text="No violation" if is_safe else "Violation",
        story=html.escape(story(document)),
        failed=_failed(document["not_measured"]),
        figures=_figures(rows, controls),
        aim=f"{AIM:.0%}",
        noise_hint=" The grey band is what honest runs keep: the noise." * bool(controls),
        strip=strip(rows, AIM, controls[0]["ratios"] if controls else None),
        families="".join(f"<option>{html.escape(name)}</option>" for name in dict.fromkeys(r["family"] for r in rows)),
        count=len(rows),
        count_slow=sum(is_slow(row) for row in rows),
        count_few=sum(bool(mark(row)) for row in rows),
        count_views=sum(row["view_changes"] > 0 for row in rows),
        count_convicted=sum(bool(row["evidence"]) for row in rows),
        count_violated=sum(not row["ok"] for row in rows),
        rows="\n".join(row_html(row) for row in [*controls, *rows]),
        method=method(document),
        setting=setting(document),
        style=_part("attacks.css"),
        script=script,
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_json({"rows": [_drawn(order, row) for order, row in enumerate([*controls, *rows])]}),
    )


def story(document: Mapping[str, Any]) -> str:
    """What came of it, in two sentences."""
    rows: Sequence[Row] = document["results"]
    config = document["config"]
    controls = _controls(document)
    worst = min(rows, key=lambda row: row["ratio"] or 0.0)
    broken = sum(not row["ok"] for row in rows)
    group = (
        f"A group of {config['replicas']} real processes serves {config['clients']} clients while "
        f"{words.counted(len(rows[0]['traitors']), 'replica lies', 'replicas lie')}"
    )
    safety = (
        "every acknowledged transaction is in one ledger"
        if not broken
        else f"{words.counted(broken, 'run')} broke a promise"
    )
    kept = f"{words.share(worst['ratio'])} of its throughput"
    if len(rows) == 1:
        return f"{group}, and {safety}. It keeps {kept} under the attack.{_noise(controls)}"
    middle = words.share(median(row["ratio"] or 0.0 for row in rows))
    return (
        f"{group} in one way after the other, and {safety}. It keeps {middle} of its throughput in the median, and "
        f"{words.share(worst['ratio'])} under the worst attack, {worst['behaviour']}.{_noise(controls)}"
    )


def _controls(document: Mapping[str, Any]) -> Sequence[Row]:
    """The row of the honest runs, if there were any."""
    found: Sequence[Row] = document.get("controls", [])
    return found


def _noise(controls: Sequence[Row]) -> str:
    if not controls:
        return ""
    return f" Honest runs keep {words.spread(controls[0]['ratios'])}: that is the noise."


# ── the head ──


def _failed(runs: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f'<p class="notice">{html.escape(run["behaviour"])} could not be measured'
        f"{' (misplaced)' * run.get('misplaced', False)}: {html.escape(run['error'])}</p>"
        for run in runs
    )


def _figures(rows: Sequence[Row], controls: Sequence[Row]) -> str:
    known = [row["ratio"] for row in rows if row["ratio"] is not None]
    gap = max(rows, key=lambda row: float(row["longest_gap_ms"]))
    broken = sum(not row["ok"] for row in rows)
    changed = sum(row["view_changes"] > 0 for row in rows)
    figures = [
        ("Runs", str(sum(map(repeats, rows))), words.counted(broken, "violation")),
        (
            "Acknowledged",
            f"{sum(row['acknowledged'] for row in rows):,}",
            "transactions" + ", none lost" * (not broken),
        ),
        ("Kept, median", words.share(median(known) if known else None), "of clean tx/s"),
        ("Kept, worst", words.share(min(known, default=None)), f"{sum(map(is_slow, rows))} below {AIM:.0%}"),
        (
            "Longest gap",
            words.millis(gap["longest_gap_ms"]),
            gap["behaviour"] if len(rows) > 1 else "without a receipt",
        ),
        *_slowest(rows),
        ("View changes", str(sum(row["view_changes"] for row in rows)), f"in {words.counted(changed, 'run')}"),
        ("Convicted", str(sum(bool(row["evidence"]) for row in rows)), "traitors, by proof"),
    ]
    if len(rows) == 1:
        del figures[2]
    if controls:
        honest = words.counted(repeats(controls[0]), "honest run")
        figures.insert(1, ("Noise", words.spread(controls[0]["ratios"]), f"kept by {honest}"))
    return "\n".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)} <small>{html.escape(more)}</small></dd></div>"
        for name, value, more in figures
    )


def _slowest(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    known = [row for row in rows if row.get("slowest_ms") is not None]
    if not known:
        return []
    slowest = max(known, key=lambda row: float(row["slowest_ms"]))
    return [("Longest wait", words.millis(slowest["slowest_ms"]), slowest["behaviour"] if len(rows) > 1 else "")]


# ── what the script reads ──


def _drawn(order: int, row: Row) -> dict[str, Any]:
    phases = row["phases"]
    line = row["timeline"]
    return {
        "id": row["behaviour"],
        "order": order,
        "family": row["family"],
        "words": " ".join((row["behaviour"], row["family"], row["does"], row["stopped_by"], row["shows"])).lower(),
        "clean": phases["clean"]["tx_per_s"],
        "attacked": phases["attacked"]["tx_per_s"],
        "after": phases["after"]["tx_per_s"],
        "ratio": row["ratio"],
        "until": row.get("ratio_until_replaced"),
        "gap": row["longest_gap_ms"],
        "slowest": row.get("slowest_ms"),
        "deeds": deeds(row),
        "few": bool(mark(row)),
        "control": not row["traitors"],
        "views": row["view_changes"],
        "convicted": len(convicts(row)),
        "ok": row["ok"],
        "slow": is_slow(row),
        "shown": {
            "ratio": words.share(row["ratio"]),
            "clean": words.rate(phases["clean"]),
            "attacked": words.rate(phases["attacked"]),
        },
        "attack": row["attack_s"],
        "timeline": {
            "bin": line["bucket_s"],
            "from": line["from_s"],
            "tx": line["committed"],
            "p50": line["p50_ms"],
            "p99": line["p99_ms"],
        },
        "parts": _parts(row),
        "events": [{"t": e["at_s"], "kind": e["kind"], "flag": e["flag"]} for e in row["events"] if e["flag"]],
        "alt": _alt(row),
    }


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
