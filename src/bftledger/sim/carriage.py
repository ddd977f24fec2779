"""How frames get from place to place: by the network's weather and the plan's links, noted in the trace and told."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from bftledger.sim.lines import Lines
from bftledger.sim.network import Network
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Fate, Sending
from bftledger.sim.telling import Telling
from bftledger.sim.timeline import Timeline
from bftledger.sim.trace import Trace


class Way:
    """One frame has left; or it has not, if `fate` is one. `sending`: what was told of it, if anybody listens."""

    __slots__ = ("_arrives", "_carriage", "_size", "_source", "_to", "fate", "sending")

    def __init__(
        self,
        carriage: "Carriage",
        source: int,
        to: int,
        size: int,
        arrives: list[int] | Fate,
        sending: Sending | None,
    ) -> None:
        self._carriage = carriage
        self._source = source
        self._to = to
        self._size = size
        self._arrives = [] if isinstance(arrives, Fate) else arrives
        self.fate: Final = arrives if isinstance(arrives, Fate) else None
        self.sending: Final = sending

    @property
    def copies(self) -> int:
        """So many are under way."""
        return len(self._arrives)

    def bring(self, then: Callable[[], None]) -> None:
        """Calls `then` for each copy: when the weather says that it arrives, or later, if the plan has links."""
        carriage = self._carriage
        if carriage.lines is None:
            for at in self._arrives:
                carriage.timeline.at(at, then)
            return
        if self.sending is not None:
            then = partial(self._seen, self.sending, then)
        in_order = carriage.network.weather.in_order
        for at in self._arrives:
            later_us = at - carriage.timeline.now
            carriage.lines.carry(self._source, self._to, self._size, then, later_us=later_us, in_order=in_order)

    def _seen(self, sending: Sending, then: Callable[[], None]) -> None:
        """A copy is there."""
        if sending.fate is Fate.ON_THE_WAY:
            sending.fate = None
        sending.arrives.append(self._carriage.timeline.now)
        then()


class Carriage:
    """All ways of one run. Machines and clients are called by their places, but by their lanes where it is told."""

    def __init__(self, plan: Plan, timeline: Timeline, telling: Telling) -> None:
        self.timeline: Final = timeline
        self.network: Final = Network(plan.weather, Random(f"network {plan.seed}"))
        self.trace: Final = Trace()
        self.lines: Final = (
            None if plan.links is None else Lines(plan.links, timeline, self.trace, Random(f"links {plan.seed}"))
        )
        self._telling: Final = telling

    def between_replicas(
        self, source: int, to: int, frame: bytes, lanes: tuple[int, int], *, is_lie: bool, is_apart: bool
    ) -> Way:
        """A replica sends a frame to another. `is_apart`: a script keeps it from it."""
        now = self.timeline.now
        arrives = Fate.CUT if is_apart else self.network.send(source, to, len(frame), now)
        first = 0 if isinstance(arrives, Fate) else arrives[0]
        self.trace.note(now, source, to, len(frame), first, frame)
        return self._way(source, to, frame, lanes, arrives, is_lie)

    def with_client(self, source: int, to: int, frame: bytes, lanes: tuple[int, int], *, is_lie: bool = False) -> Way:
        """A client sends a frame to a replica, or the other way round."""
        arrives = self.network.send(source, to, len(frame), self.timeline.now)
        self.trace.note(self.timeline.now, source, to, len(frame))
        return self._way(source, to, frame, lanes, arrives, is_lie)

    def _way(
        self, source: int, to: int, frame: bytes, lanes: tuple[int, int], arrives: list[int] | Fate, is_lie: bool
    ) -> Way:
        told = arrives if isinstance(arrives, Fate) or self.lines is None else Fate.ON_THE_WAY
        sending = self._telling.sent(*lanes, frame, told, is_lie=is_lie)
        return Way(self, source, to, len(frame), arrives, sending)
