"""Lying primaries in a group of engines: each lies, and the honest ones order everything all the same."""

import pytest

from bftledger.adversary.behaviours import equivocation, primary
from bftledger.adversary.catalogue import parse
from bftledger.base import transaction
from bftledger.base.ids import Seq
from bftledger.ledger.block import Block
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Prepare
from bftledger.pbft.suspicion import patience
from bftledger.pbft.turns import least_cost
from tests.adversary.traitors import (
    a_group_with,
    colluding,
    commit_everywhere,
    dropped,
    honest,
    ignored,
    ledger,
    lens,
    submit_to_all,
    views,
    work,
)
from tests.engine.engines import START, Engines

ALL = [behaviour.name for module in (equivocation, primary) for behaviour in module.BEHAVIOURS]
TOLD = ["equivocate-one:2", "oversize:bytes", "oversize:count", "oversize:payload", "slow:40", "slow:300"]
TIMES = ["bad-time:past", "bad-time:future", "bad-time:inside"]


@pytest.mark.parametrize("behaviour", [*ALL, *TOLD, *TIMES])
def test_honest_replicas_order_everything_under_a_primary_that_lies(behaviour: str) -> None:
    group = a_group_with(behaviour)
    work(group)

    assert lens(group).lies[behaviour.partition(":")[0]] > 0


@pytest.mark.parametrize("behaviour", ALL)
def test_a_replica_with_a_primary_s_vices_is_honest_while_it_is_no_primary(behaviour: str) -> None:
    group = a_group_with(behaviour, traitor=3)
    work(group, 3)

    assert lens(group, 3).lies.total() == 0


@pytest.mark.parametrize("behaviour", ALL)
def test_a_primary_that_lies_again_and_again_is_survived_each_time(behaviour: str) -> None:
    """Two of seven in a row: both lead in their turn, and the third view is an honest one's."""
    group = colluding([behaviour], traitors=[0, 1], n=7)
    work(group, 12)

    assert lens(group).lies.total() > 0


# ── equivocation ──


def test_halves_are_told_different_things_and_one_of_them_is_decided() -> None:
    group = a_group_with("equivocate")
    proposed: dict[int, set[bytes]] = {1: set(), 2: set(), 3: set()}

    def notice(source: int, _: int, message: object) -> bool:
        if isinstance(message, Prepare) and message.view == 0 and message.seq == 1:
            proposed[source].add(message.digest)
        return True

    group.passes = notice
    commit_everywhere(group, [group.transaction() for _ in range(3)])

    assert proposed[2] == proposed[3]
    assert len(proposed[1]) == len(proposed[2]) == 1
    assert proposed[1] != proposed[2]


def test_a_victim_follows_the_others_and_the_two_proposals_cost_the_primary_its_view() -> None:
    group = a_group_with("equivocate-one:3")
    work(group, 4)

    assert min(views(group)) == 1
    assert ledger(group, 3) == ledger(group, 1)


def test_with_f_accomplices_in_a_group_of_3f_plus_1_equivocation_forks_nothing() -> None:
    group = colluding(["equivocate", "double-vote"], traitors=[0, 3], n=7)
    work(group)

    assert lens(group).lies["equivocate"] > 0
    assert lens(group, 3).lies["double-vote"] > 0


@pytest.mark.parametrize("behaviour", ["equivocate", "equivocate-time"])
@pytest.mark.parametrize(
    ("traitors", "n"), [((0, 1), 4), ((0, 3), 4), ((0, 1, 2), 7), ((0, 2, 5), 7), ((0, 1, 2, 3), 10)]
)
def test_with_f_plus_1_colluding_the_group_forks(behaviour: str, traitors: tuple[int, ...], n: int) -> None:
    """That is what f+1 can do where halves do not talk: a test that cannot see it proves nothing about f."""
    group = colluding([behaviour, "double-vote"], traitors=traitors, n=n)
    halves = split(group)
    group.passes = lambda source, to, message: to in traitors or halves[source] == halves[to]
    group.run(10)

    with pytest.raises(AssertionError, match="two blocks 1"):
        work(group)


@pytest.mark.parametrize(("traitors", "n"), [((0,), 4), ((0, 3), 7), ((0, 1, 2), 10)])
def test_with_f_colluding_it_does_not_even_where_halves_do_not_talk(traitors: tuple[int, ...], n: int) -> None:
    group = colluding(["equivocate", "double-vote"], traitors=traitors, n=n)
    halves = split(group)
    group.passes = lambda source, to, message: to in traitors or halves[source] == halves[to]
    submit_to_all(group, [group.transaction() for _ in range(3)])
    group.run(3_000)
    group.passes = lambda source, to, message: True

    work(group, 2)


