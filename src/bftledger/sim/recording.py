"""What a run leaves behind for people: every message with its fate, and everything else that happened, in order.

A campaign records nothing but a hash; a run that somebody wants to look at is run again, from its seed, with a
`Recording`. Transcript and diagram are folds over it. Times are in microseconds since the run began.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.sim.places import client_at


class Fate(Enum):
    """Why a message does not arrive. The values are the words for people."""

    LOST = "lost on the way"
    CUT = "cut off"
    DOWN = "its receiver was down"
    CRASHED = "its sender crashed before it left"
    WITHHELD = "withheld by an adversary"
    IGNORED = "ignored by an adversary"
    UNHEARD = "nobody listens there"
    ON_THE_WAY = "still on the way in the end"


class Kind(Enum):
    """What can happen to a replica or the world, other than messages."""

    STARTED = "started"
    CRASHED = "crashed"
    HALTED = "halted"
    VIEW_LEFT = "left its view"
    VIEW_BEGUN = "entered a view"
    EXECUTED = "executed a block"
    CERTIFIED = "knows a block to be final"
    TIMER = "a timer ran out"
    FAULT = "a fault begins or ends"
    HEALED = "no faults from here on"
    CLIENT = "a client asks or is answered"
    EVIDENCE = "holds proof of guilt"
    VIOLATION = "an oracle objects"


@dataclass(slots=True, eq=False)
class Sending:
    """One frame from one replica to another, from a client to a replica, or from a replica to a client.

    `source`, `to`: lanes of replicas, or places of clients (`sim.places`). `arrives`: when, once for each copy; empty
    if it never does, and then `fate` says why. A request that an adversary ignored has arrived, and has that fate.
    `is_lie`: an adversary sent it, or this to this receiver, where an honest replica would not have.
    """

    at: int
    source: int
    to: int
    frame: bytes
    is_lie: bool = False
    arrives: list[int] = field(default_factory=list)
    fate: Fate | None = None

    @property
    def client(self) -> int | None:
        """Which client sent it, or is to get it; None between replicas."""
        return client_at(min(self.source, self.to))

    @property
    def culprit(self) -> ReplicaId | None:
        """The adversary that lied, withheld it or ignored it; None if all is honest."""
        if self.fate is Fate.IGNORED:
            return ReplicaId(self.to)
        return ReplicaId(self.source) if self.is_lie else None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that is no message. `replica`: where, None if it befalls the whole group. `text`: one short line.

    `view`: which one was left or begun. `height`, `block_hash`: of the block that was executed or became final.
    """

    at: int
    kind: Kind
    text: str
    replica: ReplicaId | None = None
    view: View | None = None
    height: Seq | None = None
    block_hash: Digest | None = None


class Observer(Protocol):
    """Is told what happens while a run goes on; changes nothing."""

    def sent(self, sending: Sending) -> None:
        """A frame left, or did not. `arrives` and `fate` are complete, but for receivers that crash before, and for
        adversaries that will ignore it.

        Where the plan has links, it is `ON_THE_WAY`, and what becomes of it is in `sending` when it is known.
        """
        ...

    def happened(self, happening: Happening) -> None:
        """Anything else."""
        ...


@dataclass(slots=True)
class Recording:
    """An observer that keeps everything, in order."""

    events: list[Sending | Happening] = field(default_factory=list)

    def sent(self, sending: Sending) -> None:
        """As of `Observer`."""
        self.events.append(sending)

    def happened(self, happening: Happening) -> None:
        """As of `Observer`."""
        self.events.append(happening)
