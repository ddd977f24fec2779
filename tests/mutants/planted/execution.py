"""Bugs in what is executed: time, transactions, fetched blocks, old certificates (OSDI'99 §4.2, §4.3, §4.4)."""

from collections.abc import Sequence

from bftledger.base import transaction as transactions_of_clients
from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.engine import engine
from bftledger.engine.engine import Engine
from bftledger.ledger.block import Block, Header
from bftledger.ledger.chain import verify_link
from bftledger.ledger.executor import Dropped, Executor
from bftledger.pbft import checkpoint, normal, relevance, transfer, views
from bftledger.pbft.effects import Effect, Ignored, Persist
from bftledger.pbft.events import Event
from bftledger.pbft.messages import CheckpointCertificate, Message, Proposal, Stable
from bftledger.pbft.pool import Pool
from bftledger.pbft.proposals import NULL_PROPOSAL, make_proposal
from bftledger.pbft.replica import Replica
from bftledger.pbft.state import State
from tests.mutants.mutant import Patch, breaks

_execute = Engine._execute
_refusal = Executor._refusal
_step = Replica.step
_refusal_of_phase = relevance.of_phase

# ── transactions ──


@breaks("§4.2", "a request is executed once", Executor, "_select", traitor="replay-requests")
def duplicate_executed(
    executor: Executor, transactions: Sequence[Transaction], time: Millis
) -> tuple[list[Transaction], dict[TxId, Dropped]]:
    """What is in the ledger already is executed again."""
    refusals = [(transaction, executor._refusal(transaction, time)) for transaction in transactions]
    return [tx for tx, refusal in refusals if not refusal], {tx.id: refusal[0] for tx, refusal in refusals if refusal}


@breaks("§4.1", "what a client was told to have expired has no effect", Executor, "_refusal", staged=True)
def expired_executed(executor: Executor, transaction: Transaction, time: Millis) -> tuple[Dropped, str] | None:
    """It is executed all the same."""
    refusal = _refusal(executor, transaction, time)
    return None if refusal and refusal[0] is Dropped.EXPIRED else refusal


def _unless(refusal: tuple[Dropped, str] | None, words: str) -> tuple[Dropped, str] | None:
    return None if refusal and words in refusal[1] else refusal


@breaks("formats", "nothing was created long after its block", Executor, "_refusal")
def early_executed(executor: Executor, transaction: Transaction, time: Millis) -> tuple[Dropped, str] | None:
    """It may have been created at any time."""
    refusal = _refusal(executor, transaction, time)
    return None if refusal and refusal[0] is Dropped.EARLY else refusal


@breaks("formats", "the genesis says how long a transaction lives at most", Executor, "_refusal")
def lifetime_unlimited(executor: Executor, transaction: Transaction, time: Millis) -> tuple[Dropped, str] | None:
    """Any lifetime will do."""
    return _unless(_refusal(executor, transaction, time), "lives longer")


@breaks("formats", "the genesis says how long a payload is at most", Executor, "_refusal")
def payload_unlimited(executor: Executor, transaction: Transaction, time: Millis) -> tuple[Dropped, str] | None:
    """Any payload will do."""
    return _unless(_refusal(executor, transaction, time), "payload exceeds")


@breaks("formats", "only members submit, where the genesis lists them", Executor, "_refusal")
def stranger_executed(executor: Executor, transaction: Transaction, time: Millis) -> tuple[Dropped, str] | None:
    """Whoever signs may submit."""
    return _unless(_refusal(executor, transaction, time), "not a member")


def _no_layout(length: int) -> None:
    """All are decoded item by item, which is where their digest is that of `_digest`."""


@breaks(
    "formats",
    "the sender signs all fields",
    transactions_of_clients,
    "_digest",
    also=(Patch(transactions_of_clients, "_layout", _no_layout),),
)
def expiry_not_signed(
    genesis_hash: Digest, sender: bytes, nonce: bytes, created: int, expires: int, payload: bytes
) -> Digest:
    """When a transaction expires is not covered by its signature, nor by its id."""
    fields = b"".join((sender, nonce, created.to_bytes(6, "big"), payload))
    return tagged_hash("transaction", genesis_hash, fields)


