"""A connection that is refused again and again is not heard for a while; nobody else notices."""

from collections.abc import Callable

import pytest

from bftledger.base import cbor, transaction
from bftledger.base.ids import Digest, Millis
from bftledger.base.transaction import Transaction
from bftledger.engine.patience import BURST, FORGIVEN_PER_S, MAX_REMEMBERED, SILENCE_MS, Patience
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskStatus, Committed, ErrorReply, Refused, Reply, StatusReply, Submit
from tests.effort import counted
from tests.engine.engines import START, Engines

FORGER, HONEST = b"forger", b"honest"
NOW = Millis(5_000)


def later(ms: int) -> Millis:
    return Millis(NOW + ms)


# ── what is left of it ──


def used_up(route: bytes = FORGER, now: Millis = NOW) -> Patience:
    patience = Patience()
    for _ in range(BURST):
        assert not patience.is_used_up(route, now)
        patience.refused(route, now)
    return patience


def test_so_many_refusals_at_once_use_it_up_for_a_while_and_half_of_them_are_forgiven_then() -> None:
    patience = used_up()

    assert patience.is_used_up(FORGER, NOW)
    assert not patience.is_used_up(HONEST, NOW)
    assert patience.is_used_up(FORGER, later(SILENCE_MS - 1))
    assert not patience.is_used_up(FORGER, later(SILENCE_MS))
    for _ in range(BURST // 2):
        assert not patience.is_used_up(FORGER, later(SILENCE_MS))
        patience.refused(FORGER, later(SILENCE_MS))
    assert patience.is_used_up(FORGER, later(SILENCE_MS))


def test_what_is_refused_no_more_often_than_it_is_forgiven_never_uses_it_up() -> None:
    patience, pause = Patience(), 1_000 // FORGIVEN_PER_S + 1
    for number in range(20 * BURST):
        patience.refused(FORGER, later(number * pause))
        assert not patience.is_used_up(FORGER, later(number * pause))

    times = [later(20 * BURST * pause + number * pause // 2) for number in range(3 * BURST)]
    for now in times:
        patience.refused(FORGER, now)
    assert patience.is_used_up(FORGER, times[-1]), "at twice that rate it is"


def test_what_is_taken_makes_up_for_a_refusal_and_no_more() -> None:
    patience = Patience()
    for _ in range(10 * BURST):
        patience.refused(FORGER, NOW)
        patience.taken(FORGER, NOW)
    assert not patience.is_used_up(FORGER, NOW)
    assert len(patience) == 0

    for _ in range(10 * BURST):
        patience.taken(FORGER, NOW)
    for _ in range(BURST):
        patience.refused(FORGER, NOW)
    assert patience.is_used_up(FORGER, NOW), "nobody saves up"


def test_what_was_taken_before_does_not_end_the_silence() -> None:
    patience = used_up()
    for _ in range(BURST):
        patience.taken(FORGER, NOW)

    assert patience.is_used_up(FORGER, NOW)
    assert (len(patience), patience.silent) == (1, 1)


@pytest.mark.parametrize("back_ms", [1, 3_600_000])
def test_a_clock_that_is_set_back_forgives_nothing_and_makes_nobody_silent_for_longer(back_ms: int) -> None:
    patience = Patience()
    for _ in range(BURST - 2):
        patience.refused(FORGER, NOW)
    patience.refused(FORGER, later(-back_ms))
    assert not patience.is_used_up(FORGER, later(-back_ms))
    patience.refused(FORGER, later(-back_ms))
    assert patience.is_used_up(FORGER, later(-back_ms))

    patience = used_up()
    assert not patience.is_used_up(FORGER, later(-back_ms))


def test_the_latest_are_remembered() -> None:
    patience = used_up()
    for number in range(MAX_REMEMBERED - 1):
        patience.refused(b"%d" % number, NOW)
    assert patience.is_used_up(FORGER, NOW)
    assert (len(patience), patience.silent) == (MAX_REMEMBERED, 1)

    patience.refused(b"one more", NOW)
    assert not patience.is_used_up(FORGER, NOW)
    assert (len(patience), patience.silent) == (MAX_REMEMBERED, 0)


# ── who uses it up ──


def forged(tx: Transaction, genesis_hash: Digest) -> Transaction:
    fields = [tx.sender, tx.nonce, tx.created, tx.expires, tx.payload, bytes(64)]
    return transaction.decode(cbor.encode(fields), genesis_hash)


def a_forged(group: Engines, number: int) -> bytes:
    tx = forged(group.transaction(), group.genesis.genesis_hash)
    return client_wire.encode(Submit(request_id=number, transaction=tx.encoded))


def a_strangers(group: Engines, number: int) -> bytes:
    """Well signed, with a payload that means nothing."""
    return client_wire.encode(Submit(request_id=number, transaction=group.transaction(payload=b"what").encoded))


def no_transaction(group: Engines, number: int) -> bytes:
    return client_wire.encode(Submit(request_id=number, transaction=b"%d" % number))


def garbage(group: Engines, number: int) -> bytes:
    return b"%d" % number


def flood(group: Engines, frames: list[bytes], now: Millis) -> list[Reply]:
    """All of a connection at once; what it is told."""
    engine = group.engine(0)
    said: list[Reply] = []
    for frame in frames:
        engine.on_client(FORGER, frame, now)
    while (finished := engine.end_round(now)).has_more:
        said += [client_wire.decode_reply(frame) for _, frame in finished.to_clients]
    return said + [client_wire.decode_reply(frame) for _, frame in finished.to_clients]


@pytest.mark.parametrize("make", [a_forged, a_strangers, no_transaction, garbage])
def test_who_is_refused_too_often_is_dropped_unread_and_served_again_later(
    make: Callable[[Engines, int], bytes],
) -> None:
    group = Engines()
    frames = [make(group, number) for number in range(2 * BURST)]

    refused = flood(group, frames, START)
    with counted() as effort:
        again = flood(group, frames, START)
    afterwards = flood(group, [client_wire.encode(AskStatus(request_id=1))], Millis(START + SILENCE_MS))

    assert len(refused) == BURST
    assert {type(reply) for reply in refused} <= {Refused, ErrorReply}
    assert (again, effort.checks) == ([], 0)
    assert [type(reply) for reply in afterwards] == [StatusReply]
    counters = group.engine(0).counters()
    unread = counters["dropped from clients: RefusedTooOften"] + counters.get("refused: unread", 0)
    assert unread == 3 * BURST


def test_others_are_served_while_a_forger_is_not() -> None:
    group = Engines()
    flood(group, [a_forged(group, number) for number in range(2 * BURST)], START)
    group.submit(0, group.transaction(), route=HONEST)
    group.run(1_000)

    assert [type(reply) for reply in group.taken(HONEST)] == [Committed]


def test_an_honest_client_behind_a_connection_with_some_forgeries_is_served_all_the_time() -> None:
    """One of two is forged: each that is taken makes up for one that is not."""
    group = Engines(pool_count=10_000, pool_share=10_000)
    frames: list[bytes] = []
    for number in range(2 * BURST):
        tx = group.transaction()
        frames += [a_forged(group, number), client_wire.encode(Submit(request_id=number, transaction=tx.encoded))]
    flood(group, frames, START)

    assert "dropped from clients: RefusedTooOften" not in group.engine(0).counters()
    assert len(group.engine(0).replica.state.pool) >= 2 * BURST
