"""Property: a byte changed anywhere in a store's file is reported, or changes nothing that is stored."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bftledger.base.errors import StoreError
from bftledger.storage.audit import audit_store
from bftledger.storage.schema import TABLES
from bftledger.storage.sqlite import SqliteStore
from tests.storage.stores import GENESIS, HASH, MACHINE, ME, VERIFIER, fill


def content(path: Path) -> object:
    """Everything that SQLite reads from the file: identity, schema, and all rows with their types."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        db.text_factory = bytes
        found: list[object] = [db.execute(f"PRAGMA {name}").fetchall() for name in ("application_id", "user_version")]
        found.append(db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall())
        for table in TABLES:
            found.append(db.execute(f"SELECT * FROM {table} NOT INDEXED").fetchall())
        return found


class Damageable:
    """A sound store, whose bytes can be changed."""

    def __init__(self, path: Path) -> None:
        store = SqliteStore(path, HASH, ME)
        fill(store)
        store.close()
        self.path = path
        self.content = content(path)
        self._data = path.read_bytes()

    def change(self, place: float, flip: int) -> None:
        """Changes one byte of the sound file; `place` is where in it, from 0 to 1."""
        data = bytearray(self._data)
        data[int(place * len(data))] ^= flip
        self.path.write_bytes(data)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Damageable:
    return Damageable(tmp_path_factory.mktemp("damaged") / "ledger.db")


def refusal(path: Path) -> str | None:
    """What a replica says that does not open the store; None if it opens it."""
    try:
        SqliteStore(path, HASH, ME).close()
    except StoreError as error:
        return str(error)
    return None


PLACES = st.floats(0, 1, exclude_max=True)
FLIPS = st.integers(1, 255)


@settings(max_examples=150, deadline=None)
@given(place=PLACES, flip=FLIPS)
@example(place=0.0, flip=1)
@example(place=1903 / 45056, flip=136)  # the schema, no longer UTF-8
def test_a_changed_byte_is_reported_or_without_effect(store: Damageable, place: float, flip: int) -> None:
    store.change(place, flip)

    report = audit_store(store.path, GENESIS, VERIFIER, MACHINE, ME)

    assert report.problems or content(store.path) == store.content


@settings(max_examples=50, deadline=None)
@given(place=PLACES, flip=FLIPS)
@example(place=1903 / 45056, flip=136)
def test_a_replica_opens_a_store_with_a_changed_byte_or_refuses_it_in_one_line(
    store: Damageable, place: float, flip: int
) -> None:
    store.change(place, flip)

    said = refusal(store.path)

    assert said is None or (said.startswith(f"{store.path}: ") and "\n" not in said)
