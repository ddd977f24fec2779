"""Execution: a decided proposal becomes a block, and a stored or fetched block is done again and compared.

Both are deterministic: from the same block before, every replica makes the same bytes. What stands in a proposal but
may not be in the ledger is left out of the block: expired by the block's time, created too far after it, not allowed
by the genesis, or already there. What the application rejects is in the block, with its reason and without effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from bftledger.apps.machine import (
    DEFECT,
    INADMISSIBLE,
    MAX_REASON_LENGTH,
    MAX_RESULT_BYTES,
    OK,
    RESULT_TOO_LARGE,
    Context,
    Rejected,
    Result,
    StateMachine,
)
from bftledger.apps.state import AuthenticatedMap, StateView
from bftledger.base.errors import BadProof, Malformed, StoreError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.ledger import merkle
from bftledger.ledger.block import MAX_RESULTS_BYTES, NO_BLOCK, Block, Header
from bftledger.ledger.chain import verify_link
from bftledger.ledger.history import History, HistoryNode
from bftledger.pbft.messages import Proposal


class Dropped(Enum):
    """Why a transaction of a proposal is not in its block."""

    EXPIRED = "it expired before its block's time"
    EARLY = "it was created too long after its block's time"
    DUPLICATE = "it is already in the ledger"
    INADMISSIBLE = "the genesis does not allow it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A block and everything that has to be stored with it.

    `transactions`, `results`: those of the block, decoded. `changes`: the rows of the state that it changed, None for
    a deleted one. `history_nodes`: the subtrees that the block's hash completed. `ids`: of all the proposal's
    transactions, in its order. `dropped`: those of them that are not in the block.
    """

    block: Block
    transactions: tuple[Transaction, ...]
    results: tuple[Result, ...]
    changes: dict[bytes, bytes | None]
    history_nodes: tuple[HistoryNode, ...]
    ids: tuple[TxId, ...]
    dropped: dict[TxId, Dropped]


Contains = Callable[[Sequence[TxId]], set[TxId]]
"""Which of these ids are in the ledger, as a new set; it must know at least all whose transactions have not expired."""


def execute_genesis(genesis: Genesis, machine: StateMachine, state: AuthenticatedMap, history: History) -> Executed:
    """Block 0, which every member makes for itself; `state` and `history` must be empty and then hold it."""
    assert len(state) == history.size == 0, "the genesis block comes first"
    view = StateView(state)
    machine.genesis(view)
    view.commit()
    changes = view.changes
    state.update(changes)
    header = Header(
        genesis_hash=genesis.genesis_hash,
        height=Seq(0),
        previous=NO_BLOCK,
        time=genesis.created,
        count=0,
        transactions_root=merkle.EMPTY_ROOT,
        results_root=merkle.EMPTY_ROOT,
        state_root=state.root(),
        history_root=history.root(),
        group_digest=genesis.group_digest,
    )
    return Executed(
        block=Block(header=header, transactions=(), results=()),
        transactions=(),
        results=(),
        changes=changes,
        history_nodes=history.append(header.hash),
        ids=(),
        dropped={},
    )


