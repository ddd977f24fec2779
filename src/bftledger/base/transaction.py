"""The signed transaction: the unit that clients submit and the ledger orders, at most once each.

⟨sender, nonce, created, expires, payload⟩ with the sender's Ed25519 signature over the digest of these fields
under the group's genesis hash. The signature is no part of the identity: a sender who signs the same fields twice
has made one transaction.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from struct import Struct
from typing import Final, NamedTuple

from bftledger.base import cbor
from bftledger.base.crypto import DIGEST_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Signer, Verifier, tagged_hash
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, PublicKey, Signature, TxId

NONCE_BYTES: Final = 8
TX_ID_BYTES: Final = 32
MAX_MILLIS: Final = (1 << 48) - 1
"""Times fit the 48 bits that an id gives them (the year 10889)."""

MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""No group may allow more; its genesis usually allows less."""

ENVELOPE_BYTES: Final = 192
"""At least what a transaction's encoding adds to its payload."""


@dataclass(frozen=True, slots=False, kw_only=True)
class Transaction:
    """⟨sender, nonce, created, expires, payload⟩σ, immutable; `encoded` is its one encoding.

    `sender`: 32 bytes. `nonce`: 8 random bytes. `created`, `expires`: milliseconds since the epoch, below 2^48.
    `payload`: the application's bytes. `signature`: 64 bytes. Build one with `sign` or `decode`.
    """

    sender: PublicKey
    nonce: bytes
    created: Millis
    expires: Millis
    payload: bytes
    signature: Signature
    digest: Digest
    """What is signed; covers the genesis hash and every field but the signature."""

    @cached_property
    def id(self) -> TxId:
        """32 bytes: `created` as 6 big-endian bytes, then the first 26 of the digest."""
        return TxId(self.created.to_bytes(6, "big") + self.digest[:26])

    @cached_property
    def encoded(self) -> bytes:
        """CBOR array of the six fields in the order above."""
        return cbor.encode_known([self.sender, self.nonce, self.created, self.expires, self.payload, self.signature])

    def verify(self, verifier: Verifier) -> None:
        """Raises `BadSignature` unless the sender signed exactly these fields for this group."""
        verifier.verify(self.sender, self.digest, self.signature)


def sign(
    signer: Signer, genesis_hash: Digest, *, nonce: bytes, created: Millis, expires: Millis, payload: bytes
) -> Transaction:
    """A new transaction of `signer`'s for the group. Raises `Malformed` for a field out of its range."""
    _check_fields(signer.public_key, nonce, created, expires, payload)
    digest = _digest(genesis_hash, signer.public_key, nonce, created, expires, payload)
    return Transaction(
        sender=signer.public_key,
        nonce=nonce,
        created=created,
        expires=expires,
        payload=payload,
        signature=signer.sign(digest),
        digest=digest,
    )


def decode(data: bytes, genesis_hash: Digest) -> Transaction:
    """The transaction whose one encoding is `data`. Its signature is not checked: call `verify`.

    Raises `Malformed`.
    """
    layout = _layout(len(data))
    if layout is None:
        return _decode_item_by_item(data, genesis_hash)
    h0, sender, h1, nonce, h2, created, h3, expires, h4, payload, h5, signature = layout.fields.unpack(data)
    begin, end = int.from_bytes(created, "big"), int.from_bytes(expires, "big")
    if (h0, h1, h2, h3, h4, h5) != layout.heads or not _SHORTER_TIMES < begin < end:
        return _decode_item_by_item(data, genesis_hash)
    digest = tagged_hash("transaction", genesis_hash, b"".join((sender, nonce, created, expires, payload)))
    transaction = object.__new__(Transaction)
    transaction.__dict__.update(  # at once, and what follows from the fields, too: a third of the constructor's time
        sender=sender,
        nonce=nonce,
        created=begin,
        expires=end,
        payload=payload,
        signature=signature,
        digest=digest,
        id=created + digest[:26],
        encoded=data,
    )
    return transaction


def _decode_item_by_item(data: bytes, genesis_hash: Digest) -> Transaction:
    """The same for any bytes: also for times before March 1970, whose encoding is shorter."""
    fields = cbor.decode(data, MAX_PAYLOAD_BYTES + ENVELOPE_BYTES, max_items=_FIELDS)
    if type(fields) is not list or len(fields) != _FIELDS:
        raise Malformed("a transaction has six fields")
    sender, nonce, created, expires, payload, signature = fields
    _check_fields(sender, nonce, created, expires, payload)
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise Malformed(f"a signature has {SIGNATURE_BYTES} bytes")
    transaction = Transaction(
        sender=sender,
        nonce=nonce,
        created=created,
        expires=expires,
        payload=payload,
        signature=Signature(signature),
        digest=_digest(genesis_hash, sender, nonce, created, expires, payload),
    )
    transaction.__dict__["encoded"] = data  # the bytes are the encoding: never made twice
    return transaction


class _Layout(NamedTuple):
    """Where the fields of a transaction are. `fields`: six times the head of an item and what is in it, of the times
    the last 6 bytes. `heads`: what the heads must be."""

    fields: Struct
    heads: tuple[bytes, ...]


@lru_cache(1_024)
def _layout(length: int) -> _Layout | None:
    """That of all transactions of so many bytes, if there are any, whose times have the longest encoding.

    All fields but the payload are then of fixed length, so the length of the whole tells that of each.
    """
    for width in (1, 2, 3, 5):
        payload = length - _ALL_BUT_PAYLOAD - width
        if 0 <= payload <= MAX_PAYLOAD_BYTES and len(head := cbor.bytes_head(payload)) == width:
            heads = (b"\x86\x58\x20", b"\x48", b"\x1b\0\0", b"\x1b\0\0", head, b"\x58\x40")
            return _Layout(Struct(f"3s32s 1s8s 3s6s 3s6s {width}s{payload}s 2s64s"), heads)
    return None


_ALL_BUT_PAYLOAD: Final = 3 + 32 + 1 + 8 + 3 + 6 + 3 + 6 + 2 + 64
_FIELDS: Final = 6
_SHORTER_TIMES: Final = (1 << 32) - 1
"""Times up to this one have a shorter encoding."""


def _digest(genesis_hash: Digest, sender: bytes, nonce: bytes, created: int, expires: int, payload: bytes) -> Digest:
    assert len(genesis_hash) == DIGEST_BYTES
    fields = b"".join((sender, nonce, created.to_bytes(6, "big"), expires.to_bytes(6, "big"), payload))
    return tagged_hash("transaction", genesis_hash, fields)


def _check_fields(sender: object, nonce: object, created: object, expires: object, payload: object) -> None:
    if type(sender) is not bytes or len(sender) != PUBLIC_KEY_BYTES:
        raise Malformed(f"a sender has {PUBLIC_KEY_BYTES} bytes")
    if type(nonce) is not bytes or len(nonce) != NONCE_BYTES:
        raise Malformed(f"a nonce has {NONCE_BYTES} bytes")
    if type(created) is not int or type(expires) is not int or not 0 <= created < expires <= MAX_MILLIS:
        raise Malformed("a transaction is created before it expires, both below 2^48 ms")
    if type(payload) is not bytes or len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed(f"a payload is at most {MAX_PAYLOAD_BYTES} bytes")
