"""How fast this machine is at the three things that a replica does all the time, by one core and without our code.

Results from two machines, or from one on two days, are compared by their ratio to these.
"""

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import zmq
from nacl import bindings

from bftledger.bench.machine import cores
from bftledger.net.curve import TransportKey

SLICE_VARIABLE: Final = "BFTLEDGER_BENCH_SLICE_S"
"""The environment's word for how long each slice is, in seconds, for tests: nobody relies on what they measure."""

_SLICES: Final = 5
_SLICE_S: Final = 0.1
_ROW_BYTES: Final = 1_024
_PING_BYTES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The best of a few slices of time each."""

    ed25519_verifications_per_s: float
    """Of a 32-byte digest, through PyNaCl."""
    store_commits_per_s: float
    """SQLite transactions of one row of 1 KiB, WAL and synchronous=FULL, on the file system that is measured."""
    zeromq_round_trip_us: float
    """200 bytes there and back over TCP on loopback with CURVE, from one thread."""

    @classmethod
    def measure(cls, directory: Path) -> "Calibration":
        """Takes about two seconds; `directory` is where the store is tried."""
        return cls(
            ed25519_verifications_per_s=round(verifications_per_s(), 1),
            store_commits_per_s=round(store_commits_per_s(directory), 1),
            zeromq_round_trip_us=round(zeromq_round_trip_us(), 1),
        )

    def ceiling_tx_per_s(self, replicas: int) -> float:
        """What replicas that share this machine's cores cannot pass: each verifies each transaction's signature."""
        return cores() * self.ed25519_verifications_per_s / replicas

    def document(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def verifications_per_s() -> float:
    """Ed25519 verifications of a 32-byte digest through PyNaCl, by one core."""
    public, secret = bindings.crypto_sign_seed_keypair(bytes(32))
    signed = bindings.crypto_sign(bytes(range(32)), secret)
    return _best_rate(lambda: bindings.crypto_sign_open(signed, public))


def store_commits_per_s(directory: Path) -> float:
    """Durable commits of a small row, one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="calibration-", dir=directory) as temporary,
        contextlib.closing(sqlite3.connect(Path(temporary, "calibration.db"), isolation_level=None)) as db,
    ):
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE row (value BLOB)")

        def commit() -> None:
            db.execute("BEGIN")
            db.execute("INSERT INTO row VALUES (?)", (bytes(_ROW_BYTES),))
            db.execute("COMMIT")

        return _best_rate(commit)


def zeromq_round_trip_us() -> float:
    """Between two sockets of this process: what library and kernel cost, without another process's scheduling."""
    key = TransportKey.generate()
    with zmq.Context() as context, context.socket(zmq.PAIR) as server, context.socket(zmq.PAIR) as client:
        for socket in (server, client):
            socket.linger = 0
        server.curve_server = True
        server.curve_secretkey = key.secret
        client.curve_serverkey = key.public
        own = TransportKey.generate()
        client.curve_publickey, client.curve_secretkey = own.public, own.secret
        client.connect(f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://127.0.0.1')}")
        ping = bytes(_PING_BYTES)

        def round_trip() -> None:
            client.send(ping)
            server.send(server.recv())
            client.recv()

        round_trip()  # the first one waits for the handshake
        return 1e6 / _best_rate(round_trip)


def _best_rate(act: Callable[[], object]) -> float:
    rates = []
    slice_s = float(os.environ.get(SLICE_VARIABLE, _SLICE_S))
    for _ in range(_SLICES):
        count, begun = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begun) < slice_s:
            act()
            count += 1
        rates.append(count / elapsed)
    return max(rates)
