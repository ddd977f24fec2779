"""What a client believes of one replica's reply: only what it proves.

Every function returns what is proven or raises `Malformed`, `BadSignature` or `BadProof`. The many replies about one
block carry the same quorum of signatures, which is verified once.
"""

from collections import OrderedDict
from functools import cached_property
from itertools import pairwise
from typing import Final

from bftledger.apps.machine import Result, StateMachine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger.block import Block, Header
from bftledger.ledger.chain import verify_link
from bftledger.ledger.client_messages import BlockReply, BlocksReply, CommittedItem, HeightReply, QueryReply
from bftledger.ledger.executor import execute_genesis
from bftledger.ledger.history import History
from bftledger.ledger.merkle import leaf_hash, verify_inclusion
from bftledger.ledger.reads import verify_height, verify_read
from bftledger.ledger.receipt import Receipt, verify_header, verify_receipt
from bftledger.pbft.messages import CheckpointCertificate

_REMEMBERED: Final = 4_096


class RememberingVerifier:
    """A verifier that checks the same signature once; it remembers the last few thousand good ones.

    Threads may share one: a good signature is good for all, and one that two check at the same time is checked twice.
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._good: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """As the verifier beneath it: raises `BadSignature`."""
        triple = (public_key, message, signature)
        if triple in self._good:
            return
        self._verifier.verify(public_key, message, signature)
        self._good[triple] = None
        if len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)


class Proofs:
    """Judges replies by the genesis alone. The genesis block is made here, not believed: it has no certificate."""

    def __init__(self, genesis: Genesis, machine: StateMachine, verifier: Verifier) -> None:
        self.genesis = genesis
        self._machine = machine
        self._verifier = verifier if isinstance(verifier, RememberingVerifier) else RememberingVerifier(verifier)

    @cached_property
    def genesis_block(self) -> Block:
        """Block 0, which every member makes for itself."""
        return self._at_genesis[0]

    @cached_property
    def _at_genesis(self) -> tuple[Block, AuthenticatedMap]:
        state = AuthenticatedMap()
        return execute_genesis(self.genesis, self._machine, state, History.empty()).block, state

    def header(self, header: Header, certificate: CheckpointCertificate | None) -> Header:
        """The header, if a quorum certified it or it is the genesis block's."""
        if header.height == 0:
            if header != self.genesis_block.header:
                raise BadProof("it is not the genesis block of this group")
        elif certificate is None:
            raise BadProof(f"block {header.height} comes without a certificate")
        else:
            verify_header(header, certificate, self.genesis, self._verifier)
        return header

    def committed(
        self, header: Header, certificate: CheckpointCertificate, item: CommittedItem, transaction: Transaction
    ) -> Receipt:
        """The receipt that an item of `Committed` makes; its header and certificate have passed `header`."""
        place = (header.count, item.position)
        leaf = leaf_hash(transaction.encoded)
        verify_inclusion(header.transactions_root, *place, leaf, item.transaction_path)
        verify_inclusion(header.results_root, *place, leaf_hash(item.result), item.result_path)
        return Receipt(
            transaction=transaction,
            result=Result.decode(item.result),
            index=item.position,
            transaction_path=item.transaction_path,
            result_path=item.result_path,
            header=header,
            certificate=certificate,
        )

    def receipt(self, data: bytes, tx_id: TxId) -> Receipt:
        """The receipt in `data`, if it holds and is about this transaction."""
        receipt = verify_receipt(data, self.genesis, self._verifier)
        if receipt.transaction.id != tx_id:
            raise BadProof("the receipt is another transaction's")
        return receipt

    def read(self, reply: QueryReply, key: bytes, minimum: Seq) -> QueryReply:
        """The reply, if it proves what `key` held at a certified height of at least `minimum`."""
        if reply.height > 0 or minimum > 0:
            verify_read(reply, key, minimum, self.genesis, self._verifier)
        elif reply.value != self._at_genesis[1].get(key):
            raise BadProof("the state of the genesis block is another one")
        return reply

    def height(self, reply: HeightReply | BlockReply, minimum: Seq) -> Header:
        """The reply's header, if it is certified and at `minimum` or above; of the genesis block, the block comes."""
        if isinstance(reply, HeightReply):
            return verify_height(reply, minimum, self.genesis, self._verifier)
        if minimum > 0 or reply.block != self.genesis_block.encoded:
            raise BadProof("it is not the genesis block of this group, or another one was asked for")
        return self.genesis_block.header

    def block(self, reply: BlockReply, height: Seq) -> Block:
        """The block of `height`, if it is certified."""
        block = _block_at(reply, height)
        self.header(block.header, reply.certificate)
        return block

    def linked_block(self, reply: BlockReply, height: Seq, block_hash: Digest) -> Block:
        """The block of `height`, if this is its hash, which a later header names."""
        block = _block_at(reply, height)
        if block.hash != block_hash:
            raise BadProof(f"it is not the block {height} that block {height + 1} names")
        return block

    def blocks(self, reply: BlocksReply, count: int) -> tuple[Header, ...] | None:
        """At most `count` headers, the newest first, without a gap: certified. None if the newest is not yet."""
        headers = reply.headers
        if not headers:
            raise BadProof("there is always a block, but no header came")
        if len(headers) != min(count, headers[0].height + 1):
            raise BadProof(f"{len(headers)} headers from block {headers[0].height} down are not what was asked for")
        if reply.certificate is None and headers[0].height > 0:
            return None
        self.header(headers[0], reply.certificate)
        return _linked(headers)

    def blocks_below(self, reply: BlocksReply, certified: Header) -> tuple[Header, ...] | None:
        """Those headers of the reply that end in this one, the newest first; None if it is not among them."""
        if certified not in reply.headers:
            return None
        return _linked(reply.headers[reply.headers.index(certified) :])


def _linked(headers: tuple[Header, ...]) -> tuple[Header, ...]:
    for later, earlier in pairwise(headers):
        verify_link(earlier, later)
    return headers


def _block_at(reply: BlockReply, height: Seq) -> Block:
    block = Block.decode(reply.block)
    if block.height != height:
        raise BadProof(f"it is block {block.height}, not {height}")
    return block
