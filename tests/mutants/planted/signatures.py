"""Bugs in what is believed: the door, its signatures, and the certificates behind it (OSDI'99 §4.2 to §4.4)."""

from collections.abc import Callable, Iterator, Sequence

from bftledger.base import cbor
from bftledger.base.crypto import tagged_hash
from bftledger.base.errors import BadProof
from bftledger.base.group import Group
from bftledger.base.ids import Digest, ReplicaId
from bftledger.base.transaction import Transaction
from bftledger.pbft import authenticate, certificates, fields, transfer, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.certificates import Check
from bftledger.pbft.effects import Ignored
from bftledger.pbft.frames import Sealed
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposed,
)
from bftledger.pbft.state import State
from tests.mutants.mutant import Patch, breaks

_vouch = Authenticator._vouch
_digest_of_frame = Sealed.signing_digest
_digest_of_message = wire.signing_digest
_prepared_checks = certificates.prepared_certificate_checks


@breaks(
    "§4.2",
    "a COMMIT is signed by the replica that it names",
    Authenticator,
    "_vouch",
    traitor="slander",
)
def commit_unsigned(door: Authenticator, message: Message, digest: Callable[[], Digest]) -> None:
    """A COMMIT is taken for that of the replica that it names, whatever its signature."""
    if not isinstance(message, Commit):
        _vouch(door, message, digest)


@breaks("§4.3", "a CHECKPOINT is signed by its sender", Authenticator, "_vouch", traitor="bad-signature")
def checkpoint_unsigned(door: Authenticator, message: Message, digest: Callable[[], Digest]) -> None:
    """The signature of a CHECKPOINT is not checked when it comes; certificates are made of what came."""
    if not isinstance(message, Checkpoint):
        _vouch(door, message, digest)


@breaks("§4.2", "clients sign their requests", Authenticator, "_verify_transactions")
def transaction_unsigned(door: Authenticator, transactions: Sequence[Transaction]) -> None:
    """The transactions of a proposal are taken for their senders'."""


@breaks("§4.2", "a pre-prepare's digest is that of its proposal", Sealed, "check_proposal", traitor="malformed")
def proposal_unchecked(sealed: Sealed) -> None:
    """Whatever proposal comes with a pre-prepare is taken for the one that was signed."""


@breaks(
    "§4.4",
    "a fetched proposal has the digest that was asked for",
    transfer,
    "proposed_refusal",
    traitor="wrong-proposals",
    staged=True,
)
def fetched_proposal_unchecked(state: State, message: Proposed) -> Ignored | None:
    """The first answer is taken."""
    slot = state.slots.get(message.seq)
    return None if slot and slot.announced else Ignored.NOT_ASKED


# ── what a signature covers ──


def _covered(message: Message, genesis_hash: Digest, left_out: str) -> Digest:
    names = [name for name in ("view", "seq", "digest", "replica") if name != left_out]
    tag = f"message/{type(message).__name__}"
    return tagged_hash(tag, genesis_hash, cbor.encode([getattr(message, name) for name in names]))


_VOTES = PrePrepare | Prepare | Commit


def _sealed_without_view(sealed: Sealed) -> Digest:
    if isinstance(sealed.outline, _VOTES):
        return _covered(sealed.outline, sealed._genesis_hash, "view")
    return _digest_of_frame(sealed)


@breaks(
    "§4.2",
    "a signature covers the view",
    wire,
    "signing_digest",
    also=(Patch(Sealed, "signing_digest", _sealed_without_view),),
    traitor="slander",
)
def view_not_signed(message: Message, genesis_hash: Digest) -> Digest:
    """Votes are signed without their view, so those of one view pass for those of another."""
    if isinstance(message, _VOTES):
        return _covered(message, genesis_hash, "view")
    return _digest_of_message(message, genesis_hash)


def _sealed_without_seq(sealed: Sealed) -> Digest:
    if isinstance(sealed.outline, _VOTES):
        return _covered(sealed.outline, sealed._genesis_hash, "seq")
    return _digest_of_frame(sealed)


