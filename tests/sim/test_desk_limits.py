"""Limits of what clients can make grow: what is within them passes, and one more of each is named."""

from collections.abc import Iterable
from typing import Any

import pytest

from bftledger.base.ids import Millis, Seq
from bftledger.base.transaction import Transaction
from bftledger.check.bounds import Bound, exceeded
from bftledger.engine import answers, intake, reads, submissions
from bftledger.engine.answers import Proven, Waiter
from bftledger.engine.engine import BLOCKS_PER_ANSWER
from bftledger.engine.intake import SPARE
from bftledger.engine.reads import Reads
from bftledger.engine.submissions import Submissions
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskHeight, AskStatus, Query
from bftledger.pbft.messages import Checkpoint
from bftledger.pbft.settings import Settings
from bftledger.sim.desk_limits import desk_bounds, read_bounds, submission_bounds
from tests.engine.engines import START, Engines

WAITERS = submissions.WAITERS_PER_TRANSACTION


def over(bounds: Iterable[Bound]) -> list[str]:
    return [found.text for found in exceeded(bounds)]


# ── submissions ──


def submitted(group: Engines, *transactions: Transaction, routes: int = 1) -> Submissions:
    """Replica 0, cut off, was given these by so many connections."""
    group.cut_off(0)
    for number in range(routes):
        group.submit(0, *transactions, route=b"client %d" % number)
    group.run(5)
    return group.engine(0).desk.submissions


def unproven(group: Engines) -> Submissions:
    """One waits at replica 0 for the certificate of block 1, whose CHECKPOINTs of others do not come."""
    group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and to == 0)
    group.submit(0, group.transaction())
    group.run(50)
    waiting = group.engine(0).desk.submissions
    assert waiting.sizes().unproven == 1
    return waiting


def found_in(waiting: Submissions, **settings: Any) -> list[str]:
    return over(submission_bounds(waiting, Settings(**settings)))


def test_submissions_that_wait_are_within_their_limits_up_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Engines()
    waiting = submitted(group, group.transaction(), group.transaction(), routes=WAITERS)
    monkeypatch.setattr(submissions, "MAX_WAITING", 2 * WAITERS)

    assert waiting.sizes().waiting == waiting.waiting == 2 * WAITERS
    assert found_in(waiting) == []


def test_one_submission_too_many_is_found_of_all_and_of_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Engines()
    waiting = submitted(group, group.transaction(), routes=2)
    monkeypatch.setattr(submissions, "MAX_WAITING", 1)
    monkeypatch.setattr(submissions, "WAITERS_PER_TRANSACTION", 1)

    assert found_in(waiting) == [
        "submissions that wait: 2, at most 1",
        "submissions that wait for one transaction: 2, at most 1",
    ]


@pytest.mark.parametrize(("by", "what"), [(3, "are counted and do not wait"), (-3, "wait and are not counted")])
def test_submissions_that_are_counted_wrongly_are_found(by: int, what: str) -> None:
    group = Engines()
    waiting = submitted(group, group.transaction(), group.transaction())
    waiting._waiting += by

    assert found_in(waiting) == [f"submissions that {what}: 3, at most 0"]


def test_who_waits_for_what_is_pending_no_more_is_found_unless_about_to_be_told() -> None:
    """What a view that ended has forgotten, say."""
    group = Engines()
    tx, other = group.transaction(), group.transaction()
    waiting = submitted(group, tx, other, routes=3)
    group.engine(0).replica.state.pool.settle([tx.id])
    assert found_in(waiting) == ["submissions that wait for what is pending no more: 3, at most 0"]

    waiting.on_forgotten()
    assert found_in(waiting) == []
    assert waiting.sizes().gone == 1


def test_who_waits_for_a_block_that_is_proven_is_found_unless_the_work_was_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = unproven(group := Engines())
    assert found_in(waiting) == []

    certificate = group.engine(1).store.certificate(Seq(1))
    assert certificate is not None
    group.engine(0).store.save_certificate(certificate)
    assert found_in(waiting) == ["submissions that wait for a block that is proven: 1, at most 0"]

    monkeypatch.setattr(Submissions, "is_behind", True)
    assert found_in(waiting) == []


def test_blocks_that_are_held_for_nobody_or_that_are_too_many_are_found() -> None:
    waiting = unproven(Engines())
    block = waiting._blocks[Seq(1)]
    limit = 2 + BLOCKS_PER_ANSWER
    waiting._decided.update({Seq(height): dict(waiting._decided[Seq(1)]) for height in range(1, limit + 1)})
    waiting._blocks.update({Seq(height): block for height in range(1, limit + 1)})
    waiting._waiting = limit
    assert found_in(waiting, window=2) == []

    waiting._blocks[Seq(limit + 1)] = block
    assert found_in(waiting, window=2) == [
        f"unproven blocks that are held for those who wait: {limit + 1}, at most {limit}",
        "blocks that are held for nobody: 1, at most 0",
    ]


def test_proven_blocks_at_hand_for_nobody_or_without_end_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = unproven(group := Engines())
    block = waiting._blocks[Seq(1)]
    size = len(block.encoded)
    certificate = group.engine(1).store.certificate(Seq(1))
    assert certificate is not None
    monkeypatch.setattr(answers, "BYTES_AT_HAND", size)
    waiting.answers._at_hand[Seq(2)] = Proven(Seq(2), certificate, block, owed=1)
    assert found_in(waiting) == []

    waiting.answers._at_hand[Seq(3)] = Proven(Seq(3), certificate, block)
    assert found_in(waiting) == [
        f"bytes of proven blocks that are held for those who wait: {2 * size}, at most {size}",
        "proven blocks that are held for nobody: 1, at most 0",
    ]


