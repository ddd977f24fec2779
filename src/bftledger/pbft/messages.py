"""The messages of the protocol: the paper's nouns (OSDI'99 §4.2 to §4.4, TOCS'02 §5), frozen.

Every message names its sender `replica` and carries its signature over all its other signed fields. The signature
covers the protocol version, the genesis hash and the type as well (`wire.signing_digest`).

Differs from the paper: requests are transactions of their own format (`base.transaction`) and batches are proposals;
CHECKPOINT names the hash of a block; STATUS, FETCH and their answers are one explicit set of messages for all loss
of messages and all lag; TESTIMONY is what convicts a faulty replica before all the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, Signature, View
from bftledger.base.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a primary proposes for one sequence number: its clock's time and a batch of transactions.

    `digest` is the d of PRE-PREPARE and covers `encoded`; make one, or decode it, in `proposals`. The null request of
    a new view is the proposal of time 0 without transactions (`proposals.NULL_PROPOSAL`).
    """

    time: Millis
    transactions: tuple[Transaction, ...]
    encoded: bytes
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PrePrepare:
    """⟨⟨PRE-PREPARE, v, n, d, i⟩σᵢ, m⟩: the primary i of v assigns n to the proposal m of digest d (§4.2).

    The proposal is not signed (d is) and may be absent: in certificates, and where the receiver should have it.
    """

    view: View
    seq: Seq
    digest: Digest
    replica: ReplicaId
    signature: Signature
    proposal: Proposal | None = None

    @property
    def bare(self) -> "PrePrepare":
        """What the primary signed: without the proposal, for which the digest stands."""
        if self.proposal is None:
            return self
        return PrePrepare(
            view=self.view, seq=self.seq, digest=self.digest, replica=self.replica, signature=self.signature
        )


