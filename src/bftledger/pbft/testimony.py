"""TESTIMONY: telling others what a third replica signed, so that guilt becomes known to all and proven to anyone.

The paper has nothing of it: there a faulty replica is outvoted and forgotten. Four occasions:

- evidence that was found goes to all, and again to whoever says in its STATUS that it has none against that replica;
- a vote for another proposal than the one accepted here is contested: its sender gets the PRE-PREPARE that the primary
  sent here, so both halves of an equivocation hold both at once, and leave the view;
- where a peer's block differs from the one made here, there is a fork, which takes more than f traitors. It gets what
  made this one: if all its COMMITs are compared with all theirs, f+1 are convicted;
- a replica that must halt says before it goes what it remembers.

What a replica testifies holds nothing that it signed itself. Others have that from itself, and of its last round, which
a halt undoes, they shall not have it: after a restart it knows nothing of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq
from bftledger.pbft import kinds, wire
from bftledger.pbft.effects import Broadcast, Convict, Effect, Send
from bftledger.pbft.evidence import Evidence, bare
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.guilt import Signed
from bftledger.pbft.messages import Checkpoint, Commit, Message, NewView, Prepare, PrePrepare, Status, Testimony
from bftledger.pbft.state import HEARD_PER_TICK, TOLD_PER_TICK, State

START: Final = Seq(0)

_FRAME_BYTES: Final = MAX_FRAME_BYTES - 4_096
"""What is testified in one message takes no more; two NEW-VIEWs of the largest kind stay where they were found."""

_HEAD_BYTES: Final = 8
"""What a frame within a frame takes beside itself."""


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
    """Whether no more about guilt is heard of `peer` until the next tick: each signature takes time to check."""
    return state.heard[peer] >= HEARD_PER_TICK * state.answers_per_tick


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


def told_in(message: Message) -> Iterator[Signed]:
    """What is told of others in a message, if anything: in a TESTIMONY, and in the NEW-VIEWs there."""
    for told in message.messages if isinstance(message, Testimony) else ():
        yield told
        if isinstance(told, NewView):
            yield from told.view_changes
            yield from told.pre_prepares


# ── a vote for something else ──


def is_news(state: State, vote: Prepare | Commit) -> bool:
    """Whether it names another proposal than the one accepted here, and its sender was not heard on it before."""
    return _accepted_another(state, vote) is not None and not state.witness.memory.knows(vote)


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
    """Sends what made the newest blocks here, lowest first, where the fork began: as much at a time as `peer` hears.

    Whoever else is convicted: old evidence says nothing of this fork, and there may be more who made it.
    """
    if not state.may_answer(peer, Testimony):
        return []
    parts = _parts(state, _memories(state, after=state.witness.memory.agreed(peer)))
    start = state.disclosed[peer] % len(parts) if parts else 0
    told = _tell(state, peer, [*parts[start:], *parts[:start]])
    state.disclosed[peer] = start + len(told)
    return [Send(peer, testimony) for testimony in told]


def last_words(state: State) -> list[Testimony]:
    """What is told to all before this replica halts, as much as they hear: it is its last chance."""
    parts = _parts(state, [*map(_pair, state.witness.listed()), *_memories(state)])
    before = accumulate((part.size for part in parts), initial=0)
    return [_testimony(state, part) for part, size in zip(parts, before, strict=False) if size < TOLD_PER_TICK]


def _differs(state: State, seq: Seq, block_hash: Digest | None) -> bool:
    own = state.witness.memory.blocks.get(seq)
    if own is None and state.stable is not None and state.stable.seq == seq:
        own = state.stable.block_hash
    return None not in (own, block_hash) and own != block_hash


def _memories(state: State, *, after: Seq = START) -> list[tuple[Signed, ...]]:
    """What can prove a fork, above all; of a NEW-VIEW of its own, which it does not pass on, what others signed."""
    memory, new_views = state.witness.memory, state.witness.memory.new_views()
    used = [change for new_view in new_views if new_view.replica == state.me for change in new_view.view_changes]
    memories = (
        *memory.foundations(after, state.executed),
        *new_views,
        *used,
        *memory.commits(after, state.executed),
    )
    return [(signed,) for signed in memories]


# ── what a peer lacks ──


def for_peer(state: State, peer: Status) -> list[Testimony]:
    """One piece of evidence against each replica that is convicted here for a while, and not there."""
    lacking = [i for i in sorted(state.convicted_at_tick) if not peer.convicted >> i & 1]
    if not lacking:
        return []
    pieces = (_pair(state.witness.smallest[i]) for i in lacking)
    return _tell(state, peer.replica, _parts(state, pieces))


def _pair(found: Evidence) -> tuple[Signed, ...]:
    return found.first, found.second


# ── in frames ──


@dataclass(slots=True)
class _Part:
    """What goes into one TESTIMONY, `size` bytes."""

    messages: list[Signed] = field(default_factory=list)
    slots: set[tuple[object, ...]] = field(default_factory=set)
    size: int = 0


def _tell(state: State, peer: ReplicaId, parts: Iterable[_Part]) -> list[Testimony]:
    """As many of these, in this order, as `peer` should be told until the next tick."""
    told: list[Testimony] = []
    for part in parts:
        if state.told[peer] >= TOLD_PER_TICK * state.answers_per_tick:
            break
        state.told[peer] += part.size
        state.sent_bytes[peer] += part.size
        told.append(_testimony(state, part))
    return told


def _testimonies(state: State, groups: Iterable[tuple[Signed, ...]]) -> list[Testimony]:
    return [_testimony(state, part) for part in _parts(state, groups)]


def _testimony(state: State, part: _Part) -> Testimony:
    return state.sign(Testimony(messages=tuple(part.messages), replica=state.me, signature=wire.UNSIGNED))


def _parts(state: State, groups: Iterable[tuple[Signed, ...]]) -> list[_Part]:
    """As few as hold all groups, none of which is divided; one that fits no frame is left out.

    A message by itself is in one of them only, and none of this replica's own is in any.
    """
    parts: list[_Part] = []
    alone: set[tuple[object, ...]] = set()
    for group in groups:
        slots = {kinds.testified_slot(signed) for signed in group}
        if any(signed.replica == state.me for signed in group) or (len(group) == 1 and slots <= alone):
            continue
        size = sum(len(wire.encode(signed)) + _HEAD_BYTES for signed in group)
        if size > _FRAME_BYTES:
            continue
        alone |= slots if len(group) == 1 else set()
        last = parts[-1] if parts else None
        if (
            last is None
            or last.size + size > kinds.MAX_TESTIMONY_BYTES
            or len(last.messages) + len(group) > kinds.MAX_TESTIFIED
            or slots & last.slots
        ):
            last = _Part()
            parts.append(last)
        last.messages += group
        last.slots |= slots
        last.size += size
    return parts
