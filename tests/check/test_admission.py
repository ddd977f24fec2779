"""What a block may hold is judged without those who execute: they let everything pass here."""

import pytest

from bftledger.base import transaction as transactions
from bftledger.base.crypto import tagged_hash
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest
from bftledger.base.transaction import Transaction
from bftledger.check.admission import Admission
from bftledger.ledger.block import Block
from bftledger.ledger.executor import Executor
from tests.ledger.ledger_world import ALICE, BOB, GENESIS, START, VERIFIER, World, a_genesis

TIME = START + 10_000


@pytest.fixture(autouse=True)
def _whoever_executes_lets_all_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executor, "_refusal", lambda executor, transaction, time: None)


def block_of(world: World, *held: Transaction) -> Block:
    return world.execute(*held, time=TIME).block


def objections(*blocks: Block, genesis: Genesis = GENESIS) -> list[str]:
    admission = Admission(genesis, VERIFIER)
    return [objection for block in blocks for objection in admission.objections(block)]


def test_what_is_at_the_limits_is_admitted() -> None:
    world = World(a_genesis(members=[ALICE.public_key]))
    expires_now = world.transaction(created=TIME - 500, lifetime=500)
    just_in_time = world.transaction(created=TIME + GENESIS.max_skew_ms)
    lives_longest = world.transaction(created=TIME, lifetime=GENESIS.max_lifetime_ms)
    longest = world.transaction(created=TIME, payload=bytes(GENESIS.max_payload_bytes))
    block = block_of(world, expires_now, just_in_time, lives_longest, longest)

    assert block.header.count == 4
    assert objections(block, genesis=world.genesis) == []


@pytest.mark.parametrize(
    ("created", "lifetime", "size", "what"),
    [
        (TIME - 500, 499, 1, "which had expired 1 ms before"),
        (TIME + GENESIS.max_skew_ms + 1, 1_000, 1, "created 10001 ms after it, where the genesis allows 10000"),
        (TIME, GENESIS.max_lifetime_ms + 1, 1, "which lives 300001 ms, where the genesis allows 300000"),
        (TIME, 1_000, GENESIS.max_payload_bytes + 1, "with 65537 bytes, where the genesis allows 65536"),
    ],
)
def test_what_exceeds_a_limit_is_found(created: int, lifetime: int, size: int, what: str) -> None:
    world = World()
    wrong = world.transaction(created=created, lifetime=lifetime, payload=bytes(size))
    (found,) = objections(block_of(world, world.transaction(), wrong))

    assert found == f"block 1 holds {wrong.id.hex()[:16]}…, {what}"


def test_a_stranger_is_found_where_the_genesis_lists_members() -> None:
    world = World(a_genesis(members=[ALICE.public_key]))
    (found,) = objections(block_of(world, world.transaction(), world.transaction(by=BOB)), genesis=world.genesis)

    assert found.endswith("whose sender is no member")


def test_what_is_there_again_is_found_in_one_block_and_in_two() -> None:
    world = World()
    world.executor._contains = lambda ids: set()
    twice = world.transaction()
    first, second = block_of(world, twice), block_of(world, twice)

    assert objections(first, second) == [f"blocks 1 and 2 both hold {twice.id.hex()[:16]}…"]


def test_a_signature_that_does_not_cover_all_fields_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all programs sign and verify so, which none of them would notice."""

    def without_expiry(genesis_hash: Digest, sender: bytes, nonce: bytes, created: int, _: int, data: bytes) -> Digest:
        return tagged_hash("transaction", genesis_hash, sender + nonce + created.to_bytes(6, "big") + data)

    monkeypatch.setattr(transactions, "_digest", without_expiry)
    world = World()
    (found,) = objections(block_of(world, world.transaction()))

    assert found.endswith("badly signed")


def test_bytes_that_are_no_transaction_are_found() -> None:
    world = World()
    block = block_of(world, world.transaction())
    forged = Block(header=block.header, transactions=(b"\x80", b"\xff"), results=block.results)

    assert objections(forged) == ["block 1 holds bytes that are no transaction"] * 2
