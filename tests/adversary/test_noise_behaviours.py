"""Replicas that make noise: what means nothing is dropped, what nobody needs is ignored, and all is counted."""

import pytest

from bftledger.adversary.behaviours import noise
from bftledger.adversary.catalogue import parse
from bftledger.base.ids import Seq
from bftledger.pbft.effects import Ignored
from tests.adversary.storms import storm
from tests.adversary.traitors import a_group_with, colluding, dropped, honest, ignored, lens, views, work
from tests.engine.engines import Engines

ALL = [behaviour.name for behaviour in noise.BEHAVIOURS]


@pytest.mark.parametrize("behaviour", ALL)
@pytest.mark.parametrize("traitor", [0, 2])
@pytest.mark.parametrize("n", [4, 7])
def test_noise_costs_nobody_a_view(behaviour: str, traitor: int, n: int) -> None:
    group = a_group_with(behaviour, traitor=traitor, n=n)
    work(group, 4)

    assert lens(group, traitor).lies[behaviour] > 0
    assert set(views(group)) == {0}


@pytest.mark.parametrize("behaviour", ALL)
@pytest.mark.parametrize("seed", range(2))
def test_the_group_gets_over_bad_weather_with_noise(behaviour: str, seed: int) -> None:
    group = a_group_with(behaviour, traitor=1, seed=seed)
    group.loss = 0.05
    storm(group, spells=4, seed=20 + seed)


def test_noise_of_two_kinds_changes_nothing() -> None:
    traitors = {1: [parse("garbage")], 4: [parse("flood"), parse("echo")]}
    storm(Engines(7, traitors=traitors), spells=2, seed=1)


def test_garbage_is_dropped_and_changes_nothing() -> None:
    group = a_group_with("garbage:30", traitor=2)
    work(group)
    shown = lens(group, 2).lies["garbage"]

    assert dropped(group)["Malformed"] > shown // 2
    assert views(group) == [0, 0, 0]


def test_votes_for_everything_there_is_fill_no_log() -> None:
    """§4.2: a message is accepted if its sequence number is "between a low water mark, h, and a high water mark, H"."""
    group = a_group_with("flood:100", traitor=2)
    work(group, 4)

    counted = ignored(group)
    assert counted[Ignored.ABOVE_WATERMARK] > 0
    assert counted[Ignored.BELOW_WATERMARK] > 0
    states = [group.engine(i).replica.state for i in honest(group)]
    assert all(len(state.slots) <= group.settings.window for state in states)
    early = [len(kept) for state in states for kept in state.early.values()]
    assert 0 < max(early) <= group.settings.pipeline, "some are kept that may come in useful soon"


def test_what_one_replica_says_twice_for_a_slot_counts_once() -> None:
    group = a_group_with("flood:200", traitor=2)
    work(group, 4)

    assert ignored(group)[Ignored.CONFLICTING] > 0
    for i in honest(group):
        for slot in group.engine(i).replica.state.slots.values():
            assert not slot.committed or slot.seq <= Seq(group.hosts[i].height)


def test_a_message_counts_only_if_its_sender_brings_it() -> None:
    group = colluding(["echo"], traitors=[2, 5], n=7)
    work(group)

    assert dropped(group)["NotItsSender"] > 0
    assert set(views(group)) == {0}