class Executor:
    """Holds the newest block's header, the state after it, and the history with it; advances all by one block.

    `tip` is that header, `state` and `history` belong to it. The caller stores what `execute` and `replay` return.
    """

    def __init__(
        self,
        genesis: Genesis,
        machine: StateMachine,
        state: AuthenticatedMap,
        contains: Contains,
        history: History,
        tip: Header,
    ) -> None:
        if history.size != tip.height + 1 or state.root() != tip.state_root:
            raise BadProof(f"the state or the history does not belong to block {tip.height}")
        self.genesis = genesis
        self.machine = machine
        self.state = state
        self.history = history
        self.tip = tip
        self._contains = contains

    def admissible(self, transaction: Transaction, now: Millis) -> None:
        """Returns if the transaction may be proposed at `now`; raises `Rejected`. Its signature is not checked."""
        self.check_envelope(transaction, now)
        self._guarded(self.machine.check, transaction)

    def check_envelope(self, transaction: Transaction, now: Millis) -> None:
        """The same but for what the application thinks of its payload."""
        reason = self._refusal(transaction, now)
        if reason:
            raise Rejected(INADMISSIBLE, reason[1])

    def query_key(self, args: bytes) -> bytes:
        """The key that answers a query. Raises `Rejected`."""
        key: bytes = self._guarded(self.machine.query_key, args)
        return key

    @staticmethod
    def _guarded(ask: Callable[[Any], Any], what: object) -> Any:
        """An application's defect must cost whoever asked, not the replica."""
        try:
            return ask(what)
        except (Rejected, StoreError):
            raise
        except Exception as error:  # noqa: BLE001 - a foreign class, fed with what anybody may send
            raise Rejected(DEFECT, f"the application failed with {type(error).__name__}") from None

    def execute(self, proposal: Proposal) -> Executed:
        """The block that the proposal makes on top of `tip`, which it becomes."""
        time = Millis(max(proposal.time, self.tip.time + 1))
        kept, dropped = self._select(proposal.transactions, time)
        executed, _ = self._run(tuple(kept), time)
        return self._advance(executed, tuple(tx.id for tx in proposal.transactions), dropped)

    def replay(self, block: Block) -> Executed:
        """Executes a block that somebody else made. Raises `BadProof` unless it gives the same header, bit for bit.

        Then nothing has changed. Signatures are not checked: the certificate above the block vouches for them.
        """
        verify_link(self.tip, block.header)
        height = block.header.height
        try:
            transactions = tuple([decode_transaction(data, self.genesis.genesis_hash) for data in block.transactions])
        except Malformed as error:
            raise BadProof(f"block {height} holds a malformed transaction: {error}") from None
        _, dropped = self._select(transactions, block.header.time)
        for tx_id, reason in dropped.items():
            raise BadProof(f"block {height} holds transaction {tx_id.hex()}, though {reason.value}")
        executed, view = self._run(transactions, block.header.time)
        difference = _difference(block, executed.block)
        if difference:
            self.state.update(view.before)
            raise BadProof(f"block {height} executed again has another {difference}")
        return self._advance(executed, tuple(tx.id for tx in transactions), {})

    def _advance(self, executed: "_Run", ids: tuple[TxId, ...], dropped: dict[TxId, Dropped]) -> Executed:
        self.tip = executed.block.header
        return Executed(
            block=executed.block,
            transactions=executed.transactions,
            results=executed.results,
            changes=executed.changes,
            history_nodes=self.history.append(executed.block.hash),
            ids=ids,
            dropped=dropped,
        )

    def _select(
        self, transactions: Sequence[Transaction], time: Millis
    ) -> tuple[list[Transaction], dict[TxId, Dropped]]:
        """Those that may be in a block of this time, and why the others may not."""
        ids = [transaction.id for transaction in transactions]
        seen = self._contains(ids) if ids else set()
        kept: list[Transaction] = []
        dropped: dict[TxId, Dropped] = {}
        for tx_id, transaction in zip(ids, transactions, strict=True):
            refusal = self._refusal(transaction, time)
            if refusal:
                dropped[tx_id] = refusal[0]
            elif tx_id in seen:
                dropped[tx_id] = Dropped.DUPLICATE
            else:
                kept.append(transaction)
                seen.add(tx_id)
        return kept, dropped

    def _refusal(self, transaction: Transaction, time: Millis) -> tuple[Dropped, str] | None:
        genesis = self.genesis
        if transaction.expires < time:
            return Dropped.EXPIRED, f"it expired {time - transaction.expires} ms ago"
        if transaction.created > time + genesis.max_skew_ms:
            return Dropped.EARLY, f"it was created {transaction.created - time} ms from now: check the clock"
        if transaction.expires - transaction.created > genesis.max_lifetime_ms:
            return Dropped.INADMISSIBLE, f"it lives longer than the {genesis.max_lifetime_ms} ms that the group allows"
        if len(transaction.payload) > genesis.max_payload_bytes:
            return Dropped.INADMISSIBLE, f"its payload exceeds the {genesis.max_payload_bytes} bytes of the group"
        if genesis.member_set and transaction.sender not in genesis.member_set:
            return Dropped.INADMISSIBLE, "its sender is not a member that the genesis lists"
        return None

    def _run(self, transactions: tuple[Transaction, ...], time: Millis) -> tuple["_Run", StateView]:
        """Executes these in order, changes the state, and returns the block and the view that they had of it."""
        height = Seq(self.tip.height + 1)
        view = StateView(self.state)
        results, encoded_results = self._apply_all(transactions, height, time, view)
        encoded = tuple([tx.encoded for tx in transactions])
        transactions_tree, results_tree = merkle.tree(encoded), merkle.tree(encoded_results)
        changes = view.changes
        self.state.update(changes)
        header = Header(
            genesis_hash=self.genesis.genesis_hash,
            height=height,
            previous=self.tip.hash,
            time=time,
            count=len(transactions),
            transactions_root=merkle.root_of(transactions_tree),
            results_root=merkle.root_of(results_tree),
            state_root=self.state.root(),
            history_root=self.history.root(),
            group_digest=self.genesis.group_digest,
        )
        block = Block(header=header, transactions=encoded, results=encoded_results)
        block.__dict__.update(transactions_tree=transactions_tree, results_tree=results_tree)
        return _Run(block, transactions, results, changes), view

    def _apply_all(
        self, transactions: tuple[Transaction, ...], height: Seq, time: Millis, view: StateView
    ) -> tuple[tuple[Result, ...], tuple[bytes, ...]]:
        """Applies these in order; the results, and their encodings. What those of one block may have together is the
        same at every replica."""
        results: list[Result] = []
        encoded: list[bytes] = []
        room = MAX_RESULTS_BYTES
        for transaction in transactions:
            result, data = self._apply(transaction, Context(height, time, transaction.sender, view))
            if len(data) > room:
                result, data = NO_ROOM, NO_ROOM.encode()
            else:
                room -= len(data)
            if result.code == OK:
                view.commit()
            else:
                view.discard()
            results.append(result)
            encoded.append(data)
        return tuple(results), tuple(encoded)

    def _apply(self, transaction: Transaction, context: Context) -> tuple[Result, bytes]:
        """What the transaction comes to, and its encoding; what it wrote is neither kept nor forgotten yet."""
        try:
            value = self.machine.apply(transaction, context)
            if type(value) is not bytes or len(value) > MAX_RESULT_BYTES:
                raise ValueError("a result is not bytes, or too long")
        except Rejected as error:
            result = Result(error.code, reason=error.reason)
        except (MemoryError, RecursionError, StoreError):
            raise  # This replica's limits, not the transaction's meaning: another replica may well succeed.
        except Exception as error:  # noqa: BLE001 - one bad transaction must not halt every replica for good
            result = Result(DEFECT, reason=f"the application failed with {type(error).__name__}"[:MAX_REASON_LENGTH])
        else:
            if len(value) <= _SHORT_RESULT_BYTES:
                return _short_success(value)
            result = Result(OK, value=value)
        return result, result.encode()


_SHORT_RESULT_BYTES: Final = 64


@lru_cache(4_096)
def _short_success(value: bytes) -> tuple[Result, bytes]:
    """The result and its encoding, made once: most results of an application are alike."""
    result = Result(OK, value=value)
    return result, result.encode()


NO_ROOM: Final = Result(RESULT_TOO_LARGE, reason="its block's other results left no room: submit it as a new one")
"""Stands for a result, good or bad, that would exceed what all of a block's may have. It is short, and not counted."""


@dataclass(frozen=True, slots=True)
class _Run:
    block: Block
    transactions: tuple[Transaction, ...]
    results: tuple[Result, ...]
    changes: dict[bytes, bytes | None]


def _difference(theirs: Block, ours: Block) -> str | None:
    """The first field in which two headers differ."""
    if theirs.header.encoded == ours.header.encoded:
        return None
    for name in Header.__dataclass_fields__:
        if getattr(theirs.header, name) != getattr(ours.header, name):
            return name.replace("_", " ")
    return "encoding"
