"""The figures of one run beside a hostile client: a row of `results`. Moments are seconds from the attack's start."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bftledger.base.ids import ReplicaId
from bftledger.bench.attack_verdict import Verdict
from bftledger.bench.attack_watch import Event
from bftledger.bench.footprint import Memory
from bftledger.bench.hostile_plan import Hostile
from bftledger.bench.hostile_process import Did
from bftledger.bench.measured import Measured, percentile, rounded

PARTS: Final = ("clean", "attacked", "after", "control")
"""Of a run, in their order; between the last two nothing is measured until the pools are as before."""

_FROM: Final = {"clean": "before", "attacked": "clean", "after": "attacked", "control": "drained"}
"""The look that was taken at the beginning of each part; the one at its end has its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the replicas had taken of their host at a moment of the system's monotonic clock: processor time so far."""

    at_s: float
    cpu_s: Mapping[ReplicaId, float]
    memory: Mapping[ReplicaId, Memory]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known about a run that is over. `did`, `burnt`: the hostile client and the control.

    `looks`: by name, "before" when it begins and "drained" before the control, else at the end of the part of that
    name. `drained_s`: so long after the attack the pools held no more than usual, None if that took too long.
    `counters`: of all replicas together, and of the whole run.
    """

    hostile: Hostile
    measured: Measured
    bucket_s: float
    did: Did
    burnt: Did
    looks: Mapping[str, Look]
    drained_s: float | None
    happened: Sequence[Event]
    counters: Mapping[str, int]
    verdict: Verdict

    def since(self, at_s: float) -> float:
        """Seconds from the attack's start to a moment on the system's monotonic clock."""
        return round(at_s - self.did.begun_s, 3)


def row(run: Run) -> dict[str, Any]:
    """The row. `kept`: attacked to clean; `kept_control`: beside the control to clean."""
    measured, hostile, did, burnt = run.measured, run.hostile, run.did, run.burnt
    spans = _spans(run)
    phases = {name: _phase(run, name, *spans[name]) for name in PARTS}
    clean, attacked, control = phases["clean"], phases["attacked"], phases["control"]
    begin, end = (at_s - measured.start_s for at_s in spans["attacked"])
    return {
        "hostile": hostile.name,
        "title": hostile.title,
        "kind": hostile.kind.name,
        "does": hostile.kind.does,
        "hostile_connections": hostile.connections,
        "hostile_rate": hostile.rate,
        "clients": measured.load.clients,
        "rate": measured.load.rate,
        "size": measured.load.size,
        "tx_per_s": attacked["tx_per_s"],
        "p50_ms": attacked["p50_ms"],
        "p99_ms": attacked["p99_ms"],
        "phases": phases,
        "kept": _ratio(attacked, clean, "tx_per_s"),
        "kept_after": _ratio(phases["after"], clean, "tx_per_s"),
        "kept_control": _ratio(control, clean, "tx_per_s"),
        "kept_beyond_control": _ratio(attacked, control, "tx_per_s"),
        **{f"{name}_times": _ratio(attacked, clean, f"{name}_ms") for name in ("p50", "p99")},
        **{f"{name}_times_control": _ratio(control, clean, f"{name}_ms") for name in ("p50", "p99")},
        "sent": _sent(did),
        "control_cpu_share": round(burnt.cpu_share, 3),
        "drained_s": None if run.drained_s is None else round(run.drained_s, 2),
        "longest_gap_ms": round(measured.longest_gap_s(begin, max(end, begin + 1e-3)) * 1_000, 1),
        "lag_ms": round(measured.lag_ms, 3),
        "failed": measured.failed,
        "view_changes": sum(event.kind == "view" for event in run.happened),
        "events": [{"at_s": run.since(event.at_s), "kind": event.kind, "what": event.what} for event in run.happened],
        "timeline": _timeline(run),
        "counters": dict(run.counters),
        "slowest_ms": run.verdict.slowest_ms,
        "bound_ms": run.verdict.bound_ms,
        "acknowledged": run.verdict.acknowledged,
        "verdict": {name: asdict(finding) for name, finding in run.verdict.findings.items()},
        "ok": run.verdict.ok,
    }


def _spans(run: Run) -> dict[str, tuple[float, float]]:
    """From when to when each part lasted, on the system's monotonic clock."""
    did, burnt = run.did, run.burnt
    return {
        "clean": (run.measured.start_s, did.begun_s),
        "attacked": (did.begun_s, did.ended_s),
        "after": (did.ended_s, run.looks["after"].at_s),
        "control": (burnt.begun_s, burnt.ended_s),
    }


def _phase(run: Run, name: str, from_s: float, to_s: float) -> dict[str, Any]:
    """Receipts count when they came; latencies are of those, in an open loop of the transactions that were due."""
    measured = run.measured
    counted = measured.done if measured.load.rate is None else measured.begun
    latencies = sorted(
        (done - begun) * 1_000
        for moment, begun, done in zip(counted, measured.begun, measured.done, strict=True)
        if from_s <= moment < to_s
    )
    first, last = run.looks[_FROM[name]], run.looks[name]
    return {
        "span_s": [run.since(from_s), run.since(to_s)],
        "tx_per_s": round(measured.tx_per_s_between(from_s - measured.start_s, to_s - measured.start_s), 1),
        "p50_ms": rounded(percentile(latencies, 50)),
        "p99_ms": rounded(percentile(latencies, 99)),
        "max_ms": rounded(percentile(latencies, 100)),
        "transactions": len(latencies),
        "replicas_cpu_share": [
            round((last.cpu_s[i] - first.cpu_s[i]) / (last.at_s - first.at_s), 3) if i in last.cpu_s else None
            for i in sorted(first.cpu_s)
        ],
        "rss_mb": [last.memory[i].rss for i in sorted(last.memory)],
        "peak_rss_mb": [last.memory[i].peak_rss for i in sorted(last.memory)],
    }


def _sent(did: Did) -> dict[str, Any]:
    """What the hostile client did and got, by the second."""
    span_s = did.span_s
    return {
        "frames": did.frames,
        "frames_per_s": round(did.frames / span_s, 1),
        "mb_per_s": round(did.size / span_s / 1e6, 3),
        "answers": dict(sorted(did.answers.items())),
        "answers_per_s": round(sum(did.answers.values()) / span_s, 1),
        "answers_mb_per_s": round(did.answers_size / span_s / 1e6, 3),
        "committed_per_s": round(did.committed / span_s, 1),
        "cpu_share": round(did.cpu_share, 3),
    }


def _timeline(run: Run) -> dict[str, Any]:
    buckets = run.measured.timeline(run.bucket_s)
    columns = {name: [bucket[name] for bucket in buckets] for name in ("committed", "p99_ms")}
    return {"bucket_s": run.bucket_s, "from_s": run.since(run.measured.start_s), **columns}


def _ratio(part: Mapping[str, Any], whole: Mapping[str, Any], name: str) -> float | None:
    return round(part[name] / whole[name], 4) if whole[name] and part[name] is not None else None
