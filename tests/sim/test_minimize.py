"""Minimizing: what a failure does not need goes, and what it needs stays."""

from dataclasses import replace

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.group import Group
from bftledger.base.ids import Millis, ReplicaId
from bftledger.pbft.settings import Settings
from bftledger.sim import twins
from bftledger.sim.draw import Choice, draw
from bftledger.sim.minimize import minimize, same_oracle, without_twin
from bftledger.sim.plan import Crash, Cut, Jump, Plan, Slow, Storm, Weather, Work
from bftledger.sim.run import run

ROUGH = Weather(loss=0.05, duplication=0.1, delay_us=2_000, jitter_us=1_000, in_order=False, bytes_per_ms=20_000)
SIDES = tuple(
    (ReplicaId(a), ReplicaId(b)) for a in range(4) for b in range(4) if (a < 2) != (b < 2)
)  # {0, 1} and {2, 3} hear nothing of each other


def busy() -> Plan:
    """A plan with all sorts of trouble."""
    return Plan(
        seed=13,
        settings=Settings(
            request_timeout_ms=Millis(100),
            timeout_cap_ms=Millis(400),
            status_interval_ms=Millis(50),
            batch_count=4,
            window=16,
        ),
        weather=ROUGH,
        round_us=500,
        skew_ms=(5, -20, 100, 0),
        faults=(
            Storm(at=20, until=300, weather=replace(ROUGH, loss=0.2)),
            Crash(at=40, until=200, replica=ReplicaId(3), fuse=5),
            Cut(at=50, until=700, links=SIDES),
            Jump(at=100, until=500, replica=ReplicaId(1), by_ms=500),
            Slow(at=150, until=400, replica=ReplicaId(2), round_us=5_000),
            Crash(at=600, until=700, replica=ReplicaId(0), sent=2),
            Cut(at=700, until=790, links=((ReplicaId(0), ReplicaId(3)), (ReplicaId(1), ReplicaId(3)))),
        ),
        work=Work(clients=3, operations=6, reads=0.3, keys=3, burst=2, payload_bytes=100, hostile=1),
        heal_at=800,
    )


# ── what is left ──


def test_what_a_failure_does_not_need_is_gone_and_what_it_needs_is_left() -> None:
    """It needs that replica 3 crashes, that nothing comes from 1 to 2 at 130 ms, two clients, and loss."""

    def fails(plan: Plan) -> bool:
        link = ReplicaId(1), ReplicaId(2)
        crashes = any(isinstance(fault, Crash) and fault.replica == 3 for fault in plan.faults)
        is_cut = any(isinstance(f, Cut) and f.at <= 130 < f.until and link in f.links for f in plan.faults)
        return crashes and is_cut and plan.work.clients >= 2 and plan.weather.loss > 0

    found = minimize(busy(), fails)

    assert found == Plan(
        seed=13,
        weather=Weather(loss=0.05),
        faults=(
            Crash(at=40, until=41, replica=ReplicaId(3)),
            Cut(at=130, until=131, links=((ReplicaId(1), ReplicaId(2)),)),
        ),
        work=Work(clients=2, operations=1, reads=0.0, keys=1, think_ms=0),
        heal_at=131,
    )


def test_a_failure_that_needs_nothing_leaves_nothing() -> None:
    found = minimize(draw(3, Choice(sizes=(7,))), lambda plan: True)

    assert not found.faults
    assert not found.traitors
    assert (found.n, found.heal_at, found.settings, found.weather) == (4, 0, Settings(), Weather())


def test_traitors_and_what_they_do_become_few() -> None:
    plan = replace(
        busy(),
        n=7,
        traitors={ReplicaId(2): ("silent", "equivocate", "flood"), ReplicaId(5): ("silent", "collude")},
    )

    found = minimize(plan, lambda plan: "equivocate" in plan.traitors.get(ReplicaId(2), ()))

    assert dict(found.traitors) == {2: ("equivocate",)}
    assert found.n == 4, "that traitor is in the smaller group, too"


