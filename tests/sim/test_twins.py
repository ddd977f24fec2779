"""Twins: all scenarios are there, they do what they say, and no twin that is alone makes the group err."""

import json
from functools import cache
from itertools import islice
from math import comb

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.group import Group
from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, Commit, Message, Prepare, Relay, Status, ViewChange
from bftledger.sim import twins
from bftledger.sim.campaign import run_seeds
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Fate, Recording, Sending
from bftledger.sim.run import Report
from bftledger.sim.run import run as run_plan
from bftledger.sim.script import Script
from bftledger.sim.twins import Family, Scenario, exhaustive, run, sampled
from bftledger.sim.world import genesis_of
from tests.builders import block_hash

STRIDE = 109
"""Of all 16,384 scenarios every so-manieth runs here: 150, evenly spread, as it has no factor in common with 16."""

HALVES = ((0, 1, 2), (3, 4, 5))
FORK = Scenario(n=4, twins=(ReplicaId(0), ReplicaId(1)), views=(HALVES, HALVES))
"""Two twins of four: each half of the honest replicas sees a quorum of its own, and its COMMITs as well."""


# ── all of them ──


def test_there_are_as_many_as_there_are_ways() -> None:
    """Four replicas may be the twin, and five cores split in 16 ways, in each of three views."""
    found = list(exhaustive())

    assert len(found) == twins.count() == 4 * 16**3
    assert len({(scenario.twins, scenario.views) for scenario in found}) == len(found)
    assert [scenario.seed for scenario in found] == list(range(len(found)))


@pytest.mark.parametrize(
    ("n", "twin_count", "partitions", "ways"),
    [(4, 1, 1, 1), (4, 1, 2, 16), (4, 1, 5, 52), (4, 2, 3, 122)],
)
def test_sets_that_only_change_places_are_one_way_to_split(n: int, twin_count: int, partitions: int, ways: int) -> None:
    """5 cores have 52 partitions in all, their Bell number; 6 cores have 1 + 31 + 90 into at most three sets."""
    found = list(exhaustive(n, twin_count, partitions, views=1))

    assert len(found) == twins.count(n, twin_count, partitions, views=1) == comb(n, twin_count) * ways
    splits = {frozenset(map(frozenset, scenario.views[0])) for scenario in found}
    assert len(splits) == ways


def test_a_number_stands_for_its_scenario() -> None:
    family = Family(n=4, twins=2, partitions=3, views=1)

    assert family.count == twins.count(4, 2, 3, 1) == 732
    assert [family.scenario(number) for number in range(732)] == list(exhaustive(4, 2, 3, 1))
    assert Family().scenario(12_345) == next(islice(exhaustive(), 12_345, None))
    assert Family().scenario(12_345 + 16_384) == Family().scenario(12_345)


def test_of_too_many_scenarios_some_are_drawn() -> None:
    family = Family(n=31, twins=10, partitions=8, views=16)

    assert family.count is None
    assert family.scenario(3) == sampled(3, 31, 10, 8, 16)
    assert family.plan(3).twins == family.scenario(3).twins


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert sampled(7, 7, 2, 3, 4) == sampled(7, 7, 2, 3, 4)
    assert len({sampled(seed, 7, 2, 3, 4).views for seed in range(50)}) == 50


def test_a_sample_has_what_was_asked_for() -> None:
    for seed in range(50):
        scenario = sampled(seed, 7, 2, 3, 4)

        assert (scenario.n, len(scenario.twins), len(scenario.views)) == (7, 2, 4)
        assert all(1 <= len(partition) <= 3 for partition in scenario.views)
        assert Scenario.from_json(scenario.to_json()) == scenario


# ── as files ──


def test_a_scenario_is_read_as_it_was_written() -> None:
    scenario = next(islice(exhaustive(), 5_000, None))

    assert Scenario.from_json(json.loads(json.dumps(scenario.to_json()))) == scenario
    assert scenario.to_json()["views"][0] == [["0", "1", "2"], ["3", "1'"]]
    assert "twins 1: view 0: 0 1 2 | 3 1'" in scenario.name


