"""TESTIMONY: telling others what a third replica signed, so that guilt becomes known to all and proven to anyone.

The paper has nothing of it: there a faulty replica is outvoted and forgotten. Four occasions:

- evidence that was found goes to all, and again to whoever says in its STATUS that it has none against that replica;
- a vote for another proposal than the one accepted here is contested: its sender gets the PRE-PREPARE that the primary
  sent here, so both halves of an equivocation hold both at once, and leave the view;
- where a peer's block differs from the one made here, there is a fork, which takes more than f traitors. It gets what
  made this one: if all its COMMITs are compared with all theirs, f+1 are convicted;
- a replica that must halt says before it goes what it remembers.
"""

from collections.abc import Iterable
from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq
from bftledger.pbft import wire
from bftledger.pbft.effects import Broadcast, Convict, Effect, Send
from bftledger.pbft.evidence import Evidence, bare
from bftledger.pbft.guilt import Signed
from bftledger.pbft.messages import Checkpoint, Commit, Message, Prepare, PrePrepare, Status, Testimony
from bftledger.pbft.state import State

PER_TICK: Final = 4
"""So many TESTIMONYs of a peer are heard, and so many about a fork sent, between two ticks of the shorter interval."""

START: Final = Seq(0)

_FRAME_BYTES: Final = wire.MAX_FRAME_BYTES - 4_096
"""What is testified in one message takes no more; two NEW-VIEWs of the largest kind stay where they were found."""


# ── evidence ──


def hear(state: State, message: Message) -> list[Effect]:
    """What follows from the signatures alone of an authentic message, whatever else becomes of it."""
    found = state.witness.see(message)
    if not found:
        return []
    told = message.messages if isinstance(message, Testimony) else ()
    untold = [new for new in found if not (new.first in told and new.second in told)]
    return [*map(Convict, found), *map(Broadcast, _testimonies(state, map(_pair, untold)))]


def is_heard_enough(state: State, peer: ReplicaId) -> bool:
    """Whether no more is heard of `peer` until the next tick: each signature takes time to check."""
    return state.heard[peer] >= PER_TICK * state.answers_per_tick


def announce(state: State, found: Iterable[Evidence]) -> list[Effect]:
    """Evidence that nobody was told of."""
    news = list(found)
    return [*map(Convict, news), *map(Broadcast, _testimonies(state, map(_pair, news)))]


def exposes_primary(state: State, message: Testimony) -> bool:
    """Whether it shows that the primary of the current view signed two proposals for one slot of it."""
    accepted = [slot.pre_prepare or slot.announced for slot in state.slots.values()]
    of_primary = [
        pre_prepare
        for pre_prepare in (*message.messages, *accepted)
        if isinstance(pre_prepare, PrePrepare)
        and pre_prepare.view == state.view
        and pre_prepare.replica == state.primary
    ]
    return len({(each.seq, each.digest) for each in of_primary}) > len({each.seq for each in of_primary})


# ── a vote for something else ──


def is_news(state: State, vote: Prepare | Commit) -> bool:
    """Whether it names another proposal than the one accepted here, and its sender was not heard on it before."""
    return _accepted_another(state, vote) is not None and not state.witness.knows(vote)


def contest(state: State, vote: Prepare | Commit) -> list[Effect]:
    """Shows whoever votes for another proposal what the primary sent here."""
    held = _accepted_another(state, vote)
    if held is None or not state.may_answer(vote.replica, (PrePrepare, vote.seq)):
        return []
    return [Send(vote.replica, testimony) for testimony in _testimonies(state, [(bare(held),)])]


def _accepted_another(state: State, vote: Prepare | Commit) -> PrePrepare | None:
    slot = state.slots.get(vote.seq)
    held = (slot.pre_prepare or slot.announced) if slot and vote.view == state.view else None
    return held if held is not None and held.digest != vote.digest else None


# ── a fork ──


def contest_block(state: State, vote: Checkpoint) -> list[Effect]:
    """Shows whoever executed another block what made the one here."""
    return disclose(state, vote.replica) if _differs(state, vote.seq, vote.block_hash) else []


def is_forked(state: State, peer: Status) -> bool:
    """Whether `peer` names another block than the one here, of the same height."""
    return _differs(state, peer.executed, peer.executed_hash) or _differs(state, peer.stable, peer.stable_hash)


def disclose(state: State, peer: ReplicaId) -> list[Effect]:
    """Sends all that made the newest blocks here, unless enough are convicted; lowest first, where the fork began."""
    enough = len(state.witness.convicted) >= state.group.weak_quorum
    if enough or not state.may_answer(peer, Testimony):
        return []
    memories = _memories(state, after=state.witness.agreed(peer))
    return [Send(peer, testimony) for testimony in _testimonies(state, memories)[:PER_TICK]]


def last_words(state: State) -> list[Testimony]:
    """What is told to all before this replica halts: it is its last chance."""
    known = map(_pair, state.witness.listed())
    return _testimonies(state, [*known, *_memories(state)])[:PER_TICK]


def _differs(state: State, seq: Seq, block_hash: Digest | None) -> bool:
    own = state.witness.blocks.get(seq)
    if own is None and state.stable is not None and state.stable.seq == seq:
        own = state.stable.block_hash
    return None not in (own, block_hash) and own != block_hash


def _memories(state: State, *, after: Seq = START) -> list[tuple[Signed, ...]]:
    witness = state.witness
    return [(signed,) for signed in (*witness.foundations(after, state.executed), *witness.new_views())]


# ── what a peer lacks ──


def for_peer(state: State, peer: Status) -> list[Testimony]:
    """One piece of evidence against each replica that is convicted here for a while, and not there."""
    lacking = [i for i in sorted(state.convicted_at_tick) if not peer.convicted >> i & 1]
    if not lacking:
        return []
    pieces = {found.replica: found for found in reversed(state.witness.listed())}
    return _testimonies(state, [_pair(pieces[i]) for i in lacking])


def _pair(found: Evidence) -> tuple[Signed, ...]:
    return found.first, found.second


def _testimonies(state: State, groups: Iterable[tuple[Signed, ...]]) -> list[Testimony]:
    """As few messages as hold all groups, none of which is divided; one that fits none is left out."""
    packed: list[list[Signed]] = []
    room = 0
    for group in groups:
        size = sum(len(wire.encode(signed)) + 8 for signed in group)
        if size > _FRAME_BYTES:
            continue
        if not packed or size > room or len(packed[-1]) + len(group) > wire.MAX_TESTIFIED:
            packed.append([])
            room = _FRAME_BYTES
        packed[-1] += group
        room -= size
    return [
        state.sign(Testimony(messages=tuple(messages), replica=state.me, signature=wire.UNSIGNED))
        for messages in packed
    ]
