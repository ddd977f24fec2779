"""Who takes turns with whom: start-time fair queueing (SIGCOMM'96; not in OSDI'99), and where it ends.

At a primary clients take turns in its batches, and so do replicas with what they pass on. What backups pass on is in
`test_passing`.
"""

from collections import Counter
from collections.abc import Iterable

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Queue, Turns
from bftledger.pbft.waiting import Waiting
from tests.builders import BEGINNING, tx

PAYLOAD = 10
SIZE = len(tx("0", sender="client 0", size=PAYLOAD).encoded)


def each(who: int, count: int, *, first: int = 0) -> list[Transaction]:
    """So many of this client's, of `SIZE` each, in the order of their submission."""
    return [tx(f"{who} {i}", sender=f"client {who}", size=PAYLOAD) for i in range(first, first + count)]


def whose(transaction: Transaction) -> int:
    return int(transaction.payload.split()[0])


def texts(transactions: Iterable[Transaction]) -> list[str]:
    return [transaction.payload.decode().rstrip(".") for transaction in transactions]


def a_waiting(batch: int, *, slack: int = 0) -> Waiting:
    """In batches of so many transactions of `SIZE`, by their bytes; of `slack` more bytes."""
    return Waiting(Settings(batch_bytes=batch * SIZE + slack))


def next_batch(waiting: Waiting) -> tuple[Transaction, ...]:
    """It is proposed."""
    batch = waiting.batch(BEGINNING)
    for transaction in batch:
        waiting.remove(transaction.id)
    return batch


def differ_by(got: Counter[int], parties: int) -> int:
    return max(got[i] for i in range(parties)) - min(got[i] for i in range(parties))


# ── nobody gets two turns for one ──