def test_its_plan_is_read_as_it_was_written() -> None:
    plan = FORK.plan()

    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"n": 3},
        {"n": 4.0},
        {"n": 10**9},
        {"n": None},
        {"seed": "1"},
        {"twins": [4]},
        {"twins": [-1]},
        {"twins": [0, 0]},
        {"twins": 0},
        {"views": [[["0", "1", "2", "3"]]]},
        {"views": [[["0", "1", "2", "3", "0'"], ["3"]]]},
        {"views": [[["0", "1", "2", "3", "1'"]]]},
        {"views": [[[0, 1, 2, 3, 4]]]},
        {"views": [["0123"]]},
        {"views": 7},
    ],
    ids=str,
)
def test_what_is_no_scenario_is_refused_in_one_line(change: dict[str, object]) -> None:
    good = {"format": 1, "n": 4, "twins": [0], "views": [[["0", "1", "2"], ["3", "0'"]]], "seed": 0}
    assert Scenario.from_json(good).views == (((0, 1, 2), (3, 4)),)

    with pytest.raises(OperatorError, match=r"^this is not a Twins scenario \([^\n]+$"):
        Scenario.from_json({**good, **change})


@pytest.mark.parametrize("garbage", [None, [], {}, "twins", 7, {"format": 1}], ids=str)
def test_garbage_is_no_scenario(garbage: object) -> None:
    with pytest.raises(OperatorError, match="this is not a Twins scenario"):
        Scenario.from_json(garbage)


# ── who hears whom ──

SCRIPT = Script(views=(((0, 1, 4), (2, 3)), ((0, 1, 2, 3, 4),)), view_ms=100)


def vote(view: int) -> Message:
    return Prepare(view=View(view), seq=Seq(1), digest=block_hash("d"), replica=ReplicaId(0), signature=wire.UNSIGNED)


def change(view: int) -> Message:
    return ViewChange(view=View(view), stable=None, prepared=(), replica=ReplicaId(0), signature=wire.UNSIGNED)


def checkpoint() -> Message:
    return Checkpoint(seq=Seq(1), block_hash=block_hash("d"), replica=ReplicaId(0), signature=wire.UNSIGNED)


def passes(message: Message, to: int, *, at_ms: int, sender_view: int = 0) -> bool:
    return SCRIPT.passes(message, View(sender_view), 0, to, 1_000 * at_ms)


def test_a_vote_stays_in_the_partition_of_its_view() -> None:
    assert [passes(vote(0), to, at_ms=50) for to in range(1, 5)] == [True, False, False, True]
    assert all(passes(vote(1), to, at_ms=50) for to in range(1, 5))


def test_a_commit_goes_to_those_who_hear_its_sender_in_the_next_view() -> None:
    """So that something may be prepared and not committed."""
    apart = Script(views=(((0, 1, 2, 3, 4),), ((0, 1), (2, 3, 4))), view_ms=100)
    commit = Commit(view=View(0), seq=Seq(1), digest=block_hash("d"), replica=ReplicaId(0), signature=wire.UNSIGNED)

    assert [apart.passes(vote(0), View(0), 0, to, 0) for to in range(1, 5)] == [True, True, True, True]
    assert [apart.passes(commit, View(0), 0, to, 0) for to in range(1, 5)] == [True, False, False, False]
    assert not apart.passes(commit, View(0), 0, 1, 100_000), "the time of its view is over"


def test_what_names_no_view_stays_in_the_partition_of_its_sender() -> None:
    assert not passes(checkpoint(), 2, at_ms=50, sender_view=0)
    assert passes(checkpoint(), 2, at_ms=50, sender_view=1)


def test_a_view_whose_time_is_over_is_silent_but_for_who_leaves_for_it() -> None:
    assert not passes(vote(0), 1, at_ms=100)
    assert not passes(checkpoint(), 1, at_ms=100, sender_view=0)
    assert passes(change(0), 2, at_ms=100)
    assert not passes(change(0), 2, at_ms=99)


def test_later_views_and_later_times_have_no_partition() -> None:
    assert passes(vote(2), 3, at_ms=0)
    assert passes(vote(0), 3, at_ms=200)
    assert SCRIPT.ends_at == 200


def test_status_and_relay_always_arrive() -> None:
    """Or nobody would hear a quorum where there is none, and accuse the primary."""
    relay = Relay(transactions=(), replica=ReplicaId(0), signature=wire.UNSIGNED)
    status = Status(
        view=View(0),
        active=True,
        stable=Seq(0),
        executed=Seq(0),
        slots=(),
        view_changes=0,
        replica=ReplicaId(0),
        signature=wire.UNSIGNED,
    )

    assert passes(relay, 3, at_ms=50)
    assert passes(status, 3, at_ms=150, sender_view=0)


