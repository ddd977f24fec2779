"""What docs/simulation.md and README.md quote of `bftledger sim` is what it says, at a terminal of 80 columns.

A quote is a block that is indented, with a command after `$ ` and what that answers below it; a command without an
answer is only shown. `| grep -m N WORDS` leaves the first N lines of standard output that have these words in them, and
`> FILE` leaves none of it. `pytest tests/docs --rewrite-docs` writes the answers anew. What runs longer than a few
seconds should not be quoted.

README.md shows one run shortened, in a block between fences: `…` stands for the rest of a line, or for any lines.
"""

import io
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from bftledger.cli import output
from bftledger.cli.main import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "simulation.md"
README = ROOT / "README.md"
COMMAND = re.compile(r"^( {4,})\$ (bftledger sim .*)$")
PIPED = re.compile(r"^(?P<command>[^|>]*)(?P<pipe>\| grep -m (?P<most>\d+) (?P<words>.+)|> \S+)?$")
SHORTENED = re.compile(r"^\$ (?P<command>bftledger sim .*)\n(?P<answer>(?:(?!\$ |```).*\n)+)", re.MULTILINE)
COMMENT = re.compile(r" {2,}#.*$")


class Quote(NamedTuple):
    """A command, and where in the page its answer stands: the lines from `first` up to `end`, all after `indent`."""

    command: str
    indent: str
    first: int
    end: int


def quotes(lines: list[str]) -> Iterator[Quote]:
    """All commands that are shown with their answers."""
    for number, line in enumerate(lines, start=1):
        if found := COMMAND.match(line):
            indent, command = found.groups()
            end = number
            while end < len(lines) and lines[end].startswith(indent) and not lines[end].startswith(f"{indent}$ "):
                end += 1
            if end > number:
                yield Quote(COMMENT.sub("", command), indent, number, end)


def quoted(quote: Quote, lines: list[str]) -> list[str]:
    """The answer on the page."""
    return [line.removeprefix(quote.indent) for line in lines[quote.first : quote.end]]


@pytest.fixture(autouse=True)
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 80 columns, without colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("COLUMNS", raising=False)


def answer(command: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command shows at a terminal: standard output, where it is not piped, and standard error, in one order."""
    found = PIPED.match(command)
    assert found is not None
    screen, pipe = io.StringIO(), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(output, "is_terminal", lambda: not found["pipe"])
        with redirect_stdout(pipe if found["pipe"] else screen), redirect_stderr(screen):
            run(shlex.split(found["command"])[1:])
    lines = [line.rstrip() for line in screen.getvalue().splitlines()]
    if found["words"]:
        (words,) = shlex.split(found["words"])
        lines += [line for line in pipe.getvalue().splitlines() if words in line][: int(found["most"])]
    return lines


def test_what_the_page_quotes_is_what_the_program_says(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = PAGE.read_text().splitlines()
    answers = {quote.command: answer(quote.command, monkeypatch) for quote in quotes(lines)}
    if request.config.getoption("--rewrite-docs"):
        for quote in reversed(list(quotes(lines))):  # from the end on, so that the others stay where they are
            lines[quote.first : quote.end] = [f"{quote.indent}{line}" for line in answers[quote.command]]
        PAGE.write_text("\n".join(lines) + "\n")

    assert {quote.command: quoted(quote, lines) for quote in quotes(lines)} == answers


def shortened(answer: str) -> re.Pattern[str]:
    """What matches an answer of which `…` leaves something out."""
    lines = [
        "(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
        for line in answer.splitlines()
    ]
    return re.compile("".join(lines))


def test_the_run_in_the_readme_is_what_the_program_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (quote,) = SHORTENED.finditer(README.read_text())

    run(shlex.split(quote["command"])[1:])

    said = capsys.readouterr()
    assert shortened(quote["answer"]).fullmatch(said.err + said.out), said.err + said.out


def test_what_is_shortened_leaves_out_nothing_else() -> None:
    pattern = shortened("first …\n…\nlast\n")

    assert pattern.fullmatch("first and more\nlast\n")
    assert pattern.fullmatch("first and more\nany\nlines\nlast\n")
    assert not pattern.fullmatch("first and more\nlast\nbut one\n")
    assert not pattern.fullmatch("The first\nlast\n")


def test_what_is_compared_are_the_commands_with_an_answer() -> None:
    page = [
        "    $ bftledger sim --seed 1        # only shown",
        "    $ bftledger sim --seed 2 | grep -m 1 'no oracle'",
        "    All is well, and",
        "      so on.",
        "",
        "Text.",
        "       $ bftledger sim --seed 3",
        "       Well.",
        "    $ bftledger sim --seed 4",
    ]

    found = list(quotes(page))

    assert [quote.command for quote in found] == [
        "bftledger sim --seed 2 | grep -m 1 'no oracle'",
        "bftledger sim --seed 3",
    ]
    assert [quoted(quote, page) for quote in found] == [["All is well, and", "  so on."], ["Well."]]


def test_an_answer_is_what_a_terminal_shows_and_lines_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    command = "bftledger sim --seed 7 --calm --replicas 4"
    shown = answer(f"{command} --save-plan plan.json", monkeypatch)
    noted = answer(f"{command} --save-plan plan.json > run.txt", monkeypatch)
    chosen = answer(f"{command} --transcript | grep -m 2 'PRE-PREPARE v0'", monkeypatch)

    assert shown[0] == "wrote plan.json"
    assert shown[1].startswith("Seed 7: 4 replicas")
    assert max(len(line) for line in shown) <= 80
    assert noted == ["wrote plan.json"]
    assert len(chosen) == 2
    assert all("0: PRE-PREPARE v0 n" in line for line in chosen)
