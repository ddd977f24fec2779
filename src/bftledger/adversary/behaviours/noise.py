"""Noise: bytes that mean nothing, messages that nobody needs, and other replicas' messages brought as one's own."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.base import cbor
from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SlotStatus,
    Stable,
    Status,
    ViewChange,
)
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.settings import MAX_BATCH_BYTES, MAX_WINDOW

REMEMBERED: Final = 64
KINDS: Final = (*range(14), 32, 33, 34, 255)
"""Numbers of frames: all that mean something, and some that do not."""


class Garbage(Behaviour):
    """Sends bytes."""

    name = "garbage"
    does = (
        "It sends random bytes, frames cut short, with bits flipped or bytes after them, and CBOR that is no message."
    )
    stopped_by = "One door turns bytes into messages; what is not canonical, complete and signed is none."
    shows = "Everything is dropped and counted, none of it changes anything."
    takes = "how many frames to each replica per tick of its own; 3 without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._count = self.number(3, most=10_000)
        self._frames: deque[bytes] = deque([wire.encode(_a_vote(scene, Seq(1)))], maxlen=REMEMBERED)

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        self._frames.append(wire.encode(message))
        return ()

    def tick(self) -> Iterable[Frame]:
        if not self.scene.is_calm:
            yield from ((to, self._garbage()) for to in self.scene.others for _ in range(self._count))

    def _garbage(self) -> bytes:
        chance = self.scene.chance
        frame = chance.choice(self._frames)
        match chance.randrange(6):
            case 0:
                return chance.randbytes(chance.randint(0, 300))
            case 1:
                return frame[: chance.randrange(len(frame))]
            case 2:
                place = chance.randrange(len(frame))
                return frame[:place] + bytes([frame[place] ^ 1 << chance.randrange(8)]) + frame[place + 1 :]
            case 3:
                return frame + chance.randbytes(chance.randint(1, 9))
            case 4:
                return cbor.encode([chance.choice(KINDS), *(self._value(3) for _ in range(chance.randint(0, 4)))])
            case _:
                return chance.choice((b"\x9b", b"\x5b", b"\xbb")) + b"\xff" * 8

    def _value(self, depth: int) -> object:
        chance = self.scene.chance
        match chance.randrange(6 if depth else 5):
            case 0:
                return chance.choice((0, 1, -1, chance.getrandbits(63), (1 << 64) - 1))
            case 1:
                return chance.randbytes(chance.choice((0, 1, 32, 64, 100)))
            case 2:
                return "text"
            case 3:
                return chance.choice((None, True, False))
            case 4:
                return {"key": 1}
            case _:
                return [self._value(depth - 1) for _ in range(chance.randint(0, 8))]


class Flood(Behaviour):
    """Says everything that may be said, all the time."""

    name = "flood"
    does = (
        "It sends many well-formed messages: votes for all sequence numbers in the window and beyond, in this view and "
        "others, for digests that nobody proposed; large STATUS, and BLOCKS of megabytes that nobody asked for."
    )
    stopped_by = "Votes count once for each slot between the watermarks (§4.2); what is not wanted is not even decoded."
    shows = "Bounded logs; the honest replicas' votes count as ever."
    takes = "how many messages to each replica per tick of its own; 10 without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._count = self.number(10, most=10_000)

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        messages = [self._message() for _ in range(self._count)]
        yield from ((to, message) for to in self.scene.others for message in messages)
        if self.scene.chance.random() < 0.05:
            yield self.scene.chance.choice(self.scene.others), self._large()

    def _message(self) -> Message:
        scene, state, chance = self.scene, self.scene.state, self.scene.chance
        seq = Seq(chance.choice((chance.randint(state.low + 1, state.high), state.high + 1, MAX_NUMBER, 0)))
        view = View(chance.choice((state.view, state.view, state.view, state.view + 1, max(0, state.view - 1))))
        return _a_vote(scene, seq, view)

    def _large(self) -> Message:
        """Something that takes long to send and, if it were wanted, to read."""
        scene = self.scene
        if scene.chance.random() < 0.3:
            return scene.sign(_full_status(scene))
        no_proof = CheckpointCertificate(seq=Seq(1), block_hash=Digest(bytes(32)), signatures=())
        junk = scene.chance.randbytes(MAX_BATCH_BYTES // 4)
        if scene.chance.random() < 0.5:
            return scene.sign(
                Blocks(
                    first=Seq(scene.state.executed + 1),
                    blocks=(junk,),
                    headers=(),
                    certificate=scene.state.stable or no_proof,
                    replica=scene.me,
                    signature=wire.UNSIGNED,
                )
            )
        proposal = make_proposal(scene.now, (scene.transaction(junk[:200_000]),))
        return scene.sign(
            PrePrepare(
                view=scene.state.view,
                seq=Seq(scene.state.low + 1),
                digest=proposal.digest,
                replica=scene.me,
                signature=wire.UNSIGNED,
                proposal=proposal,
            )
        )


def _a_vote(scene: Scene, seq: Seq, view: View = View(0)) -> Message:
    """For something that nobody proposed."""
    digest = Digest(scene.chance.randbytes(32))
    match scene.chance.randrange(3):
        case 0:
            return scene.vote(Prepare, view, seq, digest)
        case 1:
            return scene.vote(Commit, view, seq, digest)
        case _:
            return scene.sign(Checkpoint(seq=seq, block_hash=digest, replica=scene.me, signature=wire.UNSIGNED))


def _full_status(scene: Scene) -> Status:
    """The longest there is."""
    state, everybody = scene.state, (1 << scene.group.n) - 1
    return Status(
        view=state.view,
        active=state.active,
        stable=state.low,
        executed=state.executed,
        slots=tuple(
            SlotStatus(
                seq=Seq(state.low + i), has_pre_prepare=True, prepares=everybody, commits=everybody, checkpoints=0
            )
            for i in range(1, MAX_WINDOW + 1)
        ),
        view_changes=everybody,
        replica=scene.me,
        signature=wire.UNSIGNED,
    )


class Echo(Behaviour):
    """Brings others what others said, as if it were its own."""

    name = "echo"
    does = "It hands on the messages of other replicas over its own connections, at once and again much later."
    stopped_by = (
        "Whoever hands over a message must have signed it; only a NEW-VIEW, which proves itself, may be passed on."
    )
    shows = "What came is dropped as not of who brought it; each vote counts once."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._kept: deque[Message] = deque(maxlen=REMEMBERED)

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        if isinstance(message, ViewChange | NewView | Stable) or self.scene.chance.random() < 0.1:
            self._kept.append(message)
        if self.scene.chance.random() < 0.3:
            yield self.scene.chance.choice(self.scene.others), message

    def tick(self) -> Iterable[Frame]:
        if self._kept and not self.scene.is_calm:
            yield from ((to, self.scene.chance.choice(self._kept)) for to in self.scene.others)


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (Garbage, Flood, Echo)
