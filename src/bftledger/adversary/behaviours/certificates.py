"""Certificates that prove nothing, or nothing new: wherever a message carries one, and where nobody asked for one."""

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.adversary.behaviours.view_change import last_led
from bftledger.base.crypto import SIGNATURE_BYTES, tagged_hash
from bftledger.base.ids import Digest, ReplicaId, Seq, Signature, View
from bftledger.pbft import wire
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Stable,
    ViewChange,
)

Votes = tuple[tuple[ReplicaId, Signature], ...]
MakeVote = Callable[[ReplicaId], Prepare | Checkpoint]
"""The vote of a replica that a certificate is about, unsigned."""

DOOR: Final = "The door: a message with a certificate that is none is no message"
REMEMBERED: Final = 128


class Certifying(Behaviour):
    """Twists every certificate that its core sends, and makes up some."""

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        match message:
            case Stable() | Blocks():
                yield self.scene.sign(replace(message, certificate=self.of_block(message.certificate)))
            case ViewChange() if message.replica == self.scene.me:
                yield self._twisted(message)
            case NewView() if message.replica == self.scene.me:
                changes = tuple(self._twisted(c) if c.replica == self.scene.me else c for c in message.view_changes)
                yield self.scene.sign(replace(message, view_changes=changes))
            case _:
                yield message

    def tick(self) -> Iterable[Frame]:
        if not self.scene.is_calm:
            claim = Stable(certificate=self.of_block(self._made_up()), replica=self.scene.me, signature=wire.UNSIGNED)
            yield self.scene.chance.choice(self.scene.others), self.scene.sign(claim)

    @abstractmethod
    def signers(self, votes: Votes, vote: MakeVote) -> Votes:
        """What is signed instead of `votes`."""

    def of_block(self, certificate: CheckpointCertificate) -> CheckpointCertificate:
        """What is sent instead of a block's certificate."""

        def vote(replica: ReplicaId) -> Checkpoint:
            return Checkpoint(
                seq=certificate.seq, block_hash=certificate.block_hash, replica=replica, signature=wire.UNSIGNED
            )

        return replace(certificate, signatures=self.signers(certificate.signatures, vote))

    def of_slot(self, certificate: PreparedCertificate, change: ViewChange) -> PreparedCertificate:
        """What stands instead of a prepared certificate in this view change."""
        of = certificate.pre_prepare

        def vote(replica: ReplicaId) -> Prepare:
            return Prepare(view=of.view, seq=of.seq, digest=of.digest, replica=replica, signature=wire.UNSIGNED)

        return replace(certificate, prepares=self.signers(certificate.prepares, vote))

    def own(self, vote: Prepare | Checkpoint) -> Signature:
        """What it signs in whoever's name: genuine where it has that key."""
        signer = self.scene.signers.get(vote.replica, self.scene.signers[self.scene.me])
        return signer.sign(wire.signing_digest(vote, self.scene.group.genesis_hash))

    def _twisted(self, change: ViewChange) -> ViewChange:
        stable = change.stable and self.of_block(change.stable)
        prepared = change.prepared or self._never_prepared(change)
        return self.scene.sign(
            replace(
                change, stable=stable, prepared=tuple(self.of_slot(certificate, change) for certificate in prepared)
            )
        )

    def _made_up(self) -> CheckpointCertificate:
        """A block that was never made, within reach or far ahead; signed by whoever's keys are here."""
        ahead = self.scene.chance.choice((1, self.scene.settings.window, 10 * self.scene.settings.window))
        seq, block_hash = Seq(self.scene.state.low + ahead), Digest(self.scene.chance.randbytes(32))
        votes = [
            Checkpoint(seq=seq, block_hash=block_hash, replica=i, signature=wire.UNSIGNED)
            for i in self.scene.group.replicas[: self.scene.group.quorum]
        ]
        return CheckpointCertificate(
            seq=seq, block_hash=block_hash, signatures=tuple((vote.replica, self.own(vote)) for vote in votes)
        )

    def _never_prepared(self, change: ViewChange) -> tuple[PreparedCertificate, ...]:
        """A proposal of its own that nobody prepared, in the last view whose primary's key is here, if there is one."""
        group, signers = self.scene.group, self.scene.signers
        view = last_led(self.scene, change.view)
        if view is None:
            return ()
        primary = group.primary(view)
        proposed = PrePrepare(
            view=view,
            seq=Seq(change.stable_seq + 1),
            digest=tagged_hash("a lie", view.to_bytes(8, "big")),
            replica=primary,
            signature=wire.UNSIGNED,
        )
        backups = [i for i in group.replicas if i != primary][: group.quorum - 1]
        votes = [
            Prepare(view=view, seq=proposed.seq, digest=proposed.digest, replica=i, signature=wire.UNSIGNED)
            for i in backups
        ]
        made_up = PreparedCertificate(
            pre_prepare=self.scene.sign(proposed) if primary in signers else proposed,
            prepares=tuple((vote.replica, self.own(vote)) for vote in votes),
        )
        return (made_up,)


