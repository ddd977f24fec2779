"""The help teaches by example and fits a narrow terminal."""

import os
import pty
import subprocess
import sys

import pytest
import typer
from typer.main import get_command

import bftledger
from bftledger.cli import simulate
from bftledger.cli.main import app, run
from tests.cli.commands import environment

COMMANDS = (
    "init",
    "up",
    "down",
    "replica",
    "sim",
    "status",
    "submit",
    "get",
    "query",
    "tx",
    "block",
    "blocks",
    "receipt",
    "verify",
    "audit",
    "demo",
    "bench",
    "evidence list",
    "evidence show",
    "evidence export",
    "evidence verify",
    "key new",
    "key list",
    "key show",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example_and_fits_60_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    status = run([*command.split(), "--help"])

    text, _, shown = capsys.readouterr().out.partition("Examples:\n")
    assert status == 0
    assert shown.strip()
    assert max(len(line) for line in text.splitlines()) <= 60
    assert all("bftledger " in line for line in shown.splitlines() if line.strip())
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_examples_name_only_commands_that_exist() -> None:
    group = get_command(app)
    shown = [group.epilog or ""]
    with typer.Context(group) as context:
        for name in group.list_commands(context):  # type: ignore[attr-defined]
            shown.append(group.get_command(context, name).epilog or "")  # type: ignore[attr-defined]
    words = [
        line.split("bftledger ", 1)[1].split() for text in shown for line in text.splitlines() if "bftledger " in line
    ]
    named = {line[2] if line[0] == "--home" else line[0] for line in words}

    assert named <= {command.split()[0] for command in COMMANDS}


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"bftledger {bftledger.__version__}\n"


def test_shell_completion_knows_commands_and_keys(tmp_path: "os.PathLike[str]") -> None:
    home = os.fspath(tmp_path)
    assert run(["--home", home, "key", "new", "alice", "--insecure"]) == 0

    assert "blocks" in completions("bftledger blo", 1)
    assert "alice" in completions(f"bftledger --home {home} submit --key al", 5)


def completions(line: str, word: int) -> list[str]:
    wanted = {"_BFTLEDGER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(word)}
    done = subprocess.run(
        [sys.executable, "-c", "from bftledger.cli.main import main; main()"],
        env=environment() | wanted,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


def test_colour_is_for_terminals_only(tmp_path: "os.PathLike[str]") -> None:
    command = [sys.executable, "-m", "bftledger", "--home", os.path.join(tmp_path, "G"), "init"]
    ours, theirs = pty.openpty()
    plain = environment() | {"TERM": "xterm-256color"}
    plain.pop("NO_COLOR", None)
    subprocess.run(command, env=plain, stdout=theirs, check=True)
    os.close(theirs)
    in_terminal = os.read(ours, 65_536)
    os.close(ours)
    command[4] += "2"
    in_pipe = subprocess.run(command, env=plain, capture_output=True, check=True).stdout

    assert b"\x1b[" in in_terminal
    assert b"\x1b" not in in_pipe


def test_the_sizes_that_sim_says_it_draws_are_those_that_it_draws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    run(["sim", "--help"])

    assert f"[default: {simulate.DEFAULT_SIZES}]" in capsys.readouterr().out
