"""A store's database: made, opened, and refused if it is not what it should be."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

from bftledger.base.errors import StoreError
from bftledger.base.ids import Digest, ReplicaId
from bftledger.storage import files, schema

SQL_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What working on a damaged file can raise: sqlite3 fails to decode some of SQLite's own messages about it."""

_OLDEST_SQLITE: Final = (3, 37, 0)
"""The first with STRICT tables."""

_CACHE_KIB: Final = 16 * 1024
_BUSY_SECONDS: Final = 5.0


def require_library() -> None:
    """Raises `StoreError` if this Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: install a Python with SQLite 3.37 or newer")


def create(path: Path, genesis_hash: Digest, replica: ReplicaId) -> None:
    """Makes an empty store, which appears whole or not at all. Raises `SQL_ERRORS` or `OSError`."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.PRIVATE_MODE))
    with contextlib.closing(connect(temporary, "mode=rw")) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {schema.FORMAT}")
        for statement in schema.SCHEMA.values():
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES (?, ?)", (schema.GENESIS_HASH, genesis_hash))
        db.execute("INSERT INTO meta VALUES (?, ?)", (schema.REPLICA, replica))
        db.execute("COMMIT")
    temporary.rename(path)
    files.sync_directory(path.parent)


def connect(path: Path, options: str) -> sqlite3.Connection:
    """A connection that begins and ends no transaction by itself; `options` are those of SQLite's URIs.

    Raises `SQL_ERRORS`.
    """
    uri = f"{path.resolve().as_uri()}?{options}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA secure_delete = OFF")  # some builds overwrite what is deleted, and log the pages once more
    except BaseException:
        db.close()
        raise
    return db


def require_format(db: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreError` unless the file is a store of this format."""
    if db.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise StoreError(f"{path}: is not a ledger's store but some other SQLite database")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found < schema.FORMAT:
        raise StoreError(
            f"{path}: has format {found}, that of an older version of bftledger: this one reads format "
            f"{schema.FORMAT} and converts none, so go on with the older one or make a new group"
        )
    if found != schema.FORMAT:
        raise StoreError(f"{path}: has format {found}, this version of bftledger reads format {schema.FORMAT}")


def require_owner(db: sqlite3.Connection, path: Path, genesis_hash: Digest, replica: ReplicaId) -> None:
    """Raises `StoreError` unless the store is that replica's of that group."""
    meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
    if meta.get(schema.GENESIS_HASH) != genesis_hash:
        found = meta.get(schema.GENESIS_HASH)
        shown = found.hex()[:16] if isinstance(found, bytes) else repr(found)
        raise StoreError(f"{path}: belongs to the group with genesis {shown}…, not {genesis_hash.hex()[:16]}…")
    if meta.get(schema.REPLICA) != replica:
        raise StoreError(f"{path}: belongs to replica {meta.get(schema.REPLICA)!r}, not {replica}")


def require_sound(db: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreError` if SQLite finds the file's structure damaged."""
    for (found,) in db.execute("PRAGMA quick_check(1)"):
        if found != "ok":
            raise StoreError(f"{path}: is damaged: {' '.join(str(found).split())}; restore it, do not vote on it")


def require_schema(db: sqlite3.Connection, path: Path) -> None:
    """Raises `StoreError` if the tables and views are not exactly those of the format."""
    names = dict(db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall())
    for name in sorted(names.keys() ^ schema.SCHEMA.keys()) or [n for n in names if names[n] != schema.SCHEMA[n]]:
        raise StoreError(f"{path}: is damaged: the definition of {name!r} is not the one of format {schema.FORMAT}")


def reason(error: Exception) -> str:
    """What SQLite or the system says went wrong, in one line."""
    if isinstance(error, OSError):
        return f"cannot be used: {error.strerror}"
    if isinstance(error, UnicodeDecodeError):
        return "is damaged: malformed database schema; restore it, do not vote on it"
    name = getattr(error, "sqlite_errorname", None)
    text = " ".join(str(error).split())
    if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
        return f"is damaged: {text}; restore it, do not vote on it"
    return f"cannot be used: {text}" + (f" ({name})" if name else "")
