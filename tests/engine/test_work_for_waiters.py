"""What waits for a certificate, and what is answered when it is there: little at a time, and each in its turn."""

from collections.abc import Callable
from functools import partial

import pytest

from bftledger.base import cbor
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.engine import answers, reads
from bftledger.engine.answers import Waiter
from bftledger.engine.engine import Round
from bftledger.engine.submissions import TOLD_PER_ROUND
from bftledger.engine.work import WORK_PER_RECEIPT, WORK_PER_REQUEST, WORK_PER_ROUND
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskHeight,
    Busy,
    Committed,
    Fate,
    HeightReply,
    Query,
    QueryReply,
    ReceiptReply,
    Reply,
    Submit,
    TxState,
)
from bftledger.pbft.messages import Checkpoint
from tests.engine.engines import START, Engines, Host

SOON = 15
"""So many rounds are enough for whatever an honest client wants, with what the group itself needs."""


def again(tx: Transaction) -> bytes:
    return client_wire.encode(Submit(request_id=7, transaction=tx.encoded))


def without_certificates(group: Engines, *heights: int) -> None:
    """Replica 0 does not get them together."""
    group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq in heights)


def told_in_each_round(group: Engines) -> list[list[tuple[bytes, Reply]]]:
    """What replica 0 says from now on."""
    found: list[list[tuple[bytes, Reply]]] = []
    perform = group.perform

    def noting(host: Host, finished: Round) -> None:
        if host.id == 0:
            found.append([(route, client_wire.decode_reply(frame)) for route, frame in finished.to_clients])
        perform(host, finished)

    group.perform = noting  # type: ignore[method-assign]
    return found


def rounds_take_a_millisecond(group: Engines) -> None:
    """Else a round follows on another until there is nothing to do, and no flood would last."""
    at = group._at

    def later(time: int, action: Callable[[], None]) -> None:
        is_round = isinstance(action, partial) and action.func == group._round
        at(max(time, group.now + 1) if is_round else time, action)

    group._at = later  # type: ignore[method-assign]


