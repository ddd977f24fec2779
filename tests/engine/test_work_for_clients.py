"""What strangers can make a replica do in a round: all of it is counted, whichever way they choose."""

from collections import Counter

import pytest

from bftledger.base import cbor
from bftledger.base.ids import Millis, Seq
from bftledger.base.transaction import Transaction
from bftledger.engine import answers, reads
from bftledger.engine.engine import Round
from bftledger.engine.intake import MAX_BYTES, MAX_FRAMES, Intake
from bftledger.engine.work import WORK_PER_LOOKUP, WORK_PER_ROUND, work_of
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskFate,
    AskHeight,
    AskStatus,
    Busy,
    Committed,
    HeightReply,
    Query,
    QueryReply,
    ReceiptReply,
    Refused,
    Reply,
    StatusReply,
    Submit,
)
from bftledger.pbft.messages import Checkpoint
from tests.engine.engines import START, Engines, Host

OLD_BLOCKS = 32
STATUS = client_wire.encode(AskStatus(request_id=1))
GARBAGE = b"\x99\x3e\x80" + b"\x80" * 16_000
"""16,000 empty arrays: of all that is so long the slowest to walk."""


def frame_of(tx: Transaction, request_id: int = 1) -> bytes:
    return client_wire.encode(Submit(request_id=request_id, transaction=tx.encoded))


def a_group_with_old_blocks() -> tuple[Engines, list[Transaction]]:
    """One transaction in each block."""
    group = Engines()
    old = [group.transaction() for _ in range(OLD_BLOCKS)]
    for tx in old:
        group.commit(tx)
    assert group.hosts[0].height == OLD_BLOCKS
    return group, old


def rounds(group: Engines, most: int = 200) -> list[list[tuple[bytes, Reply]]]:
    """The answers of each round, until nothing is left to do."""
    found = []
    for _ in range(most):
        finished = group.engine(0).end_round(Millis(START + group.now))
        found.append([(route, client_wire.decode_reply(frame)) for route, frame in finished.to_clients])
        if not finished.has_more:
            return found
    raise AssertionError("there is no end to it")


# ── frames that are crowded out ──


def test_what_is_crowded_out_is_answered_after_a_glance_at_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes on top of a round's work: whoever floods must not make it cost more than that."""
    group = Engines()
    engine = group.engine(0)
    hostile = [b"\x82\x01" + GARBAGE, b"\x83\x01\x07" + GARBAGE]
    decoded: list[bytes] = []
    monkeypatch.setattr(client_wire, "decode_request", decoded.append)
    for i in range(MAX_FRAMES + 100):
        engine.on_client(b"hostile %d" % (i % 128), hostile[i % 2], START)
    answers = engine.desk.take_answers()

    assert not decoded
    busy = [client_wire.decode_reply(frame) for _, frame in answers]
    assert busy
    assert {(type(reply), reply.request_id) for reply in busy if isinstance(reply, Busy)} == {(Busy, 7)}
    dropped = engine.desk.dropped
    assert (dropped["Busy"], dropped["Malformed"] > 0) == (len(busy), True)


def test_a_transaction_is_not_walked_beyond_the_items_that_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Engines()
    steps = 0
    check_item = cbor._check_item

    def counting(data: bytes, at: int, depth: int, budget: list[int]) -> int:
        nonlocal steps
        steps += 1
        return check_item(data, at, depth, budget)

    many = b"\x99\x1f\x40" + b"\x81\0" * 8_000
    for transaction in (many, b"\x86" + many * 6, b"\x86\x58\x20" + bytes(32) + many):
        group.engine(0).on_client(b"a", client_wire.encode(Submit(request_id=1, transaction=transaction)), START)
    monkeypatch.setattr(cbor, "_check_item", counting)
    (answers,) = rounds(group)

    assert [type(reply) for _, reply in answers] == [Refused] * 3
    assert steps < 50


# ── old blocks ──


def test_old_blocks_are_read_for_transactions_sent_again_as_the_rounds_work_allows(blocks_read: list[Seq]) -> None:
    """Blocks can be had for the asking, so anybody has such transactions, and needs no key."""
    group, old = a_group_with_old_blocks()
    for number, tx in enumerate(old):
        group.engine(0).on_client(b"hostile", frame_of(tx, number), START)
    blocks_read.clear()
    first = group.engine(0).end_round(Millis(START + group.now))
    in_first = len(blocks_read)
    later = rounds(group)

    assert 0 < in_first <= WORK_PER_ROUND // WORK_PER_LOOKUP + 1
    assert first.has_more
    assert len(first.to_clients) == in_first
    assert sorted(blocks_read) == list(range(1, OLD_BLOCKS + 1)), "each once, and nobody is sent away"
    answers = [reply for answers in later for _, reply in answers]
    assert [type(reply) for reply in answers] == [Committed] * (OLD_BLOCKS - in_first)