class ForgeCertificates(Certifying):
    """Signs for others."""

    name = "forge-certificates"
    does = "It sends certificates whose signatures are not the named replicas': random, its own, or of other votes."
    stopped_by = f"{DOOR}. Every signature in it is checked, under the key of the replica that it names (§4.4)."
    shows = "What came is dropped for a bad signature; no view, watermark or block follows from it."
    takes = "random, own or borrowed; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self.choose_from("random", "own", "borrowed")
        self._heard: dict[ReplicaId, Signature] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, Prepare | Commit | Checkpoint):
            self._heard[message.replica] = message.signature
        return ()

    def signers(self, votes: Votes, vote: MakeVote) -> Votes:
        return tuple((i, self.own(vote(i)) if i in self.scene.signers else self._forged(vote(i))) for i, _ in votes)

    def _forged(self, vote: Prepare | Checkpoint) -> Signature:
        match self.choose_from("random", "own", "borrowed"):
            case "own":
                return self.own(vote)
            case "borrowed" if vote.replica in self._heard:
                return self._heard[vote.replica]
            case _:
                return Signature(self.scene.chance.randbytes(SIGNATURE_BYTES))


class PadCertificates(Certifying):
    """Counts wrongly."""

    name = "pad-certificates"
    does = "Its certificates name a signer twice, one too many or too few, a stranger, or the signers out of order."
    stopped_by = f"{DOOR}. It names exactly a quorum of distinct members, in ascending order (§4.2)."
    shows = "What came is dropped as malformed or as no proof, whatever its signatures."
    takes = "repeated, many, few, strangers or disorder; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._wrong()

    def _wrong(self) -> str:
        return self.choose_from("repeated", "many", "few", "strangers", "disorder")

    def signers(self, votes: Votes, vote: MakeVote) -> Votes:
        me, group = self.scene.me, self.scene.group
        match self._wrong():
            case "repeated":
                return ((me, self.own(vote(me))),) * len(votes)
            case "many":
                missing = [i for i in (me, *group.replicas) if i not in dict(votes)][:1]
                return tuple(sorted((*votes, *((i, self.own(vote(i))) for i in missing))))
            case "few":
                return votes[:-1]
            case "strangers":
                stranger = ReplicaId(group.n + self.scene.chance.randint(0, 3))
                return (*votes[:-1], (stranger, self.own(vote(stranger))))
            case _:
                return votes[::-1]


class PassOff(Certifying):
    """Uses genuine votes for what they were not cast for."""

    name = "pass-off"
    does = "It fills certificates with genuine votes of another type, view, sequence number or group."
    stopped_by = "A signature covers group, type, view and sequence number: PREPARE is never COMMIT (§4.2)."
    shows = "What came is dropped for a bad signature."
    takes = "type, view, seq or group; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._other()
        self._cast: OrderedDict[tuple[type, Seq], dict[ReplicaId, Prepare | Commit | Checkpoint]] = OrderedDict()

    def _other(self) -> str:
        return self.choose_from("type", "view", "seq", "group")

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, Prepare | Commit | Checkpoint):
            self._cast.setdefault((type(message), message.seq), {})[message.replica] = message
            while len(self._cast) > REMEMBERED:
                self._cast.popitem(last=False)
        return ()

    def of_block(self, certificate: CheckpointCertificate) -> CheckpointCertificate:
        votes = self._cast.get((self.scene.chance.choice((Prepare, Commit)), certificate.seq), {})
        digests = [vote.digest for vote in votes.values() if not isinstance(vote, Checkpoint)]
        named = replace(certificate, block_hash=digests[0]) if digests else certificate
        return super().of_block(named)

    def of_slot(self, certificate: PreparedCertificate, change: ViewChange) -> PreparedCertificate:
        """The votes as they are, under a pre-prepare that differs in one thing, if this primary's key is here."""
        of = certificate.pre_prepare
        moved = replace(of, view=View(max(0, change.view - 1))) if self._other() == "view" else of
        moved = replace(moved, replica=self.scene.group.primary(moved.view))
        if self._other() == "seq":
            moved = replace(moved, seq=Seq(of.seq + 1))
        if moved != of and moved.replica in self.scene.signers:
            backups = tuple((i, signature) for i, signature in certificate.prepares if i != moved.replica)
            return PreparedCertificate(pre_prepare=self.scene.sign(moved), prepares=backups)
        return super().of_slot(certificate, change)

    def signers(self, votes: Votes, vote: MakeVote) -> Votes:
        return tuple((i, self._passed_off(vote(i))) for i, _ in votes)

    def _passed_off(self, wanted: Prepare | Checkpoint) -> Signature:
        if self._other() == "group" and wanted.replica in self.scene.signers:
            elsewhere = tagged_hash("another group", self.scene.group.genesis_hash)
            return self.scene.signers[wanted.replica].sign(wire.signing_digest(wanted, elsewhere))
        for kind, seq in reversed(self._cast):
            vote = self._cast[kind, seq].get(wanted.replica)
            if vote is not None and (kind is not type(wanted) or seq != wanted.seq):
                return vote.signature
        return self.own(wanted)


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (ForgeCertificates, PadCertificates, PassOff)
