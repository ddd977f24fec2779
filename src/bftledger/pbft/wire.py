"""Messages as bytes, and what their signatures cover. The only place that knows the encoding.

A frame is the CBOR array ⟨kind, [fields…], signature⟩; PRE-PREPARE adds its unsigned proposal, or null. The fields are
those of the message class in their order, without `signature` and `proposal`. What is signed is
SHA-256 under the tag "message/KIND" of the genesis hash and the encoded fields: a message of one group, version or
type is never valid for another. Messages inside messages are frames as byte strings; votes inside certificates are
(replica, signature) pairs, because all else in them is the same.

`decode` checks form only. Bytes become believable in `authenticate`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from bftledger.base import cbor, transaction
from bftledger.base.crypto import DIGEST_BYTES, SIGNATURE_BYTES, Signer, tagged_hash
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Signature
from bftledger.base.transaction import MAX_MILLIS, Transaction
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    FetchBlocks,
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Proposed,
    Relay,
    SlotStatus,
    Stable,
    Status,
    ViewChange,
)

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""No frame between replicas is longer; the transport refuses longer ones unread."""

MAX_NUMBER: Final = (1 << 63) - 1
"""Views and sequence numbers stay below this, so that every store can hold them."""

MAX_REPLICAS: Final = 256
UNSIGNED: Final = Signature(bytes(SIGNATURE_BYTES))
"""Stands where a signature will be, in a message about to be signed."""

Record = Message | PreparedCertificate | CheckpointCertificate
"""What has a frame of its own: each message, and the certificates that a store keeps by themselves."""


