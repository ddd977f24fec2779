"""Transport keys: Curve25519 pairs for CurveZMQ (ZeroMQ RFC 26), 32 raw bytes each.

A transport key encrypts and names connections; it signs nothing and no proof depends on it.
"""

import secrets
from typing import Final, Self

from nacl import bindings
from nacl.exceptions import CryptoError

from bftledger.base.errors import OperatorError

KEY_BYTES: Final = 32


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
