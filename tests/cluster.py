"""A whole group in memory, on virtual time, from one seed: n replicas, their stores, a network that may misbehave.

Everything goes the way it goes between processes: messages are frames, the door checks them, a store keeps what was
persisted, a crash loses the rest. What must hold is checked while it runs: each replica's invariants after each step,
no promise before it is stored, no two promises for one slot ever, one chain of blocks for all.
"""

import heapq
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bftledger.base import cbor
from bftledger.base.crypto import tagged_hash
from bftledger.base.errors import BftLedgerError
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, TxId, View
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.pbft import effects as fx
from bftledger.pbft import events as ev
from bftledger.pbft import invariants, messages, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.messages import Blocks, Proposal
from bftledger.pbft.recovery import Recent
from bftledger.pbft.replica import Replica
from bftledger.pbft.rooms import Load
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import Timer
from bftledger.pbft.witness import Witness
from tests.builders import FAST, GENESIS, GENESIS_BLOCK, NOW, Keys, load
from tests.memory_store import MAX_SKEW_MS, MemoryStore, slot_of
from tests.traitor import Traitor

PROMISES = (
    messages.PrePrepare,
    messages.Prepare,
    messages.Commit,
    messages.Checkpoint,
    messages.ViewChange,
    messages.NewView,
)
BLOCKS_PER_ANSWER = 5


@dataclass
class Node:
    """One replica's process, its store, and what only the test knows of it."""

    id: ReplicaId
    skew: int = 0
    store: MemoryStore = field(default_factory=MemoryStore)
    replica: Replica | None = None
    door: Authenticator | None = None
    timers: dict[type, tuple[Timer, int]] = field(default_factory=dict)
    promised: dict[tuple[int, str, int], bytes] = field(default_factory=dict)
    ignored: list[fx.Ignored] = field(default_factory=list)
    judge: Witness = field(default_factory=Witness)
    """Sees all that it says, also across restarts."""
    traitor: Traitor | None = None
    """What this member makes of its messages, if it is Byzantine."""

    @property
    def state(self) -> Any:
        assert self.replica is not None, "a crashed replica has no state"
        return self.replica.state


@dataclass(kw_only=True)
class Network:
    """How badly messages fare: probabilities, and milliseconds."""

    loss: float = 0.0
    duplication: float = 0.0
    delay: tuple[int, int] = (1, 1)
    in_order: bool = True
    cut: set[tuple[int, int]] = field(default_factory=set)
    """Links (from, to) that carry nothing."""

    def partition(self, *sides: Iterable[int]) -> None:
        """Only those of one side hear one another."""
        side = {i: number for number, members in enumerate(sides) for i in members}
        self.cut = {(a, b) for a in side for b in side if side[a] != side[b]}


