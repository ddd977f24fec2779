"""Getting what is missing: proposals by their digest, blocks with their certificate (OSDI'99 §4.4; TOCS'02 has more).

Nothing fetched is believed without proof: a proposal must have the digest that a new view assigned, blocks must be
linked by their hashes to a block that a quorum certified. Blocks are asked of one peer at a time, the next after each
answer or when it is silent: a slow one costs its turns, no more; but its answer is still welcome, or who needs longer
for each than silence is borne would never catch up. A proposal is asked of who must have it, if correct.
"""

from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq
from bftledger.pbft import wire
from bftledger.pbft.effects import Effect, Ignored, Install, ReadBlocks, Send
from bftledger.pbft.events import BlocksRead
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.messages import (
    Blocks,
    FetchBlocks,
    FetchProposal,
    PrePrepare,
    Proposal,
    Proposed,
    ViewChange,
)
from bftledger.pbft.proposals import NULL_PROPOSAL
from bftledger.pbft.state import Fetch, State

BLOCKS_PER_TICK: Final = 16
"""A peer gets so many answers with blocks between two ticks of the shorter interval: enough to catch up quickly."""

BYTES_PER_TICK: Final = MAX_FRAME_BYTES
"""And no further answer, with blocks or a proposal, once those of this tick have so many bytes."""

MOST_DOUBLINGS: Final = 3
"""Who was asked for blocks has one tick to answer, or two, four, eight, if everybody was asked in vain so often."""

# ── proposals ──


def announced_with_proposal(state: State) -> list[tuple[PrePrepare, Proposal]]:
    """The pre-prepares of a new view whose proposals are here: they can be accepted now."""
    found: list[tuple[PrePrepare, Proposal]] = []
    if state.new_view is None:
        return found  # at nearly every step: only a new view announces
    for _, slot in sorted(state.slots.items()):
        if slot.announced is not None:
            digest = slot.announced.digest
            proposal = NULL_PROPOSAL if digest == NULL_PROPOSAL.digest else slot.proposals.get(digest)
            if proposal is not None:
                found.append((slot.announced, proposal))
    return found


def fetch_proposals(state: State) -> list[Effect]:
    """Asks for all proposals that are needed to begin a view, or to take part in one that began: whoever must have one,
    and one more in turn.

    A new primary asks f+1 of those whose VIEW-CHANGEs name it, in a view that began the backups ask their primary; then
    one of those who once signed for it, at each tick another.
    """
    asked: list[Effect] = []
    in_turn: list[Effect] = []
    for (seq, digest), (surely, perhaps) in sorted(_wanted(state).items()):
        message = state.sign(FetchProposal(seq=seq, digest=digest, replica=state.me, signature=wire.UNSIGNED))
        asked += [Send(peer, message) for peer in surely[: state.group.weak_quorum]]
        others = sorted(perhaps - {state.me, *surely})
        in_turn += [Send(others[state.tick % len(others)], message)] if others else []
    return asked + in_turn


def fetch_named(state: State, change: ViewChange) -> list[Effect]:
    """Asks the sender of a VIEW-CHANGE at once for what it names and this replica, the new primary, lacks."""
    asked: list[Effect] = []
    if change.view != state.view or not state.is_awaited:
        return asked
    wanted = _wanted(state)
    for lacking in state.lacks(change):
        senders = wanted.get((lacking.seq, lacking.digest), ([], set()))[0]
        if change.replica in senders and len(senders) <= state.group.weak_quorum:  # of f+1 one is correct
            message = FetchProposal(seq=lacking.seq, digest=lacking.digest, replica=state.me, signature=wire.UNSIGNED)
            asked.append(Send(change.replica, state.sign(message)))
    return asked


def _wanted(state: State) -> dict[tuple[Seq, Digest], tuple[list[ReplicaId], set[ReplicaId]]]:
    """What lacks here, who has it if correct, and who else may have it.

    Of numbers above the high watermark nothing is wanted: whoever correctly names one has shown a higher checkpoint.
    """
    wanted: dict[tuple[Seq, Digest], tuple[list[ReplicaId], set[ReplicaId]]] = {}
    if state.active:
        for seq, slot in state.slots.items():
            if slot.announced is not None:
                wanted[seq, slot.announced.digest] = [i for i in (state.primary,) if i != state.me], state.others
    elif state.is_awaited:
        for change in _changes_here(state):
            lacking = state.lacks(change)
            signers = {c.pre_prepare.seq: {i for i, _ in c.prepares} for c in change.prepared} if lacking else {}
            for each in lacking:
                if each.seq <= state.high:
                    senders, others = wanted.setdefault((each.seq, each.digest), ([], set()))
                    senders.append(change.replica)
                    others |= {each.replica, *signers[each.seq]}
    return wanted


def _changes_here(state: State) -> list[ViewChange]:
    return [change for _, change in sorted(state.view_changes.items()) if change.view == state.view]


def on_fetch_proposal(state: State, message: FetchProposal) -> list[Effect] | Ignored:
    """Answers with the proposal, if this replica has it; to each peer a bounded number of times."""
    slot = state.slots.get(message.seq)
    proposal = slot.proposals.get(message.digest) if slot else None
    if proposal is None or has_had_enough(state, message.replica) or not state.may_answer(message.replica, message.seq):
        return Ignored.NOT_NEEDED
    state.sent_bytes[message.replica] += len(proposal.encoded)
    answer = Proposed(seq=message.seq, proposal=proposal, replica=state.me, signature=wire.UNSIGNED)
    return [Send(message.replica, state.sign(answer))]


