"""Bugs in what is executed: time, transactions, fetched blocks, old certificates (OSDI'99 §4.2, §4.3, §4.4)."""

from collections.abc import Sequence

from bftledger.base.ids import Millis, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.engine import engine
from bftledger.engine.engine import Engine
from bftledger.ledger.block import Block, Header
from bftledger.ledger.chain import verify_link
from bftledger.ledger.executor import Dropped, Executor
from bftledger.pbft import checkpoint, normal, transfer, wire
from bftledger.pbft.effects import Effect, Ignored, Persist
from bftledger.pbft.events import Event
from bftledger.pbft.messages import CheckpointCertificate, Message, Proposal, Stable
from bftledger.pbft.pool import Pool
from bftledger.pbft.replica import Replica
from bftledger.pbft.state import State
from tests.mutants.mutant import Patch, breaks

_execute = Engine._execute
_refusal = Executor._refusal
_step = Replica.step
_replica_refusal = Replica._refusal

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


@breaks("§4.1", "what has expired is decided by the block's time", Engine, "_execute", staged=True)
def expired_by_own_clock(core: Engine, seq: Seq, proposal: Proposal, now: Millis) -> Event:
    """Each replica looks at its own clock."""
    kept = tuple(tx for tx in proposal.transactions if tx.expires >= now)
    return _execute(core, seq, wire.make_proposal(proposal.time, kept), now)


@breaks("§4.2", "pools are bounded", Pool, "admit_relayed", traitor="relay-junk:good")
def relays_unbounded(pool: Pool, transaction: Transaction, by: ReplicaId) -> Ignored | None:
    """Whatever a replica passes on is kept."""
    if transaction.id in pool:
        return Ignored.DUPLICATE
    pool._take(transaction, by)
    pool._others[transaction.id] = transaction
    return None


# ── time ──


@breaks("§4.6", "the time of a block is agreed on", Engine, "_execute")
def time_by_own_clock(core: Engine, seq: Seq, proposal: Proposal, now: Millis) -> Event:
    """Each replica stamps it by its own clock."""
    return _execute(core, seq, wire.make_proposal(now, proposal.transactions), now)


@breaks("§4.6", "a backup compares a proposal's time with its clock", normal, "is_timely", traitor="bad-time:future")
def time_unchecked(state: State, proposal: Proposal, now: Millis) -> bool:
    """It takes any."""
    return True


def _step_at(core: Replica, event: Event, now: Millis) -> tuple[Effect, ...]:
    core._now = now  # type: ignore[attr-defined]
    return _step(core, event, now)


@breaks(
    "§4.4",
    "what a new view proposes again was timely once, and is not asked again",
    Replica,
    "_accept_announced",
    also=(Patch(Replica, "step", _step_at),),
    staged=True,
)
def time_checked_again(core: Replica) -> list[Effect]:
    """It must be as close to the clock as a new proposal."""
    effects: list[Effect] = []
    skew = core.state.settings.clock_skew_ms
    for pre_prepare, proposal in transfer.announced_with_proposal(core.state):
        is_null = proposal.digest == wire.NULL_PROPOSAL.digest
        if is_null or abs(core._now - proposal.time) <= skew:  # type: ignore[attr-defined]
            effects += normal.accept(core.state, pre_prepare, proposal)
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


def _old_stable_too(core: Replica, message: Message) -> Ignored | None:
    return None if isinstance(message, Stable) else _replica_refusal(core, message)


@breaks(
    "§4.3",
    "the stable checkpoint never goes back",
    checkpoint,
    "adopt",
    also=(Patch(Replica, "_refusal", _old_stable_too),),
    traitor="stale-certificates",
)
def old_certificate_adopted(state: State, certificate: CheckpointCertificate) -> list[Effect]:
    """Any certificate moves the watermarks, where it says."""
    state.stable = certificate
    state.witness.settle(state.low)
    state.next_seq = max(state.next_seq, Seq(certificate.seq + 1))
    return [Persist(certificate), *(checkpoint.contradiction(state) or checkpoint.settle(state))]