def a_group_with_an_old_block(count: int) -> tuple[Engines, list[Transaction]]:
    """Whose certificate replica 0 does not have, but that of the next."""
    group = Engines()
    old = [group.transaction() for _ in range(count)]
    without_certificates(group, 1)
    group.submit(0, *old, route=b"setup")
    group.run(300)
    group.submit(0, group.transaction(), route=b"setup")
    group.run(300)
    assert group.store(0).certificate(Seq(1)) is None
    assert group.engine(0).desk.submissions.waiting == 0
    return group, old


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes all the work of a round."""
    for module, name in ((reads, "WORK_PER_PROOF"), (answers, "WORK_PER_ANSWER"), (answers, "WORK_PER_RECEIPT")):
        monkeypatch.setattr(module, name, WORK_PER_ROUND)


# ── an old block that has no certificate of its own ──


def test_a_flood_of_old_transactions_keeps_neither_submissions_nor_reads_from_their_answers() -> None:
    """Each takes a receipt of its own, which costs more than the request."""
    group, old = a_group_with_an_old_block(100)
    engine, frames = group.engine(0), [again(tx) for tx in old]
    rounds_take_a_millisecond(group)
    group.replies.clear()
    asked: list[int] = []
    waiting = 0
    for ms in range(60):
        for number in range(256):
            group.client_frame(0, frames[(256 * ms + number) % 100], b"hostile %d" % (number % 64))
        if ms % 20 == 5:
            asked.append(ms)
            group.submit(0, group.transaction(), route=b"submits %d" % ms)
            next_height = Seq(group.hosts[0].height + 1)
            group.ask(0, Query(request_id=1, args=b"x", certified=True, minimum=next_height), b"reads %d" % ms)
        group.run(1)
        waiting = max(waiting, engine.desk.submissions.waiting)
        if asked and ms == asked[-1] + SOON:
            assert [type(reply) for reply in group.taken(b"submits %d" % asked[-1])] == [Committed]
            assert [type(reply) for reply in group.taken(b"reads %d" % asked[-1])] == [QueryReply]

    assert waiting < 10, "what can be answered at once does not wait"
    assert not engine.desk.submissions.answers._at_hand


def test_what_is_answered_at_once_counts_for_the_round_and_for_its_connection() -> None:
    group, old = a_group_with_an_old_block(100)
    engine = group.engine(0)
    for number in range(600):
        engine.on_client(b"%d" % (number % 60), again(old[number % 100]), START)
    first = engine.end_round(START)

    assert first.has_more
    each = WORK_PER_RECEIPT + WORK_PER_REQUEST
    assert 0 < len(first.to_clients) <= WORK_PER_ROUND // each
    replies = [client_wire.decode_reply(frame) for _, frame in first.to_clients]
    assert {type(reply) for reply in replies} == {ReceiptReply}


def test_who_sends_again_what_is_unproven_waits_after_one_look_and_pays_for_its_answer() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    txs = [group.transaction() for _ in range(100)]
    group.submit(0, *txs, route=b"setup")
    group.run(50)
    engine = group.engine(0)
    assert engine.desk.submissions.waiting == 100
    for number in range(600):
        engine.on_client(b"%d" % (number % 60), again(txs[number % 100]), START)
    first = engine.end_round(START)

    assert first.has_more
    assert not engine.desk.put_back
    assert 100 < engine.desk.submissions.waiting <= 100 + WORK_PER_ROUND // (WORK_PER_RECEIPT + WORK_PER_REQUEST)


# ── whose turn it is ──


@pytest.mark.usefixtures("dear")
def test_reads_that_waited_have_a_part_of_their_own() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    for number in range(10):
        group.submit(0, group.transaction(), route=b"%d" % number)
    group.run(50)
    group.ask(0, AskHeight(request_id=1, minimum=Seq(1)), b"reads")
    group.run(5)
    assert (group.engine(0).desk.submissions.waiting, group.engine(0).desk.reads.waiting) == (10, 1)
    told = told_in_each_round(group)
    group.cut_off()
    group.run(1_000)

    first = next(said for said in told if said)
    assert len(first) == 2
    assert b"reads" in dict(first)


@pytest.mark.usefixtures("dear")
def test_who_waits_for_many_receipts_keeps_nobody_who_waits_for_one() -> None:
    group = Engines()
    without_certificates(group, 1, 2)
    group.submit(0, *[group.transaction() for _ in range(20)], route=b"much")
    group.run(50)
    group.submit(0, group.transaction(), route=b"little")  # of a later block
    group.run(50)
    assert group.hosts[0].height == 2
    told = told_in_each_round(group)
    group.submit(0, group.transaction(), route=b"setup")
    group.run(1_000)

    order = [route for said in told for route, _ in said if route != b"setup"]
    assert sorted(order) == [b"little"] + [b"much"] * 20
    assert order.index(b"little") < 3


@pytest.mark.usefixtures("dear")
@pytest.mark.parametrize("is_kept", [True, False])
def test_blocks_of_those_who_wait_stay_in_memory_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch, blocks_read: list[Seq], is_kept: bool
) -> None:
    if not is_kept:
        monkeypatch.setattr(answers, "BYTES_AT_HAND", 0)
    group = Engines()
    without_certificates(group, 1)
    for number in range(5):
        group.submit(0, group.transaction(), route=b"%d" % number)
    group.run(50)
    blocks_read.clear()
    told = told_in_each_round(group)
    group.submit(0, group.transaction(), route=b"setup")
    group.run(1_000)

    replies = [reply for said in told for route, reply in said if route != b"setup"]
    assert [type(reply) for reply in replies] == [ReceiptReply] * 5
    assert blocks_read.count(Seq(1)) == (0 if is_kept else 4)
    assert not group.engine(0).desk.submissions.answers._at_hand
    assert not group.engine(0).desk.submissions._blocks


# ── reads ──


VALUE_BYTES = 60_000


def a_group_with_large_values(count: int) -> Engines:
    group = Engines()
    for number in range(count):
        group.commit(group.transaction(payload=cbor.encode(["put", b"large %d" % number, bytes(VALUE_BYTES)])))
    return group


def test_reads_that_fall_due_and_have_to_wait_on_cost_what_they_look_up() -> None:
    group = a_group_with_large_values(2)
    engine, height = group.engine(0), group.hosts[0].height
    for number in range(100):
        query = Query(request_id=number, args=b"large %d" % (number % 2), certified=True, minimum=Seq(height + 1))
        engine.on_client(b"%d" % number, client_wire.encode(query), START)
    engine.end_round(START)
    assert engine.desk.reads.waiting == 100
    begun: list[int] = []
    prove = engine.desk.reads._prove
    engine.desk.reads._prove = lambda args: (begun.append(1), prove(args))[1]  # type: ignore[func-returns-value, method-assign]
    in_rounds: list[int] = []
    end_round = engine.end_round

    def counting(now: Millis) -> Round:
        begun.clear()
        finished = end_round(now)
        in_rounds.append(len(begun))
        return finished

    engine.end_round = counting  # type: ignore[assignment, method-assign]
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    group.submit(0, group.transaction(), route=b"setup")
    group.run(50)

    assert sum(in_rounds) == 100
    assert max(in_rounds) <= WORK_PER_ROUND // VALUE_BYTES + 1


def test_values_that_wait_for_a_certificate_are_bounded_and_who_has_most_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reads, "MAX_WAITING", 100)
    group = a_group_with_large_values(1)
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    group.submit(0, group.transaction(), route=b"setup")
    group.run(50)
    for number in range(5):
        group.ask(0, Query(request_id=number, args=b"nothing", certified=True, minimum=Seq(0)), b"honest")
    for number in range(20):
        group.ask(0, Query(request_id=number, args=b"large 0", certified=True, minimum=Seq(0)), b"%d" % (number % 2))
    group.run(5)
    waiting = group.engine(0).desk.reads

    assert waiting.room.size <= 100 * reads.READ_BYTES
    assert waiting.waiting == waiting.held == 5 + (100 - 5) * reads.READ_BYTES // VALUE_BYTES
    assert group.taken(b"honest") == []
    busy = [reply for route in (b"0", b"1") for reply in group.taken(route)]
    assert {type(reply) for reply in busy} == {Busy}
    assert len(busy) + waiting.waiting == 25
    group.cut_off()
    group.run(1_000)
    assert [type(reply) for reply in group.taken(b"honest")] == [QueryReply] * 5
    assert (waiting.waiting, waiting.room.size) == (0, 0)


@pytest.mark.usefixtures("dear")
def test_reads_whose_turn_has_yet_to_come_make_room_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_WAITING", 8)
    group = Engines()
    group.commit(group.transaction())
    group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq == 2)
    group.submit(0, group.transaction(), route=b"setup")
    group.run(50)
    for number in range(8):
        group.ask(0, AskHeight(request_id=number, minimum=Seq(2)), b"much")
    group.run(5)
    rounds_take_a_millisecond(group)
    group.passes = lambda source, to, message: True
    waiting = group.engine(0).desk.reads
    assert group.run(1_000, lambda: waiting.is_behind)
    group.ask(0, AskHeight(request_id=1, minimum=Seq(9)), b"little")
    group.ask(0, AskHeight(request_id=2, minimum=Seq(9)), b"little")
    group.run(1)
    held = waiting.held
    group.run(20)

    assert held <= 8
    assert {type(reply) for reply in group.taken(b"much")} == {Busy, HeightReply}
    assert group.taken(b"little") == []
    assert waiting.waiting == waiting.held == 2


# ── what no block will hold ──


def test_who_waited_in_vain_is_told_as_the_rounds_work_allows() -> None:
    """A full pool may expire at once."""
    group = Engines()
    group.commit(group.transaction())
    engine, submissions = group.engine(0), group.engine(0).desk.submissions
    ids = [TxId(number.to_bytes(32, "big")) for number in range(3 * TOLD_PER_ROUND)]
    for number, tx_id in enumerate(ids):
        for waiter in range(4):
            assert not submissions._wait(Waiter(b"%d" % waiter, number), tx_id)
    engine.desk.on_withdrawn(ids)
    rounds = [engine.end_round(START)]
    while rounds[-1].has_more:
        rounds.append(engine.end_round(START))

    assert max(len(finished.to_clients) for finished in rounds) <= 4 * TOLD_PER_ROUND
    replies = [client_wire.decode_reply(frame) for finished in rounds for _, frame in finished.to_clients]
    assert len(replies) == 4 * len(ids)
    assert {reply.state for reply in replies if isinstance(reply, Fate)} == {TxState.EXPIRED}
    assert submissions.waiting == 0


def test_what_is_given_up_and_pending_again_is_waited_for() -> None:
    group = Engines()
    group.cut_off(0)
    tx = group.transaction()
    group.submit(0, tx)
    group.run(1)
    engine = group.engine(0)
    engine.desk.on_withdrawn([tx.id])
    engine.end_round(Millis(START + group.now))

    assert engine.desk.submissions.is_pending(tx.id)
    assert engine.desk.submissions.waiting == 1
    assert not engine.desk.has_more


def test_reads_without_proof_that_waited_for_a_height_take_turns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "WORK_PER_ANSWER", WORK_PER_ROUND)
    group = Engines()
    for number in range(5):
        group.ask(0, Query(request_id=number, args=b"x", certified=False, minimum=Seq(1)), b"%d" % number)
    group.run(5)
    told = told_in_each_round(group)
    group.commit(group.transaction())

    local = [[reply for _, reply in said if isinstance(reply, QueryReply)] for said in told]
    assert (max(map(len, local)), sum(map(len, local))) == (1, 5)
