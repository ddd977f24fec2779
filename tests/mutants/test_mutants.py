"""Planted bugs, and the seeds that catch them: a tester that cannot see a bug is none.

`make mutants` looks for the seeds again, where a change of plans or behaviours has moved them.
"""

import pytest

from bftledger.sim.campaign import run_seeds
from tests.mutants.catalogue import CANARY, MUTANTS
from tests.mutants.hunt import stated
from tests.mutants.mutant import Mutant
from tests.mutants.objection import first_objection

STATED = stated()
EVERY = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)


def test_every_planted_bug_has_a_seed_that_catches_it() -> None:
    assert list(STATED) == list(MUTANTS)


@EVERY
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    plan = mutant.campaign.plan(STATED[mutant.name]["seed"])

    with mutant.planted():
        objection = first_objection(plan)

    assert objection is not None


@EVERY
def test_without_the_bug_the_same_run_is_fine(mutant: Mutant) -> None:
    plan = mutant.campaign.plan(STATED[mutant.name]["seed"])

    assert first_objection(plan) is None


def test_no_run_of_a_campaign_survives_the_canary() -> None:
    seeds = range(4)

    with CANARY.planted():
        with_canary = run_seeds(seeds, CANARY.campaign)
    without = run_seeds(seeds, CANARY.campaign)

    assert with_canary.failed == with_canary.runs == len(seeds)
    assert without.failed == 0


def test_a_bug_is_gone_when_it_is_not_planted() -> None:
    patches = [patch for mutant in (*MUTANTS.values(), CANARY) for patch in mutant.patches]
    before = [getattr(patch.owner, patch.attribute) for patch in patches]

    for mutant in (*MUTANTS.values(), CANARY):
        with mutant.planted():
            pass

    assert [getattr(patch.owner, patch.attribute) for patch in patches] == before
