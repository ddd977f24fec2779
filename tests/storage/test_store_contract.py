"""What every store promises, checked on the one in a file and the one in memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from bftledger.base.errors import StoreError
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.pbft import wire
from bftledger.pbft.memory import SPAN
from bftledger.pbft.proposals import make_proposal
from bftledger.storage.memory import MemoryStore
from bftledger.storage.recall import recall_evidence, recall_recent, recall_votes
from bftledger.storage.sqlite import SqliteStore
from bftledger.storage.store import KINDS, BlockRows, Place, Store, Vote
from tests.storage.stores import (
    DOOR,
    GENESIS,
    HASH,
    ME,
    START,
    VERIFIER,
    Scribe,
    against,
    certificate,
    checkpoint,
    commit,
    decision,
    fill,
    new_view,
    pre_prepare,
    prepare,
    prepared,
    proposal,
    tx,
    view_change,
)


class Medium(Protocol):
    """Something that stores outlive crashes on."""

    def restart(self) -> Store:
        """The store as a process finds it that starts after another one crashed."""
        ...


class InAFile:
    def __init__(self, directory: Path) -> None:
        self._path = directory / "ledger.db"
        self._store: SqliteStore | None = None

    def restart(self) -> Store:
        if self._store is not None:
            self._store.close()
        self._store = SqliteStore(self._path, HASH, ME)
        return self._store


class InMemory:
    def __init__(self, _: Path) -> None:
        self._store = MemoryStore()

    def restart(self) -> Store:
        self._store.crash()
        return self._store


@pytest.fixture(params=[InAFile, InMemory], ids=["sqlite", "memory"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Medium]:
    medium: Medium = request.param(tmp_path)
    yield medium
    medium.restart().close()


@pytest.fixture
def store(medium: Medium) -> Store:
    return medium.restart()


EVERY_KIND: list[Vote] = [
    view_change(1, prepared(1)),
    new_view(1),
    pre_prepare(1),
    prepare(1),
    prepared(1),
    commit(1),
    checkpoint(1),
]


def by_slot(votes: list[Vote]) -> list[Vote]:
    return sorted(votes, key=lambda vote: (getattr(vote, "seq", 0), KINDS[type(vote)]))


# ── rounds ──


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.height() == 0
    assert list(store.votes()) == []
    assert store.block(Seq(1)) is None
    assert store.newest_certificate() is None
    assert store.next_certified(Seq(0)) is None
    assert list(store.state_rows()) == []


def test_what_was_committed_outlasts_a_crash(medium: Medium) -> None:
    store = medium.restart()
    rows = Scribe(store).write_block()
    store.save_vote(prepare(2))
    store.commit()

    store = medium.restart()

    assert store.height() == 1
    assert store.block(Seq(1)) == rows.block
    assert store.certificate(Seq(1)) == certificate(1, rows.block_hash)
    assert recall_votes(store, DOOR) == [prepare(2)]


def test_what_was_not_committed_is_gone_after_a_crash_all_of_it(medium: Medium) -> None:
    store = medium.restart()
    scribe = fill(store)
    before = everything(store)
    scribe.write_block(tx(1), tx(2, "delete key0"))
    store.save_vote(pre_prepare(8))
    store.save_vote(view_change(9))
    store.discard_votes(Seq(6))

    store = medium.restart()

    assert everything(store) == before


def test_reads_see_the_round_under_way(store: Store) -> None:
    rows = Scribe(store).write_block(tx(1))
    store.save_vote(commit(2))

    assert store.height() == 1
    assert store.headers(Seq(1), Seq(1)) == [rows.header]
    assert store.contains([tx(1).id]) == {tx(1).id}
    assert recall_votes(store, DOOR) == [commit(2)]


def test_a_round_without_saves_is_committed_at_no_cost(store: Store) -> None:
    store.commit()
    store.commit()

    assert store.height() == 0


def test_a_closed_store_accepts_nothing(store: Store) -> None:
    store.save_vote(prepare(1))
    store.close()
    store.close()

    refused: list[Callable[[], object]] = [
        lambda: store.save_vote(prepare(2)),
        store.commit,
        store.height,
        lambda: list(store.votes()),
    ]
    for act in refused:
        with pytest.raises(StoreError, match="is closed"):
            act()


# ── votes ──


def test_every_kind_of_vote_comes_back_authentic(medium: Medium) -> None:
    store = medium.restart()
    for vote in EVERY_KIND:
        store.save_vote(vote)
    store.commit()

    found = recall_votes(medium.restart(), DOOR)

    assert by_slot(found) == by_slot(EVERY_KIND)
    assert {type(vote) for vote in found[:2]} == {type(view_change(1)), type(new_view(1))}


def test_a_vote_takes_the_place_of_the_one_in_its_slot(store: Store) -> None:
    other = make_proposal(Millis(START), ())
    store.save_vote(pre_prepare(1))
    store.save_vote(pre_prepare(1, of=other))
    store.save_vote(pre_prepare(1, view=4, of=other))

    assert recall_votes(store, DOOR) == [pre_prepare(1, of=other), pre_prepare(1, view=4, of=other)]


def test_a_proposal_is_kept_once_for_all_views(store: Store) -> None:
    again = pre_prepare(1, view=1)
    without = replace(again, proposal=None)
    store.save_vote(pre_prepare(1))
    store.save_vote(without)

    assert recall_votes(store, DOOR) == [pre_prepare(1), again]


def test_a_pre_prepare_whose_proposal_is_not_known_comes_back_without(store: Store) -> None:
    again = pre_prepare(1, view=1)
    without = replace(again, proposal=None)
    store.save_vote(without)

    assert recall_votes(store, DOOR) == [without]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (prepared(1, view=0), prepared(1, view=2)),
        (view_change(1), view_change(3)),
        (new_view(1), new_view(2)),
    ],
    ids=["prepared", "view-change", "new-view"],
)
def test_of_some_kinds_only_the_newest_view_is_kept(store: Store, older: Vote, newer: Vote) -> None:
    for vote in (older, newer, older):
        store.save_vote(vote)

    assert recall_votes(store, DOOR) == [newer]


def test_discarding_forgets_votes_and_proposals_up_to_a_number_but_no_view(medium: Medium) -> None:
    store = medium.restart()
    for seq in (1, 2, 3):
        store.save_vote(pre_prepare(seq))
        store.save_vote(prepared(seq))
        store.save_vote(checkpoint(seq))
    store.save_vote(view_change(1))
    store.save_vote(new_view(1))
    store.commit()

    store.discard_votes(Seq(2))
    store.commit()

    found = recall_votes(medium.restart(), DOOR)
    assert by_slot(found) == by_slot([new_view(1), view_change(1), pre_prepare(3), prepared(3), checkpoint(3)])


def test_a_new_view_forgets_what_was_promised_in_earlier_ones(medium: Medium) -> None:
    store = medium.restart()
    votes: list[Vote] = [pre_prepare(1), prepare(1), commit(1), checkpoint(1), pre_prepare(2), view_change(1)]
    for vote in votes:
        store.save_vote(vote)
    store.save_vote(new_view(1))
    again = pre_prepare(2, view=1)
    store.save_vote(again)
    store.commit()

    found = recall_votes(medium.restart(), DOOR)

    assert by_slot(found) == by_slot([new_view(1), view_change(1), checkpoint(1), again])


def test_a_view_change_forgets_nothing_for_its_view_may_never_begin(store: Store) -> None:
    votes: list[Vote] = [pre_prepare(1), prepare(1), commit(1)]
    for vote in (*votes, view_change(1), view_change(2)):
        store.save_vote(vote)

    assert by_slot(recall_votes(store, DOOR)) == by_slot([view_change(2), *votes])


def test_what_is_prepared_is_kept_with_its_proposal_however_many_views_begin(medium: Medium) -> None:
    """§4.4: the next VIEW-CHANGE names it, and whoever names a proposal must have it."""
    store = medium.restart()
    other = make_proposal(Millis(START), ())
    for vote in (pre_prepare(1), prepare(1), prepared(1), commit(1)):
        store.save_vote(vote)
    for view in (1, 2, 3):
        store.save_vote(new_view(view))
        store.save_vote(pre_prepare(1, view=view, of=other))
    store.commit()

    found = recall_votes(medium.restart(), DOOR)

    assert by_slot(found) == by_slot([new_view(3), prepared(1), pre_prepare(1), pre_prepare(1, view=3, of=other)])


def test_a_late_new_view_of_an_earlier_view_forgets_nothing(store: Store) -> None:
    for vote in (new_view(3), pre_prepare(1, view=3), new_view(2)):
        store.save_vote(vote)

    assert recall_votes(store, DOOR) == [new_view(3), pre_prepare(1, view=3)]


def test_a_proposal_that_a_kept_pre_prepare_names_too_is_kept(store: Store) -> None:
    again = pre_prepare(1, view=1)
    for vote in (pre_prepare(1), prepared(1), new_view(1), again, prepared(1, view=1), new_view(2)):
        store.save_vote(vote)

    assert recall_votes(store, DOOR) == [new_view(2), again, prepared(1, view=1)]


# ── evidence ──


def test_evidence_is_kept_once_for_each_replica_and_rule(medium: Medium) -> None:
    store = medium.restart()
    first, other = against(3), against(1)
    store.save_evidence(first)
    store.save_evidence(against(3, seq=5))
    store.save_evidence(other)
    store.commit()

    assert recall_evidence(medium.restart(), GENESIS.group, VERIFIER) == [other, first]


def test_evidence_outlasts_what_it_is_about(medium: Medium) -> None:
    store = medium.restart()
    store.save_evidence(against(3))
    store.discard_votes(Seq(9))
    store.commit()

    assert recall_evidence(medium.restart(), GENESIS.group, VERIFIER) == [against(3)]


def test_what_decided_the_newest_blocks_is_kept_also_when_their_votes_are_discarded(medium: Medium) -> None:
    store = medium.restart()
    rows = Scribe(store).write_block()
    store.save_decision(Seq(1), decision(1))
    store.discard_votes(Seq(1))
    store.commit()

    store = medium.restart()
    (recent,) = recall_recent(store, DOOR, 10)
    assert recent == (1, rows.block_hash, certificate(1, rows.block_hash), decision(1))
    store.save_decision(Seq(SPAN), decision(SPAN))
    assert store.decision(Seq(1)) is not None
    store.save_decision(Seq(SPAN + 1), decision(SPAN + 1))
    assert store.decision(Seq(1)) is None
    assert store.decision(Seq(SPAN)) == wire.encode(decision(SPAN))


def test_what_decided_a_block_is_refused_if_it_is_anything_else(store: Store) -> None:
    Scribe(store).write_block()
    store.save_decision(Seq(1), decision(2))

    with pytest.raises(StoreError, match="decisions, height 1: is not made of COMMITs for that height"):
        recall_recent(store, DOOR, 10)


def test_a_round_can_be_abandoned_and_another_one_begun(medium: Medium) -> None:
    store = medium.restart()
    scribe = fill(store)
    before = everything(store)
    scribe.write_block(tx(1))
    store.save_vote(view_change(9))
    store.abandon()
    assert everything(store) == before
    store.save_evidence(against(1))
    store.commit()

    assert recall_evidence(medium.restart(), GENESIS.group, VERIFIER) == [against(1), against(3)]


# ── blocks ──


@pytest.fixture
def chain(store: Store) -> list[BlockRows]:
    """Five blocks in the store, certified but the second."""
    scribe = Scribe(store)
    return [scribe.write_block(is_certified=height != 2) for height in range(1, 6)]


def test_blocks_are_found_by_height(store: Store, chain: list[BlockRows]) -> None:
    assert store.height() == 5
    for rows in chain:
        assert store.block(rows.height) == rows.block
        assert store.block_hash(rows.height) == rows.block_hash
    assert store.block(Seq(6)) is None
    assert store.block_hash(Seq(0)) is None


def test_blocks_come_in_runs_bounded_by_count_and_bytes(store: Store, chain: list[BlockRows]) -> None:
    encoded = [rows.block for rows in chain]

    assert store.blocks(Seq(2), 3, 1 << 20) == encoded[1:4]
    assert store.blocks(Seq(4), 100, 1 << 20) == encoded[3:]
    assert store.blocks(Seq(1), 5, len(encoded[0]) + len(encoded[1])) == encoded[:2]
    assert store.blocks(Seq(3), 5, 1) == encoded[2:3]
    assert store.blocks(Seq(6), 5, 1 << 20) == []
    assert store.blocks(Seq(0), 5, 1 << 20) == []


def test_headers_come_in_runs(store: Store, chain: list[BlockRows]) -> None:
    headers = [rows.header for rows in chain]

    assert store.headers(Seq(2), Seq(4)) == headers[1:4]
    assert store.headers(Seq(5), Seq(9)) == headers[4:]
    assert store.headers(Seq(3), Seq(2)) == []


def test_certificates_are_found_at_and_above_a_height(store: Store, chain: list[BlockRows]) -> None:
    assert store.certificate(Seq(2)) is None
    assert store.next_certified(Seq(2)) == 3
    assert store.next_certified(Seq(3)) == 3
    assert store.next_certified(Seq(6)) is None
    assert store.last_certified(Seq(0)) is None
    assert store.last_certified(Seq(3)) == 3
    assert store.last_certified(Seq(9)) == 5
    assert store.last_certified(Seq(2)) == 1
    assert store.newest_certificate() == certificate(5, chain[4].block_hash)


def test_transactions_are_found_by_id(store: Store, chain: list[BlockRows]) -> None:
    ids = [tx_id for rows in chain for tx_id in rows.tx_ids]
    unknown = [TxId(bytes([i]) * 32) for i in range(100)]

    assert store.contains([*unknown, *ids]) == set(ids)
    assert store.locate([ids[3]]) == {ids[3]: Place(Seq(2), 1)}
    assert store.locate([]) == {}


def test_history_nodes_are_found_by_level_and_position(store: Store, chain: list[BlockRows]) -> None:
    for rows in chain:
        for level, position, node in rows.history:
            assert store.history_node(level, position) == node
    with pytest.raises(StoreError, match="history, level 9, position 9: is missing"):
        store.history_node(9, 9)


def test_the_state_is_what_the_blocks_left_of_it(store: Store, chain: list[BlockRows]) -> None:
    expected: dict[bytes, bytes | None] = {}
    for rows in chain:
        expected |= rows.state
    assert list(store.state_rows()) == sorted(expected.items())
    assert {key: store.state_row(key) for key in expected} == expected
    assert store.state_row(b"nobody wrote this") is None


def test_a_deleted_row_of_the_state_is_gone(store: Store) -> None:
    scribe = Scribe(store)
    scribe.write_block(tx(1, "put here 1"), tx(2, "put there 2"))
    scribe.write_block(tx(3, "delete here"))

    assert [key for key, _ in store.state_rows()] == [b"there"]
    assert store.state_row(b"here") is None


def test_blocks_are_appended_in_order(store: Store, chain: list[BlockRows]) -> None:
    with pytest.raises(AssertionError):
        store.save_block(chain[2])


def everything(store: Store) -> list[object]:
    """All that a store answers."""
    ids = [transaction.id for seq in range(1, 9) for transaction in proposal(seq).transactions]
    return [
        list(store.votes()),
        store.height(),
        store.blocks(Seq(1), 100, 1 << 30),
        store.headers(Seq(1), Seq(100)),
        [store.certificate(Seq(height)) for height in range(10)],
        store.locate(ids),
        list(store.state_rows()),
        list(store.evidence()),
    ]
