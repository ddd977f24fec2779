"""From a store to a ledger that can go on: the newest block, the state after it, the history up to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bftledger.apps.machine import StateMachine
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.errors import BadProof, Malformed, StoreError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest
from bftledger.ledger.block import Header
from bftledger.ledger.chain import decode_at
from bftledger.ledger.executor import Executed, Executor, execute_genesis
from bftledger.ledger.history import History
from bftledger.storage.recall import recall_history
from bftledger.storage.store import BlockRows, HistoryNode, Store


@dataclass(frozen=True, slots=True)
class Ledger:
    """An executor at the newest block of a store. `genesis`: what executing block 0 gave, which no store holds."""

    executor: Executor
    genesis: Executed

    @property
    def tip(self) -> Header:
        """The newest block's header."""
        return self.executor.tip

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
    state, history = AuthenticatedMap(), History.empty()
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
        state = AuthenticatedMap(store.state_rows())
        history = recall_history(store, tip)
    try:
        executor = Executor(genesis, machine, state, store.contains, history, tip)
    except (BadProof, Malformed) as error:
        raise StoreError(f"{store.name}: height {height}: {error}; restore the store") from None
    return Ledger(executor, made)


def genesis_block_hash(ledger: Ledger) -> Digest:
    """The hash of block 0, 32 bytes."""
    return ledger.genesis.block.hash
