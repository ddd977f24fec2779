"""Who takes turns with whom: start-time fair queueing (SIGCOMM'96; not in OSDI'99), and where it ends.

At a primary clients take turns in its batches, and so do replicas with what they pass on. What backups pass on is in
`test_passing`.
"""

from collections import Counter
from collections.abc import Iterable

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import CLIENTS, Load
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Queue, Turns
from bftledger.pbft.waiting import Waiting
from tests.builders import tx

PAYLOAD = 10
SIZE = len(tx("0", sender="client 0", size=PAYLOAD).encoded)
PLENTY = Load(1_000_000, 1_000_000_000)
"""A pool that nobody is overtaken in for long."""


def each(who: int, count: int, *, first: int = 0) -> list[Transaction]:
    """So many of this client's, of `SIZE` each, in the order of their submission."""
    return [tx(f"{who} {i}", sender=f"client {who}", size=PAYLOAD) for i in range(first, first + count)]


def whose(transaction: Transaction) -> int:
    return int(transaction.payload.split()[0])


def texts(transactions: Iterable[Transaction]) -> list[str]:
    return [transaction.payload.decode().rstrip(".") for transaction in transactions]


def a_waiting(batch: int, *, capacity: Load = PLENTY, slack: int = 0) -> Waiting:
    """In batches of so many transactions of `SIZE`, by their bytes; of `slack` more bytes."""
    return Waiting(Settings(batch_bytes=batch * SIZE + slack), capacity)


def next_batch(waiting: Waiting) -> tuple[Transaction, ...]:
    """It is proposed."""
    batch = waiting.batch()
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


# ── where turns end: what was overtaken for long ──

BY_COUNT, BY_BYTES = Load(20, 1_000_000_000), Load(1_000_000, 20 * SIZE)


@pytest.mark.parametrize("capacity", [BY_COUNT, BY_BYTES], ids=["by count", "by bytes"])
@pytest.mark.parametrize("by", ["clients", "replicas"])
def test_what_was_overtaken_by_half_of_what_a_pool_can_hold_is_served_first_in_order_of_arrival(
    capacity: Load, by: str
) -> None:
    """`waiting`: "So what was overtaken by half of what a pool can hold is served first, in the order of arrival"."""
    waiting = a_waiting(4, capacity=capacity)
    queues = [each(0, 8), each(1, 8)]
    arrived = [queues[who].pop(0) for who in (0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0)]
    for transaction in arrived:
        waiting.put(transaction, CLIENTS if by == "clients" else ReplicaId(whose(transaction)))
    batches = []
    for turn in range(7):
        for who in (2, 3):
            waiting.put(each(who, 1, first=turn)[0], CLIENTS if by == "clients" else ReplicaId(who))
        batches.append(next_batch(waiting))
    left = [transaction for transaction in arrived if transaction not in {*batches[0], *batches[1], *batches[2]}]

    assert [Counter(map(whose, batch)) for batch in batches[:3]] == [Counter(range(4))] * 3, "until then in turns"
    assert [transaction for batch in batches[3:6] for transaction in batch][: len(left)] == left
    assert {whose(transaction) for transaction in batches[6]} == {2, 3}, "of those, none has been overtaken for so long"


def test_what_came_later_has_been_overtaken_by_less() -> None:
    waiting = a_waiting(4, capacity=BY_COUNT)
    for transaction in each(0, 5):
        waiting.put(transaction, CLIENTS)
    for turn in range(3):
        for who in (1, 2, 3):
            waiting.put(each(who, 1, first=turn)[0], CLIENTS)
        if turn == 2:
            for transaction in each(0, 4, first=5):
                waiting.put(transaction, CLIENTS)
        next_batch(waiting)
    for who in (1, 2, 3):
        waiting.put(each(who, 1, first=3)[0], CLIENTS)

    assert texts(next_batch(waiting))[:2] == ["0 3", "0 4"], "the first five were overtaken by three batches"
    assert "0 6" in texts(waiting.all()), "and those after them were not"


def test_who_brings_again_what_a_replica_passed_on_does_not_make_it_stand_in_line_anew() -> None:
    """It changes over to the queue of clients, and was overtaken by all that was chosen since it came first."""
    waiting = a_waiting(1, capacity=Load(6, 1_000_000_000))
    first, second = each(0, 2)
    for transaction in (first, second):
        waiting.put(transaction, ReplicaId(3))
    served = []
    for turn in range(5):
        for who in (1, 2):
            waiting.put(each(who, 1, first=turn)[0], ReplicaId(who))
        if turn == 2:
            for who in (4, 5):
                waiting.put(each(who, 1)[0], CLIENTS)
            waiting.put(second, CLIENTS)
        served += texts(next_batch(waiting))

    assert served[0] == "0 0"
    assert served[3] == "0 1", "overtaken by three, which is half of six"


def test_nothing_is_overtaken_when_a_view_begins() -> None:
    waiting = a_waiting(2, capacity=Load(8, 1_000_000_000))
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


@pytest.mark.parametrize("by", ["clients", "replicas"])
def test_what_a_party_got_for_being_overtaken_it_pays_for_in_turns(by: str) -> None:
    """`Waiting.batch`: "it waits until it is removed, but has had its turn"."""
    waiting = a_waiting(8, capacity=Load(32, 1_000_000_000))
    coming = {who: each(who, 20) for who in range(4)}
    got: Counter[int] = Counter()
    batches = []
    for turn in range(4):
        for who, queue_length in enumerate((6 if turn < 2 else 12, 2, 2, 2)):
            for _ in range(queue_length - [whose(transaction) for transaction in waiting.all()].count(who)):
                waiting.put(coming[who].pop(0), CLIENTS if by == "clients" else ReplicaId(who))
        batches.append(next_batch(waiting))
        got.update(map(whose, batches[-1]))

    assert texts(batches[2])[:2] == ["0 4", "0 5"], "it was overtaken by two batches"
    assert [Counter(map(whose, batch)) for batch in batches] == [Counter([0, 0, 1, 1, 2, 2, 3, 3])] * 4


# ── nobody gets a turn by coming back, nor by being overtaken ──


@pytest.mark.parametrize("by", ["clients", "replicas"])
@pytest.mark.parametrize(("batch", "parties"), [(1, 3), (4, 9), (8, 9), (8, 21)])
def test_who_submits_one_after_the_other_gets_no_more_turns_than_who_has_a_queue(
    batch: int, parties: int, by: str
) -> None:
    """turns.py: "what has the cost c before it in its own queue waits at most until every other party was served for
    c, and for one transaction more"."""
    waiting = a_waiting(batch, capacity=PLENTY)
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


@pytest.mark.parametrize("by", ["clients", "replicas"])
def test_what_a_party_got_for_being_overtaken_it_pays_for_though_it_filled_a_batch(by: str) -> None:
    waiting = a_waiting(4, capacity=Load(32, 1_000_000_000))
    coming = {who: each(who, 40) for who in range(2)}
    batches = []
    for turn in range(6):
        for who, length in enumerate((12 if not turn else 4, 4)):
            for _ in range(length - [whose(transaction) for transaction in waiting.all()].count(who)):
                waiting.put(coming[who].pop(0), CLIENTS if by == "clients" else ReplicaId(who))
        batches.append([whose(transaction) for transaction in next_batch(waiting)])

    assert [Counter(batch) for batch in batches[:4]] == [Counter([0, 0, 1, 1])] * 4
    assert batches[4:] == [[0, 0, 0, 0], [1, 1, 1, 1]]
