"""Whatever goes wrong is one line on standard error and a status other than 0, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bftledger.cli import init as init_command
from bftledger.cli.main import DEFECT, INTERRUPTED, USAGE, run
from bftledger.cli.output import NOT_DONE
from tests.cli.commands import Here


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense' (see bftledger --help)"),
        (["submit"], "(see bftledger submit --help)"),
        (["submit", "--colour", "put"], "No such option: --colour"),
        (["submit", "--timeout", "0", "put", "a", "1"], "--timeout"),
        (["replica"], "Missing option '--id'"),
        (["replica", "--id", "two"], "--id"),
        (["block", "-1"], "(see bftledger block --help)"),
        (["get", "color", "--read", "lucky"], "--read"),
        (["demo", "--transactions", "3"], "--transactions"),
        (["key"], "(see bftledger key --help)"),
    ],
)
def test_a_command_line_that_makes_no_sense_says_which_help_to_read(
    here: Here, arguments: list[str], complaint: str
) -> None:
    said = here(*arguments)

    assert said.status == USAGE
    assert complaint in said.error
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["down"],
        ["submit", "put", "a", "1"],
        ["get", "a"],
        ["tx", "00" * 32],
        ["block", "1"],
        ["blocks"],
        ["receipt", "00" * 32, "-o", "r.cbor"],
        ["audit"],
        ["replica", "--id", "0"],
    ],
)
def test_a_home_that_is_none_is_refused_with_what_to_do(here: Here, arguments: list[str]) -> None:
    said = here(*arguments)

    assert said.status == NOT_DONE
    assert said.error == f"{here.home} does not exist: make a group there with bftledger --home {here.home} init"


def test_submit_without_a_key_says_how_to_make_one(here: Here) -> None:
    here.ok("init")

    said = here("submit", "put", "color", "blue")

    assert said.status == NOT_DONE
    assert said.error.endswith(f"make one with bftledger --home {os.path.relpath(here.home)} key new NAME")


def test_submit_with_several_keys_asks_which(here: Here) -> None:
    here.ok("init")
    here.ok("key", "new", "alice", "--insecure")
    here.ok("key", "new", "bob", "--insecure")

    assert "(alice, bob)" in here("submit", "put", "color", "blue").error


def test_what_the_application_does_not_understand_is_refused_before_a_passphrase_is_asked_for(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.ok("init")
    monkeypatch.setenv("BFTLEDGER_PASSPHRASE", "correct horse")
    here.ok("key", "new", "alice")
    monkeypatch.delenv("BFTLEDGER_PASSPHRASE")

    assert here("submit", "paint", "it", "blue").error.startswith("not understood: write put KEY VALUE")


def test_an_id_has_to_be_whole(here: Here) -> None:
    here.ok("init")

    assert here("tx", "0193").error == "'0193' is not a transaction's id: give all its 64 hexadecimal digits"


def test_a_defect_is_one_line_that_asks_for_a_report(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(init_command, "init_home", fail)

    said = here("init")

    assert said.status == DEFECT
    assert "please report it: ZeroDivisionError: division by zero" in said.error


def test_a_defect_shows_its_traceback_to_who_asks(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(init_command, "init_home", fail)
    monkeypatch.setenv("BFTLEDGER_DEBUG", "1")

    assert "Traceback" in here("init").err


def test_ctrl_c_ends_quietly_with_130(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(init_command, "init_home", interrupt)

    said = here("init")

    assert said.status == INTERRUPTED
    assert said.out + said.err.strip() == ""


def test_no_command_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    status = run([])

    assert status == USAGE
    assert "Examples:" in capsys.readouterr().out


def test_json_and_a_receipt_cannot_share_standard_output(here: Here, tmp_path: Path) -> None:
    assert "name a file with -o" in here("receipt", "00" * 32, "-o", "-", "--json").error


@pytest.mark.parametrize("words", [["--version"], ["sim", "--seed", "7", "--calm"]])
def test_a_full_disk_behind_standard_output_is_no_defect(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "bftledger.cli.main", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert said.returncode == NOT_DONE
    assert said.stderr == "bftledger: cannot write what is to be said: No space left on device\n"