# ── fields: CBOR values in and out ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Field:
    """How one type of field becomes a CBOR value and back; `unpack` raises `Malformed`."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any, Digest], Any]


def _number(limit: int) -> _Field:
    def unpack(value: Any, _: Digest) -> int:
        if type(value) is not int or not 0 <= value <= limit:
            raise Malformed("a number is out of its range")
        return value

    return _Field(lambda value: value, unpack)


def _fixed(length: int) -> _Field:
    def unpack(value: Any, _: Digest) -> bytes:
        if type(value) is not bytes or len(value) != length:
            raise Malformed(f"a byte string does not have its {length} bytes")
        return value

    return _Field(lambda value: value, unpack)


def _unpack_bool(value: Any, _: Digest) -> bool:
    if type(value) is not bool:
        raise Malformed("a flag is neither true nor false")
    return value


def _unpack_bytes(value: Any, _: Digest) -> bytes:
    if type(value) is not bytes:
        raise Malformed("a byte string was expected")
    return value


def _many(item: _Field) -> _Field:
    def unpack(value: Any, genesis_hash: Digest) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Malformed("an array was expected")
        return tuple([item.unpack(element, genesis_hash) for element in value])

    return _Field(lambda values: [item.pack(value) for value in values], unpack)


def _optional(item: _Field) -> _Field:
    return _Field(
        lambda value: None if value is None else item.pack(value),
        lambda value, genesis_hash: None if value is None else item.unpack(value, genesis_hash),
    )


def _embedded(kind: type) -> _Field:
    """A message or certificate inside another: its frame as a byte string."""

    def unpack(value: Any, genesis_hash: Digest) -> Any:
        message = _decode(_unpack_bytes(value, genesis_hash), genesis_hash, kind)
        if isinstance(message, PrePrepare) and message.proposal is not None:
            raise Malformed("a proposal where only its digest belongs")
        return message

    def pack(value: Any) -> bytes:
        return encode(replace(value, proposal=None) if isinstance(value, PrePrepare) else value)

    return _Field(pack, unpack)


def _unpack_transaction(value: Any, genesis_hash: Digest) -> Transaction:
    return transaction.decode(_unpack_bytes(value, genesis_hash), genesis_hash)


def _unpack_votes(value: Any, _: Digest) -> tuple[tuple[ReplicaId, Signature], ...]:
    """(replica, signature) pairs in strictly ascending order: nobody is counted twice."""
    if type(value) is not list:
        raise Malformed("an array was expected")
    previous = -1
    for pair in value:
        if type(pair) is not list or len(pair) != 2:
            raise Malformed("a vote is a replica and a signature")
        replica, signature = pair
        if type(replica) is not int or not previous < replica < MAX_REPLICAS:
            raise Malformed("the signers are not in ascending order")
        if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
            raise Malformed(f"a signature has {SIGNATURE_BYTES} bytes")
        previous = replica
    return tuple([(ReplicaId(replica), Signature(signature)) for replica, signature in value])


_SLOT_STATUS_FIELDS: Final = ("seq", "has_pre_prepare", "prepares", "commits", "checkpoints")


def _pack_slot(slot: SlotStatus) -> list[Any]:
    return [slot.seq, slot.has_pre_prepare, *map(_MASK.pack, (slot.prepares, slot.commits, slot.checkpoints))]


def _unpack_slot(value: Any, genesis_hash: Digest) -> SlotStatus:
    if type(value) is not list or len(value) != len(_SLOT_STATUS_FIELDS):
        raise Malformed("a slot's status has five fields")
    fields = (_NUMBER, _FLAG, _MASK, _MASK, _MASK)
    values = [field.unpack(item, genesis_hash) for field, item in zip(fields, value, strict=True)]
    return SlotStatus(**dict(zip(_SLOT_STATUS_FIELDS, values, strict=True)))


def _unpack_mask(value: Any, _: Digest) -> int:
    if type(value) is not bytes or len(value) > MAX_REPLICAS // 8 or value[:1] == b"\0":
        raise Malformed("a set of replicas is not in its shortest form")
    return int.from_bytes(value, "big")


_NUMBER = _number(MAX_NUMBER)
_REPLICA = _number(MAX_REPLICAS - 1)
_DIGEST = _fixed(DIGEST_BYTES)
_FLAG = _Field(lambda value: value, _unpack_bool)
_MASK = _Field(lambda mask: mask.to_bytes((mask.bit_length() + 7) // 8, "big"), _unpack_mask)
_VOTES = _Field(lambda votes: [list(vote) for vote in votes], _unpack_votes)
_TRANSACTION = _Field(lambda tx: tx.encoded, _unpack_transaction)
_PROPOSAL = _Field(
    lambda proposal: proposal.encoded,
    lambda value, genesis_hash: decode_proposal(_unpack_bytes(value, genesis_hash), genesis_hash),
)
_OPAQUE = _Field(lambda value: value, _unpack_bytes)
_CERTIFICATE = _embedded(CheckpointCertificate)

_VOTE = {"view": _NUMBER, "seq": _NUMBER, "digest": _DIGEST, "replica": _REPLICA}

_KINDS: Final[dict[type, tuple[int, str, dict[str, _Field]]]] = {
    PrePrepare: (1, "PRE-PREPARE", _VOTE),
    Prepare: (2, "PREPARE", _VOTE),
    Commit: (3, "COMMIT", _VOTE),
    Checkpoint: (4, "CHECKPOINT", {"seq": _NUMBER, "block_hash": _DIGEST, "replica": _REPLICA}),
    ViewChange: (
        5,
        "VIEW-CHANGE",
        {
            "view": _NUMBER,
            "stable": _optional(_CERTIFICATE),
            "prepared": _many(_embedded(PreparedCertificate)),
            "replica": _REPLICA,
        },
    ),
    NewView: (
        6,
        "NEW-VIEW",
        {
            "view": _NUMBER,
            "view_changes": _many(_embedded(ViewChange)),
            "pre_prepares": _many(_embedded(PrePrepare)),
            "replica": _REPLICA,
        },
    ),
    Status: (
        7,
        "STATUS",
        {
            "view": _NUMBER,
            "active": _FLAG,
            "stable": _NUMBER,
            "executed": _NUMBER,
            "slots": _many(_Field(_pack_slot, _unpack_slot)),
            "view_changes": _MASK,
            "replica": _REPLICA,
        },
    ),
    Relay: (8, "RELAY", {"transactions": _many(_TRANSACTION), "replica": _REPLICA}),
    Stable: (9, "STABLE", {"certificate": _CERTIFICATE, "replica": _REPLICA}),
    FetchProposal: (10, "FETCH-PROPOSAL", {"seq": _NUMBER, "digest": _DIGEST, "replica": _REPLICA}),
    Proposed: (11, "PROPOSED", {"seq": _NUMBER, "proposal": _PROPOSAL, "replica": _REPLICA}),
    FetchBlocks: (12, "FETCH-BLOCKS", {"first": _NUMBER, "replica": _REPLICA}),
    Blocks: (
        13,
        "BLOCKS",
        {
            "first": _NUMBER,
            "blocks": _many(_OPAQUE),
            "headers": _many(_OPAQUE),
            "certificate": _CERTIFICATE,
            "replica": _REPLICA,
        },
    ),
    PreparedCertificate: (32, "PREPARED", {"pre_prepare": _embedded(PrePrepare), "prepares": _VOTES}),
    CheckpointCertificate: (33, "CERTIFICATE", {"seq": _NUMBER, "block_hash": _DIGEST, "signatures": _VOTES}),
}
_BY_NUMBER: Final = {number: (cls, fields) for cls, (number, _, fields) in _KINDS.items()}
_UNSIGNED_KINDS: Final = (PreparedCertificate, CheckpointCertificate)


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────


def encode(record: Record) -> bytes:
    """The frame of a message or certificate: its one encoding."""
    number = _KINDS[type(record)][0]
    if isinstance(record, _UNSIGNED_KINDS):
        return cbor.encode_known([number, _pack_fields(record)])
    frame = [number, _pack_fields(record), record.signature]
    if isinstance(record, PrePrepare):
        frame.append(record.proposal.encoded if record.proposal else None)
    return cbor.encode_known(frame)


def decode(frame: bytes, genesis_hash: Digest) -> Record:
    """The message or certificate whose one encoding is `frame`, its signatures unchecked.

    Raises `Malformed`. `genesis_hash` is needed for the digests of the transactions inside.
    """
    return _decode(frame, genesis_hash, None)


def _decode(frame: bytes, genesis_hash: Digest, expected: type | None) -> Record:
    match cbor.decode(frame, MAX_FRAME_BYTES):
        case [number, list(values), *rest] if type(number) is int and number in _BY_NUMBER:
            cls, fields = _BY_NUMBER[number]
        case _:
            raise Malformed("not a frame of a known kind")
    if expected not in (None, cls):
        raise Malformed("a message of another type was expected")  # before its fields: so they cannot nest for ever
    if len(values) != len(fields):
        raise Malformed("a frame has too many or too few fields")
    unpacked = {
        name: field.unpack(value, genesis_hash) for (name, field), value in zip(fields.items(), values, strict=True)
    }
    if cls in _UNSIGNED_KINDS:
        if rest:
            raise Malformed("a certificate has no signature of its own")
        certificate: Record = cls(**unpacked)
        return certificate
    if len(rest) != (2 if cls is PrePrepare else 1):
        raise Malformed("a frame has too many or too few parts")
    unpacked["signature"] = _SIGNATURE.unpack(rest[0], genesis_hash)
    if cls is PrePrepare:
        unpacked["proposal"] = _optional(_PROPOSAL).unpack(rest[1], genesis_hash)
    message: Record = cls(**unpacked)
    return message


_SIGNATURE = _fixed(SIGNATURE_BYTES)


def _pack_fields(record: Record) -> list[Any]:
    return [field.pack(getattr(record, name)) for name, field in _KINDS[type(record)][2].items()]


M = TypeVar("M", bound=Message)


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def signing_digest(message: Message, genesis_hash: Digest) -> Digest:
    """The 32 bytes that `message.replica` signs."""
    return tagged_hash(f"message/{_KINDS[type(message)][1]}", genesis_hash, cbor.encode_known(_pack_fields(message)))


def sign(message: M, signer: Signer, genesis_hash: Digest) -> M:
    """`message` with `signer`'s signature in place of whatever stood there."""
    return replace(message, signature=signer.sign(signing_digest(message, genesis_hash)))


