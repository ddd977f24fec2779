"""Replicas that do not say what they should, or not in time (OSDI'99 §2: faulty nodes may stop, or delay messages)."""

import re
from collections.abc import Iterable
from typing import Final, get_args

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.base.ids import Millis, ReplicaId
from bftledger.ledger.client_messages import Reply
from bftledger.pbft import wire
from bftledger.pbft.messages import Message

QUORUMS: Final = "2f+1 of 3f+1 replicas decide, so nobody waits for f of them (§4.2)"
PHASES: Final = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower(): kind for kind in get_args(Message)}
"""The kinds of message by the names that the paper gives them, in small letters."""

REMEMBERED: Final = 128
REPEATED_BYTES: Final = 64 * 1024
"""Longer messages are not worth repeating."""


class Silent(Behaviour):
    """Hears everything and says nothing."""

    name = "silent"
    does = "It says nothing at all, neither to replicas nor to clients."
    stopped_by = f"{QUORUMS}; a silent primary is suspected when the request timer runs out (§4.4)."
    shows = "The others commit everything, after a view change if it was primary; clients turn to another replica."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        return ()

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        return ()


class Mute(Behaviour):
    """Silent in one phase."""

    name = "mute"
    does = "It never sends messages of one kind."
    stopped_by = f"{QUORUMS}; without PRE-PREPARE or NEW-VIEW the next view comes (§4.4)."
    shows = "The others commit everything, after a view change if it mattered."
    takes = f"the kind: {', '.join(PHASES)}; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._kind = PHASES[self.choose_from(*PHASES)]

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        return () if isinstance(message, self._kind) else (message,)


class Selective(Behaviour):
    """Has friends."""

    name = "selective"
    does = "It talks to some replicas and is silent towards the others."
    stopped_by = f"{QUORUMS}; what is missing is asked for with STATUS, and had from whoever has it (TOCS'02 §5.2)."
    shows = "All honest replicas commit everything; those it ignores follow with certificates from the others."
    takes = "whom it talks to: numbers separated by commas; half of the others by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._friends = self.replicas() or scene.chance.sample(scene.others, len(scene.others) // 2)

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        return (message,) if to in self._friends else ()


class Late(Behaviour):
    """Does everything right, too late."""

    name = "late"
    does = "It holds everything back that it sends to replicas."
    stopped_by = f"{QUORUMS}; a primary that is late is left, compared with the others (§4.4)."
    shows = "The others commit everything at their own pace; old messages are ignored."
    takes = "the delay in milliseconds, at most 60000; 90 percent of the request time-out without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._delay = Millis(self.number(scene.settings.request_timeout_ms * 9 // 10, most=60_000))

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        return self._delay


class Stutter(Behaviour):
    """Cannot let go of the past."""

    name = "stutter"
    does = "It repeats old messages, its own and those of others, to whomever it talks to."
    stopped_by = "Who hands over a message must have signed it; what changes nothing is ignored and costs no check."
    shows = "No effect but in the counters of what was ignored and dropped."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._old: list[bytes] = []

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield message
        self._remember(message)
        if self._old and self.scene.chance.random() < 0.5:
            yield self.scene.chance.choice(self._old)

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        self._remember(message)
        return ()

    def _remember(self, message: Message) -> None:
        """A few of all that there ever were: now and then a new one takes the place of any other."""
        if len(self._old) >= REMEMBERED and self.scene.chance.random() < 0.75:
            return
        frame = wire.encode(message)
        if len(frame) > REPEATED_BYTES:
            return
        if len(self._old) < REMEMBERED:
            self._old.append(frame)
        else:
            self._old[self.scene.chance.randrange(REMEMBERED)] = frame


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (Silent, Mute, Selective, Late, Stutter)
