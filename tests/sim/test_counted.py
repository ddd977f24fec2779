"""What a run counts is what happened in it: crashes and where, what scripts kept, copies, hostile requests."""

from collections import Counter
from dataclasses import replace

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.sim.campaign import Tally, mix_of
from bftledger.sim.draw import Staged
from bftledger.sim.host import (
    AFTER_SENDING,
    BEFORE_COMMIT,
    BEFORE_SENDING,
    BETWEEN_ROUNDS,
    IN_COMMIT,
    WHILE_SENDING,
)
from bftledger.sim.plan import Crash, Cut, Plan, Storm, Weather, Work
from bftledger.sim.run import Report, run
from bftledger.sim.script import Script
from bftledger.sim.twins import Family

WHOLE = ((0, 1, 2, 3),)
HALVES = ((0, 1), (2, 3))
STAGED = Staged(sizes=(4,)).plan(0)


def a_crash(fuse: int = 0, sent: int = -1, until: int = 200) -> Crash:
    return Crash(at=20, until=until, replica=ReplicaId(1), fuse=fuse, sent=sent)


def counts_of(plan: Plan) -> Counter[str]:
    report = run(plan)
    assert report.ok
    return report.counts


def crashes(*faults: Crash) -> tuple[int, int, dict[str, int]]:
    """How many were planned, how many happened, and where."""
    counts = counts_of(Plan(seed=1, faults=faults, work=Work(clients=2, operations=6), heal_at=300))
    return counts["crash"], counts["crashes"], named(counts, "crashed: ")


def named(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): times for name, times in counts.items() if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("crash", "where"),
    [
        (a_crash(), BETWEEN_ROUNDS),
        (a_crash(fuse=1), BEFORE_COMMIT),
        (a_crash(fuse=3), IN_COMMIT),
        (a_crash(sent=0), BEFORE_SENDING),
        (a_crash(sent=1), WHILE_SENDING),
        (a_crash(sent=1_000), AFTER_SENDING),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_crash_is_counted_where_it_happens(crash: Crash, where: str) -> None:
    assert crashes(crash) == (1, 1, {where: 1})


def test_a_crash_that_does_not_come_is_only_planned() -> None:
    """Of the first the store has not so many operations until it is over; at the last the process is down already."""
    assert crashes(a_crash(fuse=1_000_000)) == (1, 0, {})
    assert crashes(a_crash(), replace(a_crash(), at=30)) == (2, 1, {BETWEEN_ROUNDS: 1})


def test_what_a_script_keeps_apart_is_counted_beside_what_it_ends_and_what_cuts_do() -> None:
    counts = counts_of(STAGED)
    script = STAGED.script
    assert script is not None
    split = sum(len(partition) > 1 for partition in script.views)

    assert 0 < counts["script: partitions"] <= split
    assert counts["script: kept apart"] > counts["script: partitions"]
    assert counts["script: too late"] > 0
    assert counts["cut_off"] >= counts["script: kept apart"] + counts["script: too late"]


def test_a_script_without_partitions_keeps_nobody_apart_and_what_nobody_scripted_is_not_counted() -> None:
    script = Script(views=(WHOLE, WHOLE), view_ms=100)
    whole = replace(STAGED, script=script, heal_at=script.ends_at, faults=())
    plain = Plan(seed=1, faults=(Cut(at=0, until=200, links=((ReplicaId(0), ReplicaId(1)),)),), heal_at=200)

    assert [*named(counts_of(whole), "script: ")] == ["too late"]
    counts = counts_of(plain)
    assert counts["cut_off"] > 0
    assert named(counts, "script: ") == {}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_messages_that_arrive_twice_are_counted(share: float) -> None:
    storm = Storm(at=0, until=200, weather=Weather(duplication=share))
    counts = counts_of(Plan(seed=1, faults=(storm,), heal_at=200))

    assert (counts["duplicated"] > 0) == (share > 0)
    assert counts["duplicated"] < counts["messages"]


def test_hostile_requests_are_counted_by_what_they_are() -> None:
    plan = Plan(seed=1, work=Work(hostile=2), heal_at=4_000)
    found = named(counts_of(plan), "hostile: ")

    assert found.keys() == {"garbage", "damaged", "question", "replay", "submission"}
    assert named(counts_of(replace(plan, work=Work())), "hostile: ") == {}


# ── what runs add up to ──


@pytest.mark.parametrize(
    ("views", "mix"),
    [((WHOLE, HALVES), "views apart"), ((WHOLE, WHOLE), "views cut short"), (None, "none")],
)
def test_a_plan_with_a_script_is_not_one_without_trouble(views: tuple[object, ...] | None, mix: str) -> None:
    script = None if views is None else Script(views=views, view_ms=100)  # type: ignore[arg-type]

    assert mix_of(Plan(seed=1, script=script)) == mix


def test_what_a_script_does_stands_beside_the_faults() -> None:
    script = Script(views=(HALVES,), view_ms=100)
    storm = Storm(at=0, until=1, weather=Weather())
    plan = Plan(seed=1, script=script, faults=(a_crash(), storm), traitors={ReplicaId(0): ("silent",)})

    assert mix_of(plan) == "Byzantine, crash, views apart, other"
    assert mix_of(Family().plan(1)).startswith("Byzantine, views ")


def test_runs_with_a_script_are_added_up() -> None:
    tally, other = Tally(), Tally()
    for script in (None, Script(views=(HALVES,), view_ms=100)):
        tally.add(Report(Plan(seed=1, script=script), (), "", 0, 0, 0))
    other.add(Report(STAGED, (), "", 0, 0, 0))
    tally.merge(other)

    assert (tally.runs, tally.scripted) == (3, 2)