@breaks("§4.1", "what has expired is decided by the block's time", Engine, "_execute", staged=True)
def expired_by_own_clock(core: Engine, seq: Seq, proposal: Proposal, now: Millis) -> Event:
    """Each replica looks at its own clock."""
    kept = tuple(tx for tx in proposal.transactions if tx.expires >= now)
    return _execute(core, seq, make_proposal(proposal.time, kept), now)


@breaks("§4.2", "pools are bounded", Pool, "admit_relayed", traitor="relay-junk:good")
def relays_unbounded(pool: Pool, transaction: Transaction, by: ReplicaId) -> Ignored | None:
    """Whatever a replica passes on is kept."""
    if transaction.id in pool:
        return Ignored.DUPLICATE
    pool._take(transaction, by)
    return None


# ── time ──


@breaks("§4.6", "the time of a block is agreed on", Engine, "_execute")
def time_by_own_clock(core: Engine, seq: Seq, proposal: Proposal, now: Millis) -> Event:
    """Each replica stamps it by its own clock."""
    return _execute(core, seq, make_proposal(now, proposal.transactions), now)


@breaks("§4.6", "a backup compares a proposal's time with its clock", normal, "is_timely", traitor="bad-time:future")
def time_unchecked(state: State, proposal: Proposal, now: Millis) -> bool:
    """It takes any."""
    return True


_now: dict[str, Millis] = {}
"""The time of the step that is being taken: one at a time."""


def _step_at(core: Replica, event: Event, now: Millis) -> tuple[Effect, ...]:
    _now["now"] = now
    return _step(core, event, now)


@breaks(
    "§4.4",
    "what a new view proposes again was timely once, and is not asked again",
    views,
    "accept_announced",
    also=(Patch(Replica, "step", _step_at),),
    staged=True,
)
def time_checked_again(state: State) -> list[Effect]:
    """It must be as close to the clock as a new proposal."""
    effects: list[Effect] = []
    skew = state.settings.clock_skew_ms
    for pre_prepare, proposal in transfer.announced_with_proposal(state):
        is_null = proposal.digest == NULL_PROPOSAL.digest
        if is_null or abs(_now["now"] - proposal.time) <= skew:
            effects += normal.accept(state, pre_prepare, proposal)
    return effects


# ── blocks of others ──


@breaks(
    "§4.4", "fetched blocks are linked to one that a quorum certified", engine, "verify_segment", traitor="lie-blocks"
)
def fetched_blocks_unproven(
    previous: Header, blocks: Sequence[bytes], headers: Sequence[bytes], certificate: CheckpointCertificate
) -> tuple[Block, ...]:
    """They are executed as they come."""
    return tuple(Block.decode(data) for data in blocks)


@breaks("§4.4", "a certificate is about the block that it names", engine, "verify_segment", traitor="lie-blocks")
def any_certificate_is_proof(
    previous: Header, blocks: Sequence[bytes], headers: Sequence[bytes], certificate: CheckpointCertificate
) -> tuple[Block, ...]:
    """An old one, of another block, proves fetched blocks that are linked to one another."""
    decoded = [Block.decode(data) for data in blocks]
    for block in decoded:
        verify_link(previous, block.header)
        previous = block.header
    return tuple(decoded)


def _old_stable_too(state: State, message: Message) -> Ignored | None:
    return None if isinstance(message, Stable) else _refusal_of_phase(state, message)


@breaks(
    "§4.3",
    "the stable checkpoint never goes back",
    checkpoint,
    "adopt",
    also=(Patch(relevance, "of_phase", _old_stable_too),),
    traitor="stale-certificates",
)
def old_certificate_adopted(state: State, certificate: CheckpointCertificate) -> list[Effect]:
    """Any certificate moves the watermarks, where it says."""
    state.stable = certificate
    state.witness.memory.settle(state.low)
    state.next_seq = max(state.next_seq, Seq(certificate.seq + 1))
    return [Persist(certificate), *(checkpoint.contradiction(state) or checkpoint.settle(state))]
