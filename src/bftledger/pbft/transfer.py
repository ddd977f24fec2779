"""Getting what is missing: proposals by their digest, blocks with their certificate (OSDI'99 §4.4; TOCS'02 has more).

Nothing fetched is believed without proof: a proposal must have the digest that a new view assigned, blocks must be
linked by their hashes to a block that a quorum certified. One peer is asked at a time, the next after each answer or
when it is silent: a slow one costs its turns, no more.
"""

from typing import Final

from bftledger.base.ids import Seq
from bftledger.pbft import wire
from bftledger.pbft.effects import Broadcast, Effect, Ignored, Install, ReadBlocks, Send
from bftledger.pbft.events import BlocksRead
from bftledger.pbft.messages import Blocks, FetchBlocks, FetchProposal, PrePrepare, Proposal, Proposed
from bftledger.pbft.state import Fetch, State

BLOCKS_PER_TICK: Final = 16
"""A peer gets so many answers with blocks between two ticks of the shorter interval: enough to catch up quickly."""

# ── proposals ──


def announced_with_proposal(state: State) -> list[tuple[PrePrepare, Proposal]]:
    """The pre-prepares of a new view whose proposals are here: they can be accepted now."""
    found = []
    for _, slot in sorted(state.slots.items()):
        if slot.announced is not None:
            digest = slot.announced.digest
            proposal = wire.NULL_PROPOSAL if digest == wire.NULL_PROPOSAL.digest else slot.proposals.get(digest)
            if proposal is not None:
                found.append((slot.announced, proposal))
    return found


def fetch_proposals(state: State) -> list[Effect]:
    """Asks everybody for the proposals that a new view names and this replica does not have."""
    return [
        Broadcast(
            state.sign(FetchProposal(seq=seq, digest=slot.announced.digest, replica=state.me, signature=wire.UNSIGNED))
        )
        for seq, slot in sorted(state.slots.items())
        if slot.announced is not None
    ]


def on_fetch_proposal(state: State, message: FetchProposal) -> list[Effect] | Ignored:
    """Answers with the proposal, if this replica accepted it once; to each peer a bounded number of times."""
    slot = state.slots.get(message.seq)
    proposal = slot.proposals.get(message.digest) if slot else None
    if proposal is None or not state.may_answer(message.replica, message.seq):
        return Ignored.NOT_NEEDED
    answer = Proposed(seq=message.seq, proposal=proposal, replica=state.me, signature=wire.UNSIGNED)
    return [Send(message.replica, state.sign(answer))]


def proposed_refusal(state: State, message: Proposed) -> Ignored | None:
    """Why this PROPOSED can change nothing; None if it is what a new view announced."""
    slot = state.slots.get(message.seq)
    announced = slot.announced if slot else None
    return None if announced and announced.digest == message.proposal.digest else Ignored.NOT_ASKED


# ── blocks ──


def fetch_blocks(state: State) -> list[Effect]:
    """Asks a signer of the certificate, the next after the one asked last, for the next blocks."""
    assert state.stable is not None
    signers = [i for i, _ in state.stable.signatures if i != state.me]
    last = state.fetch.peer if state.fetch else state.me
    peer = min(signers, key=lambda i: (i - last - 1) % state.group.n)
    first = Seq(state.executed + 1)
    state.fetch = Fetch(peer, first)
    return [Send(peer, state.sign(FetchBlocks(first=first, replica=state.me, signature=wire.UNSIGNED)))]


def follow(state: State) -> list[Effect]:
    """Fetches at once what can come no other way: votes for a block that is final are not accepted any more."""
    slot = state.slots.get(Seq(state.executed + 1))
    if not state.lagging or state.fetch is not None or (slot is not None and slot.committed):
        return []
    return fetch_blocks(state)


def on_fetch_blocks(state: State, message: FetchBlocks) -> list[Effect] | Ignored:
    """Reads what a lagging peer asks for, a bounded number of times; nothing if this replica is not further itself."""
    if not 1 <= message.first <= min(state.executed, state.low):
        return Ignored.NOT_NEEDED
    if not state.may_answer(message.replica, FetchBlocks, BLOCKS_PER_TICK):
        return Ignored.ASKED_TOO_OFTEN
    return [ReadBlocks(message.replica, message.first)]


def on_blocks_read(state: State, event: BlocksRead) -> list[Effect]:
    """Sends a lagging peer what the store had for it."""
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
    if fetch is None or fetch.peer != message.replica or fetch.first != message.first or not message.blocks:
        return Ignored.NOT_ASKED
    return None if message.first == state.executed + 1 else Ignored.NOT_NEEDED


def on_blocks(state: State, message: Blocks) -> list[Effect]:
    """Hands blocks that `blocks_refusal` let through to whoever can check and execute them."""
    return [Install(message)]


def after_install(state: State) -> list[Effect]:
    """Asks the next peer for more while there is more to have."""
    if state.lagging:
        return fetch_blocks(state)
    state.fetch = None
    return []
