"""A replica's protocol state: the paper's variables, and the predicates over them (§4.2, §4.3).

Only the phases change it (`normal`, `checkpoint`, `view_change`, `transfer`), one event at a time.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from bftledger.base.crypto import Signer
from bftledger.base.group import Group
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId, View
from bftledger.pbft import wire
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    ViewChange,
)
from bftledger.pbft.pace import Pace
from bftledger.pbft.passing import START, Moment
from bftledger.pbft.pool import Pool
from bftledger.pbft.proposals import NULL_PROPOSAL
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import suspicion_timeout
from bftledger.pbft.witness import Witness

FORGIVEN_PER_TICK: Final = 512
"""So many transactions may a peer pass on in vain between two ticks of the shorter interval."""

HEARD_PER_TICK: Final = 256 * 1024
"""So many bytes that matter only for guilt are heard of a peer between two ticks of the shorter interval, and one frame
more, which the next ones make up for. Each signature in them is 64 bytes that take time to check."""

TOLD_PER_TICK: Final = HEARD_PER_TICK // 2
"""Likewise is a peer told, so that it has room for all of it: its ticks and those here are not in step."""


@dataclass(slots=True)
class Slot:
    """The log's entry for one sequence number.

    `pre_prepare`, `prepares`, `commits`, `prepared`, `committed` are of the current view; the rest outlives views.
    """

    seq: Seq
    pre_prepare: PrePrepare | None = None
    """Accepted here, with its proposal; in a new view it may stand in `announced` until the proposal is here."""
    announced: PrePrepare | None = None
    prepares: dict[ReplicaId, Prepare] = field(default_factory=dict)
    commits: dict[ReplicaId, Commit] = field(default_factory=dict)
    prepared: bool = False
    committed: bool = False

    certificate: PreparedCertificate | None = None
    """The prepared certificate of the highest view: what a view change must carry."""
    proposals: dict[Digest, Proposal] = field(default_factory=dict)
    """What was accepted here in any view, or fetched for a new one: a new view may assign it again."""
    checkpoints: dict[ReplicaId, Checkpoint] = field(default_factory=dict)
    block_hash: Digest | None = None
    """Of the block that was executed here."""

    @property
    def is_under_way(self) -> bool:
        """Whether the current view has begun to decide it, or others have executed it."""
        return bool(self.pre_prepare or self.announced or self.prepares or self.commits or self.checkpoints)

    def leave_view(self) -> None:
        """Votes of one view count for nothing in the next; certificates and proposals do."""
        self.pre_prepare = self.announced = None
        self.prepares.clear()
        self.commits.clear()
        self.prepared = self.committed = False


@dataclass(slots=True)
class Fetch:
    """The blocks from `first` on were asked for. Whoever was asked may answer, however many were asked since."""

    peer: ReplicaId
    """Who was asked last, at this `tick`."""
    first: Seq
    asked: set[ReplicaId]
    """Who has not answered."""
    tick: int = 0
    in_vain: int = 0
    """How many had not answered when another was asked, less those who have answered since."""


@dataclass(slots=True)
class State:
    """Everything one replica knows of the protocol."""

    me: ReplicaId
    group: Group
    settings: Settings
    signer: Signer
    pool: Pool
    ahead_ms: Millis = Millis(0)
    """What was created later than so long after this clock, others may still refuse."""

    view: View = View(0)
    active: bool = True
    """False from this replica's VIEW-CHANGE for `view` until that view's NEW-VIEW."""

    slots: dict[Seq, Slot] = field(default_factory=dict)
    stable: CheckpointCertificate | None = None
    """The newest certificate known; its block may still be ahead of what is executed here."""
    executed: Seq = Seq(0)
    executed_hash: Digest = Digest(b"")
    next_seq: Seq = Seq(1)
    """What this replica would assign next as primary."""
    batch_due: bool = False
    batch_timer_runs: bool = False

    early: dict[tuple[View, ReplicaId, type], dict[Seq, PrePrepare | Prepare | Commit]] = field(default_factory=dict)
    """What came of views that have yet to begin here (`early`), by view, sender and kind."""
    early_at: tuple[View, bool] = (View(0), True)
    """The view, and whether it was active, when that was last looked through."""
    view_changes: dict[ReplicaId, ViewChange] = field(default_factory=dict)
    """The newest VIEW-CHANGE of each replica, for the current view or a later one."""
    new_view: NewView | None = None
    """What began the current view; None in view 0."""
    new_view_timer_runs: bool = False
    failed_views: int = 0
    """Views left since a transaction was last ordered: the first new view is given T, the next 2T, 4T …"""

    watched: tuple[View, TxId | Seq] | None = None
    """The view, and the transaction or sequence number, that the request timer runs for."""
    now: Millis = Millis(0)
    """What the clock said when the present step began. It may jump."""
    tick: int = 0
    """How often the status timer ran out."""
    pace: Pace = field(default_factory=Pace)
    work: int = 0
    """What primaries had decided in their views, in thousandths of a full batch (`suspicion.work`)."""
    taken: int = START.taken
    """What that cost them in turns (`turns.cost_of`) that waited in their own pools: not what a new view carried over.
    """
    watched_since: Moment = START
    """When the request timer's subject became the oldest."""
    work_at_start: int = 0
    """What `work` was when the time began that the request timer measures."""
    batch_done: Moment = START
    """When a primary had last ordered the whole of one batch."""
    excused: Moment = START
    """Nothing that was left undone before counts: this replica was cut off, or fetched what it had missed then."""
    rejoins: bool = False
    """It was cut off, and has executed no block since but what it fetched."""
    unjudged: bool = False
    """A tick has come, and the primary was not judged at it, because this replica lagged: it will be."""
    overdue: tuple[View, TxId | Seq] | None = None
    """Likewise the request timer ran out for this."""
    unheard: set[ReplicaId] = field(default_factory=set)
    """Whom this replica has not heard since its restart, or since the request timer started for its subject."""
    cut_off: bool = False
    """Too few were heard for as long as the request timer runs, or since the restart, and a quorum was not since."""
    fetch: Fetch | None = None
    asked_early: dict[ReplicaId, tuple[Seq, int]] = field(default_factory=dict)
    """Who asked for blocks from which number on, and at which tick, that were executed here and had no certificate."""
    stable_at_tick: Seq = Seq(0)
    executed_at_tick: Seq = Seq(0)
    known_at_tick: Seq = Seq(0)
    answered: Counter[tuple[ReplicaId, object]] = field(default_factory=Counter)
    """How often what was sent again to whom since the last tick."""
    sent_bytes: Counter[ReplicaId] = field(default_factory=Counter)
    """The size of the blocks and proposals that each got for its asking since the last tick."""
    wasted: Counter[ReplicaId] = field(default_factory=Counter)
    """How many transactions each passed on that could not be taken; at every tick some of them are forgiven."""
    answers_per_tick: int = 1
    """So often is enough: as often as a peer can ask with good reason before the next tick."""
    witness: Witness = field(default_factory=Witness)
    convicted_at_tick: frozenset[ReplicaId] = frozenset()
    heard: Counter[ReplicaId] = field(default_factory=Counter)
    """How many bytes each handed over that matter only for guilt; at every tick some of them are forgiven."""
    told: Counter[ReplicaId] = field(default_factory=Counter)
    """How many bytes of TESTIMONYs each was sent for its STATUS; at every tick some of them count no more."""
    disclosed: Counter[ReplicaId] = field(default_factory=Counter)
    """How many TESTIMONYs about a fork each was sent: the next one is their successor."""
    idle: bool = False
    """The status timer was started for the longer time, because nothing was unfinished."""
    delivering: bool = False
    """A `Deliver` is not answered yet."""

    @property
    def low(self) -> Seq:
        """h, the low watermark: the sequence number of the last stable checkpoint (§4.3)."""
        return self.stable.seq if self.stable else Seq(0)

    @property
    def high(self) -> Seq:
        """H = h + L, the high watermark (§4.3)."""
        return Seq(self.low + self.settings.window)

    @property
    def primary(self) -> ReplicaId:
        """The primary of the current view."""
        return self.group.primary(self.view)

    @property
    def is_primary(self) -> bool:
        """Whether this replica leads the current view, and the view has begun."""
        return self.active and self.group.primary(self.view) == self.me

    @property
    def is_awaited(self) -> bool:
        """Whether this replica is the primary of a view that has not begun."""
        return not self.active and self.primary == self.me

    @property
    def others(self) -> set[ReplicaId]:
        """All replicas but this one."""
        return set(self.group.replicas) - {self.me}

    @property
    def moment(self) -> Moment:
        """This point in the replica's run."""
        return Moment(self.tick, self.work, self.taken)

    @property
    def latest(self) -> Millis:
        """What was created later others may still refuse."""
        return Millis(self.now + self.ahead_ms)

    @property
    def lagging(self) -> bool:
        """Whether a block is known to be final that has not been executed here."""
        return self.stable is not None and self.stable.seq > self.executed

    @property
    def alone(self) -> bool:
        """Whether too few were heard, since the request timer started, to decide anything with this replica."""
        return len(self.unheard) > self.group.n - self.group.quorum

    @property
    def waits_longest(self) -> TxId | Seq | None:
        """The oldest pending transaction; if there is none, the first executed block that no quorum has certified; if
        there is none either, the next number to be executed, if it `is_expected`."""
        if (oldest := self.pool.oldest()) is not None:
            return oldest.id
        if self.executed > self.low:
            return Seq(self.low + 1)
        slot = self.slots.get(Seq(self.executed + 1))
        return slot.seq if slot is not None and self.is_expected(slot) else None

    def is_expected(self, slot: Slot) -> bool:
        """Whether another may have executed it, which takes f+1 correct replicas that have prepared it: it is prepared
        here, or the NEW-VIEW of this view, which all get, assigned it and it was accepted here."""
        return slot.prepared or (slot.pre_prepare is not None and slot.seq <= self.carried_over)

    @property
    def carried_over(self) -> Seq:
        """max-s: the last number that the NEW-VIEW of this view assigned (§4.4); 0 if it assigned none."""
        assigned = self.new_view.pre_prepares if self.new_view else ()
        return assigned[-1].seq if assigned else Seq(0)

    def slot(self, seq: Seq) -> Slot:
        """The log's entry for `seq`, made if there is none."""
        slot = self.slots.get(seq)
        if slot is None:
            slot = self.slots[seq] = Slot(seq)
        return slot

    def forget_settled(self) -> Seq:
        """Discards what the stable checkpoint settles (§4.3) and what this replica needs no more to get there.

        Slots that are stable but not executed stay, because they may be about to execute, unless the replica is so far
        behind that it must fetch the blocks anyway. Returns up to where it discards; a store may do the same, as all
        of it is below a certificate.
        """
        settled = self.low if self.low > self.executed + self.settings.window else min(self.low, self.executed)
        for seq in [seq for seq in self.slots if seq <= settled]:
            del self.slots[seq]
        return settled

    def may_answer(self, peer: ReplicaId, what: object, times: int = 1) -> bool:
        """Whether to send `peer` something large, again; counts it. A peer that keeps asking costs only so much."""
        self.answered[peer, what] += 1
        return self.answered[peer, what] <= times * self.answers_per_tick

    def proposal(self, seq: Seq, digest: Digest) -> Proposal | None:
        """What `digest` stands for at `seq`, if it is known here."""
        if digest == NULL_PROPOSAL.digest:
            return NULL_PROPOSAL
        slot = self.slots.get(seq)
        return slot.proposals.get(digest) if slot else None

    def forgive(self) -> None:
        """A tick has passed: what peers passed on in vain, testified, and were told counts less."""
        self.wasted = _less(self.wasted, FORGIVEN_PER_TICK * self.answers_per_tick)
        self.heard = _less(self.heard, HEARD_PER_TICK * self.answers_per_tick)
        self.told = _less(self.told, TOLD_PER_TICK * self.answers_per_tick)

    def lacks(self, change: ViewChange) -> list[PrePrepare]:
        """What P names above the low watermark and this replica could not propose again, for want of the proposal."""
        named = (certificate.pre_prepare for certificate in change.prepared)
        return [each for each in named if each.seq > self.low and self.proposal(each.seq, each.digest) is None]

    def remember(self, slot: Slot, proposal: Proposal) -> None:
        """Keeps what a digest stands for until the slot is settled: the n latest, and never less than is needed.

        Needed is what was accepted in this view, what this replica can prove to be prepared, and what a VIEW-CHANGE
        for the view that it waits for, one of each replica, names: so these are never more than n at once.
        """
        slot.proposals.pop(proposal.digest, None)
        slot.proposals[proposal.digest] = proposal
        if len(slot.proposals) > self.group.n:
            needed = self._needed(slot)
            del slot.proposals[next(digest for digest in slot.proposals if digest not in needed)]

    def _needed(self, slot: Slot) -> set[Digest]:
        needed = {slot.pre_prepare.digest} if slot.pre_prepare else set()
        if slot.certificate:
            needed.add(slot.certificate.pre_prepare.digest)
        if not self.active:
            shown = (certificate for change in self.view_changes.values() for certificate in change.prepared)
            needed |= {each.pre_prepare.digest for each in shown if each.pre_prepare.seq == slot.seq}
        return needed

    def sign(self, message: wire.M) -> wire.M:
        """`message` with this replica's signature."""
        return wire.sign(message, self.signer, self.group.genesis_hash)

    def suspicion_timeout(self) -> Millis:
        """How long the oldest pending transaction, or a new view, may take now."""
        return suspicion_timeout(self.settings, max(self.failed_views - 1, 0))

    # ── the paper's predicates ──

    def is_prepared(self, slot: Slot) -> bool:
        """prepared(m, v, n, i): m is in the log, with a pre-prepare for it and 2f PREPAREs from different backups that
        match it (§4.2); the pre-prepare stands for the primary in the quorum."""
        if slot.pre_prepare is None:
            return False
        digest = slot.pre_prepare.digest
        matching = sum([vote.digest == digest for vote in slot.prepares.values()])
        return matching >= self.group.quorum - 1

    def is_committed_local(self, slot: Slot) -> bool:
        """committed-local(m, v, n, i): prepared, and 2f+1 COMMITs, perhaps its own, that match (§4.2)."""
        if slot.pre_prepare is None or not slot.prepared:
            return False
        digest = slot.pre_prepare.digest
        return sum([vote.digest == digest for vote in slot.commits.values()]) >= self.group.quorum


def _less(counts: Counter[ReplicaId], by: int) -> Counter[ReplicaId]:
    return Counter({peer: count - by for peer, count in counts.items() if count > by})
