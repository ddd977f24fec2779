"""What lying primaries share: other proposals than the honest core's, and standing by them.

The core has accepted its own proposal and knows of no other. So whoever tells another one votes COMMIT for that by
itself, and says of a block what the receiver said of it: a lie that nobody supports would be found out at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.base.crypto import tagged_hash
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.base.transaction import MAX_MILLIS
from bftledger.pbft.messages import Checkpoint, Commit, Message, PrePrepare, Proposal

Slot = tuple[View, Seq]


class Proposing(Behaviour, ABC):
    """A primary that tells some or all replicas another proposal than its core's; always the same one to each."""

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._made: dict[tuple[View, Seq, Digest], PrePrepare] = {}
        self._told: dict[Slot, dict[ReplicaId, PrePrepare]] = {}
        self._blocks: dict[Seq, dict[ReplicaId, Digest]] = {}

    @abstractmethod
    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        """What is told instead of the core's `message`; called once for each, and `message` itself is allowed."""

    def is_for(self, to: ReplicaId) -> bool:
        """Whether this receiver is told something else."""
        return True

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        match message:
            case PrePrepare(proposal=Proposal() as proposal) if message.replica == self.scene.me:
                return self._tell(to, message, proposal)
            case Commit():
                return self._commit(to, message)
            case Checkpoint():
                return self._checkpoint(to, message)
            case _:
                return (message,)

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if not isinstance(message, Checkpoint) or message.seq not in self._blocks:
            return
        said = self._blocks[message.seq]
        if said.get(sender) != message.block_hash:
            said[sender] = message.block_hash
            yield sender, self.scene.sign(replace(message, replica=self.scene.me))

    # ── versions ──

    def signed(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        """The same slot with another proposal."""
        return self.scene.sign(replace(message, digest=proposal.digest, proposal=proposal))

    def _tell(self, to: ReplicaId, message: PrePrepare, proposal: Proposal) -> Iterable[Message]:
        key = message.view, message.seq, message.digest
        if key not in self._made:
            self._forget_settled()
            self._made[key] = self.other(message, proposal)
        other = self._made[key]
        if other is message:
            return (message,)
        told = other if self.is_for(to) else message
        self._told.setdefault((message.view, message.seq), {})[to] = told
        self._blocks.setdefault(told.seq, {})
        return told, self._vote(told)

    def _vote(self, told: PrePrepare) -> Commit:
        return self.scene.vote(Commit, told.view, told.seq, told.digest)

    def _commit(self, to: ReplicaId, message: Commit) -> Iterable[Message]:
        told = self._told.get((message.view, message.seq), {}).get(to)
        if told is None or (told.seq, told.digest) == (message.seq, message.digest):
            return (message,)
        return (self._vote(told),)

    def _checkpoint(self, to: ReplicaId, message: Checkpoint) -> Iterable[Message]:
        """Where it lied it waits for what the other makes of it, and then says the same."""
        if message.seq not in self._blocks:
            return (message,)
        said = self._blocks[message.seq].get(to)
        if said is None:
            return ()
        return (message if said == message.block_hash else self.scene.sign(replace(message, block_hash=said)),)

    def _forget_settled(self) -> None:
        low = self.scene.state.low
        self._made = {key: other for key, other in self._made.items() if key[1] > low}
        self._told = {slot: told for slot, told in self._told.items() if slot[1] > low}
        self._blocks = {seq: said for seq, said in self._blocks.items() if seq > low}


def raw_proposal(encoded: bytes) -> Proposal:
    """A proposal of any bytes, under the digest that they have."""
    return Proposal(time=Millis(0), transactions=(), encoded=encoded, digest=tagged_hash("proposal", encoded))


def shifted(time: Millis, by: int) -> Millis:
    """A time some milliseconds from another, within what can be written."""
    return Millis(min(max(time + by, 0), MAX_MILLIS))
