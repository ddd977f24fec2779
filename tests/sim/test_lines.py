"""Lines: when frames are through, computed by hand; who shares a line with whom, and who waits for nobody."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from bftledger.sim.lines import Line, Lines
from bftledger.sim.links import Links
from bftledger.sim.timeline import Timeline
from bftledger.sim.trace import Trace

BARE = Links(regions=(0, 0, 0, 1), delays_us=((1_000, 50_000), (70_000, 2_000)))


class Log:
    """What arrives, and when: microseconds."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.found: list[tuple[str, int]] = []

    def note(self, name: str) -> Callable[[], None]:
        return lambda: self.found.append((name, self.timeline.now))


class OneLine(Log):
    """A line of 100 bytes per millisecond."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(100, self.timeline)

    def carry(self, at: int, connection: int, size: int, name: str) -> None:
        self.timeline.at(at, lambda: self.line.carry(connection, size, self.note(name)))


class AllLines(Log):
    def __init__(self, links: Links = BARE, seed: int = 1) -> None:
        super().__init__()
        self.trace = Trace()
        self.lines = Lines(links, self.timeline, self.trace, Random(seed))

    def send(self, at: int, source: int, to: int, size: int, name: str, **how: Any) -> None:
        self.timeline.at(at, lambda: self.lines.carry(source, to, size, self.note(name), **how))

    def run(self) -> list[tuple[str, int]]:
        self.timeline.run(10_000_000)
        return self.found


def through(line: OneLine) -> list[tuple[str, int]]:
    line.timeline.run(10_000_000)
    return line.found


# ── one line ──


def test_one_connection_has_the_whole_line_and_keeps_its_order() -> None:
    line = OneLine()
    line.carry(0, 1, 400, "first")
    line.carry(1_000, 1, 100, "second")
    line.carry(9_000, 1, 200, "after a pause")

    assert through(line) == [("first", 4_000), ("second", 5_000), ("after a pause", 11_000)]


def test_two_connections_share_it_while_both_have_something_to_carry() -> None:
    """From 0 to 2 ms each gets 50 bytes per millisecond; then the short one is through, and 300 bytes are left."""
    line = OneLine()
    line.carry(0, 1, 400, "long")
    line.carry(0, 2, 100, "short")

    assert through(line) == [("short", 2_000), ("long", 5_000)]


def test_who_comes_later_takes_a_share_from_then_on() -> None:
    """At 2 ms 200 of 400 bytes are through. The other 200 take 4 ms of a half, and so does what has come."""
    line = OneLine()
    line.carry(0, 1, 400, "early")
    line.carry(2_000, 2, 300, "late")

    assert through(line) == [("early", 6_000), ("late", 7_000)]


def test_three_share_in_thirds_and_nothing_is_lost_in_between() -> None:
    """3 ms for 100 bytes each; then two with 100 and 200 left share in halves, 2 ms; then 100 bytes alone."""
    line = OneLine()
    for connection, (size, name) in enumerate(((100, "a"), (200, "b"), (300, "c"))):
        line.carry(0, connection, size, name)

    assert through(line) == [("a", 3_000), ("b", 5_000), ("c", 6_000)]


def test_a_megabyte_of_one_delays_another_by_a_frame_of_its_own_at_most() -> None:
    line = OneLine()
    line.carry(0, 1, 100_000, "flood")
    for number in range(5):
        line.carry(500_000 + 10_000 * number, 2, 100, f"vote {number}")

    votes = [(f"vote {number}", 502_000 + 10_000 * number) for number in range(5)]
    assert through(line) == [*votes, ("flood", 1_005_000)]


def test_more_frames_of_one_connection_give_it_no_larger_share() -> None:
    line = OneLine()
    for _ in range(10):
        line.carry(0, 1, 100, "many")
    line.carry(0, 2, 500, "one")

    assert dict(through(line))["one"] == 10_000
    assert line.found[-1] == ("many", 15_000)


def test_frames_without_bytes_wait_for_those_before_them_and_take_no_time() -> None:
    line = OneLine()
    line.carry(0, 1, 100, "first")
    line.carry(0, 1, 0, "empty")
    line.carry(0, 2, 0, "alone")

    assert through(line) == [("alone", 0), ("first", 1_000), ("empty", 1_000)]


def test_a_line_wakes_up_only_when_a_frame_is_through() -> None:
    """Two frames come, for each of them it plans to wake up, and once more when the first one is through."""
    line = OneLine()
    line.carry(0, 1, 400, "long")
    line.carry(0, 2, 100, "short")
    through(line)

    assert line.timeline.events == 2 + 2 + 1


def test_what_is_left_of_a_connection_lasts_so_long_if_all_share() -> None:
    line = OneLine()
    line.carry(0, 1, 400, "first")
    line.carry(0, 2, 900, "other")
    line.timeline.run(2_000)

    assert line.line.lasts_us(1, 3) == 9_000  # 300 bytes are left
    assert line.line.lasts_us(7, 3) == 0


# ── all lines ──


def test_without_lines_a_message_takes_what_its_way_takes() -> None:
    lines = AllLines()
    lines.send(0, 0, 1, 9_999, "near")
    lines.send(0, 0, 3, 9_999, "far")
    lines.send(5, 3, 0, 9_999, "back")

    assert lines.run() == [("near", 1_000), ("far", 50_000), ("back", 70_005)]


def test_a_frame_goes_up_one_line_over_the_way_and_down_the_other() -> None:
    """400 bytes: 4 ms at 100 up, 1 ms, 2 ms at 200 down."""
    lines = AllLines(replace(BARE, up=(100,) * 4, down=(200,) * 4))
    lines.send(0, 0, 1, 400, "frame")

    assert lines.run() == [("frame", 7_000)]


def test_what_goes_to_all_shares_the_line_up_and_what_comes_from_all_the_line_down() -> None:
    up = AllLines(replace(BARE, regions=(0,) * 4, up=(100,) * 4))
    down = AllLines(replace(BARE, regions=(0,) * 4, down=(100,) * 4))
    for other in (1, 2, 3):
        up.send(0, 0, other, 100, str(other))
        down.send(0, other, 0, 100, str(other))

    assert up.run() == [(str(other), 3_000 + 1_000) for other in (1, 2, 3)]
    assert down.run() == [(str(other), 3_000 + 1_000) for other in (1, 2, 3)]


def test_each_machine_has_a_line_of_its_own_and_clients_have_none() -> None:
    lines = AllLines(replace(BARE, up=(100, 1_000, 100, 100), down=(100, 100, 100, 50)))
    lines.send(0, 0, -1, 400, "reply")
    lines.send(0, 1, 2, 400, "fast up")
    lines.send(0, -1, 3, 400, "request")

    assert sorted(lines.run()) == [("fast up", 400 + 1_000 + 4_000), ("reply", 4_000 + 1_000), ("request", 58_000)]


def test_frames_of_one_link_stay_in_order_but_where_the_weather_lets_them_overtake() -> None:
    jittery = replace(BARE, jitter="pareto", jitter_us=3_000, most_us=100_000, down=(10_000,) * 4)
    names = [f"{number:02}" for number in range(60)]
    for in_order in (True, False):
        lines = AllLines(jittery)
        for number, name in enumerate(names):
            lines.send(100 * number, 0, 1, 100, name, in_order=in_order)
        found = [name for name, _ in lines.run()]

        assert (found == names) is in_order
        assert sorted(found) == names


def test_what_the_weather_delays_takes_longer_on_its_way() -> None:
    lines = AllLines(replace(BARE, up=(100,) * 4))
    lines.send(0, 0, 1, 100, "delayed", later_us=7_000, in_order=False)
    lines.send(0, 0, 1, 100, "next", in_order=False)

    assert lines.run() == [("next", 2_000 + 1_000), ("delayed", 1_000 + 1_000 + 7_000)]


def test_the_same_chance_gives_the_same_run_and_the_trace_says_when_each_frame_arrived() -> None:
    jittery = replace(BARE, jitter_us=900, most_us=9_000)
    runs = [AllLines(jittery, seed) for seed in (1, 1, 2)]
    for lines in runs:
        for number in range(20):
            lines.send(number, 0, 1, 100, str(number))
    first, again, other = (lines.run() for lines in runs)

    assert first == again != other
    assert runs[0].trace.digest() == runs[1].trace.digest() != runs[2].trace.digest()


# ── after healing ──


def test_from_healing_on_it_is_counted_what_the_slowest_frame_of_each_link_took() -> None:
    lines = AllLines(replace(BARE, up=(100,) * 4))
    lines.send(0, 1, 0, 100_000, "before")
    lines.timeline.run(5)
    lines.lines.heal([(0, 1), (0, 3)], 3)
    lines.send(10, 0, 1, 100, "quick")
    lines.send(10_000, 0, 1, 400, "slow")
    lines.send(10_000, 0, 3, 100, "beside it")
    lines.run()

    assert lines.lines.slowest_us == {(0, 1): 5_000 + 1_000, (0, 3): 2_000 + 50_000}


def test_what_was_under_way_at_healing_counts_for_nobody_until_it_is_there() -> None:
    """400 bytes up a line that three may share, and something that reaches the other end at 51 ms."""
    lines = AllLines(replace(BARE, up=(100,) * 4))
    lines.send(0, 0, 1, 100, "in flight", later_us=49_000)
    lines.send(1_000, 0, 1, 400, "waits")
    lines.timeline.run(1_000)
    lines.lines.heal([(0, 1)], 3)
    lines.send(2_000, 0, 1, 100, "waits with it")
    lines.run()

    assert lines.lines.settled == 1_000 + 50_000 + 12_000
    assert lines.lines.slowest_us == {(0, 1): 0}


@pytest.mark.parametrize(("rates", "settled"), [((), 0), ((100, 100, 50, 100), 2 * 1_000 * 300 * 3 // 50)])
def test_what_is_missing_at_healing_has_to_be_fetched_up_and_down_the_narrowest_line(
    rates: tuple[int, ...], settled: int
) -> None:
    lines = AllLines(replace(BARE, up=rates))
    lines.lines.heal([(0, 1)], 3, 300)

    assert lines.lines.settled == settled
