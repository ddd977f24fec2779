"""What has expired before it is ordered: nobody's work, and in nobody's way (not in OSDI'99).

The door judges by the time of the last block, which is as old as an agreement takes; so some of what it lets in can be
in no later block. Whoever submits many such would fill batches that hold nothing, and make honest primaries look idle.
"""

import pytest

from bftledger.base.ids import Millis, ReplicaId, View
from bftledger.base.transaction import Transaction
from bftledger.pbft.events import Submitted, Withdrawn
from bftledger.pbft.messages import Message, PrePrepare, Relay
from bftledger.pbft.passing import START, Passing
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import BatchTimer, StatusTimer
from bftledger.pbft.waiting import Waiting
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


def a_waiting(*transactions: Transaction, batch: int = 2) -> Waiting:
    waiting = Waiting(Settings(batch_count=batch))
    for transaction in transactions:
        waiting.put(transaction, CLIENTS)
    return waiting


def test_what_is_set_aside_is_looked_at_no_more_and_fills_no_batch() -> None:
    """There may be thousands, and a primary looks at what waits at each step."""
    waiting = a_waiting(*(tx(f"{i}", expires=1) for i in range(50)))
    filled = waiting.fills_batch
    batch = waiting.batch(LATER)
    waiting.second(tx("0", expires=1).id, ReplicaId(2), 10)
    waiting.put(tx("1", expires=1), ReplicaId(2))

    assert filled
    assert batch == ()
    assert not waiting.fills_batch
    assert not waiting._all.parties, "nobody has a turn"
    assert len(waiting) == 50
    assert [each.payload for each in waiting.expired()] == [b"0", b"1"]


def test_what_was_set_aside_leaves_like_any_other() -> None:
    waiting = a_waiting(SOON, tx("pay bob"))
    waiting.batch(LATER)
    size = waiting.bytes

    assert waiting.remove(SOON.id) is SOON
    assert waiting.bytes == size - len(SOON.encoded)
    assert waiting.expired() == ()
    assert waiting.aside_bytes == 0
    assert waiting.remove(tx("pay bob").id) is not None
    assert (len(waiting), waiting.bytes, waiting.fills_batch) == (0, 0, False)


def test_a_clock_that_was_set_back_brings_it_back() -> None:
    waiting = a_waiting(SOON, tx("pay bob"))
    ahead = waiting.batch(LATER)
    right = waiting.batch(Millis(NOW))

    assert [each.payload for each in ahead] == [b"pay bob"]
    assert {each.payload for each in right} == {b"soon over", b"pay bob"}
    assert waiting.expired() == ()


def test_a_view_that_ends_forgets_what_was_set_aside() -> None:
    waiting = a_waiting(SOON)
    waiting.batch(LATER)
    waiting.clear()
    forgotten = waiting.expired()
    waiting.put(SOON, CLIENTS)

    assert forgotten == ()
    assert waiting.batch(Millis(NOW)) == (SOON,)


def test_what_a_view_that_ends_leaves_is_not_passed_on_to_the_next_primary() -> None:
    passing = Passing(Settings(), 4)
    passing.put(SOON, is_own=True)
    passed_on = passing.pass_on(START, LATER)
    is_kept = passing.has_more
    passing.clear()

    assert passed_on == ()
    assert (is_kept, passing.has_more) == (True, False)


@pytest.mark.parametrize("by", [None, 2])
def test_a_backup_whose_clock_was_set_back_passes_it_on(by: int | None) -> None:
    backup = a_replica(id=1)
    ahead = backup.take(Submitted((tx("pay bob"),)) if by is None else W.relay(by, "pay bob"), Millis(NOW + 70_000))
    right = backup.take(fired(StatusTimer()), Millis(NOW))

    assert sent(ahead, Relay) == []
    assert [each.payload for m in sent(right, Relay) for each in m.transactions] == [b"pay bob"]


def test_what_was_settled_meanwhile_is_not_passed_on_then() -> None:
    backup = a_replica(id=1)
    backup.take(Submitted((tx("pay bob"),)), Millis(NOW + 70_000))
    backup.take(Withdrawn((tx("pay bob").id,)), Millis(NOW + 70_000))

    assert not backup.state.pool.passing.has_more


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
    assert not backup.state.pool.passing.awaits_room(tx("pay bob"))
