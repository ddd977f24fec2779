"""Faults in words, as transcripts and diagrams tell them."""

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.sim.faults import befallen, describe
from bftledger.sim.plan import Crash, Cut, Fault, Jump, Slow, Storm, Weather


def cut(*links: tuple[int, int]) -> Cut:
    return Cut(at=1, until=2, links=tuple((ReplicaId(a), ReplicaId(b)) for a, b in links))


def between(some: tuple[int, ...], others: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(a, b) for a in some for b in others]


OUT, BACK = between((3,), (0, 1, 2)), between((0, 1, 2), (3,))


@pytest.mark.parametrize(
    ("fault", "words", "replicas"),
    [
        (cut(*OUT, *BACK), "replica 3 is cut off", (3,)),
        (cut(*OUT, *BACK, (-1, 3), (3, -1)), "replica 3 is cut off", (3,)),
        (cut(*OUT), "nobody hears replica 3", (3,)),
        (cut(*BACK), "replica 3 hears nobody else", (3,)),
        (cut(*between((0, 1), (2, 3)), *between((2, 3), (0, 1))), "partition: 0 1 | 2 3", ()),
        (cut((1, 2), (2, 1)), "replicas 1 and 2 do not hear each other", (1, 2)),
        (cut((1, 2), (0, 3)), "nothing passes 0→3, 1→2", ()),
        (cut((-1, 2)), "only clients are cut off", ()),
        (Crash(at=1, until=2, replica=ReplicaId(1), fuse=3), "replica 1 is to crash at operation 3 of its store", (1,)),
        (Jump(at=1, until=2, replica=ReplicaId(1), by_ms=-20), "the clock of replica 1 is 20 ms slow", (1,)),
        (Slow(at=1, until=2, replica=ReplicaId(1), round_us=2_500), "replica 1 takes 2.5 ms for a round", (1,)),
        (
            Storm(at=1, until=2, weather=Weather(loss=0.2, duplication=0.05, delay_us=2_000)),
            "storm: loses 20%, repeats 5%, 2 ms a message",
            (),
        ),
    ],
)
def test_a_fault_is_told_with_those_whom_it_befalls(fault: Fault, words: str, replicas: tuple[int, ...]) -> None:
    assert describe(fault, 4) == words
    assert befallen(fault, 4) == replicas


def test_the_links_of_a_cut_in_a_large_group_are_counted() -> None:
    assert describe(cut(*between((0,), tuple(range(1, 13)))), 13) == "12 links cut"
