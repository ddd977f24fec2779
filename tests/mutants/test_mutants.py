"""Planted bugs, and the seeds that catch them: a tester that cannot see a bug is none.

`make mutants` looks for the seeds again, where a change of plans or behaviours has moved them. Where a seed still
catches its bug in other words, `python -m tests.mutants.hunt --again --write` states those; look at what has changed.
"""

from dataclasses import replace

import pytest

from bftledger.base.group import Group
from bftledger.pbft import recovery, status, transfer
from bftledger.pbft.effects import Effect
from bftledger.pbft.pool import Pool
from bftledger.pbft.state import State
from bftledger.sim.campaign import Source, run_seeds
from tests.mutants.catalogue import CANARY, MUTANTS
from tests.mutants.fit import misfit
from tests.mutants.hunt import stated
from tests.mutants.mutant import Mutant, Patch
from tests.mutants.objection import first_objection, is_catch

STATED = stated()
_SOUND: dict[tuple[Source, int], str | None] = {}
EVERY = pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)


def test_every_planted_bug_has_a_seed_that_catches_it() -> None:
    assert list(STATED) == list(MUTANTS)


@EVERY
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    plan = mutant.campaign.plan(STATED[mutant.name]["seed"])

    with mutant.planted():
        objection = first_objection(plan)

    assert objection is not None
    assert is_catch(objection)
    assert objection == STATED[mutant.name]["says"]


@EVERY
def test_without_the_bug_the_same_run_is_fine(mutant: Mutant) -> None:
    assert _objection_without_bugs(mutant.campaign, STATED[mutant.name]["seed"]) is None


def _objection_without_bugs(campaign: Source, seed: int) -> str | None:
    """Several bugs are caught by the same run: it is run once."""
    if (campaign, seed) not in _SOUND:
        _SOUND[campaign, seed] = first_objection(campaign.plan(seed))
    return _SOUND[campaign, seed]


@EVERY
def test_a_patch_takes_what_it_replaces_takes(mutant: Mutant) -> None:
    assert [reason for patch in mutant.patches if (reason := misfit(*patch))] == []


def _takes_one(pool: Pool) -> None:
    pass


def _names_another(state: State, *, executed: int) -> None:
    pass


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (Patch(Pool, "return_proposed", _takes_one), "return_proposed takes .*latest.*, not "),
        (Patch(recovery, "recover", _names_another), "recover takes .*executed_hash.*, not "),
        (Patch(Group, "quorum", lambda group, one_more: 1), r"quorum takes \(self\).*, not \(group, one_more\)"),
        (Patch(transfer, "MOST_DOUBLINGS", "0"), "MOST_DOUBLINGS is of type int, not str"),
    ],
    ids=["one too few", "other names", "a property", "a number"],
)
def test_a_patch_that_does_not_fit_is_not_planted(patch: Patch, reason: str) -> None:
    mutant = replace(CANARY, patches=(patch,))

    with pytest.raises(TypeError, match=f"canary: {reason}"), mutant.planted():
        pass


@pytest.mark.parametrize(
    ("objection", "is_one"),
    [
        ("progress: put key 1 of client 0 is not answered", True),
        ("defect: AssertionError at engine.py: blocks are decided in the order of their heights", True),
        ("defect: StoreError at recall.py: the signature does not match", True),
        ("defect: AssertionError at counting.py: ", False),
        ("defect: TypeError at replica.py: it takes 1 positional argument but 2 were given", False),
        ("defect: AttributeError at pool.py: AssertionError at engine.py: no such thing", False),
        ("defect: Malformed at cbor.py: 3 bytes follow the value", False),
        ("defect: TimeoutError at objection.py: the run does not end within 20 s of processor time", False),
    ],
)
def test_only_what_an_oracle_or_the_program_noticed_is_a_catch(objection: str, is_one: bool) -> None:
    assert is_catch(objection) == is_one


def test_a_patch_that_crashes_is_no_catch() -> None:
    def crashes(state: State) -> list[Effect]:
        raise AttributeError("the patch is wrong")

    mutant = replace(CANARY, patches=(Patch(status, "on_tick", crashes),))

    with mutant.planted():
        objection = first_objection(CANARY.campaign.plan(0))

    assert objection == "defect: AttributeError at test_mutants.py: the patch is wrong"
    assert not is_catch(objection)


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
