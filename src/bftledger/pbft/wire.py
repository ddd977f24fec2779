"""Messages as bytes, and what their signatures cover: the face of the encoding.

A frame is the CBOR array ⟨kind, [fields…], signature⟩; PRE-PREPARE adds its unsigned proposal, or null. The fields are
those of the message class in their order, without `signature` and `proposal`. What is signed is
SHA-256 under the tag "message/KIND" of the genesis hash and the encoded fields: a message of one group, version or
type is never valid for another. Messages inside messages are frames as byte strings; votes inside certificates are
(replica, signature) pairs, because all else in them is the same.

`fields` knows how a single field is packed and what is refused, `frames` how a frame of a given kind is made and read,
`kinds` which kinds there are and what fields each has. Nothing else knows the encoding.
"""

from typing import Final, TypeVar, cast

from bftledger.base.crypto import SIGNATURE_BYTES, Signer
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Signature
from bftledger.pbft import frames
from bftledger.pbft.fields import Reading, Vouch
from bftledger.pbft.frames import Kind, Sealed
from bftledger.pbft.kinds import BY_NUMBER, KINDS
from bftledger.pbft.messages import CheckpointCertificate, Message, PreparedCertificate, Record

M = TypeVar("M", bound=Message)

UNSIGNED: Final = Signature(bytes(SIGNATURE_BYTES))
"""Stands where a signature will be, in a message about to be signed."""


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────


def encode(record: Record) -> bytes:
    """The frame of a message or certificate: its one encoding."""
    return frames.encode(record, KINDS[type(record)])


def decode(frame: bytes, genesis_hash: Digest) -> Record:
    """The message or certificate whose one encoding is `frame`, no signature checked.

    Raises `Malformed`. `genesis_hash` is needed for the digests of the transactions inside.
    """
    if is_certificate(frame):
        return decode_certificate(frame, genesis_hash, frames.believe)
    return open_frame(frame, genesis_hash).unpack(frames.believe)


def name_of(record: Record) -> str:
    """What the paper and the signature call its kind: "PRE-PREPARE"."""
    return KINDS[type(record)].name


def is_certificate(frame: bytes) -> bool:
    """Whether the frame is, if anything, not a message's."""
    return not _kind_of(frame).is_signed


def decode_certificate(frame: bytes, genesis_hash: Digest, vouch: Vouch) -> PreparedCertificate | CheckpointCertificate:
    """The certificate whose one encoding is `frame`. Raises `Malformed`, and what `vouch` raises."""
    found = frames.decode_certificate(frame, _kind_of(frame), Reading(genesis_hash, vouch))
    return cast(PreparedCertificate | CheckpointCertificate, found)


def open_frame(frame: bytes, genesis_hash: Digest) -> Sealed:
    """The message in `frame`, nothing but its outline decoded. Raises `Malformed`."""
    return Sealed(frame, _kind_of(frame), genesis_hash)


def _kind_of(frame: bytes) -> Kind:
    number = frames.number_of(frame)
    kind = None if number is None else BY_NUMBER.get(number)
    if kind is None:
        raise Malformed("not a frame of a known kind")
    return kind


# ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────


def signing_digest(message: Message, genesis_hash: Digest) -> Digest:
    """The 32 bytes that `message.replica` signs."""
    return frames.signing_digest(message, KINDS[type(message)], genesis_hash)


def sign(message: M, signer: Signer, genesis_hash: Digest) -> M:
    """`message` with `signer`'s signature in place of whatever stood there."""
    values = {name: getattr(message, name) for name in message.__slots__}
    values["signature"] = signer.sign(signing_digest(message, genesis_hash))
    return type(message)(**values)  # what `replace` does in twice the time
