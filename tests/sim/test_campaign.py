"""A short campaign: whole groups with faults and traitors, and no oracle objects. The long ones are `make soak`'s."""

import pytest

from bftledger.sim.draw import Choice, draw
from bftledger.sim.run import Report, run
from tests.sim import seeds

CHUNK = 25
STARTS = range(1_000_000, 1_000_900, CHUNK)
"""Seeds that no mutant is hunted with."""

FORKING = Choice(excess=True)


@pytest.mark.parametrize("start", STARTS)
def test_no_oracle_objects_to_what_honest_replicas_do(start: int) -> None:
    reports = [run(draw(seed)) for seed in range(start, start + CHUNK)]

    assert [(report.plan.seed, str(report.violations[0])) for report in reports if report.violations] == []


@pytest.mark.parametrize("line", [*seeds.read()], ids=str)
def test_a_seed_that_failed_once_fails_no_more(line: seeds.Line) -> None:
    report = run(draw(line.seed, line.choice))

    if line.choice.excess:
        assert_convicted(report)
    else:
        assert [str(violation) for violation in report.violations] == []


@pytest.mark.parametrize("start", range(0, 60, 20))
def test_more_traitors_than_are_borne_fork_the_ledger_and_the_evidence_convicts_enough_of_them(start: int) -> None:
    reports = [run(draw(seed, FORKING)) for seed in range(start, start + 20)]
    forked = [report for report in reports if report.is_forked]

    assert len(forked) >= 10
    for report in forked:
        assert report.violations
        assert_convicted(report)


def assert_convicted(report: Report) -> None:
    """Any two quorums share f+1 replicas (§4.2): if honest ones decided differently, so many have signed both."""
    guilty = report.convicted
    if report.is_forked:
        assert len(guilty) > (report.plan.n - 1) // 3, f"seed {report.plan.seed} convicts {sorted(guilty)}"
    assert not guilty & set(report.plan.honest), f"seed {report.plan.seed} accuses the innocent"
