"""The ordeal of a run: the faults of its plan, when they begin and when they end."""

from functools import partial

from bftledger.sim.faults import describe, over
from bftledger.sim.plan import Crash, Cut, Fault, Jump, Slow, Storm
from bftledger.sim.recording import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bftledger.sim.world import World


class Ordeal:
    """Lets the faults of a world's plan happen to it."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def begin(self) -> None:
        """Everything takes its course from here on."""
        world = self._world
        for fault in world.plan.faults:
            world.at(1_000 * fault.at, partial(self._strike, fault))

    def _strike(self, fault: Fault) -> None:
        world = self._world
        world.counts[type(fault).__name__.lower()] += 1
        match fault:
            case Cut(links=links):
                world.network.cut(links)
            case Storm(weather=weather):
                world.network.weather = weather
            case Crash():
                self._crash_later(fault)
            case Jump(replica=replica, by_ms=by_ms):
                world.hosts[replica].jump_ms += by_ms
            case Slow(replica=replica, round_us=round_us):
                world.hosts[replica].round_us = round_us
        if not isinstance(fault, Crash) or fault.fuse or fault.sent >= 0:  # else the crash itself is told
            world.tell(Kind.FAULT, describe(fault, world.plan.n))
        world.at(1_000 * fault.until, partial(self._end, fault))

    def _crash_later(self, fault: Crash) -> None:
        world = self._world
        host = world.hosts[fault.replica]
        host.downs += 1
        if host.running is None:
            return
        if fault.fuse:
            host.disk.fuse = fault.fuse
        elif fault.sent >= 0:
            host.die_after = fault.sent
        else:
            world.crash(host)

    def _end(self, fault: Fault) -> None:
        world = self._world
        match fault:
            case Cut(links=links):
                world.network.mend(links)
            case Storm():
                world.network.weather = world.plan.weather
            case Crash(replica=replica):
                host = world.hosts[replica]
                host.downs -= 1
                host.disk.fuse, host.die_after = 0, -1
                if host.running is not None:  # while this fault kept it down, nothing started it
                    world.tell(Kind.FAULT, over(fault, world.plan.n))
                elif not host.downs:
                    world.start(host)
            case Jump(replica=replica, by_ms=by_ms):
                world.hosts[replica].jump_ms -= by_ms
            case Slow(replica=replica):
                world.hosts[replica].round_us = world.plan.round_us
        if not isinstance(fault, Crash):
            world.tell(Kind.FAULT, over(fault, world.plan.n))
