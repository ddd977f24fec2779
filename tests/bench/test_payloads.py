"""What the clients of a benchmark put: of exactly the size that was asked for, and taken by the application."""

import random

import pytest

from bftledger.apps import kv_payload
from bftledger.base.ids import Digest
from bftledger.bench.payloads import BATCHES, KEYS, make_payloads, payload_bytes, transaction_bytes


@pytest.mark.parametrize("size", [16, 23, 24, 39, 40, 41, 200, 271, 272, 273, 4_096, 65_535])
def test_operation_has_exactly_so_many_bytes(size: int) -> None:
    assert payload_bytes(size, 1) == size


def test_each_operation_writes_to_a_key_of_its_own() -> None:
    said = [kv_payload.decode(payload) for payload in make_payloads(40, 1, random.Random(1))]

    assert len({one[1] for one in said if isinstance(one, tuple)}) == KEYS


def test_batch_holds_so_many_operations_of_that_size() -> None:
    payloads = make_payloads(40, 100, random.Random(1))
    said = kv_payload.decode(payloads[0])

    assert isinstance(said, list)
    assert len(said) == 100
    assert len(payloads[0]) == payload_bytes(40, 100) == pytest.approx(100 * 40, abs=10)


def test_no_two_batches_put_to_the_same_key_and_there_are_many_more_of_them_than_a_block_holds() -> None:
    """What is overwritten in its block costs this project nothing, and etcd as much as anything else."""
    batches = [kv_payload.decode(payload) for payload in make_payloads(40, 100, random.Random(1))]

    keys = [one[1] for batch in batches for one in batch if isinstance(one, tuple)]
    assert len(batches) == BATCHES
    assert len(set(keys)) == len(keys) == 100 * BATCHES


def test_payloads_follow_from_the_seed() -> None:
    assert make_payloads(40, 1, random.Random(1)) == make_payloads(40, 1, random.Random(1))


@pytest.mark.parametrize(("size", "operations"), [(3, 1), (40, 0), (40, 257)])
def test_payload_that_cannot_be_is_refused(size: int, operations: int) -> None:
    with pytest.raises(ValueError, match="there is no"):
        payload_bytes(size, operations)


def test_transaction_is_its_payload_and_an_envelope() -> None:
    assert 100 < transaction_bytes(Digest(bytes(32)), 200) - 200 < 160
