"""Messages as bytes, and what their signatures cover. The only place that knows the encoding.

A frame is the CBOR array ⟨kind, [fields…], signature⟩; PRE-PREPARE adds its unsigned proposal, or null. The fields are
those of the message class in their order, without `signature` and `proposal`. What is signed is
SHA-256 under the tag "message/KIND" of the genesis hash and the encoded fields: a message of one group, version or
type is never valid for another. Messages inside messages are frames as byte strings; votes inside certificates are
(replica, signature) pairs, because all else in them is the same.

A frame is read in two stages, so that nobody makes a replica work who has not signed for it. `open_frame` reads the
outline: the fields by themselves, and what has been signed as it stands there. `Sealed.unpack` decodes what is inside,
each message there only after it has been vouched for. Both check form only. Bytes become believable in `authenticate`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from bftledger.base import cbor, transaction
from bftledger.base.crypto import SIGNATURE_BYTES, Signer, tagged_hash
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, Signature, View
from bftledger.base.transaction import MAX_MILLIS, Transaction
from bftledger.pbft import fields
from bftledger.pbft.fields import DIGEST, FLAG, MASK, NUMBER, OCTETS, REPLICA, VOTES, Field, Kind, Reading, Vouch, many
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
    Stable,
    Status,
    Testimony,
    ViewChange,
)
from bftledger.pbft.settings import MAX_BATCH_BYTES, MAX_BATCH_COUNT, MAX_WINDOW

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""No frame between replicas is longer; the transport refuses longer ones unread."""

MAX_PROPOSAL_BYTES: Final = MAX_BATCH_BYTES + 16 * (1 + MAX_BATCH_COUNT)
"""No encoded proposal is longer: the transactions, and what holds them together."""

MAX_BLOCKS: Final = 256
MAX_HEADERS: Final = 8_192
"""At most so many blocks and headers come in one answer; far fewer do, as the frame is bounded, too."""

MAX_TESTIFIED: Final = 512
"""At most so many messages of others are in one TESTIMONY."""

MAX_TESTIMONY_BYTES: Final = 128 * 1024
"""So long are they together, unless they are only two: what is evidence cannot be divided."""

MAX_NUMBER: Final = fields.MAX_NUMBER
MAX_REPLICAS: Final = fields.MAX_REPLICAS
UNSIGNED: Final = Signature(bytes(SIGNATURE_BYTES))
"""Stands where a signature will be, in a message about to be signed."""

Record = Message | PreparedCertificate | CheckpointCertificate
"""What has a frame of its own: each message, and the certificates that a store keeps by themselves."""


# ── kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _embedded(cls: type) -> Field:
    """A message or certificate inside another: its frame as a byte string."""

    def unpack(value: Any, reading: Reading) -> Any:
        if cls in _UNSIGNED_KINDS:
            return _decode_certificate(fields.octets(value), cls, reading)
        return _unpack_vouched(open_frame(fields.octets(value), reading.genesis_hash, cls), reading)

    def pack(value: Any) -> bytes:
        return encode(replace(value, proposal=None) if isinstance(value, PrePrepare) else value)

    return Field(pack, unpack)


def _unpack_vouched(sealed: "Sealed", reading: Reading) -> Message:
    if sealed.has_proposal:
        raise Malformed("a proposal where only its digest belongs")
    reading.vouch(sealed.outline, sealed.signing_digest)
    return sealed.unpack(reading.vouch)


def _unpack_view_changes(value: Any, reading: Reading) -> tuple[ViewChange, ...]:
    """In strictly ascending order of their senders, so that nobody makes others read the same ones many times."""
    found: list[ViewChange] = []
    for frame in fields.array(value, MAX_REPLICAS):
        sealed = open_frame(fields.octets(frame), reading.genesis_hash, ViewChange)
        if found and sealed.outline.replica <= found[-1].replica:
            raise Malformed("the view changes are not in ascending order of their senders")
        found.append(cast(ViewChange, _unpack_vouched(sealed, reading)))
    return tuple(found)


