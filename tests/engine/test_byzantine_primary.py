"""A primary that proposes what no correct one would: all others make the same blocks of it, or leave it."""

from typing import Any

import pytest

from bftledger.base.ids import Millis, Seq, View
from bftledger.base.transaction import Transaction, decode
from bftledger.ledger.block import Block
from bftledger.ledger.client_messages import AskReceipt, Committed, Fate, ReceiptReply, TxState
from bftledger.pbft import wire
from bftledger.pbft.messages import PrePrepare
from bftledger.pbft.proposals import make_proposal
from tests.engine.engines import START, Engines, a_genesis


def propose(group: Engines, *transactions: Transaction, seq: int = 1, time: int = 0) -> None:
    """Replica 0, which is down, sends its own idea of a proposal to all."""
    proposed = make_proposal(Millis(START + group.now + time), transactions)
    message = PrePrepare(
        view=View(0), seq=Seq(seq), digest=proposed.digest, replica=group.hosts[0].id, signature=wire.UNSIGNED
    )
    signed = group.signed(message)
    frame = wire.encode(
        PrePrepare(
            view=signed.view,
            seq=signed.seq,
            digest=signed.digest,
            replica=signed.replica,
            signature=signed.signature,
            proposal=proposed,
        )
    )
    for i in (1, 2, 3):
        group.peer_frame(i, frame)


def a_group_without_its_primary(**limits: Any) -> Engines:
    group = Engines(genesis=a_genesis(members=["alice"], **limits))
    group.crash(0)
    return group


def blocks(group: Engines, height: int) -> set[bytes | None]:
    return {group.hosts[i].store.block(Seq(height)) for i in (1, 2, 3)}


def test_what_may_not_be_in_the_ledger_is_left_out_of_the_same_block_everywhere() -> None:
    group = a_group_without_its_primary(max_payload_bytes=60)
    group.run(100)
    good = group.transaction("put color blue")
    dishonest = [
        group.transaction(by="mallory"),
        group.transaction(created=-90, lifetime=50),
        group.transaction(created=20_000),
        group.transaction(lifetime=900_000),
        group.transaction(payload=bytes(61)),
    ]

    propose(group, *dishonest, good)
    group.run(100)

    (data,) = blocks(group, 1)
    assert data is not None
    assert Block.decode(data).transactions == (good.encoded,)


def test_a_transaction_that_is_in_the_ledger_is_in_no_second_block() -> None:
    group = a_group_without_its_primary()
    tx, other = group.transaction(), group.transaction()
    propose(group, tx)
    group.run(50)
    propose(group, tx, other, seq=2)
    group.run(50)

    (data,) = blocks(group, 2)
    assert data is not None
    assert Block.decode(data).transactions == (other.encoded,)
    assert all(group.hosts[i].store.locate([tx.id])[tx.id].height == 1 for i in (1, 2, 3))


def test_a_proposal_of_nothing_that_counts_is_an_empty_block() -> None:
    group = a_group_without_its_primary()
    propose(group, group.transaction(by="mallory"))
    group.run(50)

    (data,) = blocks(group, 1)
    assert data is not None
    assert Block.decode(data).transactions == ()


def test_who_waits_for_a_transaction_that_a_proposal_held_in_vain_is_told_why() -> None:
    group = a_group_without_its_primary()
    group.passes = lambda source, to, message: True
    first, late = group.transaction(), group.transaction(lifetime=30)
    group.submit(1, late)
    group.submit(1, first, route=b"other")
    group.run(10)
    propose(group, first, time=40)
    group.run(10)
    propose(group, late, seq=2, time=41)
    group.run(100)

    (fate,) = group.taken()
    assert isinstance(fate, Fate)
    assert fate.state is TxState.EXPIRED
    assert isinstance(group.taken(b"other")[0], Committed)


def test_who_submits_again_what_is_proposed_again_gets_the_one_block_it_is_in() -> None:
    group = a_group_without_its_primary()
    tx = group.transaction()
    propose(group, tx)
    group.run(50)
    group.submit(1, tx)
    propose(group, tx, seq=2)
    group.run(100)

    (reply,) = group.taken()
    assert isinstance(reply, Committed)
    assert reply.header.height == 1


@pytest.mark.parametrize("time", [60_000, -60_000])
def test_a_proposal_of_another_time_is_not_accepted(time: int) -> None:
    group = a_group_without_its_primary()
    propose(group, group.transaction(), time=time)
    group.run(50)

    assert blocks(group, 1) == {None}
    assert all(group.engine(i).ignored for i in (1, 2, 3))


def test_a_forged_transaction_spoils_its_whole_proposal() -> None:
    group = a_group_without_its_primary()
    honest = group.transaction()
    propose(group, decode(honest.encoded[:-64] + bytes(64), group.genesis.genesis_hash))
    group.run(50)

    assert blocks(group, 1) == {None}
    assert [group.engine(i).dropped["BadSignature"] for i in (1, 2, 3)] == [1, 1, 1]


def test_two_proposals_for_one_slot_cost_the_primary_its_view() -> None:
    group = a_group_without_its_primary()
    propose(group, group.transaction())
    propose(group, group.transaction())
    group.run(2_000)

    assert all(group.engine(i).replica.state.view >= 1 for i in (1, 2, 3))
    tx = group.transaction()
    group.submit(1, tx)
    group.run(2_000)
    assert isinstance(group.answer(1, AskReceipt(request_id=1, tx_id=tx.id)), ReceiptReply)


def test_a_primary_that_dates_its_proposal_back_censors_nobody() -> None:
    """The block leaves the transaction out as created too late; but it was not, so it stays pending."""
    group = a_group_without_its_primary(max_skew_ms=Millis(1_000))
    group.run(3_000)
    tx = group.transaction()
    group.submit(1, tx)
    group.run(10)

    propose(group, tx, time=-5_000)
    group.run(200)
    assert all(group.hosts[i].height == 1 for i in (1, 2, 3))
    assert all(group.hosts[i].store.locate([tx.id]) == {} for i in (1, 2, 3))
    group.run(5_000)

    assert all(tx.id in group.hosts[i].store.locate([tx.id]) for i in (1, 2, 3))
    (reply,) = group.taken()
    assert isinstance(reply, Committed)
