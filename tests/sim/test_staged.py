"""Plans in stages: what they are for is that views change, and that view changes have something to carry over."""

from bftledger.sim.draw import Staged
from bftledger.sim.run import run

FOUR = Staged(sizes=(4,))


def test_a_seed_makes_the_same_plan_each_time() -> None:
    assert [Staged().plan(seed).to_json() for seed in range(5)] == [Staged().plan(seed).to_json() for seed in range(5)]
    assert len({str(Staged().plan(seed)) for seed in range(20)}) == 20


def test_they_heal_when_their_script_ends_and_all_faults_are_over_by_then() -> None:
    for plan in map(Staged().plan, range(50)):
        assert plan.script is not None
        assert plan.heal_at == plan.script.ends_at
        assert all(fault.at < fault.until <= plan.heal_at for fault in plan.faults)


def test_traitors_that_are_asked_for_may_be_anywhere() -> None:
    plans = [Staged(sizes=(4,), traitors=(("silent", 1),)).plan(seed) for seed in range(40)]

    assert {i for plan in plans for i in plan.traitors} == {0, 1, 2, 3}
    assert {names for plan in plans for names in plan.traitors.values()} == {("silent",)}


def test_almost_all_of_them_change_views_and_no_oracle_objects() -> None:
    reports = [run(FOUR.plan(seed)) for seed in range(2_000_000, 2_000_040)]

    assert [str(report.violations[0]) for report in reports if report.violations] == []
    assert sum(report.views > 0 for report in reports) > 30
