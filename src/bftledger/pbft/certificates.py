"""What a quorum's signatures prove: prepared certificates, checkpoint certificates, view changes (§4.2 to §4.4).

Each function lists the votes' signatures that must hold, as `Check`s, after it has checked everything that needs no
key: distinct signers, enough of them, the same view, sequence number and digest. Whoever verifies the checks may do so
one by one, in threads, or in a batch. The messages themselves, and those inside them, were vouched for before they were
unpacked.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature
from bftledger.base.group import Group
from bftledger.base.ids import Digest, PublicKey, ReplicaId, Seq, Signature, View
from bftledger.pbft import wire
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Record,
    ViewChange,
)
from bftledger.pbft.settings import MAX_WINDOW


class Check(NamedTuple):
    """`signature` (64 bytes) must be `key`'s (32 bytes) over `digest` (32 bytes)."""

    key: PublicKey
    digest: Digest
    signature: Signature


def message_check(message: Message, digest: Digest, group: Group) -> Check:
    """The signature of a message itself, `digest` being what it covers. Raises `BadSignature` if it is no member's."""
    if message.replica >= group.n:
        raise BadSignature(f"replica {message.replica} is not a member of the group")
    return Check(group.keys[message.replica], digest, message.signature)


def _vote_check(vote: Prepare | Checkpoint, group: Group) -> Check:
    return message_check(vote, wire.signing_digest(vote, group.genesis_hash), group)


def checkpoint_certificate_checks(certificate: CheckpointCertificate, group: Group) -> Iterator[Check]:
    """§4.3: a quorum of CHECKPOINTs "with the same sequence number and digest, signed by different replicas".

    Exactly a quorum: with more, the same block would have certificates of different sizes for no gain. Raises
    `BadProof`.
    """
    _require_quorum([replica for replica, _ in certificate.signatures], group, group.quorum)
    for vote in certificate.votes():
        yield _vote_check(vote, group)


def prepared_certificate_checks(certificate: PreparedCertificate, group: Group) -> Iterator[Check]:
    """§4.2: a pre-prepare, and PREPAREs "from different backups that match the pre-prepare". Raises `BadProof`."""
    pre_prepare = certificate.pre_prepare
    if pre_prepare.replica != group.primary(pre_prepare.view):
        raise BadProof("a pre-prepare that is not of its view's primary")
    signers = [replica for replica, _ in certificate.prepares]
    if pre_prepare.replica in signers:
        raise BadProof("a primary does not prepare its own proposal")
    _require_quorum(signers, group, group.quorum - 1)
    for vote in certificate.votes():
        yield _vote_check(vote, group)


def view_change_checks(message: ViewChange, group: Group) -> Iterator[Check]:
    """§4.4: C proves the stable checkpoint n; P holds one prepared certificate per number in (n, n + L]. `BadProof`.

    L is the largest that any replica of such a group may have, not this one's: whoever has less would halt at an
    honest proof. Nor is it more: no VIEW-CHANGE may make the NEW-VIEW that holds it too long for a frame.
    """
    window = largest_window(group.n)
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


def new_view_checks(message: NewView, group: Group) -> Iterator[Check]:
    """§4.4: V is a quorum's view changes for this view. Raises `BadProof`. O is recomputed in `view_change`."""
    if message.replica != group.primary(message.view):
        raise BadProof("a NEW-VIEW that is not of its view's primary")
    _require_quorum([change.replica for change in message.view_changes], group, group.quorum)
    for change in message.view_changes:
        if change.view != message.view:
            raise BadProof("a view change for another view")
        yield from view_change_checks(change, group)
    for pre_prepare in message.pre_prepares:
        if pre_prepare.replica != message.replica or pre_prepare.view != message.view:
            raise BadProof("a pre-prepare of another primary or view in O")


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


@cache
def largest_window(n: int) -> int:
    """The largest L for which every NEW-VIEW of `n` replicas fits a frame: a quorum's proofs for L numbers each, and O.

    From the encodings of the longest of each. With a larger one no view could begin any more, for the transport drops
    what is too long. It depends on n alone, so all agree on it, now and later.
    """
    group = Group(Digest(bytes(32)), tuple(PublicKey(i.to_bytes(32, "big")) for i in range(n)))
    far, last = Seq(MAX_NUMBER), group.replicas[-1]
    votes = tuple((i, wire.UNSIGNED) for i in group.replicas[-group.quorum :])
    stable = CheckpointCertificate(seq=far, block_hash=Digest(bytes(32)), signatures=votes)
    view = View(MAX_NUMBER)
    bare = PrePrepare(view=view, seq=far, digest=Digest(bytes(32)), replica=last, signature=wire.UNSIGNED)
    change = ViewChange(view=view, stable=stable, prepared=(), replica=last, signature=wire.UNSIGNED)
    new_view = NewView(view=view, view_changes=(), pre_prepares=(), replica=last, signature=wire.UNSIGNED)
    per_number = group.quorum * _inside(PreparedCertificate(pre_prepare=bare, prepares=votes[1:])) + _inside(bare)
    always = _inside(new_view) + group.quorum * _inside(change)
    return max(0, min(MAX_WINDOW, (MAX_FRAME_BYTES - always) // per_number))


def _inside(record: Record) -> int:
    """What a record takes at most inside another: its frame, the head before it, and longer heads of arrays in it."""
    return len(wire.encode(record)) + 8


def _require_quorum(signers: list[ReplicaId], group: Group, size: int) -> None:
    if len(signers) != size or any(later <= earlier for earlier, later in pairwise(signers)):
        raise BadProof(f"not the signatures of {size} distinct replicas in ascending order")
    if signers[-1] >= group.n:
        raise BadProof(f"replica {signers[-1]} is not a member of the group")
