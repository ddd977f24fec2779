"""Hostile bytes: nothing raises, all is answered or dropped and counted, and none is much work.

Work is counted, not timed: see `effort`.
"""

from collections.abc import Callable
from functools import cache
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftledger.base import cbor
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq
from bftledger.engine.engine import Engine
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskHeight,
    AskReceipt,
    AskStatus,
    ErrorReply,
    Query,
    Reply,
    Request,
    Submit,
)
from bftledger.pbft import wire
from bftledger.pbft.messages import FetchBlocks, FetchProposal, Message
from tests.builders import ED25519
from tests.effort import counted
from tests.engine.engines import START, Engines, a_genesis

LINES = 2_000
"""More than twice what the costliest of these frames takes, and less than the items of a bomb."""

CONNECTIONS = count()

CHECKS = 1
"""A frame that is to be dropped is known by its first signature; a transaction has one, and these carry one each."""


@cache
def a_group() -> Engines:
    """One with a few blocks; every test adds only frames that must not matter."""
    group = Engines(keys=ED25519)
    for number in range(3):
        group.commit(*[group.transaction(f"put key{number}{i} value") for i in range(20)])
    return group


@cache
def some_messages() -> dict[str, bytes]:
    """A frame of each kind that replicas really sent one another, by kind."""
    group = Engines(keys=ED25519)
    frames: dict[str, bytes] = {}

    def collect(source: int, to: int, message: Message) -> bool:
        frames.setdefault(type(message).__name__, wire.encode(message))
        return not (cut and 0 in (source, to))

    cut: list[bool] = []
    group.passes = collect
    group.submit(1, group.transaction())
    group.run(100)
    cut.append(True)
    group.submit(1, group.transaction())
    group.run(3_000)
    cut.clear()
    group.run(3_000)
    by = ReplicaId(2)
    asked = FetchProposal(seq=Seq(1), digest=Digest(bytes(32)), replica=by, signature=wire.UNSIGNED)
    frames["FetchProposal"] = wire.encode(group.signed(asked))
    frames["FetchBlocks"] = wire.encode(group.signed(FetchBlocks(first=Seq(1), replica=by, signature=wire.UNSIGNED)))
    return frames


KINDS = (
    *("PrePrepare", "Prepare", "Commit", "Checkpoint", "ViewChange", "NewView", "Status"),
    *("Relay", "Stable", "FetchProposal", "FetchBlocks", "Blocks"),
)


@cache
def some_requests() -> list[Request]:
    group = a_group()
    tx = group.transaction("put color blue")
    return [
        Submit(request_id=1, transaction=tx.encoded),
        AskFate(request_id=2, tx_id=tx.id),
        AskReceipt(request_id=3, tx_id=tx.id),
        Query(request_id=4, args=b"key00", certified=True, minimum=Seq(0)),
        AskHeight(request_id=5, minimum=Seq(0)),
        AskBlock(request_id=6, height=Seq(1)),
        AskBlocks(request_id=7, count=256),
        AskStatus(request_id=8),
    ]


def worked(group: Engines, feed: Callable[[Engine, Millis], None], replica: int = 1) -> list[Reply]:
    """Feeds it and ends the round, which must not be much work; returns what the client was told."""
    engine = group.engine(replica)
    with counted() as effort:
        feed(engine, Millis(START + group.now))
        finished = engine.end_round(Millis(START + group.now))
    assert effort.lines <= LINES, effort
    assert effort.checks <= CHECKS, effort
    return [client_wire.decode_reply(frame) for _, frame in finished.to_clients]


def feed_client(frame: bytes) -> list[Reply]:
    """From somebody new each time, whom nobody has lost patience with."""
    route = b"client %d" % next(CONNECTIONS)
    return worked(a_group(), lambda engine, now: engine.on_client(route, frame, now))


# ── clients ──


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_of_a_client_are_answered_with_an_error(frame: bytes) -> None:
    replies = feed_client(frame)

    assert [type(reply) for reply in replies] == [ErrorReply]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.binary(max_size=70) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.integers(0, 45), st.lists(json_like, max_size=8))
def test_any_well_formed_value_of_a_client_is_answered_at_most_once(kind: int, fields: list[object]) -> None:
    replies = feed_client(cbor.encode([kind, *fields]))

    assert len(replies) <= 1


