"""What a replica asks of its store: rounds that become durable as a whole, and reads that see the round under way.

A round is any number of saves and then one `commit`, after which all of it outlasts a crash; before, none of it
does. A replica sends nothing of a round before its commit has returned ("disk before promise"). Reads see what the
current round has saved.

Votes are kept as their frames, so that what is read back goes through the same door as what peers send
(`Authenticator.authenticate_record`). Of each kind a slot holds one: saving again replaces.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId, View
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Testimony,
    ViewChange,
)

Vote = PrePrepare | Prepare | Commit | Checkpoint | PreparedCertificate | ViewChange | NewView
"""What a replica has promised, or needs to keep its promises, and must therefore find again."""

KINDS: Final[dict[type, str]] = {
    PrePrepare: "PRE-PREPARE",
    Prepare: "PREPARE",
    Commit: "COMMIT",
    Checkpoint: "CHECKPOINT",
    PreparedCertificate: "PREPARED",
    ViewChange: "VIEW-CHANGE",
    NewView: "NEW-VIEW",
}
"""How a store names the kinds of votes."""


NEWEST_VIEW_ONLY: Final = ("PREPARED", "VIEW-CHANGE", "NEW-VIEW")
"""Of these kinds only the one of the highest view is kept for a sequence number."""


VOID_IN_THE_NEXT_VIEW: Final = ("PRE-PREPARE", "PREPARE", "COMMIT")
"""Promises of these kinds say nothing any more when a later view has begun: see `Store.save_vote`."""

KEPT_VIEWS: Final[dict[str, int]] = {
    "PRE-PREPARE": 2,  # of the last view that began, and of the one in which the number was prepared
    "PREPARE": 1,
    "COMMIT": 1,
    "CHECKPOINT": 1,
    "PREPARED": 1,
    "VIEW-CHANGE": 1,
    "NEW-VIEW": 1,
}
"""Of so many views are there votes of each kind for one sequence number."""


class Slot(NamedTuple):
    """Where a vote belongs. VIEW-CHANGE and NEW-VIEW have `seq` 0, CHECKPOINT has `view` 0."""

    seq: Seq
    kind: str
    view: View

    def __str__(self) -> str:
        return f"seq {self.seq}, view {self.view}, {self.kind}"


def slot_of(vote: Vote) -> Slot:
    """The slot that `vote` fills."""
    kind = KINDS[type(vote)]
    match vote:
        case ViewChange() | NewView():
            return Slot(Seq(0), kind, vote.view)
        case Checkpoint():
            return Slot(vote.seq, kind, View(0))
        case PreparedCertificate():
            return Slot(vote.pre_prepare.seq, kind, vote.pre_prepare.view)
        case _:
            return Slot(vote.seq, kind, vote.view)


class Place(NamedTuple):
    """Where a transaction stands in the ledger; `position` counts from 0 within the block."""

    height: Seq
    position: int


HistoryNode = tuple[int, int, Digest]
"""One node of the tree over all block hashes: its level (0 is the leaves), its position from the left, its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRows:
    """All that executing one block adds to a store.

    `header` and `block` are encodings, the block's with its header and transactions. `tx_ids` are in the order of the
    block. `state`: the application's rows that changed, None for those that are gone. `history`: the new nodes. The
    genesis block follows from the genesis and is not stored: what it adds to state and history comes with block 1.
    """

    height: Seq
    block_hash: Digest
    time: Millis
    header: bytes
    block: bytes
    tx_ids: Sequence[TxId]
    state: Mapping[bytes, bytes | None]
    history: Sequence[HistoryNode]


