"""Replicas that lie to those who lag, ask for too much, pass on junk, or lie to clients: all get what is true."""

from typing import Any

import pytest

from bftledger.adversary.behaviours import clients, transfer
from bftledger.adversary.catalogue import parse
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.ids import ReplicaId, Seq
from bftledger.ledger.client_messages import AskHeight, AskReceipt, HeightReply, Query, QueryReply, ReceiptReply, Reply
from bftledger.ledger.outcome import State
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Commit, FetchProposal, Message, PrePrepare
from tests.adversary.customers import TIMEOUT_MS, Customer
from tests.adversary.storms import storm
from tests.adversary.traitors import (
    BOUND_MS,
    a_group_with,
    colluding,
    dropped,
    have,
    ignored,
    ledger,
    lens,
    submit_to_all,
    work,
)
from tests.engine.engines import Engines

TRANSFER = [behaviour.name for behaviour in transfer.BEHAVIOURS]
CLIENTS = [behaviour.name for behaviour in clients.BEHAVIOURS]
ALL = [*TRANSFER, *CLIENTS]
LAGS = 3
ASKED_FIRST = 1
"""Who lags asks the signer of the certificate that comes after it, but for the primary."""


def catching_up(*behaviours: str, blocks: int = 12, **settings: Any) -> Engines:
    """A group in which one replica missed blocks, and asks a traitor for them first."""
    group = Engines(traitors={ASKED_FIRST: [parse(text) for text in behaviours]}, **settings)
    group.passes = lambda source, to, message: LAGS not in (source, to)
    host = group.hosts[LAGS]
    host.engine, engine = None, host.engine
    for _ in range(blocks):
        group.submit(ASKED_FIRST, group.transaction(), route=b"client")
        group.submit(0, group.transaction(), route=b"client")
        group.run(20)
    host.engine = engine
    group.passes = lambda source, to, message: True
    return group


def has_caught_up(group: Engines) -> bool:
    return group.run(BOUND_MS, lambda: group.hosts[LAGS].height == group.hosts[0].height)


@pytest.mark.parametrize("behaviour", TRANSFER)
def test_who_lags_catches_up_though_it_asks_a_traitor_first(behaviour: str) -> None:
    group = catching_up(behaviour)

    assert group.hosts[LAGS].height == 0
    assert has_caught_up(group)
    assert ledger(group, LAGS) == ledger(group, 0)


@pytest.mark.parametrize("behaviour", ALL)
@pytest.mark.parametrize("traitor", [0, 2])
def test_the_group_gets_over_bad_weather_with_such_a_traitor(behaviour: str, traitor: int) -> None:
    group = a_group_with(behaviour, traitor=traitor, seed=traitor)
    group.loss = 0.05
    storm(group, spells=4, seed=10 + traitor)


@pytest.mark.parametrize("behaviour", ALL)
def test_f_such_traitors_change_nothing(behaviour: str) -> None:
    group = colluding([behaviour], traitors=[0, 2], n=7)
    storm(group, spells=2, seed=3)


@pytest.mark.parametrize("one", range(0, len(ALL), 2))
def test_two_that_misbehave_differently_change_nothing_either(one: int) -> None:
    traitors = {1: [parse(ALL[one])], 4: [parse(ALL[one - 3])]}
    storm(Engines(7, traitors=traitors, seed=one), spells=3, seed=one)


# ── blocks and proposals ──


@pytest.mark.parametrize("lie", ["altered", "order", "truncated", "unlinked", "fork", "headers", "certificate"])
def test_blocks_that_prove_nothing_are_dropped_and_others_are_asked(lie: str) -> None:
    group = catching_up(f"lie-blocks:{lie}")

    assert has_caught_up(group)
    assert lens(group, ASKED_FIRST).lies["lie-blocks"] > 0
    assert group.engine(LAGS).dropped.total() > 0
    assert ledger(group, LAGS) == ledger(group, 0)


@pytest.mark.parametrize("first", ["altered", "truncated"])
@pytest.mark.parametrize("second", ["slow-blocks", "lie-blocks:headers", "lie-blocks:fork"])
def test_who_looks_into_blocks_leaves_those_as_they_are_that_it_has_falsified_already(first: str, second: str) -> None:
    group = catching_up(f"lie-blocks:{first}", second)

    assert has_caught_up(group)
    assert lens(group, ASKED_FIRST).lies["lie-blocks"] > 0
    assert ledger(group, LAGS) == ledger(group, 0)


def test_who_gets_no_answer_asks_the_next() -> None:
    group = catching_up("withhold-blocks")

    assert has_caught_up(group)
    assert lens(group, ASKED_FIRST).lies["withhold-blocks"] > 0


def test_true_answers_that_come_slowly_and_one_by_one_are_taken_and_cost_their_turns_only() -> None:
    group = catching_up("slow-blocks")

    assert has_caught_up(group)
    assert lens(group, ASKED_FIRST).lies["slow-blocks"] > 0