@settings(deadline=None)
@given(st.sampled_from(range(8)), st.data())
def test_a_request_with_flipped_bytes_is_answered_or_dropped(which: int, data: st.DataObject) -> None:
    frame = bytearray(client_wire.encode(some_requests()[which]))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))

    assert len(feed_client(bytes(frame))) <= 1


@settings(deadline=None)
@given(st.sampled_from(range(8)), st.data())
def test_a_truncated_request_is_answered_with_an_error(which: int, data: st.DataObject) -> None:
    frame = client_wire.encode(some_requests()[which])
    replies = feed_client(frame[: data.draw(st.integers(0, len(frame) - 1))])

    assert [type(reply) for reply in replies] == [ErrorReply]


@pytest.mark.parametrize("which", range(8))
def test_an_honest_request_is_answered_for_little_work_too(which: int) -> None:
    feed_client(client_wire.encode(some_requests()[which]))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\x81" * 100_000,
        b"\xa1" * 100_000,
        b"\x9a\x00\x03\x00\x00" + b"\xf6" * 200_000,
        b"\x59\xff\xff" + bytes(65_535),
        bytes(client_wire.MAX_REQUEST_BYTES + 1),
        b"\xc2" * 1_000,
        b"\xfb" + bytes(8),
    ],
    ids=["array", "bytes", "nesting", "maps", "items", "string", "length", "tags", "float"],
)
def test_bombs_are_defused_at_once(bomb: bytes) -> None:
    assert [type(reply) for reply in feed_client(bomb)] == [ErrorReply]
    worked(a_group(), lambda engine, now: engine.on_peer(PEER, bomb, now))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_payload_and_any_question_to_the_application_is_answered(payload: bytes) -> None:
    group = a_group()
    tx = group.transaction(payload=payload or b"\x00")

    feed_client(client_wire.encode(Submit(request_id=1, transaction=tx.encoded)))
    feed_client(client_wire.encode(Query(request_id=1, args=payload, certified=False, minimum=Seq(0))))


# ── peers ──

PEER = ReplicaId(2)


def sender_of(frame: bytes) -> ReplicaId:
    message = wire.decode(frame, a_group().genesis.genesis_hash)
    assert isinstance(message, Message)
    return message.replica


def feed_peer(frame: bytes, by: ReplicaId = PEER) -> int:
    """How many frames were dropped because of it."""
    group = a_group()
    dropped = group.engine(1).dropped.total()
    worked(group, lambda engine, now: engine.on_peer(by, frame, now))
    return group.engine(1).dropped.total() - dropped


def fingerprint(engine: Engine) -> tuple[object, ...]:
    state = engine.replica.state
    votes = [(seq, len(s.prepares), len(s.commits), len(s.checkpoints)) for seq, s in state.slots.items()]
    return state.view, state.active, state.low, state.executed, len(state.pool), sorted(state.view_changes), votes


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_of_a_peer_are_dropped_and_counted(frame: bytes) -> None:
    assert feed_peer(frame) >= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_with_a_byte_flipped_changes_nothing_and_is_counted(kind: str) -> None:
    group, engine = a_group(), a_group().engine(1)
    good = some_messages()[kind]
    by = sender_of(good)

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, len(good) - 1), st.integers(1, 255))
    def check(place: int, flip: int) -> None:
        frame = bytearray(good)
        frame[place] ^= flip
        before = fingerprint(engine)
        counted = engine.dropped.total() + engine.ignored.total()

        worked(group, lambda engine, now: engine.on_peer(by, bytes(frame), now))

        assert fingerprint(engine) == before
        assert engine.dropped.total() + engine.ignored.total() > counted

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_frame_of_a_peer_is_dropped(kind: str) -> None:
    good = some_messages()[kind]
    for length in range(0, len(good), max(1, len(good) // 40)):
        assert feed_peer(good[:length], sender_of(good)) >= 1


def test_a_message_of_another_group_is_dropped() -> None:
    other = Engines(keys=ED25519, genesis=a_genesis(keys=ED25519, max_payload_bytes=1_000))
    asked = FetchBlocks(first=Seq(1), replica=ReplicaId(2), signature=wire.UNSIGNED)
    engine = a_group().engine(1)
    refused = engine.dropped["BadSignature"]

    feed_peer(wire.encode(other.signed(asked)))

    assert engine.dropped["BadSignature"] > refused
