"""The figures of one run under attack: a row of `results`. Its moments are seconds from the attack's beginning."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from bftledger.base.group import Group
from bftledger.base.ids import ReplicaId, View
from bftledger.bench import attack_cost
from bftledger.bench.attack_cost import Cost
from bftledger.bench.attack_plan import Attack, Occasion
from bftledger.bench.attack_verdict import Verdict
from bftledger.bench.attack_watch import Event
from bftledger.bench.attack_work import PARTS, Usage, protocol_messages_per_s, work
from bftledger.bench.measured import Measured, percentile, rounded

_ENOUGH: Final = 0.1
"""What is left of an attack after a view change is a part of its own if it is no less than this share of it."""

_LEAST: Final = 0.9
"""A group that does less than this share of what is due does not keep up with it."""


_CONTROL: Final = {
    Occasion.NONE: "Nobody lies. What changes nevertheless is noise.",
    Occasion.VIEW_CHANGE: "Nobody lies. The primary is stopped until the others have left its view.",
    Occasion.LAG: "Nobody lies. A backup is stopped until it has to fetch blocks to catch up.",
}
"""What happens in runs without traitors."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is known about a run that is over. `begun_s`, `ended_s`: of the attack, on the clock of `happened`.

    `usages`: what replicas had used when its three parts began, and when the last one ended.
    """

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
    usages: Sequence[Usage]
    group: Group

    def since(self, at_s: float) -> float:
        """Seconds from the attack's beginning to a moment on the system's monotonic clock."""
        return round(at_s - self.begun_s, 3)


def row(run: Run) -> dict[str, Any]:
    """The row.

    `ratio`: attacked to clean; `ratio_replaced`: from when an honest primary took over from a traitor, or from one that
    was stopped; `ratio_until_replaced`: up to then. `cost_s`, `cost_tx`: what was lost until then (`attack_cost.Cost`),
    or where nobody took over, in the whole attack, as `lost_s` and `lost_tx` are in any case.
    """
    measured, attack = run.measured, run.attack
    phases = _phases(run)
    clean, attacked = phases["clean"], phases["attacked"]
    described = attack.described
    changes = [event for event in run.happened if event.kind == "view" and event.at_s >= run.begun_s]
    suspected = [event for event in run.happened if event.kind == "suspected" and event.at_s >= run.begun_s]
    begin, end = run.begun_s - measured.start_s, measured.load.seconds
    deviations = sum(run.deviations.values())
    figures = {"phases": phases}
    done = {name: phases[name]["transactions"] for name in PARTS}
    return {
        "behaviour": attack.name,
        "family": attack.family,
        "does": " ".join(entry.does for entry in described) or _CONTROL[attack.occasion],
        "stopped_by": " ".join(entry.stopped_by for entry in described),
        "shows": " ".join(entry.shows for entry in described),
        "place": attack.place.value,
        "occasion": attack.occasion.value,
        "traitors": list(run.traitors),
        "colluding": attack.colludes,
        "clients": measured.load.clients,
        "rate": measured.load.rate,
        "size": measured.load.size,
        "tx_per_s": attacked["tx_per_s"],
        "p50_ms": attacked["p50_ms"],
        "p99_ms": attacked["p99_ms"],
        "phases": phases,
        **_lost("cost", attack_cost.cost(figures)),
        **_lost("lost", attack_cost.lost(figures)),
        "ratio": _ratio(attacked, clean),
        "ratio_after": _ratio(phases["after"], clean),
        "ratio_until_replaced": _ratio(phases["until_replaced"], clean) if "until_replaced" in phases else None,
        "ratio_replaced": _ratio(phases["replaced"], clean) if "replaced" in phases else None,
        "detected_s": run.since(suspected[0].at_s) if suspected else None,
        "replaced_s": phases["until_replaced"]["span_s"][1] if "until_replaced" in phases else None,
        "longest_gap_ms": round(measured.longest_gap_s(begin, end) * 1_000, 1),
        "gaps": _gaps(run),
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
        "protocol_messages_per_s": protocol_messages_per_s(measured.blocks, measured.load.seconds, run.group.n),
        "kept_up": _kept_up(clean, measured.load.rate),
        "work": work(run.usages, run.group.replicas, run.traitors, done),
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
    """Whether an honest primary takes over while the attack lasts, and a traitor, or one that was stopped, was primary.

    Where a traitor makes the others leave honest primaries, nobody is replaced.
    """
    if event.view is None or not run.begun_s < event.at_s < run.ended_s:
        return False
    before = max([seen.view for seen in run.happened if seen.view is not None and seen.at_s <= run.begun_s], default=0)
    left = {run.group.primary(View(view)) for view in range(before, event.view)}
    is_left = run.attack.occasion is Occasion.VIEW_CHANGE or not left.isdisjoint(run.traitors)
    return is_left and run.group.primary(event.view) not in run.traitors


def _phase(run: Run, from_s: float, to_s: float) -> dict[str, Any]:
    """Of a part: its rate by the moments of the receipts, and its latencies (`_latencies_ms`)."""
    latencies = _latencies_ms(run.measured, from_s, to_s)
    rate, start_s = run.measured.tx_per_s_between(from_s, to_s), run.measured.start_s
    return {
        "span_s": [run.since(start_s + from_s), run.since(start_s + to_s)],
        "tx_per_s": round(rate, 1),
        "p50_ms": rounded(percentile(latencies, 50)),
        "p99_ms": rounded(percentile(latencies, 99)),
        "max_ms": rounded(percentile(latencies, 100)),
        "transactions": round(rate * (to_s - from_s)),
    }


def _latencies_ms(measured: Measured, from_s: float, to_s: float) -> list[float]:
    """In ascending order: of what was done in that part of the window; in an open loop of what was due in it, so that a
    stall is charged for all that it kept waiting."""
    if measured.load.rate is None:
        return measured.latencies_ms_between(from_s, to_s)
    from_at, to_at = measured.start_s + from_s, measured.start_s + to_s
    return sorted(
        (done - begun) * 1_000
        for begun, done in zip(measured.begun, measured.done, strict=True)
        if from_at <= begun < to_at
    )


def _timeline(run: Run) -> dict[str, Any]:
    measured, bucket_s = run.measured, run.bucket_s
    buckets = measured.timeline(bucket_s)
    columns = {name: [bucket[name] for bucket in buckets] for name in ("committed", "p50_ms", "p99_ms", "failed")}
    if measured.load.rate is not None:
        latencies: list[list[float]] = [[] for _ in buckets]
        for begun, done in zip(measured.begun, measured.done, strict=True):
            if 0 <= (at := int((begun - measured.start_s) // bucket_s)) < len(buckets):
                latencies[at].append((done - begun) * 1_000)
        for name, percent in (("p50_ms", 50), ("p99_ms", 99)):
            columns[name] = [rounded(percentile(sorted(some), percent)) for some in latencies]
    return {"bucket_s": bucket_s, "from_s": run.since(measured.start_s), **columns}


def _gaps(run: Run) -> list[list[float]]:
    """From when to when there was no receipt, in the window, where that was for `attack_cost.GAP_S` and more."""
    measured = run.measured
    edges = (measured.start_s, measured.start_s + measured.load.seconds)
    moments = [edges[0], *(at for at in measured.done if edges[0] < at < edges[1]), edges[1]]
    return [[run.since(one), run.since(next_)] for one, next_ in pairwise(moments) if next_ - one >= attack_cost.GAP_S]


def _kept_up(clean: Mapping[str, Any], rate: float | None) -> bool:
    """Whether the group did what was due before it was attacked; a closed loop asks for no more than it gets."""
    return rate is None or bool(clean["tx_per_s"] >= _LEAST * rate)


def _lost(name: str, cost: Cost | None) -> dict[str, float | None]:
    if cost is None:
        return {f"{name}_s": None, f"{name}_tx": None}
    return {f"{name}_s": round(cost.seconds, 3), f"{name}_tx": round(cost.transactions, 1)}


def _ratio(part: Mapping[str, Any], clean: Mapping[str, Any]) -> float | None:
    return round(part["tx_per_s"] / clean["tx_per_s"], 4) if clean["tx_per_s"] else None
