"""What plans are drawn: enough of each kind of trouble, and of all kinds at once."""

import json

import pytest

from bftledger.adversary.catalogue import CATALOGUE, light_names
from bftledger.pbft import suspicion
from bftledger.pbft.passing import Moment
from bftledger.pbft.state import State
from bftledger.sim import handwritten
from bftledger.sim.draw import Choice, draw
from bftledger.sim.laden import CENSOR
from bftledger.sim.oracles import Oracles
from bftledger.sim.plan import Crash, Cut, Plan
from bftledger.sim.run import run
from bftledger.sim.world import World

PLANS = [draw(seed) for seed in range(1_000)]


def has_everything(plan: Plan) -> bool:
    """f traitors, a crash and a partition."""
    kinds = {type(fault) for fault in plan.faults}
    return len(plan.traitors) == (plan.n - 1) // 3 and {Crash, Cut} <= kinds


def is_apart(plan: Plan) -> bool:
    """Whether a replica is kept apart until the plan heals, so that it has to catch up."""
    cuts = [fault for fault in plan.faults if isinstance(fault, Cut)]
    return plan.settings.window == 4 and any((cut.at, cut.until) == (0, plan.heal_at) for cut in cuts)


def test_at_least_half_of_all_plans_have_f_traitors_a_crash_and_a_partition_together() -> None:
    assert sum(map(has_everything, PLANS)) >= 500


def test_many_plans_have_a_script_and_these_have_everything_as_often() -> None:
    scripted = [plan for plan in PLANS if plan.script is not None]

    assert 350 <= len(scripted) <= 450
    assert sum(map(has_everything, scripted)) >= len(scripted) // 2


def test_some_primaries_order_without_end_until_nothing_excuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []
    judge = suspicion._has_too_much_come_first

    def has_too_much_come_first(state: State, since: Moment, ahead: int) -> bool:
        found.append(judge(state, since, ahead))
        return found[-1]

    monkeypatch.setattr(suspicion, "_has_too_much_come_first", has_too_much_come_first)
    reports = [run(plan) for plan in map(Choice(loads=1.0, stages=0.0).plan, range(5))]

    assert all(report.ok and report.views > 0 for report in reports)
    assert found.count(True) >= 3
    assert 3 <= sum(CENSOR in names for plan in PLANS for names in plan.traitors.values()) <= 30


def test_what_is_heavy_is_drawn_only_for_plans_that_are_made_for_it() -> None:
    heavy = [name for name, behaviour in CATALOGUE.items() if behaviour.is_heavy]
    drawn = [name for seed in range(300) for names in Choice(loads=0.0).plan(seed).traitors.values() for name in names]

    assert set(heavy) == {CENSOR, "blindfold"}
    assert not set(heavy) & {*drawn, *light_names()}
    assert "random" in drawn


def test_what_is_to_be_calm_or_to_fork_has_no_script() -> None:
    for choice in (Choice(calm=True), Choice(excess=True)):
        assert all(choice.plan(seed).script is None for seed in range(50))


def test_every_plan_can_be_written_down_and_read_again() -> None:
    drawn = [Choice(excess=excess, calm=calm) for excess in (False, True) for calm in (False, True)]
    for plan in (choice.plan(seed) for choice in drawn for seed in range(50)):
        again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
        handwritten.check(again)

        assert again.to_json() == plan.to_json()


def test_too_many_traitors_in_a_calm_have_no_fault_to_help_them_and_fork_some_ledgers_all_the_same() -> None:
    plans = [Choice(excess=True, calm=True).plan(seed) for seed in range(20)]

    assert all((plan.faults, plan.heal_at) == ((), 0) for plan in plans)
    assert sum(run(plan).is_forked for plan in plans) >= 3


def test_some_networks_are_slow_for_good_and_leave_time_for_a_request() -> None:
    slow = [plan for plan in PLANS if plan.script is None and plan.weather.delay_us >= 10_000]

    assert len(slow) > 50
    assert all(8 * plan.weather.delay_us <= 1_000 * plan.settings.request_timeout_ms for plan in slow)


def test_a_replica_that_is_kept_apart_is_behind_by_more_than_a_window_when_the_network_heals() -> None:
    apart = [plan for plan in PLANS[:300] if plan.script is None and is_apart(plan)][:12]
    behind = 0
    for plan in apart:
        world = World(plan, Oracles(plan))
        world.run(1_000 * plan.heal_at)
        heights = [world.hosts[i].height for i in plan.honest]
        behind += max(heights) - min(heights) > plan.settings.window

    assert len(apart) == 12
    assert behind >= 6
