"""A recorded run as text, in the golden format: one line per message, sender and step."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bftledger.sim.recording import Happening, Kind, Recording
from bftledger.sim.subject import Subject
from bftledger.sim.transcript import transcript
from tests.sim.recordings import equivocation, fork, service

GOLDEN = Path(__file__).parent / "golden"


def lines_with(words: str, text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if words in line]


@pytest.mark.parametrize("run", [equivocation, service], ids=lambda run: run.__name__)
def test_the_transcript_is_the_one_on_record(
    run: Callable[[], tuple[Subject, Recording]], request: pytest.FixtureRequest
) -> None:
    path = GOLDEN / f"{run.__name__}.txt"
    text = transcript(*run())
    if request.config.getoption("--rewrite-transcripts"):
        path.write_text(text)

    assert text.splitlines() == path.read_text().splitlines()


def test_receivers_of_one_message_share_a_line_and_those_it_never_reaches_are_told_apart() -> None:
    text = transcript(*equivocation())

    (line,) = lines_with("2: PREPARE", text)
    assert line.endswith("-> 0,1; lost on the way: 3")


def test_a_lie_is_marked_and_has_a_line_of_its_own() -> None:
    text = transcript(*equivocation())

    receivers = [line.split(" -> ")[1] for line in lines_with("LIE 0: PRE-PREPARE", text)]
    assert receivers == ["1; withheld by an adversary: 2", "2,3"]


def test_whose_message_it_is_is_said_where_another_sends_it() -> None:
    text = transcript(*equivocation())

    assert lines_with("1: passes on 3's PREPARE", text)
    assert lines_with("LIE 0: in 3's name: PREPARE", text)


def test_a_second_copy_is_told() -> None:
    (line,) = lines_with("1: passes on", transcript(*equivocation()))

    assert line.endswith("-> 2(2 times)")


def test_bytes_that_are_no_message_are_called_garbage_and_do_not_reach_the_terminal() -> None:
    text = transcript(*equivocation())

    (line,) = lines_with("GARBAGE", text)
    assert line.startswith("2.000 LIE 0: GARBAGE of 10 bytes, 000d0a6e6f746869…:")


def test_nothing_in_a_run_can_break_a_line_or_turn_text_around() -> None:
    subject, _ = equivocation()
    hostile = Recording([Happening(0, Kind.VIOLATION, "a\nb\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}c\ud800")])

    (line,) = lines_with("*", transcript(subject, hostile))
    assert line == "0.000 * a�b�[2J�c�"


def test_a_second_block_of_one_height_is_told_by_its_hash() -> None:
    text = transcript(*fork())

    assert lines_with("CHECKPOINT n1 d:02020202", text)
    assert len(lines_with("CHECKPOINT n1 ->", text)) == 1


def test_clients_are_called_so_on_both_sides_of_the_arrow() -> None:
    text = transcript(*service())

    (asked,) = lines_with("ASK-FATE", text)
    assert asked == "3.000 client 0: ASK-FATE r2 put pay bob -> 0,1; lost on the way: 2"
    (ignored,) = lines_with("client 1: SUBMIT", text)
    assert ignored.endswith("-> 2; ignored by an adversary: 0")
    assert lines_with("LIE", text) == [
        "4.000 LIE 0: FATE r2 put pay bob: pending (so it is said) -> withheld by an adversary: client 0",
        "4.000 LIE 0: FATE r2 put pay bob: expired (so it is said) -> client 0",
        "4.000 LIE 0: GARBAGE of 1 bytes, ff: not a frame of a known kind, or not with its fields -> client 1",
    ]
    assert lines_with("client 2: GARBAGE of 2 bytes, ff00: ", text)
