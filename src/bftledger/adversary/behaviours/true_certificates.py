"""Certificates that prove what they say, used against the group: too late, too early, or for one replica only."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.adversary.behaviours.view_change import new_view, own_change
from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.certificates import largest_window, make_checkpoint_certificate
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    Proposed,
    Stable,
    ViewChange,
)
from bftledger.pbft.settings import MAX_WINDOW

REMEMBERED: Final = 128


class StaleCertificates(Behaviour):
    """Lives in the past.

    Its view changes are as it could have sent them long ago, and perfectly valid: with the oldest certificate that it
    has, and every prepared certificate since, as many as a VIEW-CHANGE may hold.
    """

    name = "stale-certificates"
    does = "It sends old certificates: of old blocks, and in view changes all that was prepared since the oldest one."
    stopped_by = "The newest stable checkpoint in V decides, and nothing below it is proposed again (§4.4: min-s)."
    shows = "Old certificates are ignored, below the watermark; no block is decided twice; new views begin as ever."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._blocks: dict[Seq, CheckpointCertificate] = {}
        self._slots: OrderedDict[Seq, PreparedCertificate] = OrderedDict()

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        self._remember()
        match message:
            case Stable() | Blocks() if self._blocks:
                yield self.scene.sign(replace(message, certificate=self._oldest()))
            case ViewChange() if message.replica == self.scene.me and message.stable is not None:
                yield self._from_the_past(message)
            case _:
                yield message

    def tick(self) -> Iterable[Frame]:
        self._remember()
        if self._blocks and not self.scene.is_calm:
            old = self.scene.chance.choice(list(self._blocks.values()))
            claim = self.scene.sign(Stable(certificate=old, replica=self.scene.me, signature=wire.UNSIGNED))
            yield self.scene.chance.choice(self.scene.others), claim

    def _oldest(self) -> CheckpointCertificate:
        return self._blocks[min(self._blocks)]

    def _from_the_past(self, change: ViewChange) -> ViewChange:
        low = Seq(0) if min(self._slots, default=1) == 1 else min(self._blocks)
        most = largest_window(self.scene.group.n)
        kept = [self._slots[seq] for seq in sorted(self._slots) if low < seq <= low + most]
        return self.scene.sign(
            replace(
                change,
                stable=self._blocks.get(low),
                prepared=tuple(certificate for certificate in kept if certificate.pre_prepare.view < change.view),
            )
        )

    def _remember(self) -> None:
        state = self.scene.state
        if state.stable is not None and (len(self._blocks) < REMEMBERED or state.low in self._blocks):
            self._blocks[state.low] = state.stable
        for seq, slot in sorted(state.slots.items()):
            if slot.certificate is not None and (seq in self._slots or len(self._slots) < MAX_WINDOW):
                self._slots[seq] = slot.certificate


class PrivateCertificates(Behaviour):
    """Knows first, and tells one.

    Whoever has a certificate accepts no more votes below it and must fetch the block. Others who executed it may not
    know yet that it is final.
    """

    name = "private-certificates"
    does = "It shows the certificate of each block at once to one replica, and its own CHECKPOINT to that one only."
    stopped_by = "A replica that lags asks the signers in turn, and STATUS spreads what one of them has (TOCS'02 §5.2)."
    shows = "The replica fetches what it can no longer decide; all have the same blocks."
    takes = "the replica; the first other one without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._friend = (self.replicas() or scene.others)[0]
        self._votes: dict[Seq, dict[ReplicaId, Checkpoint]] = {}
        self._shown = Seq(0)

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        is_news = isinstance(message, Checkpoint | Stable)
        if not is_news or to == self._friend or self.scene.is_calm:
            yield message

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if not isinstance(message, Checkpoint) or message.seq <= self._shown:
            return
        votes = self._votes.setdefault(message.seq, {})
        votes[message.replica] = message
        for i in sorted(self.scene.signers):
            votes[i] = self.scene.sign(replace(message, replica=i))
        same = {i: vote for i, vote in votes.items() if vote.block_hash == message.block_hash}
        if len(same) >= self.scene.group.quorum:
            self._shown = message.seq
            self._votes = {seq: others for seq, others in self._votes.items() if seq > self._shown}
            certificate = make_checkpoint_certificate(same, self.scene.group)
            claim = Stable(certificate=certificate, replica=self.scene.me, signature=wire.UNSIGNED)
            yield self._friend, self.scene.sign(claim)


class BuryPrepared(Behaviour):
    """Digs up what everybody has forgotten.

    A prepared certificate of an early view is as valid in a late one, if nothing was prepared in between. But who
    accepted the proposal long ago must still have it then: the one who shows the certificate does not give it.
    """

    name = "bury-prepared"
    does = (
        "It keeps prepared certificates to itself, helps nobody to prepare anything else for these numbers, and shows "
        "them views later, its VIEW-CHANGE there before all others'; the proposals it never hands over."
    )
    stopped_by = "A new primary uses only VIEW-CHANGEs whose proposals it has or gets (TOCS'02, condition A3)."
    shows = "The proposal is fetched from others, or the VIEW-CHANGE is left out of V; no later view waits for it."
    takes = "how many views later; n+2 without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._views = self.number(scene.group.n + 2, most=1_000)
        self._buried: dict[Seq, PreparedCertificate] = {}
        self._left = View(0)

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        self._bury()
        if isinstance(message, ViewChange) and message.replica == self.scene.me:
            yield self._changed(message.view)
        elif isinstance(message, NewView) and message.replica == self.scene.me:
            changes = tuple(self._changed(c.view) if c.replica == self.scene.me else c for c in message.view_changes)
            yield new_view(self.scene, message.view, changes)
        elif not (isinstance(message, Proposed) or (isinstance(message, Prepare) and message.seq in self._buried)):
            yield message

    def tick(self) -> Iterable[Frame]:
        self._bury()
        wanted = View(self.scene.state.view + 1)
        if self._buried and wanted > self._left:
            self._left = wanted
            change = self._changed(wanted)
            yield from ((to, change) for to in self.scene.others)

    def _bury(self) -> None:
        """The oldest certificate for each number that is not settled."""
        low = self.scene.state.low
        self._buried = {seq: certificate for seq, certificate in self._buried.items() if seq > low}
        for seq, slot in sorted(self.scene.state.slots.items()):
            if slot.certificate is not None and seq > low:
                self._buried.setdefault(seq, slot.certificate)

    def _changed(self, view: View) -> ViewChange:
        shown = tuple(c for _, c in sorted(self._buried.items()) if c.pre_prepare.view + self._views <= view)
        return self.scene.sign(replace(own_change(self.scene, view), prepared=shown))


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (StaleCertificates, PrivateCertificates, BuryPrepared)
