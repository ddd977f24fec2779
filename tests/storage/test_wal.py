"""The write-ahead log: a commit that was cut off is forgotten, but one lost to damage is noticed."""

import shutil
from pathlib import Path

import pytest

from bftledger.base.errors import StoreError
from bftledger.base.ids import Seq
from bftledger.storage.sqlite import SqliteStore
from bftledger.storage.wal import require_sound
from tests.storage.stores import HASH, ME, fill, prepare

FRAME = 24 + 4096


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The files of a replica as SIGKILL leaves them: a database, and all commits still in its log."""
    store = SqliteStore(tmp_path / "running.db", HASH, ME)
    fill(store)
    for seq in range(10, 15):
        store.save_vote(prepare(seq))
        store.commit()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"running.db{suffix}", tmp_path / f"ledger.db{suffix}")
    store.close()
    return tmp_path / "ledger.db"


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def seqs(path: Path) -> list[Seq]:
    store = SqliteStore(path, HASH, ME)
    found = [slot.seq for slot, _ in store.votes() if slot.seq >= 10]
    store.close()
    return found


def test_the_log_of_a_killed_replica_is_read_back(killed: Path) -> None:
    require_sound(killed)

    assert seqs(killed) == [10, 11, 12, 13, 14]


def test_a_last_commit_that_was_cut_off_is_forgotten(killed: Path) -> None:
    log = log_of(killed)
    log.write_bytes(log.read_bytes()[:-100])

    assert seqs(killed) == [10, 11, 12, 13]


def test_a_last_commit_that_was_torn_is_forgotten(killed: Path) -> None:
    flip(log_of(killed), -100)

    assert seqs(killed) == [10, 11, 12, 13]


@pytest.mark.parametrize("back", [2 * FRAME - 500, 2 * FRAME - 16, 3 * FRAME - 20, 4 * FRAME - 1_000])
def test_damage_before_the_last_commit_is_refused(killed: Path, back: int) -> None:
    flip(log_of(killed), -back)

    with pytest.raises(StoreError, match=r"ledger.db-wal: is damaged: frame \d+ is broken and \d commits"):
        SqliteStore(killed, HASH, ME)


@pytest.mark.parametrize("offset", [0, 3, 9, 17, 22, 30])
def test_damage_to_the_logs_header_is_refused(killed: Path, offset: int) -> None:
    flip(log_of(killed), offset)

    with pytest.raises(StoreError, match="its header is not what SQLite wrote"):
        SqliteStore(killed, HASH, ME)


def test_after_a_crash_the_log_begins_anew(killed: Path) -> None:
    store = SqliteStore(killed, HASH, ME)

    assert log_of(killed).stat().st_size == 0
    store.close()


@pytest.mark.parametrize("content", [b"", bytes(32), b"short"], ids=["empty", "zeros", "short"])
def test_a_log_in_which_nothing_was_committed_is_sound(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger.db-wal").write_bytes(content)

    require_sound(tmp_path / "ledger.db")


def test_no_log_is_sound(tmp_path: Path) -> None:
    require_sound(tmp_path / "ledger.db")
