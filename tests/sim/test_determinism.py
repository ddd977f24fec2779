"""The same seed is the same run: again, under another hash seed, through another door; and another seed is not."""

import os
import subprocess
import sys

import pytest

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.group import Group
from bftledger.pbft.authenticate import Authenticator
from bftledger.sim import world
from bftledger.sim.draw import Choice, draw
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Recording
from bftledger.sim.run import run

SEEDS = range(300, 312)

PROGRAM = f"""
from bftledger.sim.campaign import run_seeds
tally = run_seeds(range({SEEDS.start}, {SEEDS.stop}), keeps_traces=True)
print(tally.traces)
"""


def traces(hash_seed: str) -> str:
    """Of `SEEDS`, in a process of their own."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True
    ).stdout.decode()


def test_every_hash_seed_gives_the_same_traces() -> None:
    first, second = traces("1"), traces("2")

    assert first == second
    assert first.count(":") == len(SEEDS)


def test_another_seed_is_another_run() -> None:
    assert len({run(draw(seed)).trace_hash for seed in SEEDS}) == len(SEEDS)


def test_who_watches_changes_nothing() -> None:
    plan = draw(SEEDS.start)

    assert run(plan, Recording()).trace_hash == run(plan).trace_hash


class OwnDoor(Authenticator):
    """A door that each replica has for itself, as in a process."""

    def read(self, frame: bytes) -> object:
        try:
            return self.authenticate(frame)
        except (BadProof, BadSignature, Malformed):
            return None


@pytest.mark.parametrize("seed", SEEDS)
def test_replicas_that_share_a_door_do_what_they_would_do_with_doors_of_their_own(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = draw(seed)
    shared = run(plan)

    def open_door(group: Group, verifier: Verifier) -> Authenticator:
        return OwnDoor(group, verifier)

    monkeypatch.setattr(world, "SharedDoor", open_door)
    own = run(plan)

    assert own.trace_hash == shared.trace_hash
    assert own.violations == shared.violations


def test_a_plan_that_was_written_down_is_the_same_run() -> None:
    plan = draw(SEEDS.start)

    assert run(Plan.from_json(plan.to_json())).trace_hash == run(plan).trace_hash


def test_real_signatures_make_the_same_run_but_for_the_bytes() -> None:
    calm = Choice(calm=True, sizes=(4,))
    hashed = run(draw(7, calm))
    real = run(draw(7, Choice(calm=True, sizes=(4,), real_keys=True)))

    assert real.violations == ()
    assert (real.height, real.counts["messages"]) == (hashed.height, hashed.counts["messages"])
