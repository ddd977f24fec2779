"""The store's file: whose it is, who may open it, what is refused, and what happens when the disk fails."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bftledger.base.errors import StoreError
from bftledger.base.ids import ReplicaId, Seq
from bftledger.ledger.block import Header
from bftledger.pbft.proposals import make_proposal
from bftledger.storage.recall import recall_certificate, recall_history, recall_votes
from bftledger.storage.sqlite import SqliteStore
from tests.storage.stores import DOOR, HASH, ME, Disk, Scribe, a_genesis, certificate, fill, prepare, proposal, tx


def sql(path: Path, *statements: str) -> None:
    """What somebody does to the file with another tool."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        SqliteStore(path, HASH, ME)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def files_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(path.name + "*"))


# ── who may open it ──


def test_only_one_process_at_a_time_may_write(disk: Disk) -> None:
    store = disk.open()

    assert "another process uses it" in refusal(disk.path)
    store.close()
    disk.open()


def test_another_process_is_refused_too(disk: Disk) -> None:
    disk.open()
    program = (
        "import sys; from pathlib import Path; from bftledger.storage.sqlite import SqliteStore\n"
        "from bftledger.base.errors import StoreError\n"
        "try: SqliteStore(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), 1)\n"
        "except StoreError as error: print(error)"
    )
    command = [sys.executable, "-c", program, str(disk.path), HASH.hex()]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert said == f"{disk.path}: another process uses it; stop that replica or audit first\n"


def test_only_the_owner_can_read_any_file_of_the_store(disk: Disk) -> None:
    old = os.umask(0)
    try:
        fill(disk.open())
    finally:
        os.umask(old)

    assert len(files_of(disk.path)) == 4
    for path in files_of(disk.path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_store_that_was_closed_in_order_has_left_no_log(filled: Path) -> None:
    assert [path.name for path in files_of(filled)] == ["ledger.db", "ledger.db.lock"]


def test_people_can_read_it_with_any_sqlite_tool(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as db:
        chain = db.execute("SELECT height, time, transactions, certified FROM chain ORDER BY height").fetchall()
        promises = db.execute("SELECT seq, kind FROM promises WHERE seq = 6 ORDER BY kind").fetchall()
        places = db.execute("SELECT height, position FROM transaction_places ORDER BY id").fetchall()

    assert chain[1] == (2, "2023-11-14T22:13:20.020Z", 2, 0)
    assert promises == [(6, "COMMIT"), (6, "PRE-PREPARE"), (6, "PREPARE"), (6, "PREPARED")]
    assert places == [(height, position) for height in range(1, 6) for position in range(2)]


# ── what is refused ──


def test_the_store_of_another_group_is_refused(filled: Path) -> None:
    with pytest.raises(StoreError, match="belongs to the group with genesis"):
        SqliteStore(filled, a_genesis("another").genesis_hash, ME)


def test_the_store_of_another_replica_is_refused(filled: Path) -> None:
    with pytest.raises(StoreError, match="belongs to replica 1, not 2"):
        SqliteStore(filled, HASH, ReplicaId(2))


def test_a_store_of_another_format_is_refused(filled: Path) -> None:
    sql(filled, "PRAGMA user_version = 7")

    assert "has format 7" in refusal(filled)


def test_another_sqlite_database_is_refused(tmp_path: Path) -> None:
    sql(tmp_path / "ledger.db", "CREATE TABLE songs (title)")

    assert "some other SQLite database" in refusal(tmp_path / "ledger.db")


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(8192)], ids=["empty", "text", "zeros"])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)

    assert "is not a ledger's store" in refusal(path)
    assert path.read_bytes() == content


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()

    assert "cannot be read" in refusal(tmp_path / "ledger.db")


def test_a_store_in_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "cannot be locked" in refusal(tmp_path / "missing" / "ledger.db")


