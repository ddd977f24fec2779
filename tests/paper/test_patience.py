"""For how long a primary may let wait what others overtake, and from when on that counts (not in OSDI'99).

`suspicion.patience` is the most that may be ordered before what the primary was given; no work excuses more. Here each
transaction makes a batch, and costs 1 MiB in turns.
"""

import pytest

from bftledger.base.ids import Seq
from bftledger.pbft.events import Installed, Submitted, Withdrawn
from bftledger.pbft.messages import Relay, ViewChange
from bftledger.pbft.rooms import Load
from bftledger.pbft.suspicion import BATCH, patience, works_off
from bftledger.pbft.timers import StatusTimer
from tests.builders import TestedReplica, Writer, a_replica, block_hash, fired, sent, tx
from tests.paper.test_liveness import heard, ordered, timer

W = Writer()
MEBIBYTE = 1 << 20


def most_before(backup: TestedReplica) -> int:
    """So many may come before one transaction from here."""
    return patience(backup.state, MEBIBYTE) // MEBIBYTE


def one_by_one(first: int, last: int) -> list[Installed]:
    """They were fetched each alone."""
    return [installed(seq, seq) for seq in range(first, last + 1)]


def installed(first: int, last: int) -> Installed:
    """Blocks of one transaction each were fetched."""
    loads = (Load(1, 200),) * (last - first + 1)
    return Installed(Seq(last), block_hash(last), (), loads, W.certificate(last))


# ── what was fetched ──


def test_fetched_blocks_that_the_new_view_carried_over_do_not_count_as_taken() -> None:
    """`State.taken`: "What primaries had decided that waited in their own pools: not what a new view carried over"."""
    left = [W.prepared(seq=seq, of=f"left {seq}") for seq in range(1, 41)]
    backup = a_replica(id=3, batch_count=1, pool_count=1, pipeline=1)
    backup.having(W.relay(2, "pay bob"), W.new_view([W.view_change(i, prepared=left) for i in (0, 1, 2)]))
    backup.having(installed(1, 40), *heard(but=3))
    carried_over = backup.state.taken
    effects = backup.take(fired(timer(view=1)))
    backup.having(installed(41, 43))

    assert most_before(backup) < 40
    assert sent(effects, ViewChange) == []
    assert (carried_over, backup.state.taken) == (0, 3 * MEBIBYTE)
    assert backup.state.work == 43 * BATCH, "but it was work, all of it"


@pytest.mark.parametrize("lags", [True, False])
def test_what_was_fetched_is_held_against_a_primary_by_who_was_never_cut_off(lags: bool) -> None:
    """`on_fetched`: "Else a primary that withholds one proposal or another from each backup in turn would be watched by
    none for long"."""
    backup = a_replica(id=1, batch_count=1, pool_count=1, pipeline=1).having(W.relay(2, "pay bob"))
    most = most_before(backup)
    if lags:
        backup.having(W.stable(2, W.certificate(most, by=(0, 2, 3))))
    backup.having(*heard(but=1))
    at_most = backup.having(*one_by_one(1, most)).take(fired(timer()))
    backup.having(installed(most + 1, most + 1))

    assert sent(at_most, ViewChange) == []
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1]


@pytest.mark.parametrize(("at_once", "leaves"), [(3, [1]), (4, [])])
def test_who_missed_more_at_once_than_can_be_in_flight_holds_nothing_of_it_against_the_primary(
    at_once: int, leaves: list[int]
) -> None:
    """`on_fetched`: "who missed more at once than a primary can have in flight does not hold that against it: most of
    it was ordered before"."""
    backup = a_replica(id=1, batch_count=1, pool_count=1, pipeline=1).having(W.relay(2, "pay bob"), *heard(but=1))
    most = most_before(backup)
    backup.having(*one_by_one(1, most))
    backup.having(installed(most + 1, most + at_once))

    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == leaves