def test_transactions_sent_again_and_questions_about_the_past_share_the_rounds_work(blocks_read: list[Seq]) -> None:
    group, old = a_group_with_old_blocks()
    for number, tx in enumerate(old):
        group.engine(0).on_client(b"again", frame_of(tx, number), START)
        group.engine(0).on_client(b"fate", client_wire.encode(AskFate(request_id=number, tx_id=tx.id)), START)
    blocks_read.clear()
    answers = [(route, client_wire.decode_reply(frame)) for route, frame in group.engine(0).end_round(START).to_clients]

    assert len(blocks_read) <= WORK_PER_ROUND // WORK_PER_LOOKUP + 1
    counts = Counter(route for route, _ in answers)
    assert abs(counts[b"again"] - counts[b"fate"]) <= 1


def test_many_transactions_of_one_block_take_one_reading_of_it(blocks_read: list[Seq]) -> None:
    group = Engines()
    txs = [group.transaction() for _ in range(50)]
    group.commit(*txs)
    blocks_read.clear()
    for number, tx in enumerate(txs):
        group.engine(0).on_client(b"again", frame_of(tx, number), START)
    (answers,) = rounds(group)

    assert blocks_read == [1]
    assert [len(reply.items) for _, reply in answers if isinstance(reply, Committed)] == [1] * 50


@pytest.mark.parametrize("hostile", [1, 16, 32])
def test_who_sends_old_transactions_does_not_make_others_wait(hostile: int) -> None:
    """That a block must be read is found out on the way, and from then on the turn is that of one who needs as much."""
    group, old = a_group_with_old_blocks()
    for number, tx in enumerate(old):
        group.engine(0).on_client(b"hostile %d" % (number % hostile), frame_of(tx, number), START)
    for _ in range(20):
        group.engine(0).on_client(b"honest", STATUS, START)
    first, *later = rounds(group)

    share = WORK_PER_ROUND // (hostile + 1) // work_of(STATUS)
    assert sum(isinstance(reply, StatusReply) for _, reply in first) >= min(20, share - 1)
    answered = [reply for answers in [first, *later] for _, reply in answers if isinstance(reply, Committed)]
    assert sum(len(reply.items) for reply in answered) == OLD_BLOCKS


