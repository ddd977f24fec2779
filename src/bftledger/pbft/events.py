"""What can happen to a replica: the whole input of the protocol core."""

from dataclasses import dataclass

from bftledger.base.ids import Digest, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.messages import CheckpointCertificate, Message
from bftledger.pbft.rooms import Load
from bftledger.pbft.timers import Timer


@dataclass(frozen=True, slots=True)
class Started:
    """The replica begins to run, new or recovered: the first event of every run."""


@dataclass(frozen=True, slots=True)
class Received:
    """An authentic message arrived; who handed it over does not matter, who signed it does."""

    message: Message


@dataclass(frozen=True, slots=True)
class Submitted:
    """Clients handed in transactions: authentic, admissible, and in no block so far."""

    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """These pending transactions need not be ordered: they are in the ledger already, or not admissible.

    A proposal may bring back what was executed long ago, or bring what nobody may order; and what expires unordered is
    passed on by nobody. No peer would take such a transaction, so whoever waited for it would wait alone. Whoever
    performs effects finds them among those of a RELAY that it sends, and says so before any other event.
    """

    transactions: tuple[TxId, ...]


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was started, and not stopped or started anew since, ran out."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Delivered:
    """The batch of `Deliver` was executed, and its block is stored in the same round.

    `transactions`: the ids of all that the proposal contained, also of those that the block leaves out. `load`: how
    much is in the block.
    """

    seq: Seq
    block_hash: Digest
    transactions: tuple[TxId, ...]
    load: Load


@dataclass(frozen=True, slots=True)
class Installed:
    """The fetched blocks of `Install` proved right, were executed, and are stored in the same round.

    `seq`, `block_hash`: of the last of them. `transactions`: the ids in all of them. `loads`: how much was in each.
    `certificate`: what proved them.
    """

    seq: Seq
    block_hash: Digest
    transactions: tuple[TxId, ...]
    loads: tuple[Load, ...]
    certificate: CheckpointCertificate


@dataclass(frozen=True, slots=True)
class InstallFailed:
    """The blocks that came do not prove what they claim."""


@dataclass(frozen=True, slots=True)
class BlocksRead:
    """The answer to `ReadBlocks`: what the store has for a peer that lags. Fields as in `messages.Blocks`."""

    to: ReplicaId
    first: Seq
    blocks: tuple[bytes, ...]
    headers: tuple[bytes, ...]
    certificate: CheckpointCertificate


Event = Started | Received | Submitted | Withdrawn | TimerFired | Delivered | Installed | InstallFailed | BlocksRead
