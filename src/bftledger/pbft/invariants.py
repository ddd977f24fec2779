"""What is true of a replica after every step, one sentence each: checked in tests and simulation.

A broken one is a defect of this program, never the fault of a peer: hence assertions.
"""

from collections.abc import Mapping
from operator import lt
from typing import NamedTuple

from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.pbft import early
from bftledger.pbft.memory import ACTED_UPON, CHANGES, SPAN
from bftledger.pbft.messages import Commit, Prepare, PreparedCertificate
from bftledger.pbft.pool import Pool
from bftledger.pbft.proposals import NULL_PROPOSAL
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.state import Slot, State


class Past(NamedTuple):
    """What the next state is compared with."""

    view: View
    active: bool
    low: Seq
    executed: Seq
    next_seq: Seq


def remember(state: State) -> Past:
    """The past, before a step."""
    return Past(state.view, state.active, state.low, state.executed, state.next_seq)


def check(state: State, before: Past | None = None, *, with_pool: bool = True) -> None:
    """Raises `AssertionError` with the sentence that is not true of `state`, or of its way from `before`.

    `with_pool`: whether to count what the pool holds, which takes longest.
    """
    if before is not None:
        _check_progress(state, before)
    _check_watermarks(state)
    _check_view(state)
    _check_timers(state)
    for seq, slot in state.slots.items():
        assert slot.seq == seq, "a slot stands at its own sequence number"
        _check_slot(state, slot)
    if with_pool:
        check_pool(state.pool)
    for (view, replica, kind), kept in state.early.items():
        assert replica != state.me, "nobody keeps what it said itself"
        for seq, message in kept.items():
            said = message.view, message.replica, type(message), message.seq
            assert said == (view, replica, kind, seq), "each has its own seat"
            assert early.is_early(state, message), "what is kept is of a view that has not begun"
    assert len(state.answered) <= state.group.n * (4 * state.settings.window + 4), "what was answered is bounded"
    _check_witness(state)


def _check_witness(state: State) -> None:
    witness = state.witness
    numbers, changes, new_views = witness.memory.sizes()
    assert numbers <= SPAN + state.settings.window, "votes are remembered for a bounded number of blocks"
    assert changes <= CHANGES * state.group.n, "a few VIEW-CHANGEs of each replica are remembered"
    assert new_views <= CHANGES + ACTED_UPON + 1, "the NEW-VIEWs acted upon, and a few, are remembered"
    assert witness.convicted == {replica for replica, _ in witness.evidence}, "nobody is convicted without evidence"


def _check_progress(state: State, before: Past) -> None:
    assert state.view >= before.view, "views only grow"
    assert state.low >= before.low, "the stable checkpoint never goes back"
    assert state.executed >= before.executed, "what is executed is never undone"
    if state.view == before.view:
        assert state.active or not before.active, "a view that began here ends only with the next"
        if before.active:
            assert state.next_seq >= before.next_seq, "a primary never assigns a sequence number twice in a view"


def _check_watermarks(state: State) -> None:
    low, high = state.low, state.high
    if state.slots:
        assert max(state.slots) <= high, "no slot is above the high watermark"
        assert min(state.slots) > min(low, state.executed), "what is settled is forgotten"
    assert len(state.slots) <= 2 * state.settings.window, "the log is bounded"
    assert state.executed <= high, "nothing above the high watermark is executed"
    assert state.lagging == (low > state.executed), "who lags knows it"
    assert state.asked_early.keys() <= state.others, "each peer has one question that came too early, at most"
    if state.stable is not None:
        _check_signers([replica for replica, _ in state.stable.signatures], state, state.group.quorum)
    if state.fetch is not None:
        assert state.fetch.peer != state.me, "nobody fetches from itself"
        assert state.fetch.first <= state.executed + 1, "blocks are fetched from the newest one on"


