"""What a backup passes on to the primary, and makes known to all: in turns, and never more than there is room for."""

from collections import Counter
from collections.abc import Iterable

import pytest

from bftledger.base.ids import Millis, ReplicaId
from bftledger.base.transaction import Transaction
from bftledger.pbft.passing import START, Passing
from bftledger.pbft.pool import Pool
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Queue, Turns
from bftledger.pbft.waiting import Waiting
from tests.builders import BEGINNING, tx
from tests.paper.test_turns import SIZE, differ_by, each, whose


def passing_on(room: int, *, by: str = "count") -> Passing:
    """A backup that has this much room, in transactions of `SIZE`, at the primary; and passes on half of it."""
    if by == "count":
        return Passing(Settings(pool_count=8 * room), 4)
    return Passing(Settings(pool_bytes=8 * room * SIZE), 4)


def holding(passing: Passing, transactions: Iterable[Transaction], *, is_own: bool = True) -> Waiting:
    """All of these wait, and are to be passed on."""
    waiting = Waiting(Settings())
    for transaction in transactions:
        waiting.put(transaction, CLIENTS if is_own else ReplicaId(2))
        passing.put(transaction, is_own=is_own)
    return waiting


# ── to the primary ──


@pytest.mark.parametrize("leave", [1, 2, 5, 25])
def test_backup_gives_no_client_two_turns_for_one(leave: int) -> None:
    """However much room the primary makes at a time."""
    passing = Passing(Settings(pool_count=400), 4)
    for who in range(5):
        for transaction in each(who, 110):
            passing.put(transaction, is_own=True)
    out = list(passing.pass_on(START, BEGINNING))
    got = Counter(map(whose, out))
    apart = [differ_by(got, 5)]
    for _ in range(20):
        for transaction in out[:leave]:
            passing.stop(transaction)
        passed_on = passing.pass_on(START, BEGINNING)
        out = [*out[leave:], *passed_on]
        got.update(map(whose, passed_on))
        apart.append(differ_by(got, 5))

    assert got.total() == 25 + 20 * leave
    assert max(apart) <= 1


def test_next_primary_is_given_anew_what_the_last_one_had_no_room_for() -> None:
    """`Passing.clear`: "A view ended: the next primary was given nothing"."""
    passing = passing_on(6)
    mine = each(0, 9)
    holding(passing, mine)
    passing.pass_on(START, BEGINNING)
    refused = passing.pass_on(START, BEGINNING)
    passing.clear()
    holding(passing, mine)

    assert refused == ()
    assert list(passing.pass_on(START, BEGINNING)) == mine[:3]


