"""The audit: an untouched store is clean; whatever is changed in one is named, with its file, height and fault."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bftledger.base.errors import StoreError
from bftledger.base.ids import ReplicaId
from bftledger.pbft import messages, wire
from bftledger.pbft.messages import Commit
from bftledger.storage.audit import AuditReport, audit_store
from bftledger.storage.snapshot import read_evidence
from bftledger.storage.sqlite import SqliteStore
from tests.storage.stores import (
    GENESIS,
    HASH,
    MACHINE,
    ME,
    SIGNERS,
    VERIFIER,
    Disk,
    a_genesis,
    against,
    certificate,
    commit,
    fill,
    flip,
    prepare,
)


def audit(path: Path) -> AuditReport:
    return audit_store(path, GENESIS, VERIFIER, MACHINE, ME)


def tamper(path: Path, statement: str, *parameters: object) -> None:
    """Changes stored rows behind everybody's back; the statement must find some."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(statement, parameters).rowcount > 0


def said(path: Path) -> list[str]:
    """What the audit says is wrong, without the file's name, which each line must begin with."""
    lines = [str(problem) for problem in audit(path).problems]
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


# ── untouched stores ──


def test_an_untouched_store_is_clean(filled: Path) -> None:
    report = audit(filled)

    assert report.problems == ()
    assert report.ok
    assert (report.replica, report.height, report.transactions) == (1, 5, 10)
    assert (report.certificates, report.votes, report.evidence) == (4, 11, 1)


def test_a_new_store_is_clean(disk: Disk) -> None:
    disk.open().close()

    report = audit(disk.path)
    assert report.ok
    assert report.height == 0


def test_an_audit_of_a_stopped_replica_leaves_its_files_as_they_are(filled: Path) -> None:
    before = {path: path.read_bytes() for path in filled.parent.iterdir()}
    audit(filled)

    assert {path: path.read_bytes() for path in filled.parent.iterdir()} == before


def test_the_store_of_a_killed_replica_is_read_with_its_log(disk: Disk, tmp_path: Path) -> None:
    fill(disk.open())
    copy = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{disk.path}{suffix}", f"{copy}{suffix}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("copy")}

    report = audit(copy)

    assert (report.problems, report.height) == ((), 5)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("copy")} == before