def _unpack_testimony(value: Any, reading: Reading) -> tuple[Message, ...]:
    """Messages of those kinds that a correct replica signs once for each slot: none of them holds a TESTIMONY.

    All are opened before the first is verified: nobody makes others verify the same ones many times.
    """
    frames = [fields.octets(frame) for frame in fields.array(value, MAX_TESTIFIED)]
    if len(frames) > 2 and sum(map(len, frames)) > MAX_TESTIMONY_BYTES:
        raise Malformed("so much is testified with no more than two messages")
    if any(_class_of(frame) not in _TESTIFIED for frame in frames):
        raise Malformed("a message that testifies to nothing")
    opened = [open_frame(frame, reading.genesis_hash) for frame in frames]
    told = Counter(testified_slot(sealed.outline) for sealed in opened)
    if any(times > (2 if kind in _LARGE else 1) for (kind, *_), times in told.items()):
        raise Malformed("the same is testified more than once")
    return tuple([_unpack_vouched(sealed, reading) for sealed in opened])


def testified_slot(message: Message) -> tuple[type, View, Seq, ReplicaId, bytes]:
    """What a TESTIMONY tells once: each vote for a digest; or, of each sender, twice: what it says of one view."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            return type(message), message.view, message.seq, message.replica, message.digest
        case Checkpoint():
            return Checkpoint, View(0), message.seq, message.replica, message.block_hash
        case ViewChange() | NewView():
            return type(message), message.view, Seq(0), message.replica, b""
        case _:
            raise AssertionError("nothing else is testified")


def _unpack_transaction(value: Any, reading: Reading) -> Transaction:
    return transaction.decode(fields.octets(value), reading.genesis_hash)


def _announced(raw: memoryview) -> Proposal:
    """A proposal by its digest, not decoded yet."""
    return Proposal(time=Millis(0), transactions=(), encoded=b"", digest=_proposal_digest(cbor.content(raw)))


_NONE: Final = memoryview(cbor.encode([]))
_TRANSACTION = Field(lambda tx: tx.encoded, _unpack_transaction)
_PROPOSAL = Field(
    lambda proposal: proposal.encoded,
    lambda value, reading: decode_proposal(fields.octets(value), reading.genesis_hash),
    _announced,
)
_CERTIFICATE = _embedded(CheckpointCertificate)
_VIEW_CHANGES = replace(many(_embedded(ViewChange), MAX_REPLICAS), unpack=_unpack_view_changes)
_TESTIFIED: Final = (PrePrepare, Prepare, Commit, Checkpoint, ViewChange, NewView)
_LARGE: Final = (ViewChange, NewView)
"""Two that differ are evidence; in their outlines they do not."""

_TESTIMONY = replace(many(_embedded(PrePrepare), MAX_TESTIFIED), unpack=_unpack_testimony)
_HEADERS = many(OCTETS, MAX_HEADERS)
_BLOCKS = replace(many(OCTETS, MAX_BLOCKS), outline=lambda raw: () if raw == _NONE else (b"",))

_VOTE = {"view": NUMBER, "seq": NUMBER, "digest": DIGEST, "replica": REPLICA}


_SMALL: Final = 512
_CERTIFICATE_BYTES: Final = _SMALL + 80 * MAX_REPLICAS
_BATCH_FRAME_BYTES: Final = _SMALL + MAX_PROPOSAL_BYTES

_KINDS: Final[dict[type, Kind]] = {
    PrePrepare: Kind(1, "PRE-PREPARE", _BATCH_FRAME_BYTES, _VOTE),
    Prepare: Kind(2, "PREPARE", _SMALL, _VOTE),
    Commit: Kind(3, "COMMIT", _SMALL, _VOTE),
    Checkpoint: Kind(4, "CHECKPOINT", _SMALL, {"seq": NUMBER, "block_hash": DIGEST, "replica": REPLICA}),
    ViewChange: Kind(
        5,
        "VIEW-CHANGE",
        MAX_FRAME_BYTES,
        {
            "view": NUMBER,
            "stable": fields.optional(_CERTIFICATE),
            "prepared": many(_embedded(PreparedCertificate), MAX_WINDOW),
            "replica": REPLICA,
        },
    ),
    NewView: Kind(
        6,
        "NEW-VIEW",
        MAX_FRAME_BYTES,
        {
            "view": NUMBER,
            "view_changes": _VIEW_CHANGES,
            "pre_prepares": many(_embedded(PrePrepare), MAX_WINDOW),
            "replica": REPLICA,
        },
    ),
    Status: Kind(
        7,
        "STATUS",
        _SMALL + 128 * MAX_WINDOW,
        {
            "view": NUMBER,
            "active": FLAG,
            "stable": NUMBER,
            "stable_hash": fields.optional(DIGEST),
            "executed": NUMBER,
            "executed_hash": fields.optional(DIGEST),
            "slots": many(fields.SLOT_STATUS, MAX_WINDOW),
            "view_changes": MASK,
            "convicted": MASK,
            "replica": REPLICA,
        },
    ),
    Relay: Kind(
        8, "RELAY", _BATCH_FRAME_BYTES, {"transactions": many(_TRANSACTION, MAX_BATCH_COUNT), "replica": REPLICA}
    ),
    Stable: Kind(9, "STABLE", _SMALL + _CERTIFICATE_BYTES, {"certificate": _CERTIFICATE, "replica": REPLICA}),
    FetchProposal: Kind(10, "FETCH-PROPOSAL", _SMALL, {"seq": NUMBER, "digest": DIGEST, "replica": REPLICA}),
    Proposed: Kind(11, "PROPOSED", _BATCH_FRAME_BYTES, {"seq": NUMBER, "proposal": _PROPOSAL, "replica": REPLICA}),
    FetchBlocks: Kind(12, "FETCH-BLOCKS", _SMALL, {"first": NUMBER, "replica": REPLICA}),
    Blocks: Kind(
        13,
        "BLOCKS",
        MAX_FRAME_BYTES,
        {"first": NUMBER, "blocks": _BLOCKS, "headers": _HEADERS, "certificate": _CERTIFICATE, "replica": REPLICA},
    ),
    Testimony: Kind(14, "TESTIMONY", MAX_FRAME_BYTES, {"messages": _TESTIMONY, "replica": REPLICA}),
    PreparedCertificate: Kind(
        32, "PREPARED", _SMALL + _CERTIFICATE_BYTES, {"pre_prepare": _embedded(PrePrepare), "prepares": VOTES}
    ),
    CheckpointCertificate: Kind(
        33, "CERTIFICATE", _CERTIFICATE_BYTES, {"seq": NUMBER, "block_hash": DIGEST, "signatures": VOTES}
    ),
}
_BY_NUMBER: Final = {kind.number: cls for cls, kind in _KINDS.items()}
_UNSIGNED_KINDS: Final = (PreparedCertificate, CheckpointCertificate)


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────


def encode(record: Record) -> bytes:
    """The frame of a message or certificate: its one encoding."""
    kind = _KINDS[type(record)]
    if isinstance(record, _UNSIGNED_KINDS):
        return cbor.encode_known([kind.number, _pack_fields(record, kind)])
    frame = [kind.number, _pack_fields(record, kind), record.signature]
    if isinstance(record, PrePrepare):
        frame.append(record.proposal.encoded if record.proposal else None)
    return cbor.encode_known(frame)


def decode(frame: bytes, genesis_hash: Digest) -> Record:
    """The message or certificate whose one encoding is `frame`, no signature checked.

    Raises `Malformed`. `genesis_hash` is needed for the digests of the transactions inside.
    """
    if is_certificate(frame):
        return decode_certificate(frame, genesis_hash, _believe)
    return open_frame(frame, genesis_hash).unpack(_believe)


def name_of(record: Record) -> str:
    """What the paper and the signature call its kind: "PRE-PREPARE"."""
    return _KINDS[type(record)].name


def is_certificate(frame: bytes) -> bool:
    """Whether the frame is, if anything, not a message's."""
    return _class_of(frame) in _UNSIGNED_KINDS


