"""A group and its clients on virtual time (`sim.timeline`), and everything that passes between them.

Nothing here looks at a real clock or draws from anything but the plan's seed. Everything that an adversary, a fault or
the weather does to the group happens here; what the group makes of it is the business of the engines.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from random import Random
from typing import Final

from bftledger.adversary.byzantine import Byzantine
from bftledger.adversary.catalogue import parse
from bftledger.apps.kv import KeyValue
from bftledger.base.crypto import Verifier
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Millis, ReplicaId, View
from bftledger.engine.engine import Engine, Halted, Round
from bftledger.engine.running import Running
from bftledger.ledger.asking import Timing
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.session import Session
from bftledger.pbft.timers import Timer
from bftledger.sim.carriage import Carriage
from bftledger.sim.chronicle import Chronicle
from bftledger.sim.client import Client
from bftledger.sim.door import SharedDoor
from bftledger.sim.host import (
    BETWEEN_ROUNDS,
    START_MS,
    Host,
    Input,
    PowerLoss,
)
from bftledger.sim.hostile import HostileClient
from bftledger.sim.keys import KeyRing
from bftledger.sim.ordeal import Ordeal
from bftledger.sim.places import client_of, place_of, route_of
from bftledger.sim.plan import MAX_PAYLOAD_BYTES, Plan
from bftledger.sim.recording import Fate, Kind, Observer
from bftledger.sim.script import Script
from bftledger.sim.telling import Telling, request
from bftledger.sim.timeline import Timeline
from bftledger.sim.watch import Watch

_KEYS: Final = {False: KeyRing(), True: KeyRing(real=True)}


CLIENTS: Final = 32
"""So many keys of clients of each kind, honest and hostile, are members'. Where there are more clients, they share."""


