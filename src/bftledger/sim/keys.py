"""Keys of a run: real Ed25519, or keyed hashes that are twenty times faster.

A hash signature is made and checked with the same secret, so the one verifier holds everybody's; that is why it is
fit for one process only. A signer holds its own secret and no other: an adversary can forge no more than with real
keys.
"""

import hashlib
from typing import Final

from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier, Signer, Verifier
from bftledger.base.errors import BadSignature
from bftledger.base.ids import PublicKey, Signature


class HashSigner:
    """Signs with BLAKE2b keyed by its secret: 64 bytes, the same for the same message."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.public_key = PublicKey(hashlib.sha256(b"public key of " + secret).digest())

    def sign(self, message: bytes) -> Signature:
        """64 bytes."""
        return Signature(hashlib.blake2b(message, key=self._secret).digest())


class HashVerifier:
    """Checks what the signers of one key ring sign; a key that is none of theirs signs nothing."""

    def __init__(self) -> None:
        self.secrets: dict[bytes, bytes] = {}

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Raises `BadSignature` unless this is the holder's signature."""
        secret = self.secrets.get(public_key)
        if secret is None or hashlib.blake2b(message, key=secret).digest() != signature:
            raise BadSignature("the signature does not match")


class KeyRing:
    """Everybody's keys in one run; they follow from names."""

    def __init__(self, *, real: bool = False) -> None:
        self.real: Final = real
        self._hashes = HashVerifier()
        self.verifier: Final[Verifier] = Ed25519Verifier() if real else self._hashes
        self._signers: dict[str, Signer] = {}

    def signer(self, name: str) -> Signer:
        """The key of that name, the same at each call."""
        signer = self._signers.get(name)
        if signer is None:
            seed = hashlib.sha256(f"key of {name}".encode()).digest()
            signer = self._signers[name] = Ed25519Signer(seed) if self.real else HashSigner(seed)
            if not self.real:
                self._hashes.secrets[signer.public_key] = seed
        return signer

    def replica(self, number: int) -> Signer:
        """A replica's key."""
        return self.signer(f"replica {number}")

    def client(self, number: int) -> Signer:
        """A client's key."""
        return self.signer(f"client {number}")
