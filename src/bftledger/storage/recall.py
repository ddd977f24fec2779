"""What a replica reads back when it starts, and refuses to go on with if it is not what it wrote.

Everything goes through the same door as messages from peers: a store is believed no more than they are. This is what
a replica relies on before its first vote; `audit` checks everything.
"""

from bftledger.base.errors import BadProof, BadSignature, Malformed, StoreError
from bftledger.ledger.block import Header
from bftledger.ledger.history import History
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.messages import CheckpointCertificate
from bftledger.storage.store import Slot, Store, Vote, slot_of


def recall_votes(store: Store, authenticator: Authenticator) -> list[Vote]:
    """All votes of the store, authentic and in their slots, in the order of `Store.votes`.

    Raises `StoreError` with the file, the slot and what is wrong, for the first that is not.
    """
    return [_recall_vote(slot, frame, store.name, authenticator) for slot, frame in store.votes()]


def _recall_vote(slot: Slot, frame: bytes, name: str, authenticator: Authenticator) -> Vote:
    try:
        return authentic_vote(slot, frame, authenticator)
    except (BadProof, BadSignature, Malformed) as error:
        raise StoreError(f"{name}: votes, {slot}: {error}; restore the store, do not vote on it") from None


def authentic_vote(slot: Slot, frame: bytes, authenticator: Authenticator) -> Vote:
    """The vote in `frame`, which fills `slot`. Raises `Malformed`, `BadProof` or `BadSignature`."""
    vote = authenticator.authenticate_record(frame)
    if not isinstance(vote, Vote):
        raise Malformed("is not a vote")
    if slot_of(vote) != slot:
        raise Malformed(f"is the vote for {slot_of(vote)}")
    return vote


def recall_certificate(store: Store, authenticator: Authenticator) -> CheckpointCertificate | None:
    """The newest certificate, authentic, and of the block that the store holds at its height, if it does.

    Raises `StoreError`.
    """
    certificate = store.newest_certificate()
    if certificate is None:
        return None
    where = f"{store.name}: certificates, height {certificate.seq}"
    try:
        authenticator.authenticate_record(wire.encode(certificate))
    except (BadProof, BadSignature, Malformed) as error:
        raise StoreError(f"{where}: {error}") from None
    block_hash = store.block_hash(certificate.seq)
    if block_hash is not None and block_hash != certificate.block_hash:
        raise StoreError(f"{where}: certifies another block than the one in blocks")
    return certificate


def recall_history(store: Store, tip: Header) -> History:
    """The history up to `tip`, the newest block's header: what the next block's history root will be made of.

    Raises `StoreError` unless the nodes at its right edge are what the tip says of the blocks before it, and what
    follows from its own hash.
    """
    history = History.load(tip.height, store.history_node)
    if history.root() != tip.history_root:
        raise StoreError(f"{store.name}: history: is not the one before block {tip.height}; restore the store")
    for level, position, node in history.append(tip.hash):
        if store.history_node(level, position) != node:
            where = f"history, level {level}, position {position}"
            raise StoreError(f"{store.name}: {where}: is not what the blocks give; restore the store")
    return history
