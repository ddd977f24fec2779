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


@pytest.mark.parametrize("items", [[], [1], [{"a": 1}, {"b": "ü"}]])
def test_a_list_that_is_printed_as_it_comes_is_one_json_array(
    items: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    with output.JsonList() as printed:
        for item in items:
            printed.add(item)

    assert json.loads(capsys.readouterr().out) == items
