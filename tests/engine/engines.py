"""A group of whole engines in memory: frames as bytes, rounds as a process runs them, virtual time, one seed.

What must hold is checked while it runs: the core's invariants after each round, no vote of one's own leaves before it
is durable, no two votes for one slot ever, also across crashes, and one chain of blocks for all.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bftledger.adversary.behaviour import Choice
from bftledger.adversary.byzantine import Byzantine
from bftledger.apps.load import load_machine
from bftledger.base import transaction
from bftledger.base.errors import StoreError
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq
from bftledger.base.transaction import Transaction
from bftledger.engine.aside import Stopwatch, stopped
from bftledger.engine.engine import Engine, Halted, Round
from bftledger.engine.running import Running
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import Reply, Request, Submit
from bftledger.pbft import invariants, wire
from bftledger.pbft.effects import StartTimer
from bftledger.pbft.messages import Checkpoint, CheckpointCertificate, Message, PrePrepare
from bftledger.pbft.settings import Settings
from bftledger.pbft.testimony import told_in
from bftledger.pbft.timers import Timer
from bftledger.pbft.wire import UNSIGNED
from bftledger.pbft.witness import Witness
from bftledger.storage.memory import MemoryStore
from bftledger.storage.store import BlockRows, Slot, Store, Vote, slot_of
from tests.builders import FAST, Keys

START = Millis(1_700_000_000_000)
ME = b"the client"

MayPass = Callable[[int, int, Message], bool]


def a_genesis(n: int = 4, *, keys: Keys = FAST, members: Iterable[str] = (), **limits: Any) -> Genesis:
    """The group whose replicas and clients have the keys of their names."""
    replicas = tuple(ReplicaKeys(keys.signer(f"replica {i}").public_key, bytes([i + 1]) * 32) for i in range(n))
    listed = tuple(keys.signer(name).public_key for name in members)
    return Genesis(name="engines", created=START, app="kv", replicas=replicas, members=listed, **limits)


def vote_frame(vote: Vote) -> bytes:
    """A vote as a promise: the proposal rides along unsigned."""
    return wire.encode(replace(vote, proposal=None) if isinstance(vote, PrePrepare) else vote)


class PowerLoss(Exception):
    """The process is gone."""


class RecordingStore(MemoryStore):
    """A store that keeps a diary, fails when told to, and knows which votes were ever durable."""

    def __init__(self) -> None:
        super().__init__()
        self.diary: list[str] = []
        self.durable: set[bytes] = set()
        self.fuse: int | None = None
        """The power fails at this operation from now on, counted from 1."""
        self.is_broken = False
        self._saved: set[bytes] = set()

    def save_vote(self, vote: Vote) -> None:
        self._note(slot_of(vote).kind)
        super().save_vote(vote)
        self._saved.add(vote_frame(vote))

    def save_block(self, rows: BlockRows) -> None:
        self._note("block")
        super().save_block(rows)

    def save_certificate(self, certificate: CheckpointCertificate) -> None:
        self._note("certificate")
        super().save_certificate(certificate)

    def commit(self) -> None:
        self._note("commit")
        if self.is_broken:
            raise StoreError("the disk is full")
        super().commit()
        self.durable |= self._saved
        self._saved.clear()
        self._note("committed")

    def crash(self) -> None:
        super().crash()
        self._saved.clear()
        self.fuse = None

    def _note(self, what: str) -> None:
        self.diary.append(what)
        if self.fuse is not None:
            self.fuse -= 1
            if not self.fuse:
                raise PowerLoss


@dataclass
class Host:
    """One replica's machine: its disk outlasts its process."""

    id: ReplicaId
    store: Store
    engine: Engine | None = None
    lens: Byzantine | None = None
    """What is around the engine of a traitor."""
    skew: int = 0
    """So far is its clock ahead."""
    timers: dict[type[Timer], int] = field(default_factory=dict)
    inbox: list[Callable[[Running, Millis], None]] = field(default_factory=list)
    has_round: bool = False
    promised: dict[Slot, bytes] = field(default_factory=dict)
    judge: Witness = field(default_factory=Witness)
    """Sees all that it says, also across restarts."""

    @property
    def up(self) -> Engine:
        """The engine of a replica that runs."""
        assert self.engine is not None, "the replica is down"
        return self.engine

    @property
    def height(self) -> int:
        return self.up.ledger.tip.height