# ── proposals ────────────────────────────────────────────────────────────────────────────────────────────────────


def make_proposal(time: Millis, transactions: tuple[Transaction, ...]) -> Proposal:
    """The proposal of these transactions at `time` (milliseconds since the epoch)."""
    encoded = cbor.encode_known([time, [tx.encoded for tx in transactions]])
    return Proposal(time=time, transactions=transactions, encoded=encoded, digest=tagged_hash("proposal", encoded))


def decode_proposal(data: bytes, genesis_hash: Digest) -> Proposal:
    """The proposal whose one encoding is `data`, its transactions' signatures unchecked. Raises `Malformed`.

    A transaction that occurs twice makes it malformed: no correct primary does that.
    """
    match cbor.decode(data, MAX_FRAME_BYTES):
        case [int(time), list(items)] if 0 <= time <= MAX_MILLIS and type(time) is int:
            transactions = tuple([_unpack_transaction(item, genesis_hash) for item in items])
        case _:
            raise Malformed("a proposal is a time and transactions")
    if len({tx.id for tx in transactions}) != len(transactions):
        raise Malformed("a proposal contains a transaction twice")
    return Proposal(time=Millis(time), transactions=transactions, encoded=data, digest=tagged_hash("proposal", data))


NULL_PROPOSAL: Final = make_proposal(Millis(0), ())
"""The null request (§4.4): the same for every group, view and replica."""