def test_nor_does_it_excuse_what_came_before() -> None:
    """`on_fetched`: "No more is excused, or it would be of use to a primary to make each backup miss so much now and
    then"."""
    backup = a_replica(id=1, batch_count=1, pool_count=1, pipeline=1).having(W.relay(2, "pay bob"), *heard(but=1))
    most = most_before(backup)
    backup.having(*one_by_one(1, most), installed(most + 1, most + 40))
    still = backup.take(fired(timer()))
    backup.having(installed(most + 41, most + 41))

    assert sent(still, ViewChange) == []
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1]


def test_what_was_fetched_after_being_cut_off_is_held_against_nobody_until_a_block_is_decided_here() -> None:
    """`State.excused`: "Nothing that was left undone before counts: this replica was cut off, or fetched what it had
    missed then"."""
    backup = a_replica(id=1, batch_count=1, pool_count=1, pipeline=1).having(W.relay(2, "pay bob"))
    backup.having(fired(timer(relayed=False)), fired(timer()))
    cut_off = backup.state.cut_off
    backup.having(*heard(but=1), *heard(but=1), installed(1, 40))
    assert sent(backup.take(fired(timer())), ViewChange) == []
    for seq in range(41, 41 + most_before(backup)):
        ordered(backup, f"other {seq}", seq=seq)
    still = backup.take(fired(timer()))
    ordered(backup, "one more", seq=41 + most_before(backup))

    assert cut_off
    assert not backup.state.alone
    assert sent(still, ViewChange) == []
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1]


def test_time_that_passed_while_what_was_missed_was_fetched_is_held_against_nobody() -> None:
    backup = a_replica(id=1).having(W.relay(2, "pay bob"), fired(timer(relayed=False)), fired(timer()))
    backup.having(*heard(but=1))
    back = [sent(backup.take(fired(StatusTimer())), ViewChange) for _ in range(8)]
    backup.having(installed(1, 1))
    since = [sent(backup.take(fired(StatusTimer())), ViewChange) for _ in range(11)]

    assert [*back, *since[:-1]] == [[]] * 18
    assert [change.view for change in since[-1]] == [1], "2T after the first block that it fetched"


# ── what was not passed on yet ──


def awaiting_room() -> TestedReplica:
    """A backup whose room at the primary has one place. What Alice submits second has waited longest and was not passed
    on: it is Bob's turn."""
    backup = a_replica(id=1, batch_count=1, pool_count=16, pipeline=1, window=300)
    passed_on = backup.take(Submitted((tx("first"), tx("second"), tx("bob's", sender="bob"))))
    ordered(backup, "first", seq=1)
    pool = backup.state.pool
    assert sent(passed_on, Relay) == [W.relay(1, "first")]
    assert pool.passing.passed_on() == {tx("bob's", sender="bob").id}
    assert pool.oldest() == tx("second")
    return backup.having(*heard(but=1))


def test_what_awaits_room_at_the_primary_excuses_it_with_enough_work_however_much_comes_first() -> None:
    """`works_off`: "what came before it from here waits for the primary, and is watched itself"."""
    backup = awaiting_room()
    most = most_before(backup)
    for seq in range(2, most + 10):
        ordered(backup, f"other {seq}", seq=seq)
        backup.having(*(W.checkpoint(i, seq=seq) for i in (0, 2)))
        assert sent(backup.take(fired(timer(of="second"))), ViewChange) == []

    assert backup.state.pool.passing.awaits_room(tx("second"))
    assert works_off(backup.state) is False, "since then it has done nothing"
    assert [change.view for change in sent(backup.take(fired(timer(of="second"))), ViewChange)] == [1]


def test_what_was_passed_on_late_is_judged_from_then() -> None:
    backup = awaiting_room()
    most = most_before(backup)
    for seq in range(2, 12):
        ordered(backup, f"other {seq}", seq=seq)
    backup.having(Withdrawn((tx("bob's", sender="bob").id,)), *heard(but=1))
    assert tx("second").id in backup.state.pool.passing.passed_on()
    excused = 0
    for seq in range(12, 12 + 2 * most):
        ordered(backup, f"other {seq}", seq=seq)
        backup.having(*(W.checkpoint(i, seq=seq) for i in (0, 2)))
        if sent(backup.take(fired(timer(of="second"))), ViewChange):
            break
        excused += 1

    assert excused == most
