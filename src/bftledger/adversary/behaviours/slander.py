"""Replicas that want others convicted: testimony against who did nothing wrong (OSDI'99 §4.2 to §4.4)."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.base.crypto import SIGNATURE_BYTES, tagged_hash
from bftledger.base.ids import ReplicaId, Signature
from bftledger.pbft import wire
from bftledger.pbft.guilt import Signed, contradiction
from bftledger.pbft.messages import Checkpoint, Commit, Message, Prepare, PrePrepare, Testimony

Vote = PrePrepare | Prepare | Commit
REMEMBERED: Final = 24
"""So many messages of each replica are remembered."""

AT_ONCE: Final = 3
"""So many testimonies go to everybody at a time: few enough for all of them to be heard."""


class Slander(Behaviour):
    """Accuses the honest. What it makes up would convict them, if only it were authentic."""

    name = "slander"
    does = (
        "It testifies against honest replicas: with all that they signed, with votes of theirs moved to another type, "
        "view or sequence number, and with forged ones."
    )
    stopped_by = (
        "What is testified is checked like any other message, and a signature covers all of it; only what no correct "
        "replica signs both convicts (§4.2 to §4.4)."
    )
    shows = "No evidence against an honest replica, anywhere."
    takes = "true, moved or forged; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self.choose_from("true", "moved", "forged")
        self._kept: dict[ReplicaId, OrderedDict[Signature, Signed]] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, Signed) and message.replica not in self.scene.signers:
            kept = self._kept.setdefault(message.replica, OrderedDict())
            kept[message.signature] = message
            while len(kept) > REMEMBERED:
                kept.popitem(last=False)
        return ()

    def tick(self) -> Iterable[Frame]:
        if self.scene.is_calm or not self._kept:
            return
        for _ in range(AT_ONCE):
            known = list(self._kept[self.scene.chance.choice(sorted(self._kept))].values())
            if told := self._testimony(known):
                claim = Testimony(messages=told, replica=self.scene.me, signature=wire.UNSIGNED)
                yield from ((to, self.scene.sign(claim)) for to in self.scene.others)

    def _testimony(self, known: list[Signed]) -> tuple[Signed, ...]:
        chance = self.scene.chance
        chance.shuffle(known)
        match self.choose_from("true", "moved", "forged"):
            case "true":
                return tuple(known)
            case "moved":
                invented = (moved for vote in known for moved in _moved(vote, known))
            case _:
                invented = (self._forged(vote) for vote in known if isinstance(vote, Vote | Checkpoint))
        for lie in invented:
            for other in known:
                if contradiction(lie, other) is not None:
                    return lie, other
        return ()

    def _forged(self, vote: Vote | Checkpoint) -> Signed:
        """Another vote in the same name, with the signature of this one, or with none."""
        signature = self.scene.chance.choice((vote.signature, Signature(bytes(SIGNATURE_BYTES))))
        if isinstance(vote, Checkpoint):
            return replace(vote, block_hash=tagged_hash("a lie", vote.block_hash), signature=signature)
        digest = tagged_hash("a lie", vote.digest)
        return Commit(view=vote.view, seq=vote.seq, digest=digest, replica=vote.replica, signature=signature)


def _moved(vote: Signed, known: list[Signed]) -> Iterator[Signed]:
    """The same vote with the same signature, as if it had been cast for something else."""
    if not isinstance(vote, Vote):
        return
    for kind in (Prepare, Commit):
        yield kind(view=vote.view, seq=vote.seq, digest=vote.digest, replica=vote.replica, signature=vote.signature)
    for other in known:
        if isinstance(other, Vote):
            yield replace(vote, view=other.view)
            yield replace(vote, seq=other.seq)


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (Slander,)
