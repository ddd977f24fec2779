"""The stopwatch gives every nanosecond to one stage, and takes off what measuring costs without cutting anything."""

import functools
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.bench.core import Group, Work, signers, submissions
from bftledger.bench.costs import measure, turns
from bftledger.bench.stages import (
    CLIENT_CHECKS,
    CORE,
    OTHER,
    POINTS,
    REPLICA_CHECKS,
    STAGES,
    WRITES,
    Reading,
    Stopwatch,
)

MESSAGE = b"what is signed"


class Clock:
    """Stands still but where it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 0
        monkeypatch.setattr(time, "process_time_ns", lambda: self.now_ns)

    def working(self, ns: int, then: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """Work that takes so long, and then some other."""

        def work() -> None:
            self.now_ns += ns
            then()

        return work


def test_time_of_a_stage_is_without_those_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(monkeypatch), Stopwatch(())
    write = watch.wrapped(clock.working(30), WRITES)
    step = watch.wrapped(clock.working(5, then=write), CORE)

    clock.working(2, then=step)()
    write()
    reading = watch.read(clock.now_ns)

    assert reading.own_ns == {CORE: 5, WRITES: 60, OTHER: 2}
    assert reading.total_ns == clock.now_ns
    assert reading.calls == {CORE: 1, WRITES: 2}
    assert reading.calls_from == {OTHER: 2, CORE: 1}
    assert watch.read(0) == Reading(own_ns=Counter({OTHER: 0})), "the next reading begins anew"


def test_stage_that_fails_is_counted_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watch = Clock(monkeypatch), Stopwatch(())

    def fail() -> None:
        clock.now_ns += 7
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        watch.wrapped(fail, CORE)()
    clock.now_ns += 1

    assert watch.read(clock.now_ns).own_ns == {CORE: 7, OTHER: 1}


def test_what_measuring_cost_is_taken_off_whoever_it_was_counted_for_and_nothing_is_cut_off() -> None:
    reading = Reading(
        own_ns=Counter({CORE: 100, WRITES: 1, OTHER: 10}),
        calls=Counter({CORE: 1, WRITES: 3}),
        calls_from=Counter({OTHER: 1, CORE: 3}),
    )

    stages = reading.stages(10, within=0.2)

    assert stages[CORE] == pytest.approx(100 - 2 - 3 * 8)
    assert stages[WRITES] == pytest.approx(1 - 3 * 2)
    assert stages[OTHER] == pytest.approx(10 - 8)
    assert sum(stages.values()) == pytest.approx(reading.total_ns - 4 * 10)
    assert stages.keys() == set(STAGES)


def test_checks_are_counted_by_whose_signature_it_is_and_only_while_it_runs() -> None:
    replica, client = signers(1)[0], Ed25519Signer(bytes([99]) * 32)
    watch = Stopwatch({replica.public_key})
    verifier, before = Ed25519Verifier(), Ed25519Verifier.verify

    with watch.running():
        for signer in (replica, client, client):
            verifier.verify(signer.public_key, MESSAGE, signer.sign(MESSAGE))
    verifier.verify(client.public_key, MESSAGE, client.sign(MESSAGE))
    calls = watch.read(0).calls

    assert (calls[REPLICA_CHECKS], calls[CLIENT_CHECKS]) == (1, 2)
    assert Ed25519Verifier.verify is before


def test_every_point_is_passed_by_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is imported by its name elsewhere, or is not used any more, would silently count nothing."""
    passed: set[tuple[Any, str]] = set()

    def noting(point: tuple[Any, str], function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def noted(*arguments: Any, **named: Any) -> Any:
            passed.add(point)
            return function(*arguments, **named)

        return noted

    for owner, name, _ in POINTS:
        monkeypatch.setattr(owner, name, noting((owner, name), vars(owner)[name]))
    work = Work(transactions=8, batch=4)
    group = Group(tmp_path, work)
    frames = submissions(work)
    for start in range(0, len(frames), work.batch):
        group.commit(frames[start : start + work.batch])
    group.close()

    assert {(owner, name) for owner, name, _ in POINTS} - passed == set()


def test_stretches_with_and_without_the_stopwatch_have_the_same_batches_and_neither_comes_first() -> None:
    assert turns(5, 2) == [(False, 2), (True, 2), (True, 2), (False, 2), (False, 1), (True, 1)]
    assert turns(1, 64) == [(False, 1), (True, 1)]


def test_stages_and_stopwatch_add_up_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by one each time it is read: what is measured then is the stopwatch, and nothing else."""
    ticks = count()
    monkeypatch.setattr(time, "process_time_ns", lambda: next(ticks))

    found = measure(Work(transactions=8, batch=4), repeat=1)

    for cost in (found.primary, found.backup):
        assert sum(cost.stages.values()) == pytest.approx(cost.total_us)
        assert cost.stopwatch_us == pytest.approx(2 * cost.calls / 1_000)
        assert cost.instrumented_us == pytest.approx(cost.total_us + cost.stopwatch_us)
        assert cost.client_checks == 1
        assert min(cost.stages.values()) < 0
    assert found.tx_per_block == 4


def test_transactions_that_are_no_whole_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="9 transactions are not batches of 4"):
        measure(Work(transactions=9, batch=4))
