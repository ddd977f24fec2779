"""What observers of a run are told as it goes on: what is sent, withheld, ignored, and all else that happens."""

from bftledger.adversary.byzantine import Byzantine
from bftledger.base.ids import Millis, ReplicaId
from bftledger.engine.running import Running
from bftledger.sim.host import Input
from bftledger.sim.places import client_of, place_of
from bftledger.sim.recording import Fate, Happening, Kind, Observer, Sending
from bftledger.sim.timeline import Timeline


class Telling:
    """Tells an observer, if there is one. Machines are called by their lanes, clients by their places."""

    def __init__(self, timeline: Timeline, observer: Observer | None) -> None:
        self._timeline = timeline
        self._observer = observer

    def sent(
        self, source: int, to: int, frame: bytes, arrives: list[int] | Fate, *, is_lie: bool = False
    ) -> Sending | None:
        """A frame leaves, or does not. Returns what was told, if anybody listens."""
        if self._observer is None:
            return None
        sending = Sending(self._timeline.now, source, to, frame, is_lie)
        if isinstance(arrives, Fate):
            sending.fate = arrives
        else:
            sending.arrives = arrives
        self._observer.sent(sending)
        return sending

    def withheld(self, lane: ReplicaId, running: Byzantine) -> None:
        """What the traitor there did not send in its last round, though an honest replica would have."""
        if self._observer is None:
            return
        for to, frame in sorted(running.withheld):
            self.sent(lane, to, frame, Fate.WITHHELD, is_lie=True)
        for route, frame in sorted(running.withheld_replies):
            client = client_of(route)
            if client is not None:
                self.sent(lane, place_of(client), frame, Fate.WITHHELD, is_lie=True)

    def happened(self, kind: Kind, text: str, replica: ReplicaId | None = None) -> None:
        """Anything else."""
        if self._observer is not None:
            self._observer.happened(Happening(self._timeline.now, kind, text, replica))


def request(route: bytes, frame: bytes, sending: Sending | None) -> Input:
    """A client's request as it arrives. `sending`: what was told of it, which learns of it if a traitor ignores it."""

    def arrive(running: Running, now: Millis) -> None:
        running.on_client(route, frame, now)
        if sending is not None and isinstance(running, Byzantine) and (route, frame) in running.ignored:
            sending.fate = Fate.IGNORED

    return arrive
