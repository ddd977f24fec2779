"""The figures of one run under attack: a row of `results`. Its moments are seconds from the attack's beginning."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bftledger.base.group import Group
from bftledger.base.ids import ReplicaId
from bftledger.bench.attack_plan import Attack
from bftledger.bench.attack_verdict import Verdict
from bftledger.bench.attack_watch import Event
from bftledger.bench.measured import Measured, percentile, rounded

_ENOUGH: Final = 0.1
"""What is left of an attack after a view change is a part of its own if it is no less than this share of it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known about a run that is over. `begun_s`, `ended_s`: of the attack, on the clock of `happened`."""

    attack: Attack
    traitors: Sequence[ReplicaId]
    setup_s: tuple[float, float, float]
    bucket_s: float
    measured: Measured
    happened: Sequence[Event]
    begun_s: float
    ended_s: float
    verdict: Verdict
    deviations: Mapping[str, int]
    group: Group

    def since(self, at_s: float) -> float:
        """Seconds from the attack's beginning to a moment on the system's monotonic clock."""
        return round(at_s - self.begun_s, 3)


def row(run: Run) -> dict[str, Any]:
    """The row. `ratio`: attacked to clean; `ratio_replaced`: from the first honest primary of another view on, and
    `ratio_until_replaced`: up to then."""
    measured, attack = run.measured, run.attack
    phases = _phases(run)
    clean, attacked = phases["clean"], phases["attacked"]
    described = attack.described
    changes = [event for event in run.happened if event.kind == "view" and event.at_s >= run.begun_s]
    suspected = [event for event in run.happened if event.kind == "suspected" and event.at_s >= run.begun_s]
    begin, end = run.begun_s - measured.start_s, measured.load.seconds
    deviations = sum(run.deviations.values())
    return {
        "behaviour": attack.name,
        "family": attack.family,
        "does": " ".join(entry.does for entry in described) or "Nobody lies. What changes nevertheless is noise.",
        "stopped_by": " ".join(entry.stopped_by for entry in described),
        "shows": " ".join(entry.shows for entry in described),
        "place": attack.place.value,
        "occasion": attack.occasion.value,
        "traitors": list(run.traitors),
        "clients": measured.load.clients,
        "size": measured.load.size,
        "tx_per_s": attacked["tx_per_s"],
        "p50_ms": attacked["p50_ms"],
        "p99_ms": attacked["p99_ms"],
        "phases": phases,
        "ratio": _ratio(attacked, clean),
        "ratio_after": _ratio(phases["after"], clean),
        "ratio_until_replaced": _ratio(phases["until_replaced"], clean) if "until_replaced" in phases else None,
        "ratio_replaced": _ratio(phases["replaced"], clean) if "replaced" in phases else None,
        "detected_s": run.since(suspected[0].at_s) if suspected else None,
        "replaced_s": phases["until_replaced"]["span_s"][1] if "until_replaced" in phases else None,
        "longest_gap_ms": round(measured.longest_gap_s(begin, end) * 1_000, 1),
        "slowest_ms": run.verdict.slowest_ms,
        "bound_ms": run.verdict.bound_ms,
        "view_changes": len(changes),
        "failed": measured.failed,
        "attack_s": [0.0, run.since(run.ended_s)],
        "events": [
            {"at_s": run.since(event.at_s), "kind": event.kind, "flag": event.flag, "what": event.what}
            for event in run.happened
        ],
        "timeline": _timeline(run),
        "acknowledged": run.verdict.acknowledged,
        "verdict": {name: asdict(finding) for name, finding in run.verdict.findings.items()},
        "ok": run.verdict.ok,
        "evidence": run.verdict.evidence,
        "deviations": dict(run.deviations),
        "deviations_per_s": round(deviations / (run.ended_s - run.begun_s), 2),
        "few_occasions": attack.is_few(deviations),
    }


def _phases(run: Run) -> dict[str, dict[str, Any]]:
    measured = run.measured
    end = measured.load.seconds
    begun, ended = run.begun_s - measured.start_s, run.ended_s - measured.start_s
    parts = {"clean": (0.0, begun), "attacked": (begun, ended), "after": (ended, end)}
    replaced_s = next((event.at_s for event in run.happened if _replaces(event, run)), None)
    if replaced_s is not None:
        at = replaced_s - measured.start_s
        parts["until_replaced"] = (begun, at)
        if ended - at >= _ENOUGH * (ended - begun):
            parts["replaced"] = (at, ended)
    return {name: _phase(run, *span) for name, span in parts.items()}


def _replaces(event: Event, run: Run) -> bool:
    """Whether an honest primary of another view takes over, while the attack lasts."""
    honest = event.view is not None and run.group.primary(event.view) not in run.traitors
    return honest and run.begun_s < event.at_s < run.ended_s


def _phase(run: Run, from_s: float, to_s: float) -> dict[str, Any]:
    latencies = run.measured.latencies_ms_between(from_s, to_s)
    start_s = run.measured.start_s
    return {
        "span_s": [run.since(start_s + from_s), run.since(start_s + to_s)],
        "tx_per_s": round(run.measured.tx_per_s_between(from_s, to_s), 1),
        "p50_ms": rounded(percentile(latencies, 50)),
        "p99_ms": rounded(percentile(latencies, 99)),
        "max_ms": rounded(percentile(latencies, 100)),
        "transactions": len(latencies),
    }


def _timeline(run: Run) -> dict[str, Any]:
    buckets = run.measured.timeline(run.bucket_s)
    columns = {name: [bucket[name] for bucket in buckets] for name in ("committed", "p50_ms", "p99_ms", "failed")}
    return {"bucket_s": run.bucket_s, "from_s": run.since(run.measured.start_s), **columns}


def _ratio(part: Mapping[str, Any], clean: Mapping[str, Any]) -> float | None:
    return round(part["tx_per_s"] / clean["tx_per_s"], 4) if clean["tx_per_s"] else None
