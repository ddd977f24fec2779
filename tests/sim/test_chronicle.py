"""What a recording tells of replicas, and that telling it changes nothing."""

from bftledger.sim.draw import Choice, draw
from bftledger.sim.recording import Happening, Kind, Recording
from bftledger.sim.run import run


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


def test_who_records_a_run_does_not_change_it() -> None:
    plan = draw(3, Choice(sizes=(4,)))

    assert recorded(3)[1] == run(plan).trace_hash
