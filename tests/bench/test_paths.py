"""The paths that `bench/check.py` guards do what they say: what one backup of a real group did, once more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.errors import BadSignature
from bftledger.bench.paths import RECORDED, pieces
from bftledger.bench.recorded import Recording, record
from bftledger.bench.yardsticks import yardsticks
from bftledger.ledger import client_wire
from bftledger.pbft import wire
from bftledger.pbft.events import Delivered
from bftledger.storage.sqlite import SqliteStore

NAMES = ["step", "decode", "verify", "execute", "store", "encode", "sign", "simulator", "replica"]
BLOCKS = 7


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(RECORDED)


def outcome(name: str, recording: Recording, directory: Path) -> Any:
    """What the path says that it did."""
    (found,) = [one for one in pieces(recording, directory) if one.name == name]
    with found.ready() as work:
        return work()


def test_all_paths_are_there(recording: Recording, tmp_path: Path) -> None:
    assert [one.name for one in pieces(recording, tmp_path)] == NAMES
    assert {like for one in pieces(recording, tmp_path) for like in one.like} == set(yardsticks(tmp_path))


def test_recording_is_the_same_again(recording: Recording) -> None:
    again = record(RECORDED)

    assert again.frames == recording.frames
    assert again.votes == recording.votes
    assert len(recording.proposals) == BLOCKS


def test_step_has_the_effects_that_it_had(recording: Recording, tmp_path: Path) -> None:
    found = outcome("step", recording, tmp_path)

    def kinds(results: list[Any]) -> list[Any]:
        return [[type(effect) for effect in one] if isinstance(one, tuple) else one for one in results]

    assert kinds(found) == kinds([call.result for call in recording.core])
    assert len([call for call in recording.core if call.name == "step"]) > 5 * BLOCKS


def test_decode_gives_the_messages_of_all_frames(recording: Recording, tmp_path: Path) -> None:
    found = outcome("decode", recording, tmp_path)
    count = len(recording.frames)

    assert [wire.encode(message) for message in found[:count]] == recording.frames
    assert [client_wire.encode(message) for message in found[count:]] == recording.submitted


def test_verify_gives_them_too_and_lets_no_forged_one_pass(recording: Recording, tmp_path: Path) -> None:
    genesis_hash = recording.genesis.genesis_hash
    assert outcome("verify", recording, tmp_path) == [wire.decode(frame, genesis_hash) for frame in recording.frames]

    *good, last = recording.frames
    forged = last[:-1] + bytes([last[-1] ^ 1])
    with pytest.raises(BadSignature):
        outcome("verify", replace(recording, frames=[*good, forged]), tmp_path)


def test_execute_makes_the_blocks_that_were_made(recording: Recording, tmp_path: Path) -> None:
    found = outcome("execute", recording, tmp_path)
    events = [call.arguments[0] for call in recording.core if call.name == "step"]

    assert [one.block.hash for one in found] == [event.block_hash for event in events if isinstance(event, Delivered)]
    assert len(found) == BLOCKS
    assert all(len(one.transactions) == RECORDED.batch for one in found)


def test_store_makes_all_of_it_durable(recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = 0
    commit = SqliteStore.commit

    def counted(self: SqliteStore) -> None:
        nonlocal commits
        commits += 1
        commit(self)

    monkeypatch.setattr(SqliteStore, "commit", counted)

    assert outcome("store", recording, tmp_path) == BLOCKS
    assert commits == sum(call.name == "commit" for call in recording.store) >= 2 * BLOCKS
    assert list(tmp_path.iterdir()) == []


def test_encode_gives_the_bytes_that_were_kept(recording: Recording, tmp_path: Path) -> None:
    frames, made = outcome("encode", recording, tmp_path)
    genesis_hash = recording.genesis.genesis_hash

    assert [wire.encode(wire.decode(frame, genesis_hash)) for frame in frames] == frames
    assert len(frames) == len(recording.votes)
    assert made == recording.proposals


def test_sign_gives_the_signatures_that_were_given(recording: Recording, tmp_path: Path) -> None:
    found = outcome("sign", recording, tmp_path)

    assert {vote.replica for vote in found} == {1}
    assert {type(vote).__name__ for vote in found} == {"Prepare", "Commit", "Checkpoint"}
    assert all(vote in recording.votes for vote in found)


def test_simulator_commits_every_operation_and_no_oracle_objects(recording: Recording, tmp_path: Path) -> None:
    report = outcome("simulator", recording, tmp_path)

    assert report.ok
    assert len([call for call in report.calls if call.returned is not None]) == 20


def test_replica_commits_a_batch(recording: Recording, tmp_path: Path) -> None:
    assert outcome("replica", recording, tmp_path) == 2
    assert list(tmp_path.iterdir()) == []
