"""A chain is what it says: each planted fault is found at its height, and what follows is not believed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bftledger.apps.load import load_machine
from bftledger.base.ids import Digest, Millis, Seq
from bftledger.check.integrity import Integrity, check_chain
from bftledger.check.violation import Violation
from bftledger.ledger.block import Block
from bftledger.ledger.executor import Executor
from bftledger.ledger.merkle import root
from bftledger.pbft.messages import CheckpointCertificate
from tests.ledger.ledger_world import GENESIS, START, VERIFIER, World, a_world_of, certify

WORLD = a_world_of(6)
BLOCKS = [executed.block for executed in WORLD.done[1:]]


def check(
    blocks: Sequence[Block | bytes], certificates: dict[Seq, CheckpointCertificate] | None = None
) -> list[Violation]:
    encoded = [block.encoded if isinstance(block, Block) else block for block in blocks]
    machine = load_machine(GENESIS.app, GENESIS.app_params)
    return check_chain("the chain", encoded, GENESIS, machine, VERIFIER, certificates)


def test_a_chain_with_its_certificates_is_sound() -> None:
    certificates = {block.height: certify(block.header) for block in BLOCKS[:4]}

    assert check(BLOCKS, certificates) == []
    assert check([]) == []


@pytest.mark.parametrize("field", ["previous", "state_root", "history_root", "group_digest", "genesis_hash"])
def test_a_header_that_names_something_else_is_found_at_its_height(field: str) -> None:
    block = BLOCKS[2]
    named: dict[str, Any] = {field: Digest(b"\1" * 32)}
    forged = Block(
        header=replace(block.header, **named),
        transactions=block.transactions,
        results=block.results,
    )

    (found,) = check([*BLOCKS[:2], forged, *BLOCKS[3:]])
    assert found.height == 3
    assert str(found).startswith("integrity: at the chain: ")


def test_another_result_than_executing_gives_is_found() -> None:
    block = BLOCKS[1]
    results = (block.results[1], block.results[0], block.results[2][:-1] + b"\7")
    forged = Block(
        header=replace(block.header, results_root=root(results)), transactions=block.transactions, results=results
    )

    (found,) = check([BLOCKS[0], forged])
    assert found.height == 2


def test_a_missing_and_a_repeated_block_are_found() -> None:
    assert [found.height for found in check([*BLOCKS[:2], *BLOCKS[3:]])] == [3]
    assert [found.height for found in check([*BLOCKS[:2], *BLOCKS[1:]])] == [3]


def test_bytes_that_are_no_block_are_found() -> None:
    assert [found.height for found in check([BLOCKS[0], b"\0"])] == [2]


def test_a_certificate_of_another_block_is_found() -> None:
    certificates = {Seq(2): certify(BLOCKS[2].header)}

    (found,) = check(BLOCKS, certificates)
    assert found.height == 2
    assert "certificate" in found.text


def test_a_transaction_that_its_sender_did_not_sign_is_found() -> None:
    world = World()
    transaction = world.transaction()
    forged = bytes(transaction.encoded[:-1]) + bytes([transaction.encoded[-1] ^ 1])
    block = world.execute(transaction, time=START).block
    block = Block(
        header=replace(block.header, transactions_root=root([forged])), transactions=(forged,), results=block.results
    )

    (found,) = check([block])
    assert found.height == 1
    assert "badly signed" in found.text


def test_a_transaction_that_is_there_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where whoever executes does not notice, because its index of known ids is broken."""
    world = World()
    monkeypatch.setattr(world.executor, "_contains", lambda ids: set(), raising=True)
    twice = world.transaction()
    blocks = [world.execute(twice, time=START + height).block for height in (1, 2)]
    assert [block.header.count for block in blocks] == [1, 1]

    (found,) = check(blocks)
    assert found.height == 2
    blind = Executor.__init__

    def without_index(executor: Executor, *args: object) -> None:
        blind(executor, *args)  # type: ignore[arg-type]  # as they came
        executor._contains = lambda ids: set()

    monkeypatch.setattr(Executor, "__init__", without_index)
    (found,) = check(blocks)
    assert found.text.startswith("at the chain: blocks 1 and 2 both hold ")


def test_nothing_after_the_first_fault_is_looked_at() -> None:
    integrity = Integrity("it", GENESIS, load_machine("kv", {}), VERIFIER)

    assert integrity.add(BLOCKS[0].encoded) == []
    assert len(integrity.add(b"nonsense")) == 1
    assert integrity.add(b"nonsense") == []
    assert integrity.add(BLOCKS[1].encoded) == []
    assert integrity.height == 1


def test_time_must_grow() -> None:
    block = BLOCKS[2]
    forged = Block(
        header=replace(block.header, time=Millis(START)), transactions=block.transactions, results=block.results
    )

    assert [found.height for found in check([*BLOCKS[:2], forged])] == [3]
