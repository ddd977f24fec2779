"""The links of a plan: where machines are, how messages of each distribution are delayed, what lines carry."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from statistics import mean
from typing import Any

import pytest

from bftledger.sim.links import QUANTILES, Links

NEAR_AND_FAR = Links(regions=(0, 0, 1, 1), delays_us=((300, 80_000), (90_000, 400)))
CHANCE = Random(1)


def jitters(count: int = 20_000, **values: Any) -> Sequence[int]:
    """What so many messages take longer, in ascending order."""
    links = replace(NEAR_AND_FAR, **values)
    chance = Random(1)
    return sorted(links.delay_us(0, 1, chance) - 300 for _ in range(count))


def test_each_ordered_pair_of_regions_has_its_delay() -> None:
    pairs = (0, 1), (0, 2), (3, 1), (2, 3)

    assert [NEAR_AND_FAR.delay_us(a, b, CHANCE) for a, b in pairs] == [300, 80_000, 90_000, 400]


def test_clients_are_where_the_replicas_of_their_numbers_are_and_go_round() -> None:
    assert [NEAR_AND_FAR.region(-1 - client) for client in range(6)] == [0, 0, 1, 1, 0, 0]
    assert NEAR_AND_FAR.delay_us(-3, 0, CHANCE) == 90_000
    assert NEAR_AND_FAR.delay_us(0, -3, CHANCE) == 80_000


def test_what_has_no_jitter_draws_nothing() -> None:
    chance = Random(1)
    NEAR_AND_FAR.delay_us(0, 1, chance)

    assert chance.getstate() == Random(1).getstate()


def test_exponential_jitter() -> None:
    found = jitters(jitter="exponential", jitter_us=1_000, most_us=1_000_000)

    assert mean(found) == pytest.approx(1_000, rel=0.05)
    assert found[10_000] == pytest.approx(693, rel=0.05)


def test_uniform_jitter() -> None:
    found = jitters(jitter="uniform", jitter_us=1_000, most_us=1_000_000)

    assert mean(found) == pytest.approx(1_000, rel=0.05)
    assert found[5_000] == pytest.approx(500, rel=0.05)
    assert 1_990 < found[-1] < 2_000


def test_pareto_jitter_has_a_heavy_tail() -> None:
    """The quantiles are (1-p)^(-1/1.2) - 1: 0.78 at a half, 45 at 99 %, 315 at 99.9 %."""
    found = jitters(jitter="pareto", jitter_us=1_000, most_us=10_000_000)

    assert found[10_000] == pytest.approx(780, rel=0.05)
    assert found[19_800] == pytest.approx(45_400, rel=0.2)
    assert found[19_980] == pytest.approx(315_000, rel=0.5)


@pytest.mark.parametrize("name", QUANTILES)
def test_no_jitter_is_longer_than_the_most(name: str) -> None:
    found = jitters(jitter=name, jitter_us=1_000, most_us=1_500)

    assert found[-1] == 1_500
    assert replace(NEAR_AND_FAR, jitter=name, jitter_us=1_000, most_us=1_500).longest_us == 90_000 + 1_500


@pytest.mark.parametrize("name", QUANTILES)
def test_the_larger_the_step_of_chance_the_longer_the_jitter(name: str) -> None:
    steps = [QUANTILES[name](step) for step in range(0, 1 << 12, 64)]

    assert steps == sorted(steps)
    assert steps[0] < 10


def test_only_regions_with_a_machine_count_for_the_longest() -> None:
    assert replace(NEAR_AND_FAR, regions=(0, 0, 0, 0)).longest_us == 300


def test_the_links_of_fewer_machines_are_those_of_the_ones_that_are_left() -> None:
    links = replace(NEAR_AND_FAR, up=(1, 2, 3, 4), down=(5, 6, 7, 8))

    left = links.of([0, 2, 3])

    assert (left.regions, left.up, left.down) == ((0, 1, 1), (1, 3, 4), (5, 7, 8))
    assert left.delays_us == links.delays_us
    assert NEAR_AND_FAR.of([3]).up == ()


def test_they_are_told_in_one_line() -> None:
    links = replace(
        NEAR_AND_FAR, jitter="pareto", jitter_us=10, most_us=50_000, up=(100,) * 4, down=(100, 400, 400, 400)
    )

    assert str(links) == ("2 regions, 0.3 to 90 ms one way, up to 50 ms more (pareto), lines of 100 to 400 bytes/ms")
    assert str(Links(regions=(0,) * 4, delays_us=((1_000,),))) == "1 region, 1 ms one way"


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({"regions": (0, 0, 1)}, "links.regions are 4"),
        ({"regions": (0, 0, 1, 2)}, "links.regions are 4"),
        ({"regions": (0, 0, 1, -1)}, "whole numbers"),
        ({"delays_us": ((1, 2), (3,))}, "as many columns as rows"),
        ({"delays_us": ((1, 2), (3, 0.5))}, "whole numbers"),
        ({"up": (1, 2)}, "links.up and links.down are empty, or have 4"),
        ({"down": (1, 2, 3, 0)}, "links.up and links.down are empty, or have 4"),
        ({"jitter": "gamma"}, "links.jitter is one of exponential, pareto, uniform"),
    ],
)
def test_what_no_run_can_have_is_said(changes: dict[str, Any], objection: str) -> None:
    assert NEAR_AND_FAR.objections(4) == []

    (found,) = replace(NEAR_AND_FAR, **changes).objections(4)
    assert objection in found
