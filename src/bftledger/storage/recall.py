"""What a replica reads back when it starts, and refuses to go on with if it is not what it wrote.

Everything goes through the same door as messages from peers: a store is believed no more than they are. This is what
a replica relies on before its first vote; `audit` checks everything.
"""

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed, StoreError
from bftledger.base.group import Group
from bftledger.base.ids import ReplicaId, Seq
from bftledger.ledger.block import Header
from bftledger.ledger.history import History
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.evidence import Evidence, verify_evidence
from bftledger.pbft.messages import CheckpointCertificate, Commit, Testimony
from bftledger.pbft.recovery import Recent
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


def recall_evidence(store: Store, group: Group, verifier: Verifier) -> list[Evidence]:
    """All evidence of the store, which convicts. Raises `StoreError` for the first piece that does not."""
    found = []
    for replica, rule, proof in store.evidence():
        try:
            found.append(proven(replica, rule, proof, group, verifier))
        except (BadProof, BadSignature, Malformed) as error:
            raise StoreError(f"{store.name}: evidence, replica {replica}, {rule}: {error}; restore the store") from None
    return found


def proven(replica: ReplicaId, rule: str, proof: bytes, group: Group, verifier: Verifier) -> Evidence:
    """The evidence in `proof`, by that rule against that replica. Raises `Malformed`, `BadProof` or `BadSignature`."""
    evidence = verify_evidence(proof, group, verifier)
    if (evidence.replica, evidence.rule.value) != (replica, rule):
        raise BadProof(f"is against replica {evidence.replica} by {evidence.rule.value}")
    return evidence


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


def recall_recent(store: Store, authenticator: Authenticator, count: int) -> list[Recent]:
    """The newest blocks, at most `count`, from the lowest on: what others' signatures are compared with.

    Raises `StoreError` for the first whose certificate, or the COMMITs that decided it, are not authentic. Certificates
    of other blocks than are stored are returned as they are: that is for the audit, and for evidence.
    """
    found = []
    for height in range(max(store.height() - count, 0) + 1, store.height() + 1):
        block_hash, certificate = store.block_hash(Seq(height)), store.certificate(Seq(height))
        assert block_hash is not None, "blocks have no gaps"
        if certificate is not None:
            try:
                authenticator.authenticate_record(wire.encode(certificate))
            except (BadProof, BadSignature, Malformed) as error:
                raise StoreError(f"{store.name}: certificates, height {height}: {error}") from None
        frame = store.decision(Seq(height))
        try:
            commits = None if frame is None else authentic_decision(Seq(height), frame, authenticator)
        except (BadProof, BadSignature, Malformed) as error:
            raise StoreError(f"{store.name}: decisions, height {height}: {error}") from None
        found.append(Recent(Seq(height), block_hash, certificate, commits))
    return found


def authentic_decision(height: Seq, frame: bytes, authenticator: Authenticator) -> Testimony:
    """The COMMITs for that height in `frame`. Raises `Malformed`, `BadProof` or `BadSignature`."""
    found = authenticator.authenticate_record(frame)
    if not isinstance(found, Testimony):
        raise Malformed("is not a TESTIMONY")
    if any(not isinstance(vote, Commit) or vote.seq != height for vote in found.messages):
        raise Malformed("is not made of COMMITs for that height")
    return found


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
