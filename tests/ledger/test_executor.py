"""Execution is deterministic, leaves out what may not be in the ledger, and can be done again by anyone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftledger.apps.kv import KeyValue
from bftledger.apps.machine import (
    CONFLICT,
    DEFECT,
    INADMISSIBLE,
    MALFORMED,
    MAX_RESULT_BYTES,
    NOT_FOUND,
    RESULT_TOO_LARGE,
    Context,
    Rejected,
    Result,
)
from bftledger.apps.state import AuthenticatedMap
from bftledger.base.errors import BadProof, Malformed, StoreError
from bftledger.base.ids import Digest, Millis, Seq
from bftledger.base.transaction import Transaction
from bftledger.ledger import merkle
from bftledger.ledger.block import MAX_BLOCK_BYTES, MAX_HEADER_BYTES, MAX_RESULTS_BYTES, Block, Header
from bftledger.ledger.executor import NO_ROOM, Dropped, Executor
from bftledger.ledger.history import History
from bftledger.ledger.receipt import MAX_CERTIFICATE_BYTES
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.proposals import MAX_PROPOSAL_BYTES, make_proposal
from bftledger.pbft.settings import MAX_BATCH_COUNT
from tests.ledger.ledger_world import ALICE, BOB, GENESIS, START, World, a_genesis, a_world_of


def test_genesis_block_follows_from_the_genesis_alone() -> None:
    header = World().done[0].block.header

    assert header == World().done[0].block.header
    assert (header.height, header.time, header.count) == (0, GENESIS.created, 0)
    assert header.transactions_root == header.results_root == header.history_root == merkle.EMPTY_ROOT
    assert header.hash != World(a_genesis(created=Millis(1))).done[0].block.hash


def test_block_holds_the_transactions_in_order_with_their_results() -> None:
    world = World()
    good, stale = world.transaction("cas color 0 blue"), world.transaction("cas color 0 red", by=BOB)
    executed = world.execute(good, stale, time=START + 5)

    assert executed.block.transactions == (good.encoded, stale.encoded)
    assert [result.code for result in executed.results] == [0, CONFLICT]
    assert executed.ids == (good.id, stale.id)
    assert executed.changes.keys() == {b"color"}
    assert executed.dropped == {}


def test_header_commits_to_everything() -> None:
    world = a_world_of(3)
    block, header = world.done[3].block, world.done[3].block.header

    assert header.previous == world.done[2].block.hash
    assert header.transactions_root == merkle.root(block.transactions)
    assert header.results_root == merkle.root(block.results)
    assert header.state_root == world.state.root()
    assert header.history_root == merkle.root([done.block.hash for done in world.done[:3]])
    assert header.group_digest == GENESIS.group_digest


def test_block_time_is_the_proposals_or_just_after_the_previous_block() -> None:
    world = World()

    assert world.execute(time=START + 500).block.header.time == START + 500
    assert world.execute(time=START).block.header.time == START + 501
    assert world.execute(time=0).block.header.time == START + 502, "a null request has time 0"


def test_what_may_not_be_in_the_ledger_is_left_out() -> None:
    world, now = World(), START + 100_000
    before = world.transaction(created=now)
    world.execute(before, time=now)
    expired = world.transaction(created=now - 1_000, lifetime=900)
    early = world.transaction(created=now + GENESIS.max_skew_ms + 2)
    long = world.transaction(created=now, lifetime=GENESIS.max_lifetime_ms + 1)
    large = world.transaction(created=now, payload=bytes(GENESIS.max_payload_bytes + 1))
    kept = world.transaction(created=now)
    executed = world.execute(before, expired, early, long, large, kept, kept, time=now + 1)

    assert executed.transactions == (kept,)
    assert executed.dropped == {
        before.id: Dropped.DUPLICATE,
        expired.id: Dropped.EXPIRED,
        early.id: Dropped.EARLY,
        long.id: Dropped.INADMISSIBLE,
        large.id: Dropped.INADMISSIBLE,
        kept.id: Dropped.DUPLICATE,
    }


def test_limits_of_time_are_inclusive() -> None:
    world, now = World(), START + 100_000
    last = world.transaction(created=now - 60_000, lifetime=60_000)
    first = world.transaction(created=now + GENESIS.max_skew_ms, lifetime=GENESIS.max_lifetime_ms)

    assert world.execute(last, first, time=now).dropped == {}


def test_sender_who_is_no_member_is_left_out_even_if_the_primary_proposes_him() -> None:
    world = World(a_genesis(members=[ALICE.public_key]))
    stranger, member = world.transaction(by=BOB), world.transaction(by=ALICE)

    assert world.execute(stranger, member).dropped == {stranger.id: Dropped.INADMISSIBLE}
    world.executor.admissible(member, START)
    with pytest.raises(Rejected, match="not a member"):
        world.executor.admissible(stranger, START)


def test_door_refuses_what_no_block_would_hold() -> None:
    world, admissible = World(), World().executor.admissible
    refused = {
        world.transaction(created=START - 60_001): INADMISSIBLE,
        world.transaction(created=START + GENESIS.max_skew_ms + 1): INADMISSIBLE,
        world.transaction(lifetime=GENESIS.max_lifetime_ms + 1): INADMISSIBLE,
        world.transaction(payload=bytes(GENESIS.max_payload_bytes + 1)): INADMISSIBLE,
        world.transaction(payload=b"nonsense"): MALFORMED,
    }
    admissible(world.transaction(), START)
    for transaction, code in refused.items():
        with pytest.raises(Rejected) as raised:
            admissible(transaction, START)
        assert raised.value.code == code


def test_replica_that_replays_ends_where_the_one_that_executed_ended() -> None:
    first, second = a_world_of(20), World()
    for executed in first.done[1:]:
        assert second.replay(executed) == executed

    assert second.executor.tip == first.executor.tip
    assert second.state.root() == first.state.root()
    assert second.nodes == first.nodes


def test_replay_refuses_a_changed_header_and_changes_nothing() -> None:
    world, other = a_world_of(3), a_world_of(2)
    block, root = world.done[3].block, other.state.root()
    for name in Header.__dataclass_fields__:
        value = getattr(block.header, name)
        # Any later time makes a block of its own: only the certificate says which one was agreed on.
        wrong_value = value - 10 if name == "time" else value + 1 if isinstance(value, int) else Digest(bytes(32))
        changes: dict[str, Any] = {name: wrong_value}
        wrong = replace(block.header, **changes)
        with pytest.raises(BadProof):
            other.executor.replay(Block(header=wrong, transactions=block.transactions, results=block.results))
        assert (other.state.root(), other.history.size, other.executor.tip.height) == (root, 3, 2)

    assert other.executor.replay(block).block.hash == block.hash


def test_replay_refuses_what_should_have_been_left_out() -> None:
    world = a_world_of(1)
    honest = world.execute(world.transaction(), time=START + 100)
    other = a_world_of(1)
    other.ids.add(honest.ids[0])

    with pytest.raises(BadProof, match="already in the ledger"):
        other.executor.replay(honest.block)


@given(st.binary(max_size=60))
def test_hostile_transaction_in_a_block_is_a_bad_proof(data: bytes) -> None:
    world = World()
    block = world.execute(time=START + 1).block
    header = replace(block.header, count=1, transactions_root=merkle.root([data]))

    with pytest.raises(BadProof):
        World().executor.replay(Block(header=header, transactions=(data,), results=(b"",)))


class Faulty(KeyValue):
    """Fails in ways that it does not declare."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__({})

    def apply(self, transaction: Transaction, context: Context) -> bytes:
        super().apply(transaction, context)
        operation = self.show(transaction.payload)
        if operation.startswith("put long"):
            return bytes(5_000)
        if operation.startswith("put color"):
            raise KeyError("color")
        if operation.startswith("put late"):
            raise Rejected(CONFLICT, "too late")
        return b""