def _check_view(state: State) -> None:
    for replica, change in state.view_changes.items():
        assert change.replica == replica, "a view change is its sender's"
        assert change.view >= state.view, "view changes for views that are over are forgotten"
        assert change.view > state.view or not state.active, "view changes for a view that began are forgotten"
        assert replica < state.group.n, "only members change views"
    if state.active:
        assert state.view == 0 or state.new_view is not None, "every view but the first begins with a NEW-VIEW"
        assert state.me not in state.view_changes, "who is in a view has not left it"
    else:
        own = state.view_changes.get(state.me)
        assert own is not None, "who left a view has its VIEW-CHANGE at hand, to send it again"
        assert own.view == state.view, "the VIEW-CHANGE is for the view that is awaited"
        assert state.new_view is None, "a view that is awaited has not begun"
    if state.new_view is not None:
        assert state.new_view.view == state.view, "the NEW-VIEW is the current view's"
    if state.is_primary:
        taken = [seq for seq, slot in state.slots.items() if slot.pre_prepare or slot.announced]
        assert state.next_seq > max([*taken, state.low]), "the next sequence number is above all that is assigned"


def _check_timers(state: State) -> None:
    assert not (state.active and state.new_view_timer_runs), "nobody waits for a view that began"
    assert state.is_primary or not state.batch_timer_runs, "only a primary gathers batches"
    if state.watched is not None:
        view, subject = state.watched
        assert view == state.view, "the request timer is the current view's"
        assert subject == state.waits_longest, "the request timer follows what has waited longest"
    else:
        assert not len(state.pool), "a pending transaction is watched"
        assert state.executed <= state.low, "a block without certificate is watched"
        if (following := state.slots.get(Seq(state.executed + 1))) is not None:
            assert not following.prepared, "what is prepared and is not executed is watched"
            assigned = [each.seq for each in state.new_view.pre_prepares] if state.new_view else []
            carried = following.pre_prepare is not None and following.seq in assigned
            assert not carried, "what a new view assigned, was accepted, and is not executed, is watched"


def _check_slot(state: State, slot: Slot) -> None:
    settings, group, me, view = state.settings, state.group, state.me, state.view
    primary = group.primary(view)
    pre_prepare = slot.pre_prepare
    if not state.active:
        assert pre_prepare is None, "a view that has not begun has no pre-prepares"
    if pre_prepare is not None:
        assert pre_prepare.view == view, "what was accepted is of the current view"
        assert pre_prepare.replica == primary, "what was accepted is the primary's"
        assert pre_prepare.proposal is not None, "what was accepted came with its proposal"
        assert pre_prepare.proposal.digest == pre_prepare.digest, "a digest stands for its own proposal"
        assert slot.announced is None, "what was accepted waits no more"
        if me != primary:
            assert slot.prepares[me].digest == pre_prepare.digest, "a backup prepared what it accepted"
    else:
        assert me not in slot.prepares, "nobody prepares what it did not accept"
        assert not slot.prepared, "nothing is prepared without a pre-prepare"
    if slot.announced is not None:
        assert state.new_view is not None, "only a new view announces"
        known = slot.proposals.keys() | {NULL_PROPOSAL.digest}
        assert slot.announced.digest not in known, "what is announced and known was accepted"
    assert primary not in slot.prepares, "a primary does not prepare its own proposal"
    for i, prepare in slot.prepares.items():
        assert (prepare.replica, prepare.view) == (i, view), "prepares fit"
    for i, commit in slot.commits.items():
        assert (commit.replica, commit.view) == (i, view), "commits fit"
    if slot.prepared:
        assert _matching(slot, slot.prepares) >= group.quorum - 1, "prepared: a quorum with the primary said so"
        assert me in slot.commits, "who is prepared has sent its COMMIT"
        assert slot.certificate is not None, "who is prepared can prove it"
        assert slot.certificate.pre_prepare.view == view, "the certificate is of the highest view"
    if me in slot.commits:
        assert slot.prepared, "a COMMIT implies prepared"
        assert pre_prepare is not None, "a COMMIT implies a pre-prepare"
        assert slot.commits[me].digest == pre_prepare.digest, "own PREPARE and COMMIT agree"
    if slot.committed:
        assert slot.prepared, "committed-local implies prepared"
        assert _matching(slot, slot.commits) >= group.quorum, "committed-local implies a quorum of COMMITs"
    if slot.certificate is not None:
        _check_certificate(state, slot, slot.certificate)
    assert len(slot.proposals) <= group.n, "remembered proposals are bounded"
    if (own := slot.checkpoints.get(me)) is not None:
        assert slot.seq <= state.executed, "a CHECKPOINT implies execution"
        assert own.block_hash == slot.block_hash, "a CHECKPOINT names the block that was made"
    assert slot.seq <= state.executed or slot.block_hash is None, "no block before its execution"
    assert slot.seq <= state.low + settings.window, "h < n ≤ H"


