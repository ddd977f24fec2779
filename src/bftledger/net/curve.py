"""Transport keys: Curve25519 pairs for CurveZMQ (ZeroMQ RFC 26), 32 raw bytes each.

The genesis and the key files hold raw keys, and so does this program; ZeroMQ's text form (Z85, RFC 32) is for people
and for ZeroMQ's own tools. A transport key encrypts and names connections; it signs nothing and no proof depends on it.
"""

import secrets
import struct
from typing import Final, Self

from nacl import bindings
from nacl.exceptions import CryptoError
from zmq.utils import z85

from bftledger.base.errors import OperatorError

KEY_BYTES: Final = 32
Z85_CHARACTERS: Final = 40


class TransportKey:
    """One side's key pair; `public` and `secret` are 32 bytes. Its text form hides the secret."""

    __slots__ = ("public", "secret")

    def __init__(self, secret: bytes) -> None:
        """Derives the public key. Raises `OperatorError` unless `secret` is 32 bytes that can be one."""
        self.secret = check_key(secret, "secret transport key")
        try:
            self.public: bytes = bindings.crypto_scalarmult_base(secret)
        except CryptoError:
            raise OperatorError("the secret transport key is not usable: make a new one") from None

    @classmethod
    def generate(cls) -> Self:
        """A new pair from the operating system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def __repr__(self) -> str:
        return f"TransportKey({self.public.hex()[:16]}…)"


def check_key(key: object, what: str = "transport key") -> bytes:
    """`key` if it can be one: 32 bytes, not all zero. Raises `OperatorError`, which calls it `what`."""
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        found = f"{len(key)} bytes" if isinstance(key, bytes) else f"a {type(key).__name__}"
        raise OperatorError(f"the {what} is {found} instead of {KEY_BYTES} bytes: copy it again from where it was made")
    if not any(key):
        raise OperatorError(f"the {what} is all zeros: make a new one")
    return key


def to_z85(key: bytes) -> str:
    """The 40 characters in which ZeroMQ's tools show a key of 32 bytes."""
    return z85.encode(check_key(key)).decode("ascii")


def from_z85(text: str) -> bytes:
    """The 32 bytes of a key written as 40 characters of Z85. Raises `OperatorError`."""
    alphabet = z85.Z85CHARS.decode("ascii")
    if len(text) == Z85_CHARACTERS and all(character in alphabet for character in text):
        try:
            return check_key(z85.decode(text))
        except struct.error:  # a group of five characters above 2^32
            pass
    raise OperatorError(f"{text!r} is not a transport key of {Z85_CHARACTERS} Z85 characters: copy it again")
