"""The network of a run: what is lost, copied, cut, delayed and overtaken, by the weather and by nothing else."""

from random import Random
from statistics import mean

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.sim.network import Network
from bftledger.sim.plan import Weather
from bftledger.sim.recording import Fate


def a_network(seed: int = 1, **weather: float | bool) -> Network:
    return Network(Weather(**{"delay_us": 500, **weather}), Random(seed))  # type: ignore[arg-type]


def arrivals(network: Network, times: int, source: int = 0, to: int = 1, apart_us: int = 0) -> list[list[int] | Fate]:
    """Of so many messages of 100 bytes, one after the other on one link."""
    return [network.send(source, to, 100, number * apart_us) for number in range(times)]


def first_copies(found: list[list[int] | Fate]) -> list[int]:
    return [arrives[0] for arrives in found if not isinstance(arrives, Fate)]


def links(*pairs: tuple[int, int]) -> tuple[tuple[ReplicaId, ReplicaId], ...]:
    return tuple((ReplicaId(a), ReplicaId(b)) for a, b in pairs)


# ── delay ──


def test_in_fair_weather_a_message_takes_its_delay_and_draws_nothing() -> None:
    network, chance = a_network(delay_us=700), Random(1)

    assert network.send(0, 1, 100, 40) == [740]
    assert network._chance.getstate() == chance.getstate()


def test_the_jitter_is_exponential_and_comes_on_top() -> None:
    """Mean 1,000; the median is 693, and one in a hundred is above 4,605."""
    found = sorted(at - 500 for at in first_copies(arrivals(a_network(jitter_us=1_000, in_order=False), 10_000)))

    assert mean(found) == pytest.approx(1_000, rel=0.05)
    assert found[5_000] == pytest.approx(693, rel=0.05)
    assert found[9_900] == pytest.approx(4_605, rel=0.1)
    assert found[0] < 10


# ── order ──


def test_messages_of_one_link_do_not_overtake_one_another_but_where_the_weather_says_so() -> None:
    in_order = first_copies(arrivals(a_network(jitter_us=5_000), 200, apart_us=100))
    free = first_copies(arrivals(a_network(jitter_us=5_000, in_order=False), 200, apart_us=100))

    assert in_order == sorted(in_order)
    assert free != sorted(free)
    assert all(at >= other for at, other in zip(in_order, free, strict=True)), "waiting for others is all it adds"


def test_messages_of_other_links_may_overtake_them() -> None:
    network = a_network(jitter_us=5_000)
    there = first_copies([network.send(0, 1, 100, 0) for _ in range(50)])

    assert max(there) > 15_000
    assert max(first_copies([network.send(1, 0, 100, 0), network.send(0, 2, 100, 0)])) < 15_000


# ── loss and copies ──


def test_so_many_messages_are_lost() -> None:
    found = arrivals(a_network(loss=0.3), 10_000)

    assert found.count(Fate.LOST) == pytest.approx(3_000, rel=0.05)
    assert all(fate is Fate.LOST for fate in arrivals(a_network(loss=1.0), 20))


def test_so_many_messages_arrive_twice_each_copy_in_its_own_time() -> None:
    found = arrivals(a_network(duplication=0.2, jitter_us=1_000, in_order=False), 10_000)
    twice = [arrives for arrives in found if not isinstance(arrives, Fate) and len(arrives) == 2]

    assert len(twice) == pytest.approx(2_000, rel=0.1)
    assert sum(first != second for first, second in twice) > 1_900
    assert all(not isinstance(arrives, Fate) and len(arrives) <= 2 for arrives in found)


def test_a_storm_changes_what_happens_from_then_on() -> None:
    network = a_network()
    assert arrivals(network, 3) == [[500]] * 3

    network.weather = Weather(loss=1.0)
    assert arrivals(network, 3) == [Fate.LOST] * 3


def test_the_same_chance_gives_the_same_fates_and_another_one_others() -> None:
    weather = {"loss": 0.2, "duplication": 0.2, "jitter_us": 900}

    assert arrivals(a_network(4, **weather), 100) == arrivals(a_network(4, **weather), 100)
    assert arrivals(a_network(4, **weather), 100) != arrivals(a_network(5, **weather), 100)


# ── cuts ──


def test_a_cut_is_of_the_links_that_it_names_and_of_one_direction() -> None:
    network = a_network()
    network.cut(links((0, 1), (-1, 2)))

    assert network.send(0, 1, 100, 0) is Fate.CUT
    assert network.send(-1, 2, 100, 0) is Fate.CUT
    assert [network.send(a, b, 100, 0) for a, b in ((1, 0), (2, -1), (0, 2), (-2, 2))] == [[500]] * 4


def test_a_link_that_is_cut_twice_is_cut_until_both_are_over() -> None:
    network = a_network()
    network.cut(links((0, 1), (1, 0)))
    network.cut(links((0, 1)))

    network.mend(links((0, 1), (1, 0)))
    assert network.send(0, 1, 100, 0) is Fate.CUT
    assert network.send(1, 0, 100, 0) == [500]
    network.mend(links((0, 1)))
    assert network.send(0, 1, 100, 0) == [500]


def test_what_is_cut_off_draws_nothing_and_takes_no_line() -> None:
    network = a_network(loss=0.5, bytes_per_ms=100)
    network.cut(links((0, 1)))
    before = network._chance.getstate()
    network.send(0, 1, 5_000, 0)

    assert network._chance.getstate() == before
    network.weather = Weather(bytes_per_ms=100)
    assert network.send(0, 2, 100, 0) == [1_500]


# ── bandwidth ──


def test_a_sender_sends_one_frame_after_the_other_at_its_pace() -> None:
    """100 bytes per millisecond: 400 bytes take 4 ms, and what comes meanwhile waits, whomever it is for."""
    network = a_network(bytes_per_ms=100)

    assert network.send(0, 1, 400, 0) == [4_500]
    assert network.send(0, 2, 100, 1_000) == [5_500]  # from 4 ms to 5 ms
    assert network.send(1, 2, 100, 1_000) == [2_500], "another sender has a line of its own"
    assert network.send(0, 1, 100, 9_000) == [10_500], "the line was free again"


def test_a_copy_is_sent_like_any_other_frame() -> None:
    network = a_network(bytes_per_ms=100, duplication=1.0)

    assert network.send(0, 1, 400, 0) == [4_500, 8_500]