@pytest.mark.parametrize("by", ["clients", "replicas"])
@pytest.mark.parametrize(("batch", "slack"), [(1, 0), (1, SIZE // 2), (2, SIZE // 2), (3, 0), (4, 0), (5, 1), (15, 0)])
def test_primary_gives_no_party_two_turns_for_one(batch: int, slack: int, by: str) -> None:
    """`Turns`: "Whose head was not taken for want of room: it comes first, once, and pays for it like any other"."""
    waiting = a_waiting(batch, slack=slack)
    for who in range(3):
        for transaction in each(who, 8 * batch):
            waiting.put(transaction, CLIENTS if by == "clients" else ReplicaId(who))
    got: Counter[int] = Counter()
    apart = []
    for _ in range(20):
        got.update(map(whose, next_batch(waiting)))
        apart.append(differ_by(got, 3))

    assert got.total() == 20 * batch
    assert max(apart) <= 1


@pytest.mark.parametrize(("batch", "slack"), [(1, 0), (2, SIZE // 2), (3, 0), (4, 0), (7, 0)])
def test_clients_together_take_turns_with_each_replica_and_each_client_with_the_others(batch: int, slack: int) -> None:
    """`waiting`: "Clients of this replica take turns among themselves; all of them together with each other replica's
    relays"."""
    waiting = a_waiting(batch, slack=slack)
    for who, count in ((0, 20), (1, 20), (2, 20), (3, 50), (4, 50)):
        for transaction in each(who, count):
            waiting.put(transaction, CLIENTS if who < 3 else ReplicaId(who))
    got: Counter[int] = Counter()
    apart = []
    for _ in range(120 // batch):
        got.update(map(whose, next_batch(waiting)))
        together = [got[0] + got[1] + got[2], got[3], got[4]]
        apart += [differ_by(got, 3), max(together) - min(together)]

    assert max(apart) <= 1


def queue(*transactions: Transaction) -> Queue:
    made = Queue()
    made.waiting.update({transaction.id: transaction for transaction in transactions})
    return made


def order(turns: Turns[str], most: int) -> list[str]:
    """Takes so many, in turns; what was next is refused."""
    taken: list[Transaction] = []
    turns.begin()
    while (head := turns.head) is not None:
        if len(taken) == most:
            turns.refuse()
            break
        taken.append(head)
        turns.advance()
    for transaction in taken:
        for source in turns.parties.values():
            assert isinstance(source, Queue)
            source.waiting.pop(transaction.id, None)
    return texts(taken)


def test_who_was_refused_comes_first_even_before_who_has_just_come_but_once() -> None:
    """`Turns.refuse`: "The head is not taken, and there is no more room: the next time it comes first"."""
    turns: Turns[str] = Turns(1)
    turns.enter("refused", queue(*each(0, 5)))
    first = order(turns, 1)
    turns.enter("newcomer", queue(*each(1, 5)))
    then = order(turns, 2)

    assert first == ["0 0"]
    assert then == ["0 1", "1 0"]
    assert order(turns, 4) == ["0 2", "1 1", "0 3", "1 2"]


def test_who_was_refused_and_withdrew_comes_back_like_any_newcomer() -> None:
    turns: Turns[str] = Turns(1)
    turns.enter("faithful", queue(*each(1, 4)))
    turns.enter("refused", queue(*each(0, 2)))
    first = order(turns, 1)
    turns.leave("refused")
    turns.enter("third", queue(*each(2, 2)))
    turns.enter("refused", queue(*each(0, 2)))

    assert first == ["1 0"]
    assert order(turns, 4) == ["2 0", "0 0", "1 1", "2 1"]


def test_refused_twice_is_refused_no_more_than_once() -> None:
    """At a backup nothing may have left in between."""
    turns: Turns[str] = Turns(1)
    for who in range(3):
        turns.enter(f"client {who}", queue(*each(who, 9)))
    orders = [order(turns, most) for most in (1, 0, 0, 3, 0, 2)]

    assert [what for taken in orders for what in taken] == ["0 0", "1 0", "2 0", "0 1", "1 1", "2 1"]


def test_nobody_saves_up_turns() -> None:
    """`turns`: "One that had nothing begins at the time of who was served last"."""
    waiting = a_waiting(2)
    for transaction in each(0, 20):
        waiting.put(transaction, CLIENTS)
    alone = [next_batch(waiting) for _ in range(5)]
    for transaction in each(1, 20):
        waiting.put(transaction, CLIENTS)
    together = Counter(whose(transaction) for _ in range(4) for transaction in next_batch(waiting))

    assert [texts(batch) for batch in alone[:2]] == [["0 0", "0 1"], ["0 2", "0 3"]]
    assert differ_by(together, 2) <= 1


# ── what several brought ──


def test_what_a_backup_passes_on_is_served_in_its_turn_though_a_client_brought_it_before() -> None:
    """`waiting`: "whoever passes on what somebody else has brought already waits no longer for it than for what is
    new"."""
    waiting = a_waiting(2)
    long = each(0, 50)
    for transaction in long:
        waiting.put(transaction, CLIENTS)
    next_batch(waiting)
    waiting.second(long[-1].id, ReplicaId(1), most=10)

    assert texts(next_batch(waiting)) == ["0 2", "0 49"]
    assert texts(next_batch(waiting)) == ["0 3", "0 4"], "its second turn would have come with it"


def test_what_a_client_brings_again_keeps_its_place_among_what_its_backup_passed_on() -> None:
    waiting = a_waiting(2)
    long = each(0, 50)
    for transaction in long[:-2]:
        waiting.put(transaction, CLIENTS)
    for transaction in long[-2:]:
        waiting.put(transaction, ReplicaId(1))
    first = next_batch(waiting)
    waiting.put(long[-1], CLIENTS)

    assert texts(first) == ["0 0", "0 48"]
    assert texts(next_batch(waiting)) == ["0 1", "0 49"]


def test_what_stands_in_two_queues_is_proposed_once_and_leaves_both() -> None:
    waiting = a_waiting(10)
    mine = each(0, 4)
    for transaction in mine:
        waiting.put(transaction, ReplicaId(1))
        waiting.second(transaction.id, ReplicaId(2), most=10)

    assert texts(next_batch(waiting)) == ["0 0", "0 1", "0 2", "0 3"]
    assert len(waiting) == 0
    assert waiting.seconded().total() == 0
    assert waiting.batch(BEGINNING) == ()


def test_nobody_has_more_of_what_others_brought_in_its_queue_than_it_may() -> None:
    waiting = a_waiting(1)
    theirs = each(0, 9)
    for transaction in theirs:
        waiting.put(transaction, CLIENTS)
        waiting.second(transaction.id, ReplicaId(1), most=3)

    assert waiting.seconded() == {ReplicaId(1): 3}
    for transaction in theirs[:2]:
        waiting.remove(transaction.id)
    waiting.second(theirs[-1].id, ReplicaId(1), most=3)
    assert waiting.seconded() == {ReplicaId(1): 2}


def test_nobody_owes_for_the_view_before() -> None:
    waiting = a_waiting(2)
    for who in (0, 1):
        for transaction in each(who, 6):
            waiting.put(transaction, CLIENTS)
    for _ in range(2):
        next_batch(waiting)
    left = sorted(waiting.all(), key=whose)
    waiting.clear()
    for transaction in left:
        waiting.put(transaction, CLIENTS)

    assert texts(left)[:2] == ["0 2", "0 3"]
    assert texts(next_batch(waiting)) == ["0 2", "1 2"]


# ── nobody gets a turn by coming back ──


@pytest.mark.parametrize("by", ["clients", "replicas"])
@pytest.mark.parametrize(("batch", "parties"), [(1, 3), (4, 9), (8, 9), (8, 21)])
def test_who_submits_one_after_the_other_gets_no_more_turns_than_who_has_a_queue(
    batch: int, parties: int, by: str
) -> None:
    """turns.py: "what has the cost c before it in its own queue waits at most until every other party was served for
    c, and for one transaction more"."""
    waiting = a_waiting(batch)
    coming = {who: each(who, 400) for who in range(parties)}
    for transaction in coming[0]:
        waiting.put(transaction, CLIENTS if by == "clients" else ReplicaId(0))
    got: Counter[int] = Counter()
    for _ in range(20 * parties // batch):
        for who in range(1, parties):
            if who not in map(whose, waiting.all()):
                waiting.put(coming[who].pop(0), CLIENTS if by == "clients" else ReplicaId(who))
        got.update(map(whose, next_batch(waiting)))

    assert differ_by(got, parties) <= 1
