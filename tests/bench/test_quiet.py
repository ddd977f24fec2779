"""Waiting for a quiet machine: what the kernel counts, and how long there is patience. Nothing here takes time."""

import pytest

from bftledger.bench import quiet
from bftledger.bench.quiet import Ticks, busy_share, parsed, patience, until_quiet, wait

STAT = """\
cpu  300 0 100 1500 40 0 30 10 0 0
cpu0 100 5 50 800 20 1 20 4 60 5
cpu1 200 0 50 700 20 0 10 6 0 0
intr 12345 0 9
"""


class Machine:
    """Its cores are so busy in one look after the other, the last of these from then on."""

    def __init__(self, *shares: float) -> None:
        self.slept_s: list[float] = []
        self.said: list[str] = []
        self._shares = list(shares)
        self._ticks = Ticks(busy=5_000, total=9_000)

    def read(self) -> dict[int, Ticks]:
        return {0: self._ticks}

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept_s.append(seconds)
        share = self._shares.pop(0) if len(self._shares) > 1 else self._shares[0]
        self._ticks = Ticks(self._ticks.busy + round(200 * share), self._ticks.total + 200)

    def wait(self, patience_s: float) -> float | None:
        return wait(patience_s, self.said.append, read=self.read, sleep=self.sleep)


def test_quiet_machine_is_looked_at_once() -> None:
    machine = Machine(0.02)

    assert machine.wait(30) == pytest.approx(0.02)
    assert machine.slept_s == [2]
    assert machine.said == []


def test_busy_machine_is_waited_for_until_it_is_quiet() -> None:
    machine = Machine(0.9, 0.4, 0.05, 0.9)

    assert machine.wait(30) == pytest.approx(0.05)
    assert machine.slept_s == [2, 2, 2]
    assert machine.said == ["90% of the cores are busy: waiting until they are not, for at most 28 s …"]


def test_patience_ends_and_who_reads_on_is_warned() -> None:
    machine = Machine(0.5)

    assert machine.wait(5) == pytest.approx(0.5)
    assert machine.slept_s == [2, 2, 1]
    assert machine.said[1:] == [
        "bench: 50% of the cores were busy with something else: trust no figure but ratios within this run"
    ]


def test_without_patience_nobody_looks() -> None:
    machine = Machine(0.5)

    assert machine.wait(0) is None
    assert machine.slept_s == []
    assert machine.said == []


def test_where_no_ticks_are_counted_nobody_waits() -> None:
    slept_s: list[float] = []

    assert wait(30, pytest.fail, read=dict, sleep=slept_s.append) is None
    assert slept_s == []


def test_patience_holds_within_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(quiet, "wait", lambda patience_s, *_, **__: waited.append(patience_s))
    with patience(7):
        until_quiet(print)
    until_quiet(print)

    assert waited == [7, 0]


def test_core_is_busy_in_every_tick_in_which_it_was_not_idle_and_guests_are_not_counted_twice() -> None:
    assert parsed(STAT, {0, 1}) == {0: Ticks(busy=200, total=1_000), 1: Ticks(busy=286, total=986)}


def test_only_the_cores_that_may_be_used_count() -> None:
    assert parsed(STAT, {1}).keys() == {1}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({0: Ticks(10, 100), 1: Ticks(20, 200)}, 0.0),
        ({0: Ticks(60, 200), 1: Ticks(20, 300)}, 0.25),
        ({0: Ticks(110, 200), 1: Ticks(120, 300)}, 1.0),
        ({1: Ticks(70, 300), 2: Ticks(1, 1_000)}, 0.5),  # a core was taken away, another added
    ],
)
def test_busy_share_is_of_all_cores_together(after: dict[int, Ticks], expected: float) -> None:
    assert busy_share({0: Ticks(10, 100), 1: Ticks(20, 200)}, after) == pytest.approx(expected)


def test_this_machine_counts_ticks() -> None:
    assert all(0 < one.busy <= one.total for one in quiet.ticks().values())
    assert quiet.ticks()