class Cluster:
    """n replicas. `run` lets virtual time pass; everything that happens follows from `seed`."""

    def __init__(self, n: int = 4, *, seed: int = 0, keys: Keys = FAST, **settings: Any) -> None:
        self.random = random.Random(seed)
        self.settings = Settings(**settings)
        self.keys = keys
        self.group = keys.group(n)
        self.network = Network()
        self.now = 0
        self.chain: list[Digest] = [GENESIS_BLOCK]
        self.log: Callable[[str], None] = lambda line: None
        self.tap: Callable[[int, int, bytes], bool] = lambda source, to, frame: True
        """Sees every frame that is sent, and may hold it back."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._arrival: dict[tuple[int, int], int] = {}
        self.nodes = [Node(i) for i in self.group.replicas]
        for node in self.nodes:
            self.start(node.id)

    # ── what tests do ──

    def start(self, id: int) -> None:
        """Starts a replica from its store."""
        node = self.nodes[id]
        signer = self.keys.signer(f"replica {id}")
        node.replica = Replica(node.id, self.group, signer, self.settings, genesis_block=GENESIS_BLOCK)
        node.door = Authenticator(self.group, self.keys.verifier)
        store = node.store
        node.replica.recover(
            [node.door.authenticate_record(frame) for frame in store.votes.values()],
            executed=Seq(len(store.blocks)),
            executed_hash=store.hashes[-1],
            certificate=store.certificates[max(store.certificates)] if store.certificates else None,
            recent=[
                Recent(Seq(height), store.hashes[height], store.certificates.get(height))
                for height in range(1, len(store.hashes))
            ],
            evidence=store.evidence,
        )
        self.log(f"{id}: starts")
        self.step(node, ev.Started())

    def crash(self, id: int) -> None:
        """The process is gone; its store stays."""
        node = self.nodes[id]
        node.replica = node.door = None
        node.timers.clear()
        self.log(f"{id}: crashes")

    def submit(self, to: int, *transactions: Transaction) -> None:
        """Clients hand in transactions, unless the replica is down."""
        node = self.nodes[to]
        if node.replica is not None:
            self.log(f"{to}: clients submit {', '.join(tx.payload.decode() for tx in transactions)}")
            ahead = self.settings.clock_skew_ms
            self.step(node, ev.Submitted(tuple(tx for tx in transactions if self._is_fresh(node, tx, ahead=ahead))))

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

    @property
    def up(self) -> list[Node]:
        """The honest replicas that run."""
        return [node for node in self.nodes if node.replica is not None and node.traitor is None]

    @property
    def honest(self) -> list[int]:
        """Whose word is worth something."""
        return [node.id for node in self.nodes if node.traitor is None]

    def have_executed(self, *transactions: Transaction, on: Iterable[int] | None = None) -> bool:
        """Whether these replicas, or all honest ones, have these transactions in their ledgers."""
        ids = self.honest if on is None else on
        return all(tx.id in self.nodes[i].store.ledger for i in ids for tx in transactions)

    def view(self, id: int) -> View:
        """The view of a replica that runs."""
        view: View = self.nodes[id].state.view
        return view

    # ── one step of one replica, and its effects ──

    def clock(self, node: Node) -> Millis:
        return Millis(NOW + self.now + node.skew)

    def step(self, node: Node, event: ev.Event) -> None:
        """The event, and those that performing its effects answers with."""
        events = [event]
        while events:
            assert node.replica is not None
            before = invariants.remember(node.state)
            event = events.pop(0)
            effects = node.replica.step(event, self.clock(node))
            invariants.check(node.state, before)
            assert sum(isinstance(effect, fx.Deliver | fx.Install) for effect in effects) <= 1, "one block at a time"
            for effect in effects:
                events += self._perform(node, effect)

    def _perform(self, node: Node, effect: fx.Effect) -> Iterator[ev.Event]:
        match effect:
            case fx.Persist(record):
                node.store.keep(record)
            case fx.Discard(seq):
                node.store.discard(seq)
            case fx.Send(to, message):
                self._send(node, [to], message)
                if isinstance(message, messages.Relay):
                    yield from self._withdrawn(node, message)
            case fx.Broadcast(message):
                self._send(node, [i for i in self.group.replicas if i != node.id], message)
                if isinstance(message, messages.Relay):
                    yield from self._withdrawn(node, message)
            case fx.StartTimer(timer, after):
                assert after > 0, "no timer fires at once, or time would stand still"
                self._order += 1
                node.timers[type(timer)] = (timer, self._order)
                self._at(self.now + after, partial(self._fire, node, type(timer), self._order))
            case fx.StopTimer(kind):
                node.timers.pop(kind, None)
            case fx.Deliver(seq, proposal):
                yield self._execute(node, seq, proposal)
            case fx.Install(blocks):
                yield self._install(node, blocks)
            case fx.ReadBlocks(to, first):
                yield from self._read(node, to, first)
            case fx.Ignore(reason):
                node.ignored.append(reason)
            case fx.Convict(evidence):
                node.store.evidence.append(evidence)
            case fx.Halt(reason):
                raise AssertionError(f"an honest replica halted: {reason}")
            case fx.Refuse():
                pass

    def _fire(self, node: Node, kind: type, token: int) -> None:
        if node.timers.get(kind, (None, 0))[1] == token:
            timer, _ = node.timers.pop(kind)
            self.step(node, ev.TimerFired(timer))

    def _withdrawn(self, node: Node, relay: messages.Relay) -> Iterator[ev.Event]:
        settled = tuple(tx.id for tx in relay.transactions if not self._is_fresh(node, tx))
        if settled:
            yield ev.Withdrawn(settled)

    def _is_fresh(self, node: Node, tx: Transaction, *, ahead: int = 0) -> bool:
        """As in the engine: expired by the time of the ledger, created too late by the clock."""
        if tx.id in node.store.ledger or tx.expires < node.store.time:
            return False
        return tx.created <= max(node.store.time, self.clock(node) - ahead) + MAX_SKEW_MS

    # ── blocks ──

    def _record(self, height: int, block_hash: Digest) -> None:
        if height == len(self.chain):
            self.chain.append(block_hash)
        assert self.chain[height] == block_hash, f"two replicas made different blocks {height}"

    def _execute(self, node: Node, seq: Seq, proposal: Proposal) -> ev.Event:
        assert seq == len(node.store.hashes), "blocks are executed in order"
        time = max(proposal.time, node.store.time + 1)
        before = set(node.store.ledger)
        block_hash, _ = node.store.append(proposal.transactions, time)
        self._record(seq, block_hash)
        self.log(f"{node.id}: executes block {seq} [{', '.join(tx.payload.decode() for tx in proposal.transactions)}]")
        latest = self.clock(node) + MAX_SKEW_MS - self.settings.clock_skew_ms
        settled = [tx.id for tx in proposal.transactions if not time + MAX_SKEW_MS < tx.created <= latest]
        kept = {tx.id: tx for tx in proposal.transactions if tx.id in node.store.ledger and tx.id not in before}
        return ev.Delivered(seq, block_hash, tuple(settled), load(*kept.values()))

    def _install(self, node: Node, message: Blocks) -> ev.Event:
        """Checks the links up to the certificate, then executes."""
        tip = node.store.hashes[-1]
        for data in (*message.blocks, *message.headers):
            if cbor.decode(data)[0] != tip:
                return ev.InstallFailed()
            tip = tagged_hash("test-block", data)
        if tip != message.certificate.block_hash:
            return ev.InstallFailed()
        ids: list[TxId] = []
        loads: list[Load] = []
        for data in message.blocks:
            _, time, encoded = cbor.decode(data)
            transactions = [decode_transaction(item, GENESIS) for item in encoded]
            block_hash, block = node.store.append(transactions, time)
            assert block == data, "a certified block executes to itself"
            self._record(len(node.store.blocks), block_hash)
            ids += [tx.id for tx in transactions]
            loads.append(Load(len(transactions), sum([len(tx.encoded) for tx in transactions])))
        height = Seq(len(node.store.blocks))
        self.log(f"{node.id}: installs blocks {message.first} to {height}")
        return ev.Installed(height, node.store.hashes[-1], tuple(ids), tuple(loads), message.certificate)

    def _read(self, node: Node, to: ReplicaId, first: Seq) -> Iterator[ev.Event]:
        store = node.store
        certified = sorted(seq for seq in store.certificates if first <= seq <= len(store.blocks))
        if certified:
            last = min(first + BLOCKS_PER_ANSWER - 1, certified[-1])
            proof = next(seq for seq in certified if seq >= last)
            blocks, headers = store.blocks[first - 1 : last], store.blocks[last:proof]
            yield ev.BlocksRead(to, first, tuple(blocks), tuple(headers), store.certificates[proof])

    # ── the network ──

    def _send(self, node: Node, receivers: list[ReplicaId], message: messages.Message) -> None:
        frame = wire.encode(message)
        if isinstance(message, PROMISES) and message.replica == node.id:
            self._check_promise(node, message)
        accused = [str(found) for found in node.judge.see(message) if self.nodes[found.replica].traitor is None]
        assert not accused, "an honest replica gave reason to be accused"
        for to in receivers:
            assert to != node.id, "nobody sends to itself"
            if self.tap(node.id, to, frame):
                frames = [frame] if node.traitor is None else map(wire.encode, node.traitor.lens(message, self.now))
                for each in frames:
                    self.transmit(node.id, to, each)

    def _check_promise(self, node: Node, message: Any) -> None:
        """Disk before promise, and never two promises for one slot, whatever happened in between."""
        seq, kind, _ = slot_of(message)
        assert node.store.votes.get(slot_of(message)) == wire.encode(message), f"{kind} left before it was stored"
        said = wire.encode(replace(message, proposal=None) if isinstance(message, messages.PrePrepare) else message)
        promise = (seq, kind, getattr(message, "view", 0))
        assert node.promised.setdefault(promise, said) == said, f"two different {kind} for the same slot"

    def transmit(self, source: int, to: int, frame: bytes) -> None:
        """The network takes a frame."""
        network, chance = self.network, self.random.random
        if (source, to) in network.cut or (network.loss and chance() < network.loss):
            return
        copies = 2 if network.duplication and chance() < network.duplication else 1
        for _ in range(copies):
            arrival = self.now + self.random.randint(*network.delay)
            if network.in_order:
                arrival = self._arrival[source, to] = max(arrival, self._arrival.get((source, to), 0))
            self._at(arrival, partial(self.arrive, to, frame))

    def arrive(self, to: int, frame: bytes) -> None:
        """A frame comes in at a replica, if that is up."""
        node = self.nodes[to]
        replica, door = node.replica, node.door
        if replica is None or door is None:
            return
        try:
            message = door.authenticate(frame, lambda message: replica.refusal(message) is None)
        except BftLedgerError as error:
            raise AssertionError(f"an honest replica's frame was refused: {error}") from error
        if message is None:
            return
        if isinstance(message, messages.Relay):
            message = replace(
                message, transactions=tuple(tx for tx in message.transactions if self._is_fresh(node, tx))
            )
        self.step(node, ev.Received(message))

    def _at(self, time: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, action))
