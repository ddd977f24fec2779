"""One run of the simulator in words: who took part, what befell them, what the oracles say."""

from pathlib import Path
from typing import Any

from bftledger.cli import output
from bftledger.sim.calls import Call
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Recording, Sending
from bftledger.sim.run import Report
from bftledger.sim.story import Weight, headline, story
from bftledger.sim.subject import Called, Subject, cores_of, spans_of, traitors_of
from bftledger.sim.transcript import describer_of, said
from bftledger.sim.world import genesis_of, verifier_of

_STYLES = {Weight.NORMAL: "", Weight.FAULT: output.DOUBTFUL, Weight.LIE: output.BAD, Weight.ALARM: output.BAD}


_TEXT_AT = 13
"""In the list of what mattered, this is where the words begin, after the time."""


def subject_of(report: Report) -> Subject:
    """The facts that a transcript and a diagram need beside the recording."""
    plan = report.plan
    return Subject(
        seed=plan.seed,
        genesis=genesis_of(plan.n, plan.real_keys, plan.max_payload_bytes),
        traitors=traitors_of(plan),
        cores=cores_of(plan),
        spans=spans_of(plan),
        calls=tuple(
            Called(call.client, call.invoked, call.returned, f"{call.kind} {call.key.decode()}: {_answer(call)}")
            for call in report.calls
        ),
        clients=plan.work.clients + plan.work.hostile,
        hostile=plan.work.hostile,
        verifier=verifier_of(plan.real_keys),
        outcome=tuple(_outcome(report)),
        is_sound=report.ok,
    )


def _outcome(report: Report) -> list[str]:
    if not report.ok:
        return [*map(str, report.violations), *_convicts(report)]
    answered = sum(call.returned is not None for call in report.calls)
    return [f"All {answered} calls of clients were answered, and no oracle objects.", *_convicts(report)]


def _convicts(report: Report) -> list[str]:
    if not report.convicted:
        return []
    *others, last = map(str, sorted(report.convicted))
    who = f"replicas {', '.join(others)} and {last}" if others else f"replica {last}"
    return [f"The evidence convicts {who}."]


def _answer(call: Call) -> str:
    if call.returned is None:
        return "no answer"
    if call.kind == "get":
        return f"version {call.found.version}" if call.found else "nothing"
    assert call.outcome is not None, "an answered write has an outcome"
    return call.outcome.state.value


def show_report(report: Report, subject: Subject, recording: Recording, html: Path | None) -> None:
    """For a reader at a terminal."""
    plan = report.plan
    lines = headline(subject, recording)
    output.paragraph(f"{subject.title}: {lines[0]}", output.STRONG)
    work = plan.work
    hostile = f", and {output.plural(work.hostile, 'hostile client')}" if work.hostile else ""
    asked = f"{output.plural(work.clients, 'client')} with {output.plural(work.operations, 'operation')}"
    output.paragraph(f"{asked}{' each' if work.clients > 1 else ''}{hostile}.")
    if plan.links is not None:
        output.paragraph(f"Network: {plan.links}.")
    sendings = [event for event in recording.events if isinstance(event, Sending)]
    happenings = [event for event in recording.events if not isinstance(event, Sending)]
    describer = describer_of(subject)
    for entry in story(happenings, sendings, [said(describer, sending) for sending in sendings]):
        output.paragraph(f"{entry.at / 1e6:9.3f} s  {entry.text}", _STYLES[entry.weight], indent=_TEXT_AT)
    for line in lines[1:]:
        output.paragraph(line, output.GOOD if report.ok else output.BAD)
    counts = report.counts
    output.paragraph(
        f"{counts['events']:,} events, {counts['messages']:,} messages, "
        f"{report.lasted_us / 1e6:.3f} s of virtual time, trace {report.trace_hash}",
        output.QUIET,
    )
    if html is None:
        output.say("see it message by message: --transcript, or --html FILE", output.QUIET)


def facts_of(report: Report) -> dict[str, Any]:
    """The same for programs."""
    return {
        "ok": report.ok,
        "violations": [
            {
                "oracle": violation.oracle,
                "text": violation.text,
                "height": violation.height,
                "replicas": list(violation.replicas),
                "certain": violation.is_certain,
            }
            for violation in report.violations
        ],
        "trace": report.trace_hash,
        "height": report.height,
        "highest_view": report.views,
        "forked": report.is_forked,
        "convicted": sorted(report.convicted),
        "virtual_s": report.lasted_us / 1e6,
        "counts": dict(sorted(report.counts.items())),
        "plan": report.plan.to_json(),
    }


def size_of(plan: Plan) -> str:
    """How much goes on in a plan."""
    parts = [
        output.plural(plan.n, "replica"),
        output.plural(len(plan.faults), "fault"),
        output.plural(sum(len(names) for names in plan.traitors.values()), "behaviour"),
        output.plural(plan.work.clients * plan.work.operations, "operation"),
    ]
    parts += [output.plural(len(plan.twins), "twin")] * bool(plan.twins)
    return ", ".join(parts)