# ── runs ──


@cache
def some_of(twin: int) -> list[Report]:
    """Runs of scenarios in which this replica is the twin."""
    quarter = twins.count() // 4
    return [run(scenario) for scenario in islice(exhaustive(), twin * quarter, (twin + 1) * quarter, STRIDE)]


@pytest.mark.parametrize("twin", range(4))
def test_no_scenario_with_one_twin_makes_the_group_err(twin: int) -> None:
    """All oracles, with progress after healing, and evidence against nobody but the twin. `make twins` runs all."""
    reports = some_of(twin)

    assert len(reports) >= 37
    assert {report.plan.seed: report.violations for report in reports if not report.ok} == {}
    assert {i for report in reports for i in report.convicted} == {twin}


def test_what_twins_do_is_found_out_in_most_scenarios() -> None:
    reports = [report for twin in range(4) for report in some_of(twin)]

    assert sum(bool(report.convicted) for report in reports) > 0.6 * len(reports)


@pytest.mark.parametrize("seed", range(2))
def test_no_sampled_scenario_with_two_twins_of_seven_makes_the_group_err(seed: int) -> None:
    scenario = sampled(seed, n=7, twins=2, partitions=3, views=4)

    report = run(scenario)

    assert report.violations == ()
    assert report.convicted <= set(scenario.twins)


def test_two_twins_of_four_fork_the_group_and_the_oracles_see_it() -> None:
    report = run(FORK)

    assert report.is_forked
    assert "agreement" in {violation.oracle for violation in report.violations}
    assert report.convicted == {0, 1}, "f+1 of them, and nobody else"


def test_the_same_scenario_gives_the_same_run() -> None:
    scenario = next(islice(exhaustive(), 4_321, None))

    first, again = run(scenario), run(Scenario.from_json(scenario.to_json()))

    assert first.trace_hash == again.trace_hash
    assert run_plan(scenario.plan()).trace_hash == first.trace_hash


def recorded(scenario: Scenario) -> tuple[Report, list[Sending]]:
    """A run, and what replicas sent to one another in it."""
    recording = Recording()
    report = run(scenario, recording)
    return report, [event for event in recording.events if isinstance(event, Sending) and event.client is None]


@pytest.mark.parametrize("number", range(0, 16_384, 1_619))
def test_every_view_of_the_script_is_tried_before_it_ends(number: int) -> None:
    scenario = next(islice(exhaustive(), number, None))

    report, sendings = recorded(scenario)

    genesis_hash = genesis_of(4, False).genesis_hash
    told = [
        wire.decode(sending.frame, genesis_hash) for sending in sendings if sending.at < 1_000 * report.plan.heal_at
    ]
    assert {message.view for message in told if isinstance(message, ViewChange)} >= {1, 2}


def test_both_cores_of_a_twin_lead_and_do_not_propose_the_same() -> None:
    everybody = ((0, 1, 2, 3, 4),)

    report, sendings = recorded(Scenario(n=4, twins=(ReplicaId(0),), views=(everybody,)))

    assert report.ok, report.violations
    assert report.convicted == {0}
    assert {sending.source for sending in sendings} == {0, 1, 2, 3, 4}
    assert {4, 0} <= {sending.to for sending in sendings if sending.source == 1}, "both cores hear the others"
    assert not any({sending.source, sending.to} == {0, 4} for sending in sendings), "and never each other"


def test_what_the_script_holds_back_is_told() -> None:
    _, sendings = recorded(FORK)

    cut = [sending for sending in sendings if sending.fate is Fate.CUT]
    assert cut
    assert not any(sending.arrives for sending in cut)


def test_a_bug_that_is_planted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quorums that need have no correct replica in common: one scenario in ten forks the group."""
    monkeypatch.setattr(Group, "quorum", property(lambda group: (group.n + group.f) // 2))

    assert any(run(Family().scenario(number)).is_forked for number in (1_962, 9_483, 10_137, 12_099, 13_734))


def test_a_campaign_names_the_scenarios_that_fail() -> None:
    family = Family(twins=2, views=2)
    tally = run_seeds([0, 231], family)

    assert (tally.runs, tally.failed) == (2, 1)
    assert [failure.seed for failure in tally.failures] == [231]
    assert family.scenario(231).views == FORK.views
    assert tally.guilty == {2: 1}, "who forked the group is convicted"
    assert set(tally.mixes) == {"Byzantine, views cut short", "Byzantine, views apart"}
