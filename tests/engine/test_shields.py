"""What was once of use to those who order nothing, or who would have honest primaries replaced, is of none."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import pytest

from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.pbft import wire
from bftledger.pbft.messages import Blocks, Message, PrePrepare, Relay, ViewChange
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.suspicion import patience
from bftledger.pbft.transfer import MOST_DOUBLINGS
from bftledger.pbft.turns import least_cost
from tests.engine.engines import START, Engines, Host, a_genesis
from tests.engine.test_suspicion import has, views


def all_at(hosts: Iterable[Host], height: int) -> bool:
    return {host.height for host in hosts} == {height}


def relay(group: Engines, by: int, to: Iterable[int], transactions: list[Transaction]) -> None:
    for start in range(0, len(transactions), 512):
        some = tuple(transactions[start : start + 512])
        frame = wire.encode(group.signed(Relay(transactions=some, replica=ReplicaId(by), signature=wire.UNSIGNED)))
        for i in to:
            group.peer_frame(i, frame)


def test_backup_that_passes_on_what_expires_with_the_block_under_way_deposes_nobody() -> None:
    """No replica takes from another what the ledger's time has passed: whoever kept it would wait in vain."""
    group = Engines(delay=5)
    group.commit(group.transaction())
    group.run(1_000)
    expiring = [group.transaction(lifetime=14) for _ in range(1_250)]
    group.run(15)
    group.submit(0, group.transaction())
    group.run(12)  # the block has its time, and is not executed
    relay(group, 3, (1, 2), expiring)
    group.run(1)
    held = [len(group.engine(i).replica.state.pool) for i in (1, 2)]
    group.run(3_000)

    assert min(held) > 600
    assert views(group) == [(0, True)] * 4
    assert [len(group.engine(i).replica.state.pool) for i in range(4)] == [0] * 4


@pytest.mark.parametrize("by", ["client", "primary"])
def test_what_is_created_as_late_as_may_be_shields_no_dead_primary(by: str) -> None:
    group = Engines(genesis=a_genesis(4, max_skew_ms=Millis(60_000), max_lifetime_ms=Millis(600_000)))
    group.commit(group.transaction())
    group.run(1_000)
    group.crash(0)
    if by == "client":
        late = [group.transaction(by="mallory", created=56_000, lifetime=500_000) for _ in range(1_000)]
        for i in (1, 2, 3):
            group.submit(i, *late)
    else:
        late = [group.transaction(by="mallory", created=60_000, lifetime=500_000) for _ in range(1_240)]
        relay(group, 0, (1, 2, 3), late)
    group.run(10)
    honest = group.transaction()
    for i in (1, 2, 3):
        group.submit(i, honest)

    assert group.run(1_000, lambda: has(group, honest))


def test_primary_that_trickles_and_withholds_each_proposal_from_another_backup_is_replaced() -> None:
    """In a group where each block is soon fetched, every backup lags now and then; it must not forget what it saw."""
    group = Engines(batch_count=64)
    group.commit(group.transaction())
    primary = group.engine(0).replica.state
    primary.settings = primary.pool.waiting._settings = replace(primary.settings, batch_count=1, pipeline=1)
    due: dict[Seq, int] = {}

    def passes(source: int, to: int, message: Message) -> bool:
        if source or not isinstance(message, PrePrepare):
            return True
        at = due.setdefault(message.seq, group.now + 200)
        return group.now >= at and to != 1 + message.seq % 3

    group.passes = passes
    waiting = [group.transaction() for _ in range(400)]
    for i in range(4):
        group.submit(i, *waiting)

    assert group.run(6_000, lambda: views(group)[1:] == [(1, True)] * 3)


def test_who_was_cut_off_holds_nothing_that_it_fetches_against_the_primary_that_went_on() -> None:
    """`on_fetched`: "who was cut off while it worked holds nothing against it: what was passed on before may never have
    got there"."""
    group = Engines(delay=40, batch_count=20, pool_count=60, pool_share=60)
    group.commit(group.transaction())
    group.run(1_000)
    group.cut_off(3)
    alone = group.transaction(by="alone")
    group.submit(3, alone)
    group.run(1_000)
    for _ in range(30):
        group.submit(0, *[group.transaction(by=f"client {i % 5}") for i in range(20)])
        group.run(250)
    cost = least_cost(group.settings)
    came_first = cost * 20 * (group.hosts[0].height - group.hosts[3].height)
    left: list[int] = []

    def passes(source: int, to: int, message: Message) -> bool:
        if isinstance(message, ViewChange):
            left.append(source)
        return True

    group.passes = passes
    caught_up = group.run(1_000, lambda: has(group, alone))
    group.run(2_000)

    assert came_first > patience(group.engine(3).replica.state, cost)
    assert caught_up
    assert left == []
    assert views(group) == [(0, True)] * 4


def test_long_search_for_blocks_does_not_give_silent_peers_more_time_for_as_long() -> None:
    group = Engines()
    group.cut_off(3)
    for height in range(1, 301):
        group.submit(0, group.transaction())
        group.run(100, partial(all_at, group.hosts[:3], height))
    group.cut_off()
    group.passes = lambda source, to, message: to != 3 or not isinstance(message, Blocks)
    group.run(60_000)
    fetch = group.engine(3).replica.state.fetch
    assert fetch is not None
    assert fetch.in_vain == MOST_DOUBLINGS * 3

    group.passes = lambda source, to, message: (source, to) != (1, 3) or not isinstance(message, Blocks)

    assert group.run(3_000, lambda: group.hosts[3].height == group.hosts[0].height)


def test_what_a_dated_back_proposal_left_out_is_proposed_by_the_primary_that_had_to_carry_it_over() -> None:
    group = Engines()
    group.commit(group.transaction())
    group.run(12_000)
    group.crash(0)
    accused: list[View] = []

    def passes(source: int, to: int, message: Message) -> bool:
        if isinstance(message, ViewChange):
            accused.append(message.view)
        return True

    group.passes = passes
    censored = group.transaction(created=5_900)
    for i in (1, 2, 3):
        group.submit(i, censored)
    proposal = make_proposal(Millis(START + group.now - 10_000), (censored,))
    frame = wire.encode(
        group.signed(
            PrePrepare(
                view=View(0),
                seq=Seq(2),
                digest=proposal.digest,
                replica=ReplicaId(0),
                signature=wire.UNSIGNED,
                proposal=proposal,
            )
        )
    )
    for i in (1, 2):
        group.peer_frame(i, frame)

    assert group.run(2_000, lambda: has(group, censored))
    assert group.hosts[3].height == 3
    assert set(accused) == {1}