def test_a_group_keeps_its_size_where_its_faults_need_it() -> None:
    plan = replace(busy(), n=7, traitors={ReplicaId(1): ("silent",), ReplicaId(2): ("silent",)})

    found = minimize(plan, lambda plan: len(plan.traitors) == 2)

    assert found.n == 7, "a smaller one need not tolerate two traitors"


def test_twins_and_partitions_become_few() -> None:
    """It needs twin 5, and view 1, in which its second core is not with replica 0."""
    scenario = twins.Scenario(
        n=7,
        twins=(ReplicaId(2), ReplicaId(5)),
        views=tuple(((0, 1, 2, 3), (4, 5, 6), (7, 8)) for _ in range(4)),
    )

    def fails(plan: Plan) -> bool:
        if ReplicaId(5) not in plan.twins or plan.script is None or len(plan.script.views) < 2:
            return False
        second = plan.n + plan.twins.index(ReplicaId(5))
        return not any(0 in members and second in members for members in plan.script.views[1])

    found = minimize(scenario.plan(), fails)

    assert found.twins == (5,)
    assert found.script is not None
    assert found.script.views == (((0, 1, 2, 3, 4, 5, 6, 7),), ((0, 1, 2, 3), (4, 5, 6, 7)))
    assert found.heal_at == found.script.ends_at


def test_a_twin_that_goes_leaves_the_others_where_they_are() -> None:
    scenario = twins.Scenario(n=4, twins=(ReplicaId(0), ReplicaId(2)), views=(((0, 4, 5), (1, 2, 3)),))
    link = (ReplicaId(4), ReplicaId(1))
    plan = replace(scenario.plan(), faults=(Cut(at=0, until=9, links=(link,)),))

    found = without_twin(plan, ReplicaId(0))

    assert found.script is not None
    assert found.script.views == (((0, 4), (1, 2, 3)),)
    assert found.twins == (2,)
    assert found.skew_ms == (0, 1, 2, 3, 5)
    assert found.faults == ()


# ── how ──


def test_it_is_the_same_each_time_and_nothing_is_tried_twice() -> None:
    tried: list[list[Plan]] = [[], []]

    def fails(plan: Plan) -> bool:
        tried[-1].append(plan)
        return any(isinstance(fault, Slow) for fault in plan.faults) and plan.work.keys > 1

    first = minimize(busy(), fails)
    tried.append([])
    again = minimize(busy(), fails)

    assert first == again
    assert tried[1] == tried[2]
    assert all(plan not in tried[1][:number] for number, plan in enumerate(tried[1]))


def test_it_ends_when_it_has_tried_often_enough_and_tells_how_far_it_is() -> None:
    told: list[tuple[int, Plan]] = []

    found = minimize(busy(), lambda plan: len(plan.faults) > 2, lambda runs, plan: told.append((runs, plan)), limit=10)

    assert [runs for runs, _ in told] == list(range(1, 11))
    assert told[-1][1] == found
    assert 2 < len(found.faults) < len(busy().faults)


# ── with real failures ──


@pytest.fixture
def _small_quorums(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: two quorums need have no correct replica in common."""
    monkeypatch.setattr(Group, "quorum", property(lambda group: (group.n + group.f) // 2))


@pytest.mark.usefixtures("_small_quorums")
def test_a_planted_bug_is_found_in_one_partition_and_nothing_else() -> None:
    report = run(busy())
    assert report.is_forked, report.violations
    fails = same_oracle(report)

    found = minimize(busy(), fails, limit=40)

    (cut,) = found.faults
    assert isinstance(cut, Cut)
    assert len(cut.links) < len(SIDES)
    assert found.weather == Weather()
    assert found.work.clients + found.work.hostile <= 2, "a fork needs two transactions, whoever sends them"
    assert found.work.operations == 1
    assert {violation.oracle for violation in run(found).violations} >= {report.violations[0].oracle}


def test_without_the_bug_the_same_plan_has_nothing_to_minimize() -> None:
    report = run(busy())

    with pytest.raises(OperatorError, match="no oracle objects"):
        same_oracle(report)
