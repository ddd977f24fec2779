"""What the ledger of one replica can say by itself: blocks, fates, receipts. Reads only, holds nothing."""

from collections.abc import Sequence

from bftledger.apps.machine import Result
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import decode as decode_transaction
from bftledger.engine.opening import Ledger
from bftledger.ledger.block import Block, Header
from bftledger.ledger.chain import decode_at
from bftledger.ledger.client_messages import (
    BlockReply,
    BlocksReply,
    Committed,
    CommittedItem,
    ErrorReply,
    Fate,
    TxState,
)
from bftledger.ledger.history import history_path
from bftledger.ledger.receipt import Receipt
from bftledger.pbft.messages import CheckpointCertificate
from bftledger.storage.store import Place, Store


class Archive:
    """The executed blocks, with the certificates that are here."""

    def __init__(self, genesis: Genesis, store: Store, ledger: Ledger) -> None:
        self._genesis = genesis
        self._store = store
        self._ledger = ledger

    @property
    def height(self) -> Seq:
        """Of the newest block that was executed."""
        return self._ledger.tip.height

    def place(self, tx_id: TxId) -> Place | None:
        """Where the transaction stands in the ledger."""
        return self.places([tx_id]).get(tx_id)

    def places(self, tx_ids: Sequence[TxId]) -> dict[TxId, Place]:
        """Where those of the transactions stand that are in the ledger."""
        return self._store.locate(tx_ids)

    def proof_from(self, height: Seq) -> CheckpointCertificate | None:
        """The certificate of the lowest certified block from `height` on that is executed here."""
        certified = self._store.next_certified(height)
        return None if certified is None or certified > self.height else self._store.certificate(certified)

    def header(self, height: Seq) -> Header:
        """The header of an executed block."""
        if height == 0:
            return self._ledger.genesis.block.header
        return Header.decode(self._store.headers(height, height)[0])

    def block(self, height: Seq) -> Block:
        """An executed block."""
        if height == 0:
            return self._ledger.genesis.block
        data = self._store.block(height)
        assert data is not None, "executed blocks are stored"
        return decode_at(data, height)

    # ── transactions ──

    def receipt(self, place: Place, block: Block | None = None) -> Receipt | None:
        """The proof of what became of a transaction, or None while no certificate proves its block.

        `block`: the one at `place`, if it is at hand.
        """
        certificate = self.proof_from(place.height)
        if certificate is None:
            return None
        block = block or self.block(place.height)
        later, path = None, b""
        if certificate.seq > place.height:
            later = self.header(certificate.seq)
            path = history_path(place.height, later.height, self._store.history_node)
        return Receipt(
            transaction=decode_transaction(block.transactions[place.position], self._genesis.genesis_hash),
            result=Result.decode(block.results[place.position]),
            index=place.position,
            transaction_path=block.transaction_paths[place.position],
            result_path=block.result_paths[place.position],
            header=block.header,
            later=later,
            history_path=path,
            certificate=certificate,
        )

    def fate(self, request_id: int, tx_id: TxId, *, is_pending: bool) -> Fate:
        """What this replica knows of a transaction; final only if a certificate proves it."""
        place = self.place(tx_id)
        if place is not None and self.proof_from(place.height) is not None:
            result = Result.decode(self.block(place.height).results[place.position])
            state = TxState.COMMITTED if result.ok else TxState.REJECTED
            return Fate(request_id=request_id, tx_id=tx_id, state=state, height=place.height, reason=result.reason)
        if place is not None or is_pending:
            return Fate(request_id=request_id, tx_id=tx_id, state=TxState.PENDING, height=Seq(0), reason="")
        if self._latest_expiry(tx_id) < self._ledger.tip.time:
            return self.expired(request_id, tx_id)
        return Fate(request_id=request_id, tx_id=tx_id, state=TxState.UNKNOWN, height=Seq(0), reason="")

    def expired(self, request_id: int, tx_id: TxId) -> Fate:
        """It expired before the newest block's time, so no later block can hold it."""
        return Fate(
            request_id=request_id,
            tx_id=tx_id,
            state=TxState.EXPIRED,
            height=Seq(0),
            reason="it expired before it was ordered",
        )

    def _latest_expiry(self, tx_id: TxId) -> Millis:
        """An id tells when its transaction was created; the genesis, how long it can live at most."""
        return Millis(int.from_bytes(tx_id[:6], "big") + self._genesis.max_lifetime_ms)

    # ── blocks ──

    def block_reply(self, request_id: int, height: Seq) -> BlockReply | ErrorReply:
        """One block."""
        if height > self.height:
            return ErrorReply(request_id=request_id, text=f"there is no block {height}: the newest is {self.height}")
        certificate = self._store.certificate(height) if height else None
        block = self._store.block(height) if height else self._ledger.genesis.block.encoded
        assert block is not None, "executed blocks are stored"
        return BlockReply(request_id=request_id, block=block, certificate=certificate)

    def newest_blocks(self, request_id: int, count: int) -> BlocksReply:
        """The headers of the newest blocks, the newest first."""
        first = Seq(max(1, self.height - count + 1))
        headers = [Header.decode(data) for data in self._store.headers(first, self.height)][::-1]
        if len(headers) < count:
            headers.append(self.header(Seq(0)))
        certificate = self._store.certificate(self.height) if self.height else None
        return BlocksReply(request_id=request_id, headers=tuple(headers), certificate=certificate)


def committed(block: Block, certificate: CheckpointCertificate, places: list[tuple[int, TxId, int]]) -> Committed:
    """One answer for many requests, given as (request id, transaction id, place in the block)."""
    results, transaction_paths, result_paths = block.results, block.transaction_paths, block.result_paths
    return Committed(
        header=block.header,
        certificate=certificate,
        items=tuple(
            [
                CommittedItem(request_id, tx_id, at, results[at], transaction_paths[at], result_paths[at])
                for request_id, tx_id, at in places
            ]
        ),
    )
