"""The files of one store: who may use them, and whether they are what they should be.

Beside the database `ledger.db` lie SQLite's own `ledger.db-wal` and `ledger.db-shm` while it is in use, and
`ledger.db.lock`, which a replica holds exclusively and an audit of a stopped replica shares. All have mode 0600.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from bftledger.base.errors import StoreError
from bftledger.storage.schema import MAGIC

PRIVATE_MODE: Final = 0o600


class Lock:
    """The lock of the store at `path`, held until `release` or the end of the process."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """Takes it at once or raises `BlockingIOError`; another `OSError` if there is no lock file to be had.

        Only an exclusive lock makes the file; where it is missing no replica has ever run.
        """
        flags = (os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT) | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path.with_name(path.name + ".lock"), flags, PRIVATE_MODE)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Lets others in. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def wal_of(path: Path) -> Path:
    """Where SQLite keeps what is committed but not yet in the database file itself."""
    return path.with_name(path.name + "-wal")


def shm_of(path: Path) -> Path:
    """Where SQLite keeps the index of the write-ahead log: derived from it, and worth nothing."""
    return path.with_name(path.name + "-shm")


def require_database(path: Path) -> None:
    """Raises `StoreError` unless `path` is a file that begins as an SQLite database."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no such file") from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None
    if start != MAGIC:
        raise StoreError(f"{path}: is not a ledger's store (no SQLite database); was it truncated or overwritten?")


def sync_directory(path: Path) -> None:
    """Makes durable which names the directory `path` holds."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
