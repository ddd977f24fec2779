"""The one door: bytes go in, authentic messages come out.

Behind it every message is canonical, within its bounds, signed by the replica it names, and so is everything inside
it: certificates, view changes, transactions. The protocol's rules about *when* a message counts are elsewhere; this
door needs no state but a memory of transactions it has checked before.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.group import Group
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
    Relay,
    Stable,
    Status,
    ViewChange,
)
from bftledger.pbft.settings import Settings

_MEMORY: Final = 32_768
"""So many transactions are remembered as checked (96 bytes each): more than are in flight and pending at full load."""


class Authenticator:
    """Turns frames from peers and transactions from clients into authentic values. Safe to lose at any time."""

    def __init__(self, group: Group, verifier: Verifier, settings: Settings) -> None:
        self._group = group
        self._verifier = verifier
        self._settings = settings
        self._checked: set[bytes] = set()
        self._checked_before: set[bytes] = set()

    def authenticate(self, frame: bytes, is_wanted: Callable[[Message], bool] = lambda _: True) -> Message | None:
        """The message in `frame`, or None when `is_wanted` says that it can no longer change anything.

        Raises `Malformed`, `BadProof` or `BadSignature`. `is_wanted` sees the message before its signatures are
        checked, so that a vote nobody needs costs no verification; it must not remember it.
        """
        message = wire.decode(frame, self._group.genesis_hash)
        if isinstance(message, PreparedCertificate | CheckpointCertificate):
            raise Malformed("a certificate is not a message")
        if not is_wanted(message):
            return None
        for check in self.checks(message):
            self._verifier.verify(*check)
        for transaction in _transactions(message):
            self._remember(transaction)
        return message

    def authenticate_record(self, frame: bytes) -> wire.Record:
        """What a store kept: the same door for messages and for certificates on their own. Raises likewise."""
        record = wire.decode(frame, self._group.genesis_hash)
        for check in self.checks(record):
            self._verifier.verify(*check)
        return record

    def verify_transaction(self, transaction: Transaction) -> None:
        """Returns if the sender signed a client's transaction. Raises `BadSignature`."""
        for check in self._transaction_checks((transaction,)):
            self._verifier.verify(*check)
        self._remember(transaction)

    def checks(self, record: wire.Record) -> Iterator[Check]:
        """Every signature that must hold for `record` to be authentic. Raises `BadProof` or `Malformed` on the way."""
        match record:
            case PrePrepare():
                yield message_check(record, self._group)
                if record.proposal is not None:
                    if record.proposal.digest != record.digest:
                        raise BadProof("the proposal is not the one that was signed")
                    yield from self._proposal_checks(record.proposal)
            case ViewChange():
                yield from view_change_checks(record, self._group, self._settings.window)
            case NewView():
                yield from new_view_checks(record, self._group, self._settings.window)
            case Relay():
                yield message_check(record, self._group)
                if len(record.transactions) > self._settings.batch_count:
                    raise Malformed(f"a relay of more than {self._settings.batch_count} transactions")
                yield from self._transaction_checks(record.transactions)
            case Proposed():
                yield message_check(record, self._group)
                yield from self._proposal_checks(record.proposal)
            case Stable() | Blocks():
                yield message_check(record, self._group)
                yield from checkpoint_certificate_checks(record.certificate, self._group)
            case Prepare() | Commit() | Checkpoint() | Status() | FetchProposal() | FetchBlocks():
                yield message_check(record, self._group)
            case PreparedCertificate():
                yield from prepared_certificate_checks(record, self._group)
            case CheckpointCertificate():
                yield from checkpoint_certificate_checks(record, self._group)
            case _:
                assert_never(record)

    def _proposal_checks(self, proposal: Proposal) -> Iterator[Check]:
        transactions = proposal.transactions
        if len(transactions) > self._settings.batch_count:
            raise Malformed(f"a proposal of more than {self._settings.batch_count} transactions")
        if len(transactions) > 1 and len(proposal.encoded) > self._settings.batch_bytes + 16 * (1 + len(transactions)):
            raise Malformed(f"a proposal of more than {self._settings.batch_bytes} bytes")
        yield from self._transaction_checks(transactions)

    def _transaction_checks(self, transactions: Sequence[Transaction]) -> Iterator[Check]:
        for transaction in transactions:
            key = transaction.digest + transaction.signature
            if key not in self._checked and key not in self._checked_before:
                yield Check(transaction.sender, transaction.digest, transaction.signature)

    def _remember(self, transaction: Transaction) -> None:
        """Two generations: the older is forgotten when the younger is full."""
        self._checked.add(transaction.digest + transaction.signature)
        if len(self._checked) >= _MEMORY // 2:
            self._checked_before, self._checked = self._checked, set()


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
