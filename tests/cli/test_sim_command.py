"""`bftledger sim`: one run explained, drawn, written down and run again; campaigns; and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bftledger.cli.output import NOT_DONE, USAGE
from tests.cli.commands import Here

SMALL = ("--calm", "--replicas", "4")


def test_a_seed_is_explained_with_its_verdict(here: Here) -> None:
    said = here.ok("sim", "--seed", "7", *SMALL).out

    assert "Seed 7: 4 replicas that tolerate 1 Byzantine one. All of them are honest." in said
    assert "no oracle objects" in said


def test_the_same_seed_has_the_same_trace(here: Here) -> None:
    first, second = (here.ok("sim", "--seed", "5", "--json").json for _ in range(2))

    assert first["trace"] == second["trace"]
    assert first["ok"] is True


def test_a_named_behaviour_is_what_a_replica_does(here: Here) -> None:
    found = here.ok("sim", "--seed", "9", "--byzantine", "silent", *SMALL, "--json").json

    (names,) = found["plan"]["traitors"].values()
    assert names == ["silent"]
    assert found["counts"]["lies: silent"] > 0


def test_a_run_is_written_down_and_run_again(here: Here, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    first = here.ok("sim", "--seed", "3", "--save-plan", str(plan), "--json").json
    second = here.ok("sim", "--plan", str(plan), "--json").json

    assert first["trace"] == second["trace"]


def test_a_run_is_drawn_and_told_message_by_message(here: Here, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    told = here.ok("sim", "--seed", "7", *SMALL, "--html", str(page), "--transcript").out

    assert "PRE-PREPARE v0 n1" in told
    assert page.read_text().startswith("<!doctype html>")


def test_a_campaign_adds_up_what_its_runs_did(here: Here) -> None:
    found = here.ok("sim", "--seeds", "6", "--first", "40", "--jobs", "2", "--traces", "--json").json

    assert (found["runs"], found["failed"], found["complete"]) == (6, 0, True)
    assert sorted(found["traces"], key=int) == [str(seed) for seed in range(40, 46)]
    assert found["coverage"]["taken"] > 300


def test_too_many_traitors_make_the_oracles_object_and_the_command_fail(here: Here) -> None:
    said = here("sim", "--seeds", "6", "--excess", "--jobs", "2")

    assert said.status == NOT_DONE
    assert "agreement: block" in said.out
    assert "look at one with: bftledger sim --seed" in said.out
    assert "went wrong" in said.err


def test_a_failing_run_is_made_small_and_fails_still(here: Here, tmp_path: Path) -> None:
    plan = tmp_path / "small.json"
    said = here("sim", "--seed", "5", "--excess", "--minimize", "--save-plan", str(plan))
    small = json.loads(plan.read_text())

    assert said.status == NOT_DONE
    assert small["n"] == 4
    assert len(small["faults"]) <= 1


def test_twins_are_run_by_their_number(here: Here) -> None:
    found = here.ok("sim", "--twins", "1", "--seeds", "4", "--first", "5000", "--json").json

    assert (found["runs"], found["failed"]) == (4, 0)


def test_a_network_can_be_chosen_and_is_told_and_kept_in_the_plan(here: Here, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    said = here.ok("sim", "--seed", "7", *SMALL, "--network", "wan", "--save-plan", str(plan)).out
    first = here.ok("sim", "--seed", "7", *SMALL, "--network", "wan", "--json").json
    again = here.ok("sim", "--plan", str(plan), "--json").json

    assert "Network: " in said
    assert "ms one way" in said
    assert first["plan"]["links"]["regions"] == again["plan"]["links"]["regions"]
    assert first["trace"] == again["trace"] != here.ok("sim", "--seed", "7", *SMALL, "--json").json["trace"]


def test_a_failing_seed_of_a_campaign_is_told_with_its_network(here: Here) -> None:
    said = here("sim", "--seeds", "6", "--excess", "--network", "tails", "--jobs", "1")

    assert said.status == NOT_DONE
    assert "--network tails --excess" in said.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--seed", "1", "--replicas", "3"], "give sizes from 4 to 31"),
        (["--seed", "1", "--replicas", "four"], "give sizes from 4 to 31"),
        (["--seed", "1", "--byzantine", "equivocat"], "try equivocate"),
        (["--seed", "1", "--byzantine", "xyzzy"], "bftledger-adversary list shows all there are"),
        (["--seed", "1", "--byzantine", "mute:loudly"], "what follows the colon should be"),
        (["--seed", "1", "--byzantine", "mute:0"], "counts begin at 1"),
        (["--seed", "1", "--byzantine", "mute:4"], "at least one of 4 replicas has to be honest"),
        (["--seed", "1", "--byzantine", "mute", "--excess"], "leave out --byzantine"),
        (["--seed", "1", "--collude"], "--byzantine names: name some"),
        (["--seed", "1", "--excess", "--collude"], "collude in any case: leave out --collude"),
        (["--seed", "1", "--views", "2"], "name how many with --twins"),
        (["--seed", "1", "--seeds", "2"], "--seeds is about many runs"),
        (["--seed", "1", "--jobs", "2"], "--jobs is about many runs"),
        (["--seed", "1", "--transcript", "--json"], "leave out one of them"),
        (["--seed", "1", "--plan", "x.json"], "a plan says all of its run"),
        (["--seeds", "1", "--html", "x.html"], "name it with --seed"),
        (["--seeds", "1", "--traces"], "add --json"),
        (["--twins", "1", "--excess"], "leave out"),
        (["--twins", "1", "--network", "wan"], "leave out --network"),
        (["--seed", "1", "--network", "lan"], "--network lan: give one of wan, tails, narrow, mixed"),
        (["--plan", "x.json", "--network", "wan"], "--network says what to draw"),
        (["--twins", "4"], "at least one of 4 replicas has to be honest"),
        (["--twins", "1", "--seed", "16384"], "there are 16,384 such scenarios of twins: their numbers are 0 to 16383"),
        (["--twins", "1", "--first", "16383", "--seeds", "2"], "their numbers are 0 to 16383"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(here: Here, words: list[str], complaint: str) -> None:
    said = here("sim", *words)

    assert said.status == USAGE
    assert complaint in said.error
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--plan", "missing.json"], "No such file"),
        (["--seed", "1", *SMALL, "--minimize"], "nothing to minimize"),
    ],
)
def test_what_cannot_be_done_is_one_line(here: Here, words: list[str], complaint: str) -> None:
    said = here("sim", *words)

    assert said.status == NOT_DONE
    assert complaint in said.error


@pytest.mark.parametrize("seed", ["1", "2"])
@pytest.mark.parametrize("words", [[], ["--calm"]])
def test_a_run_with_too_many_traitors_is_written_down_and_run_again(
    here: Here, tmp_path: Path, seed: str, words: list[str]
) -> None:
    plan = tmp_path / "plan.json"
    first = here("sim", "--seed", seed, "--excess", *words, "--save-plan", str(plan), "--json").json
    second = here("sim", "--plan", str(plan), "--json").json

    assert first["trace"] == second["trace"]


def test_a_twin_is_told_of_once_with_both_its_cores(here: Here) -> None:
    said = here.ok("sim", "--twins", "1", "--seed", "5").out

    assert "Two honest cores run with its key, 0 and 4, and know nothing of each other" in said
    assert "Replica 4 is" not in said


def test_what_a_second_core_says_is_its_own(here: Here) -> None:
    said = here.ok("sim", "--twins", "1", "--seed", "5", "--transcript").out

    assert " 4: PREPARE v1" in said
    assert " 4: passes on 0's PREPARE" not in said


def test_no_command_of_a_replica_loads_an_adversary() -> None:
    """`bftledger replica` is the same program; it loads the simulator only for `sim`."""
    listing = "[name for name in sys.modules if 'adversary' in name or '.sim.' in name]"
    program = f"import sys, bftledger.cli.main; print({listing})"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout

    assert said.decode().strip() == "[]"
