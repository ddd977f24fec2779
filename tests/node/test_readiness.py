"""When a group is said to be up: all answer, are in a view, and none lags that will not lag for long."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.node import readiness
from bftledger.node.readiness import Statuses, wait_until_ready


def reply(height: int, *, active: bool) -> Any:
    return SimpleNamespace(executed=height, active=active)


def said(*heights: int | None, inactive: Sequence[int] = ()) -> Statuses:
    """How so many replicas answer: at these heights, None for one that does not."""
    return {
        ReplicaId(i): None if height is None else reply(height, active=i not in inactive)
        for i, height in enumerate(heights)
    }


def returned(*answers: Statuses, mine: Sequence[int] = (0, 1, 2, 3)) -> tuple[Statuses, int]:
    """What is returned where the group answers so, one time after the other, and how many were not asked for."""
    supervisor: Any = SimpleNamespace(
        replicas=[ReplicaId(i) for i in mine],
        check_started=lambda: None,
        home=SimpleNamespace(log_path=lambda replica: Path(f"{replica}.log")),
    )
    left: Iterator[Statuses] = iter(answers)

    async def ask() -> Statuses:
        return next(left)

    return asyncio.run(wait_until_ready(ask, supervisor)), len(list(left))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "POLL_S", 0.0)


def test_a_group_is_ready_when_all_answer_and_are_in_a_view() -> None:
    level = said(3, 3, 3, 3)

    assert returned(said(3, 3, 3, None), said(3, 3, 3, 3, inactive=[3]), level) == (level, 0)


def test_who_was_away_and_lags_by_little_is_waited_for() -> None:
    level = said(2, 2, 2, 2)

    assert returned(said(1, 2, 2, 2), said(1, 2, 2, 2), level, level) == (level, 1)


def test_in_a_group_at_work_some_are_ahead_and_nobody_lags() -> None:
    busy = said(5, 4, 6, 4)

    assert returned(busy) == (busy, 0)


def test_who_lags_for_long_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LEVEL_S", -1.0)
    behind = said(1, 9_000, 9_000, 9_000)

    assert returned(behind) == (behind, 0)


def test_others_need_not_answer_nor_be_level() -> None:
    alone, behind = said(7, None, None, None), said(7, 2, 2, 9)

    assert returned(alone, mine=[0]) == (alone, 0)
    assert returned(behind, mine=[0]) == (behind, 0)


def test_who_does_not_get_ready_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "READY_S", -1.0)

    with pytest.raises(OperatorError, match=r"replica 2 is not ready after -1 s: see 2\.log"):
        returned(said(3, 3, None, 3))