def test_while_nothing_fits_nobody_is_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Passing`: "Whose next finds no room: nothing more of them until something has left". Else each step of a loaded
    backup would take as long as it has clients."""
    begun = []
    begin, begin_queue = Turns.begin, Queue.begin

    def counted(turns: Turns[object]) -> None:
        begun.append(turns)
        begin(turns)

    def counted_queue(queue: Queue) -> None:
        begun.append(queue)  # type: ignore[arg-type]
        begin_queue(queue)

    monkeypatch.setattr(Turns, "begin", counted)
    monkeypatch.setattr(Queue, "begin", counted_queue)
    passing = passing_on(6)
    holding(passing, [each(who, 1)[0] for who in range(20)])
    holding(passing, each(20, 5), is_own=False)
    passed_on = passing.pass_on(START, BEGINNING)
    begun.clear()
    idle = [passing.pass_on(START, BEGINNING) for _ in range(50)]
    asked = len(begun)
    passing.put(each(21, 1)[0], is_own=True)
    later = passing.pass_on(START, BEGINNING)
    asked_later = len(begun)
    passing.stop(passed_on[0])

    assert len(passed_on) == 3
    assert idle == [()] * 50
    assert (asked, later, asked_later) == (0, (), 0)
    assert len(passing.pass_on(START, BEGINNING)) == 1
    assert begun


# ── to all ──


@pytest.mark.parametrize("by", ["count", "bytes"])
@pytest.mark.parametrize("is_own", [True, False])
def test_what_is_shared_takes_no_more_than_the_whole_room_at_the_primary(by: str, is_own: bool) -> None:
    """`passing`: "So an honest primary takes all of it, however loaded it is"."""
    passing = passing_on(6, by=by)
    mine = each(0, 9)
    waiting = holding(passing, mine, is_own=is_own)
    passed_on = passing.pass_on(START, BEGINNING)
    shared = passing.share(mine, waiting, START)
    again = passing.share(mine, waiting, START)

    assert list(passed_on) == mine[: 3 if is_own else 1]
    assert list(shared) == list(again) == mine[:6]
    assert passing.out.count == 6


@pytest.mark.parametrize("by", ["count", "bytes"])
def test_what_others_told_of_leaves_room_for_what_clients_bring(by: str) -> None:
    """`passing`: "what others told it may have a quarter of that, or one of them could fill it"."""
    passing = passing_on(40, by=by)
    theirs, mine = each(0, 60), each(1, 60)
    holding(passing, theirs, is_own=False)
    first = passing.pass_on(START, BEGINNING)
    holding(passing, mine)
    then = passing.pass_on(START, BEGINNING)
    for transaction in first:
        passing.stop(transaction)

    assert list(first) == theirs[:5]
    assert list(then) == mine[:15]
    assert list(passing.pass_on(START, BEGINNING)) == mine[15:20], "what waits for room is its own first"


def test_what_did_not_fit_stays_to_be_passed_on() -> None:
    """`Passing.share`: "the first that might find none there, and all after it, stay for later"."""
    passing = passing_on(6)
    mine = each(0, 9)
    waiting = holding(passing, mine)
    passing.share(mine, waiting, START)
    left = [transaction for transaction in mine if passing.awaits_room(transaction)]
    nothing = passing.pass_on(START, BEGINNING)
    for transaction in mine[:5]:
        waiting.remove(transaction.id)
        passing.stop(transaction)

    assert left == mine[6:]
    assert (nothing, passing.has_more) == ((), True)
    assert list(passing.pass_on(START, BEGINNING)) == mine[6:8]
    assert not {tx.id for tx in mine[:8]} - passing.passed_on()


def test_a_small_one_does_not_slip_past_a_large_one_that_does_not_fit() -> None:
    passing = passing_on(6, by="bytes")
    large, small = tx("0 large", sender="client 0", size=5 * SIZE), each(1, 3)
    waiting = holding(passing, [*small, large, *each(2, 1)])

    assert list(passing.share([*small, large, *each(2, 1)], waiting, START)) == small
    assert passing.awaits_room(large)


def test_what_a_proposal_contains_is_shared_whatever_the_room() -> None:
    """`Passing.share`: "What waits of them takes room at the primary", and nothing else."""
    passing = passing_on(6)
    mine, proposed = each(0, 6), each(1, 3)
    waiting = holding(passing, mine)
    passing.share(mine, waiting, START)

    assert list(passing.share([*proposed, *mine], waiting, START)) == [*proposed, *mine]
    assert passing.out.count == 6


# ── what a client brings again ──


def test_what_a_client_brings_again_is_passed_on_with_what_clients_brought_also_in_this_view() -> None:
    pool = Pool(Settings(pool_count=32), 4)  # two places at the primary
    relayed, own = [tx(f"relayed {i}", sender="carol") for i in range(3)], tx("own")
    for transaction in relayed:
        pool.admit_relayed(transaction, ReplicaId(2))
    pool.admit(relayed[2])
    pool.admit(own)

    assert set(pool.passing.pass_on(START, BEGINNING)) == {relayed[2], own}


def test_the_same_in_the_next_view() -> None:
    pool = Pool(Settings(pool_count=32), 4)
    relayed = [tx(f"relayed {i}", sender="carol") for i in range(3)]
    for transaction in relayed:
        pool.admit_relayed(transaction, ReplicaId(2))
    pool.admit(relayed[2])
    pool.return_proposed(Millis(1 << 60))

    assert pool.passing.pass_on(START, BEGINNING) == (relayed[2], relayed[0])
