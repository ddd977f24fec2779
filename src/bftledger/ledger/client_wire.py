"""The messages between clients and replicas (`client_messages`) as bytes.

A frame is the CBOR array ⟨kind, fields…⟩, the fields in the order of the message class. `decode_request` and
`decode_reply` check form and bounds, nothing else.

Anybody may send a frame. So its kind, and how many fields it has, are read from its first bytes, its outline; no more
items are walked than a frame of that kind has.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from bftledger.apps.machine import MAX_CODE, MAX_REASON_LENGTH, MAX_RESULT_BYTES
from bftledger.apps.map_proof import MAX_PROOF_BYTES, MapProof
from bftledger.apps.state import MAX_VALUE_BYTES
from bftledger.base import cbor
from bftledger.base.errors import Malformed
from bftledger.base.transaction import ENVELOPE_BYTES, MAX_PAYLOAD_BYTES, TX_ID_BYTES
from bftledger.ledger.block import MAX_BLOCK_BYTES, MAX_HEADER_BYTES, MAX_HEIGHT, MAX_TRANSACTIONS, Header
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskHeight,
    AskReceipt,
    AskStatus,
    BlockReply,
    BlocksReply,
    Busy,
    Committed,
    CommittedItem,
    ErrorReply,
    Fate,
    HeightReply,
    Query,
    QueryReply,
    ReadProof,
    ReceiptReply,
    Refused,
    Reply,
    Request,
    StatusReply,
    Submit,
    TxState,
)
from bftledger.ledger.merkle import MAX_PATH_BYTES
from bftledger.ledger.receipt import MAX_CERTIFICATE_BYTES, MAX_RECEIPT_BYTES, decode_certificate
from bftledger.pbft import wire
from bftledger.pbft.fields import MAX_REPLICAS

MAX_REQUEST_BYTES: Final = MAX_PAYLOAD_BYTES + 1_024
"""No request is longer: the replica's transport refuses longer ones unread."""

MAX_REPLY_BYTES: Final = MAX_BLOCK_BYTES + 64 * 1024
MAX_ARGS_BYTES: Final = 4_096
MAX_ITEMS: Final = 1_024
"""At most so many transactions share one COMMITTED; a replica that has more for one client sends several."""

MAX_SUMMARIES: Final = 256
MAX_TEXT_LENGTH: Final = 1_024
_MAX_NUMBER: Final = (1 << 63) - 1


# ── fields: CBOR values in and out ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Field:
    """How one type of field becomes a CBOR value and back; `unpack` raises `Malformed`.

    `max_items`: so many CBOR items it has at most.
    """

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]
    max_items: int = 1


def _same(value: Any) -> Any:
    return value


