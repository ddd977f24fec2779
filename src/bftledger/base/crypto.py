"""Tagged SHA-256 and Ed25519 (RFC 8032, as libsodium checks it), behind two small protocols.

Every hash and every signed string starts with a tag that says what it is, so that bytes made for one purpose are
never valid for another. libsodium refuses non-canonical S, non-canonical and small-order keys and small-order R;
all replicas use the same library, because a signature that only some accept would be a fork.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

from nacl import bindings
from nacl._sodium import ffi, lib  # type: ignore[import-not-found]

from bftledger.base.errors import BadSignature
from bftledger.base.ids import Digest, PublicKey, Signature

PROTOCOL: Final = "bftledger/1"
"""The version that all signatures and hashes of this protocol are bound to."""

DIGEST_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SEED_BYTES: Final = 32


def tagged_hash(tag: str, *parts: bytes | memoryview) -> Digest:
    """SHA-256(T ‖ T ‖ parts) where T = SHA-256("bftledger/1/" ‖ tag), the construction of BIP 340: 32 bytes.

    The parts are concatenated as they are: all but the last must be of fixed length.
    """
    state = _tag_state(tag).copy()
    for part in parts:
        state.update(part)
    return state.digest()  # type: ignore[return-value]  # Digest(…) would be a call, half as long as all of this


def hasher(tag: str) -> Callable[[bytes | bytearray], bytes]:
    """`tagged_hash` for one tag and one part, for who hashes much: the same 32 bytes for half of the work."""
    copy = _tag_state(tag).copy

    def tagged(data: bytes | bytearray) -> bytes:
        state = copy()
        state.update(data)
        return state.digest()

    return tagged


@cache
def _tag_state(tag: str) -> "hashlib._Hash":
    prefix = hashlib.sha256(f"{PROTOCOL}/{tag}".encode()).digest()
    return hashlib.sha256(prefix + prefix)


class Signer(Protocol):
    """Holds one private key."""

    @property
    def public_key(self) -> PublicKey:
        """The 32 bytes that others verify with."""
        ...

    def sign(self, message: bytes) -> Signature:
        """64 bytes; deterministic: the same message gives the same signature."""
        ...


class Verifier(Protocol):
    """Checks signatures; holds no secret."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Returns if `signature` is `public_key`'s over `message`; raises `BadSignature` in every other case."""
        ...


class Ed25519Signer:
    """A private key in memory, made from its 32-byte seed."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.public_key = PublicKey(public)

    def sign(self, message: bytes) -> Signature:
        return Signature(bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES])

    def __repr__(self) -> str:
        return f"Ed25519Signer({self.public_key.hex()[:16]}…)"


class Ed25519Verifier:
    """libsodium's check. Stateless, and it releases the interpreter lock, so threads may share one."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        if len(signature) != SIGNATURE_BYTES or len(public_key) != PUBLIC_KEY_BYTES:
            raise BadSignature("a key or signature of the wrong length")
        signed = signature + message
        # What `bindings.crypto_sign_open` calls, without the copy of the message that it would return.
        if lib.crypto_sign_open(ffi.NULL, ffi.NULL, signed, len(signed), public_key) != 0:
            raise BadSignature("the signature does not match")