def test_a_damaged_page_is_refused(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    data[3 * 4096 : 3 * 4096 + 200] = bytes(200)
    filled.write_bytes(data)

    assert "is damaged" in refusal(filled)


def test_a_truncated_store_is_refused(filled: Path) -> None:
    os.truncate(filled, filled.stat().st_size // 2)

    assert "is damaged" in refusal(filled)


def test_a_changed_schema_is_refused(filled: Path) -> None:
    sql(filled, "DROP VIEW chain")

    assert "the definition of 'chain'" in refusal(filled)


def test_a_creation_that_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "ledger.db.new").write_bytes(b"half of a st")
    store = SqliteStore(tmp_path / "ledger.db", HASH, ME)

    assert store.height() == 0
    store.close()


# ── what a starting replica reads back ──


def test_a_vote_that_was_tampered_with_is_refused(disk: Disk, filled: Path) -> None:
    sql(
        filled,
        "UPDATE votes SET frame = CAST(substr(frame, 1, length(frame) - 1) || x'00' AS BLOB) WHERE kind = 'COMMIT'",
    )

    with pytest.raises(StoreError, match="votes, seq 6, view 0, COMMIT: the signature does not match"):
        recall_votes(disk.open(), DOOR)


def test_a_vote_in_another_votes_slot_is_refused(disk: Disk, filled: Path) -> None:
    sql(filled, "UPDATE votes SET view = 3 WHERE kind = 'PREPARE' AND seq = 7")

    with pytest.raises(StoreError, match="seq 7, view 3, PREPARE: is the vote for seq 7, view 0, PREPARE"):
        recall_votes(disk.open(), DOOR)


def test_a_proposal_that_was_tampered_with_is_refused(disk: Disk, filled: Path) -> None:
    other = make_proposal(proposal(6).time, (tx(1),))
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute("UPDATE proposals SET proposal = ? WHERE seq = 6", (other.encoded,))

    with pytest.raises(StoreError, match="seq 6, view 0, PRE-PREPARE: the proposal is not the one that was signed"):
        recall_votes(disk.open(), DOOR)


def test_the_newest_certificate_must_be_authentic_and_of_the_stored_block(disk: Disk) -> None:
    store = disk.open()
    scribe = Scribe(store)
    rows = scribe.write_block()
    assert recall_certificate(store, DOOR) == certificate(1, rows.block_hash)
    scribe.write_block(is_certified=False)

    store.save_certificate(certificate(2))
    with pytest.raises(StoreError, match="certificates, height 2: certifies another block"):
        recall_certificate(store, DOOR)

    good = certificate(3)
    store.save_certificate(type(good)(seq=Seq(3), block_hash=HASH, signatures=good.signatures))
    with pytest.raises(StoreError, match="certificates, height 3: the signature does not match"):
        recall_certificate(store, DOOR)


def test_history_that_does_not_belong_to_the_newest_block_is_refused(disk: Disk) -> None:
    store = disk.open()
    scribe = fill(store)
    tip = Header.decode(store.headers(Seq(5), Seq(5))[0])
    assert recall_history(store, tip).root() == Header.decode(scribe.write_block().header).history_root
    store.close()

    sql(disk.path, "UPDATE history SET hash = zeroblob(32) WHERE level = 0 AND position = 4")
    with pytest.raises(StoreError, match="history: is not the one before block 5"):
        recall_history(disk.open(), tip)


def test_a_newest_history_node_that_was_tampered_with_is_refused(disk: Disk, filled: Path) -> None:
    sql(filled, "UPDATE history SET hash = zeroblob(32) WHERE level = 0 AND position = 5")
    store = disk.open()
    tip = Header.decode(store.headers(Seq(5), Seq(5))[0])

    with pytest.raises(StoreError, match="history, level 0, position 5: is not what the blocks give"):
        recall_history(store, tip)


# ── when the disk fails ──


def limit_size(store: SqliteStore) -> None:
    """From now on the disk is full."""
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_stops_the_store_and_keeps_what_was_committed(disk: Disk) -> None:
    store = disk.open()
    scribe = fill(store)
    limit_size(store)

    def write_on() -> None:
        for start in range(1_000, 6_000, 50):
            scribe.write_block(*[tx(number) for number in range(start, start + 50)])
            store.commit()

    with pytest.raises(StoreError, match="cannot be used: database or disk is full"):
        write_on()
    with pytest.raises(StoreError, match="disk is full"):
        store.commit()
    with pytest.raises(StoreError, match="disk is full"):
        store.save_vote(prepare(9))
    height = Seq(scribe._executor.tip.height - 1)
    store.close()
    assert disk.open().height() == height


def test_a_commit_that_another_writer_prevents_is_a_store_error(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bftledger.storage.database._BUSY_SECONDS", 0.01)
    store = disk.open()
    with closing(sqlite3.connect(disk.path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="database is locked"):
            store.save_vote(prepare(1))
    with pytest.raises(StoreError, match="database is locked"):
        store.commit()


def test_commits_are_durable_and_the_log_is_bounded(disk: Disk) -> None:
    store = disk.open()
    settings = {name: store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}

    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert store._db.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 4096
    assert store._db.execute("PRAGMA journal_size_limit").fetchone()[0] == 64 * 1024 * 1024
