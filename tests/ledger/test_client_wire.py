"""Frames between clients and replicas: one encoding each, and nothing but `Malformed` for all other bytes."""

from typing import Any, get_args

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from bftledger.base import cbor
from bftledger.base.errors import Malformed
from bftledger.base.ids import Millis, TxId
from bftledger.ledger import client_messages as m
from bftledger.ledger.client_wire import MAX_ITEMS, decode_reply, decode_request, encode, request_id_of
from tests.effort import counted
from tests.ledger.ledger_world import a_world_of, certify

WORLD = a_world_of(2)
HEADER = WORLD.executor.tip
CERTIFICATE = certify(HEADER)
NUMBERS = st.integers(0, 2**63 - 1)
IDS = st.binary(min_size=32, max_size=32)
PATHS = st.integers(0, 9).map(lambda hashes: bytes(32 * hashes))
CERTIFICATES = st.none() | st.just(CERTIFICATE)

ITEMS = st.builds(
    m.CommittedItem,
    request_id=NUMBERS,
    tx_id=IDS,
    position=st.integers(0, 4_095),
    result=st.binary(max_size=40),
    transaction_path=PATHS,
    result_path=PATHS,
)
PROOFS = st.builds(
    m.ReadProof,
    map_proof=st.sampled_from([WORLD.state.prove(b"key1"), WORLD.state.prove(b"absent")]),
    header=st.just(HEADER),
    certificate=st.just(CERTIFICATE),
)
REQUESTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(m.Submit, request_id=NUMBERS, transaction=st.binary(max_size=300)),
    st.builds(m.AskFate, request_id=NUMBERS, tx_id=IDS),
    st.builds(m.AskReceipt, request_id=NUMBERS, tx_id=IDS),
    st.builds(m.Query, request_id=NUMBERS, args=st.binary(max_size=50), certified=st.booleans(), minimum=NUMBERS),
    st.builds(m.AskHeight, request_id=NUMBERS, minimum=NUMBERS),
    st.builds(m.AskBlock, request_id=NUMBERS, height=NUMBERS),
    st.builds(m.AskBlocks, request_id=NUMBERS, count=st.integers(1, 256)),
    st.builds(m.AskStatus, request_id=NUMBERS),
)
REPLIES: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        m.Committed,
        header=st.just(HEADER),
        certificate=st.just(CERTIFICATE),
        items=st.lists(ITEMS, max_size=5).map(tuple),
    ),
    st.builds(
        m.Fate,
        request_id=NUMBERS,
        tx_id=IDS,
        state=st.sampled_from(m.TxState),
        height=NUMBERS,
        reason=st.text(max_size=200),
    ),
    st.builds(m.Refused, request_id=NUMBERS, code=st.integers(1, 65_535), reason=st.text(max_size=200)),
    st.builds(m.Busy, request_id=NUMBERS, retry_ms=st.integers(0, 3_600_000)),
    st.builds(m.ReceiptReply, request_id=NUMBERS, receipt=st.binary(max_size=100)),
    st.builds(
        m.QueryReply,
        request_id=NUMBERS,
        value=st.none() | st.binary(max_size=50),
        height=NUMBERS,
        proof=st.none() | PROOFS,
    ),
    st.builds(m.HeightReply, request_id=NUMBERS, header=st.just(HEADER), certificate=st.just(CERTIFICATE)),
    st.builds(m.BlockReply, request_id=NUMBERS, block=st.binary(max_size=100), certificate=CERTIFICATES),
    st.builds(
        m.BlocksReply,
        request_id=NUMBERS,
        headers=st.lists(st.just(HEADER), max_size=3).map(tuple),
        certificate=CERTIFICATES,
    ),
    st.builds(
        m.StatusReply,
        request_id=NUMBERS,
        replica=st.integers(0, 255),
        view=NUMBERS,
        active=st.booleans(),
        primary=st.integers(0, 255),
        stable=NUMBERS,
        executed=NUMBERS,
        pending=NUMBERS,
        heard=st.integers(0, 2**256 - 1),
        convicted=st.integers(0, 2**256 - 1),
        uptime_ms=NUMBERS,
        version=st.text(max_size=64),
    ),
    st.builds(m.ErrorReply, request_id=NUMBERS, text=st.text(max_size=1_024)),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)


@given(REQUESTS)
def test_request_comes_back_as_it_was(request: m.Request) -> None:
    assert decode_request(encode(request)) == request


@given(REPLIES)
def test_reply_comes_back_as_it_was(reply: m.Reply) -> None:
    assert decode_reply(encode(reply)) == reply


@given(REQUESTS | REPLIES, st.data())
def test_changed_frame_is_malformed_or_another_message(message: m.Request | m.Reply, data: st.DataObject) -> None:
    """So every message has one encoding."""
    frame = encode(message)
    at = data.draw(st.integers(0, len(frame) - 1))
    flipped = frame[:at] + bytes([frame[at] ^ data.draw(st.integers(1, 255))]) + frame[at + 1 :]
    for changed in (flipped, frame[:at], frame + b"\0"):
        for decode in (decode_request, decode_reply):
            try:
                other = decode(changed)
            except Malformed:
                continue
            assert other != message
            assert encode(other) == changed


@given(st.binary(max_size=60) | VALUES.map(cbor.encode), st.integers(0, 50), st.lists(VALUES, max_size=5))
def test_hostile_frame_is_malformed_or_canonical(frame: bytes, kind: int, values: list[Any]) -> None:
    for data in (frame, cbor.encode([kind, *values])):
        for decode in (decode_request, decode_reply):
            try:
                message = decode(data)
            except Malformed:
                continue
            assert encode(message) == data


