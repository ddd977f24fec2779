"""What clients and replicas say to each other.

A request carries a number that the client chose, and its answers repeat it. `Committed` alone may answer many requests
at once: all those of one connection that the same block decided, so that its header and certificate travel once.
Nothing here is signed: what a replica claims is proven by what the reply holds (`receipt`, `reads`), or is a mere hint.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from bftledger.apps.map_proof import MapProof
from bftledger.base.ids import Millis, ReplicaId, Seq, TxId, View
from bftledger.ledger.block import Header
from bftledger.pbft.messages import CheckpointCertificate


class TxState(Enum):
    """Where a transaction stands. The first three are final."""

    COMMITTED = 0
    """In the ledger, and it succeeded."""
    REJECTED = 1
    """In the ledger without effect: the application refused it."""
    EXPIRED = 2
    """Not in the ledger, and it never will be."""
    PENDING = 3
    """Accepted, not yet in the ledger."""
    UNKNOWN = 4
    """This replica has not seen it."""


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """ "Order this transaction" (its encoding). Answered by `Committed`, `Fate`, `Refused` or `Busy`."""

    request_id: int
    transaction: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFate:
    """ "What became of this transaction?" Answered by `Fate`."""

    request_id: int
    tx_id: TxId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReceipt:
    """ "Prove what became of it." Answered by `ReceiptReply`, or by `Fate` if it is not in the ledger."""

    request_id: int
    tx_id: TxId


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A read; `args` are the application's. With proof if `certified`; not before height `minimum`."""

    request_id: int
    args: bytes
    certified: bool
    minimum: Seq


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHeight:
    """ "What is the newest block you have signed?", answered when its certificate, at `minimum` or above, is there."""

    request_id: int
    minimum: Seq


@dataclass(frozen=True, slots=True, kw_only=True)
class AskBlock:
    """ "Give me this block." Answered by `BlockReply`, or by `ErrorReply`."""

    request_id: int
    height: Seq


@dataclass(frozen=True, slots=True, kw_only=True)
class AskBlocks:
    """ "Give me the headers of the newest blocks": at most `count`, 1 … 256."""

    request_id: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskStatus:
    """ "How are you?" Answered by `StatusReply`."""

    request_id: int


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────


class CommittedItem(NamedTuple):
    """One transaction of a block: place, encoded result, and the paths of both; with the frame's rest, a receipt."""

    request_id: int
    tx_id: TxId
    position: int
    result: bytes
    transaction_path: bytes
    result_path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """Answers all of one connection's `Submit`s that this block decided."""

    header: Header
    certificate: CheckpointCertificate
    items: tuple[CommittedItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """A transaction's state as this replica knows it. `height`: of its block, 0 if it is in none. `reason`: if any."""

    request_id: int
    tx_id: TxId
    state: TxState
    height: Seq
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The request was not accepted and had no effect. `code`: as in `apps.machine`."""

    request_id: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """The replica has no room now: try again after `retry_ms`."""

    request_id: int
    retry_ms: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptReply:
    """An encoded receipt (`receipt.verify_receipt`)."""

    request_id: int
    receipt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProof:
    """That a value is what the state held after the block of this header."""

    map_proof: MapProof
    header: Header
    certificate: CheckpointCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryReply:
    """The value under the key that was asked for, None if there is none, after block `height` (`reads.verify_read`).

    Without a proof it is only what this replica says.
    """

    request_id: int
    value: bytes | None
    height: Seq
    proof: ReadProof | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeightReply:
    """A certified header at or above the height that was asked for."""

    request_id: int
    header: Header
    certificate: CheckpointCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockReply:
    """An encoded block, and its certificate if the replica has it (the genesis block has none)."""

    request_id: int
    block: bytes
    certificate: CheckpointCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksReply:
    """The headers of the newest blocks, the newest first, each named by the one before; its certificate, if there."""

    request_id: int
    headers: tuple[Header, ...]
    certificate: CheckpointCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReply:
    """How a replica is: unproven, for people.

    `active`: whether its view is installed. `stable`, `executed`: heights. `pending`: transactions waiting.
    `heard`, `convicted`: bit masks of the replicas heard lately, and of those that it holds evidence against.
    `version`: of its program.
    """

    request_id: int
    replica: ReplicaId
    view: View
    active: bool
    primary: ReplicaId
    stable: Seq
    executed: Seq
    pending: int
    heard: int
    convicted: int = 0
    uptime_ms: Millis
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReply:
    """The request cannot be answered; `text` says why in one line. `request_id` 0: it could not even be read."""

    request_id: int
    text: str


Request = Submit | AskFate | AskReceipt | Query | AskHeight | AskBlock | AskBlocks | AskStatus
Reply = (
    Committed
    | Fate
    | Refused
    | Busy
    | ReceiptReply
    | QueryReply
    | HeightReply
    | BlockReply
    | BlocksReply
    | StatusReply
    | ErrorReply
)
