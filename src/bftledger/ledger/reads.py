"""Certified reads: what one replica says about the state, believed only with proof.

The proof holds a certified header, and a proof under its state root for the key that the client itself derived from
its question. It shows what the state was after that block; how new that block is, the client decides by the height it
asks for.
"""

from bftledger.apps.map_proof import verify_map_proof
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Seq
from bftledger.ledger.block import Header
from bftledger.ledger.client_messages import HeightReply, QueryReply
from bftledger.ledger.receipt import verify_header


def verify_read(reply: QueryReply, key: bytes, minimum: Seq, genesis: Genesis, verifier: Verifier) -> Header:
    """The certified header under which the reply's value is what `key` holds, at height `minimum` or above.

    Raises `BadProof` or `BadSignature`.
    """
    proof = reply.proof
    if proof is None:
        raise BadProof("the answer comes without a proof")
    if reply.height != proof.header.height or reply.height < minimum:
        raise BadProof(f"the answer is about block {proof.header.height}, not {minimum} or later")
    verify_map_proof(proof.header.state_root, key, reply.value, proof.map_proof)
    verify_header(proof.header, proof.certificate, genesis, verifier)
    return proof.header


def verify_height(reply: HeightReply, minimum: Seq, genesis: Genesis, verifier: Verifier) -> Header:
    """The reply's header, if it is certified and at `minimum` or above. Raises `BadProof` or `BadSignature`."""
    if reply.header.height < minimum:
        raise BadProof(f"block {reply.header.height} is below {minimum}")
    verify_header(reply.header, reply.certificate, genesis, verifier)
    return reply.header
