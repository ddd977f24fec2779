"""`bftledger-adversary`: what it says, and that nothing of it is at hand where an honest replica runs."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bftledger.adversary.catalogue import describe, names
from bftledger.cli.adversary import NAME, app
from bftledger.cli.main import USAGE, run, run_app


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    status = run_app(app, NAME, words)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_an_honest_replica_cannot_load_a_traitor_by_accident() -> None:
    program = (
        "import sys, bftledger.cli.main, bftledger.cli.replicas, bftledger.node.driver;"
        "print([name for name in sys.modules if name.startswith(('bftledger.adversary', 'bftledger.cli.adversary'))])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert found.stdout == "[]\n"


def test_the_list_has_every_behaviour_with_what_it_does_and_what_stops_it(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "list")
    listed, document, _ = said(capsys, "list", "--json")

    assert (status, listed) == (0, 0)
    assert all(name in out for name in names())
    entries = json.loads(document)
    assert [entry["name"] for entry in entries] == names()
    assert all(entry["does"] and entry["stopped_by"] and entry["shows"] for entry in entries)


def test_one_behaviour_is_shown_with_its_argument(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "show", "slow")

    assert status == 0
    assert out.startswith("slow\n")
    for heading in ("does", "argument", "stopped by", "a group shows"):
        assert f"\n  {heading}  " in out


def test_a_name_that_nothing_has_is_one_line_with_names_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, error = said(capsys, "show", "silnt")

    assert (status, out) == (USAGE, "")
    assert error.startswith(f"{NAME}: 'silnt' is no behaviour: try silent")
    assert error.count("\n") == 1


def test_a_name_that_is_like_none_is_not_answered_with_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = said(capsys, "show", "xyzzy")

    assert status == USAGE
    assert error == f"{NAME}: 'xyzzy' is no behaviour: {NAME} list shows all there are\n"


def test_nobody_is_his_own_accomplice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(tmp_path / "G")
    assert run(["--home", home, "init"]) == 0
    capsys.readouterr()

    status, out, error = said(
        capsys, "--home", home, "replica", "--id", "1", "-b", "mute", "--accomplice", "0", "--accomplice", "1"
    )

    assert (status, out) == (USAGE, "")
    assert error == f"{NAME}: --accomplice 1: that is the replica itself, whose key it has; name another one\n"


def test_what_it_says_fits_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for words in (["list"], ["--help"], ["show", "--help"], ["replica", "--help"]):
        text, _, shown = said(capsys, *words)[1].partition("Examples:\n")

        assert max(len(line) for line in text.splitlines()) <= 60
        assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("columns", [40, 71, 72, 120])
def test_no_word_of_the_list_is_cut_however_narrow_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    said_words = Counter(said(capsys, "list")[1].split())

    assert "…" not in "".join(said_words).replace("[:…]", "")
    for entry in describe():
        assert not Counter(f"{entry.does} {entry.stopped_by}".split()) - said_words


def test_without_a_command_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys)

    assert status == USAGE
    assert all(command in out for command in ("list", "show", "replica"))


def test_a_replica_needs_a_behaviour(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, error = said(capsys, "replica", "--id", "0")

    assert status == USAGE
    assert "--behaviour" in error