def proposed_refusal(state: State, message: Proposed) -> Ignored | None:
    """Why this PROPOSED can change nothing; None if a new view announced it, or waits for it."""
    seq, digest = message.seq, message.proposal.digest
    slot = state.slots.get(seq)
    if slot is not None and slot.announced is not None and slot.announced.digest == digest:
        return None
    return None if state.is_awaited and (seq, digest) in _wanted(state) else Ignored.NOT_ASKED


def has_had_enough(state: State, peer: ReplicaId) -> bool:
    """Whether `peer` gets no more blocks and proposals until the next tick."""
    return state.sent_bytes[peer] >= BYTES_PER_TICK * state.answers_per_tick


# ── blocks ──


def fetch_blocks(state: State) -> list[Effect]:
    """Asks a signer of the certificate, the next after the one asked last, for the next blocks.

    The primary comes last: it has most to do, and if anybody withheld something from this replica, it was the primary.
    """
    signers = sorted(_signers(state), key=lambda i: (i == state.primary, (i - state.me) % state.group.n))
    asked_last = state.fetch.peer if state.fetch else None
    peer = signers[(signers.index(asked_last) + 1) % len(signers) if asked_last in signers else 0]
    first, held = Seq(state.executed + 1), state.fetch
    asked = held.asked if held is not None and held.first == first else set()
    state.fetch = Fetch(peer, first, {*asked, peer}, state.tick, held.in_vain if held is not None else 0)
    return [Send(peer, state.sign(FetchBlocks(first=first, replica=state.me, signature=wire.UNSIGNED)))]


def fetch_again(state: State) -> list[Effect]:
    """A tick has passed without a new block: asks the next peer, once the last one had its time.

    Blocks are many bytes. Where all are slow to send them, asking each at every tick would make them slower still.
    """
    fetch = state.fetch
    if fetch is not None and fetch.first == state.executed + 1:
        signers = len(_signers(state))
        doublings = min(fetch.in_vain // signers, MOST_DOUBLINGS)
        if state.tick - fetch.tick < 1 << doublings:
            return []
        fetch.in_vain = min(fetch.in_vain + 1, MOST_DOUBLINGS * signers)
    return fetch_blocks(state)


def _signers(state: State) -> list[ReplicaId]:
    """Who can be asked for the blocks up to the stable checkpoint: a quorum, less this replica."""
    assert state.stable is not None
    return [i for i, _ in state.stable.signatures if i != state.me]


def follow(state: State) -> list[Effect]:
    """Fetches at once what can come no other way: votes for a block that is final are not accepted any more."""
    if not state.lagging or state.fetch is not None:
        return []
    slot = state.slots.get(Seq(state.executed + 1))
    return [] if slot is not None and slot.committed else fetch_blocks(state)


def on_fetch_blocks(state: State, message: FetchBlocks) -> list[Effect] | Ignored:
    """Reads what a lagging peer asks for, a bounded number of times; nothing if this replica is not further itself.

    Whoever asks has the certificate; it is asked because it signed it, and may not have it yet. Then it answers when it
    has it: else the peer would lag until it asks again, and if that is the primary, all would wait for it.
    """
    peer, first = message.replica, message.first
    if not 1 <= first <= state.executed:
        return Ignored.NOT_NEEDED
    if first > state.low:
        state.asked_early[peer] = (first, state.tick)
        return []
    return [ReadBlocks(peer, first)] if _may_read_for(state, peer) else Ignored.ASKED_TOO_OFTEN


def answer_early(state: State) -> list[Effect]:
    """Reads what peers asked for before there was a certificate here, if there is one now."""
    due = [(peer, first) for peer, (first, _) in state.asked_early.items() if first <= state.low]
    for peer, _ in due:
        del state.asked_early[peer]
    return [ReadBlocks(peer, first) for peer, first in due if _may_read_for(state, peer)]


def forget_early(state: State) -> None:
    """A tick has passed: who asked before the one before it has asked again, or needs nothing more."""
    state.asked_early = {peer: (first, at) for peer, (first, at) in state.asked_early.items() if at + 1 >= state.tick}


def _may_read_for(state: State, peer: ReplicaId) -> bool:
    return not has_had_enough(state, peer) and state.may_answer(peer, FetchBlocks, BLOCKS_PER_TICK)


def on_blocks_read(state: State, event: BlocksRead) -> list[Effect]:
    """Sends a lagging peer what the store had for it."""
    state.sent_bytes[event.to] += sum(map(len, event.blocks)) + sum(map(len, event.headers))
    answer = Blocks(
        first=event.first,
        blocks=event.blocks,
        headers=event.headers,
        certificate=event.certificate,
        replica=state.me,
        signature=wire.UNSIGNED,
    )
    return [Send(event.to, state.sign(answer))]


def blocks_refusal(state: State, message: Blocks) -> Ignored | None:
    """Why these blocks can change nothing; None if they are what was asked for, and still needed."""
    fetch = state.fetch
    if fetch is None or message.replica not in fetch.asked or fetch.first != message.first or not message.blocks:
        return Ignored.NOT_ASKED
    return None if message.first == state.executed + 1 else Ignored.NOT_NEEDED


def on_blocks(state: State, message: Blocks) -> list[Effect]:
    """Hands blocks that `blocks_refusal` let through to whoever can check and execute them."""
    assert state.fetch is not None, "they were asked for"
    state.fetch.asked.discard(message.replica)
    state.fetch.in_vain = max(0, state.fetch.in_vain - 1)
    return [Install(message)]


def after_install(state: State) -> list[Effect]:
    """Asks the next peer for more while there is more to have; the others are given less time again."""
    if state.lagging:
        if state.fetch is not None:
            state.fetch.in_vain //= 2
        return fetch_blocks(state)
    state.fetch = None
    return []
