"""Work that is not ours, of the kinds that ours is made of: what the paths of `paths` are measured against.

A machine that is slow today, or that others use, is slow at these as well; a path that has got slower against its
yardstick has got slower. None of it calls anything of this project, so that no change of ours changes them.
"""

import contextlib
import hashlib
import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from nacl import bindings

PYTHON: Final = "python"
SIGNATURES: Final = "signatures"
STORE: Final = "store"

Ready = Callable[[], AbstractContextManager[Callable[[], Any]]]
"""Gets ready, and gives the work, to be done once; what that returns says what it did."""

_ROUNDS: Final = 800
_VERIFICATIONS: Final = 40
_COMMITS: Final = 12
_ROWS: Final = 8


def yardsticks(directory: Path) -> Mapping[str, Ready]:
    """All of them, by name; `directory` is where the store is."""
    return {PYTHON: _python, SIGNATURES: _signatures, STORE: partial(_store, directory)}


@dataclass(frozen=True, slots=True)
class _Note:
    """A small frozen object, as messages are."""

    number: int
    digest: bytes
    words: tuple[str, ...]


@contextlib.contextmanager
def _python() -> Iterator[Callable[[], object]]:
    """Small objects, dictionaries, slices of bytes, hashes, calls: what the interpreter does all day."""
    layout = struct.Struct(">QI32s")
    words = ("pre-prepare", "prepare", "commit")

    def note(number: int) -> _Note:
        return _Note(number, hashlib.sha256(number.to_bytes(8, "big")).digest(), words)

    def work() -> object:
        notes: dict[bytes, _Note] = {}
        counts: dict[str, int] = {}
        out = bytearray()
        for number in range(_ROUNDS):
            made = note(number)
            notes[made.digest] = made
            out += layout.pack(made.number, len(made.words), made.digest)
            for word in made.words:
                counts[word] = counts.get(word, 0) + 1
        total = 0
        data = bytes(out)
        for start in range(0, len(data), layout.size):
            number, _, digest = layout.unpack(data[start : start + layout.size])
            match notes.get(digest):
                case _Note(number=known) if known == number:
                    total += known
                case _:
                    raise AssertionError("every note is found again")
        return total, sorted(counts.items())

    yield work


@contextlib.contextmanager
def _signatures() -> Iterator[Callable[[], object]]:
    """Ed25519 verifications of a digest, through PyNaCl."""
    public, secret = bindings.crypto_sign_seed_keypair(bytes(32))
    signed = bindings.crypto_sign(bytes(range(32)), secret)

    def work() -> object:
        return [bindings.crypto_sign_open(signed, public) for _ in range(_VERIFICATIONS)]

    yield work


@contextlib.contextmanager
def _store(directory: Path) -> Iterator[Callable[[], object]]:
    """Durable commits of a few rows of a new SQLite file in `directory`, WAL and synchronous=FULL."""
    with (
        TemporaryDirectory(prefix="yardstick-", dir=directory) as temporary,
        contextlib.closing(sqlite3.connect(Path(temporary, "yardstick.db"), isolation_level=None)) as db,
    ):
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE row (number INTEGER, name BLOB, value BLOB, PRIMARY KEY (number, name)) WITHOUT ROWID")

        def work() -> object:
            for number in range(_COMMITS):
                db.execute("BEGIN IMMEDIATE")
                rows: list[Any] = [(number, bytes([i]) * 32, bytes(300)) for i in range(_ROWS)]
                db.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?)", rows)
                db.execute("SELECT count(*) FROM row WHERE number = ?", (number,)).fetchall()
                db.execute("COMMIT")
            return db.execute("SELECT count(*) FROM row").fetchone()[0]

        yield work
