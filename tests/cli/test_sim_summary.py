"""The summary of a campaign says what happened in its runs, in lines that fit the terminal."""

from collections import Counter

import pytest

from bftledger.cli import output
from bftledger.cli.sim_campaign import Outcome, facts, show
from bftledger.sim.campaign import Tally

HAPPENED = Counter(
    {
        "messages": 44_516,
        "lost": 948,
        "cut_off": 5_971,
        "duplicated": 39,
        "cut": 54,
        "crash": 40,
        "crashes": 22,
        "crashed: between two rounds": 13,
        "crashed: in the commit": 9,
        "script: partitions": 30,
        "script: kept apart": 1_332,
        "script: too late": 428,
        "hostile: submission": 176,
        "hostile: garbage": 38,
    }
)
"""What 40 runs may have counted."""


def shown(
    counts: Counter[str], width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **more: int
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    show(Outcome(tally=Tally(runs=40, counts=counts, **more), elapsed_s=4.0), "")  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def rows(lines: list[str]) -> dict[str, str]:
    """What stands behind each name, whatever the width."""
    found: dict[str, str] = {}
    for line in lines[1:]:
        name, text = line[:16].strip().rstrip(":"), line[16:]
        last = name or next(reversed(found))
        found[last] = f"{found[last]} {text}" if last in found else text
    return found


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_summary_says_what_happened_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(HAPPENED, width, monkeypatch, capsys, scripted=14)
    said = rows(lines)

    assert max(map(len, lines)) <= width
    assert said["messages"] == "44,516; lost 948, cut off 5,971 (1,760 of them by scripts), arrived twice 39"
    assert said["faults"] == "cut 54"
    assert said["crashes"] == "22 of 40 planned: between two rounds 13, in the commit 9"
    assert said["scripts"] == ("in 14 runs; 30 partitions kept 1,332 messages apart, 428 came after their view's time")
    assert said["hostile"] == "submission 176, garbage 38"


def test_what_was_planned_and_did_not_happen_is_said_and_what_was_not_planned_has_no_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = rows(shown(Counter(messages=7, crash=2), 80, monkeypatch, capsys))
    quiet = rows(shown(Counter(messages=7), 80, monkeypatch, capsys))

    assert said["crashes"] == "0 of 2 planned"
    assert said["messages"] == "7; lost 0, cut off 0, arrived twice 0"
    assert not {"crashes", "scripts", "hostile", "faults"} & quiet.keys()


def test_programs_get_the_same_and_what_they_always_got() -> None:
    found = facts(Outcome(tally=Tally(runs=40, scripted=14, counts=HAPPENED)))

    assert found["scripted"] == 14
    assert found["counts"] == dict(HAPPENED)
    assert {"runs", "failed", "failures", "trouble", "highest_views", "never_lied", "traces"} <= found.keys()