def decode_certificate(frame: bytes, genesis_hash: Digest, vouch: Vouch) -> PreparedCertificate | CheckpointCertificate:
    """The certificate whose one encoding is `frame`. Raises `Malformed`, and what `vouch` raises."""
    found = _decode_certificate(frame, _class_of(frame), Reading(genesis_hash, vouch))
    return cast(PreparedCertificate | CheckpointCertificate, found)


class Sealed:
    """A message that has been opened: `outline` is all that may be known of it before its signature is checked.

    In the outline what is long is left out: a proposal, or all but its digest; transactions; view changes, prepared
    certificates, pre-prepares, headers, the slots of a STATUS, what is testified, and all of blocks but whether there
    are any.
    """

    __slots__ = ("_genesis_hash", "_inside", "_kind", "_proposal", "_signed", "outline")

    def __init__(self, frame: bytes, cls: type, genesis_hash: Digest) -> None:
        self._genesis_hash = genesis_hash
        self._kind = _KINDS[cls]
        _, self._signed, signature, *rest = _parts(frame, self._kind, 4 if cls is PrePrepare else 3)
        self._proposal = rest[0] if rest and rest[0] != _NULL else None
        self._inside: dict[str, memoryview] = {}
        reading = Reading(genesis_hash, _believe)
        values = _unpack_fields(self._signed, self._kind, reading, self._inside)
        values["signature"] = fields.SIGNATURE.unpack(cbor.decode_checked(signature), reading)
        self.outline: Message = cls(**values)

    @property
    def has_proposal(self) -> bool:
        """Whether the frame is a PRE-PREPARE's and holds its proposal."""
        return self._proposal is not None

    def signing_digest(self) -> Digest:
        """The 32 bytes that the sender signed, if it did: over the fields as they came."""
        return tagged_hash(self._kind.tag, self._genesis_hash, self._signed)

    def check_proposal(self) -> None:
        """Raises `BadProof` if a PRE-PREPARE comes with another proposal than the one that its sender signed."""
        if self._proposal is None or not isinstance(self.outline, PrePrepare):
            return
        if _proposal_digest(cbor.content(self._proposal)) != self.outline.digest:
            raise BadProof("the proposal is not the one that was signed")

    def unpack(self, vouch: Vouch) -> Message:
        """The whole message. `vouch` is asked about each message inside, before that is unpacked.

        Raises `Malformed`, and what `vouch` raises.
        """
        if not self._inside and self._proposal is None:
            return self.outline
        kind, reading = self._kind, Reading(self._genesis_hash, vouch)
        values = {
            name: kind.fields[name].unpack(cbor.decode_checked(raw), reading) for name, raw in self._inside.items()
        }
        if self._proposal is not None:
            values["proposal"] = decode_proposal(bytes(cbor.content(self._proposal)), self._genesis_hash)
        return replace(self.outline, **values)


