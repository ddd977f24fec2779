"""Limits of clients' requests that wait for their turn: one more of each is named."""

from collections.abc import Iterable

import pytest

from bftledger.check.bounds import Bound, exceeded
from bftledger.engine import intake
from bftledger.engine.intake import SPARE, Intake
from bftledger.sim.desk_limits import intake_bounds


def over(bounds: Iterable[Bound]) -> list[str]:
    return [found.text for found in exceeded(bounds)]


def an_intake() -> Intake:
    """Two requests of one connection wait and one of another, of ten bytes each."""
    waiting = Intake()
    for route, frame in ((b"a", b"a request 1"), (b"a", b"a request 2"), (b"b", b"b request 1")):
        assert not list(waiting.put(route, frame[:10]))
    return waiting


def test_requests_that_wait_are_within_their_limits_up_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = an_intake()
    monkeypatch.setattr(intake, "MAX_FRAMES", 3)
    monkeypatch.setattr(intake, "MAX_BYTES", 30)

    assert over(intake_bounds(waiting, {b"b": waiting.waiting()[b"b"][0]})) == []


def test_one_request_or_byte_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = an_intake()
    monkeypatch.setattr(intake, "MAX_FRAMES", 2)
    monkeypatch.setattr(intake, "MAX_BYTES", 29)

    assert over(intake_bounds(waiting, {})) == [
        "requests that wait: 3, at most 2",
        "bytes of requests that wait: 30, at most 29",
    ]


def test_requests_that_are_counted_wrongly_are_found_and_who_has_none_and_is_there() -> None:
    waiting = an_intake()
    waiting._frames += 1
    waiting._bytes -= 4
    waiting._queues[b"b"].frames.clear()

    assert over(intake_bounds(waiting, {})) == [
        "requests that are counted wrongly: 2, at most 0",
        "bytes of requests that are counted wrongly: 6, at most 0",
        "connections without a request: 1, at most 0",
    ]


def test_old_ranks_without_end_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = an_intake()
    monkeypatch.setattr(intake, "MAX_FRAMES", 3)
    limit = 2 * 4 + SPARE
    waiting._early._heap = [((0, 0), b"old")] * limit
    assert over(intake_bounds(waiting, {})) == []

    waiting._early._heap.append(((0, 0), b"old"))
    assert over(intake_bounds(waiting, {})) == [f"ranks of connections with requests: {limit + 1}, at most {limit}"]


@pytest.mark.parametrize("frame", [b"a request ", b"another"])
def test_what_was_put_back_and_is_not_the_oldest_of_its_connection_is_found(frame: bytes) -> None:
    """An equal frame is another one: whoever brought it twice waits twice."""
    found = over(intake_bounds(an_intake(), {b"a": bytes(bytearray(frame)), b"c": frame}))

    assert found == ["requests put back that do not wait: 2, at most 0"]
