"""A short campaign: whole groups with faults and traitors, and no oracle objects. The long ones are `make soak`'s."""

from pathlib import Path

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.check import evidence
from bftledger.sim import run as sim_run
from bftledger.sim import verdict
from bftledger.sim.campaign import run_seeds
from bftledger.sim.draw import Choice, draw
from bftledger.sim.plan import Plan
from bftledger.sim.run import Report, run
from bftledger.sim.twins import Family
from bftledger.sim.world import genesis_of
from tests.sim import seeds

CHUNK = 25
STARTS = range(1_000_000, 1_000_500, CHUNK)
"""Seeds that no mutant is hunted with."""

FORKING = Choice(excess=True)

SAVED = sorted(seeds.PLANS.glob("*.json"))


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


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_plan_that_failed_once_fails_no_more(path: Path) -> None:
    """It is still the plan that failed, whatever its seed stands for today."""
    report = run(seeds.plan_of(path))

    if has_too_many_traitors(report.plan):
        assert_convicted(report)
    else:
        assert [str(violation) for violation in report.violations] == []


@pytest.mark.parametrize("line", [*seeds.read()], ids=str)
def test_the_plan_of_each_seed_that_failed_is_kept(line: seeds.Line) -> None:
    plan = seeds.plan_of(line.plan)

    assert plan.seed == line.seed
    assert has_too_many_traitors(plan) or not line.choice.excess


def test_most_plans_whose_forks_convicted_too_few_fork_to_this_day() -> None:
    """What does not fork shows nothing of whom forks convict."""
    reports = [run(plan) for plan in map(seeds.plan_of, SAVED) if has_too_many_traitors(plan)]

    assert sum(report.is_forked for report in reports) > len(reports) / 2


def has_too_many_traitors(plan: Plan) -> bool:
    group = genesis_of(plan.n, plan.real_keys).group
    return group.n - len(plan.honest) > group.f


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
    wrong = [str(violation) for violation in report.violations if violation.oracle == evidence.ORACLE]

    assert wrong == [], f"seed {report.plan.seed}"


@pytest.mark.parametrize(
    ("convicted", "gravest"),
    [((0, 1), "agreement"), ((0,), "evidence"), ((), "evidence"), ((0, 1, 2), "evidence")],
    ids=["enough", "too few", "nobody", "an honest one"],
)
def test_a_fork_of_too_many_traitors_is_expected_but_not_that_its_evidence_is_wrong(
    monkeypatch: pytest.MonkeyPatch, convicted: tuple[int, ...], gravest: str
) -> None:
    """What a campaign tells of such a run, and what is kept when it is made smaller."""
    for module in (sim_run, verdict):
        monkeypatch.setattr(module, "convicted_in", lambda world: {ReplicaId(i) for i in convicted})
    plan = Family(twins=2, views=2).plan(231)
    report, tally = run(plan), run_seeds([231], Family(twins=2, views=2))

    assert report.is_forked
    assert report.gravest is not None
    assert report.gravest.oracle == gravest
    assert [failure.text for failure in tally.failures] == [str(report.gravest)]
