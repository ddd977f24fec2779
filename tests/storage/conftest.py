"""Stores in a directory of the test's own, closed when it ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.storage.stores import Disk, fill


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with ExitStack() as stack:
        yield Disk(tmp_path / "ledger.db", stack)


@pytest.fixture
def filled(disk: Disk) -> Path:
    """The file of a store of five blocks, closed in order."""
    store = disk.open()
    fill(store)
    store.close()
    return disk.path
