"""The ordeal of a run: the faults of its plan, when they begin and when they end."""

from functools import partial

from bftledger.base.ids import ReplicaId
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
        self._ongoing: list[Fault] = []
        self._armed: dict[ReplicaId, Crash] = {}
        """Which fault is to make a replica crash in a round of its: of several, the newest."""

    def begin(self) -> None:
        """Everything takes its course from here on."""
        world = self._world
        for fault in world.plan.faults:
            world.at(1_000 * fault.at, partial(self._strike, fault))

    def _strike(self, fault: Fault) -> None:
        world = self._world
        world.counts[type(fault).__name__.lower()] += 1
        self._ongoing.append(fault)
        match fault:
            case Cut(links=links):
                world.network.cut(links)
            case Storm():
                self._have_weather()
            case Crash():
                self._crash_later(fault)
            case Jump(replica=replica, by_ms=by_ms):
                world.hosts[replica].jump_ms += by_ms
            case Slow(replica=replica):
                self._have_pace(replica)
        if not isinstance(fault, Crash) or fault.fuse or fault.sent >= 0:  # else the crash itself is told
            world.tell(Kind.FAULT, describe(fault, world.plan.n))
        world.at(1_000 * fault.until, partial(self._end, fault))

    def _have_weather(self) -> None:
        """Of the storms that last, the newest has it; where there is none, the plan."""
        storms = [fault.weather for fault in self._ongoing if isinstance(fault, Storm)]
        self._world.network.weather = storms[-1] if storms else self._world.plan.weather

    def _have_pace(self, replica: ReplicaId) -> None:
        """Of the faults that last and slow it down, the newest does; where there is none, the plan."""
        slow = [fault.round_us for fault in self._ongoing if isinstance(fault, Slow) and fault.replica == replica]
        self._world.set_round_time(self._world.hosts[replica], slow[-1] if slow else self._world.plan.round_us)

    def _crash_later(self, fault: Crash) -> None:
        world = self._world
        host = world.hosts[fault.replica]
        host.downs += 1
        if host.running is None:
            return
        if fault.fuse or fault.sent >= 0:
            self._armed[fault.replica] = fault
            host.disk.fuse, host.die_after = fault.fuse, fault.sent
        else:
            world.crash(host)

    def _end(self, fault: Fault) -> None:
        world = self._world
        self._ongoing.remove(fault)
        match fault:
            case Cut(links=links):
                world.network.mend(links)
            case Storm():
                self._have_weather()
            case Crash(replica=replica):
                host = world.hosts[replica]
                host.downs -= 1
                if self._armed.get(replica) is fault:
                    host.disk.fuse, host.die_after = 0, -1
                if host.running is not None:  # while this fault kept it down, nothing started it
                    world.tell(Kind.FAULT, over(fault, world.plan.n))
                elif not host.downs:
                    world.start(host)
            case Jump(replica=replica, by_ms=by_ms):
                world.hosts[replica].jump_ms -= by_ms
            case Slow(replica=replica):
                self._have_pace(replica)
        if not isinstance(fault, Crash):
            world.tell(Kind.FAULT, over(fault, world.plan.n))