def open_frame(frame: bytes, genesis_hash: Digest, expected: type | None = None) -> Sealed:
    """The message in `frame`, nothing but its outline decoded. Raises `Malformed`, also if it is not of the type."""
    cls = _class_of(frame)
    if cls in _UNSIGNED_KINDS:
        raise Malformed("a certificate is not a message")
    if expected not in (None, cls):
        raise Malformed("a message of another type was expected")  # before its fields: so they cannot nest for ever
    return Sealed(frame, cls, genesis_hash)


_NULL: Final = memoryview(cbor.encode(None))


def _believe(_: Message, __: Callable[[], Digest]) -> None:
    """For whoever reads what he has verified before, or will afterwards."""


def _class_of(frame: bytes) -> type:
    number = frame[1:2] if frame[1:2] != b"\x18" else frame[2:3]
    cls = _BY_NUMBER.get(number[0]) if number else None
    if cls is None:
        raise Malformed("not a frame of a known kind")
    return cls


def _parts(frame: bytes, kind: Kind, count: int) -> list[memoryview]:
    """Kind, fields and so on, as they came. The bounds of this kind are checked before anything is copied."""
    found = cbor.split(frame, kind.max_bytes, max_items=kind.max_items)
    if len(found) != count:
        raise Malformed("a frame has too many or too few parts")
    return found