def _number(most: int, least: int = 0) -> _Field:
    def unpack(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Malformed("a number is out of its range")
        return value

    return _Field(_same, unpack)


def _bytes(most: int, least: int = 0) -> _Field:
    def unpack(value: Any) -> bytes:
        if type(value) is not bytes or not least <= len(value) <= most:
            raise Malformed("not a byte string of the right length")
        return value

    return _Field(_same, unpack)


def _text(most: int) -> _Field:
    def unpack(value: Any) -> str:
        if type(value) is not str or len(value) > most:
            raise Malformed(f"not a text of at most {most} characters")
        return value

    # What is said to people is cut and mended rather than refused: a reason may quote anything.
    return _Field(lambda value: value.encode(errors="replace").decode()[:most], unpack)


def _unpack_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise Malformed("a flag is neither true nor false")
    return value


def _embedded(most: int, pack: Callable[[Any], bytes], unpack: Callable[[bytes], Any]) -> _Field:
    checked = _bytes(most)
    return _Field(pack, lambda value: unpack(checked.unpack(value)))


def _optional(item: _Field) -> _Field:
    return _Field(
        lambda value: None if value is None else item.pack(value),
        lambda value: None if value is None else item.unpack(value),
        item.max_items,
    )


def _many(item: _Field, most: int) -> _Field:
    def unpack(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise Malformed(f"not an array of at most {most}")
        return tuple([item.unpack(element) for element in value])

    pack = _same if item.pack is _same else lambda values: [item.pack(value) for value in values]
    return _Field(pack, unpack, 1 + most * item.max_items)


def _struct(cls: type, **fields: _Field) -> _Field:
    items = tuple(fields.items())

    def unpack(value: Any) -> Any:
        if type(value) is not list or len(value) != len(items):
            raise Malformed(f"not the {len(items)} fields of {cls.__name__}")
        return cls(**{name: field.unpack(item) for (name, field), item in zip(items, value, strict=True)})

    return _Field(
        lambda value: [field.pack(getattr(value, name)) for name, field in items],
        unpack,
        1 + sum(field.max_items for field in fields.values()),
    )


def _unpack_state(value: Any) -> TxState:
    if type(value) is not int or not 0 <= value < len(TxState):
        raise Malformed("not a state of a transaction")
    return TxState(value)


def _unpack_mask(value: Any) -> int:
    if type(value) is not bytes or len(value) > MAX_REPLICAS // 8 or value[:1] == b"\0":
        raise Malformed("a set of replicas is not in its shortest form")
    return int.from_bytes(value, "big")


_REQUEST_ID = _number(_MAX_NUMBER)
_TX_ID = _bytes(TX_ID_BYTES, TX_ID_BYTES)
_HEIGHT = _number(MAX_HEIGHT)
_PATH = _bytes(MAX_PATH_BYTES)
_REPLICA = _number(MAX_REPLICAS - 1)
_FLAG = _Field(_same, _unpack_flag)
_MASK = _Field(lambda mask: mask.to_bytes((mask.bit_length() + 7) // 8, "big"), _unpack_mask)
_TX_STATE = _Field(lambda state: state.value, _unpack_state)
_HEADER = _embedded(MAX_HEADER_BYTES, lambda header: header.encoded, Header.decode)
_CERTIFICATE = _embedded(MAX_CERTIFICATE_BYTES, wire.encode, decode_certificate)
_MAP_PROOF = _embedded(MAX_PROOF_BYTES, MapProof.encode, MapProof.decode)
_READ_PROOF = _struct(ReadProof, map_proof=_MAP_PROOF, header=_HEADER, certificate=_CERTIFICATE)
_ITEM = replace(
    _struct(
        CommittedItem,
        request_id=_REQUEST_ID,
        tx_id=_TX_ID,
        position=_number(MAX_TRANSACTIONS - 1),
        result=_bytes(MAX_RESULT_BYTES + 16),
        transaction_path=_PATH,
        result_path=_PATH,
    ),
    pack=_same,  # a tuple already, and there are many
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of frame, of messages `of` a class, with so many fields; `struct`: these."""

    of: type
    fields: int
    struct: _Field

    def outline(self, number: int) -> bytes:
        """How every frame of it begins, and no other: the head of its array, and the number of the kind."""
        return cbor.encode([number, *[None] * self.fields])[: -self.fields]


def _frame(cls: type, **fields: _Field) -> _Kind:
    return _Kind(cls, len(fields), _struct(cls, **fields))


def _message(cls: type, **fields: _Field) -> _Kind:
    return _frame(cls, request_id=_REQUEST_ID, **fields)


_REQUESTS: Final = {
    1: _message(Submit, transaction=_bytes(MAX_PAYLOAD_BYTES + ENVELOPE_BYTES)),
    2: _message(AskFate, tx_id=_TX_ID),
    3: _message(AskReceipt, tx_id=_TX_ID),
    4: _message(Query, args=_bytes(MAX_ARGS_BYTES), certified=_FLAG, minimum=_HEIGHT),
    5: _message(AskHeight, minimum=_HEIGHT),
    6: _message(AskBlock, height=_HEIGHT),
    7: _message(AskBlocks, count=_number(MAX_SUMMARIES, least=1)),
    8: _message(AskStatus),
}
_REPLIES: Final = {
    32: _frame(Committed, header=_HEADER, certificate=_CERTIFICATE, items=_many(_ITEM, MAX_ITEMS)),
    33: _message(Fate, tx_id=_TX_ID, state=_TX_STATE, height=_HEIGHT, reason=_text(MAX_REASON_LENGTH)),
    34: _message(Refused, code=_number(MAX_CODE, least=1), reason=_text(MAX_REASON_LENGTH)),
    35: _message(Busy, retry_ms=_number(3_600_000)),
    36: _message(ReceiptReply, receipt=_bytes(MAX_RECEIPT_BYTES)),
    37: _message(QueryReply, value=_optional(_bytes(MAX_VALUE_BYTES)), height=_HEIGHT, proof=_optional(_READ_PROOF)),
    38: _message(HeightReply, header=_HEADER, certificate=_CERTIFICATE),
    39: _message(BlockReply, block=_bytes(MAX_BLOCK_BYTES), certificate=_optional(_CERTIFICATE)),
    40: _message(BlocksReply, headers=_many(_HEADER, MAX_SUMMARIES), certificate=_optional(_CERTIFICATE)),
    41: _message(
        StatusReply,
        replica=_REPLICA,
        view=_number(_MAX_NUMBER),
        active=_FLAG,
        primary=_REPLICA,
        stable=_HEIGHT,
        executed=_HEIGHT,
        pending=_number(_MAX_NUMBER),
        heard=_MASK,
        convicted=_MASK,
        uptime_ms=_number(_MAX_NUMBER),
        version=_text(64),
    ),
    42: _message(ErrorReply, text=_text(MAX_TEXT_LENGTH)),
}
_NUMBERS: Final = {kind.of: (number, kind.struct) for number, kind in (_REQUESTS | _REPLIES).items()}


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

REQUEST_OUTLINE_BYTES: Final = 2
"""A request's first bytes, the same for all of one kind and for no other: its length in items, and its kind."""

_REPLY_OUTLINE_BYTES: Final = 3
"""The same of a reply, the number of whose kind takes two."""

_REQUESTS_BY_OUTLINE: Final = {kind.outline(number): kind for number, kind in _REQUESTS.items()}
_REPLIES_BY_OUTLINE: Final = {kind.outline(number): kind for number, kind in _REPLIES.items()}
_NUMBER_BYTES: Final = 9
"""No number is longer."""


def encode(message: Request | Reply) -> bytes:
    """The frame of a request or reply: its one encoding."""
    number, struct = _NUMBERS[type(message)]
    return cbor.encode_known([number, *struct.pack(message)])


def decode_request(frame: bytes) -> Request:
    """The request whose one encoding is `frame`. Raises `Malformed`."""
    kind = _REQUESTS_BY_OUTLINE.get(frame[:REQUEST_OUTLINE_BYTES])
    request: Request = _decode(frame, MAX_REQUEST_BYTES, kind)
    return request


def decode_reply(frame: bytes) -> Reply:
    """The reply whose one encoding is `frame`; nothing in it is proven yet. Raises `Malformed`."""
    kind = _REPLIES_BY_OUTLINE.get(frame[:_REPLY_OUTLINE_BYTES])
    reply: Reply = _decode(frame, MAX_REPLY_BYTES, kind)
    return reply


def request_id_of(frame: bytes) -> int | None:
    """The number of a request, read from its first bytes; None if no request begins so. The rest may be anything."""
    if frame[:REQUEST_OUTLINE_BYTES] not in _REQUESTS_BY_OUTLINE:
        return None
    number = cbor.leading_number(frame[REQUEST_OUTLINE_BYTES : REQUEST_OUTLINE_BYTES + _NUMBER_BYTES])
    return number if number is not None and number <= _MAX_NUMBER else None


def _decode(frame: bytes, most: int, kind: _Kind | None) -> Any:
    if kind is None:
        raise Malformed("not a frame of a known kind, or not with its fields")
    _, *fields = cbor.decode(frame, most, max_items=kind.struct.max_items)
    return kind.struct.unpack(fields)
