"""What is printed is readable, whole, and never what somebody else wants the terminal to do."""

import json

import pytest

from bftledger.cli import output


def test_control_characters_of_others_are_shown_not_sent() -> None:
    assert output.printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert output.printable("grün 漢字") == "grün 漢字"


def test_columns_line_up_and_numbers_stand_right() -> None:
    text = output.aligned(("height", "hash"), [(7, "ab"), (12, "cdef")]).plain

    assert text.splitlines() == ["height  hash", "     7  ab", "    12  cdef"]


def test_only_a_narrow_terminal_cuts_and_only_the_widest_column() -> None:
    rows = [(1, "x" * 80)]

    assert output.aligned(("n", "id"), rows).plain.splitlines()[1] == "1  " + "x" * 80
    assert output.aligned(("n", "id"), rows, width=20).plain.splitlines()[1] == "1  " + "x" * 16 + "…"


def test_sentences_are_broken_between_words_and_what_follows_stands_to_the_right() -> None:
    text = output.wrapped("    0.001 s  replica 0 lies: double-vote to 1, 2 and 3", 30, 13)

    assert text.splitlines() == ["    0.001 s  replica 0 lies:", " " * 13 + "double-vote to 1,", " " * 13 + "2 and 3"]


def test_a_word_that_is_too_long_is_left_whole_so_that_it_can_be_copied() -> None:
    assert output.wrapped(f"trace {'0' * 32}", 20) == f"trace\n{'0' * 32}"


def test_where_nobody_reads_at_a_terminal_a_paragraph_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")

    output.paragraph("one two three four five six")
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    output.paragraph("one two three four five six", indent=2)
    output.fields({"of": "one two three four"}, head="words")

    assert capsys.readouterr().out.splitlines() == [
        "one two three four five six",
        "one two three four",
        "  five six",
        "words",
        "  of  one two three",
        "      four",
    ]


@pytest.mark.parametrize("items", [[], [1], [{"a": 1}, {"b": "ü"}]])
def test_a_list_that_is_printed_as_it_comes_is_one_json_array(
    items: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    with output.JsonList() as printed:
        for item in items:
            printed.add(item)

    assert json.loads(capsys.readouterr().out) == items
