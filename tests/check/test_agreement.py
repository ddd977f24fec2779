"""One chain for all: a fork is found at its first height, in whatever order it comes to light."""

from itertools import permutations
from random import Random

import pytest

from bftledger.base.ids import Digest, ReplicaId
from bftledger.check.agreement import Agreement, compare_chains, first_difference
from tests.builders import block_hash

ROOT, OTHER_ROOT = block_hash("state"), block_hash("another state")
ZERO, ONE, TWO = ReplicaId(0), ReplicaId(1), ReplicaId(2)


def test_replicas_with_the_same_blocks_agree() -> None:
    agreement = Agreement()

    for height in range(1, 50):
        for who in (ZERO, ONE, TWO, ONE):
            assert agreement.add(who, height, block_hash(height), ROOT) == []
    assert agreement.violations() == []
    assert agreement.fork is None


def test_two_blocks_at_one_height_are_found_at_once_and_who_holds_which() -> None:
    agreement = Agreement()
    agreement.add(ZERO, 5, block_hash("a"), ROOT)
    agreement.add(ONE, 5, block_hash("a"), ROOT)

    (found,) = agreement.add(TWO, 5, block_hash("b"), ROOT)
    a, b = block_hash("a").hex()[:16], block_hash("b").hex()[:16]
    assert str(found) == f"agreement: block 5 is {a}… at replica 0, replica 1, but {b}… at replica 2"
    assert found.height == 5
    assert found.replicas == (0, 1, 2)


def test_two_states_after_one_block_are_a_fork_too() -> None:
    agreement = Agreement()
    agreement.add(ZERO, 1, block_hash("a"), ROOT)

    (found,) = agreement.add(ONE, 1, block_hash("a"), OTHER_ROOT)
    assert f"with state {ROOT.hex()[:16]}… at replica 0" in found.text
    assert f"with state {OTHER_ROOT.hex()[:16]}… at replica 1" in found.text


def test_a_replica_that_makes_another_block_after_its_restart_forks_from_itself() -> None:
    agreement = Agreement()
    agreement.add(ZERO, 1, block_hash("a"), ROOT)

    assert len(agreement.add(ZERO, 1, block_hash("b"), ROOT)) == 1


def test_only_the_first_height_of_a_fork_is_told_in_whatever_order_it_is_seen() -> None:
    blocks = [(who, height, block_hash(f"{who} {height}")) for who in (ZERO, ONE) for height in (3, 4)]
    for order in permutations(blocks):
        agreement = Agreement()
        told = [found for who, height, made in order for found in agreement.add(who, height, made, ROOT)]

        (final,) = agreement.violations()
        assert final.height == 3
        assert told[-1].height == 3
        assert len(told) <= 2


def test_what_follows_a_fork_is_not_told_again() -> None:
    agreement = Agreement()
    for height in range(1, 9):
        agreement.add(ZERO, height, block_hash(height), ROOT)
    told = [agreement.add(ONE, height, block_hash(f"not {height}"), ROOT) for height in range(1, 9)]

    assert [len(found) for found in told] == [1, 0, 0, 0, 0, 0, 0, 0]


# ── whole chains ──


def chain(*names: str) -> list[Digest | None]:
    return [None if name == "?" else block_hash(name) for name in names]


def test_chains_of_which_some_are_shorter_or_damaged_agree() -> None:
    chains = {"a": chain("0", "1", "2", "3"), "b": chain("0", "1"), "c": chain("0", "?", "2"), "d": chain()}

    assert compare_chains(chains) == []
    assert compare_chains({}) == []


def test_the_first_height_at_which_chains_part_is_found() -> None:
    chains = {"a": chain("0", "1", "2", "3"), "b": chain("0", "1"), "c": chain("0", "1", "x", "y")}

    (found,) = compare_chains(chains)
    assert found.height == 2
    assert found.holders == ("a", "c")
    fork = first_difference(chains)
    assert fork is not None
    assert [(made.block_hash, holders) for made, holders in fork.versions] == [
        (block_hash("2"), ("a",)),
        (block_hash("x"), ("c",)),
    ]


def test_chains_of_different_groups_part_at_block_0() -> None:
    (found,) = compare_chains({"a": chain("0", "1"), "b": chain("x", "1")})

    assert found.height == 0


@pytest.mark.parametrize("seed", range(20))
def test_one_changed_block_among_thousands_is_found(seed: int) -> None:
    chance = Random(seed)
    chains = {str(i): chain(*map(str, range(2_000))) for i in range(4)}
    height = chance.randrange(2_000)
    chains[str(chance.randrange(4))][height] = block_hash("wrong")

    (found,) = compare_chains(chains)
    assert found.height == height
