"""Primaries of new views that begin them wrongly, twice, too early, with what is over, or not at all (OSDI'99 §4.4)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.adversary.behaviours.view_change import new_view, own_change
from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.messages import Message, NewView, PrePrepare, ViewChange
from bftledger.pbft.proposals import NULL_PROPOSAL
from bftledger.pbft.view_change import re_proposals

REMEMBERED: Final = 32
TIMEOUT: Final = "A backup that waits for a NEW-VIEW in vain goes on to the next view, each time after twice as long"
O_WRONG: Final = ("dropped", "added", "digest", "null", "gap")
V_WRONG: Final = ("repeated", "few", "view", "disorder", "forged")


class Leading(Behaviour, ABC):
    """As the primary of a new view it says something else than its core's NEW-VIEW."""

    @abstractmethod
    def instead(self, to: ReplicaId, message: NewView) -> Iterable[Message | bytes]:
        """What one receiver gets instead of its core's NEW-VIEW."""

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if isinstance(message, NewView) and message.replica == self.scene.me:
            return self.instead(to, message)
        return (message,)


class WrongNewView(Leading):
    """Begins a view with what does not follow."""

    name = "wrong-new-view"
    does = (
        "As the primary of a new view it sends an O that does not follow from V (assignments dropped, added, changed, "
        "nulled) or a V that is no quorum's (senders repeated or missing, of another view, forged)."
    )
    stopped_by = f"Every backup recomputes O from V, and V must be 2f+1 view changes for that view (§4.4). {TIMEOUT}."
    shows = "A wrong O is ignored, a wrong V is dropped; the next view begins, and decides what this one should have."
    takes = f"{', '.join(O_WRONG)}, {', '.join(V_WRONG[:-1])} or {V_WRONG[-1]}; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._wrong()

    def _wrong(self) -> str:
        return self.choose_from(*O_WRONG, *V_WRONG)

    def instead(self, to: ReplicaId, message: NewView) -> Iterable[Message | bytes]:
        wrong = self._wrong()
        yield self._other_o(message, wrong) if wrong in O_WRONG else self._other_v(message, wrong)

    def _other_o(self, message: NewView, wrong: str) -> NewView:
        stable, right = re_proposals(message.view_changes)
        free = right[-1][0] + 1 if right else (stable.seq if stable else 0) + 1
        junk = tagged_hash("a lie", free.to_bytes(8, "big"))
        if wrong == "dropped" and right:
            return self._assigned(message, right[:-1])
        if wrong == "digest" and right:
            return self._assigned(message, [(right[0][0], junk), *right[1:]])
        if wrong == "null" and any(digest != NULL_PROPOSAL.digest for _, digest in right):
            return self._assigned(message, [(seq, NULL_PROPOSAL.digest) for seq, _ in right])
        if wrong == "gap":
            return self._assigned(message, [*right, (free + 1, junk)])
        return self._assigned(message, [*right, (free, self.scene.chance.choice((junk, NULL_PROPOSAL.digest)))])

    def _assigned(self, message: NewView, assigned: Iterable[tuple[int, Digest]]) -> NewView:
        """The same NEW-VIEW with another O."""
        pre_prepares = tuple(self.scene.vote(PrePrepare, message.view, Seq(seq), digest) for seq, digest in assigned)
        return self.scene.sign(replace(message, pre_prepares=pre_prepares))

    def _other_v(self, message: NewView, wrong: str) -> NewView:
        changes = message.view_changes
        if not changes:  # another behaviour has left nothing to falsify
            return message
        match wrong:
            case "repeated":
                changes = (changes[0],) * len(changes)
            case "few":
                changes = changes[1:]
            case "view":
                other = View(message.view + self.scene.chance.choice((-1, 1)))
                changes = tuple(own_change(self.scene, other) if c.replica == self.scene.me else c for c in changes)
            case "disorder":
                changes = changes[::-1]
            case _:
                changes = tuple(c if c.replica == self.scene.me else replace(c, prepared=()) for c in changes)
                changes = (*changes[:-1], replace(changes[-1], signature=wire.UNSIGNED))
        return self.scene.sign(replace(message, view_changes=changes))


class SilentNewView(Leading):
    """Lets the group wait for it."""

    name = "silent-new-view"
    does = "As the primary of a new view it never sends the NEW-VIEW."
    stopped_by = f"{TIMEOUT} (§4.5.2)."
    shows = "The group goes one view further."

    def instead(self, to: ReplicaId, message: NewView) -> Iterable[Message | bytes]:
        return ()


