"""Admission: which transactions a block may hold, by nothing but the genesis, the block's time and the blocks before.

Written down a second time, from docs/formats.md and the words of `base.genesis`: it shares with those who execute
(`ledger.executor`, `base.transaction`) the encoding and the primitives, and no rule.

- "A transaction is (sender, nonce, created, expires, payload) plus the sender's signature over its digest under the
  group's genesis hash."
- "Exactly once: a transaction whose id is already in the ledger has no second effect. One whose `expires` is earlier
  than its block's time has none at all."
- `expires` - `created`, and the payload's length, "are bounded by the group's configuration"; so is how far `created`
  may lie after the block's time.
- "Who may submit is decided by transaction signature and, where the genesis lists members, by that list."
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bftledger.base import cbor
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadSignature, Malformed
from bftledger.base.genesis import Genesis
from bftledger.check.violation import short
from bftledger.ledger.block import Block

_LONGEST: Final = 1 << 20
_TAG: Final = hashlib.sha256(b"bftledger/1/transaction").digest()


class _Fields(NamedTuple):
    sender: bytes
    nonce: bytes
    created: int
    expires: int
    payload: bytes
    signature: bytes


class Admission:
    """What the blocks of one chain hold, block after block."""

    def __init__(self, genesis: Genesis, verifier: Verifier) -> None:
        self._genesis = genesis
        self._verifier = verifier
        self._members = frozenset(genesis.members)
        self._placed: dict[bytes, int] = {}

    def objections(self, block: Block) -> Iterator[str]:
        """What is wrong with the transactions of the next block, in their order."""
        height, time = block.header.height, block.header.time
        for encoded in block.transactions:
            fields = _fields(encoded)
            if fields is None:
                yield f"block {height} holds bytes that are no transaction"
                continue
            digest = self._digest(fields)
            tx_id = fields.created.to_bytes(6, "big") + digest[:26]
            holds = f"block {height} holds {short(tx_id)}"
            for what in self._wrong(fields, digest, time):
                yield f"{holds}, {what}"
            if tx_id in self._placed:
                yield f"blocks {self._placed[tx_id]} and {height} both hold {short(tx_id)}"
            self._placed[tx_id] = height

    def _digest(self, fields: _Fields) -> bytes:
        """H("transaction", genesis hash ‖ sender ‖ nonce ‖ created as 6 bytes ‖ expires as 6 bytes ‖ payload)."""
        times = fields.created.to_bytes(6, "big") + fields.expires.to_bytes(6, "big")
        covered = self._genesis.genesis_hash + fields.sender + fields.nonce + times + fields.payload
        return hashlib.sha256(_TAG + _TAG + covered).digest()

    def _wrong(self, fields: _Fields, digest: bytes, time: int) -> Iterator[str]:
        genesis = self._genesis
        try:
            self._verifier.verify(fields.sender, digest, fields.signature)
        except BadSignature:
            yield "badly signed"
        if time > fields.expires:
            yield f"which had expired {time - fields.expires} ms before"
        if fields.created - time > genesis.max_skew_ms:
            yield f"created {fields.created - time} ms after it, where the genesis allows {genesis.max_skew_ms}"
        lifetime = fields.expires - fields.created
        if lifetime > genesis.max_lifetime_ms:
            yield f"which lives {lifetime} ms, where the genesis allows {genesis.max_lifetime_ms}"
        if len(fields.payload) > genesis.max_payload_bytes:
            yield f"with {len(fields.payload)} bytes, where the genesis allows {genesis.max_payload_bytes}"
        if self._members and fields.sender not in self._members:
            yield "whose sender is no member"


def _fields(encoded: bytes) -> _Fields | None:
    """The six fields, if they have the types, lengths and ranges of docs/formats.md."""
    try:
        values: Sequence[object] = cbor.decode(encoded, _LONGEST)
    except Malformed:
        return None
    match values:
        case [bytes(sender), bytes(nonce), int(created), int(expires), bytes(payload), bytes(signature)]:
            lengths = len(sender), len(nonce), len(signature)
            if lengths == (32, 8, 64) and 0 <= created < expires < 1 << 48:
                return _Fields(sender, nonce, created, expires, payload, signature)
    return None
