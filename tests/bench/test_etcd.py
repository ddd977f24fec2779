"""etcd as one of the systems of `bench/compare.py`: what its clients send, and what goes wrong.

Neither etcd nor grpcio is needed here: nobody answers, or a shell script stands in the place of etcd.
"""

import asyncio
import io
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bftledger.apps import kv_payload
from bftledger.base.errors import OperatorError
from bftledger.bench import etcd_clients
from bftledger.bench.etcd import BatchedEtcd, Etcd
from bftledger.bench.measured import Load
from bftledger.bench.payloads import make_payloads
from bftledger.bench.protobuf import put_request, txn_request, varint

# ── protobuf ──


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (150, "9601"), (300, "ac02"), (1 << 32, "8080808010")],
)
def test_varint_has_seven_bits_to_a_byte_the_lowest_first(number: int, encoded: str) -> None:
    assert varint(number).hex() == encoded


@pytest.mark.parametrize(
    ("key", "value", "encoded"),
    [
        (b"k", b"v", "0a016b 120176"),
        (b"key", b"", "0a036b6579"),
        (bytes(8), b"\xff" * 200, "0a08" + 8 * "00" + "12c801" + 200 * "ff"),
    ],
)
def test_put_request_is_key_and_value(key: bytes, value: bytes, encoded: str) -> None:
    assert put_request(key, value) == bytes.fromhex(encoded)


def test_etcd_is_asked_to_put_the_very_keys_and_values_that_ours_puts() -> None:
    ours = [kv_payload.decode(payload) for payload in make_payloads(216, 1, random.Random(1))]
    theirs = etcd_clients.requests(216, 1, seed=1)

    assert theirs == [put_request(one[1], one[3]) for one in ours if isinstance(one, tuple)]
    assert {len(one) for one in theirs} == {2 + 8 + 3 + 200}
    assert len(set(theirs)) == len(ours)


def test_txn_request_is_its_puts_in_the_branch_that_is_taken_when_nothing_is_compared() -> None:
    put = put_request(b"k", b"v")  # 0a016b120176

    assert txn_request([put, put]) == bytes.fromhex("12081206 0a016b120176" * 2)


def test_etcd_is_asked_for_the_very_transactions_that_ours_makes_and_no_key_is_in_one_twice() -> None:
    """etcd refuses a transaction that puts to a key twice."""
    batches = [kv_payload.decode(payload) for payload in make_payloads(40, 100, random.Random(1))]
    theirs = etcd_clients.requests(40, 100, seed=1)

    ours = [[(one[1], one[3]) for one in batch if isinstance(one, tuple)] for batch in batches]
    assert theirs == [txn_request(put_request(key, value) for key, value in batch) for batch in ours]
    assert all(len({key for key, _ in batch}) == 100 for batch in ours)


# ── nodes and clients ──


def in_its_place(directory: Path, script: str) -> Path:
    """A directory to be PATH with an `etcd` that is this shell script."""
    directory.joinpath("etcd").write_text(f"#!/bin/sh\n{script}\n")
    directory.joinpath("etcd").chmod(0o755)
    return directory


def test_etcd_without_its_binary_or_grpcio_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bftledger.bench.etcd.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Etcd().missing() == "etcd is not installed: there is none on PATH"

    in_its_place(tmp_path, "exit 1")
    assert Etcd().missing() == "its clients need grpcio: pip install 'bftledger[compare]'"


def test_batched_etcd_is_the_same_nodes_and_takes_no_more_operations_than_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bftledger.bench.etcd.find_spec", lambda _: object())
    monkeypatch.setenv("PATH", str(in_its_place(tmp_path, "exit 1")))
    loads: list[Load] = []
    etcd = Etcd()
    monkeypatch.setattr(etcd, "run_load", loads.append)

    batched = BatchedEtcd(etcd, 128)
    batched.run_load(Load(clients=3, seconds=1.0))

    assert batched.missing() is None
    assert [(load.clients, load.operations) for load in loads] == [(3, 128)]
    assert batched.name == "etcd, 128 operations in a Txn"
    assert BatchedEtcd(etcd, 129).missing() == "etcd takes 128 operations in a transaction at most"


def test_node_that_ends_is_an_error_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(in_its_place(tmp_path, "echo first; echo no such flag >&2; exit 3")))
    etcd = Etcd()
    with pytest.raises(OperatorError, match=r"etcd node \d ended with status 3: no such flag"):
        etcd.start(tmp_path / "data")
    etcd.stop()


def test_clients_of_etcd_count_what_was_put_and_what_was_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.monotonic()
    window = {"begin": now, "start": now + 0.05, "end": now + 0.15}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(window) + "\n"))
    sent: list[bytes] = []

    async def put(request: bytes, timeout_s: float) -> str | None:
        sent.append(request)
        await asyncio.sleep(0.001)
        return "unavailable: no leader" if len(sent) % 5 == 0 else None

    job = etcd_clients.Job(address="", clients=3, size=216, operations=1, seed=1, timeout_s=1.0)
    seen = asyncio.run(etcd_clients.work(job, put))

    assert capsys.readouterr().out == '{"ready": true}\n'
    assert len(seen.done) + len(seen.failures) == len(sent) - 3  # those before the beginning do not count
    assert {how for _, how in seen.failures} == {"unavailable: no leader"}
    assert set(sent) <= set(etcd_clients.requests(216, 1, seed=1))
    assert list(seen.done) == sorted(seen.done)


def test_etcd_that_takes_no_put_ends_its_clients() -> None:
    async def put(request: bytes, timeout_s: float) -> str | None:
        return "unavailable: no leader"

    job = etcd_clients.Job(address="", clients=1, size=216, operations=1, seed=1, timeout_s=1.0)
    with pytest.raises(SystemExit, match="etcd does not take a put: unavailable"):
        asyncio.run(etcd_clients.work(job, put))


def test_tied_program_ends_with_whoever_started_it() -> None:
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'bftledger.bench.tied', *sys.argv[1:]])"
    command = [sys.executable, "-c", starts, "sh", "-c", "echo up; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        starter.kill()
        begun = time.monotonic()

        assert starter.stdout.read() == b""  # nobody has this pipe open any more
        assert time.monotonic() - begun < 30
