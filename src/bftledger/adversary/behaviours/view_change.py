"""Replicas that leave views as they should not, and STATUS that is not true (OSDI'99 §4.4, TOCS'02 §5.2)."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.messages import (
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    SlotStatus,
    Status,
    ViewChange,
)
from bftledger.pbft.settings import MAX_WINDOW
from bftledger.pbft.view_change import re_proposals

REMEMBERED: Final = 64
JOIN: Final = "A backup follows only f+1 others into higher views, so at least one correct one (§4.5.2)"


def own_change(scene: Scene, view: View) -> ViewChange:
    """The VIEW-CHANGE for `view` that its core would send now."""
    prepared = tuple(
        slot.certificate
        for seq, slot in sorted(scene.state.slots.items())
        if slot.certificate is not None and seq > scene.state.low and slot.certificate.pre_prepare.view < view
    )
    change = ViewChange(
        view=view, stable=scene.state.stable, prepared=prepared, replica=scene.me, signature=wire.UNSIGNED
    )
    return scene.sign(change)


def last_led(scene: Scene, before: View) -> View | None:
    """The last view before that one whose primary's key is here; the one before it if there is none, and None for 0."""
    earlier = [View(view) for view in range(before - 1, max(-1, before - 1 - scene.group.n), -1)]
    return next((view for view in earlier if scene.group.primary(view) in scene.signers), next(iter(earlier), None))


class SpamViews(Behaviour):
    """Wants to be elsewhere."""

    name = "spam-views"
    does = "It sends VIEW-CHANGE for ever higher views, up to the last there is, and each replica another."
    stopped_by = f"{JOIN}; of each replica the newest VIEW-CHANGE is kept, and nothing but that."
    shows = "The view of the others does not change because of it; what is kept of it does not grow."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._highest = 0

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        view = self.scene.state.view
        for to in self.scene.others:
            self._highest = max(self._highest, view) + self.scene.chance.choice((1, 1, self.scene.group.n, 1_000))
            wanted = self.scene.chance.choice((view + 1, view + 2, self._highest, self._highest, max(0, view - 1)))
            yield to, own_change(self.scene, View(min(wanted, MAX_NUMBER)))
        if self.scene.chance.random() < 0.02:
            yield self.scene.chance.choice(self.scene.others), own_change(self.scene, View(MAX_NUMBER))


class Deserter(Behaviour):
    """Accuses every primary before anybody else does: one honest suspicion is then enough for a view change."""

    name = "deserter"
    does = "It always has a VIEW-CHANGE for the next view with the others, whoever is primary."
    stopped_by = f"{JOIN}. Which of 2f+1 view changes make up V does not matter (§4.4)."
    shows = "No view change without an honest suspicion; after one the group is in the next view."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._left = View(0)

    def tick(self) -> Iterable[Frame]:
        wanted = View(self.scene.state.view + 1)
        if wanted <= self._left or self.scene.group.primary(wanted) == self.scene.me:
            return
        self._left = wanted
        change = own_change(self.scene, wanted)
        yield from ((to, change) for to in self.scene.others)


class HidePrepared(Behaviour):
    """Forgets what was prepared; what it says is valid as it stands."""

    name = "hide-prepared"
    does = "Its VIEW-CHANGEs leave out prepared certificates, some or all, and its stable checkpoint; to each another."
    stopped_by = "What was committed is prepared at f+1 correct replicas, and V has one of them (§4.4, §4.6)."
    shows = "Whatever was executed anywhere is proposed again; the new view begins."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if message.replica == self.scene.me and isinstance(message, ViewChange):
            yield self._hiding(message)
        elif message.replica == self.scene.me and isinstance(message, NewView):
            yield self._rebuilt(message)
        else:
            yield message

    def _hiding(self, change: ViewChange) -> ViewChange:
        chance = self.scene.chance
        if chance.random() < 0.5:
            stable = None if chance.random() < 0.5 else change.stable
            return self.scene.sign(replace(change, stable=stable, prepared=()))
        kept = tuple(certificate for certificate in change.prepared if chance.random() < 0.5)
        return self.scene.sign(replace(change, prepared=kept))

    def _rebuilt(self, message: NewView) -> NewView:
        """Its own view change in V hides as well, and O follows from that: a valid NEW-VIEW."""
        changes = tuple(self._hiding(c) if c.replica == self.scene.me else c for c in message.view_changes)
        return new_view(self.scene, message.view, changes)


def new_view(scene: Scene, view: View, changes: tuple[ViewChange, ...]) -> NewView:
    """The NEW-VIEW that follows from these view changes, whatever they are."""
    pre_prepares = tuple(scene.vote(PrePrepare, view, seq, digest) for seq, digest in re_proposals(changes)[1])
    message = NewView(
        view=view, view_changes=changes, pre_prepares=pre_prepares, replica=scene.me, signature=wire.UNSIGNED
    )
    return scene.sign(message)


