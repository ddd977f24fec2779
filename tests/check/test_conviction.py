"""The oracle of evidence: it convicts nobody who is honest, and of a fork as many as it takes to make one."""

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.check.evidence import check_convicted
from tests.builders import Writer

GROUP = Writer(7).group


def judged(convicted: set[int], *, traitors: set[int], is_forked: bool = True) -> list[str]:
    """What the oracle says of seven replicas."""
    honest = {ReplicaId(i) for i in range(7)} - traitors
    found = check_convicted({ReplicaId(i) for i in convicted}, honest=honest, group=GROUP, is_forked=is_forked)
    return [str(violation) for violation in found]


@pytest.mark.parametrize("convicted", [{0, 1, 2}, {0, 1, 2, 3}])
def test_a_fork_for_which_f_plus_one_traitors_are_convicted_is_accounted_for(convicted: set[int]) -> None:
    assert judged(convicted, traitors={0, 1, 2, 3}) == []


def test_a_fork_that_convicts_too_few_is_objected_to() -> None:
    assert judged({2, 0}, traitors={0, 1, 2}) == [
        "evidence: a fork that convicts replica 0, replica 2: 3 replicas at least made it"
    ]
    assert judged(set(), traitors={0, 1, 2}) == ["evidence: a fork that convicts nobody: 3 replicas at least made it"]


def test_the_honest_do_not_make_up_the_number() -> None:
    assert judged({0, 1, 6}, traitors={0, 1, 2}) == [
        "evidence: replica 6 is honest, and convicted",
        "evidence: a fork that convicts replica 0, replica 1: 3 replicas at least made it",
    ]


def test_without_a_fork_nobody_needs_to_be_convicted_but_the_honest_must_not_be() -> None:
    assert judged(set(), traitors={0, 1, 2}, is_forked=False) == []
    assert judged({5}, traitors={0}, is_forked=False) == ["evidence: replica 5 is honest, and convicted"]


def test_a_fork_by_no_more_traitors_than_are_borne_is_a_bug_and_convicts_whom_it_may() -> None:
    assert judged(set(), traitors={0, 1}) == []
