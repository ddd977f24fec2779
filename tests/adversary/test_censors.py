"""A censor that orders just enough to seem busy, and its friend, whose long queue at each backup makes the others wait.

The friend's transactions fill the room for what a backup passes on, and the backup bears that they wait: so whoever
comes after them must not have to wait for longer than a transaction lives (`rooms.room_out`, `suspicion.patience`).
"""

from collections.abc import Callable

import pytest

from bftledger.adversary.behaviour import Behaviour
from bftledger.adversary.behaviours.primary import RELAY
from bftledger.adversary.catalogue import CATALOGUE
from bftledger.base import cbor
from bftledger.base.crypto import Signer
from bftledger.base.ids import Millis, ReplicaId
from bftledger.base.transaction import NONCE_BYTES, Transaction, sign
from bftledger.engine.engine import Engine
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import Request, Submit
from bftledger.pbft import frames
from bftledger.pbft.settings import Settings
from bftledger.sim.host import START_MS
from bftledger.sim.plan import Plan, Work
from bftledger.sim.world import World

FRIENDS = 700
"""So many of its friend's wait at each backup: more than there is room for at the primary."""

HALF_A_BATCH = 8
"""Transactions of 65,500 bytes."""


class Deaf(Behaviour):
    """As primary it takes nothing but what this test gives it."""

    name = "deaf"

    def takes_request(self, route: bytes, request: Request) -> bool:
        return not self.scene.state.is_primary

    def hears(self, sender: ReplicaId, frame: bytes) -> bool:
        return not self.scene.state.is_primary or frames.number_of(frame) != RELAY


class Intrigue:
    """Gives replicas transactions as their clients would."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._made = 0

    @property
    def clock(self) -> Millis:
        """What a right clock says, milliseconds since the epoch."""
        return Millis(START_MS + self.world.now // 1_000)

    def make(self, signer: Signer, size: int) -> Transaction:
        """A new one of so many bytes, and somewhat more."""
        self._made += 1
        created = self.clock
        return sign(
            signer, self.world.genesis.genesis_hash, nonce=self._made.to_bytes(NONCE_BYTES, "big"), created=created,
            expires=Millis(created + 299_000), payload=cbor.encode(["put", b"k", bytes(size)]),
        )  # fmt: skip

    def give(self, replica: int, transactions: list[Transaction]) -> None:
        """They come to the honest core of a replica, which begins a round."""
        running = self.world.hosts[replica].running
        assert running is not None
        engine = running if isinstance(running, Engine) else running.engine  # type: ignore[attr-defined]
        for transaction in transactions:
            frame = client_wire.encode(Submit(request_id=1, transaction=transaction.encoded))
            engine.on_client(b"client 99", frame, self.clock)
        self.world._input(self.world.hosts[replica], lambda running, now: None)

    def every(self, period_ms: int, what: Callable[[], None]) -> None:
        """Does this now and then."""
        what()
        self.world.at(self.world.now + 1_000 * period_ms, lambda: self.every(period_ms, what))


def test_a_friend_of_a_busy_censor_makes_nobody_wait_for_longer_than_transactions_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CATALOGUE, Deaf.name, Deaf)
    work = Work(operations=1, clients=1, reads=0.0)
    world = World(Plan(seed=1, settings=Settings(), traitors={ReplicaId(0): (Deaf.name,)}, work=work))
    intrigue, friend = Intrigue(world), world.keys.client(5)
    world.run(1)
    for backup in (1, 2, 3):
        intrigue.give(backup, [intrigue.make(friend, 6_450) for _ in range(FRIENDS)])
    intrigue.every(
        480, lambda: intrigue.give(0, [intrigue.make(world.keys.replica(0), 65_500) for _ in range(HALF_A_BATCH)])
    )
    answered = world.run(60_000_000, lambda: world.clients[0].is_over)
    (call,) = world.clients[0].calls

    assert answered
    assert call.outcome is not None
    assert call.outcome.ok
    assert world.now < 1_000 * work.lifetime_ms // 2
