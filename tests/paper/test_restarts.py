"""A restarted replica keeps its promises: what it signed before the crash it knows before it signs anything else."""

import random
from collections.abc import Iterator
from typing import Any

from bftledger.base.ids import Millis, Seq, View
from bftledger.pbft.effects import Deliver, Ignore, Ignored, Persist, StartTimer
from bftledger.pbft.events import Started, Submitted
from bftledger.pbft.messages import Commit, Message, NewView, Prepare, PrePrepare, Record, ViewChange
from bftledger.pbft.timers import BatchTimer, RequestTimer
from tests.builders import GENESIS_BLOCK, TestedReplica, Writer, a_replica, delivered, fired, only, sent, tx
from tests.cluster import Cluster

W = Writer()


def restarted(id: int, *past: Message | Any, shuffle: int = 0) -> TestedReplica:
    """Replica `id` with this past, after a crash, from what it persisted, in any order."""
    before = a_replica(id=id)
    records: list[Record] = [effect.record for event in past for effect in only(before.take(event), Persist)]
    random.Random(shuffle).shuffle(records)
    after = a_replica(id=id)
    executed, block = before.state.executed, before.state.executed_hash
    after.recover(records, executed=executed, executed_hash=block, certificate=before.state.stable)
    after.take(Started())
    return after


def prepared() -> Iterator[Message]:
    yield W.pre_prepare()
    yield W.prepare(2)


def test_a_replica_without_a_past_starts_in_view_0() -> None:
    replica = restarted(1)

    assert (replica.state.view, replica.state.active, replica.state.executed_hash) == (0, True, GENESIS_BLOCK)


def test_a_restarted_backup_accepts_no_other_proposal_for_a_slot() -> None:
    backup = restarted(1, W.pre_prepare(of="pay bob"))
    effects = backup.take(W.pre_prepare(of="pay eve"))

    assert sent(effects, Prepare) == []
    assert [change.view for change in sent(effects, ViewChange)] == [1]


def test_a_restarted_backup_is_where_it_was() -> None:
    for shuffle in range(10):
        slot = restarted(1, *prepared(), shuffle=shuffle).state.slots[Seq(1)]

        assert slot.prepared
        assert slot.certificate is not None
        assert sorted(slot.commits) == [1]


def test_a_restarted_backup_goes_on_to_commit() -> None:
    backup = restarted(1, *prepared()).having(W.commit(0))
    effects = backup.take(W.commit(2))

    assert any(isinstance(effect, Deliver) for effect in effects)


def test_a_restarted_primary_assigns_no_number_twice() -> None:
    primary = restarted(0, Submitted((tx("pay bob"),)))
    primary.take(W.relay(1, "pay eve"))
    effects = primary.take(fired(BatchTimer(View(0))))

    assert sent(effects, PrePrepare) == [W.pre_prepare(seq=2, of="pay eve")]
    assert primary.state.slots[Seq(1)].pre_prepare == W.pre_prepare(of="pay bob")


def test_what_was_in_flight_is_pending_after_the_restart() -> None:
    """So the restarted replica watches its primary as it did before."""
    backup = restarted(1, W.pre_prepare())

    assert tx("pay bob").id in backup.state.pool
    assert backup.state.watched == (View(0), tx("pay bob").id)


def test_a_restarted_replica_accuses_nobody_before_it_heard_a_quorum() -> None:
    """It would leave its view alone, because the others started later than it did."""
    backup = restarted(1, W.pre_prepare())
    timer = RequestTimer(View(0), tx("pay bob").id, relayed=True)
    alone = backup.take(fired(timer))
    backup.take(W.status(2))
    effects = backup.take(W.status(3))

    assert sent(alone, ViewChange) == []
    assert StartTimer(RequestTimer(View(0), tx("pay bob").id, relayed=False), Millis(250)) in effects
    assert sent(backup.take(fired(timer)), ViewChange) == [], "the primary has the whole time from now on"
    backup.having(W.status(2), W.status(3), W.status(2), W.status(3))
    assert [change.view for change in sent(backup.take(fired(timer)), ViewChange)] == [1]


def test_a_restarted_replica_does_not_return_to_a_view_it_left() -> None:
    backup = restarted(1, *prepared(), W.pre_prepare(seq=5, of="one"), W.pre_prepare(seq=5, of="another"))

    assert (backup.state.view, backup.state.active) == (1, False)
    assert backup.take(W.commit(2)) == (Ignore(Ignored.STALE_VIEW),)
    assert sent(backup.take(W.status(3)), ViewChange) == [W.view_change(1, prepared=[W.prepared()])]


def test_a_restarted_replica_is_in_the_view_that_began() -> None:
    changes = [W.view_change(0), W.view_change(1, prepared=[W.prepared()]), W.view_change(3)]
    for shuffle in range(10):
        backup = restarted(2, W.pre_prepare(), W.new_view(changes), shuffle=shuffle)

        assert (backup.state.view, backup.state.active) == (1, True)
        assert sent(backup.take(W.status(3)), NewView) == [W.new_view(changes)]
        assert sent(backup.take(W.prepare(3, view=1)), Commit) == [W.commit(2, view=1)]


def test_a_restarted_replica_still_lacks_what_the_new_view_assigned() -> None:
    changes = [W.view_change(0), W.view_change(1, prepared=[W.prepared()]), W.view_change(3)]
    backup = restarted(2, W.new_view(changes))

    assert sent(backup.take(W.proposed(1)), Prepare) == [W.prepare(2, view=1)]


def test_a_restarted_new_primary_sends_the_new_view_it_made() -> None:
    primary = restarted(1, W.view_change(2), W.view_change(3))
    (message,) = sent(primary.take(W.status(3)), NewView)

    assert primary.state.is_primary
    assert [change.replica for change in message.view_changes] == [1, 2, 3]


def test_a_restarted_replica_sends_the_checkpoint_of_the_last_block_again() -> None:
    backup = restarted(1, *prepared(), W.commit(0), W.commit(2), delivered(1, "pay bob"))

    assert (backup.state.executed, backup.state.low) == (1, 0)
    assert backup.state.slots[Seq(1)].checkpoints == {1: W.checkpoint(1)}


def test_everybody_crashes_at_once_and_nothing_is_lost_or_done_twice() -> None:
    cluster = Cluster(4, seed=7)
    transactions = [tx(f"tx {i}") for i in range(12)]
    for i, transaction in enumerate(transactions):
        cluster.submit(i % 4, transaction)
        cluster.run(2)
        if i % 4 == 3:
            for id in range(4):
                cluster.crash(id)
            for id in range(4):
                cluster.start(id)
    for transaction in transactions:
        cluster.submit(1, transaction)

    assert cluster.run(20_000, lambda: cluster.have_executed(*transactions))
    assert all(node.store.hashes == cluster.chain for node in cluster.nodes)