def test_a_damaged_log_is_named(disk: Disk, tmp_path: Path) -> None:
    store = disk.open()
    scribe = fill(store)
    for _ in range(3):
        scribe.write_block()
        store.commit()
    copy = tmp_path / "copy.db"
    shutil.copy(disk.path, copy)
    log = bytearray(Path(f"{disk.path}-wal").read_bytes())
    log[len(log) // 2] ^= 1
    Path(f"{copy}-wal").write_bytes(log)

    assert any("copy.db-wal: is damaged: frame" in line for line in said(copy))


def test_a_running_replica_can_be_audited_and_is_not_disturbed(disk: Disk) -> None:
    store = disk.open()
    scribe = fill(store)
    scribe.write_block()  # not yet committed

    assert (audit(disk.path).problems, audit(disk.path).height) == ((), 5)
    store.commit()
    assert (audit(disk.path).problems, audit(disk.path).height) == ((), 6)


def test_a_copy_without_a_lock_file_can_be_audited(filled: Path) -> None:
    filled.with_name("ledger.db.lock").unlink()

    assert audit(filled).ok
    assert [path.name for path in filled.parent.iterdir()] == ["ledger.db"]


# ── every column of every table ──


@pytest.mark.parametrize("offset", [0, 5, 40, 60, 120, 200, 260, 300, 350, 400, 500, -300, -100, -20, -1])
def test_a_flipped_byte_of_a_block_is_named(filled: Path, offset: int) -> None:
    flip(filled, "blocks", "block", "height = 3", offset)

    assert said(filled)[0].startswith("blocks, height 3: ")
    assert audit(filled).problems[0].height == 3


FLIPS = [
    ("blocks", "hash", "height = 3", "blocks, height 3: the column hash is not what the block says"),
    ("blocks", "header", "height = 3", "blocks, height 3: the column header is not what the block says"),
    ("certificates", "frame", "height = 4", "certificates, height 4: the signature does not match"),
    ("history", "hash", "level = 1 AND position = 1", "history, level 1, position 1: is not the hash that the blocks"),
    ("state", "value", "key = x'6b657930'", "state, key b'key0': has another value than after block 5"),
    ("votes", "frame", "kind = 'PREPARE' AND seq = 6", "votes, seq 6, view 0, PREPARE: the signature does not match"),
    ("votes", "frame", "kind = 'COMMIT' AND seq = 7", "votes, seq 7, view 0, COMMIT: the signature does not match"),
    ("votes", "frame", "kind = 'CHECKPOINT'", "votes, seq 5, view 0, CHECKPOINT: the signature does not match"),
    ("votes", "frame", "kind = 'PREPARED' AND seq = 6", "votes, seq 6, view 0, PREPARED: the signature does not"),
    ("votes", "frame", "kind = 'VIEW-CHANGE'", "votes, seq 0, view 1, VIEW-CHANGE: the signature does not match"),
    ("votes", "frame", "kind = 'NEW-VIEW'", "votes, seq 0, view 1, NEW-VIEW: the signature does not match"),
    ("proposals", "proposal", "seq = 6", "proposals, seq 6, digest "),
    ("proposals", "digest", "seq = 7", "proposals, seq 7, digest "),
    ("meta", "value", "name = 'genesis_hash'", "meta, genesis_hash: is not that of this group"),
]


@pytest.mark.parametrize(("table", "column", "where", "expected"), FLIPS)
def test_a_flipped_byte_of_a_stored_column_is_named(
    filled: Path, table: str, column: str, where: str, expected: str
) -> None:
    flip(filled, table, column, where, -3)

    assert [line for line in said(filled) if line.startswith(expected)] != []
    assert len({line.split(",")[0] for line in said(filled)}) == 1


def test_a_flipped_byte_of_a_pre_prepare_is_named(filled: Path) -> None:
    flip(filled, "votes", "frame", "kind = 'PRE-PREPARE' AND seq = 6", -10)

    assert "votes, seq 6, view 0, PRE-PREPARE: the signature does not match" in said(filled)


def test_a_flipped_byte_of_an_index_row_is_named_twice_what_is_missing_and_what_is_not_in_the_block(
    filled: Path,
) -> None:
    with closing(sqlite3.connect(filled)) as db:
        (tx_id,) = db.execute("SELECT id FROM transactions WHERE height = 4 AND position = 1").fetchone()
    flip(filled, "transactions", "id", "height = 4 AND position = 1", 20)

    changed = bytearray(tx_id)
    changed[20] ^= 1
    assert said(filled) == [
        f"transactions, id {tx_id.hex()}: is missing: it is in block 4, position 1",
        f"transactions, id {changed.hex()}: says block 4, position 1, which does not hold it",
    ]
    assert [problem.height for problem in audit(filled).problems] == [4, 4]


CHANGES = [
    ("UPDATE blocks SET time = time + 1 WHERE height = 2", "blocks, height 2: the column time is not what the block"),
    ("UPDATE blocks SET transactions = 3 WHERE height = 2", "blocks, height 2: the column transactions is not what"),
    ("UPDATE blocks SET height = 70 WHERE height = 2", "blocks, height 2: is missing; the next one stored is 3"),
    ("UPDATE blocks SET height = 6 WHERE height = 5", "blocks, height 5: is missing; the next one stored is 6"),
    ("DELETE FROM blocks WHERE height = 1", "blocks, height 1: is missing; the next one stored is 2"),
    ("DELETE FROM blocks WHERE height = 5", "says block 5, position 0, which does not hold it"),
    ("DELETE FROM blocks WHERE height = 5", "history, level 0, position 5: is about no blocks there are"),
    ("DELETE FROM blocks", "says block 1, position 0, which does not hold it"),
    ("UPDATE transactions SET height = 2 WHERE height = 3 AND position = 0", "says block 2, position 0, but it is in"),
    ("UPDATE transactions SET position = 9 WHERE height = 3 AND position = 1", "says block 3, position 9, but it is"),
    ("DELETE FROM transactions WHERE height = 5 AND position = 0", "is missing: it is in block 5, position 0"),
    ("INSERT INTO transactions VALUES (x'00', 4, 0)", "transactions, id 00: says block 4, position 0, which does not"),
    ("INSERT INTO transactions VALUES (x'00', 99, 0)", "transactions, id 00: says block 99, position 0, which does"),
    ("UPDATE history SET position = 8 WHERE level = 0 AND position = 3", "history, level 0, position 3: is missing"),
    ("UPDATE history SET level = 9 WHERE level = 2", "history, level 9, position 0: is about no blocks there are"),
    ("DELETE FROM history WHERE level = 2", "history, level 2, position 0: is missing (completed by block 3)"),
    ("UPDATE state SET key = x'00' WHERE key = x'6b657930'", "state, key b'\\x00': is not in the state after block 5"),
    ("UPDATE state SET key = x'00' WHERE key = x'6b657930'", "state, key b'key0': is missing: it is in the state"),
    ("DELETE FROM state WHERE key = x'6b657930'", "state, key b'key0': is missing: it is in the state after block 5"),
    ("INSERT INTO state VALUES (x'ff', x'ff')", "state, key b'\\xff': is not in the state after block 5"),
    ("UPDATE certificates SET height = 2 WHERE height = 4", "certificates, height 2: is not the certificate of that"),
    (
        "UPDATE votes SET seq = 8 WHERE seq = 7 AND kind = 'COMMIT'",
        "votes, seq 8, view 0, COMMIT: is the vote for seq 7",
    ),
    ("UPDATE votes SET view = 1 WHERE seq = 7 AND kind = 'PREPARED'", "votes, seq 7, view 1, PREPARED: is the vote"),
    (
        "UPDATE votes SET view = 5 WHERE kind = 'NEW-VIEW'",
        "votes, seq 0, view 5, NEW-VIEW: is the vote for seq 0, view",
    ),
    ("UPDATE votes SET kind = 'PLEDGE' WHERE kind = 'CHECKPOINT'", "votes, seq 5, view 0, PLEDGE: is the vote for"),
    ("UPDATE proposals SET seq = 9 WHERE seq = 6", "is named by no PRE-PREPARE with this sequence number"),
    ("UPDATE meta SET value = 0 WHERE name = 'replica'", "meta, replica: is 0, but this is the store of replica 1"),
    ("UPDATE meta SET value = 9 WHERE name = 'replica'", "meta, replica: 9 is not a replica of this group"),
    ("UPDATE meta SET name = 'x' WHERE name = 'replica'", "meta, x: is no row of this format"),
    ("DELETE FROM meta", "meta, genesis_hash: is not that of this group"),
]


@pytest.mark.parametrize(("statement", "expected"), CHANGES)
def test_a_changed_row_is_named(filled: Path, statement: str, expected: str) -> None:
    tamper(filled, statement)

    assert [line for line in said(filled) if expected in line] != []


def test_the_replica_whose_store_it_is_shows_in_its_votes(filled: Path) -> None:
    tamper(filled, "UPDATE meta SET value = 2 WHERE name = 'replica'")

    problems = [str(problem) for problem in audit_store(filled, GENESIS, VERIFIER, MACHINE).problems]
    assert f"{filled}: votes, seq 6, view 0, PREPARE: is of replica 1 in the store of replica 2" in problems


def test_a_foreign_vote_is_named(disk: Disk) -> None:
    store = disk.open()
    fill(store)
    store.save_vote(prepare(8, by=3))
    store.commit()
    store.close()

    assert said(disk.path) == ["votes, seq 8, view 0, PREPARE: is of replica 3 in the store of replica 1"]


def test_a_certificate_of_another_block_is_named(disk: Disk) -> None:
    store = disk.open()
    scribe = fill(store)
    scribe.write_block(is_certified=False)
    store.save_certificate(certificate(6))
    store.commit()
    store.close()

    assert said(disk.path) == ["certificates, height 6: certifies another block than the one stored"]


def test_blocks_after_a_bad_one_are_still_checked_for_signatures_and_index(filled: Path) -> None:
    flip(filled, "blocks", "block", "height = 2", 60)
    tamper(filled, "DELETE FROM transactions WHERE height = 4 AND position = 0")
    flip(filled, "certificates", "frame", "height = 5", -3)

    lines = said(filled)
    assert lines[0] == "blocks, height 2: the column hash is not what the block says"
    assert lines[1] == "blocks, height 2: the column header is not what the block says"
    lines = lines[2:]
    assert "nothing from here on is executed again" in lines[0]
    assert lines[0].startswith("blocks, height 2: ")
    assert lines[1].endswith("is missing: it is in block 4, position 0")
    assert lines[2] == "certificates, height 5: the signature does not match"
    assert len(lines) == 3


# ── evidence ──


@pytest.mark.parametrize("offset", [3, 60, -1])
def test_evidence_that_proves_nothing_is_reported(filled: Path, offset: int) -> None:
    flip(filled, "evidence", "proof", "replica = 3", offset)

    (line,) = said(filled)
    assert line.startswith("evidence, replica 3, two-prepares: ")


def test_commits_that_are_not_authentic_are_reported(filled: Path) -> None:
    flip(filled, "decisions", "frame", "height = 5", 60)

    (line,) = said(filled)
    assert line.startswith("decisions, height 5: ")


@pytest.mark.parametrize(
    ("height", "keeper", "votes", "problem"),
    [
        (5, ME, [], "is not a quorum's COMMITs to one proposal"),
        (5, ME, [commit(5, by=0), commit(5, by=1)], "is not a quorum's COMMITs to one proposal"),
        (5, ME, [commit(5, by=i, view=i // 2) for i in (0, 1, 2)], "is not a quorum's COMMITs to one proposal"),
        (5, 3, [commit(5, by=i) for i in (0, 1, 2)], "is of replica 3 in the store of replica 1"),
        (9, ME, [commit(9, by=i) for i in (0, 1, 2)], "is of a block that is not here: the newest is 5"),
        (5, ME, [commit(5, by=i) for i in (0, 1, 1, 2)], "the same is testified more than once"),
    ],
)
def test_commits_that_did_not_decide_the_block_are_reported(
    filled: Path, height: int, keeper: int, votes: list[Commit], problem: str
) -> None:
    unsigned = messages.Testimony(messages=tuple(votes), replica=ReplicaId(keeper), signature=wire.UNSIGNED)
    frame = wire.encode(wire.sign(unsigned, SIGNERS[keeper], HASH))
    tamper(filled, "INSERT OR REPLACE INTO decisions VALUES (?, ?)", height, frame)

    assert said(filled) == [f"decisions, height {height}: {problem}"]


def test_evidence_against_another_replica_than_its_row_says_is_reported(filled: Path) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute("UPDATE evidence SET replica = 2")

    assert said(filled) == ["evidence, replica 2, two-prepares: is against replica 3 by two-prepares"]
    with pytest.raises(StoreError, match="is against replica 3"):
        read_evidence(filled, GENESIS.group, VERIFIER)


def test_evidence_is_read_beside_the_replica_that_keeps_it(filled: Path) -> None:
    store = SqliteStore(filled, HASH, ME)
    store.save_evidence(against(2))
    store.commit()

    assert read_evidence(filled, GENESIS.group, VERIFIER) == [against(2), against(3)]
    store.close()
    assert read_evidence(filled, GENESIS.group, VERIFIER) == [against(2), against(3)]
    with pytest.raises(StoreError, match="no such file"):
        read_evidence(filled.with_name("none.db"), GENESIS.group, VERIFIER)


def test_an_older_format_is_refused_with_what_to_do(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as db:
        db.execute("PRAGMA user_version = 1")

    (line,) = said(filled)
    assert line.startswith("file: has format 1, that of an older version of bftledger: this one reads format 2")


# ── the file ──


def test_damage_that_sqlite_finds_is_reported_not_raised(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    data[3 * 4096 : 3 * 4096 + 200] = bytes(200)
    filled.write_bytes(data)

    assert any(line.startswith("file: SQLite finds damage: ") for line in said(filled)), said(filled)


def test_a_truncated_file_is_reported(filled: Path) -> None:
    os.truncate(filled, filled.stat().st_size // 2)

    assert said(filled) != []


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(8192)], ids=["empty", "text", "zeros"])
def test_a_file_that_is_no_database_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)

    assert said(path) == ["file: is not a ledger's store (no SQLite database); was it truncated or overwritten?"]


def test_another_format_is_reported(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as db:
        db.execute("PRAGMA user_version = 9")

    assert said(filled) == ["file: has format 9, this version of bftledger reads format 2"]


def test_a_changed_schema_is_reported(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as db:
        db.execute("CREATE TABLE more (x)")

    assert said(filled) == ["file: is damaged: the definition of 'more' is not the one of format 2"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        audit(tmp_path / "ledger.db")


def test_a_store_of_another_group_is_reported(filled: Path) -> None:
    report = audit_store(filled, a_genesis("another"), VERIFIER, MACHINE, ME)

    assert str(report.problems[0]).startswith(f"{filled}: meta, genesis_hash: is not that of this group")
    assert any(problem.table == "blocks" and problem.height == 1 for problem in report.problems)


def test_very_many_problems_are_counted_but_not_all_listed(filled: Path) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.executemany("INSERT INTO state VALUES (?, x'')", [(b"%d" % number,) for number in range(150)])

    report = audit(filled)
    assert (len(report.problems), report.unlisted) == (100, 50)
