"""What those are told who watch a run as it goes on."""

from collections.abc import Sequence

from bftledger.base.ids import ReplicaId
from bftledger.pbft.messages import Message
from bftledger.sim.host import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bftledger.sim.world import World


class Watch:
    """What the oracles want to be told while a run goes on; does nothing by itself."""

    def begun(self, world: "World", host: Host) -> None:
        """A replica has started, new or again."""

    def ended_round(self, world: "World", host: Host) -> None:
        """A replica's round is durable."""

    def sends(self, world: "World", host: Host, sent: Sequence[tuple[ReplicaId, bytes]]) -> None:
        """An honest replica is about to send this to others, all that its round says."""

    def said(self, world: "World", host: Host, message: Message) -> None:
        """An honest replica has sent a message."""

    def halted(self, world: "World", host: Host, reason: str) -> None:
        """An honest replica found that it must not go on."""
