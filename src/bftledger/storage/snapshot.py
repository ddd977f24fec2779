"""Reading a store that is not one's own: one state of it, beside a running replica or without, and nothing written."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed, StoreError
from bftledger.base.group import Group
from bftledger.pbft.evidence import Evidence
from bftledger.storage import database, files
from bftledger.storage.recall import proven


def read_evidence(path: Path, group: Group, verifier: Verifier) -> list[Evidence]:
    """The evidence in the store in the file `path`, every piece checked. Raises `StoreError`."""
    with contextlib.ExitStack() as stack:
        if not path.is_file():
            raise StoreError(f"{path}: there is no such file")
        try:
            is_running = not hold_still(path, stack)
            files.require_database(path)
            db = stack.enter_context(snapshot(path, is_running))
            database.require_format(db, path)
            rows = db.execute("SELECT replica, rule, proof FROM evidence ORDER BY replica, rule").fetchall()
        except database.SQL_ERRORS as error:
            raise StoreError(f"{path}: {database.reason(error)}") from None
    found = []
    for replica, rule, proof in rows:
        try:
            found.append(proven(replica, rule, proof, group, verifier))
        except (BadProof, BadSignature, Malformed) as error:
            raise StoreError(f"{path}: evidence, replica {replica}, {rule}: {error}") from None
    return found


def hold_still(path: Path, stack: contextlib.ExitStack) -> bool:
    """Whether no replica is running on the store, nor can start before `stack` is left."""
    if not path.exists():
        return True
    try:
        lock = files.Lock(path, shared=True)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a copy in a place where nothing can be written, and so no replica can run
    stack.callback(lock.release)
    return True


@contextlib.contextmanager
def snapshot(path: Path, is_running: bool) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the store and can write nothing. Raises `SQL_ERRORS`."""
    # Without a log the file is all there is; SQLite is told so, since it would otherwise make itself an empty log.
    has_log = is_running or files.wal_of(path).exists()
    leftover = None if has_log and files.shm_of(path).exists() else files.shm_of(path)
    db = database.connect(path, "mode=ro" if has_log else "mode=ro&immutable=1")
    try:
        db.text_factory = lambda data: data.decode(errors="backslashreplace")
        db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM sqlite_schema").fetchone()
        yield db
    finally:
        db.close()
        if leftover is not None and not is_running:
            leftover.unlink(missing_ok=True)
