"""What every traitor does, whatever else it does; not in the catalogue, because it is no lie."""

from dataclasses import replace

from bftledger.adversary.behaviour import Scene
from bftledger.pbft.messages import Message, Testimony


class Discretion:
    """What goes without saying: nobody testifies against himself, nor against accomplices.

    The core knows nothing of the lies that are told around it, and would contest the answers to them as if another had
    lied. The others hold what the traitor signed and compare it among themselves, so this saves it from nothing.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def keeps(self, message: Message) -> Message | None:
        """`message` without what its sender or an accomplice signed, if it is a TESTIMONY; None if nothing is left."""
        if not isinstance(message, Testimony):
            return message
        kept = tuple(said for said in message.messages if said.replica not in self._scene.signers)
        if len(kept) == len(message.messages):
            return message
        return self._scene.sign(replace(message, messages=kept)) if kept else None