class Store(Protocol):
    """A replica's memory. Everything raises `StoreError` when the medium fails or holds what it cannot hold.

    After a `StoreError` the store accepts nothing any more: nobody knows what of the round is durable, so the replica
    must stop without sending.
    """

    @property
    def name(self) -> str:
        """What a message about the store calls it: its file."""
        ...

    # ── the round under way ──

    def save_vote(self, vote: Vote) -> None:
        """Keeps `vote`, instead of the one that filled its slot.

        A PRE-PREPARE with its proposal keeps both; without, it keeps a proposal of the same digest saved before. Of the
        prepared certificates for a sequence number, and of the view changes and new views, only the one of the
        highest view stays.

        A NEW-VIEW makes void what was promised in earlier views: whoever has begun a view votes in none before it. Of
        those only the PRE-PREPAREs stay, with their proposals, that prepared certificates are made of: the next
        VIEW-CHANGE names them, and whoever names a proposal must have it. So a sequence number has at most
        `KEPT_VIEWS` of each kind, however many views pass without a stable checkpoint.
        """
        ...

    def save_block(self, rows: BlockRows) -> None:
        """Appends the block of the next height (the first is 1), and everything that comes with it."""
        ...

    def save_certificate(self, certificate: CheckpointCertificate) -> None:
        """Keeps the proof that a block is final, instead of another one for the same height."""
        ...

    def discard_votes(self, upto: Seq) -> None:
        """Forgets all votes and proposals with sequence numbers ≤ `upto`, but no VIEW-CHANGE and NEW-VIEW (§4.3)."""
        ...

    def save_decision(self, height: Seq, commits: Testimony) -> None:
        """Keeps the COMMITs that decided a block, and forgets those of blocks `memory.SPAN` below."""
        ...

    def save_evidence(self, evidence: Evidence) -> None:
        """Keeps what convicts a replica, unless there is something by the same rule. It is never forgotten."""
        ...

    def abandon(self) -> None:
        """Forgets what was saved since the last commit, as a crash would."""
        ...

    def commit(self) -> None:
        """Ends the round: returns when all of it is durable. Costs nothing if nothing was saved."""
        ...

    def close(self) -> None:
        """Lets go of the medium and forgets a round that was not committed. May be called twice."""
        ...

    # ── votes ──

    def votes(self) -> Iterator[tuple[Slot, bytes]]:
        """The frames of all votes, as stored: the newest VIEW-CHANGE and NEW-VIEW, then by sequence number.

        `recall.recall_votes` makes authentic votes of them.

        A PRE-PREPARE comes with its proposal if that was saved.
        """
        ...

    # ── evidence ──

    def evidence(self) -> Iterator[tuple[ReplicaId, str, bytes]]:
        """By replica and rule: the convict, the value of the `Rule`, the encoding. `recall.recall_evidence` checks."""
        ...

    # ── blocks and certificates ──

    def height(self) -> Seq:
        """The height of the newest block; 0 before the first."""
        ...

    def block(self, height: Seq) -> bytes | None:
        """The encoded block of that height."""
        ...

    def block_hash(self, height: Seq) -> Digest | None:
        """The hash of the block of that height."""
        ...

    def blocks(self, first: Seq, count: int, max_bytes: int) -> list[bytes]:
        """At most `count` consecutive encoded blocks from `first` on, at most `max_bytes` long together.

        The first is there even if it alone is longer; empty if there is no block `first`.
        """
        ...

    def headers(self, first: Seq, last: Seq) -> list[bytes]:
        """The encoded headers of the blocks from `first` to `last`, both included, as far as they exist."""
        ...

    def certificate(self, height: Seq) -> CheckpointCertificate | None:
        """The certificate of the block of that height, if the replica has it. Its signatures are not checked again."""
        ...

    def decision(self, height: Seq) -> bytes | None:
        """The frame of what decided the block of that height, if that is kept. `recall.recall_recent` checks it."""
        ...

    def next_certified(self, height: Seq) -> Seq | None:
        """The lowest height ≥ `height` whose certificate the replica has."""
        ...

    def last_certified(self, height: Seq) -> Seq | None:
        """The highest height ≤ `height` whose certificate the replica has."""
        ...

    def newest_certificate(self) -> CheckpointCertificate | None:
        """The certificate with the greatest height."""
        ...

    # ── what is derived from the blocks ──

    def locate(self, ids: Iterable[TxId]) -> dict[TxId, Place]:
        """Where those of the transactions stand that are in the ledger."""
        ...

    def contains(self, ids: Collection[TxId]) -> set[TxId]:
        """Those of `ids` that are in the ledger."""
        ...

    def history_node(self, level: int, position: int) -> Digest:
        """The hash of that node of the history tree. Raises `StoreError` if it is not there."""
        ...

    def state_row(self, key: bytes) -> bytes | None:
        """The application's row under that key at `height()`; None if there is none."""
        ...

    def state_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """The application's state at `height()`: keys and values in ascending order of the keys."""
        ...