class Engines:
    """n replicas. `run` lets virtual time pass; everything that happens follows from `seed`."""

    def __init__(
        self,
        n: int = 4,
        *,
        genesis: Genesis | None = None,
        keys: Keys = FAST,
        make_store: Callable[[ReplicaId, Digest], Store] = lambda _, __: RecordingStore(),
        loss: float = 0.0,
        delay: int = 1,
        seed: int = 0,
        traitors: Mapping[int, Sequence[Choice]] | None = None,
        accomplices: bool = False,
        **settings: Any,
    ) -> None:
        """`traitors`: how which replicas misbehave. `accomplices`: they have each other's keys."""
        self.genesis = genesis or a_genesis(n, keys=keys)
        self.keys = keys
        self.settings = Settings(**settings)
        self.machine = load_machine(self.genesis.app, {})
        self.loss = loss
        self.delay = delay
        self.now = 0
        self.passes: MayPass = lambda source, to, message: True
        """Sees every message between replicas, and may hold it back."""
        self.replies: dict[bytes, list[Reply]] = defaultdict(list)
        self.chain: dict[int, Digest] = {}
        self.traitors = traitors or {}
        self.accomplices = accomplices
        self.seed = seed
        self._random = random.Random(seed)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._number = 0
        group = self.genesis.group
        self.hosts = [Host(i, make_store(i, self.genesis.genesis_hash)) for i in group.replicas]
        for host in self.hosts:
            self.start(host.id)

    # ── what tests do ──

    def engine(self, id: int = 0) -> Engine:
        return self.hosts[id].up

    def store(self, id: int) -> RecordingStore:
        store = self.hosts[id].store
        assert isinstance(store, RecordingStore)
        return store

    def new_engine(self, id: int, stopwatch: Stopwatch = stopped) -> Engine:
        """An engine on the replica's store, as a process that starts makes it."""
        return Engine(
            genesis=self.genesis,
            me=ReplicaId(id),
            signer=self.keys.signer(f"replica {id}"),
            verifier=self.keys.verifier,
            settings=self.settings,
            machine=load_machine(self.genesis.app, {}),
            store=self.hosts[id].store,
            stopwatch=stopwatch,
        )

    def start(self, id: int) -> None:
        """Starts a replica from its store."""
        host = self.hosts[id]
        host.engine = self.new_engine(id)
        if id in self.traitors:
            host.lens = self._lens(host.engine)
        self.at_next_round(id, lambda engine, now: engine.start(now))

    def _lens(self, engine: Engine) -> Byzantine:
        keys = sorted(self.traitors) if self.accomplices else [engine.me]
        return Byzantine(
            engine,
            self.traitors[engine.me],
            signers={ReplicaId(i): self.keys.signer(f"replica {i}") for i in keys},
            seed=self.seed,
        )

    def crash(self, id: int) -> None:
        """The process is gone; what was not committed too."""
        host = self.hosts[id]
        host.engine = host.lens = None
        host.timers.clear()
        host.inbox.clear()
        if isinstance(host.store, MemoryStore):
            host.store.crash()

    def transaction(
        self, words: str = "", *, by: str = "alice", created: int = 0, lifetime: int = 60_000, payload: bytes = b""
    ) -> Transaction:
        """A new one of this client's, never the same twice; `created` counts from now."""
        self._number += 1
        made = Millis(START + self.now + created)
        return transaction.sign(
            self.keys.signer(by),
            self.genesis.genesis_hash,
            nonce=self._number.to_bytes(8, "big"),
            created=made,
            expires=Millis(made + lifetime),
            payload=payload or self.machine.parse((words or f"put key{self._number} value").split()),
        )

    def ask(self, to: int, request: Request, route: bytes = ME) -> None:
        """A client's request arrives, in the round of this moment."""
        self.client_frame(to, client_wire.encode(request), route)

    def client_frame(self, to: int, frame: bytes, route: bytes = ME) -> None:
        self.at_next_round(to, lambda engine, now: engine.on_client(route, frame, now))

    def peer_frame(self, to: int, frame: bytes, by: int | None = None) -> None:
        """A frame arrives that the replica `by` hands over, or whoever signed it."""
        sender = ReplicaId(self._sender(frame) if by is None else by)
        self.at_next_round(to, lambda engine, now: engine.on_peer(sender, frame, now))

    def _sender(self, frame: bytes) -> int:
        message = wire.decode(frame, self.genesis.genesis_hash)
        assert isinstance(message, Message)
        return message.replica

    def submit(self, to: int, *transactions: Transaction, route: bytes = ME) -> None:
        """Request ids are 1, 2, …"""
        for number, tx in enumerate(transactions, start=1):
            self.ask(to, Submit(request_id=number, transaction=tx.encoded), route)

    def commit(self, *transactions: Transaction, ms: int = 2_000) -> None:
        """Submits to the primary, and waits until all that run have them certified."""
        self.submit(int(self.up[0].up.replica.state.primary), *transactions, route=b"setup")
        wanted = [tx.id for tx in transactions]
        assert self.run(ms, lambda: all(len(host.store.locate(wanted)) == len(wanted) for host in self.up))
        self.run(ms, lambda: all(host.up.replica.state.low == host.height for host in self.up))

    def answer(self, to: int, request: Request, *, ms: int = 50) -> Reply:
        """The one reply to a request."""
        self._number += 1
        route = b"question %d" % self._number
        self.ask(to, request, route)
        self.run(ms)
        (reply,) = self.replies.pop(route)
        return reply

    def taken(self, route: bytes = ME) -> list[Reply]:
        """What this connection got since it was last asked."""
        return self.replies.pop(route, [])

    def run(self, ms: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets `ms` pass, or less if `until` comes true: whether it did."""
        end = self.now + ms
        while not until():
            if not self._queue or self._queue[0][0] > end:
                self.now = end
                return until()
            self.now, _, action = heapq.heappop(self._queue)
            action()
        return True

    def signed(self, message: wire.M) -> wire.M:
        """`message` with the signature of the replica that it names."""
        return wire.sign(message, self.keys.signer(f"replica {message.replica}"), self.genesis.genesis_hash)

    def certificate(self, seq: int, block_hash: Digest, by: Iterable[int] = (0, 1, 2)) -> CheckpointCertificate:
        """These replicas' word for a block, whatever it is."""
        unsigned = [
            Checkpoint(seq=Seq(seq), block_hash=block_hash, replica=ReplicaId(i), signature=UNSIGNED) for i in by
        ]
        votes = tuple((vote.replica, self.signed(vote).signature) for vote in unsigned)
        return CheckpointCertificate(seq=Seq(seq), block_hash=block_hash, signatures=votes)

    @property
    def up(self) -> list[Host]:
        return [host for host in self.hosts if host.engine is not None]

    def cut_off(self, *ids: int) -> None:
        """These hear nobody and are heard by nobody; nobody: all is well again."""
        self.passes = lambda source, to, _: source not in ids and to not in ids

    # ── rounds ──

    def at_next_round(self, id: int, action: Callable[[Running, Millis], None]) -> None:
        host = self.hosts[id]
        if host.engine is None:
            return
        host.inbox.append(action)
        if not host.has_round:
            host.has_round = True
            self._at(self.now, partial(self._round, host))

    def _round(self, host: Host) -> None:
        host.has_round = False
        engine = host.engine
        if engine is None:
            return
        running = host.lens or engine
        inbox, host.inbox = host.inbox, []
        now = Millis(START + self.now + host.skew)
        try:
            for action in inbox:
                action(running, now)
            finished = running.end_round(now)
        except PowerLoss:
            self.crash(host.id)
            return
        except Halted as error:
            for _, frame in error.last_words:
                self._judged(host, frame)
            raise
        invariants.check(engine.replica.state)
        for height in range(max(1, host.height - 2), host.height + 1):
            block_hash = host.store.block_hash(Seq(height))
            assert block_hash == self.chain.setdefault(height, block_hash or Digest(b"")), f"two blocks {height}"
        self.perform(host, finished)
        if finished.has_more:
            self.at_next_round(host.id, lambda engine, now: None)

    def perform(self, host: Host, finished: Round) -> None:
        """What a process does with the outcome of a round."""
        for effect in finished.timers:
            if isinstance(effect, StartTimer):
                assert effect.after > 0, "no timer fires at once, or time would stand still"
                self._order += 1
                host.timers[type(effect.timer)] = self._order
                self._at(self.now + effect.after, partial(self._fire, host, effect.timer, self._order))
            else:
                host.timers.pop(effect.timer, None)
        for to, frame in finished.to_peers:
            self._send(host, to, frame)
        for route, frame in finished.to_clients:
            self.replies[route].append(client_wire.decode_reply(frame))

    def _fire(self, host: Host, timer: Timer, token: int) -> None:
        if host.timers.get(type(timer)) == token:
            del host.timers[type(timer)]
            self.at_next_round(host.id, lambda engine, now: engine.on_timer(timer, now))

    def _send(self, host: Host, to: int, frame: bytes) -> None:
        if host.lens is not None:
            self._at(self.now + self.delay, partial(self.peer_frame, to, frame, host.id))
            return
        message = self._judged(host, frame)
        if self.passes(host.id, to, message) and self._random.random() >= self.loss:
            self._at(self.now + self.delay, partial(self.peer_frame, to, frame, host.id))

    def _judged(self, host: Host, frame: bytes) -> Message:
        """What an honest replica sends, when it has been looked at; also what it says of its own in a TESTIMONY."""
        message = wire.decode(frame, self.genesis.genesis_hash)
        assert isinstance(message, Message)
        for each in (message, *told_in(message)):
            if isinstance(each, Vote) and each.replica == host.id:
                said = vote_frame(each)
                if isinstance(host.store, RecordingStore):
                    assert said in host.store.durable, f"{slot_of(each)} left before it was durable"
                assert host.promised.setdefault(slot_of(each), said) == said, f"two votes for {slot_of(each)}"
        for found in host.judge.see(message):
            assert found.replica != host.id, f"an honest replica gave evidence against itself: {found}"
        return message

    def _at(self, time: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, action))
