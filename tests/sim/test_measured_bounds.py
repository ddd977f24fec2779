"""Who is measured, and when: each replica in its turn, and all that run at last."""

from collections import Counter
from dataclasses import replace

import pytest

from bftledger.base.ids import ReplicaId, TxId
from bftledger.check.bounds import Bound
from bftledger.engine.answers import Waiter
from bftledger.engine.engine import Engine
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskStatus
from bftledger.sim import oracles, run
from bftledger.sim.host import Host
from bftledger.sim.oracles import MEASURED, Oracles
from bftledger.sim.plan import Crash, Plan, Work
from bftledger.sim.world import World

CALM = Plan(seed=1, work=Work(clients=1, operations=12))
"""All replicas are in step: their rounds come one after the other, always in the same order."""


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Counter[ReplicaId]:
    """How often each replica is measured in a run."""
    found: Counter[ReplicaId] = Counter()
    measure = Oracles._measure_all

    def noting(watch: Oracles, world: World, host: Host) -> None:
        found[host.id] += 1
        measure(watch, world, host)

    monkeypatch.setattr(Oracles, "_measure_all", noting)
    return found


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Counter[ReplicaId]:
    """How many rounds each replica has in a run."""
    found: Counter[ReplicaId] = Counter()
    ended = Oracles.ended_round

    def noting(watch: Oracles, world: World, host: Host) -> None:
        found[host.id] += 1
        ended(watch, world, host)

    monkeypatch.setattr(Oracles, "ended_round", noting)
    return found


def test_each_replica_is_measured_after_so_many_rounds_of_its_own_and_at_last(
    measured: Counter[ReplicaId], rounds: Counter[ReplicaId]
) -> None:
    assert run.run(CALM).ok

    assert measured == {i: rounds[ReplicaId(i)] // MEASURED + 1 for i in range(4)}
    assert min(measured.values()) > 3


def test_nobody_measures_a_traitor_nor_who_is_down(measured: Counter[ReplicaId], rounds: Counter[ReplicaId]) -> None:
    plan = replace(
        CALM, traitors={ReplicaId(2): ("garbage",)}, faults=(Crash(at=0, until=90_000, replica=ReplicaId(3)),)
    )
    run.run(plan)

    assert set(measured) == {0, 1}
    assert 2 in rounds


def lived(plan: Plan) -> tuple[World, Oracles]:
    """A world whose run is over."""
    watch = Oracles(plan)
    world = World(plan, watch)
    run._live(world, watch)
    return world, watch


def said(watch: Oracles) -> list[str]:
    return [str(violation) for violation in watch.violations]


def test_when_a_run_is_over_a_request_that_no_round_will_serve_is_found() -> None:
    world, watch = lived(CALM)
    watch.ended(world)
    assert said(watch) == []

    host = world.hosts[2]
    assert host.running is not None
    host.running.on_client(b"client 0", client_wire.encode(AskStatus(request_id=1)), host.clock(world.now))
    host.has_round = True
    watch.ended(world)
    assert said(watch) == []
    host.has_round = False
    watch.ended(world)
    assert said(watch) == ["bounds: rounds that are needed and never come at replica 2: 1, at most 0"]


@pytest.mark.parametrize("replica", range(4))
def test_when_a_run_is_over_who_waits_for_ever_is_found_wherever_it_is(
    replica: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oracles, "MEASURED", 1_000_000)
    world, watch = lived(CALM)
    engine = world.hosts[replica].running
    assert isinstance(engine, Engine)
    waiting = engine.desk.submissions
    waiting._waiters[TxId(bytes(38))] = [Waiter(b"client 0", 1)]
    waiting._waiting += 1
    watch.ended(world)

    assert said(watch) == [
        f"bounds: submissions that wait for what is pending no more at replica {replica}: 1, at most 0"
    ]


def test_every_run_ends_with_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracles, "MEASURED", 1_000_000)
    monkeypatch.setattr(oracles, "desk_bounds", lambda desk, settings: [Bound("desks", 1, 0)])

    assert [str(found) for found in run.run(CALM).violations] == [
        f"bounds: desks at replica {i}: 1, at most 0" for i in range(4)
    ]
