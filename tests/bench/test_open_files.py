"""Who has many connections may have as many files open, or is told that it may not."""

import resource

import pytest

from bftledger.base.errors import OperatorError
from bftledger.bench.open_files import allow_files


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits of this process, soft and hard, the last of them in force; none is really set."""
    limits = [(1_024, 4_096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.append(both))
    return limits


@pytest.mark.parametrize(
    ("needed", "then"), [(1_024, (1_024, 4_096)), (1_025, (1_025, 4_096)), (4_096, (4_096, 4_096))]
)
def test_the_limit_is_raised_as_far_as_needed(limit: list[tuple[int, int]], needed: int, then: tuple[int, int]) -> None:
    allow_files(needed)

    assert limit[-1] == then


def test_more_than_is_allowed_is_refused_in_one_line(limit: list[tuple[int, int]]) -> None:
    with pytest.raises(OperatorError, match=r"4097 open files are needed, and 4096 allowed .*: take fewer connections"):
        allow_files(4_097)

    assert len(limit) == 1


def test_no_limit_is_enough(limit: list[tuple[int, int]]) -> None:
    limit.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    allow_files(10**9)

    assert limit[-1] == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
