"""The store in one SQLite file per replica, `ledger.db`.

WAL with `synchronous=FULL`: a commit appends to the log and waits for one fsync, and then outlasts loss of power. A
round is one SQL transaction, begun by its first save. One process at a time may write (`files.Lock`); any number
may read.

Opening refuses whatever a replica must not vote on: a file that is no store, or is damaged, or of another format,
group or replica. What its rows say is checked in `recall`, and in full by `audit`.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from bftledger.base import cbor
from bftledger.base.errors import Malformed, StoreError
from bftledger.base.ids import Digest, ReplicaId, Seq, TxId, View
from bftledger.pbft import wire
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.memory import SPAN
from bftledger.pbft.messages import CheckpointCertificate, NewView, PrePrepare, Testimony
from bftledger.storage import database, files, wal
from bftledger.storage.database import SQL_ERRORS, reason
from bftledger.storage.recent import RecentIds
from bftledger.storage.store import NEWEST_VIEW_ONLY, BlockRows, Place, Slot, Vote, slot_of

_WAL_CHECKPOINT_PAGES: Final = 4_096
"""At so many pages (16 MiB) the log is moved into the database; until then it only grows."""

_WAL_BYTES: Final = 64 * 1024 * 1024
"""A log that grew beyond this while somebody was reading is cut back."""

_IDS_PER_QUERY: Final = (1, 8, 64)
"""Ids are looked up so many at once, filled up by repeating one: few statements, which SQLite keeps prepared."""


class SqliteStore:
    """A replica's store in the file `path`; made if there is none. Implements `Store`.

    `genesis_hash` (32 bytes) and `replica` say whose it is. Raises `StoreError`, one line, if it is somebody else's,
    another process uses it, or it is not sound. May be used from any thread, from one at a time.
    """

    def __init__(self, path: Path, genesis_hash: Digest, replica: ReplicaId) -> None:
        database.require_library()
        self._path = path
        self._genesis_hash = genesis_hash
        self._failure: str | None = None
        try:
            self._lock = files.Lock(path)
        except BlockingIOError:
            raise StoreError(f"{path}: another process uses it; stop that replica or audit first") from None
        except OSError as error:
            raise StoreError(f"{path}: cannot be locked: {error.strerror}") from None
        try:
            if not path.exists():
                database.create(path, genesis_hash, replica)
            self._db = _open(path, genesis_hash, replica)
            self._recent = RecentIds(self._db.execute("SELECT max(id) FROM transactions").fetchone()[0])
        except (*SQL_ERRORS, OSError) as error:
            self._lock.release()
            raise StoreError(f"{path}: {reason(error)}") from None
        except BaseException:
            self._lock.release()
            raise

    @property
    def name(self) -> str:
        return str(self._path)

    # ── the round under way ──

    def save_vote(self, vote: Vote) -> None:
        slot = slot_of(vote)
        if isinstance(vote, PrePrepare) and vote.proposal is not None:
            self._write(
                "INSERT OR IGNORE INTO proposals VALUES (?, ?, ?)", (slot.seq, vote.digest, vote.proposal.encoded)
            )
            vote = replace(vote, proposal=None)
        if slot.kind in NEWEST_VIEW_ONLY:
            newer = "SELECT 1 FROM votes WHERE seq = ? AND kind = ? AND view > ?"
            if self._read(newer, slot):
                return
            self._write("DELETE FROM votes WHERE seq = ? AND kind = ? AND view < ?", slot)
        self._write("INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?)", (*slot, wire.encode(vote)))
        if isinstance(vote, NewView):
            self._forget_views_before(vote.view)

    def _forget_views_before(self, view: View) -> None:
        self._write("DELETE FROM votes WHERE kind IN ('PREPARE', 'COMMIT') AND view < ?", (view,))
        self._write(_FORGET_PRE_PREPARES, (view,))
        kept = self._read("SELECT seq, view, frame FROM votes WHERE kind = 'PRE-PREPARE'")
        named = {(seq, self._digest_of(Slot(seq, "PRE-PREPARE", of_view), frame)) for seq, of_view, frame in kept}
        for key in self._read("SELECT seq, digest FROM proposals"):
            if key not in named:
                self._write("DELETE FROM proposals WHERE seq = ? AND digest = ?", key)

    def save_block(self, rows: BlockRows) -> None:
        height = rows.height
        assert height == self.height() + 1, "blocks are appended one by one"
        self._write(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?)",
            (height, rows.block_hash, rows.time, len(rows.tx_ids), rows.header, rows.block),
        )
        # In the order of the index, which is more or less that of time: new rows go to the same few pages.
        places = sorted([(tx_id, height, position) for position, tx_id in enumerate(rows.tx_ids)])
        self._write_many("INSERT INTO transactions VALUES (?, ?, ?)", places)
        self._recent.add(rows.tx_ids)
        self._write_many("INSERT INTO history VALUES (?, ?, ?)", rows.history)
        changed = [row for row in rows.state.items() if row[1] is not None]
        self._write_many("INSERT INTO state VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", changed)
        if len(changed) < len(rows.state):
            gone = [(key,) for key, value in rows.state.items() if value is None]
            self._write_many("DELETE FROM state WHERE key = ?", gone)

    def save_certificate(self, certificate: CheckpointCertificate) -> None:
        row = (certificate.seq, wire.encode(certificate))
        self._write("INSERT OR REPLACE INTO certificates VALUES (?, ?)", row)

    def discard_votes(self, upto: Seq) -> None:
        self._write("DELETE FROM votes WHERE seq BETWEEN 1 AND ?", (upto,))
        self._write("DELETE FROM proposals WHERE seq <= ?", (upto,))

    def save_decision(self, height: Seq, commits: Testimony) -> None:
        self._write("INSERT OR REPLACE INTO decisions VALUES (?, ?)", (height, wire.encode(commits)))
        self._write("DELETE FROM decisions WHERE height <= ?", (height - SPAN,))

    def save_evidence(self, evidence: Evidence) -> None:
        row = (evidence.replica, evidence.rule.value, evidence.encode())
        self._write("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?)", row)

    def abandon(self) -> None:
        self._require_usable()
        try:
            self._db.rollback()
        except SQL_ERRORS as error:
            self._fail(error)

    def commit(self) -> None:
        self._require_usable()
        if self._db.in_transaction:
            try:
                self._db.execute("COMMIT")
            except SQL_ERRORS as error:
                self._fail(error)

    def close(self) -> None:
        self._failure = self._failure or "is closed"
        with contextlib.suppress(sqlite3.Error):
            self._db.rollback()
            self._db.close()
        self._lock.release()

    # ── votes ──

    def votes(self) -> Iterator[tuple[Slot, bytes]]:
        for seq, kind, view, frame in self._read("SELECT seq, kind, view, frame FROM votes ORDER BY seq, kind, view"):
            slot = Slot(Seq(seq), kind, View(view))
            yield slot, self._with_proposal(slot, frame) if kind == "PRE-PREPARE" else frame

    def _with_proposal(self, slot: Slot, frame: bytes) -> bytes:
        key = slot.seq, self._digest_of(slot, frame)
        for (proposal,) in self._read("SELECT proposal FROM proposals WHERE seq = ? AND digest = ?", key):
            # Spliced as bytes, so that whether it is one is found out where everything else is: at the door.
            *signed, _ = cbor.decode(frame)
            return cbor.encode([*signed, proposal])
        return frame

    def _digest_of(self, slot: Slot, frame: bytes) -> bytes:
        """What the PRE-PREPARE in `frame` names."""
        try:
            pre_prepare = wire.decode(frame, self._genesis_hash)
        except Malformed as error:
            raise StoreError(f"{self._path}: votes, {slot}: {error}") from None
        return pre_prepare.digest if isinstance(pre_prepare, PrePrepare) else b""

    # ── evidence ──

    def evidence(self) -> Iterator[tuple[ReplicaId, str, bytes]]:
        yield from self._read("SELECT replica, rule, proof FROM evidence ORDER BY replica, rule")

    # ── blocks and certificates ──

    def height(self) -> Seq:
        return Seq(self._read("SELECT coalesce(max(height), 0) FROM blocks")[0][0])

    def block(self, height: Seq) -> bytes | None:
        block: bytes | None = self._one("SELECT block FROM blocks WHERE height = ?", height)
        return block

    def block_hash(self, height: Seq) -> Digest | None:
        block_hash: Digest | None = self._one("SELECT hash FROM blocks WHERE height = ?", height)
        return block_hash

    def blocks(self, first: Seq, count: int, max_bytes: int) -> list[bytes]:
        sizes = self._read(
            "SELECT height, length(block) FROM blocks WHERE height >= ? ORDER BY height LIMIT ?", (first, count)
        )
        end, total = first, 0
        for height, size in sizes:
            total += size
            if height != end or (height > first and total > max_bytes):
                break
            end = Seq(height + 1)
        found = self._read("SELECT block FROM blocks WHERE height >= ? AND height < ? ORDER BY height", (first, end))
        return [block for (block,) in found]

    def headers(self, first: Seq, last: Seq) -> list[bytes]:
        found = self._read("SELECT header FROM blocks WHERE height BETWEEN ? AND ? ORDER BY height", (first, last))
        return [header for (header,) in found]

    def certificate(self, height: Seq) -> CheckpointCertificate | None:
        frame = self._one("SELECT frame FROM certificates WHERE height = ?", height)
        return None if frame is None else self._decode_certificate(height, frame)

    def decision(self, height: Seq) -> bytes | None:
        frame: bytes | None = self._one("SELECT frame FROM decisions WHERE height = ?", height)
        return frame

    def next_certified(self, height: Seq) -> Seq | None:
        certified: Seq | None = self._one("SELECT min(height) FROM certificates WHERE height >= ?", height)
        return certified

    def last_certified(self, height: Seq) -> Seq | None:
        certified: Seq | None = self._one("SELECT max(height) FROM certificates WHERE height <= ?", height)
        return certified

    def newest_certificate(self) -> CheckpointCertificate | None:
        found = self._read("SELECT height, frame FROM certificates ORDER BY height DESC LIMIT 1")
        return self._decode_certificate(*found[0]) if found else None

    def _decode_certificate(self, height: Seq, frame: bytes) -> CheckpointCertificate:
        try:
            certificate = wire.decode(frame, self._genesis_hash)
        except Malformed as error:
            raise StoreError(f"{self._path}: certificates, height {height}: {error}") from None
        if not isinstance(certificate, CheckpointCertificate) or certificate.seq != height:
            raise StoreError(f"{self._path}: certificates, height {height}: is not the certificate of that block")
        return certificate

    # ── what is derived from the blocks ──

    def locate(self, ids: Iterable[TxId]) -> dict[TxId, Place]:
        wanted = self._recent.may_hold(ids)
        found: dict[TxId, Place] = {}
        while wanted:
            size = next((size for size in _IDS_PER_QUERY if size >= len(wanted)), _IDS_PER_QUERY[-1])
            some, wanted = wanted[:size], wanted[size:]
            some += [some[0]] * (size - len(some))
            for tx_id, height, position in self._read(_LOCATE[size], some):
                found[TxId(tx_id)] = Place(Seq(height), position)
        return found

    def contains(self, ids: Collection[TxId]) -> set[TxId]:
        return set(self.locate(ids))

    def history_node(self, level: int, position: int) -> Digest:
        for (node,) in self._read("SELECT hash FROM history WHERE level = ? AND position = ?", (level, position)):
            return Digest(node)
        raise StoreError(f"{self._path}: history, level {level}, position {position}: is missing")

    def state_row(self, key: bytes) -> bytes | None:
        found = self._read("SELECT value FROM state WHERE key = ?", (key,))
        return found[0][0] if found else None

    def state_rows(self) -> Iterator[tuple[bytes, bytes]]:
        self._require_usable()
        try:
            yield from self._db.execute("SELECT key, value FROM state ORDER BY key")  # one by one: they may be many
        except SQL_ERRORS as error:
            self._fail(error)

    # ── SQL, and what fails in it ──

    def _read(self, sql: str, parameters: Any = ()) -> list[Any]:
        self._require_usable()
        try:
            return self._db.execute(sql, parameters).fetchall()
        except SQL_ERRORS as error:
            self._fail(error)

    def _one(self, sql: str, parameter: int) -> Any:
        found = self._read(sql, (parameter,))
        return found[0][0] if found else None

    def _write(self, sql: str, parameters: Any) -> None:
        self._begin()
        try:
            self._db.execute(sql, parameters)
        except SQL_ERRORS as error:
            self._fail(error)

    def _write_many(self, sql: str, rows: Collection[Any]) -> None:
        if rows:
            self._begin()
            try:
                self._db.executemany(sql, rows)
            except SQL_ERRORS as error:
                self._fail(error)

    def _begin(self) -> None:
        self._require_usable()
        if not self._db.in_transaction:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except SQL_ERRORS as error:
                self._fail(error)

    def _require_usable(self) -> None:
        if self._failure is not None:
            raise StoreError(f"{self._path}: {self._failure}")

    def _fail(self, error: Exception) -> NoReturn:
        """Nothing of the round may become durable after this, whatever the caller does."""
        self._failure = reason(error)
        with contextlib.suppress(sqlite3.Error):
            self._db.rollback()
        raise StoreError(f"{self._path}: {self._failure}") from None


_FORGET_PRE_PREPARES: Final = """
    DELETE FROM votes WHERE kind = 'PRE-PREPARE' AND view < ? AND NOT EXISTS (
        SELECT 1 FROM votes AS prepared
        WHERE prepared.seq = votes.seq AND prepared.kind = 'PREPARED' AND prepared.view = votes.view
    )"""

_LOCATE: Final = {
    size: f"SELECT id, height, position FROM transactions WHERE id IN ({', '.join('?' * size)})"
    for size in _IDS_PER_QUERY
}


def _open(path: Path, genesis_hash: Digest, replica: ReplicaId) -> sqlite3.Connection:
    """A connection to the store, sound and that replica's. Raises `StoreError`, `OSError` or `SQL_ERRORS`."""
    files.require_database(path)
    wal.require_sound(path)
    db = database.connect(path, "mode=rw")
    try:
        db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        db.execute("PRAGMA synchronous = FULL")
        database.require_format(db, path)
        database.require_owner(db, path, genesis_hash, replica)
        database.require_sound(db, path)
        database.require_schema(db, path)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what `wal` concludes needs a log begun anew
    except BaseException:
        db.close()
        raise
    return db
