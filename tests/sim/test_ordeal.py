"""The ordeal of a run: each fault begins when the plan says, does what it says, and is over when it says."""

from collections.abc import Iterator

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.engine.engine import Round
from bftledger.sim.host import AFTER_SENDING, BEFORE_SENDING, START_MS, WHILE_SENDING, Host
from bftledger.sim.plan import Crash, Cut, Fault, Jump, Plan, Slow, Storm, Weather, Work
from bftledger.sim.recording import Fate, Happening, Kind, Recording
from bftledger.sim.world import World

ONE, TWO = ReplicaId(1), ReplicaId(2)
SOME_US = 5


def a_world(*faults: Fault, **values: int) -> tuple[World, Recording]:
    """A group of four with little to do, and what befalls it."""
    recording = Recording()
    plan = Plan(seed=1, faults=faults, heal_at=1_000, work=Work(clients=1, operations=1), **values)  # type: ignore[arg-type]
    return World(plan, observer=recording), recording


def at(world: World, *times_ms: int) -> Iterator[int]:
    """Runs to just before, and to just after each of these times."""
    for time in times_ms:
        for now in (1_000 * time - SOME_US, 1_000 * time + SOME_US):
            world.run(now)
            yield now


def told(recording: Recording) -> list[tuple[int, str]]:
    """What was told of faults, and the milliseconds at which."""
    events = [event for event in recording.events if isinstance(event, Happening)]
    return [(event.at // 1_000, event.text) for event in events if event.kind in (Kind.FAULT, Kind.CRASHED)]


def starts(recording: Recording, replica: int) -> list[int]:
    events = [event for event in recording.events if isinstance(event, Happening)]
    return [event.at // 1_000 for event in events if event.kind is Kind.STARTED and event.replica == replica]


def test_a_cut_begins_and_ends_and_the_last_of_several_that_overlap_mends_the_link() -> None:
    link = ((ONE, TWO),)
    world, recording = a_world(Cut(at=10, until=30, links=link), Cut(at=20, until=40, links=link))

    found = [world.network.send(1, 2, 100, now) is Fate.CUT for now in at(world, 10, 20, 30, 40)]

    assert found == [False, True, True, True, True, True, True, False]
    assert world.counts["cut"] == 2
    what = "nothing passes 1→2"
    assert told(recording) == [(10, what), (20, what), (30, f"over: {what}"), (40, f"over: {what}")]


def test_after_a_storm_the_weather_is_the_plans_again() -> None:
    rough, usual = Weather(loss=0.5, delay_us=9_000), Weather(delay_us=700)
    world, _ = a_world(Storm(at=10, until=30, weather=rough), weather=usual)  # type: ignore[arg-type]

    assert [world.network.weather for _ in at(world, 10, 30)] == [usual, rough, rough, usual]


def test_who_crashes_is_down_until_it_starts_again() -> None:
    world, recording = a_world(Crash(at=10, until=30, replica=ONE))

    assert [world.hosts[ONE].running is not None for _ in at(world, 10, 30)] == [True, False, False, True]
    assert (world.counts["crash"], world.counts["crashes"]) == (1, 1)
    assert told(recording) == [(10, "replica 1 crashes")]


def test_who_is_down_for_two_reasons_starts_when_both_are_over_and_crashes_once() -> None:
    faults = Crash(at=10, until=40, replica=ONE), Crash(at=20, until=30, replica=ONE)
    world, recording = a_world(*faults)

    assert [world.hosts[ONE].running is not None for _ in at(world, 20, 30, 40)] == [False] * 5 + [True]
    assert (world.counts["crash"], world.counts["crashes"]) == (2, 1)
    assert starts(recording, ONE) == [0, 40]


@pytest.mark.parametrize("how", [{"fuse": 1}, {"sent": 0}], ids=["in a round", "after one"])
def test_a_crash_may_wait_for_the_next_round(how: dict[str, int]) -> None:
    world, recording = a_world(Crash(at=1, until=300, replica=ONE, **how))
    world.run(1_000 + SOME_US)
    assert world.hosts[ONE].running is not None

    world.run(300_000 - SOME_US)
    assert world.hosts[ONE].running is None
    ((first, announced), (then, crashed)) = told(recording)
    assert (first, announced.partition(" at ")[0].partition(" after ")[0]) == (1, "replica 1 is to crash")
    assert (1 <= then < 300, crashed) == (True, "replica 1 crashes")
    world.run(300_000 + SOME_US)
    assert world.hosts[ONE].running is not None


@pytest.mark.parametrize("how", [{"fuse": 10_000}, {"sent": 0}], ids=["in a round", "after one"])
def test_a_crash_that_never_came_is_called_off(how: dict[str, int]) -> None:
    """Nothing is left to do at 500 ms."""
    world, recording = a_world(Crash(at=500, until=502, replica=ONE, **how))
    world.run(502_000 + SOME_US)
    host: Host = world.hosts[ONE]

    assert (host.disk.fuse, host.die_after, host.downs) == (0, -1, 0)
    assert told(recording)[-1] == (502, "over: replica 1 did not crash")
    world.run(1_000_000)
    assert (world.counts["crashes"], starts(recording, ONE)) == (0, [0])


@pytest.mark.parametrize("first", [{"fuse": 10_000}, {"sent": 0}, {}], ids=["in a round", "after one", "at once"])
@pytest.mark.parametrize(("begins", "ends"), [(505, 520), (505, 510), (500, 540)])
def test_of_crashes_that_wait_for_a_round_the_newest_does_and_no_other_ends_it(
    first: dict[str, int], begins: int, ends: int
) -> None:
    """Nothing is left to do at 500 ms."""
    older = Crash(at=begins - 2, until=ends, replica=ONE, **first)
    newer = Crash(at=begins + 1, until=530, replica=ONE, fuse=20_000)
    world, _ = a_world(older, newer)
    host = world.hosts[ONE]
    if not first:
        world.run(1_000 * ends + 300_000)
        assert host.running is not None
        assert (host.disk.fuse, host.die_after, host.downs) == (0, -1, 0), (
            "who was down when it began does not die of it"
        )
        return

    world.run(1_000 * min(ends, 530) - SOME_US)
    assert (host.disk.fuse, host.die_after) == (20_000, -1)
    world.run(1_000 * min(ends, 530) + SOME_US)
    assert host.disk.fuse == (20_000 if ends < 530 else 0)
    world.run(540_000 + SOME_US)
    assert (host.disk.fuse, host.die_after, host.downs) == (0, -1, 0)


@pytest.mark.parametrize(
    ("left", "peers", "clients", "where"),
    [
        (-1, 2, 2, ""),
        (0, 0, 0, BEFORE_SENDING),
        (1, 1, 0, WHILE_SENDING),
        (2, 2, 0, WHILE_SENDING),
        (3, 2, 1, WHILE_SENDING),
        (4, 2, 2, AFTER_SENDING),
        (9, 2, 2, AFTER_SENDING),
    ],
)
def test_who_dies_while_it_sends_has_sent_the_first_frames_those_to_replicas_before_those_to_clients(
    left: int, peers: int, clients: int, where: str
) -> None:
    host = Host(ONE, 300, 1, die_after=left)
    finished = Round(to_peers=[(ONE, b"1"), (TWO, b"2")], to_clients=[(b"a", b"3"), (b"b", b"4")])

    assert host.leaves(finished) == (finished.to_peers[:peers], finished.to_clients[:clients], where)
    assert host.leaves(Round()) == ([], [], AFTER_SENDING if left >= 0 else "")


def test_jumps_of_a_clock_add_up_and_each_is_taken_back() -> None:
    world, _ = a_world(Jump(at=10, until=40, replica=ONE, by_ms=500), Jump(at=20, until=30, replica=ONE, by_ms=-3_000))

    found = [world.hosts[ONE].clock(now) - START_MS - now // 1_000 for now in at(world, 10, 20, 30, 40)]

    assert found == [0, 500, 500, -2_500, -2_500, 500, 500, 0]
    assert world.hosts[TWO].jump_ms == 0


def test_who_is_slow_takes_longer_for_each_round_for_a_while() -> None:
    world, _ = a_world(Slow(at=10, until=30, replica=ONE, round_us=7_000), round_us=300)

    assert [world.hosts[ONE].round_us for _ in at(world, 10, 30)] == [300, 7_000, 7_000, 300]
    assert world.hosts[TWO].round_us == 300


def test_of_storms_that_overlap_the_newest_rages_and_the_last_to_end_gives_the_weather_back() -> None:
    usual, first, second = Weather(delay_us=700), Weather(loss=0.5), Weather(delay_us=9_000)
    storms = Storm(at=10, until=30, weather=first), Storm(at=20, until=40, weather=second)
    world, _ = a_world(*storms, weather=usual)  # type: ignore[arg-type]

    found = [world.network.weather for _ in at(world, 10, 20, 30, 40)]
    assert found == [usual, first, first, second, second, second, second, usual]

    world, _ = a_world(Storm(at=10, until=40, weather=first), Storm(at=20, until=30, weather=second), weather=usual)  # type: ignore[arg-type]
    found = [world.network.weather for _ in at(world, 10, 20, 30, 40)]
    assert found == [usual, first, first, second, second, first, first, usual]


def test_of_slow_times_of_one_replica_the_newest_counts_and_each_ends_alone() -> None:
    faults = (
        Slow(at=10, until=40, replica=ONE, round_us=7_000),
        Slow(at=20, until=30, replica=ONE, round_us=2_000),
        Slow(at=25, until=50, replica=TWO, round_us=4_000),
    )
    world, _ = a_world(*faults, round_us=300)

    found = [(world.hosts[ONE].round_us, world.hosts[TWO].round_us) for _ in at(world, 20, 30, 40, 50)]

    first = [(7_000, 300), (2_000, 300), (2_000, 4_000), (7_000, 4_000), (7_000, 4_000), (300, 4_000)]
    assert found == [*first, (300, 4_000), (300, 300)]


def test_the_round_that_a_slow_replica_is_in_ends_with_the_fault() -> None:
    """Else the fault would outlive its end, and healing, by a round (seed 86014). The late end of it is void."""
    world, _ = a_world(Slow(at=10, until=30, replica=ONE, round_us=900_000), round_us=300)
    host = world.hosts[ONE]
    begun: list[int] = []
    handled: list[int] = []

    def arrives() -> None:
        begun.append(world.now)
        world._input(host, lambda running, now: handled.append(world.now))

    world.run(20_000)
    arrives()
    assert (host.has_round, host.free_at) == (True, 920_000)
    world.run(29_999)
    assert handled == []
    world.run(30_300)
    assert handled == [30_300]
    world.run(919_900)
    arrives()
    assert host.free_at == 920_200
    world.run(920_000)
    assert handled == [30_300], "the round of then is over: its end does not end another"
    world.run(920_200)
    assert (begun, handled) == ([20_000, 919_900], [30_300, 920_200])


def test_a_round_that_would_end_sooner_anyway_ends_when_it_would() -> None:
    world, _ = a_world(Slow(at=10, until=30, replica=ONE, round_us=900), round_us=300)
    host = world.hosts[ONE]
    world.run(29_900)
    world._input(host, lambda running, now: None)
    world.run(30_000)
    assert (host.has_round, host.free_at) == (True, 30_300)

    world, _ = a_world(Slow(at=10, until=30, replica=ONE, round_us=900), round_us=300)
    host = world.hosts[ONE]
    world.run(29_300)
    world._input(host, lambda running, now: None)
    world.run(30_000)
    assert (host.has_round, host.free_at) == (True, 30_200)
