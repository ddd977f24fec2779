"""Primaries that make one backup after the other lag: when it would judge them, or so that it has missed their work.

A primary can withhold a proposal from one honest backup at a time, and its CHECKPOINT until it suits it: then that one
learns of the block just when the primary likes, and lags until it has fetched it (`suspicion.is_late`, `on_fetched`).
"""

from collections.abc import Iterable

import pytest

from bftledger.adversary.behaviour import Frame, Scene
from bftledger.adversary.behaviours.primary import Slow
from bftledger.adversary.catalogue import CATALOGUE
from bftledger.base.ids import Millis, ReplicaId, Seq
from bftledger.pbft.messages import Blocks, Checkpoint, Message, PrePrepare, Stable, Status
from bftledger.pbft.settings import Settings
from bftledger.sim.plan import Plan, Weather, Work
from bftledger.sim.world import World
from tests.adversary.test_censors import Deaf, Intrigue

BATCH = 8
LINK_MS = 10
TICK_MS = 100
BACKUPS = (ReplicaId(1), ReplicaId(2), ReplicaId(3))


def left(world: World) -> int:
    """How many honest replicas have left the primary's view."""
    hosts = (world.hosts[i].running for i in BACKUPS)
    return sum(running.replica.state.view > 0 for running in hosts if running is not None)


def a_world(traitor: str, link_ms: int, work: Work, **settings: int) -> World:
    weather = Weather(delay_us=1_000 * link_ms)
    plan = Plan(seed=3, settings=Settings(**settings), weather=weather, traitors={ReplicaId(0): (traitor,)}, work=work)  # type: ignore[arg-type]
    return World(plan)


# ── a slow one: what it would be accused for, is measured at ticks ──


@pytest.mark.parametrize(("traitor", "link_ms"), [("blindfold", 5), ("blindfold:14", 5), ("blindfold:3", 1)])
def test_a_slow_primary_that_makes_each_backup_lag_at_its_ticks_is_replaced(traitor: str, link_ms: int) -> None:
    world = a_world(traitor, link_ms, Work(operations=10_000, clients=3, reads=0.0))

    assert world.run(20_000_000, lambda: left(world) >= 2)


class Chain(Slow):
    """Withholds every third proposal of each backup, and keeps three in flight: each is behind when the next two are
    executed."""

    name = "chain"

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        return Millis(4 * LINK_MS) if isinstance(message, Checkpoint) else super().delay(to, message)

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if self.scene.state.view:
            return (message,)
        is_withheld = isinstance(message, PrePrepare) and to == BACKUPS[message.seq % len(BACKUPS)]
        return () if is_withheld or isinstance(message, Stable | Blocks) else (message,)


