"""Stores in a directory of the test's own, closed when it ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from stores import HASH, ME, fill

from bftledger.storage.sqlite import SqliteStore


class Disk:
    """Where a replica's store is; `open` starts the replica on it, `crash` is losing the process."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._stack = stack

    def open(self) -> SqliteStore:
        store = SqliteStore(self.path, HASH, ME)
        self._stack.callback(store.close)
        return store


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
