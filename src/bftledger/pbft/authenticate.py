"""The one door: bytes go in, authentic messages come out.

Behind it every message is canonical, within its bounds, signed by the replica it names, and so is everything inside
it: certificates, view changes, transactions. The protocol's rules about *when* a message counts are elsewhere; this
door needs no state but a memory of what it has checked before, and no settings: what is authentic is so for every
replica of the group. A message's own signature comes first. What it holds is decoded after that.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never

from bftledger.base.crypto import Verifier
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Signature
from bftledger.base.transaction import Transaction
from bftledger.pbft import wire
from bftledger.pbft.certificates import (
    Check,
    checkpoint_certificate_checks,
    message_check,
    new_view_checks,
    prepared_certificate_checks,
    view_change_checks,
)
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    FetchBlocks,
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Proposed,
    Record,
    Relay,
    Stable,
    Status,
    Testimony,
    ViewChange,
)

_MEMORY: Final = 32_768
"""So many transactions are remembered as checked (96 bytes each): more than are in flight and pending at full load."""

_VOTES_MEMORY: Final = 32_768
"""So many signatures of replicas are remembered as good (128 bytes each): votes come again in certificates, and these
in each VIEW-CHANGE and NEW-VIEW."""

_SINGLE: Final = (Prepare, Commit, Checkpoint)
"""The votes that hold nothing but their own signature: most of all messages."""


class Authenticator:
    """Turns frames from peers and transactions from clients into authentic values. Safe to lose at any time."""

    def __init__(self, group: Group, verifier: Verifier) -> None:
        self._group = group
        self._verifier = verifier
        self._checked: dict[Digest, Signature] = {}
        self._checked_before: dict[Digest, Signature] = {}
        """Of transactions: which signature was good, by what was signed."""
        self._good: set[bytes] = set()
        self._good_before: set[bytes] = set()

    def authenticate(self, frame: bytes, is_wanted: Callable[[Message], bool] = lambda _: True) -> Message | None:
        """The message in `frame`, or None when `is_wanted` says that it can no longer change anything.

        Raises `Malformed`, `BadProof` or `BadSignature`. `is_wanted` sees the message before its signature is checked,
        so that a vote nobody needs costs no verification; it must not remember it. What it sees is the outline
        (`frames.Sealed`): nothing long is decoded before whoever sent it has been found to be its author.
        """
        sealed = wire.open_frame(frame, self._group.genesis_hash)
        if not is_wanted(sealed.outline):
            return None
        self._vouch(sealed.outline, sealed.signing_digest)
        if isinstance(sealed.outline, _SINGLE):
            return sealed.outline
        sealed.check_proposal()
        message = sealed.unpack(self._vouch)
        for check in self._checks(message):
            self._verify(check)
        self._verify_transactions(_transactions(message))
        return message

    def authenticate_record(self, frame: bytes) -> Record:
        """What a store kept: the same door for messages and for certificates on their own. Raises likewise."""
        if not wire.is_certificate(frame):
            message = self.authenticate(frame)
            assert message is not None, "what is kept is wanted"
            return message
        certificate = wire.decode_certificate(frame, self._group.genesis_hash, self._vouch)
        for check in self._checks(certificate):
            self._verify(check)
        return certificate

    def verify_transaction(self, transaction: Transaction) -> None:
        """Returns if the sender signed a client's transaction. Raises `BadSignature`."""
        self._verify_transactions((transaction,))

    def _vouch(self, message: Message, digest: Callable[[], Digest]) -> None:
        """A message's own signature. Raises `BadSignature`."""
        self._verify(message_check(message, digest(), self._group))

    def _verify(self, check: Check) -> None:
        """Returns if the signature is good. Raises `BadSignature`. What was good is so for ever."""
        known = b"".join(check)
        if known in self._good or known in self._good_before:
            return
        self._verifier.verify(*check)
        self._good.add(known)
        if len(self._good) >= _VOTES_MEMORY // 2:
            self._good_before, self._good = self._good, set()

    def _checks(self, record: Record) -> Iterator[Check]:
        """Every other signature of a replica that must hold for `record` to be authentic. Raises `BadProof` too."""
        match record:
            case PrePrepare() | Prepare() | Commit() | Checkpoint() | Status() | FetchProposal() | FetchBlocks():
                pass
            case Relay() | Proposed():
                pass
            case ViewChange():
                yield from view_change_checks(record, self._group)
            case NewView():
                yield from new_view_checks(record, self._group)
            case Stable() | Blocks():
                yield from checkpoint_certificate_checks(record.certificate, self._group)
            case Testimony():
                for testified in record.messages:
                    yield from self._checks(testified)
            case PreparedCertificate():
                yield from prepared_certificate_checks(record, self._group)
            case CheckpointCertificate():
                yield from checkpoint_certificate_checks(record, self._group)
            case _:
                assert_never(record)

    def _verify_transactions(self, transactions: Sequence[Transaction]) -> None:
        """Returns if the senders signed them. Raises `BadSignature`. Two generations are remembered: the older is
        forgotten when the younger is full."""
        for transaction in transactions:
            digest, signature = transaction.digest, transaction.signature
            if self._checked.get(digest) == signature or self._checked_before.get(digest) == signature:
                continue
            self._verifier.verify(transaction.sender, digest, signature)
            self._checked[digest] = signature
            if len(self._checked) >= _MEMORY // 2:
                self._checked_before, self._checked = self._checked, {}


def _transactions(message: Message) -> Sequence[Transaction]:
    match message:
        case Relay():
            return message.transactions
        case (
            PrePrepare(proposal=Proposal(transactions=transactions))
            | Proposed(proposal=Proposal(transactions=transactions))
        ):
            return transactions
        case _:
            return ()
