"""What has expired before it is ordered: nobody's work, and in nobody's way (not in OSDI'99).

The door judges by the time of the last block, which is as old as an agreement takes; so some of what it lets in can be
in no later block. Whoever submits many such would fill batches that hold nothing, and make honest primaries look idle.
"""

from bftledger.base.ids import Millis, View
from bftledger.pbft.events import Submitted, Withdrawn
from bftledger.pbft.messages import Message, PrePrepare, Relay
from bftledger.pbft.timers import BatchTimer
from tests.builders import NOW, Writer, a_replica, delivered, fired, sent, tx

W = Writer()
SOON = tx("soon over", expires=1)
"""Of the last millisecond in which it can be in a block."""
LATER = Millis(NOW + 2)


def test_a_proposal_leaves_out_what_has_expired() -> None:
    """`normal`: "What has expired is not proposed, since the block would leave it out"."""
    primary = a_replica(id=0, pipeline=1).having(Submitted((tx("in flight"),)))
    primary.having(Submitted((SOON, tx("pay bob"))), *committed_first())
    effects = primary.take(delivered(1, "in flight"), LATER)

    assert [[each.payload for each in m.proposal.transactions] for m in sent(effects, PrePrepare) if m.proposal] == [
        [b"pay bob"]
    ]
    assert SOON.id in primary.state.pool


def committed_first() -> list[Message]:
    votes: list[Message] = [W.prepare(i, seq=1, of="in flight") for i in (1, 2)]
    return votes + [W.commit(i, seq=1, of="in flight") for i in (1, 2)]


def test_what_expires_with_the_time_of_the_proposal_is_in_it() -> None:
    effects = a_replica(id=0).take(Submitted((SOON, tx("pay bob"))), SOON.expires)

    assert [len(m.proposal.transactions) for m in sent(effects, PrePrepare) if m.proposal] == [2]


def test_if_nothing_else_waits_it_is_proposed_so_that_a_block_settles_it() -> None:
    """`normal`: "The next block settles it; if nothing else waits, that has to be made"."""
    effects = a_replica(id=0).take(Submitted((SOON,)), LATER)

    assert len(sent(effects, PrePrepare)) == 1


def test_no_second_block_is_made_for_it_while_one_is_in_flight() -> None:
    primary = a_replica(id=0).having(Submitted((tx("in flight"),)))
    primary.take(Submitted((SOON,)), LATER)
    in_flight = primary.take(fired(BatchTimer(View(0))), LATER)
    primary.having(*committed_first())
    over = primary.take(delivered(1, "in flight"), LATER)

    assert sent(in_flight, PrePrepare) == []
    assert len(sent(over, PrePrepare)) == 1, "unless the block before has settled it"


def test_what_that_block_has_settled_needs_none() -> None:
    primary = a_replica(id=0, pipeline=1).having(Submitted((tx("in flight"),)))
    primary.take(Submitted((SOON,)), LATER)
    primary.having(*committed_first(), Withdrawn((SOON.id,)))

    assert sent(primary.take(delivered(1, "in flight"), LATER), PrePrepare) == []


def test_it_is_not_passed_on_and_takes_no_room_at_the_primary() -> None:
    """`Passing.pass_on`: "until then it would take the room of others"."""
    backup = a_replica(id=1, batch_count=1)
    first = backup.take(Submitted((tx("first"),)), Millis(NOW))
    waiting = backup.take(Submitted((SOON, tx("pay bob"))), Millis(NOW))
    room = backup.take(W.pre_prepare(seq=1, of="first"), LATER)

    assert [len(sent(effects, Relay)) for effects in (first, waiting)] == [1, 0]
    assert [[each.payload for each in message.transactions] for message in sent(room, Relay)] == [[b"pay bob"]]
    assert SOON.id in backup.state.pool, "until a block settles it"


def test_neither_is_what_others_told() -> None:
    backup = a_replica(id=1)
    effects = backup.take(W.relay(2, "pay bob"), Millis(NOW + 60_001))

    assert sent(effects, Relay) == []
    assert not backup.state.pool.passing.has_more
