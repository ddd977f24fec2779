"""Frames of a given kind: how one is made of a message or certificate, and how it is read.

A frame is read in two stages, so that nobody makes a replica work who has not signed for it. `Sealed` reads the
outline: the fields by themselves, and what has been signed as it stands there. `Sealed.unpack` decodes what is inside,
each message there only after it has been vouched for. Both check form only. Bytes become believable in `authenticate`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Final

from bftledger.base import cbor
from bftledger.base.crypto import SIGNATURE_BYTES, tagged_hash
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.ids import Digest
from bftledger.pbft import fields
from bftledger.pbft.fields import Field, Reading, Vouch
from bftledger.pbft.messages import CheckpointCertificate, Framed, Message, PreparedCertificate, PrePrepare, Record
from bftledger.pbft.proposals import decode_proposal, proposal_digest

MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""No frame between replicas is longer; the transport refuses longer ones unread."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of frame, of records `of` a class. `number`, `name`: what frames and signatures call it.

    `max_bytes`: no frame of it is longer.
    """

    of: type
    number: int
    name: str
    max_bytes: int
    fields: dict[str, Field]
    short: Callable[[bytes], Any] | None = None
    """Reads most frames of this kind at once: for what it returns None, they have to be read item by item."""

    max_items: int = field(init=False)
    tag: str = field(init=False)
    is_signed: bool = field(init=False)
    """Whether it is a message's: certificates hold the signatures of others."""

    is_flat: bool = field(init=False)
    """Whether all fields are read at once."""

    number_item: bytes = field(init=False)
    """The number, encoded."""

    packers: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any]], ...] = field(init=False)
    """How to get each field's value from a record, and how to pack it."""

    plain: Callable[[Any], tuple[Any, ...]] | None = field(init=False)
    """Gets all values at once, if each is packed as it is: so it is with votes, which are most of all frames."""

    def __post_init__(self) -> None:
        is_plain = len(self.fields) > 1 and all(of.pack is fields.as_it_is for of in self.fields.values())
        packers = tuple((attrgetter(name), of.pack) for name, of in self.fields.items())
        object.__setattr__(self, "packers", packers)
        object.__setattr__(self, "plain", attrgetter(*self.fields) if is_plain else None)
        object.__setattr__(self, "max_items", 4 + sum(of.max_items for of in self.fields.values()))
        object.__setattr__(self, "tag", f"message/{self.name}")
        object.__setattr__(self, "is_signed", self.of not in (PreparedCertificate, CheckpointCertificate))
        object.__setattr__(self, "number_item", cbor.encode(self.number))
        object.__setattr__(self, "is_flat", all(of.outline is None for of in self.fields.values()))


def number_of(frame: bytes) -> int | None:
    """The number of its kind, if it is a frame; nothing else of it is looked at."""
    number = frame[1:2]
    if number == b"\x18":
        number = frame[2:3]
    elif number > b"\x18":  # the head of something else: a negative number, for one, must not pass for its bits
        return None
    return number[0] if number else None


_ARRAY_OF_2, _ARRAY_OF_3, _ARRAY_OF_4 = b"\x82", b"\x83", b"\x84"
_NULL: Final = cbor.encode(None)
_SIGNATURE_HEAD: Final = cbor.bytes_head(SIGNATURE_BYTES)
_SIGNATURE_ITEM_BYTES: Final = len(_SIGNATURE_HEAD) + SIGNATURE_BYTES


# ── making one ───────────────────────────────────────────────────────────────────────────────────────────────────


def encode(record: Record, kind: Kind) -> bytes:
    """The frame of a message or certificate of this kind: its one encoding."""
    if isinstance(record, Framed):
        if not hasattr(record, "frame"):
            _keep(_encode(record, kind), record)
        return record.frame
    return _encode(record, kind)


