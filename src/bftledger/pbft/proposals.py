"""Proposals as bytes, and the digest that a pre-prepare names them by.

A proposal is the CBOR array ⟨time, [transactions…]⟩. It is no part of what its primary signs, so it has an encoding of
its own, and its digest, SHA-256 under the tag "proposal", is over that.
"""

from typing import Final

from bftledger.base import cbor, transaction
from bftledger.base.crypto import tagged_hash
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis
from bftledger.base.transaction import MAX_MILLIS, Transaction
from bftledger.pbft.fields import octets
from bftledger.pbft.messages import Proposal
from bftledger.pbft.settings import MAX_BATCH_BYTES, MAX_BATCH_COUNT

MAX_PROPOSAL_BYTES: Final = MAX_BATCH_BYTES + 16 * (1 + MAX_BATCH_COUNT)
"""No encoded proposal is longer: the transactions, and what holds them together."""


def make_proposal(time: Millis, transactions: tuple[Transaction, ...]) -> Proposal:
    """The proposal of these transactions at `time` (milliseconds since the epoch)."""
    encoded = cbor.encode_known([time, [tx.encoded for tx in transactions]])
    return Proposal(time=time, transactions=transactions, encoded=encoded, digest=proposal_digest(encoded))


def decode_proposal(data: bytes, genesis_hash: Digest) -> Proposal:
    """The proposal whose one encoding is `data`, its transactions' signatures unchecked. Raises `Malformed`.

    A transaction that occurs twice makes it malformed: no correct primary does that.
    """
    match cbor.decode(data, MAX_PROPOSAL_BYTES, max_items=2 + MAX_BATCH_COUNT):
        case [int(time), list(items)] if 0 <= time <= MAX_MILLIS and type(time) is int:
            transactions = tuple([transaction.decode(octets(item), genesis_hash) for item in items])
        case _:
            raise Malformed("a proposal is a time and transactions")
    if len({tx.id for tx in transactions}) != len(transactions):
        raise Malformed("a proposal contains a transaction twice")
    return Proposal(time=Millis(time), transactions=transactions, encoded=data, digest=proposal_digest(data))


def proposal_digest(encoded: bytes | memoryview) -> Digest:
    """The 32 bytes that name a proposal of any encoding, also of one that is not decoded yet."""
    return tagged_hash("proposal", encoded)


NULL_PROPOSAL: Final = make_proposal(Millis(0), ())
"""The null request (§4.4): the same for every group, view and replica."""
