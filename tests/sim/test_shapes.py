"""Shapes of networks: what is drawn, whether the group's settings fit it, and a short campaign on all of them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bftledger.base.ids import Millis, ReplicaId
from bftledger.check.progress import IN_A_ROW
from bftledger.pbft import suspicion
from bftledger.pbft.settings import Settings
from bftledger.sim import handwritten, promise
from bftledger.sim.draw import Choice, draw
from bftledger.sim.laden import CENSOR
from bftledger.sim.links import Links
from bftledger.sim.minimize import minimize
from bftledger.sim.plan import Plan, Work
from bftledger.sim.recording import Fate, Recording, Sending
from bftledger.sim.run import run
from bftledger.sim.shapes import KINDS, MIXED, NAMES, NARROW, TAILS, WAN, shaped
from bftledger.sim.world import World
from tests.sim import seeds

SEEDS = range(200)
DRAWN = {name: [Choice(network=name).plan(seed) for seed in SEEDS] for name in NAMES}

CHUNK = 10
STARTS = range(2_000_045, 2_000_075, CHUNK)

NARROWEST = Links(regions=(0,) * 4, delays_us=((1_000,),), up=(50,) * 4, down=(50,) * 4)


def links_of(name: str) -> list[Links]:
    return [plan.links for plan in DRAWN[name] if plan.links is not None]


# ── what is drawn ──


def test_without_a_name_plans_are_what_they_were() -> None:
    assert all(plan.links is None and plan.work.hostile_rest_ms == 0 for plan in map(draw, SEEDS))
    assert [Choice(network="").plan(seed) for seed in range(20)] == [draw(seed) for seed in range(20)]


@pytest.mark.parametrize("name", NAMES)
def test_every_plan_has_links_and_no_other_delay_before_a_storm(name: str) -> None:
    assert len(links_of(name)) == len(SEEDS)
    for plan in DRAWN[name]:
        assert (plan.weather.delay_us, plan.weather.jitter_us, plan.weather.bytes_per_ms) == (0, 0, 0)
        handwritten.check(plan)
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).to_json() == plan.to_json()


def test_a_wan_has_two_to_four_regions_and_all_sorts_of_distances_that_are_not_the_same_both_ways() -> None:
    found = links_of(WAN)
    delays = [links.delays_us[a][b] for links in found for a in links.regions for b in links.regions]
    pairs = {(links.delays_us[a][b], links.delays_us[b][a]) for links in found for a, b in [links.regions[:2]]}

    assert {len(set(links.regions)) for links in found} == {2, 3, 4}
    assert min(delays) < 300
    assert max(delays) > 150_000
    assert sum(there != back for there, back in pairs) > len(pairs) // 2
    assert all(not links.narrowest for links in found)


def test_tails_are_heavy_and_narrow_lines_bind() -> None:
    assert {links.jitter for links in links_of(TAILS)} == {"pareto"}
    assert {links.most_us for links in links_of(TAILS)} == {20_000, 50_000, 100_000}
    rates = [rate for links in links_of(NARROW) for rate in (*links.up, *links.down)]
    assert (min(rates), max(rates) >= 2_000) == (100, True)
    assert any(links.up != links.down for links in links_of(NARROW))


def test_what_is_mixed_is_of_each_kind_and_of_several_at_once() -> None:
    found = links_of(MIXED)
    kinds = {(len(set(links.regions)) > 1, links.jitter == "pareto", links.narrowest > 0) for links in found}

    assert len(kinds) == 7  # all but none


def test_hostile_clients_never_stop_only_where_the_network_is_mixed() -> None:
    assert {plan.work.hostile_rest_ms for name in KINDS for plan in DRAWN[name]} == {0}
    hostile = [plan for plan in DRAWN[MIXED] if plan.work.hostile]
    assert len(hostile) > len(SEEDS) // 5
    assert all(plan.work.hostile_rest_ms == plan.settings.request_timeout_ms for plan in hostile)


def test_a_primary_that_orders_without_end_is_never_on_a_narrow_line() -> None:
    for seed in range(5):
        plan = Choice(loads=1.0, stages=0.0, network=NARROW).plan(seed)
        assert any(CENSOR in names for names in plan.traitors.values())
        assert plan.links is not None
        assert not plan.links.narrowest


# ── whether the settings fit ──


@pytest.mark.parametrize("name", NAMES)
def test_so_many_of_the_slowest_messages_as_a_request_needs_take_no_longer_than_t(name: str) -> None:
    for plan in DRAWN[name]:
        slowest_us = promise.slowest_us(plan) + plan.round_us
        assert IN_A_ROW * slowest_us <= 1_000 * plan.settings.request_timeout_ms


@pytest.mark.parametrize("name", NAMES)
def test_all_times_are_stretched_as_t_is(name: str) -> None:
    for seed in range(40):
        before, after = draw(seed), DRAWN[name][seed]
        factor = after.settings.request_timeout_ms / before.settings.request_timeout_ms
        times = [
            *(
                (getattr(plan.settings, field) for plan in (before, after))
                for field in ("timeout_cap_ms", "batch_wait_ms")
            ),
            (before.settings.status_interval_ms, after.settings.status_interval_ms),
            (before.settings.idle_status_interval_ms, after.settings.idle_status_interval_ms),
            (before.heal_at, after.heal_at),
            *((a.until, b.until) for a, b in zip(before.faults, after.faults, strict=True)),
            (before.script.view_ms if before.script else 0, after.script.view_ms if after.script else 0),
            (before.work.think_ms, after.work.think_ms),
            (before.work.spread_ms, after.work.spread_ms),
        ]
        for short, long in map(tuple, times):
            assert int(short * factor) - 1 <= long <= short * factor + 1
        assert factor >= 1


def test_a_network_that_is_fast_enough_changes_no_setting() -> None:
    plan = replace(draw(3), round_us=0)
    quick = replace(plan, settings=replace(plan.settings, request_timeout_ms=Millis(60_000)), weather=plan.weather)

    found = shaped(quick, WAN)

    assert (found.settings, found.heal_at, found.faults) == (quick.settings, quick.heal_at, quick.faults)


# ── runs ──


@pytest.mark.parametrize("start", STARTS)
def test_no_oracle_objects_whatever_the_network_is_like(start: int) -> None:
    choice = Choice(sizes=(4,), network=MIXED)
    reports = [run(choice.plan(seed)) for seed in range(start, start + CHUNK)]

    assert [(report.plan.seed, str(report.violations[0])) for report in reports if report.violations] == []


def test_a_run_is_the_same_from_its_plan_and_whoever_watches_and_in_another_network_another() -> None:
    plan = Choice(network=MIXED, sizes=(4,)).plan(2)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    links = replace(plan.links, jitter_us=1 + plan.links.jitter_us) if plan.links else None

    first = run(plan).trace_hash

    assert run(again).trace_hash == run(plan, Recording()).trace_hash == first
    assert run(replace(plan, links=links)).trace_hash != first


def test_messages_are_recorded_when_they_arrive() -> None:
    recording = Recording()
    links = Links(regions=(0, 0, 1, 1), delays_us=((300, 5_000), (5_000, 300)))
    run(Plan(seed=1, links=links, work=Work(clients=1, operations=1)), recording)
    sendings = [event for event in recording.events if isinstance(event, Sending)]
    took = {
        (min(s.source // 2, s.to // 2), max(s.source // 2, s.to // 2)): s.arrives[0] - s.at
        for s in sendings
        if s.arrives
    }

    replicas, client = {(0, 0): 800, (0, 1): 5_500, (1, 1): 800}, {(-1, 0): 800, (-1, 1): 5_500}
    assert took == replicas | client  # with the weather's half a millisecond; the client is at home in the first region
    assert {sending.fate for sending in sendings if not sending.arrives} <= {Fate.ON_THE_WAY}


def test_a_group_that_never_suspects_its_primary_is_found_in_a_wide_network(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Choice(sizes=(4,), traitors=(("silent", 1),), calm=True, network=WAN).plan(1)
    assert run(plan).ok

    for name in ("is_stalled", "is_slow", "is_slower_than_agreement"):
        monkeypatch.setattr(suspicion, name, lambda state: False)
    report = run(plan)

    assert {violation.oracle for violation in report.violations} == {"progress"}


def test_lines_that_carry_less_than_was_promised_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 bytes for each of 6 connections at 50 bytes per millisecond are 12 ms; the way and the weather take 1.5."""
    plan = Plan(seed=1, links=NARROWEST, settings=Settings(request_timeout_ms=Millis(8_000)))
    assert run(plan).ok

    monkeypatch.setattr(promise, "BURST_BYTES", 100)
    (found,) = run(plan).violations

    assert found.oracle == "network"
    assert "at most 13 ms are promised" in found.text


