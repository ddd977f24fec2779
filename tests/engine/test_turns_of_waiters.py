"""Turns and rooms: who is answered next, and who makes room for others."""

from collections import Counter

from bftledger.engine.room import Room
from bftledger.engine.turns import Turns
from bftledger.engine.work import WORK_PER_ROUND, Work

Item = tuple[bytes, int, int]
"""Of which connection, the how manieth, and what it takes."""


def put(turns: Turns[Item], route: bytes, count: int, work: int, told: int | None = None) -> None:
    """`told`: how much work was announced, if not what it takes."""
    for number in range(count):
        turns.put(route, (route, number, work), work if told is None else told)


def served(turns: Turns[Item], units: int) -> list[Item]:
    work = Work()
    work.spend(WORK_PER_ROUND - units)

    def answer(item: Item) -> list[Item]:
        work.spend(item[2])
        return [item]

    return turns.serve(work, answer)


def test_each_connection_has_an_equal_part_of_the_work() -> None:
    turns: Turns[Item] = Turns()
    put(turns, b"dear", 100, 1_000)
    put(turns, b"cheap", 1_000, 100)

    spent = Counter[bytes]()
    for route, _, work in served(turns, 20_000):
        spent[route] += work
    assert abs(spent[b"dear"] - spent[b"cheap"]) <= 1_000


def test_who_comes_with_little_does_not_wait_for_all_who_came_before_with_much() -> None:
    turns: Turns[Item] = Turns()
    for number in range(500):
        put(turns, b"hostile %d" % number, 2, 1_000_000)
    served(turns, 10_000_000)
    put(turns, b"honest", 1, 1_000)

    assert b"honest" in [route for route, _, _ in served(turns, 3_000_000)]


def test_what_turns_out_dearer_than_was_told_counts_for_its_connection() -> None:
    turns: Turns[Item] = Turns()
    put(turns, b"dear", 100, 1_000, told=100)
    put(turns, b"cheap", 100, 100)

    assert Counter(route for route, _, _ in served(turns, 10_000))[b"dear"] <= 7


def test_a_connection_is_served_in_the_order_in_which_it_came_and_all_are_in_the_end() -> None:
    turns: Turns[Item] = Turns()
    put(turns, b"a", 5, 10)
    put(turns, b"b", 5, 300)
    found = []
    while len(turns):
        found += served(turns, 1)

    assert [number for route, number, _ in found if route == b"a"] == list(range(5))
    assert [number for route, number, _ in found if route == b"b"] == list(range(5))
    assert served(turns, 1) == []


def test_what_is_dropped_is_not_served_and_leaves_its_connection_where_it_was() -> None:
    turns: Turns[Item] = Turns()
    put(turns, b"a", 3, 1_000)
    put(turns, b"b", 1, 2_500)
    turns.drop(b"a", (b"a", 0, 1_000))
    turns.drop(b"b", (b"b", 0, 2_500))

    assert len(turns) == 2
    assert [number for _, number, _ in served(turns, 100_000)] == [1, 2]


def test_room_is_made_by_the_newest_of_who_has_most() -> None:
    room: Room[str] = Room()
    room.put(b"a", "a large one", 50)
    for number in range(3):
        room.put(b"b", f"b {number}", 20)

    assert room.make_room() == (b"b", "b 2")
    assert room.make_room() == (b"a", "a large one")
    room.drop(b"b", "b 0")
    assert room.size == 20
    assert room.make_room() == (b"b", "b 1")
    assert room.size == 0
