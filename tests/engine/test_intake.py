"""What clients can make a replica do before it knows who they are: little at a time, and each in its turn."""

import pytest

from bftledger.base import cbor, transaction
from bftledger.base.ids import Millis
from bftledger.base.transaction import Transaction
from bftledger.engine.intake import MAX_BYTES, MAX_FRAMES, Intake
from bftledger.engine.work import WORK_PER_REQUEST, WORK_PER_ROUND
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskStatus, Busy, Committed, StatusReply, Submit
from tests.engine.engines import ME, START, Engines


def unsigned(group: Engines, payload: bytes) -> Transaction:
    tx = group.transaction(payload=payload)
    return transaction.decode(
        cbor.encode([tx.sender, tx.nonce, tx.created, tx.expires, tx.payload, bytes(64)]), group.genesis.genesis_hash
    )


def submission(tx: Transaction, request_id: int = 1) -> bytes:
    return client_wire.encode(Submit(request_id=request_id, transaction=tx.encoded))


def test_the_application_sees_nothing_that_nobody_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Engines()
    seen: list[bytes] = []
    monkeypatch.setattr(group.engine(0).ledger.executor.machine, "check", lambda tx: seen.append(tx.payload))
    good = group.transaction()
    for tx in (unsigned(group, b"hostile"), good):
        group.engine(0).on_client(ME, submission(tx), START)
    group.engine(0).end_round(START)

    assert seen == [good.payload]


def test_a_round_looks_at_so_many_bytes_of_clients_and_the_next_goes_on() -> None:
    group = Engines()
    engine, size, count = group.engine(0), 60_000, 3 * WORK_PER_ROUND // 60_000
    for i in range(count):
        engine.on_client(ME, submission(unsigned(group, bytes(size)), i), START)
    rounds = [engine.end_round(START)]
    while rounds[-1].has_more:
        rounds.append(engine.end_round(START))

    assert [len(finished.to_clients) for finished in rounds[:2]] == [17, 17]
    assert sum(len(finished.to_clients) for finished in rounds) == count


def test_who_asks_little_does_not_wait_behind_who_asks_much() -> None:
    group = Engines()
    engine = group.engine(0)
    for i in range(MAX_FRAMES):
        engine.on_client(b"much", client_wire.encode(AskStatus(request_id=i)), START)
    engine.on_client(b"little", client_wire.encode(AskStatus(request_id=7)), START)
    answers = [(route, client_wire.decode_reply(frame)) for route, frame in engine.end_round(START).to_clients]

    assert [type(reply) for route, reply in answers if route == b"little"] == [StatusReply]
    assert len(answers) <= WORK_PER_ROUND // WORK_PER_REQUEST + 1


def test_when_there_is_no_room_who_has_most_in_it_is_told_to_come_again() -> None:
    group = Engines()
    engine = group.engine(0)
    for i in range(MAX_FRAMES):
        engine.on_client(b"much", client_wire.encode(AskStatus(request_id=i)), START)
    engine.on_client(b"little", client_wire.encode(AskStatus(request_id=7)), START)
    answers = [(route, client_wire.decode_reply(frame)) for route, frame in engine.end_round(START).to_clients]

    busy = [(route, reply.request_id) for route, reply in answers if isinstance(reply, Busy)]
    assert busy == [(b"much", MAX_FRAMES - 1)]
    assert engine.counters()["dropped from clients: Busy"] == 1


def test_what_waits_is_bounded_in_bytes() -> None:
    intake = Intake()
    refused = [frame for i in range(100) for _, frame in intake.put(b"%d" % (i % 10), bytes(MAX_BYTES // 64))]

    assert len(intake) == 64
    assert len(refused) == 36


def test_a_hostile_client_does_not_keep_others_from_being_served() -> None:
    group = Engines()
    junk = [submission(unsigned(group, bytes(60_000)), i) for i in range(60)]
    honest = group.transaction()
    for i, frame in enumerate(junk):
        group.client_frame(0, frame, b"hostile %d" % (i % 8))
    group.submit(0, honest)
    group.run(50)

    assert [type(reply) for reply in group.taken()] == [Committed]
    assert group.engine(0).counters()["refused: bad signature"] == len(junk)
    assert group.now == Millis(50)
