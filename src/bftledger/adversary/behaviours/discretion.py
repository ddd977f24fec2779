"""What every traitor does, whatever else it does; not in the catalogue, because alone it deviates from nothing."""

from collections.abc import Iterable
from dataclasses import replace

from bftledger.adversary.behaviour import Behaviour
from bftledger.base.ids import ReplicaId
from bftledger.pbft.messages import Message, Testimony


class Discretion(Behaviour):
    """What goes without saying: nobody testifies against himself, nor against accomplices.

    The core knows nothing of the lies that are told around it, and would contest the answers to them as if another had
    lied.
    """

    name = "discretion"
    does = "It leaves out of its TESTIMONY what it or an accomplice signed."
    stopped_by = "The others hold what it signed and compare it among themselves."
    shows = "Evidence against it all the same, wherever two that were told different things talk to each other."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not isinstance(message, Testimony):
            return (message,)
        kept = tuple(said for said in message.messages if said.replica not in self.scene.signers)
        if len(kept) == len(message.messages):
            return (message,)
        return (self.scene.sign(replace(message, messages=kept)),) if kept else ()