def test_a_fetched_proposal_is_the_one_that_the_new_view_names() -> None:
    group = a_group_with("wrong-proposals", traitor=2)
    work(group, 1)
    asked = 0

    def in_view_0(source: int, to: int, message: Message) -> bool:
        return not isinstance(message, Commit) and not (to == LAGS and isinstance(message, PrePrepare))

    def without_primary(source: int, to: int, message: Message) -> bool:
        nonlocal asked
        asked += isinstance(message, FetchProposal)
        return 0 not in (source, to)

    transactions = [group.transaction()]
    group.passes = in_view_0
    submit_to_all(group, transactions)
    group.run(60)
    group.passes = without_primary
    assert group.run(BOUND_MS, lambda: have(group, [1, LAGS], transactions))

    assert asked > 0
    assert ignored(group)[Ignored.NOT_ASKED] + dropped(group).total() > 0
    assert ledger(group, LAGS) == ledger(group, 1)


def test_who_asks_without_end_is_answered_so_often_and_no_more() -> None:
    group = a_group_with("fetch-storm", traitor=2)
    work(group)
    group.run(1_500)

    assert ignored(group)[Ignored.ASKED_TOO_OFTEN] > 0


# ── junk ──


@pytest.mark.parametrize("junk", ["expired", "early", "inadmissible", "unsigned", "ordered", "many", "good"])
def test_relayed_junk_fills_no_pool_and_no_ledger(junk: str) -> None:
    group = a_group_with(f"relay-junk:{junk}", traitor=2)
    work(group, 4)

    assert all(len(group.engine(i).replica.state.pool) <= group.settings.pool_count for i in (0, 1, 3))
    assert len(set(ledger(group, 0))) == len(ledger(group, 0))
    if junk in ("unsigned", "many"):
        assert dropped(group).total() > 0
    if junk in ("unsigned", "many", "expired", "inadmissible"):
        assert len(ledger(group, 0)) == 4 * 4


# ── clients ──


@pytest.mark.parametrize("behaviour", CLIENTS)
@pytest.mark.parametrize("traitor", [0, 1])
def test_a_client_gets_its_receipt_whoever_lies_to_it(behaviour: str, traitor: int) -> None:
    group = a_group_with(behaviour, traitor=traitor)
    customer = Customer(group)
    for _ in range(12):
        outcome = customer.answer(customer.session.submission(group.transaction(), TIMEOUT_MS))
        assert outcome.state is State.COMMITTED
        again = customer.answer(customer.session.fate(outcome.tx_id, TIMEOUT_MS))
        assert again.state is State.COMMITTED

    if traitor == 0:
        assert lens(group).lies[behaviour] > 0


@pytest.mark.parametrize("seed", range(10))
def test_what_a_client_reads_is_proven(seed: int) -> None:
    group = a_group_with("lie-replies", seed=seed)
    customer = Customer(group)
    proofs = customer.session.proofs
    outcome = customer.answer(customer.session.submission(group.transaction("put color blue"), TIMEOUT_MS))
    key = group.machine.query_key(group.machine.parse_query(["color"]))

    def judge(_: ReplicaId, reply: Reply) -> QueryReply | None:
        return proofs.read(reply, key, outcome.height) if isinstance(reply, QueryReply) else None

    def judge_height(_: ReplicaId, reply: Reply) -> Seq | None:
        return proofs.height(reply, Seq(0)).height if isinstance(reply, HeightReply) else None

    args = group.machine.parse_query(["color"])
    query = Query(request_id=customer.session.next_id(), args=args, certified=True, minimum=outcome.height)
    read = customer.answer(customer.session.question(query, judge, TIMEOUT_MS))
    (value,) = {reply.value for reply in read.found.values()}
    assert value == _value(group, key)

    ask = AskHeight(request_id=customer.session.next_id(), minimum=Seq(0))
    quorum = group.genesis.group.quorum
    heights = customer.answer(customer.session.question(ask, judge_height, TIMEOUT_MS, quorum))
    assert max(heights.found.values()) == group.hosts[1].height


def _value(group: Engines, key: bytes) -> bytes | None:
    state: AuthenticatedMap = group.engine(1).ledger.executor.state
    return state.get(key)


def test_a_receipt_that_is_falsified_already_is_handed_on_as_it_is() -> None:
    group = a_group_with("lie-replies", "lie-replies")
    transaction = group.transaction()
    group.commit(transaction)
    answers = [group.answer(0, AskReceipt(request_id=1, tx_id=transaction.id)) for _ in range(40)]

    assert all(isinstance(answer, ReceiptReply) for answer in answers)
    assert len(set(answers)) > 5


def test_lies_to_clients_are_counted_as_unproven() -> None:
    group = a_group_with("lie-replies")
    customer = Customer(group)
    for _ in range(12):
        customer.answer(customer.session.submission(group.transaction(), TIMEOUT_MS))

    assert customer.session.dropped["unproven"] > 0