def _unpack_fields(raw: memoryview, kind: Kind, reading: Reading, inside: dict[str, memoryview]) -> dict[str, Any]:
    """The fields, and an outline of those that are left for later: their encodings go to `inside`."""
    items: list[Any] = fields.array(cbor.decode_checked(raw), len(kind.fields)) if kind.is_flat else cbor.parts(raw)
    if len(items) != len(kind.fields):
        raise Malformed("a frame has too many or too few fields")
    pairs = zip(kind.fields.items(), items, strict=True)
    if kind.is_flat:
        return {name: of.unpack(item, reading) for (name, of), item in pairs}
    values: dict[str, Any] = {}
    for (name, of), item in pairs:
        if of.outline is None:
            values[name] = of.unpack(cbor.decode_checked(item), reading)
        else:
            values[name] = of.outline(item)
            inside[name] = item
    return values


def _decode_certificate(frame: bytes, cls: type, reading: Reading) -> Any:
    kind = _KINDS[cls]
    if _class_of(frame) is not cls:
        raise Malformed("a certificate of another type was expected")
    _, raw = _parts(frame, kind, 2)
    values = fields.array(cbor.decode_checked(raw), len(kind.fields))
    if len(values) != len(kind.fields):
        raise Malformed("a certificate has too many or too few fields")
    pairs = zip(kind.fields.items(), values, strict=True)
    return cls(**{name: of.unpack(value, reading) for (name, of), value in pairs})


def _pack_fields(record: Record, kind: Kind) -> Any:
    if kind.plain is not None:
        return kind.plain(record)
    return [pack(value(record)) for value, pack in kind.packers]


M = TypeVar("M", bound=Message)


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def signing_digest(message: Message, genesis_hash: Digest) -> Digest:
    """The 32 bytes that `message.replica` signs."""
    kind = _KINDS[type(message)]
    return tagged_hash(kind.tag, genesis_hash, cbor.encode_known(_pack_fields(message, kind)))


def sign(message: M, signer: Signer, genesis_hash: Digest) -> M:
    """`message` with `signer`'s signature in place of whatever stood there."""
    values = {name: getattr(message, name) for name in message.__slots__}
    values["signature"] = signer.sign(signing_digest(message, genesis_hash))
    return type(message)(**values)  # what `replace` does in twice the time


# ── proposals ────────────────────────────────────────────────────────────────────────────────────────────────────


def make_proposal(time: Millis, transactions: tuple[Transaction, ...]) -> Proposal:
    """The proposal of these transactions at `time` (milliseconds since the epoch)."""
    encoded = cbor.encode_known([time, [tx.encoded for tx in transactions]])
    return Proposal(time=time, transactions=transactions, encoded=encoded, digest=_proposal_digest(encoded))


def decode_proposal(data: bytes, genesis_hash: Digest) -> Proposal:
    """The proposal whose one encoding is `data`, its transactions' signatures unchecked. Raises `Malformed`.

    A transaction that occurs twice makes it malformed: no correct primary does that.
    """
    match cbor.decode(data, MAX_PROPOSAL_BYTES, max_items=2 + MAX_BATCH_COUNT):
        case [int(time), list(items)] if 0 <= time <= MAX_MILLIS and type(time) is int:
            transactions = tuple([transaction.decode(fields.octets(item), genesis_hash) for item in items])
        case _:
            raise Malformed("a proposal is a time and transactions")
    if len({tx.id for tx in transactions}) != len(transactions):
        raise Malformed("a proposal contains a transaction twice")
    return Proposal(time=Millis(time), transactions=transactions, encoded=data, digest=_proposal_digest(data))


def _proposal_digest(encoded: bytes | memoryview) -> Digest:
    return tagged_hash("proposal", encoded)


NULL_PROPOSAL: Final = make_proposal(Millis(0), ())
"""The null request (§4.4): the same for every group, view and replica."""
