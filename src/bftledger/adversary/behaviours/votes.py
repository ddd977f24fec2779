"""Replicas that vote as they should not: twice, wrongly, too early, or as if they never had (OSDI'99 §4.2, §4.3)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.base.crypto import SIGNATURE_BYTES, tagged_hash
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, Signature, View
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, Commit, Message, Prepare, PrePrepare, Status, ViewChange

Vote = Prepare | Commit | Checkpoint
Slot = tuple[View, Seq]
K = TypeVar("K")
V = TypeVar("V")
QUORUMS: Final = "Votes count only if 2f+1 name the same digest"
FORGET_MS: Final = Millis(300)
REMEMBERED: Final = 256


def otherwise(vote: Vote) -> Vote:
    """The same vote, unsigned, for a digest that nobody proposed."""
    if isinstance(vote, Checkpoint):
        return replace(vote, block_hash=tagged_hash("a lie", vote.block_hash))
    return replace(vote, digest=tagged_hash("a lie", vote.digest))


class DoubleVote(Behaviour):
    """Agrees with everybody.

    It waits for what a receiver supports and then votes for that, so two proposals for one slot find a vote of its
    each. No message passes for another's whoever holds the key, because only its sender may hand it over: accomplices
    vote each for themselves, by the same rule. With f+1 of them, one the primary that proposes both, the group forks.
    """

    name = "double-vote"
    does = "It votes to each replica for whatever that replica supports, and signs whatever block it names."
    stopped_by = "Of two quorums for one slot a correct replica would have to be in both (§4.2); f cannot replace it."
    shows = "One ledger as long as at most f replicas do it; with f+1 a fork, and the votes that convict them."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._supported: dict[Slot, dict[ReplicaId, Digest]] = {}
        self._blocks: dict[Seq, dict[ReplicaId, Digest]] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        match message:
            case PrePrepare() | Prepare() | Commit():
                supported = self._supported.setdefault((message.view, message.seq), {})
                if message.replica == sender and supported.get(sender) != message.digest:
                    supported[sender] = message.digest
                    yield from self._votes(sender, message)
                    _shorten(self._supported)
            case Checkpoint():
                said = self._blocks.setdefault(message.seq, {})
                if message.replica == sender and said.get(sender) != message.block_hash:
                    said[sender] = message.block_hash
                    yield sender, self.scene.sign(replace(message, replica=self.scene.me))
                    _shorten(self._blocks)
            case _:
                pass

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        match message:
            case Prepare() | Commit():
                supported = self._supported.get((message.view, message.seq), {}).get(to)
                if supported is not None:
                    yield message if supported == message.digest else self._signed(replace(message, digest=supported))
            case Checkpoint():
                said = self._blocks.get(message.seq, {}).get(to)
                if said is not None:
                    yield message if said == message.block_hash else self._signed(replace(message, block_hash=said))
            case _:
                yield message

    def _votes(self, to: ReplicaId, message: PrePrepare | Prepare | Commit) -> Iterable[Frame]:
        if self.scene.group.primary(message.view) != self.scene.me:
            yield to, self.scene.vote(Prepare, message.view, message.seq, message.digest)
        yield to, self.scene.vote(Commit, message.view, message.seq, message.digest)

    def _signed(self, vote: Vote) -> Vote:
        return self.scene.sign(vote)


class WrongDigest(Behaviour):
    """Votes for what nobody proposed."""

    name = "wrong-digest"
    does = "It sends PREPARE and COMMIT for a digest that nobody proposed."
    stopped_by = f"{QUORUMS}; those for another one are held and never counted (§4.2)."
    shows = "The others commit without its votes."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield self.scene.sign(otherwise(message)) if isinstance(message, Prepare | Commit) else message


class BadSignature(Behaviour):
    """Votes, and does not sign."""

    name = "bad-signature"
    does = "Its PREPAREs, COMMITs and CHECKPOINTs say what an honest replica's would, under signatures that are wrong."
    stopped_by = "The door: a message that its sender has not signed is no message (§4.2)."
    shows = "The others commit without its votes; no certificate holds one of them."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if isinstance(message, Vote):
            yield replace(message, signature=Signature(self.scene.chance.randbytes(SIGNATURE_BYTES)))
        else:
            yield message


class EarlyVote(Behaviour):
    """Sends COMMIT before it is prepared."""

    name = "early-vote"
    does = "It sends COMMIT for whatever digest it hears of, without being prepared."
    stopped_by = "A replica is committed-local only if it is prepared itself, by 2f PREPAREs of others (§4.2)."
    shows = "Nothing but commits that come a little sooner."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._sent: dict[tuple[View, Seq, Digest], None] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if not isinstance(message, PrePrepare | Prepare):
            return
        slot = message.view, message.seq, message.digest
        if slot in self._sent:
            return
        self._sent[slot] = None
        _shorten(self._sent)
        commit = self.scene.vote(Commit, *slot)
        yield from ((to, commit) for to in self.scene.others)


class FlipFlop(Behaviour):
    """Says yes and no."""

    name = "flip-flop"
    does = "With each PREPARE, COMMIT and CHECKPOINT it sends another for something else; which first, is by chance."
    stopped_by = f"{QUORUMS}, and of one replica only the first vote for a slot is taken (§4.2)."
    shows = "The others commit; two votes signed for one slot convict it."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not isinstance(message, Vote):
            yield message
            return
        both = [message, self.scene.sign(otherwise(message))]
        self.scene.chance.shuffle(both)
        yield from both


class FalseCheckpoint(Behaviour):
    """Claims blocks that do not exist."""

    name = "false-checkpoint"
    does = "Its CHECKPOINTs name blocks that nobody made, also at heights that nobody has reached."
    stopped_by = "A block is certified by 2f+1 CHECKPOINTs with the same hash, at least f+1 of them honest (§4.3)."
    shows = "Certificates without it; logs that stay within the window."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield self.scene.sign(otherwise(message)) if isinstance(message, Checkpoint) else message

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm:
            return
        height = self.scene.state.executed + self.scene.chance.randint(1, 2 * self.scene.settings.window)
        claim = self.scene.sign(
            Checkpoint(
                seq=Seq(height),
                block_hash=Digest(self.scene.chance.randbytes(32)),
                replica=self.scene.me,
                signature=wire.UNSIGNED,
            )
        )
        yield from ((to, claim) for to in self.scene.others)


class Forget(Behaviour):
    """Votes like a replica that lost its store and did not notice."""

    name = "forget"
    does = "It says that it has nothing, hides what it prepared, and after a while votes otherwise for the same slots."
    stopped_by = f"{QUORUMS}, and the first vote of a replica stays; view changes need 2f+1 (§4.4), so one may forget."
    shows = "One ledger; two votes signed for one slot convict it. Honest replicas keep their votes on disk."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._votes: dict[tuple[type, View, Seq], tuple[Millis, Prepare | Commit]] = {}

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        match message:
            case Prepare() | Commit():
                self._votes.setdefault((type(message), message.view, message.seq), (self.scene.now, message))
                _shorten(self._votes)
                yield message
            case Status():
                nothing = replace(message, stable=Seq(0), executed=Seq(0), slots=(), view_changes=0)
                yield self.scene.sign(nothing)
            case ViewChange():
                yield self.scene.sign(replace(message, prepared=()))
            case _:
                yield message

    def tick(self) -> Iterable[Frame]:
        forgotten = [slot for slot, (since, _) in self._votes.items() if self.scene.now - since >= FORGET_MS]
        for slot in forgotten:
            vote = self.scene.sign(otherwise(self._votes.pop(slot)[1]))
            yield from ((to, vote) for to in self.scene.others)


def _shorten(memory: dict[K, V]) -> None:
    """Keeps what came last: everything that others can make grow is bounded, here as well."""
    while len(memory) > REMEMBERED:
        del memory[next(iter(memory))]


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (
    DoubleVote,
    WrongDigest,
    BadSignature,
    EarlyVote,
    FlipFlop,
    FalseCheckpoint,
    Forget,
)