# ── hostile clients ──


def hostile_acts(rest_ms: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """When a hostile client sends something after healing at 200 ms, until 2 s: milliseconds."""
    acts: list[int] = []
    plan = Plan(seed=1, heal_at=200, work=Work(clients=1, operations=1, hostile=1, hostile_rest_ms=rest_ms))

    def to_replica(world: World, client: int, replica: ReplicaId, frame: bytes) -> None:
        if client == 1 and world.now > 200_000:
            acts.append(world.now // 1_000)

    monkeypatch.setattr(World, "to_replica", to_replica)
    World(plan).run(2_000_000)
    return sorted(set(acts))


def test_hostile_clients_stop_at_healing_or_go_on_as_often_as_the_plan_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hostile_acts(0, monkeypatch) == []

    acts = hostile_acts(100, monkeypatch)
    gaps = [later - earlier for earlier, later in pairwise(acts)]
    assert all(100 <= gap <= 200 for gap in gaps)
    assert len(gaps) >= 8


# ── written down, and made smaller ──


@pytest.mark.parametrize("path", sorted(seeds.PLANS.glob("*.json")), ids=lambda path: path.stem)
def test_plans_that_were_written_before_there_were_links_have_none(path: Path) -> None:
    plan = seeds.plan_of(path)

    assert (plan.links, plan.max_payload_bytes, plan.work.hostile_rest_ms) == (None, 65_536, 0)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_links_that_a_failure_does_not_need_go_and_shrink_with_their_group_where_it_does() -> None:
    plan = Choice(sizes=(7,), network=NARROW, calm=True).plan(3)

    gone = minimize(plan, lambda plan: True)
    kept = minimize(plan, lambda plan: plan.links is not None)

    assert gone == replace(kept, links=None)
    assert (gone.max_payload_bytes, gone.work.hostile_rest_ms) == (65_536, 0)
    assert kept.links is not None
    assert (kept.n, kept.links.objections(4)) == (4, [])
