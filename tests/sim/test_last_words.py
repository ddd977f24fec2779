"""What honest replicas say is judged in whatever it leaves with: last words too, and inside a TESTIMONY."""

from collections.abc import Callable

import pytest

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.engine.engine import Halted, Round
from bftledger.pbft import messages, wire
from bftledger.pbft.messages import Commit, Message
from bftledger.pbft.wire import UNSIGNED
from bftledger.sim.door import SharedDoor
from bftledger.sim.oracles import Oracles
from bftledger.sim.plan import Plan
from bftledger.sim.world import World

ONE = ReplicaId(1)


def a_world() -> tuple[World, Oracles]:
    plan = Plan(seed=1)
    oracles = Oracles(plan)
    return World(plan, oracles), oracles


def told(world: World, of: int) -> bytes:
    """Replica 1 testifies a COMMIT that it, or another, never made durable."""

    def signed(message: wire.M) -> wire.M:
        return wire.sign(message, world.keys.replica(message.replica), world.genesis.genesis_hash)

    commit = Commit(view=View(0), seq=Seq(1), digest=Digest(bytes(32)), replica=ReplicaId(of), signature=UNSIGNED)
    return wire.encode(signed(messages.Testimony(messages=(signed(commit),), replica=ONE, signature=UNSIGNED)))


@pytest.mark.parametrize(("of", "objections"), [(1, ["replica 1 sent Commit before it was durable"]), (2, [])])
@pytest.mark.parametrize("halts", [False, True])
def test_what_a_replica_testifies_of_its_own_is_judged(
    of: int, objections: list[str], halts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, oracles = a_world()
    frame = told(world, of)
    running = world.hosts[ONE].running
    assert running is not None

    def end_round(_: object) -> Round:
        if halts:
            raise Halted("it must", [(ReplicaId(0), frame)])
        return Round(to_peers=[(ReplicaId(0), frame)])

    monkeypatch.setattr(running, "end_round", end_round)
    world.run(1_000)

    said = sorted({violation.text for violation in oracles.violations if violation.oracle == "promises"})
    assert said == objections


def test_a_shared_door_asks_once_whether_a_message_is_wanted() -> None:
    """Also about a frame that another replica did not want: to be asked may be counted."""
    world, _ = a_world()
    door, frame = SharedDoor(world.genesis.group, world.keys.verifier), told(world, 2)
    asked: list[Message] = []

    def wants(answer: bool) -> Callable[[Message], bool]:
        def is_wanted(message: Message) -> bool:
            asked.append(message)
            return answer

        return is_wanted

    assert door.authenticate(frame, wants(False)) is None
    assert door.authenticate(frame, wants(True)) is not None
    assert door.authenticate(frame, wants(True)) is not None
    assert len(asked) == 3
