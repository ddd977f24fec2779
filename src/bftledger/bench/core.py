"""What a transaction costs a replica without sockets: a whole group in one process, on real stores, with real keys.

Clients submit a batch to the primary and get their answers; then comes the next. Frames pass from replica to replica
as bytes, in rounds as processes run them: what is sent arrives a millisecond of virtual time later. Only the
processor time that is spent in the replicas counts: not the clients', nor what would be the network's.
"""

import cProfile
import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bftledger.apps.load import load_machine
from bftledger.base import cbor
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.genesis import Genesis, ReplicaKeys
from bftledger.base.ids import Millis, ReplicaId
from bftledger.base.transaction import NONCE_BYTES, sign
from bftledger.bench.stages import Reading, Stopwatch
from bftledger.engine.engine import Engine, Round
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import Committed, Submit
from bftledger.pbft.effects import StartTimer
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import Timer
from bftledger.storage.sqlite import SqliteStore

START = Millis(1_700_000_000_000)
PRIMARY = ReplicaId(0)
ROUTE = b"clients"
KEYS = 4_096
"""Of so many different ones are the entries that are written, one after the other."""

WARM_UP_BATCHES = 4
"""So many do not count: what is made once is made in them."""

PATIENCE_MS = 10_000
"""A batch that is not answered after so much virtual time never will be."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is submitted: so many transactions of `size` bytes of payload, `batch` at a time, of `senders` clients."""

    transactions: int = 5_000
    batch: int = 128
    size: int = 200
    senders: int = 64
    replicas: int = 4
    seed: int = 1


@dataclass
class Member:
    """A replica with what is on its way to it."""

    engine: Engine
    store: SqliteStore
    inbox: list[tuple[ReplicaId | None, bytes]] = field(default_factory=list)
    """Frames, each with the peer that it comes from; None: from clients."""
    timers: dict[type[Timer], tuple[int, Timer]] = field(default_factory=dict)
    has_more: bool = False
    cpu_ns: int = 0
    watched: Reading = field(default_factory=Reading)
    """The same time by stage, as far as the group is watched."""


class Group:
    """Replicas on stores in `directory`. `profile`: of the backups, all of them together."""

    def __init__(self, directory: Path, work: Work, profile: cProfile.Profile | None = None) -> None:
        keys = signers(work.replicas)
        self.genesis = _genesis(keys)
        self.now = START
        self.answered = 0
        self.members = []
        self.watch: Stopwatch | None = None
        """While it is set, and running, the stages are counted."""
        self._profile = profile
        for i, signer in enumerate(keys):
            me = ReplicaId(i)
            store = SqliteStore(directory / f"{i}.db", self.genesis.genesis_hash, me)
            engine = Engine(
                genesis=self.genesis,
                me=me,
                signer=signer,
                verifier=Ed25519Verifier(),
                settings=Settings(),
                machine=load_machine(self.genesis.app, {}),
                store=store,
            )
            engine.start(self.now)
            self.members.append(Member(engine, store, has_more=True))

    def close(self) -> None:
        """Closes the stores."""
        for member in self.members:
            member.store.close()

    def forget(self) -> None:
        """What has been counted so far does not count."""
        for member in self.members:
            member.cpu_ns = 0
            member.watched = Reading()

    def commit(self, frames: Sequence[bytes]) -> None:
        """Submits transactions to the primary, and lets time pass until all of them are answered."""
        self.members[PRIMARY].inbox += [(None, frame) for frame in frames]
        wanted, latest = self.answered + len(frames), self.now + PATIENCE_MS
        while self.answered < wanted or self._is_busy():
            self._pass_time()
            assert self.now < latest, "every transaction is answered"

    def _is_busy(self) -> bool:
        return any(member.inbox or member.has_more for member in self.members)

    def _pass_time(self) -> None:
        self.now = Millis(self.now + 1)
        arriving: list[tuple[Member, ReplicaId, bytes]] = []
        for member in self.members:
            due = heapq.nsmallest(len(member.timers), (at for at, _ in member.timers.values() if at <= self.now))
            if member.inbox or member.has_more or due:
                finished = self._timed(member)
                self._perform(member, finished)
                arriving += [(self.members[to], member.engine.me, frame) for to, frame in finished.to_peers]
        for receiver, sender, frame in arriving:
            receiver.inbox.append((sender, frame))

    def _timed(self, member: Member) -> Round:
        if self._profile is not None and member.engine.me != PRIMARY:
            return self._profile.runcall(self._round, member)
        begun = time.process_time_ns()
        finished = self._round(member)
        took = time.process_time_ns() - begun
        member.cpu_ns += took
        if self.watch is not None:
            member.watched.add(self.watch.read(took))
        return finished

    def _round(self, member: Member) -> Round:
        engine, now = member.engine, self.now
        inbox, member.inbox = member.inbox, []
        for sender, frame in inbox:
            if sender is None:
                engine.on_client(ROUTE, frame, now)
            else:
                engine.on_peer(sender, frame, now)
        for of, (at, timer) in list(member.timers.items()):
            if at <= now:
                del member.timers[of]
                engine.on_timer(timer, now)
        return engine.end_round(now)

    def _perform(self, member: Member, finished: Round) -> None:
        member.has_more = finished.has_more
        for effect in finished.timers:
            if isinstance(effect, StartTimer):
                member.timers[type(effect.timer)] = (self.now + effect.after, effect.timer)
            else:
                member.timers.pop(effect.timer, None)
        for _, frame in finished.to_clients:
            reply = client_wire.decode_reply(frame)
            assert isinstance(reply, Committed), f"a transaction is committed, not {reply}"
            self.answered += len(reply.items)


def signers(replicas: int) -> list[Ed25519Signer]:
    """The replicas' keys, the same whenever they are made."""
    return [Ed25519Signer(bytes([i + 1]) * 32) for i in range(replicas)]


def submissions(work: Work) -> list[bytes]:
    """The clients' frames, signed: the same for the same work."""
    genesis = _genesis(signers(work.replicas))
    chance = Random(work.seed)
    senders = [Ed25519Signer(chance.randbytes(32)) for _ in range(work.senders)]
    payloads = [_put(i, work.size, chance) for i in range(min(KEYS, work.transactions))]
    count = work.transactions + WARM_UP_BATCHES * work.batch
    transactions = [
        sign(
            senders[i % len(senders)],
            genesis.genesis_hash,
            nonce=i.to_bytes(NONCE_BYTES, "big"),
            created=START,
            expires=Millis(START + genesis.max_lifetime_ms),
            payload=payloads[i % len(payloads)],
        )
        for i in range(count)
    ]
    return [
        client_wire.encode(Submit(request_id=i + 1, transaction=transaction.encoded))
        for i, transaction in enumerate(transactions)
    ]


def _put(number: int, size: int, chance: Random) -> bytes:
    """An operation of about `size` bytes on the key of this number."""
    key = number.to_bytes(8, "big")
    around = len(cbor.encode(["put", key, bytes(size)])) - size
    return cbor.encode(["put", key, chance.randbytes(max(0, size - around))])


def _genesis(keys: Sequence[Ed25519Signer]) -> Genesis:
    replicas = tuple(ReplicaKeys(key.public_key, bytes([i + 1]) * 32) for i, key in enumerate(keys))
    return Genesis(name="bench", created=START, app="kv", replicas=replicas, members=())
