"""Questions about what is in the ledger: fates, receipts, blocks, the replica itself."""

from itertools import pairwise

import pytest

from bftledger import __version__
from bftledger.base.ids import Millis, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.engine.work import WORK_PER_LOOKUP, WORK_PER_ROUND
from bftledger.ledger import client_wire
from bftledger.ledger.block import Block
from bftledger.ledger.chain import verify_link
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskReceipt,
    AskStatus,
    BlockReply,
    BlocksReply,
    ErrorReply,
    Fate,
    ReceiptReply,
    StatusReply,
    TxState,
)
from bftledger.ledger.receipt import verify_header, verify_receipt
from bftledger.pbft.messages import Checkpoint
from tests.builders import FAST
from tests.engine.engines import ME, START, Engines, a_genesis


def fate(group: Engines, tx: Transaction, replica: int = 0) -> Fate:
    reply = group.answer(replica, AskFate(request_id=5, tx_id=tx.id), ms=0)
    assert isinstance(reply, Fate)
    assert (reply.request_id, reply.tx_id) == (5, tx.id)
    return reply


# ── fates ──


def test_an_unseen_transaction_is_unknown() -> None:
    group = Engines()

    assert fate(group, group.transaction()).state is TxState.UNKNOWN


def test_a_transaction_that_was_taken_is_pending() -> None:
    group = Engines()
    group.cut_off(0)
    tx = group.transaction()
    group.submit(0, tx)
    group.run(1)

    assert fate(group, tx).state is TxState.PENDING


def test_a_transaction_in_a_block_without_proof_is_pending() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    tx = group.transaction()
    group.submit(0, tx)
    group.run(50)

    assert group.hosts[0].height == 1
    assert fate(group, tx).state is TxState.PENDING


def test_a_transaction_in_a_certified_block_is_committed() -> None:
    group = Engines()
    tx = group.transaction()
    group.commit(tx)

    assert [(fate(group, tx, i).state, fate(group, tx, i).height) for i in range(4)] == [(TxState.COMMITTED, 1)] * 4


def test_a_transaction_that_the_application_refused_is_rejected_with_its_reason() -> None:
    group = Engines()
    tx = group.transaction("delete nothing")
    group.commit(tx)

    found = fate(group, tx)
    assert (found.state, found.reason) == (TxState.REJECTED, "there is no such key")


def test_a_transaction_that_can_be_in_no_later_block_is_expired() -> None:
    group = Engines(genesis=a_genesis(max_lifetime_ms=Millis(1_000)))
    tx = group.transaction(lifetime=1_000)
    group.run(500)
    group.commit(group.transaction(lifetime=1_000))
    assert fate(group, tx).state is TxState.UNKNOWN

    group.run(1_000)
    group.commit(group.transaction(lifetime=1_000))
    assert fate(group, tx).state is TxState.EXPIRED


# ── receipts ──


@pytest.mark.parametrize("replica", range(4))
def test_a_receipt_proves_its_transaction(replica: int) -> None:
    group = Engines()
    tx = group.transaction()
    group.commit(group.transaction(), tx, group.transaction())

    reply = group.answer(replica, AskReceipt(request_id=1, tx_id=tx.id))

    assert isinstance(reply, ReceiptReply)
    assert verify_receipt(reply.receipt, group.genesis, FAST.verifier).transaction == tx


@pytest.mark.parametrize("missing", [(1,), (1, 2), (1, 2, 3, 4)])
def test_where_a_block_has_no_certificate_a_later_one_proves_it_through_the_history(missing: tuple[int, ...]) -> None:
    group = Engines()
    group.passes = lambda source, to, message: not (isinstance(message, Checkpoint) and message.seq in missing)
    tx = group.transaction()
    group.submit(0, tx)
    for _ in range(len(missing)):
        group.run(60)
        group.submit(0, group.transaction())
    group.run(60)

    reply = group.answer(0, AskReceipt(request_id=1, tx_id=tx.id))

    assert isinstance(reply, ReceiptReply)
    receipt = verify_receipt(reply.receipt, group.genesis, FAST.verifier)
    assert (receipt.header.height, receipt.certificate.seq) == (1, len(missing) + 1)
    assert receipt.history_path