class InvalidPrepared(Behaviour):
    """Adds what was not prepared."""

    name = "invalid-prepared"
    does = (
        "Its VIEW-CHANGEs hold certificates that cannot be: of the new view itself, repeated, at or below the stable "
        "checkpoint, above the window, or of a pre-prepare that is not the primary's."
    )
    stopped_by = "P has one certificate per number in (n, n+L], ascending, each of an earlier view's primary (§4.4)."
    shows = "Its VIEW-CHANGEs are dropped as no proof; the others change the view without it."
    takes = "view, order, below, above or primary; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._wrong()

    def _wrong(self) -> str:
        return self.choose_from("view", "order", "below", "above", "primary")

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if isinstance(message, ViewChange) and message.replica == self.scene.me:
            yield self.scene.sign(replace(message, prepared=self._prepared(message)))
        else:
            yield message

    def _prepared(self, change: ViewChange) -> tuple[PreparedCertificate, ...]:
        stable, honest = change.stable_seq, change.prepared
        led = last_led(self.scene, change.view)
        if led is None:
            return honest
        match self._wrong():
            case "view":
                return (*honest, self._made_up(change.view, _above(change)))
            case "order":
                first = honest[0] if honest else self._made_up(led, Seq(stable + 1))
                return (*honest, first, first)
            case "below":
                return (self._made_up(led, Seq(max(0, stable))), *honest)
            case "above":
                return (*honest, self._made_up(led, Seq(stable + MAX_WINDOW + 1)))
            case _:
                primary = self.scene.group.primary(View(change.view - 1))
                by = self.scene.me if self.scene.me != primary else primary
                return (*honest, self._made_up(View(change.view - 1), _above(change), by))

    def _made_up(self, view: View, seq: Seq, by: ReplicaId | None = None) -> PreparedCertificate:
        """Its signatures are as good as its keys: genuine for a replica whose key is here."""
        scene = self.scene
        primary = scene.group.primary(view) if by is None else by
        digest = tagged_hash("a lie", seq.to_bytes(8, "big"))
        proposed = PrePrepare(view=view, seq=seq, digest=digest, replica=primary, signature=wire.UNSIGNED)
        votes = [
            Prepare(view=view, seq=seq, digest=digest, replica=i, signature=wire.UNSIGNED)
            for i in scene.group.replicas
            if i != primary
        ][: scene.group.quorum - 1]
        return PreparedCertificate(
            pre_prepare=scene.sign(proposed) if primary in scene.signers else proposed,
            prepares=tuple(
                (vote.replica, scene.sign(vote).signature if vote.replica in scene.signers else vote.signature)
                for vote in votes
            ),
        )


def _above(change: ViewChange) -> Seq:
    """The first number above all that a view change speaks of."""
    return Seq(max((c.pre_prepare.seq for c in change.prepared), default=change.stable_seq) + 1)


class StaleViewChange(Behaviour):
    """Repeats old accusations, its own and others'."""

    name = "stale-view-change"
    does = "It repeats VIEW-CHANGEs of views that are over, its own and other replicas'."
    stopped_by = "A VIEW-CHANGE counts for its own view only (§4.4), and only if its sender hands it over."
    shows = "They are ignored as of a view that is over, or dropped as not of who brought them."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._known: dict[tuple[ReplicaId, View], ViewChange] = {}

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        self._remember(message)
        yield message

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        self._remember(message)
        return ()

    def tick(self) -> Iterable[Frame]:
        if self._known and not self.scene.is_calm:
            for to in self.scene.others:
                yield to, self.scene.chance.choice(list(self._known.values()))

    def _remember(self, message: Message) -> None:
        if isinstance(message, NewView):
            for change in message.view_changes:
                self._remember(change)
        elif isinstance(message, ViewChange) and len(self._known) < REMEMBERED:
            self._known[message.replica, message.view] = message


class LieStatus(Behaviour):
    """Is never where it says it is."""

    name = "lie-status"
    does = (
        "Its STATUS claims that it lags far behind, is far ahead, waits for a new view, lacks everything or has all "
        "that others have; it comes all the time, and with it questions for proposals."
    )
    stopped_by = (
        "STATUS only makes others send again, so often per tick (TOCS'02 §5.2); it is believed in nothing else."
    )
    shows = "No height, view or watermark follows from it; what is sent again is bounded."
    takes = "behind, ahead, inactive, lacking or having; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._claim()

    def _claim(self) -> str:
        return self.choose_from("behind", "ahead", "inactive", "lacking", "having")

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield self._lie() if isinstance(message, Status) else message

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        state, me = self.scene.state, self.scene.me
        for to in self.scene.others:
            yield from ((to, self._lie()) for _ in range(2))
            for seq, slot in sorted(state.slots.items()):
                for digest in slot.proposals:
                    asked = FetchProposal(seq=seq, digest=digest, replica=me, signature=wire.UNSIGNED)
                    yield to, self.scene.sign(asked)

    def _lie(self) -> Status:
        state = self.scene.state
        everybody = (1 << self.scene.group.n) - 1
        view, active, stable, executed, masks = state.view, state.active, state.low, state.executed, 0
        match self._claim():
            case "behind":
                view, active, stable, executed = View(0), False, Seq(0), Seq(0)
            case "ahead":
                view, active = View(MAX_NUMBER), True
                stable = executed = Seq(MAX_NUMBER)
            case "inactive":
                active = False
            case "lacking":
                executed = stable
            case _:
                masks = everybody
        first = min(stable, MAX_NUMBER - MAX_WINDOW) + 1
        slots = _alike(first, self.scene.settings.window, masks)
        claim = Status(
            view=view,
            active=active,
            stable=stable,
            executed=executed,
            slots=slots,
            view_changes=masks,
            replica=self.scene.me,
            signature=wire.UNSIGNED,
        )
        return self.scene.sign(claim)


@lru_cache(64)
def _alike(first: int, count: int, masks: int) -> tuple[SlotStatus, ...]:
    """So many numbers, each with the same votes: said again and again."""
    return tuple(
        SlotStatus(seq=Seq(seq), has_pre_prepare=bool(masks), prepares=masks, commits=masks, checkpoints=masks)
        for seq in range(first, first + count)
    )


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (
    SpamViews,
    Deserter,
    HidePrepared,
    InvalidPrepared,
    StaleViewChange,
    LieStatus,
)
