"""Proofs about an authenticated map: what one entry is, or that there is none, checked against the root alone.

A proof is the way from the root to the bucket where the key belongs: for each branch the hashes of the fifteen
children beside the way, then the bucket's entries. Whoever checks it hashes the bucket and climbs back along the
key's own hash, so a proof for one place cannot be presented for another.
"""

from dataclasses import dataclass
from typing import Final

from bftledger.base import cbor
from bftledger.base.crypto import DIGEST_BYTES, hasher
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.ids import Digest

EMPTY: Final = Digest(bytes(DIGEST_BYTES))
"""In place of the hash of a subtree without entries."""

key_hash: Final = hasher("map/key")
"""Where an entry belongs."""

value_hash: Final = hasher("map/value")
"""What an entry says."""

hash_of_entries: Final = hasher("map/bucket")
"""The hash of a bucket that is not empty: of its entries' concatenation."""

branch_hash: Final = hasher("map/branch")
"""The hash of a branch: of its 16 children's hashes (512 bytes)."""

_ENTRY: Final = 64
_MAX_BUCKET_BYTES: Final = 16 * _ENTRY
_MAX_LEVELS: Final = 64
_SIBLINGS: Final = 15
MAX_PROOF_BYTES: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class MapProof:
    """`levels`: from the root down, the 15 hashes beside the way (480 bytes). `bucket`: the entries at its end."""

    levels: tuple[bytes, ...]
    bucket: bytes

    def encode(self) -> bytes:
        """CBOR array of the bucket and, per level, a 15-bit map of the non-empty siblings followed by these."""
        return cbor.encode_known([self.bucket, [_pack_level(level) for level in self.levels]])

    @staticmethod
    def decode(data: bytes) -> "MapProof":
        """The proof whose one encoding is `data`. Raises `Malformed`."""
        match cbor.decode(data, MAX_PROOF_BYTES):
            case [bytes(bucket), list(levels)] if len(levels) <= _MAX_LEVELS:
                pass
            case _:
                raise Malformed("a map proof is a bucket and levels")
        if len(bucket) > _MAX_BUCKET_BYTES or len(bucket) % _ENTRY:
            raise Malformed("a bucket is at most 16 entries of 64 bytes")
        return MapProof(levels=tuple([_unpack_level(level) for level in levels]), bucket=bucket)


def verify_map_proof(root: bytes, key: bytes, value: bytes | None, proof: MapProof) -> None:
    """Returns if the map of this root holds `value` under `key`, or nothing if `value` is None.

    Raises `BadProof` in every other case.
    """
    digest = key_hash(key)
    expected = None if value is None else value_hash(value)
    if _find(proof.bucket, digest) != expected:
        raise BadProof("the proof is about another value of this key")
    node = hash_of_entries(proof.bucket) if proof.bucket else EMPTY
    if len(proof.levels) > _MAX_LEVELS:
        raise BadProof("the proof is deeper than a hash is long")
    for depth in reversed(range(len(proof.levels))):
        level = proof.levels[depth]
        if len(level) != _SIBLINGS * DIGEST_BYTES:
            raise BadProof("a level has not 15 siblings")
        byte = digest[depth >> 1]
        at = DIGEST_BYTES * (byte & 15 if depth & 1 else byte >> 4)
        node = branch_hash(level[:at] + node + level[at:])
    if node != root:
        raise BadProof("the proof does not lead to the state's root")


def _find(bucket: bytes, digest: bytes) -> bytes | None:
    for at in range(0, len(bucket), _ENTRY):
        if bucket[at : at + DIGEST_BYTES] == digest:
            return bucket[at + DIGEST_BYTES : at + _ENTRY]
    return None


def _pack_level(level: bytes) -> bytes:
    hashes = [level[at : at + DIGEST_BYTES] for at in range(0, len(level), DIGEST_BYTES)]
    present = sum(1 << place for place, item in enumerate(hashes) if item != EMPTY)
    return present.to_bytes(2, "big") + b"".join([item for item in hashes if item != EMPTY])


def _unpack_level(data: object) -> bytes:
    if type(data) is not bytes or len(data) < 2:
        raise Malformed("a level of a map proof is a byte string")
    present = int.from_bytes(data[:2], "big")
    if present >> _SIBLINGS or len(data) != 2 + DIGEST_BYTES * present.bit_count():
        raise Malformed("a level of a map proof does not hold the siblings that it announces")
    hashes = []
    at = 2
    for place in range(_SIBLINGS):
        if present >> place & 1:
            sibling = data[at : at + DIGEST_BYTES]
            if sibling == EMPTY:
                raise Malformed("an empty sibling is spelled out")
            hashes.append(sibling)
            at += DIGEST_BYTES
        else:
            hashes.append(EMPTY)
    return b"".join(hashes)