@breaks(
    "§4.2",
    "a signature covers the sequence number",
    wire,
    "signing_digest",
    also=(Patch(Sealed, "signing_digest", _sealed_without_seq),),
    traitor="slander",
)
def number_not_signed(message: Message, genesis_hash: Digest) -> Digest:
    """Votes are signed without their sequence number, so those for one pass for those for another."""
    if isinstance(message, _VOTES):
        return _covered(message, genesis_hash, "seq")
    return _digest_of_message(message, genesis_hash)


def _alike(message: Message) -> Message:
    if isinstance(message, Commit):
        return Prepare(
            view=message.view,
            seq=message.seq,
            digest=message.digest,
            replica=message.replica,
            signature=message.signature,
        )
    return message


def _sealed_alike(sealed: Sealed) -> Digest:
    if isinstance(sealed.outline, Commit):
        return _digest_of_message(_alike(sealed.outline), sealed._genesis_hash)
    return _digest_of_frame(sealed)


@breaks(
    "§4.2",
    "PREPARE and COMMIT are different promises",
    wire,
    "signing_digest",
    also=(Patch(Sealed, "signing_digest", _sealed_alike),),
    traitor="slander",
)
def prepare_and_commit_signed_alike(message: Message, genesis_hash: Digest) -> Digest:
    """One signature is good for both."""
    return _digest_of_message(_alike(message), genesis_hash)


# ── certificates ──


def _any_order(signers: list[int]) -> None:
    pass


@breaks(
    "§4.2",
    "the signers of a certificate are distinct",
    certificates,
    "_require_quorum",
    also=(Patch(fields, "_require_ascending", _any_order),),
    traitor="pad-certificates",
)
def duplicate_signers_counted(signers: list[ReplicaId], group: Group, size: int) -> None:
    """One replica may sign a certificate as often as it takes."""
    if len(signers) != size:
        raise BadProof("too many or too few signatures")
    if max(signers) >= group.n:
        raise BadProof("the signature of a stranger")


@breaks(
    "§4.4",
    "P holds prepared certificates, signed by who they name",
    certificates,
    "prepared_certificate_checks",
    traitor="forge-certificates",
    staged=True,
)
def prepared_certificate_unsigned(certificate: PreparedCertificate, group: Group) -> Iterator[Check]:
    """A VIEW-CHANGE's prepared certificates must look right, and that is all."""
    list(_prepared_checks(certificate, group))
    return iter(())


def _looks_right(certificate: CheckpointCertificate, group: Group) -> Iterator[Check]:
    certificates._require_quorum([replica for replica, _ in certificate.signatures], group, group.quorum)
    return iter(())


@breaks(
    "§4.3",
    "a stable checkpoint is proven by signatures",
    certificates,
    "checkpoint_certificate_checks",
    also=(Patch(authenticate, "checkpoint_certificate_checks", _looks_right),),
)
def checkpoint_certificate_unsigned(certificate: CheckpointCertificate, group: Group) -> Iterator[Check]:
    """The certificate of a block must look right, and that is all."""
    return _looks_right(certificate, group)


@breaks(
    "§4.4",
    "V is 2f+1 view changes for the new view",
    authenticate,
    "new_view_checks",
    traitor="wrong-new-view",
    staged=True,
)
def new_view_without_quorum(message: NewView, group: Group) -> Iterator[Check]:
    """A NEW-VIEW may rest on fewer view changes, and on those for other views."""
    if message.replica != group.primary(message.view):
        raise BadProof("a NEW-VIEW that is not of its view's primary")
    for change in message.view_changes:
        yield from certificates.view_change_checks(change, group)


@breaks(
    "§4.4", "a NEW-VIEW is its view's primary's", authenticate, "new_view_checks", traitor="early-new-view", staged=True
)
def anyone_begins_views(message: NewView, group: Group) -> Iterator[Check]:
    """Whoever has 2f+1 view changes may send it."""
    certificates._require_quorum([change.replica for change in message.view_changes], group, group.quorum)
    for change in message.view_changes:
        yield from certificates.view_change_checks(change, group)