def _matching(slot: Slot, votes: Mapping[ReplicaId, Prepare | Commit]) -> int:
    """How many votes are for what was accepted: counted here, not asked of the predicates that are judged."""
    assert slot.pre_prepare is not None, "only what was accepted is prepared"
    digest = slot.pre_prepare.digest
    return [vote.digest for vote in votes.values()].count(digest)


def _check_certificate(state: State, slot: Slot, certificate: PreparedCertificate) -> None:
    assert certificate.pre_prepare.seq == slot.seq, "a prepared certificate is of its slot"
    assert certificate.pre_prepare.view <= state.view, "a prepared certificate is not of a later view"
    assert certificate.pre_prepare.proposal is None, "a prepared certificate carries no proposal"
    assert certificate.pre_prepare.digest in slot.proposals, "who prepared a proposal can hand it to others"
    _check_signers([replica for replica, _ in certificate.prepares], state, state.group.quorum - 1)


def _check_signers(signers: list[int], state: State, size: int) -> None:
    assert len(signers) == size, "a certificate has exactly the signatures that it needs"
    assert all(map(lt, signers, signers[1:])), "the signers of a certificate are distinct and in order"
    assert signers[-1] < state.group.n, "the signers of a certificate are members"


def check_pool(pool: Pool) -> None:
    """The pool's counts are those of what it holds."""
    if not len(pool):
        assert not pool.bytes, "an empty pool has no size"
        assert not pool.waiting.bytes, "nothing waits in an empty pool"
        assert not pool.shares(), "senders without pending transactions are forgotten"
        assert not pool.origins(), "only what is pending takes room"
        for room in pool.rooms().values():
            assert not room.count, "an empty pool has all its room"
            assert not room.bytes, "an empty pool has all its room"
        assert not pool.passing.passed_on(), "what is passed on is pending"
        return
    held, waiting = pool.pending(), pool.waiting.all()
    sizes = {tx.id: len(tx.encoded) for tx in held}
    assert pool.bytes == sum(sizes.values()), "the pool knows its size"
    assert pool.waiting.bytes == sum([len(tx.encoded) for tx in waiting]), "the pool knows the size of what waits"
    assert {tx.id for tx in waiting} <= sizes.keys(), "what waits is pending"
    aside = pool.waiting.aside()
    assert aside.keys() <= {tx.id for tx in waiting}, "what was set aside waits"
    assert pool.waiting.aside_bytes == sum([sizes[tx_id] for tx_id in aside]), "its size is known as well"
    shares, rooms, origins = pool.shares(), pool.rooms(), pool.origins()
    assert origins.keys() <= sizes.keys(), "only what is pending takes room"
    taken: dict[ReplicaId, list[int]] = {whose: [] for whose in rooms}
    for tx_id, whose in origins.items():
        taken[whose].append(sizes[tx_id])
    for whose, room in rooms.items():
        assert (room.count, room.bytes) == (len(taken[whose]), sum(taken[whose])), "every room knows what is in it"
        assert room.count <= room.max_count or room.count == 1, "no room holds more than it may"
    assert sum(shares.values()) == rooms[CLIENTS].count, "every transaction of a client's counts for its sender"
    assert min(shares.values(), default=1) > 0, "senders without pending transactions are forgotten"
    assert pool.passing.passed_on() <= sizes.keys(), "what is passed on is pending"