def test_application_that_fails_rejects_the_transaction_and_spares_the_group() -> None:
    world = World()
    world.executor.machine = Faulty({})
    executed = world.execute(
        *[world.transaction(words) for words in ("put color blue", "put long x", "put late x", "put fine x")]
    )

    assert [result.code for result in executed.results] == [DEFECT, DEFECT, CONFLICT, 0]
    assert executed.results[0].reason == "the application failed with KeyError"
    assert executed.changes.keys() == {b"fine"}


def test_a_store_that_fails_is_no_fault_of_a_transaction() -> None:
    """Another replica's store does not fail: the block would be another one."""
    world = World()
    world.execute(world.transaction("put color blue"))
    lost = AuthenticatedMap(world.state.items(), stored=lambda key: None)
    executor = Executor(GENESIS, world.machine, lost, lambda ids: set(), world.history, world.executor.tip)

    with pytest.raises(StoreError):
        executor.execute(make_proposal(START, (world.transaction("put color red"),)))


class Wordy(KeyValue):
    """Says as much as it may, both when it takes a transaction and when it does not."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__({})

    def apply(self, transaction: Transaction, context: Context) -> bytes:
        super().apply(transaction, context)
        if self.show(transaction.payload).startswith("put no"):
            raise Rejected(CONFLICT, "\N{PILE OF POO}" * 1_000)
        return bytes(MAX_RESULT_BYTES)


@pytest.mark.parametrize("word", ["yes", "no"])
def test_results_beyond_what_a_block_may_have_become_short_ones_without_effect(word: str) -> None:
    world, other = World(), World()
    world.executor.machine = other.executor.machine = Wordy({})
    executed = world.execute(*[world.transaction(f"put {word}{i} x") for i in range(4_000)])
    fitting = [data for data, result in zip(executed.block.results, executed.results, strict=True) if result != NO_ROOM]

    assert MAX_RESULTS_BYTES - MAX_RESULT_BYTES - 16 < sum(map(len, fitting)) <= MAX_RESULTS_BYTES
    assert {result.code for result in executed.results[len(fitting) :]} == {RESULT_TOO_LARGE}
    assert len(executed.changes) == sum(result.ok for result in executed.results) < 4_000
    assert other.replay(executed).block == executed.block


def test_a_short_result_still_has_room_after_one_that_had_none() -> None:
    """The rule looks at each by itself: what is refused takes nothing from those that come later."""
    world = World()
    world.executor.machine = Wordy({})
    count = MAX_RESULTS_BYTES // len(Result(0, bytes(MAX_RESULT_BYTES)).encode())
    transactions = [world.transaction(f"put yes{i} x") for i in range(count + 1)]
    executed = world.execute(*transactions, world.transaction("delete nothing"))

    assert [result.code for result in executed.results[-2:]] == [RESULT_TOO_LARGE, NOT_FOUND]


def test_the_largest_block_fits_a_frame_with_what_proves_it() -> None:
    """The bounds of proposals and results, the longest words of refusal, and the heads of all byte strings."""
    heads = 5 * 2 * (MAX_BATCH_COUNT + 2)
    longest = (
        MAX_PROPOSAL_BYTES + MAX_RESULTS_BYTES + MAX_BATCH_COUNT * len(NO_ROOM.encode()) + MAX_HEADER_BYTES + heads
    )

    assert longest <= MAX_BLOCK_BYTES
    assert MAX_BLOCK_BYTES + MAX_CERTIFICATE_BYTES + 512 * 1024 <= MAX_FRAME_BYTES


def test_executor_refuses_a_state_that_is_not_its_tips() -> None:
    world = a_world_of(2)
    tip = world.executor.tip
    for state, history in ((AuthenticatedMap(), world.history), (world.state, History.empty())):
        with pytest.raises(BadProof, match="does not belong to block 2"):
            Executor(GENESIS, world.machine, state, world.ids.intersection, history, tip)


DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
HEADERS = st.builds(
    Header,
    version=st.just(1),
    genesis_hash=DIGESTS,
    height=st.integers(0, 2**63 - 1).map(Seq),
    previous=DIGESTS,
    time=st.integers(0, 2**48 - 1).map(Millis),
    count=st.integers(0, 4_096),
    transactions_root=DIGESTS,
    results_root=DIGESTS,
    state_root=DIGESTS,
    history_root=DIGESTS,
    group_digest=DIGESTS,
)


@given(HEADERS)
def test_header_comes_back_as_it_was(header: Header) -> None:
    assert Header.decode(header.encoded) == header


def test_block_comes_back_as_it_was() -> None:
    block = a_world_of(2).done[2].block

    assert Block.decode(block.encoded) == block
    assert Block.decode(block.encoded).hash == block.hash


def test_every_flipped_byte_of_a_block_changes_its_hash_or_is_malformed() -> None:
    """What the header does not commit to has no place in a block."""
    block = a_world_of(1).done[1].block
    for at in range(len(block.encoded)):
        flipped = block.encoded[:at] + bytes([block.encoded[at] ^ 1]) + block.encoded[at + 1 :]
        try:
            assert Block.decode(flipped).hash != block.hash
        except Malformed:
            continue


@given(st.binary(max_size=300))
def test_hostile_block_or_header_is_malformed(data: bytes) -> None:
    for decode in (Block.decode, Header.decode):
        with pytest.raises(Malformed):
            decode(data)
