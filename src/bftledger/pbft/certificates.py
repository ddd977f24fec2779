"""What a quorum's signatures prove: prepared certificates, checkpoint certificates, view changes (§4.2 to §4.4).

Each function lists the signatures that must hold, as `Check`s, after it has checked everything that needs no key:
distinct signers, enough of them, the same view, sequence number and digest. Whoever verifies the checks may do so one
by one, in threads, or in a batch.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature
from bftledger.base.group import Group
from bftledger.base.ids import Digest, PublicKey, ReplicaId, Seq, Signature
from bftledger.pbft import wire
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    ViewChange,
)


class Check(NamedTuple):
    """`signature` (64 bytes) must be `key`'s (32 bytes) over `digest` (32 bytes)."""

    key: PublicKey
    digest: Digest
    signature: Signature


def message_check(message: Message, group: Group) -> Check:
    """The signature of the message itself. Raises `BadSignature` if its sender is no member."""
    if message.replica >= group.n:
        raise BadSignature(f"replica {message.replica} is not a member of the group")
    return Check(group.keys[message.replica], wire.signing_digest(message, group.genesis_hash), message.signature)


def checkpoint_certificate_checks(certificate: CheckpointCertificate, group: Group) -> Iterator[Check]:
    """§4.3: a quorum of CHECKPOINTs "with the same sequence number and digest, signed by different replicas".

    Exactly a quorum: with more, the same block would have certificates of different sizes for no gain. Raises
    `BadProof`.
    """
    _require_quorum([replica for replica, _ in certificate.signatures], group, group.quorum)
    for replica, signature in certificate.signatures:
        vote = Checkpoint(seq=certificate.seq, block_hash=certificate.block_hash, replica=replica, signature=signature)
        yield message_check(vote, group)


def prepared_certificate_checks(certificate: PreparedCertificate, group: Group) -> Iterator[Check]:
    """§4.2: a pre-prepare, and PREPAREs "from different backups that match the pre-prepare". Raises `BadProof`."""
    pre_prepare = certificate.pre_prepare
    if pre_prepare.replica != group.primary(pre_prepare.view):
        raise BadProof("a pre-prepare that is not of its view's primary")
    signers = [replica for replica, _ in certificate.prepares]
    if pre_prepare.replica in signers:
        raise BadProof("a primary does not prepare its own proposal")
    _require_quorum(signers, group, group.quorum - 1)
    yield message_check(pre_prepare, group)
    for replica, signature in certificate.prepares:
        vote = Prepare(
            view=pre_prepare.view,
            seq=pre_prepare.seq,
            digest=pre_prepare.digest,
            replica=replica,
            signature=signature,
        )
        yield message_check(vote, group)


def view_change_checks(message: ViewChange, group: Group, window: int) -> Iterator[Check]:
    """§4.4: C proves the stable checkpoint n; P holds one prepared certificate per number in (n, n + L]. `BadProof`."""
    yield message_check(message, group)
    if message.stable is not None:
        yield from checkpoint_certificate_checks(message.stable, group)
    previous = message.stable_seq
    for certificate in message.prepared:
        pre_prepare = certificate.pre_prepare
        if not previous < pre_prepare.seq <= message.stable_seq + window:
            raise BadProof("prepared certificates are not in ascending order between the watermarks")
        if pre_prepare.view >= message.view:
            raise BadProof("a prepared certificate of the new view itself, or a later one")
        previous = pre_prepare.seq
        yield from prepared_certificate_checks(certificate, group)


def new_view_checks(message: NewView, group: Group, window: int) -> Iterator[Check]:
    """§4.4: V is a quorum's view changes for this view. Raises `BadProof`. O is recomputed in `view_change`."""
    yield message_check(message, group)
    if message.replica != group.primary(message.view):
        raise BadProof("a NEW-VIEW that is not of its view's primary")
    _require_quorum([change.replica for change in message.view_changes], group, group.quorum)
    for change in message.view_changes:
        if change.view != message.view:
            raise BadProof("a view change for another view")
        yield from view_change_checks(change, group, window)
    if len(message.pre_prepares) > window:
        raise BadProof("more pre-prepares in O than between the watermarks")
    for pre_prepare in message.pre_prepares:
        if pre_prepare.replica != message.replica or pre_prepare.view != message.view:
            raise BadProof("a pre-prepare of another primary or view in O")
        yield message_check(pre_prepare, group)


def verify_checkpoint_certificate(certificate: CheckpointCertificate, group: Group, verifier: Verifier) -> None:
    """Returns if a quorum of `group` signed the certificate's block; raises `BadProof` or `BadSignature`."""
    for check in checkpoint_certificate_checks(certificate, group):
        verifier.verify(*check)


def make_checkpoint_certificate(votes: dict[ReplicaId, Checkpoint], group: Group) -> CheckpointCertificate:
    """The certificate that the first quorum of these matching votes, by replica id, makes."""
    signers = sorted(votes)[: group.quorum]
    vote = votes[signers[0]]
    return CheckpointCertificate(
        seq=Seq(vote.seq),
        block_hash=vote.block_hash,
        signatures=tuple((replica, votes[replica].signature) for replica in signers),
    )


def _require_quorum(signers: list[ReplicaId], group: Group, size: int) -> None:
    if len(signers) != size or any(later <= earlier for earlier, later in pairwise(signers)):
        raise BadProof(f"not the signatures of {size} distinct replicas in ascending order")
    if signers[-1] >= group.n:
        raise BadProof(f"replica {signers[-1]} is not a member of the group")