@cache
def genesis_of(n: int, real_keys: bool, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> Genesis:
    """The group of `n` replicas that runs of this size have in common. Its members are clients, and the replicas, so
    that traitors may submit as well."""
    ring = _KEYS[real_keys]
    signers = [ring.replica(i) for i in range(n)]
    for i in range(CLIENTS):
        signers += (ring.client(i), ring.signer(f"hostile client {i}"))
    members = tuple(signer.public_key for signer in signers)
    replicas = tuple(ReplicaKeys(ring.replica(i).public_key, bytes([i + 1]) * 32) for i in range(n))
    return Genesis(
        name="simulated",
        created=START_MS,
        app="kv",
        replicas=replicas,
        members=members,
        max_payload_bytes=max_payload_bytes,
    )


def verifier_of(real_keys: bool) -> Verifier:
    """Who knows all signatures of such runs."""
    return _KEYS[real_keys].verifier


def _nothing(running: Running, now: Millis) -> None:
    """An input that only makes a round."""


def _from_peer(source: ReplicaId, frame: bytes) -> Input:
    return lambda running, now: running.on_peer(source, frame, now)


class World(Timeline):
    """One run of a plan."""

    def __init__(self, plan: Plan, watch: Watch | None = None, observer: Observer | None = None) -> None:
        super().__init__()
        self.plan: Final = plan
        self.keys: Final = _KEYS[plan.real_keys]
        self.genesis: Final = genesis_of(plan.n, plan.real_keys, plan.max_payload_bytes)
        self.door: Final = SharedDoor(self.genesis.group, self.keys.verifier)
        self.counts: Counter[str] = Counter()
        """What happened how often, for whoever adds up many runs."""
        self._partitions: Final[set[View]] = set()
        """The views in which the script has kept a message from somebody."""
        self.is_healed = False
        self._watch: Final = watch or Watch()
        self._telling: Final = Telling(self, observer)
        self._chronicle: Final = None if observer is None else Chronicle(observer)
        self._carriage: Final = Carriage(plan, self, self._telling)
        self.network: Final = self._carriage.network
        self.lines: Final = self._carriage.lines
        ids = (*self.genesis.group.replicas, *plan.twins)
        self.hosts: Final = [Host(i, plan.round_us, place) for place, i in enumerate(ids)]
        self._machines: Final = {i: [host for host in self.hosts if host.id == i] for i in self.genesis.group.replicas}
        for host, skew in zip(self.hosts, plan.skew_ms, strict=False):
            host.skew_ms = skew
        self.clients: Final = self._make_clients()
        self.machine: Final = KeyValue({})
        self.hostile: Final = [HostileClient(i, self, plan) for i in range(plan.work.hostile)]
        self._begin()

    def _make_clients(self) -> list[Client]:
        machine, work = KeyValue({}), self.plan.work
        proofs = Proofs(self.genesis, machine, self.keys.verifier)
        self.genesis_block = proofs.genesis_block.hash
        return [
            Client(
                number=i,
                world=self,
                session=Session(
                    proofs,
                    Timing(patience_ms=work.patience_ms),
                    Random(f"routes of client {i} of {self.plan.seed}").random,
                ),
                signer=self.keys.client(i % CLIENTS),
                genesis_hash=self.genesis.genesis_hash,
                machine=machine,
                work=work,
                chance=Random(f"client {i} of {self.plan.seed}"),
            )
            for i in range(work.clients)
        ]

    def _begin(self) -> None:
        for host in self.hosts:
            self.start(host)
        Ordeal(self).begin()
        self.at(1_000 * self.plan.heal_at, self._heal)
        work = self.plan.work
        for client in self.clients:
            self.wake(client, 1_000 * work.spread_ms * client.number)
        for hostile in self.hostile:
            self.at(0, hostile.act)

    # ── replicas ──

    @property
    def up(self) -> list[Host]:
        """The honest replicas that run."""
        return [self.hosts[i] for i in self.plan.honest if self.hosts[i].running is not None]

    def start(self, host: Host) -> None:
        """Starts a replica from its disk."""
        host.running = self._make(host)
        self.tell(Kind.STARTED, f"replica {host.id} starts", host.lane)
        if self._chronicle is not None:
            self._chronicle.begun(self.now, host.lane, host.running)
        self._watch.begun(self, host)
        self._input(host, lambda running, now: running.start(now))

    def _make(self, host: Host) -> Running:
        engine = Engine(
            genesis=self.genesis,
            me=host.id,
            signer=self.keys.replica(host.id),
            verifier=self.keys.verifier,
            settings=self.plan.settings,
            machine=KeyValue({}),
            store=host.disk,
            door=self.door,
        )
        names = self.plan.traitors.get(host.id)
        if names is None:
            return engine
        accomplices = self.plan.traitors if "collude" in names else (host.id,)
        return Byzantine(
            engine,
            [parse(name) for name in names if name != "collude"],
            signers={i: self.keys.replica(i) for i in accomplices},
            seed=self.plan.seed,
        )

    def crash(self, host: Host, where: str = BETWEEN_ROUNDS) -> None:
        """The process dies; `where`: at which point of its work."""
        self.counts["crashes"] += 1
        self.counts[f"crashed: {where}"] += 1
        self.tell(Kind.CRASHED, f"replica {host.id} crashes", host.lane)
        self._count(host)
        host.die()

    def retire(self) -> None:
        """The run is over: what was counted is added up."""
        self.counts["events"] = self.events
        if self._partitions:
            self.counts["script: partitions"] = len(self._partitions)
        for host in self.hosts:
            self._count(host)

    def _count(self, host: Host) -> None:
        if host.running is not None:
            self.counts.update(host.running.counters())
            if isinstance(host.running, Byzantine):
                self.counts.update({f"lies: {name}": times for name, times in host.running.lies.items()})

    def _input(self, host: Host, what: Callable[[Running, Millis], None]) -> None:
        if host.running is None:
            return
        host.inbox.append(what)
        if not host.has_round:
            host.has_round = True
            self._begin_round(host)

    def _begin_round(self, host: Host) -> None:
        host.free_at = self.now + host.round_us
        self.at(host.free_at, partial(self._round, host))

    def set_round_time(self, host: Host, round_us: int) -> None:
        """From now on a replica takes so long for a round, also for the one that it is in, if that then ends sooner."""
        host.round_us = round_us
        if host.has_round and self.now + round_us < host.free_at:
            self._begin_round(host)

    def _round(self, host: Host) -> None:
        if not host.has_round or self.now != host.free_at:
            return  # it was to end later, and has ended since
        host.has_round = False
        running = host.running
        if running is None or not host.inbox:
            return
        inbox, host.inbox = host.inbox, []
        clock = host.clock(self.now)
        try:
            for what in inbox:
                what(running, clock)
            finished = running.end_round(clock)
        except PowerLoss as loss:
            self.crash(host, str(loss))
            return
        except Halted as error:
            self.tell(Kind.HALTED, f"replica {host.id} halts: {error}", host.lane)
            self._watch.halted(self, host, str(error))
            for to, frame in error.last_words:
                if not isinstance(running, Byzantine):
                    self._say(host, frame)
                for receiver in self._machines[to]:
                    self._carry(host, receiver, frame, _from_peer(host.id, frame), False)
            host.die()
            return
        if self._chronicle is not None:
            self._chronicle.ended_round(self.now, host.lane, running, host.disk)
        self._watch.ended_round(self, host)
        self._perform(host, running, finished)
        if finished.has_more:
            self._input(host, _nothing)

    def _perform(self, host: Host, running: Running, finished: Round) -> None:
        for after, kind, token in host.set_timers(finished):
            self.at(self.now + 1_000 * after, partial(self._fire, host, kind, token))
        lies: set[tuple[ReplicaId, bytes]] = set()
        client_lies: set[tuple[bytes, bytes]] = set()
        if isinstance(running, Byzantine):
            lies, client_lies = running.last_lies, running.last_client_lies
            self._telling.withheld(host.lane, running)
        is_honest = not isinstance(running, Byzantine)
        if is_honest:
            self._watch.sends(self, host, finished.to_peers)
        last: bytes | None = None
        arriving: Input = _nothing
        to_peers, to_clients, crash = host.leaves(finished)
        for to, frame in to_peers:
            if frame is not last:  # a frame that goes to all is the same one to each
                last, arriving = frame, _from_peer(host.id, frame)
                if is_honest:
                    self._say(host, frame)
            for receiver in self._machines[to]:
                self._carry(host, receiver, frame, arriving, bool(lies) and (to, frame) in lies)
        for route, frame in to_clients:
            self._reply(host, route, frame, (route, frame) in client_lies)
        if crash:
            self.crash(host, crash)

    def _say(self, host: Host, frame: bytes) -> None:
        message = self.door.read(frame)
        assert message is not None, "an honest replica sends authentic messages"
        self._watch.said(self, host, message)

    def _fire(self, host: Host, kind: type[Timer], token: int) -> None:
        timer = host.take_timer(kind, token)
        if timer is not None:
            self.counts["timers"] += 1
            if self._chronicle is not None:
                self._chronicle.timer_fired(self.now, host.lane, timer)
            self._input(host, lambda running, now: running.on_timer(timer, now))

    # ── messages ──

    def _carry(self, host: Host, receiver: Host, frame: bytes, arriving: Input, is_lie: bool) -> None:
        """One frame on its way; `arriving` is what its receiver is given."""
        script = self.plan.script
        is_apart = script is not None and not self._passes(script, host, receiver, frame)
        lanes = host.lane, receiver.lane
        way = self._carriage.between_replicas(
            host.place, receiver.place, frame, lanes, is_lie=is_lie, is_apart=is_apart
        )
        self.counts["messages"] += 1
        if way.fate is not None:
            self.counts["cut_off" if way.fate is Fate.CUT else "lost"] += 1
            return
        if way.copies > 1:
            self.counts["duplicated"] += 1
        way.bring(partial(self._input, receiver, arriving))

    def _passes(self, script: Script, host: Host, receiver: Host, frame: bytes) -> bool:
        """Whether the script lets a frame through; what is no message is none of its business."""
        running = host.running
        if running is None or (message := self.door.read(frame)) is None:
            return True
        held = script.held(message, running.replica.state.view, host.place, receiver.place, self.now)
        if held is not None:
            self.counts["script: too late" if held.is_over else "script: kept apart"] += 1
            if not held.is_over:
                self._partitions.add(held.view)
        return held is None

    def to_replica(self, client: int, replica: ReplicaId, frame: bytes) -> None:
        """A client sends a request."""
        route, place = route_of(client), place_of(client)
        for host in self._machines[replica]:
            way = self._carriage.with_client(place, host.place, frame, (place, host.lane))
            way.bring(partial(self._input, host, request(route, frame, way.sending)))

    def _reply(self, host: Host, route: bytes, frame: bytes, is_lie: bool) -> None:
        number = client_of(route)
        assert number is not None, "what a traitor asks itself it does not answer"
        place = place_of(number)
        if number >= len(self.clients):  # nobody hostile listens
            self._telling.sent(host.lane, place, frame, Fate.UNHEARD, is_lie=is_lie)
            return
        way = self._carriage.with_client(host.place, place, frame, (host.lane, place), is_lie=is_lie)
        way.bring(partial(self.clients[number].receive, host.id, frame))

    def wake(self, client: Client, at: int) -> None:
        """Calls the client at that time."""
        self.at(at, client.woken)

    @property
    def trace_hash(self) -> str:
        """Of what was sent so far, as `trace.Trace` notes it: 32 hexadecimal digits."""
        return self._carriage.trace.digest()

    def _heal(self) -> None:
        self.is_healed = True
        self.tell(Kind.HEALED, "from here on there are no faults but the traitors'")

    # ── telling ──

    def tell(self, kind: Kind, text: str, replica: ReplicaId | None = None) -> None:
        """For those who watch and have something to say."""
        self._telling.happened(kind, text, replica)
