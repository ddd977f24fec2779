"""What others brought before the client did, by a RELAY or in a proposal, is the client's once it submits it."""

import pytest

from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.ledger.client_messages import Fate, Refused, TxState
from bftledger.pbft import wire
from bftledger.pbft.messages import PrePrepare, Relay
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.rooms import CLIENTS
from tests.engine.engines import START, Engines
from tests.engine.test_submissions import only, receipts, with_signature_of


def relayed(group: Engines, by: int, to: int, *transactions: Transaction) -> None:
    message = Relay(transactions=transactions, replica=ReplicaId(by), signature=wire.UNSIGNED)
    group.peer_frame(to, wire.encode(group.signed(message)))


def proposed(group: Engines, to: int, *transactions: Transaction) -> None:
    """By the primary of view 0, to this backup alone."""
    proposal = make_proposal(Millis(START + group.now), transactions)
    message = PrePrepare(
        view=View(0), seq=Seq(1), digest=proposal.digest, replica=ReplicaId(0), signature=wire.UNSIGNED,
        proposal=proposal,
    )  # fmt: skip
    group.peer_frame(to, wire.encode(group.signed(message)))


def test_what_another_replica_passed_on_first_becomes_the_clients_that_submits_it() -> None:
    """It takes the clients' room, and goes with what this replica's own clients submitted."""
    group = Engines()
    group.cut_off(1)
    tx = group.transaction()
    relayed(group, 3, 1, tx)
    group.run(1)
    pool = group.engine(1).replica.state.pool
    before = pool.origins()[tx.id]
    group.submit(1, tx)
    group.run(1)

    assert before == ReplicaId(3)
    assert pool.origins()[tx.id] == CLIENTS
    assert pool.shares() == {tx.sender: 1}
    assert group.engine(1).desk.submissions.waiting == 1
    group.cut_off()
    group.run(1_000)
    assert len(receipts(group, only(group.taken()), tx)) == 1


@pytest.mark.parametrize("by", ["proposal", "relay"])
def test_what_others_brought_first_survives_the_end_of_the_view_where_a_client_submits_it(by: str) -> None:
    """What only proposals brought has to find room when their view ends, and here there is none for this one."""
    group = Engines(pool_count=8, pool_share=8)
    group.run(100)
    group.crash(0)
    tx = group.transaction(by="modest")
    proposed(group, 1, *[group.transaction(by="mallory") for _ in range(5)], *([tx] if by == "proposal" else []))
    if by == "relay":
        relayed(group, 3, 1, tx)
    group.run(5)
    group.submit(1, tx)
    for i in (1, 2, 3):
        group.submit(i, group.transaction(by="bob"), route=b"bob")
    group.run(3_000)

    assert {host.up.replica.state.view for host in group.up} == {1}
    assert len(receipts(group, only(group.taken()), tx)) == 1


def test_submission_that_only_this_clock_finds_too_early_waits_where_a_proposal_brought_it() -> None:
    """The group may be about to order it; told that it is not admissible, its client would make another."""
    group = Engines(delay=20)
    group.hosts[3].skew = -1_900
    group.run(10_000)
    tx = group.transaction(created=5_900)
    group.submit(3, tx, route=b"too early")
    group.submit(0, tx, route=b"at the primary")
    group.run(30)
    assert tx.id in group.engine(3).replica.state.pool
    group.submit(3, tx)
    group.run(2_000)

    assert isinstance(only(group.taken(b"too early")), Refused)
    assert len(receipts(group, only(group.taken()), tx)) == 1


def test_forged_copy_of_what_another_replica_passed_on_is_refused() -> None:
    group = Engines()
    group.cut_off(1)
    tx = group.transaction()
    relayed(group, 3, 1, tx)
    group.run(1)
    group.submit(1, with_signature_of(tx, bytes(64), group))
    group.run(1)

    reply = only(group.taken())
    assert isinstance(reply, Refused)
    assert "signature" in reply.reason


def test_primary_that_makes_known_what_it_rightly_took_does_not_withdraw_it() -> None:
    """By its own clock it is in time, and its clock is the one that counts: who passed it on waits for it."""
    group = Engines(delay=100)
    group.commit(group.transaction())
    group.run(1_000)
    group.passes = lambda source, to, message: False
    group.submit(0, group.transaction())
    group.run(5)
    late = group.transaction(created=9_900)
    relayed(group, 3, 0, late)
    pool = group.engine(0).replica.state.pool
    pending = []
    for _ in range(10):
        group.run(50)
        pending.append(late.id in pool)

    assert pool.passing.is_shared(late.id)
    assert pending == [True] * 10


def a_group_whose_primary_left_early_ones(count: int, *others: int) -> tuple[Engines, list[Transaction]]:
    """It proposed them to backup 1, and to some others, and stopped; their clients had made them 70 s too early."""
    group = Engines()
    group.run(100)
    group.crash(0)
    early = [group.transaction(by=f"client {i % 4}", created=70_000, lifetime=60_000) for i in range(count)]
    for backup in (1, *others):
        proposed(group, backup, *early)
    group.run(5)
    for backup in (1, *others):
        group.submit(backup, *early, route=b"early")
    group.run(5)
    for backup in (1, 2, 3):
        group.submit(backup, group.transaction(by="bob"), route=b"bob")
    return group, early


def test_what_was_created_too_early_is_not_said_to_have_expired_and_can_be_committed_later() -> None:
    """f+1 such words would be final to a client: "Not in the ledger, and it never will be"."""
    group, (early,) = a_group_whose_primary_left_early_ones(1, 2)
    group.run(8_000)
    told = group.taken(b"early")
    group.run(62_000)
    group.submit(3, early, route=b"later")
    group.run(3_000)

    assert {reply.state for reply in told if isinstance(reply, Fate)} == {TxState.UNKNOWN}
    assert len(told) == 2
    assert group.store(1).locate([early.id])


def test_nobody_waits_for_what_a_view_that_ended_has_forgotten() -> None:
    """Its room would be lost for good: more than are passed on and withdrawn before the view ends."""
    group, early = a_group_whose_primary_left_early_ones(600)
    waiting = group.engine(1).desk.submissions.waiting
    group.run(8_000)

    assert waiting >= len(early)
    assert group.engine(1).replica.state.view > 0
    assert group.engine(1).desk.submissions.waiting == 0
    assert len(group.taken(b"early")) == len(early)
