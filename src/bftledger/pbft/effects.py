"""What a replica wants done: the whole output of the protocol core, in an order that must be kept.

Whoever performs effects makes everything that was persisted or executed so far durable before the first message that
follows it leaves. Several steps may share one durable commit.
"""

from dataclasses import dataclass
from enum import Enum

from bftledger.base.ids import Millis, ReplicaId, Seq, TxId
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import Blocks, Message, Proposal, Record, Testimony
from bftledger.pbft.timers import Timer


class Ignored(Enum):
    """Why an authentic message changed nothing. Counted, never an error."""

    STALE_VIEW = "of a view that is over"
    FUTURE_VIEW = "of a view that has not begun here"
    NOT_ACTIVE = "this replica waits for a new view"
    BELOW_WATERMARK = "its sequence number is settled"
    ABOVE_WATERMARK = "its sequence number is too far ahead"
    NOT_PRIMARY = "its sender is not the primary of its view"
    FROM_PRIMARY = "a primary does not prepare its own proposal"
    DUPLICATE = "known already"
    NOT_NEEDED = "enough of its kind are here"
    CONFLICTING = "its sender said something else for the same slot"
    NO_PROPOSAL = "it names a proposal that did not come with it"
    BAD_TIME = "the proposal's time is too far from this clock"
    WRONG_NEW_VIEW = "its pre-prepares do not follow from its view changes"
    NOT_ASKED = "nobody asked for it"
    OWN = "of this replica itself"
    POOL_FULL = "too many transactions are pending"
    SHARE_USED = "too many transactions of this sender, or relayed by this replica, are pending"
    ASKED_TOO_OFTEN = "its sender has had its answers"
    WASTEFUL = "its sender passed on too much that could not be taken"
    HEARD_ENOUGH = "its sender has testified enough for now"
    STALE_TIMER = "a timer of something that is over"


@dataclass(frozen=True, slots=True)
class Persist:
    """Keep this record: a promise, or what proves one. It must survive a crash before any later message leaves."""

    record: Record


@dataclass(frozen=True, slots=True)
class Discard:
    """Records of sequence numbers up to `seq` are not needed any more (§4.3)."""

    seq: Seq


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one replica."""

    to: ReplicaId
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to all other replicas."""

    message: Message


@dataclass(frozen=True, slots=True)
class StartTimer:
    """(Re)start the timer of this class: one of each class runs at most."""

    timer: Timer
    after: Millis


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Stop the timer of this class, if it runs."""

    timer: type[Timer]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Execute: `proposal` is decided at `seq`, the next height. Answered by `Delivered` before any other event."""

    seq: Seq
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class Install:
    """Check and execute fetched blocks. Answered by `Installed` or `InstallFailed` before any other event."""

    blocks: Blocks


@dataclass(frozen=True, slots=True)
class ReadBlocks:
    """A lagging peer asks for blocks from height `first` on. Answered by `BlocksRead`, or not at all."""

    to: ReplicaId
    first: Seq


@dataclass(frozen=True, slots=True)
class Refuse:
    """A submitted transaction was not taken: `reason` is POOL_FULL or SHARE_USED."""

    transaction: TxId
    reason: Ignored


@dataclass(frozen=True, slots=True)
class Ignore:
    """An event changed nothing, and why: for counting only."""

    reason: Ignored


@dataclass(frozen=True, slots=True)
class Convict:
    """Keep this evidence for ever, even if the replica halts in this round and nothing else of it is kept."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep the COMMITs that decided the block of this height, for a while: in a fork they convict."""

    seq: Seq
    commits: Testimony


@dataclass(frozen=True, slots=True)
class Halt:
    """This replica's state contradicts a quorum: it must stop, keep its store as it is, and say why."""

    reason: str


Effect = (
    Persist
    | Discard
    | Send
    | Broadcast
    | StartTimer
    | StopTimer
    | Deliver
    | Install
    | ReadBlocks
    | Refuse
    | Ignore
    | Convict
    | Remember
    | Halt
)