def test_requests_and_replies_are_not_mistaken_for_one_another() -> None:
    with pytest.raises(Malformed):
        decode_reply(encode(m.AskStatus(request_id=1)))
    with pytest.raises(Malformed):
        decode_request(encode(m.ErrorReply(request_id=1, text="")))


@pytest.mark.parametrize(
    "fields_of_frame",
    [
        [1, 1, bytes(300_000)],
        [1, -1, b""],
        [1, True, b""],
        [1, 2**63, b""],
        [2, 1, bytes(31)],
        [4, 1, bytes(4_097), True, 0],
        [4, 1, b"", 1, 0],
        [7, 1, 0],
        [7, 1, 257],
        [8, 1, 1],
        [8],
        [True, 1],
        [[8], 1],
    ],
)
def test_request_out_of_its_bounds_is_malformed(fields_of_frame: list[Any]) -> None:
    with pytest.raises(Malformed):
        decode_request(cbor.encode(fields_of_frame))


def test_largest_answer_to_many_requests_fits_its_frame() -> None:
    item = m.CommittedItem(
        request_id=2**63 - 1,
        tx_id=TxId(bytes(32)),
        position=4_095,
        result=bytes(4_112),
        transaction_path=bytes(12 * 32),
        result_path=bytes(12 * 32),
    )
    committed = m.Committed(header=HEADER, certificate=CERTIFICATE, items=(item,) * MAX_ITEMS)

    assert decode_reply(encode(committed)) == committed


def test_reason_is_cut_and_mended_rather_than_refused() -> None:
    refused = m.Refused(request_id=1, code=1, reason="\ud800" + "x" * 999)

    assert decode_reply(encode(refused)) == m.Refused(request_id=1, code=1, reason="?" + "x" * 199)


@pytest.mark.parametrize(
    ("strategy", "union"), [(REQUESTS, m.Request), (REPLIES, m.Reply)], ids=["requests", "replies"]
)
def test_every_message_type_is_in_the_round_trips(strategy: st.SearchStrategy[Any], union: Any) -> None:
    """Searched for one by one: a sample of all of them would miss one now and then. Any will do, not the simplest."""
    any_will_do = settings(phases=[Phase.generate], max_examples=2_000, database=None)
    for wanted in get_args(union):
        found = find(strategy, lambda message, wanted=wanted: isinstance(message, wanted), settings=any_will_do)  # type: ignore[misc]
        assert isinstance(found, wanted)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x9b" + b"\xff" * 8,
        b"\x82\x01\x5b" + b"\x7f" * 8,
        b"\x83\x01\x01\x5b" + b"\x7f" * 8,
        b"\x81" * 200_000,
        b"\x83\x01" + b"\x81" * 200_000,
        b"\x99\xff\xff" + b"\x80" * 65_535,
        b"\x83\x01\x99\xff\xff" + b"\x80" * 65_535,
        b"\x83\x01\xb9\xff\xff" + b"\x80" * 65_535,
    ],
    ids=["array", "kind", "string", "nesting", "nested field", "items", "items of a field", "map"],
)
def test_length_bomb_is_refused_at_once(bomb: bytes) -> None:
    with counted() as effort, pytest.raises(Malformed):
        decode_request(bomb)

    assert effort.lines <= 250, effort


# ── what is walked of a hostile frame ──


def an_array_of(count: int, item: bytes) -> bytes:
    return b"\x99" + count.to_bytes(2, "big") + item * count


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where each item began that took a look of its own."""
    starts: list[int] = []
    check_item = cbor._check_item

    def counting(data: bytes, at: int, depth: int, budget: list[int]) -> int:
        starts.append(at)
        return check_item(data, at, depth, budget)

    monkeypatch.setattr(cbor, "_check_item", counting)
    return starts


@pytest.mark.parametrize("kind", range(256))
def test_of_no_frame_more_items_are_walked_than_a_frame_of_its_kind_has(kind: int, walked: list[int]) -> None:
    """A stranger needs no key to send it, and nothing counts it before it is decoded."""
    many = an_array_of(8_000, b"\x81\0")
    for fields in range(1, 8):
        for frame in (
            bytes([0x81 + fields, kind]) + many * fields,
            bytes([0x81 + fields, kind]) + b"\1" * (fields - 1) + many,
        ):
            walked.clear()
            with pytest.raises(Malformed):
                decode_request(frame)
            assert len(walked) <= 8


def test_of_a_reply_no_more_items_are_walked_than_it_may_have(walked: list[int]) -> None:
    """The same for clients, whom a faulty replica would keep from its honest peers' answers."""
    frame = encode(m.Busy(request_id=1, retry_ms=Millis(1)))[:-1] + an_array_of(8_000, b"\x81\0")
    with pytest.raises(Malformed):
        decode_reply(frame)

    assert len(walked) <= 8


# ── the number of a request ──


@given(REQUESTS, st.binary(max_size=20))
def test_the_number_of_a_request_is_read_from_its_head_whatever_follows(request: m.Request, rest: bytes) -> None:
    frame = encode(request)
    head = frame[: 2 + len(cbor.encode(request.request_id))]

    assert request_id_of(frame) == request_id_of(head + rest) == request.request_id


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "83",
        "8301",
        "8401" + "01",  # SUBMIT with a field too many
        "8309" + "01",  # no such kind
        "8302" + "1817",  # 23, but not in its shortest form
        "8302" + "1b80000000",  # cut off
        "8302" + "1b8000000000000000",  # 2^63
        "8302" + "20",
        "8302" + "4101",
        "8302" + "990400" + "80" * 1_024,
        encode(m.Busy(request_id=1, retry_ms=Millis(1))).hex(),
    ],
)
def test_what_does_not_begin_like_a_request_has_no_number(frame: str) -> None:
    assert request_id_of(bytes.fromhex(frame)) is None
