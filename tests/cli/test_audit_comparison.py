"""The stores of one group compared: one chain for all, and one store for each replica."""

import shutil
from pathlib import Path

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.cli.audit import compare
from bftledger.storage.audit import AuditReport, audit_store
from bftledger.storage.sqlite import SqliteStore
from tests.storage.stores import GENESIS, HASH, MACHINE, VERIFIER, Scribe, checkpoint, flip, tx


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """The stores of replicas 1, 2 and 3 with five, three and six blocks of one chain."""
    paths = []
    for replica, blocks in ((1, 5), (2, 3), (3, 6)):
        path = tmp_path / f"{replica}.db"
        store = SqliteStore(path, HASH, ReplicaId(replica))
        scribe = Scribe(store)
        for _ in range(blocks):
            rows = scribe.write_block()
        store.save_vote(checkpoint(blocks, rows.block_hash, by=replica))
        store.commit()
        store.close()
        paths.append(path)
    return paths


def reports(paths: list[Path]) -> list[AuditReport]:
    return [audit_store(path, GENESIS, VERIFIER, MACHINE) for path in paths]


def test_stores_of_one_chain_agree_though_some_are_shorter(three: list[Path]) -> None:
    found = reports(three)

    assert [report.problems for report in found] == [(), (), ()]
    assert compare(found) == ()
    assert compare([]) == ()


def test_the_first_height_at_which_chains_differ_is_named(three: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "0.db"
    store = SqliteStore(path, HASH, ReplicaId(0))
    scribe = Scribe(store)
    scribe.write_block()
    for number in (1, 2, 3):
        scribe.write_block(tx(number))
    store.commit()
    store.close()

    found = reports([*three, path])
    assert [report.problems for report in found] == [(), (), (), ()]
    (problem,) = compare(found)
    assert str(problem).startswith(f"{path}: blocks, height 2: is block ")
    assert str(problem).endswith(f" in {three[0]}")
    assert problem.height == 2


def test_two_stores_of_one_replica_are_named(three: list[Path], tmp_path: Path) -> None:
    shutil.copy(three[0], tmp_path / "copy.db")

    (problem,) = compare(reports([*three, tmp_path / "copy.db"]))
    assert str(problem) == f"{tmp_path / 'copy.db'}: meta, replica: belongs to replica 1, like {three[0]}"


def test_a_damaged_block_is_not_called_different(three: list[Path]) -> None:
    flip(three[0], "blocks", "block", "height = 2", 60)

    assert compare(reports(three)) == ()
