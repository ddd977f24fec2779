"""Submissions: from SUBMIT to a proof, or to a reason; and the bounds on who may wait."""

from typing import Any

import pytest

from bftledger.apps.machine import CONFLICT, INADMISSIBLE, MALFORMED, Result
from bftledger.base.ids import Millis, ReplicaId
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.engine import answers, submissions
from bftledger.ledger.client_messages import (
    Busy,
    Committed,
    Fate,
    ReceiptReply,
    Refused,
    Reply,
    Submit,
    TxState,
)
from bftledger.ledger.receipt import Receipt, verify_receipt
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, Relay
from tests.builders import FAST
from tests.engine.engines import START, Engines, a_genesis


def receipts(group: Engines, reply: Reply, *transactions: Transaction) -> list[Receipt]:
    """What a client makes of `Committed`, each of them verified."""
    assert isinstance(reply, Committed)
    known = {tx.id: tx for tx in transactions}
    return [
        verify_receipt(
            Receipt(
                transaction=known[item.tx_id],
                result=Result.decode(item.result),
                index=item.position,
                transaction_path=item.transaction_path,
                result_path=item.result_path,
                header=reply.header,
                certificate=reply.certificate,
            ).encode(),
            group.genesis,
            FAST.verifier,
        )
        for item in reply.items
    ]


def only(replies: list[Reply]) -> Reply:
    (reply,) = replies
    return reply


# ── to a proof ──


@pytest.mark.parametrize("replica", range(4))
def test_whichever_replica_is_asked_a_submission_ends_with_a_receipt_that_verifies(replica: int) -> None:
    group = Engines()
    tx = group.transaction("put color blue")

    group.submit(replica, tx)
    group.run(1_000)

    (receipt,) = receipts(group, only(group.taken()), tx)
    assert receipt.transaction == tx
    assert receipt.result.ok
    assert receipt.header.height == 1


def test_what_the_application_rejects_is_in_the_ledger_with_its_reason() -> None:
    group = Engines()
    tx = group.transaction("cas color 7 red")

    group.submit(0, tx)
    group.run(1_000)

    (receipt,) = receipts(group, only(group.taken()), tx)
    assert (receipt.result.code, receipt.result.reason) == (CONFLICT, "the version is 0, not 7")


def test_submissions_of_one_connection_in_one_block_share_one_answer() -> None:
    group = Engines()
    mine = [group.transaction() for _ in range(20)]
    others = [group.transaction(by="bob") for _ in range(3)]

    group.submit(0, *mine)
    group.submit(0, *others, route=b"another client")
    group.run(1_000)

    reply = only(group.taken())
    assert len(receipts(group, reply, *mine)) == 20
    assert len(receipts(group, only(group.taken(b"another client")), *others)) == 3
    assert isinstance(reply, Committed)
    assert sorted(item.request_id for item in reply.items) == list(range(1, 21))


def test_an_answer_holds_no_more_items_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ITEMS_PER_ANSWER", 8)
    group = Engines()
    group.submit(0, *[group.transaction() for _ in range(20)])
    group.run(1_000)

    assert [len(reply.items) for reply in group.taken() if isinstance(reply, Committed)] == [8, 8, 4]


def test_nobody_is_told_committed_before_a_quorum_signed_the_block() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    group.submit(0, group.transaction())
    group.run(90)

    assert group.hosts[0].height == 1
    assert group.taken() == []


# ── again ──


def test_a_committed_transaction_that_is_submitted_again_is_answered_with_its_one_block() -> None:
    group = Engines()
    tx = group.transaction()
    group.commit(tx)

    for replica in range(4):
        group.submit(replica, tx)
        group.run(10)
        (receipt,) = receipts(group, only(group.taken()), tx)
        assert receipt.header.height == 1
    assert [host.height for host in group.hosts] == [1] * 4


def test_a_pending_transaction_that_another_connection_submits_answers_both() -> None:
    group = Engines()
    tx = group.transaction()
    group.submit(1, tx)
    group.submit(1, tx, route=b"another")
    group.run(1_000)

    assert len(receipts(group, only(group.taken()), tx)) == 1
    assert len(receipts(group, only(group.taken(b"another")), tx)) == 1
    assert group.engine(1).desk.submissions.waiting == 0


def test_who_asks_twice_on_one_connection_gets_one_answer_to_the_newer_request() -> None:
    group = Engines()
    tx = group.transaction()
    group.submit(1, tx, tx)
    group.run(1_000)

    reply = only(group.taken())
    assert isinstance(reply, Committed)
    assert [item.request_id for item in reply.items] == [2]


