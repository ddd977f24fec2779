"""How many honest replicas must have, in the end of a run, what a client holds a receipt for."""

from collections.abc import Callable

import pytest

from bftledger.check import durability, progress
from bftledger.sim import run as sim_run
from bftledger.sim import verdict
from bftledger.sim.history import blocks_of
from bftledger.sim.host import Disk
from bftledger.sim.plan import Plan

PLAN = Plan(seed=1)
"""Four honest replicas, and nothing goes wrong."""


def objections(oracle: str) -> list[str]:
    """Of a run of the plan, by that oracle."""
    return [str(found) for found in sim_run.run(PLAN).violations if found.oracle == oracle]


def lose(ledgers: int) -> Callable[[Disk], list[bytes]]:
    """So many replicas, the first ones, have no block in the end."""
    judged: list[Disk] = []

    def what_is_left(disk: Disk) -> list[bytes]:
        judged.append(disk)
        return blocks_of(disk)[: 0 if len(judged) <= ledgers else None]

    return what_is_left


def test_when_all_have_caught_up_all_of_them_have_what_was_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert objections(durability.ORACLE) == []

    monkeypatch.setattr(verdict, "blocks_of", lose(1))
    assert "but 3 of 4 honest replicas have that block" in objections(durability.ORACLE)[0]


@pytest.mark.parametrize(("lost", "is_borne"), [(1, True), (2, False)])
def test_before_that_as_many_have_it_as_are_in_every_quorum(
    lost: int, is_borne: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim_run, "_is_settled", lambda world, target: False)
    monkeypatch.setattr(verdict, "blocks_of", lose(lost))
    assert (objections(durability.ORACLE) == []) is is_borne

    assert "not all replicas reach block" in objections(progress.ORACLE)[0]