def _encode(record: Record, kind: Kind) -> bytes:
    packed = cbor.encode_known(_pack_fields(record, kind))
    if isinstance(record, PreparedCertificate | CheckpointCertificate):
        return b"".join((_ARRAY_OF_2, kind.number_item, packed))
    if not isinstance(record, PrePrepare):
        return b"".join((_ARRAY_OF_3, kind.number_item, packed, _SIGNATURE_HEAD, record.signature))
    parts = (_ARRAY_OF_4, kind.number_item, packed, _SIGNATURE_HEAD, record.signature)
    if record.proposal is None:
        return b"".join((*parts, _NULL))
    proposal = record.proposal.encoded
    return b"".join((*parts, cbor.bytes_head(len(proposal)), proposal))


def _keep(frame: bytes, record: Framed) -> None:
    object.__setattr__(record, "frame", frame)


def signing_digest(message: Message, kind: Kind, genesis_hash: Digest) -> Digest:
    """The 32 bytes that `message.replica` signs."""
    return tagged_hash(kind.tag, genesis_hash, cbor.encode_known(_pack_fields(message, kind)))


def _pack_fields(record: Record, kind: Kind) -> Any:
    if kind.plain is not None:
        return kind.plain(record)
    return [pack(value(record)) for value, pack in kind.packers]


# ── reading one ──────────────────────────────────────────────────────────────────────────────────────────────────


class Sealed:
    """A message that has been opened: `outline` is all that may be known of it before its signature is checked.

    In the outline what is long is left out: a proposal, or all but its digest; transactions; view changes, prepared
    certificates, pre-prepares, headers, the slots of a STATUS, what is testified, and all of blocks but whether there
    are any.
    """

    __slots__ = ("_genesis_hash", "_inside", "_kind", "_proposal", "_signed_part", "outline")

    def __init__(self, frame: bytes, kind: Kind, genesis_hash: Digest) -> None:
        """Raises `Malformed`."""
        if not kind.is_signed:
            raise Malformed("a certificate is not a message")
        self._genesis_hash = genesis_hash
        self._kind = kind
        self._proposal: memoryview | None = None
        self._inside: dict[str, memoryview] = {}
        self._signed_part: bytes | memoryview
        self.outline: Message
        if kind.short is not None and (vote := kind.short(frame)) is not None:
            self.outline, self._signed_part = vote, frame[1 + len(kind.number_item) : -_SIGNATURE_ITEM_BYTES]
        else:
            self.outline = self._read(frame)
        if isinstance(self.outline, Framed):
            _keep(frame, self.outline)

    def _read(self, frame: bytes) -> Message:
        kind, reading = self._kind, Reading(self._genesis_hash, believe)
        _, self._signed_part, signature, *rest = _parts(frame, kind, 4 if kind.of is PrePrepare else 3)
        self._proposal = rest[0] if rest and rest[0] != _NULL else None
        values = _unpack_fields(self._signed_part, kind, reading, self._inside)
        values["signature"] = fields.SIGNATURE.unpack(cbor.decode_checked(signature), reading)
        return kind.of(**values)  # type: ignore[no-any-return]

    @property
    def is_whole(self) -> bool:
        """Whether the outline is the message: nothing in it has been left for later."""
        return not self._inside and self._proposal is None

    @property
    def has_proposal(self) -> bool:
        """Whether the frame is a PRE-PREPARE's and holds its proposal."""
        return self._proposal is not None

    def signing_digest(self) -> Digest:
        """The 32 bytes that the sender signed, if it did: over the fields as they came."""
        return tagged_hash(self._kind.tag, self._genesis_hash, self._signed_part)

    def check_proposal(self) -> None:
        """Raises `BadProof` if a PRE-PREPARE comes with another proposal than the one that its sender signed."""
        if self._proposal is None or not isinstance(self.outline, PrePrepare):
            return
        if proposal_digest(cbor.content(self._proposal)) != self.outline.digest:
            raise BadProof("the proposal is not the one that was signed")

    def unpack(self, vouch: Vouch) -> Message:
        """The whole message. `vouch` is asked about each message inside, before that is unpacked.

        Raises `Malformed`, and what `vouch` raises.
        """
        if self.is_whole:
            return self.outline
        kind, reading = self._kind, Reading(self._genesis_hash, vouch)
        values = {
            name: kind.fields[name].unpack(cbor.decode_checked(raw), reading) for name, raw in self._inside.items()
        }
        if self._proposal is not None:
            values["proposal"] = decode_proposal(bytes(cbor.content(self._proposal)), self._genesis_hash)
        return replace(self.outline, **values)