def test_who_asks_again_while_the_certificate_is_awaited_gets_one_answer_too() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    tx = group.transaction()
    group.submit(1, tx)
    group.run(50)
    assert group.hosts[1].height == 1
    for request_id in (7, 8):
        group.ask(1, Submit(request_id=request_id, transaction=tx.encoded))
        group.run(5)
    assert group.engine(1).desk.submissions.waiting == 1
    group.passes = lambda source, to, message: True
    group.run(1_000)

    reply = only(group.taken())
    assert isinstance(reply, Committed)
    assert [item.request_id for item in reply.items] == [8]
    assert group.engine(1).desk.submissions.waiting == 0


def test_a_block_proven_only_by_a_later_certificate_answers_with_a_receipt_of_its_own() -> None:
    """§4.3's certificate of the block itself may never come together when messages are lost."""
    group = Engines()
    group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq == 1)
    first, second = group.transaction(), group.transaction()
    group.submit(2, first)
    group.run(50)
    assert group.hosts[2].height == 1
    group.submit(2, second, route=b"another")
    group.run(1_000)

    reply = only(group.taken())
    assert isinstance(reply, ReceiptReply)
    receipt = verify_receipt(reply.receipt, group.genesis, FAST.verifier)
    assert (receipt.transaction, receipt.header.height, receipt.certificate.seq) == (first, 1, 2)


# ── to a reason ──


def test_a_transaction_that_expired_before_the_newest_block_is_expired_for_good() -> None:
    group = Engines()
    tx = group.transaction(lifetime=100)
    group.run(200)
    group.commit(group.transaction())

    group.submit(0, tx)
    group.run(10)

    reply = only(group.taken())
    assert isinstance(reply, Fate)
    assert reply.state is TxState.EXPIRED


def refused(group: Engines, tx: Transaction) -> tuple[int, str]:
    group.submit(0, tx)
    group.run(1)
    reply = only(group.taken())
    assert isinstance(reply, Refused)
    assert len(group.engine(0).replica.state.pool) == 0
    return reply.code, reply.reason


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ({"payload": b"\x00" * 101}, INADMISSIBLE, "payload"),
        ({"lifetime": 10_001}, INADMISSIBLE, "lives longer"),
        ({"by": "mallory"}, INADMISSIBLE, "not a member"),
        ({"created": 10_001}, INADMISSIBLE, "check the clock"),
        ({"payload": b"nonsense"}, MALFORMED, "not an operation"),
    ],
)
def test_an_inadmissible_transaction_is_refused_with_its_reason(kind: dict[str, Any], code: int, reason: str) -> None:
    genesis = a_genesis(members=["alice"], max_lifetime_ms=Millis(10_000), max_payload_bytes=100)
    group = Engines(genesis=genesis)
    group.run(100)

    found = refused(group, group.transaction(**{"lifetime": 5_000, **kind}))

    assert found[0] == code
    assert reason in found[1]


def test_a_clock_alone_declares_nothing_expired() -> None:
    """Only a later block makes it final: until then some replica may still be about to order it."""
    group = Engines()
    group.run(100)
    tx = group.transaction(created=-90, lifetime=50)

    group.submit(0, tx)
    group.run(1_000)

    reply = only(group.taken())
    assert isinstance(reply, Fate)
    assert reply.state is TxState.EXPIRED
    assert group.engine(0).ledger.tip.time > tx.expires
    assert group.engine(0).store.locate([tx.id]) == {}


def with_signature_of(tx: Transaction, signature: bytes, group: Engines) -> Transaction:
    return decode_transaction(tx.encoded[:-64] + signature, group.genesis.genesis_hash)


def test_a_wrong_signature_is_refused_and_does_not_spoil_the_right_one() -> None:
    group = Engines()
    tx = group.transaction()
    forged = with_signature_of(tx, bytes(64), group)

    group.submit(0, forged)
    group.submit(0, tx, route=b"the owner")
    group.run(1_000)

    reply = only(group.taken())
    assert isinstance(reply, Refused)
    assert "signature" in reply.reason
    assert isinstance(only(group.taken(b"the owner")), Committed)


def test_bytes_that_are_no_transaction_are_refused() -> None:
    group = Engines()
    group.ask(0, Submit(request_id=9, transaction=b"not one"))
    group.run(1)

    reply = only(group.taken())
    assert isinstance(reply, Refused)
    assert (reply.request_id, reply.code) == (9, MALFORMED)


