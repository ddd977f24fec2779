"""Options of the whole test suite. This directory is on the path, so that tests share `builders` and `cluster`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-transcripts", action="store_true", help="write the golden transcripts anew instead of comparing"
    )
    parser.addoption(
        "--rewrite-docs", action="store_true", help="write the generated parts of docs/ anew instead of comparing"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests come first, so that no worker is left with one of them in the end."""
    items.sort(key=lambda item: "processes" not in item.path.parts)
