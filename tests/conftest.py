"""Options of the whole test suite. This directory is on the path, so that tests share `builders` and `cluster`."""

from collections.abc import Iterator

import pytest

from bftledger.bench.calibration import SLICE_VARIABLE
from bftledger.bench.options import WAIT_QUIET_VARIABLE

LONGEST = ("processes", "sim", "schedules", "mutants", "bench")
"""Directories of tests, by how long their longest file takes."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-transcripts", action="store_true", help="write the golden transcripts anew instead of comparing"
    )
    parser.addoption(
        "--rewrite-docs", action="store_true", help="write the generated parts of docs/ anew instead of comparing"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no worker is left with it in the end (see addopts: pytest-xdist would
    begin with the files that have most tests)."""
    items.sort(key=lambda item: (*LONGEST, item.path.parent.name).index(item.path.parent.name))


@pytest.fixture(autouse=True, scope="session")
def _nobody_relies_on_what_tests_measure() -> Iterator[None]:
    """No bench need wait for a quiet machine, nor measure that for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WAIT_QUIET_VARIABLE, "0")
        patch.setenv(SLICE_VARIABLE, "0.01")
        yield
