"""Duties: votes that are owed and never sent are missed, whatever the others do."""

from bftledger.check.duties import Duties
from tests.builders import TestedReplica, Writer, a_replica

W = Writer()


def a_prepared_backup() -> TestedReplica:
    """Replica 1 has accepted a proposal, and PREPAREs enough."""
    return a_replica(id=1).having(W.pre_prepare(), W.prepare(2))


def test_who_sends_both_votes_owes_nothing() -> None:
    duties, backup = Duties(), a_prepared_backup()
    assert duties.ended_round(backup.state) == []

    duties.said(W.prepare(1))
    duties.said(W.commit(1))

    assert duties.ended_round(backup.state) == []


def test_who_says_nothing_until_its_next_round_owes_both() -> None:
    duties, backup = Duties(), a_prepared_backup()
    duties.ended_round(backup.state)

    assert [str(found) for found in duties.ended_round(backup.state)] == [
        "duties: replica 1 never sent PREPARE for number 1 in view 0",
        "duties: replica 1 never sent COMMIT for number 1 in view 0",
    ]


def test_a_primary_owes_no_prepare_and_nobody_a_commit_before_it_is_prepared() -> None:
    duties = Duties()
    primary = a_replica(id=0).having(W.prepare(1), W.prepare(2))
    backup = a_replica(id=1).having(W.pre_prepare())
    duties.ended_round(primary.state)
    duties.ended_round(backup.state)
    duties.said(W.prepare(1))

    assert duties.ended_round(primary.state) == []
    assert duties.ended_round(backup.state) == []


def test_the_vote_of_another_view_or_number_is_not_the_one_that_is_owed() -> None:
    duties, backup = Duties(), a_prepared_backup()
    duties.ended_round(backup.state)
    for message in (W.prepare(1), W.commit(1, seq=2), W.commit(1, view=4), W.commit(2)):
        duties.said(message)

    (found,) = duties.ended_round(backup.state)

    assert "COMMIT for number 1 in view 0" in found.text


def test_what_a_restart_brings_back_is_not_owed() -> None:
    duties, backup = Duties(), a_prepared_backup()
    duties.ended_round(backup.state)

    duties.began(backup.state)

    assert duties.ended_round(backup.state) == []
    assert duties.ended_round(backup.state) == []