def test_what_is_put_back_and_then_crowded_out_leaves_nothing_behind() -> None:
    group = Engines()
    long = [group.transaction(payload=cbor.encode(["put", b"key", bytes(60_000)])) for _ in range(12)]
    for tx in long:
        group.commit(tx)
    engine = group.engine(0)
    for number, tx in enumerate(long):
        engine.on_client(b"hostile %d" % number, frame_of(tx, number), START)
    first = engine.end_round(START)
    waiting = len(long) - len(first.to_clients)
    assert waiting > 0, "they have been looked at, and wait for their turn to have a block read"
    assert len(engine.desk.put_back) == waiting
    for number in range(MAX_BYTES // 50_000 + 1):
        engine.on_client(b"flood %d" % number, bytes(50_000), START)
    replies = [
        client_wire.decode_reply(frame) for route, frame in engine.end_round(START).to_clients if b"hos" in route
    ]

    assert [type(reply) for reply in replies] == [Busy] * waiting
    assert not engine.desk.put_back


def test_the_clock_of_those_who_wait_goes_on_with_what_a_frame_turned_out_to_take() -> None:
    intake = Intake()
    for _ in range(20):
        for route in (b"dear", b"cheap"):
            assert not list(intake.put(route, STATUS))
    taken = []
    while (item := intake.take()) is not None:
        taken.append(item[0])
        if item[0] == b"dear":
            intake.charge(b"dear", 4 * work_of(STATUS))

    first = Counter(taken[:24])
    assert 3 <= first[b"dear"] <= 5, "a fifth of the turns is half of the work"
    assert Counter(taken) == {b"dear": 20, b"cheap": 20}


def test_who_comes_and_goes_with_frames_that_turn_out_dear_gets_no_more_than_who_waits() -> None:
    intake, taken = Intake(), Counter[bytes]()
    for number in range(20):
        assert not list(intake.put(b"dear %d" % number, STATUS))
    for _ in range(100):
        assert not list(intake.put(b"cheap", STATUS))
    for _ in range(100):
        item = intake.take()
        assert item is not None
        taken[item[0]] += 1
        if item[0] != b"cheap":
            intake.charge(item[0], 50 * work_of(STATUS))
            assert not list(intake.put(item[0], STATUS))

    assert taken[b"cheap"] >= 50, "for each of the others it gets more than two"


def test_many_connections_that_send_what_is_in_one_block_take_one_reading_of_it(blocks_read: list[Seq]) -> None:
    group = Engines()
    txs = [group.transaction() for _ in range(50)]
    group.commit(*txs)
    blocks_read.clear()
    for number, tx in enumerate(txs):
        group.engine(0).on_client(b"%d" % number, frame_of(tx, number), START)
    (answers,) = rounds(group)

    assert blocks_read == [1]
    assert [type(reply) for _, reply in answers] == [Committed] * 50


# ── those who waited ──


@pytest.fixture
def dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes all the work of a round."""
    for module, name in (
        (reads, "WORK_PER_PROOF"),
        (answers, "WORK_PER_ANSWER"),
        (answers, "WORK_PER_RECEIPT"),
    ):
        monkeypatch.setattr(module, name, WORK_PER_ROUND)


def answers_in_each_round(group: Engines, monkeypatch: pytest.MonkeyPatch) -> list[list[Reply]]:
    """What replica 0 says from now on to those who are not being set up."""
    found: list[list[Reply]] = []
    perform = group.perform

    def noting(host: Host, finished: Round) -> None:
        if host.id == 0:
            told = [client_wire.decode_reply(frame) for route, frame in finished.to_clients if route != b"setup"]
            found.append(told)
        perform(host, finished)

    monkeypatch.setattr(group, "perform", noting)
    return found


@pytest.mark.usefixtures("dear")
@pytest.mark.parametrize("kind", [QueryReply, HeightReply])
@pytest.mark.parametrize("is_certified_late", [False, True])
def test_of_those_who_waited_for_a_height_a_round_answers_as_many_as_its_work_allows(
    monkeypatch: pytest.MonkeyPatch, kind: type, is_certified_late: bool
) -> None:
    """Thousands may wait for one block, and it must not be all at once that they get what they waited for."""
    group = Engines()
    group.commit(group.transaction("put color blue"))
    if is_certified_late:
        group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq == 2)
        group.submit(0, group.transaction("put color red"), route=b"setup")
        group.run(50)
        assert group.hosts[0].height == 2
    for number in range(10):
        query = Query(request_id=number, args=b"color", certified=True, minimum=Seq(2))
        group.ask(0, query if kind is QueryReply else AskHeight(request_id=number, minimum=Seq(2)), b"%d" % number)
    group.run(20)
    assert group.engine(0).desk.reads.waiting == 10
    told = answers_in_each_round(group, monkeypatch)
    if is_certified_late:
        group.cut_off()
        group.run(1_000)
    else:
        group.commit(group.transaction("put color red"))
        group.run(50)

    assert max(map(len, told)) == 1
    replies = [reply for answers in told for reply in answers]
    answered = [reply.request_id for reply in replies if isinstance(reply, QueryReply | HeightReply)]
    assert {type(reply) for reply in replies} == {kind}
    assert sorted(answered) == list(range(10))
    assert (group.engine(0).desk.reads.waiting, group.engine(0).desk.reads.overdue) == (0, 0)


@pytest.mark.usefixtures("dear")
@pytest.mark.parametrize("kind", [Committed, ReceiptReply])
def test_of_those_who_waited_for_a_block_a_round_answers_as_many_as_its_work_allows(
    monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    for number in range(10):
        group.submit(0, group.transaction(), route=b"%d" % number)
    group.run(50)
    assert group.hosts[0].height == 1
    told = answers_in_each_round(group, monkeypatch)
    if kind is ReceiptReply:  # the block itself never gets its certificate, the next one does
        group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq == 1)
        group.submit(0, group.transaction(), route=b"setup")
    else:
        group.cut_off()
    group.run(1_000)

    assert max(map(len, told)) == 1
    assert [type(reply) for answers in told for reply in answers] == [kind] * 10
    assert group.engine(0).desk.submissions.waiting == 0