def split(group: Engines) -> dict[int, int]:
    """Which half of the honest ones each of them is in."""
    rest = honest(group)
    return {id: place >= len(rest) // 2 for place, id in enumerate(rest)}


# ── what is in a proposal ──


def test_a_censored_client_is_served_in_the_next_view() -> None:
    group = Engines()
    victim = group.keys.signer("victim").public_key
    group = a_group_with(f"censor:{victim.hex()[:12]}")
    others = [group.transaction(by="other") for _ in range(3)]
    commit_everywhere(group, others)
    assert views(group) == [0, 0, 0]
    assert lens(group).lies.total() == 0

    commit_everywhere(group, [group.transaction(by="victim"), group.transaction(by="other")])

    assert min(views(group)) >= 1
    assert lens(group).lies["censor"] > 0


def test_a_primary_may_choose_the_order_but_it_is_one() -> None:
    group = a_group_with("reorder")
    batch = [group.transaction(by=f"client {i}") for i in range(4)]
    commit_everywhere(group, batch)

    assert views(group) == [0, 0, 0]
    assert ledger(group, 1) == ledger(group, 2) == ledger(group, 3)
    own, *rest = ledger(group, 1)
    assert transaction.decode(own, group.genesis.genesis_hash).sender == group.genesis.group.keys[0]
    assert rest == [tx.encoded for tx in reversed(batch)]


def test_a_forged_transaction_costs_the_primary_its_view_and_is_in_no_ledger() -> None:
    group = a_group_with("forge-requests")
    batch = [group.transaction() for _ in range(2)]
    commit_everywhere(group, batch)

    assert min(views(group)) == 1
    assert dropped(group)["BadSignature"] > 0
    assert sorted(ledger(group, 1)) == sorted(tx.encoded for tx in batch)


def test_a_replayed_transaction_is_in_the_ledger_once() -> None:
    group = a_group_with("replay-requests")
    work(group)

    held = ledger(group, 1)
    assert lens(group).lies["replay-requests"] > 0
    assert len(held) == len(set(held))


@pytest.mark.parametrize("behaviour", ["oversize:bytes", "oversize:count", "malformed"])
def test_what_is_no_proposal_costs_the_primary_its_view(behaviour: str) -> None:
    group = a_group_with(behaviour)
    work(group, 1)

    assert min(views(group)) == 1
    assert dropped(group).total() + ignored(group)[Ignored.NO_PROPOSAL] > 0


def test_a_transaction_that_is_too_large_for_the_group_is_left_out_of_the_block() -> None:
    group = a_group_with("oversize:payload")
    work(group, 2)

    assert views(group) == [0, 0, 0]
    assert max(len(tx) for tx in ledger(group, 1)) < group.genesis.max_payload_bytes


# ── time and numbers ──


@pytest.mark.parametrize("behaviour", ["bad-time:past", "bad-time:future"])
def test_a_time_that_is_far_off_costs_the_primary_its_view(behaviour: str) -> None:
    group = a_group_with(behaviour)
    work(group, 1)

    assert min(views(group)) == 1
    assert ignored(group)[Ignored.BAD_TIME] > 0


def test_a_time_that_is_just_accepted_never_runs_backwards() -> None:
    group = a_group_with("bad-time:inside")
    work(group)

    headers = [Block.decode(group.hosts[1].store.block(Seq(h)) or b"").header for h in range(1, group.hosts[1].height)]
    times = [header.time for header in headers]
    assert times == sorted(set(times))
    assert times[-1] - START <= group.now + group.settings.clock_skew_ms


def test_numbers_beyond_the_window_change_nothing() -> None:
    group = a_group_with("ahead")
    work(group)

    assert views(group) == [0, 0, 0]
    assert ignored(group)[Ignored.ABOVE_WATERMARK] > 0
    assert all(not group.engine(i).replica.state.slots for i in honest(group))


def test_a_gap_is_filled_with_an_empty_block() -> None:
    group = a_group_with("gaps")
    work(group, 1)

    first = Block.decode(group.hosts[1].store.block(Seq(1)) or b"")
    assert first.transactions == ()
    assert min(views(group)) == 1


def test_a_primary_that_delays_beyond_the_time_out_loses_its_view() -> None:
    group = a_group_with("slow:300")
    work(group, 1)

    assert min(views(group)) == 1


def test_a_primary_may_take_its_time_but_not_more_than_it_has() -> None:
    group = a_group_with("slow:40")
    batch = [group.transaction() for _ in range(3)]
    submit_to_all(group, batch)
    group.run(group.settings.request_timeout_ms * 40 // 100 - 1)
    assert ledger(group, 1) == []

    group.run(20)

    assert len(ledger(group, 1)) == len(batch)
    assert views(group) == [0, 0, 0]


@pytest.mark.parametrize("batch_count", [1, 4])
def test_a_primary_that_orders_full_batches_of_its_own_is_left_when_it_has_ordered_more_than_turns_allow(
    batch_count: int,
) -> None:
    """`suspicion.patience`: no work excuses a longer wait, though it is all good work."""
    group = Engines(traitors={0: [parse("busy-censor")]}, batch_count=batch_count, batch_bytes=1 << 17, pipeline=2)
    starved = group.transaction()
    submit_to_all(group, [starved])
    cost = least_cost(group.settings)
    most = patience(group.engine(1).replica.state, cost + len(starved.encoded))
    answered = group.run(20_000, lambda: starved.id in group.hosts[1].store.contains([starved.id]))
    ordered = sum(map(len, ledger(group, 1)))

    assert answered
    assert min(views(group)) == 1
    assert most // 2 < ordered < 2 * most
