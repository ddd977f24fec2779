"""What the benchmarks' transactions say: operations of the key-value application, made beforehand."""

import random
from typing import Any, Final

from bftledger.apps.kv_payload import MAX_OPERATIONS
from bftledger.base import cbor
from bftledger.base.crypto import Ed25519Signer
from bftledger.base.ids import Digest, Millis
from bftledger.base.transaction import NONCE_BYTES, sign

KEYS: Final = 4_096
"""So many operations are made beforehand at least, each with a key of its own; clients draw from them."""

BATCHES: Final = 1_024
"""And so many transactions of several operations: with fewer of them a block would often hold one more than
once, and what is overwritten in its block costs a replica nothing."""

_SOME_TIME: Final = Millis(1_800_000_000_000)


def make_payloads(size: int, operations: int, chance: random.Random) -> list[bytes]:
    """Payloads for the key-value application, each with so many operations of exactly `size` bytes.

    An operation is CBOR ["put", key, value]; several make ["batch", [operation, …]]. Raises ValueError if no operation
    is so short, or no batch so large.
    """
    key_bytes, value_bytes = _shape(size)
    keys = max(KEYS, BATCHES * operations)
    puts = [["put", i.to_bytes(key_bytes, "big"), chance.randbytes(value_bytes)] for i in range(keys)]
    return [_payload(puts[start : start + operations]) for start in range(0, keys - operations + 1, operations)]


def _payload(puts: list[list[Any]]) -> bytes:
    if not 1 <= len(puts) <= MAX_OPERATIONS:
        raise ValueError(f"there is no batch of {len(puts)} operations: use 1 to {MAX_OPERATIONS}")
    return cbor.encode(puts[0] if len(puts) == 1 else ["batch", puts])


def _shape(size: int) -> tuple[int, int]:
    """The lengths of key and value."""
    for key_bytes in (8, 9):  # where the head of the value grows by a byte, one size is not met
        for value_bytes in range(max(0, size - key_bytes - 16), size):
            if len(cbor.encode(["put", bytes(key_bytes), bytes(value_bytes)])) == size:
                return key_bytes, value_bytes
    raise ValueError(f"there is no put of {size} bytes: use 16 or more")


def payload_bytes(size: int, operations: int) -> int:
    """How long a payload is. Raises ValueError as `make_payloads` does."""
    key_bytes, value_bytes = _shape(size)
    put = ["put", bytes(key_bytes), bytes(value_bytes)]
    return len(_payload([put] * operations))


def transaction_bytes(genesis_hash: Digest, size: int, operations: int = 1) -> int:
    """How long a signed transaction with such a payload is, as it travels and as blocks hold it."""
    transaction = sign(
        Ed25519Signer(bytes(32)),
        genesis_hash,
        nonce=bytes(NONCE_BYTES),
        created=_SOME_TIME,
        expires=Millis(_SOME_TIME + 60_000),
        payload=bytes(payload_bytes(size, operations)),
    )
    return len(transaction.encoded)