def test_without_any_proof_there_is_no_receipt_but_a_fate() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not isinstance(message, Checkpoint)
    tx = group.transaction()
    group.submit(0, tx)
    group.run(50)

    assert isinstance(group.answer(0, AskReceipt(request_id=1, tx_id=tx.id), ms=0), Fate)
    unknown = group.answer(0, AskReceipt(request_id=1, tx_id=TxId(b"?" * 32)), ms=0)
    assert isinstance(unknown, Fate)
    assert unknown.state is TxState.UNKNOWN


# ── blocks ──


def a_group_of(blocks: int) -> Engines:
    group = Engines()
    for _ in range(blocks):
        group.commit(group.transaction())
    return group


def test_a_block_comes_with_its_certificate() -> None:
    group = a_group_of(3)

    reply = group.answer(2, AskBlock(request_id=1, height=Seq(2)))

    assert isinstance(reply, BlockReply)
    assert reply.certificate is not None
    verify_header(Block.decode(reply.block).header, reply.certificate, group.genesis, FAST.verifier)


def test_the_genesis_block_has_no_certificate() -> None:
    group = a_group_of(1)

    reply = group.answer(2, AskBlock(request_id=1, height=Seq(0)))

    assert isinstance(reply, BlockReply)
    assert (Block.decode(reply.block).height, reply.certificate) == (0, None)


@pytest.mark.parametrize("height", [2, (1 << 63) - 1])
def test_a_block_that_is_not_there_is_said_to_be_so(height: int) -> None:
    group = a_group_of(1)

    reply = group.answer(2, AskBlock(request_id=1, height=Seq(height)))

    assert isinstance(reply, ErrorReply)
    assert "the newest is 1" in reply.text


@pytest.mark.parametrize(
    ("blocks", "count", "first", "last"), [(0, 3, 0, 0), (3, 2, 2, 3), (3, 3, 1, 3), (3, 256, 0, 3)]
)
def test_the_newest_headers_are_linked_down_from_the_certified_one(
    blocks: int, count: int, first: int, last: int
) -> None:
    group = a_group_of(blocks)

    reply = group.answer(1, AskBlocks(request_id=1, count=count))

    assert isinstance(reply, BlocksReply)
    headers = reply.headers[::-1]
    assert (headers[0].height, headers[-1].height) == (first, last)
    for previous, header in pairwise(headers):
        verify_link(previous, header)
    if blocks:
        assert reply.certificate is not None
        verify_header(headers[-1], reply.certificate, group.genesis, FAST.verifier)


# ── the replica ──


def test_a_status_says_where_the_replica_is_and_whom_it_hears() -> None:
    group = a_group_of(2)
    group.run(1_500)
    group.crash(3)
    group.run(4_000)

    reply = group.answer(1, AskStatus(request_id=7))

    assert reply == StatusReply(
        request_id=7,
        replica=ReplicaId(1),
        view=group.engine(1).replica.state.view,
        active=True,
        primary=ReplicaId(0),
        stable=Seq(2),
        executed=Seq(2),
        pending=0,
        heard=0b0111,
        uptime_ms=Millis(group.now - 50),
        version=__version__,
    )


def test_a_status_counts_what_is_pending() -> None:
    group = Engines()
    group.cut_off(0)
    group.submit(0, group.transaction(), group.transaction())
    group.run(1)

    reply = group.answer(0, AskStatus(request_id=7), ms=0)
    assert isinstance(reply, StatusReply)
    assert reply.pending == 2


def test_only_so_many_questions_about_the_past_are_answered_in_a_round() -> None:
    """Else one hostile client could keep a replica reading blocks for longer than the group waits for it."""
    group = a_group_of(1)
    engine, count = group.engine(0), WORK_PER_ROUND // WORK_PER_LOOKUP + 2
    for number in range(count):
        engine.on_client(ME, client_wire.encode(AskBlock(request_id=number, height=Seq(1))), START)
    first, second = engine.end_round(START), engine.end_round(START)

    assert first.has_more
    assert 0 < len(first.to_clients) < count
    assert not second.has_more
    answers = [client_wire.decode_reply(frame) for _, frame in (*first.to_clients, *second.to_clients)]
    assert [reply.request_id for reply in answers if isinstance(reply, BlockReply)] == list(range(count))
