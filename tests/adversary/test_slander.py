"""Replicas that testify against the honest: nobody is convicted."""

import pytest

from bftledger.pbft.evidence import verify_evidence
from tests.adversary.traitors import a_group_with, colluding, dropped, honest, lens, work
from tests.engine.engines import Engines

KINDS = ["true", "moved", "forged"]


def convicted(group: Engines) -> set[int]:
    """By the evidence that honest replicas keep."""
    kept = {data for i in honest(group) for _, _, data in group.hosts[i].store.evidence()}
    return {verify_evidence(data, group.genesis.group, group.keys.verifier).replica for data in kept}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("traitor", [0, 2])
def test_nobody_honest_is_convicted(kind: str, traitor: int) -> None:
    group = a_group_with(f"slander:{kind}", traitor=traitor)
    work(group, 4)

    assert lens(group, traitor).lies["slander"] > 0
    assert convicted(group) == set()


@pytest.mark.parametrize("kind", ["moved", "forged"])
def test_what_is_made_up_is_dropped_for_its_signature(kind: str) -> None:
    group = a_group_with(f"slander:{kind}", traitor=2)
    work(group, 4)

    assert dropped(group)["BadSignature"] > 0


def test_f_of_them_together_convict_nobody_either() -> None:
    group = colluding(["slander"], traitors=[0, 4], n=7)
    work(group, 4)

    assert convicted(group) == set()