def test_a_transaction_that_expires_unordered_is_answered_and_nobody_waits_for_it_any_more() -> None:
    group = Engines(request_timeout_ms=Millis(400))
    tx = group.transaction(lifetime=300)
    group.passes = lambda source, to, message: not (isinstance(message, Relay) and tx in message.transactions)
    group.submit(2, tx)
    group.run(150)
    for _ in range(4):
        group.run(100)
        group.submit(0, group.transaction(), route=b"others")
    group.run(1_000)

    reply = only(group.taken())
    assert isinstance(reply, Fate)
    assert reply.state is TxState.EXPIRED
    assert group.engine(2).desk.submissions.waiting == 0
    assert len(group.engine(2).replica.state.pool) == 0


def test_a_transaction_that_a_proposal_brings_too_late_is_expired() -> None:
    group = Engines()
    tx = group.transaction(lifetime=40)
    held: list[bool] = [True]
    group.passes = lambda source, to, message: not (held[0] and isinstance(message, Relay))
    group.submit(1, tx)
    group.run(60)
    held[0] = False
    group.run(2_000)
    group.commit(group.transaction())
    group.run(2_000)

    reply = only(group.taken())
    assert isinstance(reply, Fate)
    assert reply.state is TxState.EXPIRED


# ── bounds ──


def test_when_the_pool_is_full_the_client_is_told_to_come_again() -> None:
    group = Engines(pool_count=3)
    group.cut_off(0)
    group.submit(0, *[group.transaction() for _ in range(5)])
    group.run(1)

    replies = group.taken()
    assert [(type(reply), reply.request_id) for reply in replies if isinstance(reply, Busy)] == [(Busy, 4), (Busy, 5)]
    assert len(replies) == 2
    assert group.engine(0).desk.submissions.waiting == 3


def test_one_sender_has_only_its_share_of_the_pool() -> None:
    group = Engines(pool_share=2)
    group.cut_off(0)
    group.submit(0, *[group.transaction() for _ in range(3)])
    group.submit(0, group.transaction(by="bob"), route=b"bob")
    group.run(1)

    assert [type(reply) for reply in group.taken()] == [Busy]
    assert group.taken(b"bob") == []


def test_only_so_many_connections_wait_for_one_transaction() -> None:
    group = Engines()
    group.cut_off(0)
    tx = group.transaction()
    for i in range(submissions.WAITERS_PER_TRANSACTION + 3):
        group.submit(0, tx, route=b"%d" % i)
    group.run(1)

    assert [route for route, replies in group.replies.items() if replies] == [b"8", b"9", b"10"]
    assert group.engine(0).desk.submissions.waiting == submissions.WAITERS_PER_TRANSACTION


def test_only_so_many_submissions_wait_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "MAX_WAITING", 4)
    group = Engines()
    group.cut_off(0)
    group.submit(0, *[group.transaction() for _ in range(6)])
    group.run(1)

    assert [type(reply) for reply in group.taken()] == [Busy, Busy]
    assert len(group.engine(0).replica.state.pool) == 4


def test_those_who_ask_for_an_uncertified_block_leave_half_the_room_to_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submissions, "MAX_WAITING", 8)
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    tx = group.transaction()
    group.submit(0, tx)
    group.run(50)
    for i in range(6):
        group.submit(0, tx, route=b"%d" % i)
    group.run(1)

    assert sum(isinstance(reply, Busy) for replies in group.replies.values() for reply in replies) == 3
    assert group.engine(0).desk.submissions.waiting == 4
    group.submit(0, *[group.transaction() for _ in range(5)], route=b"new")
    group.run(1)
    assert [type(reply) for reply in group.taken(b"new")] == [Busy]
    assert group.engine(0).desk.submissions.waiting == 8


def test_nobody_waits_when_all_are_answered() -> None:
    group = Engines()
    for i in range(40):
        group.submit(i % 4, group.transaction(), route=b"%d" % i)
    group.run(2_000)

    assert [host.up.desk.submissions.waiting for host in group.hosts] == [0] * 4
    assert sum(len(replies) for replies in group.replies.values()) == 40


# ── from peers ──


def test_a_relay_brings_neither_what_is_in_the_ledger_nor_what_is_not_admissible() -> None:
    group = Engines()
    known = group.transaction()
    group.commit(known)
    bad = [
        known,
        group.transaction(payload=b"nonsense"),
        group.transaction(created=-100, lifetime=50),
        group.transaction(created=60_000),
        group.transaction(lifetime=10_000_000),
    ]
    good = group.transaction()
    relay = group.signed(Relay(transactions=(*bad, good), replica=ReplicaId(3), signature=wire.UNSIGNED))
    engine = group.engine(1)
    engine.on_peer(relay.replica, wire.encode(relay), Millis(START + group.now))

    assert [tx.id for tx in engine.replica.state.pool.pending()] == [good.id]