def test_what_was_neither_taken_nor_refused_is_found_and_whom_to_tell_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = Engines()
    waiting = submitted(group, group.transaction())
    left, *gone = (group.transaction() for _ in range(3))
    waiting._arrived.append((Waiter(b"late", 1), left))
    waiting._fresh[left.id] = left
    waiting._gone.update(dict.fromkeys(tx.id for tx in gone))
    monkeypatch.setattr(submissions, "MAX_WAITING", 1)

    assert found_in(waiting) == [
        "submissions neither taken nor refused in their round: 2, at most 0",
        "transactions of which to tell that they are gone: 2, at most 1",
    ]


# ── reads ──


def waiting_reads() -> Reads:
    """One of each kind waits: for a height, and for the certificates of a value and a height."""
    group = Engines()
    group.cut_off(0)
    group.run(10)
    held = group.engine(0).desk.reads
    held.on_read(Waiter(b"a", 1), AskHeight(request_id=1, minimum=Seq(9)))
    held.on_read(Waiter(b"b", 1), Query(request_id=1, args=b"color", certified=True, minimum=Seq(9)))
    return held


def test_reads_that_wait_for_what_is_not_here_are_within_their_limits() -> None:
    held = waiting_reads()

    assert held.held == held.waiting == 2
    assert over(read_bounds(held)) == []


def test_reads_without_limit_or_count_or_answer_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    held = waiting_reads()
    monkeypatch.setattr(reads, "MAX_WAITING", 1)
    monkeypatch.setattr(held, "_waiting", 5)
    assert over(read_bounds(held)) == [
        "reads that wait: 2, at most 1",
        "reads that are counted and do not wait: 3, at most 0",
        f"bytes of reads that wait: {2 * reads.READ_BYTES}, at most {reads.READ_BYTES}",
    ]

    monkeypatch.setattr(reads, "MAX_WAITING", 2)
    monkeypatch.setattr(held, "_waiting", 0)
    monkeypatch.setattr(type(held._archive), "height", Seq(9))
    assert over(read_bounds(held)) == [
        "reads that wait and are not counted: 2, at most 0",
        "reads that wait for what is here: 2, at most 0",
    ]


def test_reads_whose_room_is_not_theirs_are_found() -> None:
    held = waiting_reads()
    held.room.size += 7
    _, kept = held._ahead.take_lowest()
    held._ahead.put(kept.height, kept)
    held._waiting -= 1
    assert over(read_bounds(held)) == [
        "bytes of reads that are counted wrongly: 7, at most 0",
        "reads that have room and do not wait: 1, at most 0",
    ]

    held.room.size -= 7
    for read, _ in list(held.room.all()):
        held.room.drop(read.waiter.route, read)
    assert over(read_bounds(held)) == ["reads that wait without room: 1, at most 0"]


def test_old_ranks_of_those_who_wait_are_found_if_they_have_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MAX_WAITING", 2)
    monkeypatch.setattr(submissions, "MAX_WAITING", 2)
    held, waiting = waiting_reads(), submitted(Engines())
    old = ((0, 0), b"old")
    of_reads, of_submissions = 2 * 3 + SPARE, 2 * 2 + SPARE
    held.room._most._heap = [old] * of_reads
    held._due._ends._heap = [old] * of_reads
    waiting.answers._due._ends._heap = [old] * of_submissions
    assert over(read_bounds(held)) == found_in(waiting) == []

    held.room._most._heap.append(old)
    held._due._ends._heap += [old, old]
    waiting.answers._due._ends._heap.append(old)
    assert over(read_bounds(held)) == [f"ranks of connections with reads: {of_reads + 2}, at most {of_reads}"]
    assert found_in(waiting) == [
        f"ranks of connections that an answer is owed to: {of_submissions + 1}, at most {of_submissions}"
    ]


# ── all of it ──


def test_answers_that_stay_behind_are_found() -> None:
    group = Engines()
    group.run(5)
    desk = group.engine(0).desk
    assert over(desk_bounds(desk, group.settings)) == []

    desk._answers.append((b"a", desk.questions.status(1, Millis(0))))
    assert over(desk_bounds(desk, group.settings)) == ["answers that did not leave with their round: 1, at most 0"]


def test_a_group_that_is_asked_for_more_than_it_does_stays_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MAX_FRAMES", 20)
    monkeypatch.setattr(submissions, "MAX_WAITING", 30)
    group = Engines(loss=0.1, delay=3, pool_count=40, batch_count=4, request_timeout_ms=200)
    largest: dict[str, int] = {}
    for turn in range(20):
        for host in group.up:
            for client in range(8):
                transactions = [group.transaction(by=f"client {client}") for _ in range(3)]
                group.ask(host.id, AskHeight(request_id=9, minimum=Seq(1_000)), b"%d" % client)
                group.submit(host.id, *transactions, route=b"%d" % client)
        group.cut_off(*([turn % 4] if turn % 3 == 0 else []))
        group.run(100)
        for host in group.up:
            bounds = list(desk_bounds(host.up.desk, group.settings))
            assert exceeded(bounds, f"replica {host.id}") == []
            for bound in bounds:
                largest[bound.name] = max(largest.get(bound.name, 0), bound.size)

    assert largest["submissions that wait"] > 10
    assert largest["reads that wait"] > 5


def test_a_request_that_waits_for_the_next_round_is_no_answer_too_late() -> None:
    """Its turn comes: between two rounds there may be some, as long as there is a next one."""
    group = Engines()
    engine = group.engine(0)
    engine.start(START)
    for number in range(intake.MAX_FRAMES):
        engine.on_client(b"much", client_wire.encode(AskStatus(request_id=number)), START)
    finished = engine.end_round(START)

    assert finished.has_more
    assert engine.desk.is_behind
    assert over(desk_bounds(engine.desk, group.settings)) == []
