"""Processes on virtual time whose rounds are run for real, and take as long there as they took to run.

A host takes in what has arrived and works through it in a round. The round is run at its beginning, and its processor
time is measured; that and what the transport costs keep a core busy, then the host waits for its disk if the round
was made durable, and only then what came of it is done. Meanwhile things arrive, and are the next round's.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bftledger.base.ids import Millis, ReplicaId
from bftledger.bench.scale_costs import Costs
from bftledger.engine.engine import Engine, Round
from bftledger.net.transport import DRAIN_MESSAGES
from bftledger.pbft.effects import StartTimer
from bftledger.pbft.timers import Timer
from bftledger.sim.timeline import Timeline
from bftledger.storage.sqlite import SqliteStore

START: Final = Millis(1_700_000_000_000)
"""What all clocks say when virtual time begins."""

CLIENTS: Final = -1
"""The place of the clients, beside those of the replicas, which are their ids."""


class Cores:
    """So many cores, which rounds take in the order in which they are ready; None: one for each host."""

    def __init__(self, number: int | None) -> None:
        self._free = number
        self._waiting: deque[Callable[[], None]] = deque()

    def claim(self, begin: Callable[[], None]) -> None:
        """Calls `begin` when there is a core for it."""
        if self._free == 0:
            self._waiting.append(begin)
            return
        if self._free is not None:
            self._free -= 1
        begin()

    def release(self) -> None:
        """Whoever had one is done with it."""
        if self._waiting:
            self._waiting.popleft()()
        elif self._free is not None:
            self._free += 1


class Outgoing(NamedTuple):
    """Send this to that place."""

    to: int
    frame: bytes


class Incoming(NamedTuple):
    """What has arrived from that place."""

    source: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Spent:
    """What a round took: processor time measured and the transport's share, and the wait for the disk. Microseconds."""

    measured_us: float
    transport_us: float
    disk_us: float = 0.0


class Host(ABC):
    """A process. `post` sends what it wants sent; `cpu_us`, `transport_us`: its processor time so far."""

    def __init__(self, place: int, timeline: Timeline, cores: Cores, post: "Post") -> None:
        self.place = place
        self.is_busy = False
        self.is_silent = False
        """It is gone: it takes nothing in and does nothing more."""
        self.cpu_us = 0.0
        self.transport_us = 0.0
        self.rounds = 0
        self._timeline = timeline
        self._cores = cores
        self._post = post

    @abstractmethod
    def take_in(self, arrived: Sequence[Incoming]) -> None:
        """Frames that arrived together."""

    @property
    @abstractmethod
    def has_work(self) -> bool:
        """Whether there is anything for a round to do."""

    @abstractmethod
    def work(self) -> Spent:
        """Runs a round. What came of it is kept for `finish`."""

    @abstractmethod
    def finish(self) -> Sequence[Outgoing]:
        """Does what came of the round; returns what to send."""

    def go(self) -> None:
        """Begins a round if there is reason to, as soon as there is a core."""
        if not self.is_busy and not self.is_silent and self.has_work:
            self.is_busy = True
            self._cores.claim(self._begin)

    def _begin(self) -> None:
        spent = self.work()
        self.rounds += 1
        self.cpu_us += spent.measured_us
        self.transport_us += spent.transport_us
        done = self._timeline.now + round(spent.measured_us + spent.transport_us)
        self._timeline.at(done, lambda: self._computed(round(spent.disk_us)))

    def _computed(self, disk_us: int) -> None:
        self._cores.release()
        self._timeline.at(self._timeline.now + disk_us, self._finish)

    def _finish(self) -> None:
        self.is_busy = False
        if self.is_silent:
            return
        self._post(self.place, self.finish())
        self.go()


Post = Callable[[int, Sequence[Outgoing]], None]
"""Sends what a place has to send."""


_ROUTE: Final = b"clients"
"""The connection that all clients share."""


class WatchedStore(SqliteStore):
    """A store that counts its durable commits."""

    commits = 0

    def commit(self) -> None:
        """As of every store."""
        self.commits += 1
        super().commit()


@dataclass
class Inbox:
    """What a replica's transport holds for its next round."""

    peers: deque[Incoming] = field(default_factory=deque)
    clients: deque[Incoming] = field(default_factory=deque)

    def put(self, item: Incoming) -> None:
        """One more has arrived."""
        (self.clients if item.source == CLIENTS else self.peers).append(item)

    def drain(self) -> tuple[list[Incoming], list[Incoming]]:
        """Of either side as many as a round takes: of peers, and of clients."""
        peers, clients = (
            [queue.popleft() for _ in range(min(DRAIN_MESSAGES, len(queue)))] for queue in (self.peers, self.clients)
        )
        return peers, clients

    def __bool__(self) -> bool:
        return bool(self.peers or self.clients)


class ReplicaHost(Host):
    """A replica: its engine on its store, driven as `node.driver` drives it, but for the pace (`node.pace`): all its
    clients bring new transactions only."""

    def __init__(
        self,
        engine: Engine,
        store: WatchedStore,
        costs: Costs,
        *,
        timeline: Timeline,
        cores: Cores,
        post: Post,
    ) -> None:
        super().__init__(engine.me, timeline, cores, post)
        self.engine = engine
        self.store = store
        self._costs = costs
        self._inbox = Inbox()
        self._finished = Round()
        self._has_more = False
        self._timers: dict[type[Timer], tuple[int, Timer]] = {}
        """When each runs out, in microseconds of the timeline."""

    def start(self) -> None:
        """The process begins."""
        self.engine.start(self._clock)
        self._has_more = True  # what the start wants said
        self.go()

    @property
    def _clock(self) -> Millis:
        return Millis(START + self._timeline.now // 1_000)

    @property
    def has_work(self) -> bool:
        return self._has_more or bool(self._inbox) or bool(self._due())

    def take_in(self, arrived: Sequence[Incoming]) -> None:
        for item in arrived:
            self._inbox.put(item)
        self.go()

    def work(self) -> Spent:
        peers, clients = self._inbox.drain()
        timers = [self._timers.pop(kind)[1] for kind in self._due()]
        engine, now, commits = self.engine, self._clock, self.store.commits
        begun = time.process_time_ns()
        for source, frame in peers:
            engine.on_peer(ReplicaId(source), frame, now)
        for _, frame in clients:
            engine.on_client(_ROUTE, frame, now)
        for timer in timers:
            engine.on_timer(timer, now)
        self._finished = engine.end_round(now)
        took = time.process_time_ns() - begun
        self._has_more = self._finished.has_more
        passed = [item.frame for item in (*peers, *clients)]
        passed += [frame for _, frame in self._finished.to_peers]
        passed += [frame for _, frame in self._finished.to_clients]
        return Spent(
            measured_us=took / 1_000,
            transport_us=self._costs.transport_us(len(passed), sum(map(len, passed))),
            disk_us=self._costs.disk_us * (self.store.commits - commits),
        )

    def finish(self) -> Sequence[Outgoing]:
        for effect in self._finished.timers:
            if isinstance(effect, StartTimer):
                due = self._timeline.now + 1_000 * effect.after
                self._timers[type(effect.timer)] = (due, effect.timer)
                self._timeline.at(due, self.go)
            else:
                self._timers.pop(effect.timer, None)
        return [
            *(Outgoing(to, frame) for to, frame in self._finished.to_peers),
            *(Outgoing(CLIENTS, frame) for _, frame in self._finished.to_clients),
        ]

    def _due(self) -> list[type[Timer]]:
        """The timers that have run out."""
        return [kind for kind, (at, _) in self._timers.items() if at <= self._timeline.now]
