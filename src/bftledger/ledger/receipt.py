"""Receipts: one file that proves, to whoever holds the genesis, what became of a transaction. No replica is asked.

It holds the transaction, its result, the path of each to the block's header, and a quorum's signatures over that
header. Where the replica has no certificate of that very block, a path in the history tree leads from the block to a
later header that is certified. Every byte is bound by a signature or a hash: a changed receipt is no receipt.
"""

from dataclasses import dataclass
from typing import Final

from bftledger.apps.machine import Result
from bftledger.base import cbor
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.genesis import MAX_REPLICAS, Genesis
from bftledger.base.ids import Digest
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.ledger.block import MAX_TRANSACTIONS, Header
from bftledger.ledger.chain import verify_certified
from bftledger.ledger.merkle import MAX_PATH_BYTES, leaf_hash, verify_inclusion
from bftledger.pbft import wire
from bftledger.pbft.certificates import verify_checkpoint_certificate
from bftledger.pbft.messages import CheckpointCertificate

FORMAT: Final = 1
MAX_RECEIPT_BYTES: Final = 512 * 1024
MAX_CERTIFICATE_BYTES: Final = 64 + 80 * MAX_REPLICAS


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """`transaction` is the `index`-th of the block of `header` and came to `result` there.

    The paths are inclusion paths (`merkle`). `certificate` is about `later` if there is one, and else about `header`;
    `history_path` then leads from the block to `later.history_root`, and else is empty.
    """

    transaction: Transaction
    result: Result
    index: int
    transaction_path: bytes
    result_path: bytes
    header: Header
    later: Header | None = None
    history_path: bytes = b""
    certificate: CheckpointCertificate

    def encode(self) -> bytes:
        """CBOR array of the format's number and the fields in their order."""
        return cbor.encode_known(
            [
                FORMAT,
                self.transaction.encoded,
                self.result.encode(),
                self.index,
                self.transaction_path,
                self.result_path,
                self.header.encoded,
                self.later.encoded if self.later else None,
                self.history_path,
                wire.encode(self.certificate),
            ]
        )

    @classmethod
    def decode(cls, data: bytes, genesis_hash: Digest) -> "Receipt":
        """The receipt whose one encoding is `data`; nothing is proven yet. Raises `Malformed`."""
        fields = cbor.decode(data, MAX_RECEIPT_BYTES)
        if type(fields) is not list or len(fields) != 10 or type(fields[0]) is not int:
            raise Malformed("a receipt has ten fields")
        if fields[0] != FORMAT:
            raise Malformed(f"a receipt of format {fields[0]}, not {FORMAT}")
        _, transaction, result, index, transaction_path, result_path, header, later, history_path, certificate = fields
        if type(index) is not int or not 0 <= index < MAX_TRANSACTIONS:
            raise Malformed("a receipt's place in the block is out of its range")
        for path in (transaction_path, result_path, history_path):
            if type(path) is not bytes or len(path) > MAX_PATH_BYTES:
                raise Malformed("a receipt's path is not a byte string of at most 64 hashes")
        if any(type(part) is not bytes for part in (transaction, result, header, certificate)):
            raise Malformed("a receipt's parts are byte strings")
        if later is not None and type(later) is not bytes:
            raise Malformed("a receipt's later header is a byte string or null")
        return cls(
            transaction=decode_transaction(transaction, genesis_hash),
            result=Result.decode(result),
            index=index,
            transaction_path=transaction_path,
            result_path=result_path,
            header=Header.decode(header),
            later=None if later is None else Header.decode(later),
            history_path=history_path,
            certificate=decode_certificate(certificate),
        )


def verify_receipt(data: bytes, genesis: Genesis, verifier: Verifier) -> Receipt:
    """The receipt in `data`, if it is proven by a quorum of the replicas in `genesis`.

    Raises `Malformed`, `BadSignature` or `BadProof`; then it proves nothing.
    """
    receipt = Receipt.decode(data, genesis.genesis_hash)
    verify_contents(receipt, genesis)
    receipt.transaction.verify(verifier)
    verify_checkpoint_certificate(receipt.certificate, genesis.group, verifier)
    return receipt


def verify_contents(receipt: Receipt, genesis: Genesis) -> None:
    """All that needs no signature: group, paths, and what the certificate is about. Raises `BadProof`.

    For whoever has verified the certificate once and holds many receipts of the same block.
    """
    header = receipt.header
    _verify_group(header, genesis)
    place = (header.count, receipt.index)
    transaction_leaf = leaf_hash(receipt.transaction.encoded)
    verify_inclusion(header.transactions_root, *place, transaction_leaf, receipt.transaction_path)
    verify_inclusion(header.results_root, *place, leaf_hash(receipt.result.encode()), receipt.result_path)
    later = receipt.later
    if later is None:
        if receipt.history_path:
            raise BadProof("a path in the history leads to no header")
        verify_certified(header, receipt.certificate)
        return
    _verify_group(later, genesis)
    verify_inclusion(later.history_root, later.height, header.height, leaf_hash(header.hash), receipt.history_path)
    verify_certified(later, receipt.certificate)


def verify_header(header: Header, certificate: CheckpointCertificate, genesis: Genesis, verifier: Verifier) -> None:
    """Returns if a quorum of the group certified this header. Raises `BadProof` or `BadSignature`.

    The genesis block has no certificate and needs none: compare it with one's own.
    """
    _verify_group(header, genesis)
    verify_certified(header, certificate)
    verify_checkpoint_certificate(certificate, genesis.group, verifier)


def decode_certificate(data: bytes) -> CheckpointCertificate:
    """The certificate whose one encoding is `data`, its signatures unchecked. Raises `Malformed`."""
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise Malformed(f"a certificate has at most {MAX_CERTIFICATE_BYTES} bytes")
    certificate = wire.decode(data, _NO_GROUP)
    if not isinstance(certificate, CheckpointCertificate):
        raise Malformed("a certificate of a block was expected")
    return certificate


_NO_GROUP: Final = Digest(bytes(32))
"""A certificate holds no transactions, whose digests would need the group's hash."""


def _verify_group(header: Header, genesis: Genesis) -> None:
    if header.genesis_hash != genesis.genesis_hash or header.group_digest != genesis.group_digest:
        raise BadProof("it is of another group than this genesis")