class Framed:
    """A vote that keeps its frame once it has one. It is made durable, sent and testified, and encoded for none of
    these if it came as a frame, once if it was made here."""

    __slots__ = ("frame",)
    frame: bytes
    """Set by `frames` alone; no part of what is compared, shown or replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare(Framed):
    """⟨PREPARE, v, n, d, i⟩σᵢ: "I accepted d at (v, n)" (§4.2)."""

    view: View
    seq: Seq
    digest: Digest
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Framed):
    """⟨COMMIT, v, n, d, i⟩σᵢ: "d is prepared at (v, n) at me" (§4.2)."""

    view: View
    seq: Seq
    digest: Digest
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Framed):
    """⟨CHECKPOINT, n, d, i⟩σᵢ: "executing up to n gave me the block whose hash is d" (§4.3)."""

    seq: Seq
    block_hash: Digest
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCertificate:
    """A quorum's CHECKPOINTs for one block: proof that the block is final, to replicas and clients alike (§4.3).

    `signatures`: (replica, signature) pairs in ascending order of the replica.
    """

    seq: Seq
    block_hash: Digest
    signatures: tuple[tuple[ReplicaId, Signature], ...]

    def votes(self) -> Iterator[Checkpoint]:
        """The CHECKPOINTs that it is made of."""
        for replica, signature in self.signatures:
            yield Checkpoint(seq=self.seq, block_hash=self.block_hash, replica=replica, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCertificate:
    """An element of P: the pre-prepare for (v, n, d), without its proposal, and matching PREPAREs (§4.4).

    `prepares`: (backup, signature) pairs in ascending order, a quorum together with the primary's pre-prepare.
    """

    pre_prepare: PrePrepare
    prepares: tuple[tuple[ReplicaId, Signature], ...]

    def votes(self) -> Iterator[Prepare]:
        """The PREPAREs that it is made of."""
        of = self.pre_prepare
        for replica, signature in self.prepares:
            yield Prepare(view=of.view, seq=of.seq, digest=of.digest, replica=replica, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChange:
    """⟨VIEW-CHANGE, v+1, n, C, P, i⟩σᵢ (§4.4).

    `stable`: n and C, None at the genesis block. `prepared`: P, one certificate for each sequence number above n that
    prepared at i, the one of the highest view, in ascending order.
    """

    view: View
    stable: CheckpointCertificate | None
    prepared: tuple[PreparedCertificate, ...]
    replica: ReplicaId
    signature: Signature

    @property
    def stable_seq(self) -> Seq:
        """n: the sequence number of i's stable checkpoint."""
        return self.stable.seq if self.stable else Seq(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    """⟨NEW-VIEW, v+1, V, O⟩σₚ (§4.4): V are a quorum's view changes, O the pre-prepares that follow from them."""

    view: View
    view_changes: tuple[ViewChange, ...]
    pre_prepares: tuple[PrePrepare, ...]
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """What the sender of a STATUS holds for one sequence number; the sets are bit masks over replica ids."""

    seq: Seq
    has_pre_prepare: bool
    prepares: int
    commits: int
    checkpoints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """⟨STATUS, v, active, h, e, S, i⟩σᵢ: where i is and what it lacks (TOCS'02 §5.2).

    `stable`: its stable checkpoint. `executed`: its newest block. Both with the block's hash, None for the genesis
    block, so that a fork is found wherever two of its branches meet. `slots`: what it has of those sequence numbers
    that have been unfinished for a while. `view_changes`: whose VIEW-CHANGE for `view` it holds, `convicted`: against
    whom it holds evidence, as bit masks.
    """

    view: View
    active: bool
    stable: Seq
    stable_hash: Digest | None = None
    executed: Seq
    executed_hash: Digest | None = None
    slots: tuple[SlotStatus, ...]
    view_changes: int
    convicted: int = 0
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """⟨RELAY, m…, i⟩σᵢ: transactions that clients gave to i, passed on (§4.2: "relays the request")."""

    transactions: tuple[Transaction, ...]
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Stable:
    """⟨STABLE, C, i⟩σᵢ: "this block is final, and your STATUS says you are behind it"."""

    certificate: CheckpointCertificate
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProposal:
    """⟨FETCH-PROPOSAL, n, d, i⟩σᵢ: "a new view assigns d to n and I do not have what d stands for"."""

    seq: Seq
    digest: Digest
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """⟨PROPOSED, n, m, i⟩σᵢ: the answer to FETCH-PROPOSAL. Its digest is the proof; the signature only names i."""

    seq: Seq
    proposal: Proposal
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBlocks:
    """⟨FETCH-BLOCKS, a, i⟩σᵢ: "send me the blocks from height a on" (§4.4)."""

    first: Seq
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """⟨BLOCKS, B, H, C, i⟩σᵢ: consecutive blocks, and what proves them.

    `blocks`: encoded blocks from the asked height on. `headers`: the encoded headers that follow the last of them,
    each linked to the one before by its hash, up to the one that `certificate` certifies; empty when that is the
    last block itself. The protocol core does not look inside (`ledger.chain` does).
    """

    first: Seq
    blocks: tuple[bytes, ...]
    headers: tuple[bytes, ...]
    certificate: CheckpointCertificate
    replica: ReplicaId
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """⟨TESTIMONY, m…, i⟩σᵢ: "these were signed by others; draw your conclusions".

    Two that stand together and contradict each other are evidence (`guilt`). A PRE-PREPARE comes without its proposal.
    """

    messages: tuple[PrePrepare | Prepare | Commit | Checkpoint | ViewChange | NewView, ...]
    replica: ReplicaId
    signature: Signature


Message = (
    PrePrepare
    | Prepare
    | Commit
    | Checkpoint
    | ViewChange
    | NewView
    | Status
    | Relay
    | Stable
    | FetchProposal
    | Proposed
    | FetchBlocks
    | Blocks
    | Testimony
)
"""Everything that one replica sends to another."""

Record = Message | PreparedCertificate | CheckpointCertificate
"""What has a frame of its own: each message, and the certificates that a store keeps by themselves."""