class PartialNewView(Behaviour):
    """Begins a view with just as many as it needs."""

    name = "partial-new-view"
    does = "As the primary of a new view it keeps the NEW-VIEW, and all it says in that view, from some replicas."
    stopped_by = "Anybody may pass on a NEW-VIEW, as its signatures speak for themselves; STATUS makes others do it."
    shows = "All get into the view, or to the next one."
    takes = "those replicas, separated by commas; the first f others without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._kept_out = self.replicas() or scene.others[: scene.group.f]

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        state = self.scene.state
        if to in self._kept_out and state.view > 0 and state.is_primary:
            return ()
        return (message,)


class SplitNewView(Leading):
    """Begins a view in two ways, each of them right.

    V may be any quorum's view changes. So it leaves out one of those that have certificates, or hides its own, for one
    half of the group; O follows from V each time.
    """

    name = "split-new-view"
    does = "As the primary of a new view it sends valid NEW-VIEWs that differ to the two halves of the group."
    stopped_by = "What may have been committed is in every O; of the rest no quorum accepts the same (§4.4, §4.2)."
    shows = "One ledger; another view change if what the halves accepted differs."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._changes: dict[View, dict[ReplicaId, ViewChange]] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, ViewChange) and self.scene.group.primary(message.view) == self.scene.me:
            self._changes.setdefault(message.view, {})[message.replica] = message
            while len(self._changes) > REMEMBERED:
                del self._changes[min(self._changes)]
        return ()

    def instead(self, to: ReplicaId, message: NewView) -> Iterable[Message | bytes]:
        others = self.scene.others
        if to in others[: len(others) // 2]:
            yield message
        else:
            yield new_view(self.scene, message.view, self._other_quorum(message))

    def _other_quorum(self, message: NewView) -> tuple[ViewChange, ...]:
        """Those that know least."""
        known = {c.replica: c for c in message.view_changes} | self._changes.get(message.view, {})
        own = own_change(self.scene, message.view)
        known[self.scene.me] = self.scene.sign(replace(own, stable=None, prepared=()))
        least = sorted(known.values(), key=lambda c: (len(c.prepared), c.stable_seq, c.replica))
        chosen = least[: self.scene.group.quorum]
        return tuple(sorted(chosen, key=lambda c: c.replica))


class StaleNewView(Behaviour):
    """Begins over and over what is over."""

    name = "stale-new-view"
    does = "It repeats NEW-VIEWs of views that have begun or are over, its own and other primaries'."
    stopped_by = "Views only grow: a NEW-VIEW for a view that is over, or has begun, changes nothing (§4.4)."
    shows = "They are ignored as of a view that is over."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._known: dict[View, NewView] = {}

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        self._remember(message)
        yield message

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        self._remember(message)
        return ()

    def tick(self) -> Iterable[Frame]:
        old = [message for view, message in self._known.items() if view <= self.scene.state.view]
        if not self.scene.is_calm:
            for to in self.scene.others if old else ():
                yield to, self.scene.chance.choice(old)

    def _remember(self, message: Message) -> None:
        if isinstance(message, NewView) and len(self._known) < REMEMBERED:
            self._known[message.view] = message


class EarlyNewView(Behaviour):
    """Begins a view that nobody left the last one for."""

    name = "early-new-view"
    does = (
        "It sends NEW-VIEWs for the next views that it leads, with a V of its own and its accomplices' view changes, "
        "filled up with old ones of others, or with its own under their names."
    )
    stopped_by = "V must be 2f+1 replicas' signed view changes for that very view (§4.4)."
    shows = "Nobody follows: a V that is no quorum's is dropped."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._old: dict[ReplicaId, ViewChange] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        match message:
            case ViewChange():
                self._old[message.replica] = message
            case NewView():
                self._old |= {change.replica: change for change in message.view_changes}
            case _:
                pass
        return ()

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        group, after = self.scene.group, self.scene.state.view + 1
        view = View(next(v for v in range(after, after + group.n) if group.primary(View(v)) == self.scene.me))
        forged = new_view(self.scene, view, self._quorum(view))
        yield from ((to, forged) for to in self.scene.others)

    def _quorum(self, view: View) -> tuple[ViewChange, ...]:
        scene, own = self.scene, own_change(self.scene, view)
        known = {i: scene.sign(replace(own, replica=i)) for i in sorted(scene.signers)}
        if scene.chance.random() < 0.2:
            return (known[scene.me],)
        for i in scene.others:
            fake = self._old.get(i) if scene.chance.random() < 0.5 else None
            known.setdefault(i, fake or replace(own, replica=i))
        kept = sorted(known, key=lambda i: (i not in scene.signers, i))[: scene.group.quorum]
        return tuple(known[i] for i in sorted(kept))


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (
    WrongNewView,
    SilentNewView,
    PartialNewView,
    SplitNewView,
    StaleNewView,
    EarlyNewView,
)
