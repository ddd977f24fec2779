"""Whom a client asks first, when the replica that it would like to ask has failed before."""

import pytest

from bftledger.base.ids import Millis, ReplicaId
from bftledger.ledger.client_messages import Submit
from tests.client.fake_group import FakeGroup, Rehearsal, alive_but, nothing

TIMEOUT_MS = 10_000


@pytest.fixture
def group() -> FakeGroup:
    return FakeGroup()


def submit_at(run: Rehearsal, now: int) -> ReplicaId:
    """Submits one more transaction; returns who was asked first."""
    run.now = Millis(max(run.now, now))
    run._perform(run.session.tick(run.now))
    asked_before = len(run.asked(Submit))
    run.run(run.session.submission(run.group.transaction(), TIMEOUT_MS))
    return ReplicaId(run.asked(Submit)[asked_before][1])


def test_primary_that_was_slow_once_is_asked_first_again(group: FakeGroup) -> None:
    group.behave[0] = None
    run = Rehearsal(group)
    assert submit_at(run, 0) == 0
    del group.behave[0]
    assert submit_at(run, 600) == 1
    submit_at(run, 3_000)  # along with it, all are asked for their view

    assert submit_at(run, 3_001) == 0


def test_primary_that_is_dead_is_not_asked_first_again(group: FakeGroup) -> None:
    group.behave[0] = None
    run = Rehearsal(group)

    assert [submit_at(run, second * 1_000) for second in range(60)] == [0] + 59 * [1]


def test_primary_that_is_alive_but_serves_no_client_is_asked_more_and_more_rarely(group: FakeGroup) -> None:
    group.behave[0] = alive_but(nothing)
    run = Rehearsal(group)
    first = [submit_at(run, second * 1_000) for second in range(60)]

    assert 2 <= first.count(ReplicaId(0)) <= 6