def decode_certificate(frame: bytes, kind: Kind, reading: Reading) -> Any:
    """The certificate of this kind whose one encoding is `frame`. Raises `Malformed`, and what vouching raises."""
    _, raw = _parts(frame, kind, 2)
    return kind.of(**_unpack_flat(cbor.decode_checked(raw), kind, reading))


def believe(_: Message, __: Callable[[], Digest]) -> None:
    """Vouches for anything: for whoever reads what he has verified before, or will afterwards."""


def _parts(frame: bytes, kind: Kind, count: int) -> list[memoryview]:
    """Kind, fields and so on, as they came. The bounds of this kind are checked before anything is copied."""
    found = cbor.split(frame, kind.max_bytes, max_items=kind.max_items)
    if len(found) != count:
        raise Malformed("a frame has too many or too few parts")
    return found


def _unpack_fields(raw: memoryview, kind: Kind, reading: Reading, inside: dict[str, memoryview]) -> dict[str, Any]:
    """The fields, and an outline of those that are left for later: their encodings go to `inside`."""
    if kind.is_flat:
        return _unpack_flat(cbor.decode_checked(raw), kind, reading)
    items = cbor.parts(raw)
    if len(items) != len(kind.fields):
        raise Malformed("a frame has too many or too few fields")
    values: dict[str, Any] = {}
    for (name, of), item in zip(kind.fields.items(), items, strict=True):
        if of.outline is None:
            values[name] = of.unpack(cbor.decode_checked(item), reading)
        else:
            values[name] = of.outline(item)
            inside[name] = item
    return values


def _unpack_flat(items: Any, kind: Kind, reading: Reading) -> dict[str, Any]:
    values = zip(kind.fields.items(), fields.exactly(items, len(kind.fields)), strict=True)
    return {name: of.unpack(item, reading) for (name, of), item in values}


# ── a frame within a frame ───────────────────────────────────────────────────────────────────────────────────────


def embedded(*kinds: Kind) -> Field:
    """A message or certificate of one of these kinds inside another: its frame as a byte string."""
    by_class = {kind.of: kind for kind in kinds}

    def pack(value: Any) -> bytes:
        kind = by_class[type(value)]
        return encode(value.bare if isinstance(value, PrePrepare) else value, kind)

    def unpack(value: Any, reading: Reading) -> Any:
        frame = fields.octets(value)
        kind = _expected(frame, kinds)
        if not kind.is_signed:
            return decode_certificate(frame, kind, reading)
        return unpack_vouched(Sealed(frame, kind, reading.genesis_hash), reading)

    return Field(pack, unpack)


def open_embedded(value: Any, kinds: tuple[Kind, ...], reading: Reading) -> Sealed:
    """The message of one of these kinds inside another, nothing but its outline decoded. Raises `Malformed`."""
    frame = fields.octets(value)
    return Sealed(frame, _expected(frame, kinds), reading.genesis_hash)


def unpack_vouched(sealed: Sealed, reading: Reading) -> Message:
    """The whole message inside another, after it has been vouched for. Raises `Malformed`, and what vouching raises."""
    if sealed.has_proposal:
        raise Malformed("a proposal where only its digest belongs")
    reading.vouch(sealed.outline, sealed.signing_digest)
    return sealed.unpack(reading.vouch)


def _expected(frame: bytes, kinds: tuple[Kind, ...]) -> Kind:
    number = number_of(frame)
    for kind in kinds:
        if kind.number == number:
            return kind
    raise Malformed("a frame of another kind was expected")
