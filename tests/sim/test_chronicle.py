"""What a recording tells of replicas, and that telling it changes nothing."""

from bftledger.base.ids import ReplicaId
from bftledger.sim.draw import Choice, draw
from bftledger.sim.plan import Crash, Plan
from bftledger.sim.recording import Happening, Kind, Recording, Sending
from bftledger.sim.run import run
from bftledger.sim.subject import Subject
from bftledger.sim.transcript import describer_of, said
from bftledger.sim.world import genesis_of


def recorded(seed: int, **choice: object) -> tuple[Recording, str]:
    recording = Recording()
    report = run(draw(seed, Choice(sizes=(4,), **choice)), recording)  # type: ignore[arg-type]
    return recording, report.trace_hash


def happenings(recording: Recording, kind: Kind) -> list[Happening]:
    return [event for event in recording.events if isinstance(event, Happening) and event.kind is kind]


def test_every_block_is_told_once_for_each_replica_in_order() -> None:
    recording, _ = recorded(1, calm=True)

    for replica in range(4):
        heights = [h.height for h in happenings(recording, Kind.EXECUTED) if h.replica == replica]
        assert heights == list(range(1, len(heights) + 1))
        assert heights


def test_an_equivocating_primary_is_left_and_convicted_in_the_chronicle() -> None:
    choice: dict[str, object] = {"traitors": (("equivocate", 1),), "calm": True}
    seed = next(seed for seed in range(100) if 0 in draw(seed, Choice(sizes=(4,), **choice)).traitors)  # type: ignore[arg-type]
    recording, _ = recorded(seed, **choice)

    assert {h.replica for h in happenings(recording, Kind.VIEW_LEFT)} >= {1, 2, 3}
    assert {h.view for h in happenings(recording, Kind.VIEW_BEGUN)} >= {0, 1}
    assert {h.text for h in happenings(recording, Kind.EVIDENCE)} == {"holds proof that replica 0 is guilty"}


def test_a_crash_that_was_announced_and_never_came_is_told_to_be_over() -> None:
    def told(*, fuse: int) -> list[str]:
        recording = Recording()
        run(Plan(seed=1, faults=(Crash(at=1, until=300, replica=ReplicaId(1), fuse=fuse),), heal_at=300), recording)
        kinds = (Kind.FAULT, Kind.CRASHED, Kind.STARTED)
        return [h.text for kind in kinds for h in happenings(recording, kind) if h.at]

    announced = "replica 1 is to crash at operation {} of its store"
    assert told(fuse=5_000) == [announced.format(5_000), "over: replica 1 did not crash"]
    assert told(fuse=1) == [announced.format(1), "replica 1 crashes", "replica 1 starts"]


def test_what_a_traitor_leaves_out_of_its_testimony_is_no_lie() -> None:
    """The core of an equivocating primary passes on what convicts it; the traitor does not, which is no lie."""
    plan = Plan(seed=1, traitors={ReplicaId(0): ("equivocate",)})
    recording = Recording()
    report = run(plan, recording)
    describer = describer_of(Subject(seed=1, genesis=genesis_of(plan.n, plan.real_keys)))
    lies = [said(describer, event) for event in recording.events if isinstance(event, Sending) and event.is_lie]

    assert report.convicted == {0}
    assert [name for name in report.counts if name.startswith("lies: ")] == ["lies: equivocate"]
    assert lies
    assert not [line for line in lies if line.startswith("TESTIMONY")]


def test_who_records_a_run_does_not_change_it() -> None:
    plan = draw(3, Choice(sizes=(4,)))

    assert recorded(3)[1] == run(plan).trace_hash
