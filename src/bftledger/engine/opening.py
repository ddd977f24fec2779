"""From a store to a ledger that can go on: the newest block, the state after it, the history up to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bftledger.apps.machine import StateMachine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.errors import BadProof, Malformed, StoreError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest, Millis, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger.block import Header
from bftledger.ledger.chain import decode_at
from bftledger.ledger.executor import Dropped, Executed, Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.pbft.messages import Proposal
from bftledger.storage.recall import recall_history
from bftledger.storage.store import BlockRows, HistoryNode, Store

NOT_AHEAD: Final = Millis(0)


@dataclass(frozen=True, slots=True)
class Ledger:
    """An executor at the newest block of a store. `genesis`: what executing block 0 gave, which no store holds."""

    executor: Executor
    genesis: Executed

    @property
    def tip(self) -> Header:
        """The newest block's header."""
        return self.executor.tip

    def admit(self, transaction: Transaction, now: Millis, *, ahead: Millis = NOT_AHEAD) -> None:
        """Returns if the transaction may be ordered; raises `Rejected`. Its signature is not checked.

        Expired it is by the time of the ledger, not by a clock: what expired unordered is settled only by a block that
        is later, and must be passed on and proposed until there is one. What was created too far after `now`, this
        replica's clock, is refused; `ahead`: by so much this clock may be ahead of another honest replica's, which is
        to find the transaction admissible as well.
        """
        self.executor.admissible(transaction, self._time_for(transaction, now, ahead))

    def check_envelope(self, transaction: Transaction, now: Millis, *, ahead: Millis = NOT_AHEAD) -> None:
        """The same but for what the application thinks of its payload: it sees nothing that nobody signed."""
        self.executor.check_envelope(transaction, self._time_for(transaction, now, ahead))

    def _time_for(self, transaction: Transaction, now: Millis, ahead: Millis) -> Millis:
        latest = now - min(ahead, self.executor.genesis.max_skew_ms)
        return Millis(max(self.tip.time, min(transaction.created, latest)))

    def unsettled(self, executed: Executed, proposal: Proposal, now: Millis, *, ahead: Millis) -> set[TxId]:
        """Those that a block left out as created too late, though by `now`, this replica's clock, they were not.

        A primary that gives its proposal an old time censors them so: they stay pending, and it is suspected. `ahead`
        as in `admit`: who alone finds them admissible would suspect the primary alone.
        """
        early = {tx_id for tx_id, reason in executed.dropped.items() if reason is Dropped.EARLY}
        latest = now + max(0, self.executor.genesis.max_skew_ms - ahead)
        return {tx.id for tx in proposal.transactions if tx.id in early and tx.created <= latest} if early else set()

    def rows(self, executed: Executed) -> BlockRows:
        """What a store must keep of a block; block 1 brings the state and the history of block 0 along."""
        block = executed.block
        changes: Mapping[bytes, bytes | None] = executed.changes
        history: tuple[HistoryNode, ...] = executed.history_nodes
        if block.height == 1:
            changes = {**self.genesis.changes, **changes}
            history = (*self.genesis.history_nodes, *history)
        return BlockRows(
            height=block.height,
            block_hash=block.hash,
            time=block.header.time,
            header=block.header.encoded,
            block=block.encoded,
            tx_ids=[tx.id for tx in executed.transactions],
            state=changes,
            history=history,
        )


def open_ledger(genesis: Genesis, machine: StateMachine, store: Store) -> Ledger:
    """The ledger that `store` holds.

    Raises `StoreError` if its newest block, state and history do not fit each other: then the replica must not vote.
    """
    state, history = AuthenticatedMap(stored=store.state_row), History.empty()
    made = execute_genesis(genesis, machine, state, history)
    height = store.height()
    tip = made.block.header
    if height > 0:
        data = store.block(height)
        assert data is not None, "the newest block is there"
        try:
            tip = decode_at(data, height).header
        except BadProof as error:
            raise StoreError(f"{store.name}: blocks, height {height}: {error}; restore the store") from None
        if tip.hash != store.block_hash(height):
            raise StoreError(f"{store.name}: blocks, height {height}: has another hash than stored; restore the store")
        state = AuthenticatedMap(store.state_rows(), stored=store.state_row)
        history = recall_history(store, tip)
    try:
        executor = Executor(genesis, machine, state, store.contains, history, tip)
    except (BadProof, Malformed) as error:
        raise StoreError(f"{store.name}: height {height}: {error}; restore the store") from None
    return Ledger(executor, made)


def genesis_block_hash(ledger: Ledger) -> Digest:
    """The hash of block 0, 32 bytes."""
    return ledger.genesis.block.hash
