"""Bounds: what is too large is named, and a core under load stays within all of them."""

from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.check.bounds import Bound, exceeded, state_bounds
from bftledger.check.violation import MAX_VIOLATIONS
from bftledger.pbft.pace import Probe
from bftledger.pbft.passing import START, Passed
from bftledger.pbft.rooms import CLIENTS
from bftledger.pbft.state import Slot
from tests.builders import Writer, a_replica, proposal, tx
from tests.engine.engines import Engines

W = Writer()


def over(replica_state: object) -> list[str]:
    return [str(found) for found in exceeded(state_bounds(replica_state), "replica 1")]  # type: ignore[arg-type]


def test_what_is_at_its_limit_passes_and_one_more_does_not() -> None:
    assert exceeded([Bound("queue", 5, 5)]) == []

    (found,) = exceeded([Bound("queue", 5, 5), Bound("log", 6, 5)], "replica 3")
    assert str(found) == "bounds: log at replica 3: 6, at most 5"


def test_many_at_once_are_told_in_few_lines() -> None:
    assert len(exceeded(Bound(f"queue {i}", 1, 0) for i in range(1_000))) == MAX_VIOLATIONS


def test_a_fresh_replica_is_within_its_bounds() -> None:
    assert over(a_replica().state) == []


def test_a_log_that_is_never_cut_is_found() -> None:
    state = a_replica(window=4).state
    state.slots = {Seq(seq): Slot(Seq(seq)) for seq in range(1, 10)}

    assert over(state) == ["bounds: slots of the log at replica 1: 9, at most 8"]


def test_what_piles_up_in_one_slot_is_found() -> None:
    state = a_replica().state
    slot = state.slot(Seq(1))
    slot.proposals = {made.digest: made for made in (proposal(f"pay {i}") for i in range(5))}
    for i in range(6):
        slot.prepares[ReplicaId(i)] = W.prepare(1)
        slot.commits[ReplicaId(i)] = W.commit(1)
        slot.checkpoints[ReplicaId(i)] = W.checkpoint(1)

    assert over(state) == [
        "bounds: proposals of a slot at replica 1: 5, at most 4",
        "bounds: prepares of a slot at replica 1: 6, at most 4",
        "bounds: commits of a slot at replica 1: 6, at most 4",
        "bounds: checkpoints of a slot at replica 1: 6, at most 4",
    ]


def test_view_changes_and_answers_without_limit_are_found() -> None:
    state = a_replica(window=4).state
    change = W.view_change(1)
    state.view_changes = {ReplicaId(i): change for i in range(5)}
    state.answered.update((ReplicaId(1), number) for number in range(45))

    assert over(state) == [
        "bounds: view changes at replica 1: 5, at most 4",
        "bounds: answers to peers at replica 1: 45, at most 44",
    ]


def test_rooms_and_shares_that_overflow_are_found() -> None:
    state = a_replica(pool_count=8, pool_share=1).state
    clients, relays = state.pool.rooms()[CLIENTS], state.pool.rooms()[ReplicaId(2)]
    clients.count, relays.count = 9, 2
    relays.bytes = relays.max_bytes + 1

    assert over(state) == [
        "bounds: transactions in the room of replica 2 at replica 1: 2, at most 1",
        f"bounds: bytes in the room of replica 2 at replica 1: {relays.bytes}, at most {relays.max_bytes}",
        "bounds: transactions in the room of clients at replica 1: 9, at most 5",
    ]


def test_a_single_transaction_may_be_larger_than_its_room() -> None:
    state = a_replica().state
    room = state.pool.rooms()[CLIENTS]
    room.count, room.bytes = 1, room.max_bytes + 1

    assert over(state) == []


def test_times_of_what_the_primary_does_have_limits() -> None:
    """What is passed on and waits may take its room twice (`Passing.share`); with 32 transactions that is 2 of 4."""
    state = a_replica(pool_count=32).state
    passing, pace, waiting = state.pool.passing, state.pace, [tx(f"pay {i}") for i in range(5)]
    for each in waiting:
        assert state.pool.admit(each) is None
        passing._passed[each.id] = Passed(each, START, 0)
    pace.probes = dict.fromkeys([each.id for each in waiting[:4]], Probe(Millis(0), 0, shared=False))
    pace.accepted = {Seq(seq): Millis(0) for seq in range(1, 65)}
    passing.out.count = 4
    assert over(state) == []

    pace.probes[waiting[4].id] = Probe(Millis(0), 0, shared=False)
    pace.accepted[Seq(65)] = Millis(0)
    passing.out.count = 5
    assert over(state) == [
        "bounds: transactions passed on that wait at replica 1: 5, at most 4",
        "bounds: transactions timed that wait at replica 1: 5, at most 4",
        "bounds: agreements timed at replica 1: 65, at most 64",
    ]


def test_what_is_kept_back_is_four_times_for_each_number_of_the_log() -> None:
    state = a_replica(window=4).state
    probe = Probe(Millis(0), 0, shared=True)
    state.slots = {Seq(seq): Slot(Seq(seq)) for seq in range(1, 9)}
    state.pace.kept_back = {Seq(seq): [probe] * 4 for seq in range(1, 9)}
    assert over(state) == []

    state.slots[Seq(9)] = Slot(Seq(9))
    state.pace.kept_back[Seq(9)] = [probe] * 5
    assert over(state) == [
        "bounds: slots of the log at replica 1: 9, at most 8",
        "bounds: proposals kept back at replica 1: 9, at most 8",
        "bounds: times of one proposal kept back at replica 1: 5, at most 4",
    ]


def test_what_is_executed_is_timed_no_more() -> None:
    state = a_replica(window=4).state
    probe = Probe(Millis(0), 0, shared=True)
    state.pace.kept_back, state.pace.accepted = {Seq(3): [probe]}, {Seq(3): Millis(0), Seq(4): Millis(0)}
    state.executed = Seq(2)
    assert over(state) == []

    state.executed = Seq(3)
    assert over(state) == [
        "bounds: proposals kept back that are executed at replica 1: 1, at most 0",
        "bounds: agreements timed that are executed at replica 1: 1, at most 0",
    ]


def test_a_group_under_more_load_than_it_takes_stays_within_its_bounds() -> None:
    engines = Engines(loss=0.2, delay=4, window=8, pool_count=40, pool_share=30, batch_count=4, request_timeout_ms=200)
    largest: dict[str, int] = {}
    for turn in range(30):
        for host in engines.up:
            engines.submit(host.id, *(engines.transaction(by=f"client {i % 3}") for i in range(10)))
        engines.cut_off(*([turn % 4] if turn % 3 == 0 else []))
        engines.run(100)
        for host in engines.up:
            bounds = list(state_bounds(host.up.replica.state))
            assert exceeded(bounds, f"replica {host.id}") == []
            for bound in bounds:
                largest[bound.name] = max(largest.get(bound.name, 0), bound.size)

    assert largest["slots of the log"] > 2
    assert largest["transactions timed that wait"] > 1
    assert largest["agreements timed"] > 0
    assert largest["transactions in the room of clients"] > 20
    assert any(host.up.replica.state.view > View(0) for host in engines.up)
