"""What a round says it took for clients beside new transactions, by a stopwatch that goes on with each look."""

from dataclasses import replace

import pytest

from bftledger.base.ids import Millis, Seq
from bftledger.check.bounds import exceeded
from bftledger.engine.aside import Aside, Taken
from bftledger.engine.engine import Engine, Round
from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.work import WORK_PER_ROUND, work_of
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskHeight,
    AskReceipt,
    AskStatus,
    Committed,
    HeightReply,
    ReceiptReply,
    Reply,
    StatusReply,
    Submit,
)
from bftledger.pbft.messages import Checkpoint
from bftledger.sim.desk_limits import desk_bounds
from tests.engine.engines import START, Engines

STATUS = client_wire.encode(AskStatus(request_id=1))
NOW = Millis(START + 10_000)


class Stopwatch:
    """A second passes with each look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return float(self.looks)


def submission(group: Engines) -> bytes:
    return client_wire.encode(Submit(request_id=1, transaction=group.transaction().encoded))


def a_round(engine: Engine, *frames: bytes, work: int = WORK_PER_ROUND, lookups: int = MAX_FRAMES) -> Round:
    for frame in frames:
        engine.on_client(b"client", frame, NOW)
    return engine.end_round(NOW, work, lookups)


def replies(finished: Round) -> list[Reply]:
    return [client_wire.decode_reply(frame) for _, frame in finished.to_clients]


def test_a_round_without_clients_took_nothing_for_them() -> None:
    group = Engines()

    finished = a_round(group.new_engine(0, Stopwatch()))

    assert finished.aside.share == 0
    assert not finished.is_ordering


def test_new_transactions_are_not_aside_and_all_else_is() -> None:
    group = Engines()
    engine = group.new_engine(0, Stopwatch())

    new = a_round(engine, submission(group), submission(group))
    questions = a_round(engine, STATUS, STATUS)
    both = a_round(engine, STATUS, submission(group))

    assert new.aside.share < 0.05
    assert questions.aside == Taken(share=1.0, of_answers=1.0, others_s=3.0)
    assert 0.4 < both.aside.share < 0.6


def test_what_is_sent_again_and_what_is_refused_is_aside() -> None:
    group = Engines()
    engine = group.new_engine(0, Stopwatch())
    again = submission(group)
    a_round(engine, again)
    late = client_wire.encode(Submit(request_id=1, transaction=group.transaction(created=-100_000).encoded))

    assert a_round(engine, again).aside.share == 1
    assert a_round(engine, late).aside.share == 1
    assert a_round(engine, b"garbage").aside.share == 1


def test_a_new_transaction_without_room_is_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Engines(pool_count=8, batch_count=8)
    engine = group.new_engine(1, Stopwatch())  # a backup: what is pending there stays

    shares = [a_round(engine, submission(group)).aside.share for _ in range(20)]

    assert shares[0] < 0.05
    assert shares[-1] == 1
    assert engine.counters()["refused: busy"] > 0


def test_frames_that_are_dropped_unread_count() -> None:
    aside = Aside(Stopwatch())
    aside.glanced()

    assert aside.take() == Taken(share=1.0)
    assert aside.take() == Taken()


def test_old_blocks_count_apart_and_not_twice() -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0, Stopwatch())
    question = client_wire.encode(AskReceipt(request_id=1, tx_id=old.id))
    again = client_wire.encode(Submit(request_id=1, transaction=old.encoded))

    asked = a_round(engine, question)
    submitted = a_round(engine, again)

    assert asked.aside.lookups_s == 1
    assert asked.aside.share == 0, "nothing else was asked"
    assert asked.aside.others_s == 2, "the look at reads that wait, and what it takes to encode the answer"
    assert submitted.aside.lookups_s == 1
    assert submitted.aside.share == 1, "what it took to find out"


def test_reads_that_had_waited_count_when_they_are_answered() -> None:
    group = Engines()
    group.commit(group.transaction())
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    group.submit(0, group.transaction())
    group.run(50)
    engine = group.engine(0)
    engine.desk._aside.stopwatch = Stopwatch()  # type: ignore[misc]
    waits = a_round(engine, client_wire.encode(AskHeight(request_id=9, minimum=Seq(2))))
    assert replies(waits) == []
    group.passes = lambda source, to, message: True
    said: list[Taken] = []
    end_round = engine.end_round

    def watched(now: Millis) -> Round:
        finished = end_round(now)
        if any(isinstance(reply, HeightReply) for reply in replies(finished)):
            said.append(finished.aside)
        return finished

    engine.end_round = watched  # type: ignore[assignment,method-assign]
    group.run(2_000)

    assert [taken.others_s > 0 for taken in said] == [True]


# ── rounds that have less for clients ──


def test_a_round_may_have_no_work_for_clients_and_they_are_served_in_a_later_one() -> None:
    group = Engines()
    engine = group.new_engine(0)

    without = a_round(engine, STATUS, work=0)

    assert replies(without) == []
    assert without.has_more
    assert [type(reply) for reply in replies(a_round(engine))] == [StatusReply]


def test_a_round_that_looks_nothing_up_serves_those_before_and_says_that_it_waits() -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0)
    question = client_wire.encode(AskReceipt(request_id=1, tx_id=old.id))
    engine.on_client(b"curious", question, NOW)

    others = a_round(engine, STATUS, STATUS, lookups=0)
    nothing = a_round(engine, lookups=0)
    then = a_round(engine)

    assert [type(reply) for reply in replies(others)] == [StatusReply] * 2
    assert (others.has_more, nothing.has_more, nothing.waits_for_lookup) == (True, True, True)
    assert replies(nothing) == []
    assert len(replies(then)) == 1
    assert (then.has_more, then.waits_for_lookup) == (False, False)


def test_what_turns_out_to_need_an_old_block_waits_as_well() -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0)
    again = client_wire.encode(Submit(request_id=1, transaction=old.encoded))

    first = a_round(engine, again, lookups=0)
    then = a_round(engine)

    assert replies(first) == []
    assert first.waits_for_lookup
    assert [type(reply) for reply in replies(then)] == [Committed]


def test_it_orders_in_rounds_that_promise_something() -> None:
    """What is pending does not make it order: where too few replicas are left nobody is kept for it."""
    group = Engines()
    primary, backup = group.new_engine(0), group.new_engine(1)

    assert not a_round(primary, STATUS).is_ordering
    assert a_round(primary, submission(group)).is_ordering
    assert not a_round(primary, STATUS).is_ordering
    assert not a_round(backup, submission(group)).is_ordering


def test_answers_to_those_who_wait_for_the_order_are_not_aside() -> None:
    group = Engines()
    group.submit(0, group.transaction())
    engine, told = group.engine(0), list[Taken]()
    end_round = engine.end_round

    def watched(now: Millis) -> Round:
        finished = end_round(now)
        if any(isinstance(reply, Committed) for reply in replies(finished)):
            told.append(finished.aside)
        return finished

    engine.end_round = watched  # type: ignore[assignment,method-assign]
    group.run(2_000)

    assert [taken.of_answers for taken in told] == [0]
    assert a_round(group.new_engine(1), STATUS).aside.of_answers == 1


def test_reads_that_waited_wait_on_in_a_round_without_work_for_clients() -> None:
    group = Engines()
    engine = group.engine(0)
    engine.on_client(b"reader", client_wire.encode(AskHeight(request_id=9, minimum=Seq(1))), NOW)
    engine.end_round(NOW)
    end_round = engine.end_round
    engine.end_round = lambda now: replace(end_round(now, 0), has_more=False)  # type: ignore[assignment,method-assign,misc]
    group.submit(1, group.transaction())
    group.run(2_000)

    assert engine.ledger.tip.height == 1
    assert group.taken(b"reader") == []
    assert end_round(NOW, 0).has_more
    assert [type(reply) for reply in replies(end_round(NOW))] == [HeightReply]


def test_who_is_looked_up_for_last_is_not_charged_among_others() -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0)
    a_round(engine, client_wire.encode(Submit(request_id=1, transaction=old.encoded)), lookups=0)
    for _ in range(2):
        engine.on_client(b"client", STATUS, NOW)
        engine.on_client(b"other", STATUS, NOW)
    charged: list[int] = []
    engine.desk.intake.charge = lambda route, work: charged.append(work)  # type: ignore[method-assign]
    then = a_round(engine)

    assert len(replies(then)) == 5
    assert charged == []


@pytest.mark.parametrize("first", [0, 1])
def test_who_waits_for_an_old_block_is_served_whichever_rounds_look_up(first: int) -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0)
    engine.on_client(b"curious", client_wire.encode(AskReceipt(request_id=1, tx_id=old.id)), NOW)
    a_round(engine, lookups=0)
    told: list[Reply] = []
    for number in range(8):
        for route in (b"one", b"two"):
            engine.on_client(route, STATUS, NOW)
            engine.on_client(route, STATUS, NOW)
        told += replies(a_round(engine, work=1, lookups=int(number % 2 == first)))

    assert sum(isinstance(reply, ReceiptReply) for reply in told) == 1


def test_those_who_wait_for_old_blocks_take_no_more_room_than_there_is() -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0)
    question = client_wire.encode(AskReceipt(request_id=1, tx_id=old.id))
    for number in range(3 * MAX_FRAMES):
        engine.on_client(b"curious %d" % (number % 8), question, NOW)
        if number % 128 == 0:
            engine.end_round(NOW, lookups=0)
    while not (finished := engine.end_round(NOW, lookups=0)).waits_for_lookup:
        pass

    assert finished.has_more
    assert len(engine.desk.lookups) == MAX_FRAMES
    assert not exceeded(desk_bounds(engine.desk, group.settings))


def test_neither_those_who_wait_for_old_blocks_nor_the_others_take_all_of_all_rounds() -> None:
    group = Engines()
    old = group.transaction()
    group.commit(old)
    engine = group.new_engine(0)
    question = client_wire.encode(AskReceipt(request_id=1, tx_id=old.id))
    for _ in range(100):
        engine.on_client(b"curious", question, NOW)
    while not engine.end_round(NOW, lookups=0).waits_for_lookup:
        pass
    served = []
    for _ in range(2):
        for _ in range(100):
            engine.on_client(b"other", STATUS, NOW)
        served.append([type(reply) for reply in replies(engine.end_round(NOW, work_of(STATUS)))])

    assert sorted(map(str, {kind for kinds in served for kind in kinds})) == sorted(
        map(str, (ReceiptReply, StatusReply))
    )
