"""What `bench/check.py` makes of what it measures: what has got slower is named, and nothing else.

Nothing here depends on time: figures are given, or work is counted in calls of functions.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bftledger.bench.guard import Figure, Recorded, Verdict, compare, examine, measure, slower
from bftledger.bench.paths import RECORDED, Piece, pieces
from bftledger.bench.recorded import Recording, record
from bftledger.bench.yardsticks import Ready, yardsticks
from bftledger.pbft import wire

NAMES = ["step", "decode", "verify", "execute", "store", "encode", "sign", "simulator", "replica"]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(RECORDED)


def piece(name: str, recording: Recording, directory: Path) -> Piece:
    return next(one for one in pieces(recording, directory) if one.name == name)


# ── comparing ──


def recorded(ratio: float, least: float | None = None, greatest: float | None = None) -> Recorded:
    return Recorded(ratio=ratio, least=least or ratio, greatest=greatest or ratio)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (1.16, Verdict.SLOWER),
        (1.14, Verdict.SAME),
        (1.0, Verdict.SAME),
        (0.88, Verdict.SAME),
        (0.86, Verdict.FASTER),
    ],
)
def test_path_is_slower_or_faster_beyond_the_tolerance(now: float, verdict: Verdict) -> None:
    (found,) = compare({"step": recorded(1.0)}, {"step": now}, tolerance=0.15)

    assert found.verdict is verdict
    assert found.change == pytest.approx(now - 1)


def test_path_that_varied_when_it_was_recorded_may_vary_twice_as_much() -> None:
    known = {"noisy": recorded(2.0, 1.9, 2.2), "steady": recorded(2.0, 1.99, 2.01)}
    found = {one.name: one for one in compare(known, {"noisy": 2.5, "steady": 2.5}, tolerance=0.15)}

    assert found["noisy"].allowed == pytest.approx(0.3)
    assert found["noisy"].verdict is Verdict.SAME
    assert found["steady"].allowed == 0.15
    assert found["steady"].verdict is Verdict.SLOWER


def test_path_that_is_not_measured_any_more_is_bad_and_a_new_one_is_not() -> None:
    gone, new = sorted(compare({"gone": recorded(1.0)}, {"new": 1.0}, tolerance=0.15), key=lambda one: one.name)

    assert (gone.verdict, gone.row()["ok"], gone.change) == (Verdict.MISSING, False, None)
    assert (new.verdict, new.row()["ok"], new.change) == (Verdict.NEW, True, None)


def test_what_is_recorded_is_the_median_of_the_rounds_and_their_range() -> None:
    assert Recorded.of([1.1, 0.9, 1.0]) == Recorded(ratio=1.0, least=0.9, greatest=1.1)
    assert Recorded.of([1.1, 0.9, 1.0]).spread == pytest.approx(0.2)


# ── measuring, by a clock that the work itself advances ──


class Ticks:
    """A clock that shows how much work was done."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def work(self, *costs: int) -> Ready:
        """Work that costs so much, the next time that much, and the last of these ever after."""
        left = list(costs)

        @contextmanager
        def ready() -> Iterator[Callable[[], object]]:
            self.now += 1_000_000  # getting ready takes long, and is not counted

            def work() -> object:
                self.now += left.pop(0) if len(left) > 1 else left[0]
                return None

            yield work

        return ready


def a_piece(name: str, ready: Ready) -> Piece:
    return Piece(name=name, what="", like=("python",), ready=ready)


def test_ratio_is_to_the_yardsticks_before_and_after() -> None:
    clock = Ticks()
    (found,) = measure(
        [a_piece("step", clock.work(300))], {"python": clock.work(100, 200, 100, 200, 150)}, seconds=1e-9, clock=clock
    ).values()

    assert found == Figure(ratio=2.0, turns=3, least_us=0.3)


def test_figure_is_the_median_of_the_turns() -> None:
    clock = Ticks()
    (found,) = measure(
        [a_piece("step", clock.work(900, 110, 100))], {"python": clock.work(100)}, seconds=1e-9, clock=clock
    ).values()

    assert found.ratio == pytest.approx(1.1)


def test_what_seems_slower_is_measured_again_and_only_that() -> None:
    clock = Ticks()
    said: list[str] = []
    found = [a_piece("once", clock.work(*[200] * 3, 100)), a_piece("always", clock.work(200))]
    known = {"once": recorded(1.0), "always": recorded(1.0)}
    figures, findings = examine(
        known, found, {"python": clock.work(100)}, seconds=1e-9, tolerance=0.15, say=said.append, clock=clock
    )

    assert slower(findings) == ["always"]
    assert {name: figure.ratio for name, figure in figures.items()} == {"once": 1.0, "always": 2.0}
    assert ["once" in line for line in said] == [False, True, False]


# ── planted slowdowns, counted in calls ──


class Calls:
    """A clock that counts calls of functions: the same for the same work."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def _on(self, _: object, event: str, __: object) -> None:
        self.now += event in ("call", "c_call")

    def __enter__(self) -> "Calls":
        sys.setprofile(self._on)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


def twice(ready: Ready) -> Ready:
    """The same work, done two times."""

    @contextmanager
    def both() -> Iterator[Callable[[], object]]:
        with ExitStack() as stack:
            works = [stack.enter_context(ready()) for _ in range(2)]
            yield lambda: [work() for work in works]

    return both


@pytest.fixture(scope="module")
def counted(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorded]:
    """What every path costs in calls."""
    directory = tmp_path_factory.mktemp("counted")
    with Calls() as clock:
        figures = measure(pieces(recording, directory), yardsticks(directory), seconds=1e-9, clock=clock)
    return {name: Recorded.of([figure.ratio]) for name, figure in figures.items()}


def found_slower(known: dict[str, Recorded], some: list[Piece], directory: Path) -> list[str]:
    with Calls() as clock:
        _, findings = examine(
            known, some, yardsticks(directory), seconds=1e-9, tolerance=0.15, say=lambda _: None, clock=clock
        )
    return slower(findings)


def test_nothing_is_slower_where_nothing_has_changed(
    recording: Recording, counted: dict[str, Recorded], tmp_path: Path
) -> None:
    assert found_slower(counted, pieces(recording, tmp_path), tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_path_that_does_its_work_twice_is_named(
    name: str, recording: Recording, counted: dict[str, Recorded], tmp_path: Path
) -> None:
    planted = piece(name, recording, tmp_path)
    slow = replace(planted, ready=twice(planted.ready))
    others = [one for one in pieces(recording, tmp_path) if one.name in ("encode", "sign") and one.name != name]

    assert found_slower(counted, [*others, slow], tmp_path) == [name]


def test_function_that_does_its_work_twice_is_found_by_the_path_through_it(
    recording: Recording, counted: dict[str, Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = wire.sign
    monkeypatch.setattr(wire, "sign", lambda *arguments: (once(*arguments), once(*arguments))[1])
    some = [one for one in pieces(recording, tmp_path) if one.name in ("step", "decode", "execute", "encode", "sign")]

    assert "sign" in found_slower(counted, some, tmp_path)
    assert not {"decode", "execute", "encode"} & set(found_slower(counted, some, tmp_path))