def test_a_slow_primary_that_has_each_backup_fetch_every_third_block_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them sees a block of its own agreed in order, and still all know how long agreement takes."""
    monkeypatch.setitem(CATALOGUE, Chain.name, Chain)
    world = a_world(
        f"{Chain.name}:60", LINK_MS // 2, Work(operations=10_000, clients=3, reads=0.0), batch_wait_ms=20, pipeline=50
    )
    intrigue = Intrigue(world)
    intrigue.every(20, lambda: intrigue.give(0, [intrigue.make(world.keys.replica(0), 10)]))

    assert world.run(25_000_000, lambda: left(world) >= 2)


# ── a censor: it orders what it likes, and nobody is level when the censored one would be judged ──


class Blinder(Deaf):
    """Orders for each backup, before each of its ticks, a batch whose proposal that one does not get."""

    name = "blinder"
    world: World
    intrigue: "BlindersIntrigue"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._victims: dict[Seq, ReplicaId] = {}
        self._leaves_at: dict[Seq, Millis] = {}
        self._ticks: dict[ReplicaId, Millis] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        now = self.scene.now
        if isinstance(message, Status) and now - self._ticks.get(sender, Millis(0)) >= TICK_MS // 2:
            self._ticks[sender] = now
            self.intrigue.blind(sender, in_ms=TICK_MS - 7 * LINK_MS, until_ms=TICK_MS - 3 * LINK_MS)
        return ()

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        match message:
            case PrePrepare(seq=seq) if self.intrigue.due:
                if seq not in self._victims:
                    self._victims[seq], self._leaves_at[seq] = self.intrigue.due.pop(0)
            case _:
                pass
        if isinstance(message, Stable):
            return ()
        return () if isinstance(message, PrePrepare) and self._victims.get(message.seq) == to else (message,)

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        if not isinstance(message, Checkpoint):
            return Millis(0)
        return Millis(max(0, self._leaves_at.get(message.seq, Millis(0)) - self.scene.now))


class BlindersIntrigue(Intrigue):
    """Gives the censor its batches, and now and then one transaction of its friend's, which all backups know."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.due: list[tuple[ReplicaId, Millis]] = []
        self.friends = [self.make(world.keys.client(5), 10) for _ in range(100)]
        self._gave_at = 0

    def blind(self, victim: ReplicaId, *, in_ms: int, until_ms: int) -> None:
        """One more batch then; it is certified at about `until_ms`. Not before the ticks are out of step."""
        if self.world.now < 350_000:
            return
        until = Millis(self.clock + until_ms)
        self.world.at(self.world.now + 1_000 * in_ms, lambda: self._order(victim, until))

    def _order(self, victim: ReplicaId, until: Millis) -> None:
        own = [self.make(self.world.keys.replica(0), 10) for _ in range(BATCH)]
        if self.friends and self.clock - self._gave_at > 300:
            self._gave_at, own[0] = self.clock, self.friends.pop(0)
        self.due.append((victim, until))
        self.give(0, own)


@pytest.mark.parametrize("blinds", [True, False])
def test_a_censor_that_makes_each_backup_lag_at_its_ticks_is_replaced(
    blinds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    traitor = Blinder if blinds else Deaf
    monkeypatch.setitem(CATALOGUE, traitor.name, traitor)
    work = Work(operations=1, clients=1, reads=0.0, lifetime_ms=Millis(299_000))
    world = a_world(traitor.name, LINK_MS, work, batch_count=BATCH)
    intrigue = Blinder.intrigue = BlindersIntrigue(world)
    world.run(100_000)
    for i, backup in enumerate(BACKUPS):
        friends = list(intrigue.friends)
        world.at(world.now + 33_000 * i, lambda backup=backup, given=friends: intrigue.give(backup, given))  # type: ignore[misc]
    if not blinds:
        intrigue.every(33, lambda: intrigue.blind(ReplicaId(1), in_ms=1, until_ms=1))

    assert world.run(20_000_000, lambda: left(world) >= 2)


# ── another censor: what a backup fetches at once was ordered before ──

BLOCKS = 11
"""One more than a primary can have in flight, with what is on its way."""


class Bursting(Deaf):
    """Orders more than can be in flight, and lets one backup after the other fetch all of it at once."""

    name = "bursting"

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if self.scene.state.view:
            return (message,)
        if isinstance(message, PrePrepare):
            burst, number = divmod(message.seq - 1, BLOCKS)
            return () if number == 0 and to == BACKUPS[burst % len(BACKUPS)] else (message,)
        return () if isinstance(message, Checkpoint) and message.seq % BLOCKS else (message,)


def test_a_busy_censor_that_lets_each_backup_fetch_a_burst_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOGUE, Bursting.name, Bursting)
    work = Work(operations=1, clients=1, reads=0.0, lifetime_ms=Millis(299_000))
    world = a_world(Bursting.name, 1, work, batch_count=BATCH)
    intrigue = Intrigue(world)
    world.run(1)
    for backup in BACKUPS:
        intrigue.give(backup, [intrigue.make(world.keys.client(5), 10) for _ in range(2 * BATCH)])
    burst = (BLOCKS - 1) * BATCH + 1
    intrigue.every(290, lambda: intrigue.give(0, [intrigue.make(world.keys.replica(0), 10) for _ in range(burst)]))

    assert world.run(20_000_000, lambda: world.clients[0].is_over)
