"""Who brings forged signatures again and again is shunned for a while; nobody else notices."""

import pytest

from bftledger.base import cbor, transaction
from bftledger.base.ids import Millis
from bftledger.engine.forgers import (
    BURST,
    BURST_OF_ALL,
    FORGIVEN_PER_S,
    FORGIVEN_PER_S_OF_ALL,
    MAX_REMEMBERED,
    SHUNNED_MS,
    TOLD,
    Forgers,
)
from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.submissions import RETRY_MS
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskStatus, Busy, Committed, Refused, Reply, StatusReply, Submit
from tests.builders import ED25519
from tests.effort import counted
from tests.engine.engines import START, Engines, a_genesis

FORGER, HONEST = b"forger", b"honest"
NOW = Millis(5_000)


def later(ms: int) -> Millis:
    return Millis(NOW + ms)


# ── what is forgiven ──


def shunned(route: bytes = FORGER, now: Millis = NOW) -> Forgers:
    forgers = Forgers()
    for _ in range(BURST):
        assert not forgers.is_shunned(route, now)
        forgers.forged(route, now)
    return forgers


def is_shunned_after_one_more(forgers: Forgers, route: bytes, now: Millis) -> bool:
    forgers.forged(route, now)
    return forgers.is_shunned(route, now)


def test_who_forges_too_much_at_once_is_shunned_for_a_while_and_half_of_it_is_forgiven_then() -> None:
    forgers = shunned()

    assert forgers.is_shunned(FORGER, NOW)
    assert not forgers.is_shunned(HONEST, NOW)
    assert forgers.is_shunned(FORGER, later(SHUNNED_MS - 1))
    again = later(SHUNNED_MS)
    assert not forgers.is_shunned(FORGER, again)
    for _ in range(BURST // 2):
        assert not forgers.is_shunned(FORGER, again)
        forgers.forged(FORGER, again)
    assert forgers.is_shunned(FORGER, again)


def test_who_forges_no_more_than_is_forgiven_is_never_shunned() -> None:
    forgers, pause = Forgers(), 1_000 // FORGIVEN_PER_S
    for number in range(20 * BURST):
        forgers.forged(FORGER, later(number * pause))
        assert not forgers.is_shunned(FORGER, later(number * pause))

    times = [later(20 * BURST * pause + number * pause // 2) for number in range(3 * BURST)]
    assert any(is_shunned_after_one_more(forgers, FORGER, now) for now in times), "at twice that rate"


def test_many_connections_share_what_is_forgiven_all_of_them() -> None:
    forgers = Forgers()
    routes = [b"%d" % number for number in range(BURST_OF_ALL + 10)]
    for route in routes:
        forgers.forged(route, NOW)

    assert [forgers.is_shunned(route, NOW) for route in routes] == [False] * (BURST_OF_ALL - 1) + [True] * 11
    assert not forgers.is_shunned(HONEST, NOW)
    forgers.forged(b"a second later", later(1_000))
    assert not forgers.is_shunned(b"a second later", later(1_000)), "some are forgiven by then"
    found = [is_shunned_after_one_more(forgers, b"%d" % number, later(1_000)) for number in range(600)]
    assert found.count(False) < FORGIVEN_PER_S_OF_ALL + 10


@pytest.mark.parametrize("back_ms", [1, 3_600_000])
def test_a_clock_that_is_set_back_forgives_nothing_and_makes_nobody_shunned_for_longer(back_ms: int) -> None:
    forgers = Forgers()
    for _ in range(BURST - 2):
        forgers.forged(FORGER, NOW)
    forgers.forged(FORGER, later(-back_ms))
    assert not forgers.is_shunned(FORGER, later(-back_ms))
    forgers.forged(FORGER, later(-back_ms))
    assert forgers.is_shunned(FORGER, later(-back_ms))

    assert not shunned().is_shunned(FORGER, later(-back_ms))


def test_those_that_forged_last_are_remembered() -> None:
    forgers = shunned()
    others = [b"%d" % number for number in range(MAX_REMEMBERED - 1)]
    for at, route in enumerate(others):
        forgers.forged(route, later(10 * at))
    assert (len(forgers), forgers.shunned) == (MAX_REMEMBERED, 1)

    forgers.forged(b"one more", later(100_000))
    assert (len(forgers), forgers.shunned) == (MAX_REMEMBERED, 0)
    assert not forgers.is_shunned(FORGER, later(1))

    for _ in range(BURST):
        forgers.forged(others[0], later(100_000))
    forgers.forged(b"another", later(100_000))
    assert forgers.is_shunned(others[0], later(100_000)), "it has forged since, and it is another that is forgotten"


def test_so_many_are_told_when_to_come_again() -> None:
    forgers = shunned()

    assert [forgers.tell(FORGER, later(1_000)) for _ in range(TOLD + 2)] == [SHUNNED_MS - 1_000] * TOLD + [None, None]


def test_who_is_shunned_is_named_once() -> None:
    forgers = shunned()

    assert forgers.take_new() == [FORGER]
    assert forgers.take_new() == []


# ── who forges ──


def forged(group: Engines, number: int) -> bytes:
    tx = group.transaction()
    fields = [tx.sender, tx.nonce, tx.created, tx.expires, tx.payload, bytes(64)]
    damaged = transaction.decode(cbor.encode(fields), group.genesis.genesis_hash)
    return client_wire.encode(Submit(request_id=number, transaction=damaged.encoded))


def flood(group: Engines, frames: list[bytes], now: Millis, route: bytes = FORGER) -> list[Reply]:
    """All of a connection at once; what it is told."""
    engine = group.engine(0)
    for frame in frames:
        engine.on_client(route, frame, now)
    rounds = [engine.end_round(now)]
    while rounds[-1].has_more:
        rounds.append(engine.end_round(now))
    return [client_wire.decode_reply(frame) for finished in rounds for _, frame in finished.to_clients]


def test_a_forger_is_refused_then_dropped_unread_and_served_again_later() -> None:
    group = Engines(keys=ED25519)

    first = flood(group, [forged(group, number) for number in range(BURST)], START)
    frames = [forged(group, number) for number in range(1_000)]
    with counted() as effort:
        again = flood(group, frames, START)
    afterwards = flood(group, [client_wire.encode(AskStatus(request_id=1))], Millis(START + SHUNNED_MS))

    assert [type(reply) for reply in first] == [Refused] * BURST
    assert again == [Busy(request_id=number, retry_ms=SHUNNED_MS) for number in range(TOLD)]
    assert effort.checks == 0
    assert [type(reply) for reply in afterwards] == [StatusReply]
    assert group.engine(0).counters()["dropped from clients: Forger"] == 1_000


def test_what_waits_behind_the_forgery_that_is_too_many_is_told_to_come_again() -> None:
    """It may be another's, who shares the connection: nothing is lost without a word but what comes after `TOLD`."""
    group = Engines(keys=ED25519)
    honest = client_wire.encode(Submit(request_id=7_777, transaction=group.transaction().encoded))

    said = flood(group, [*(forged(group, number) for number in range(BURST)), honest], START)

    assert [type(reply) for reply in said] == [Refused] * BURST + [Busy]
    assert said[-1] == Busy(request_id=7_777, retry_ms=RETRY_MS)


def test_no_more_than_so_many_are_checked_in_one_round() -> None:
    group = Engines(keys=ED25519)
    frames = [forged(group, number) for number in range(400)]
    with counted() as effort:
        flood(group, frames, START)

    assert effort.checks == BURST


def test_what_waited_when_its_connection_was_shunned_is_dropped_unread_in_later_rounds() -> None:
    group = Engines(keys=ED25519)
    engine = group.engine(0)
    for number in range(MAX_FRAMES):
        engine.on_client(FORGER, forged(group, number), START)
    engine.end_round(START)
    waiting = len(engine.desk.intake)
    with counted() as effort:
        finished = engine.end_round(START)

    assert waiting > TOLD
    assert not finished.has_more
    assert engine.counters()["dropped from clients: Forger"] == waiting
    assert (len(finished.to_clients), effort.checks) == (TOLD, 0)


def test_a_shunned_connection_takes_no_room() -> None:
    group = Engines(keys=ED25519)
    flood(group, [forged(group, number) for number in range(BURST)], START)
    engine = group.engine(0)
    frame = forged(group, 1)
    for _ in range(2 * MAX_FRAMES):
        engine.on_client(FORGER, frame, START)

    assert len(engine.desk.intake) == 0


def test_others_are_served_while_a_forger_is_not() -> None:
    group = Engines(keys=ED25519)
    flood(group, [forged(group, number) for number in range(2 * BURST)], START)
    group.submit(0, group.transaction(), route=HONEST)
    group.run(1_000)

    assert [type(reply) for reply in group.taken(HONEST)] == [Committed]


@pytest.mark.parametrize("how", [{"payload": b"what"}, {"by": "mallory"}, {"created": 60_000}])
def test_who_is_refused_for_another_reason_is_told_so_each_time(how: dict[str, object]) -> None:
    """A program with a mistake in it, a key without rights or a wrong clock is no forger."""
    group = Engines(keys=ED25519, genesis=a_genesis(keys=ED25519, members=["alice"]))
    frames = [
        client_wire.encode(Submit(request_id=number, transaction=group.transaction(**how).encoded))  # type: ignore[arg-type]
        for number in range(BURST_OF_ALL + 100)
    ]

    said = flood(group, frames, START)

    assert [type(reply) for reply in said] == [Refused] * len(frames)


def test_what_can_be_refused_without_a_check_is() -> None:
    group = Engines(keys=ED25519, genesis=a_genesis(keys=ED25519, members=["alice"]))
    frames = [
        client_wire.encode(Submit(request_id=1, transaction=group.transaction(**how).encoded))
        for how in ({"by": "mallory"}, {"created": 60_000})
    ]
    with counted() as effort:
        said = flood(group, frames, START)

    assert [type(reply) for reply in said] == [Refused, Refused]
    assert effort.checks == 0
