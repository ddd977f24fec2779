"""What the rounds of `scale_host` do not measure themselves, measured beforehand: transport, and waiting for a disk.

The transport is the replicas' own (`net.zmq`, CURVE over TCP on loopback). What a frame costs is taken from what
replicas do most: each of several sends a small frame to all others and takes in theirs.
"""

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.net.curve import TransportKey
from bftledger.net.zmq import ZmqTransport

_MEMBERS: Final = 4
_SLICES: Final = 5
_STEPS: Final = 40
_SMALL: Final = 200
_LARGE: Final = 32 * 1024
_PATIENCE_S: Final = 10.0
_LOOK_MS: Final = 5
_ROW_BYTES: Final = 1_024
_COMMITS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What is charged to whoever sends a frame, and again to whoever takes it in; and what a durable commit waits.

    `frame_us`, `kib_us`: microseconds of processor time for a frame, and for each KiB of it. `disk_us`: time in which
    a replica waits and its core is free.
    """

    frame_us: float
    kib_us: float
    disk_us: float

    @classmethod
    def measure(cls, directory: Path, *, disk_us: float | None = None) -> "Costs":
        """Takes about a second; stores are in `directory`. `disk_us`: that instead of what is measured."""
        frame_us, kib_us = transport_us()
        wait = disk_wait_us(directory) if disk_us is None else disk_us
        return cls(frame_us=round(frame_us, 2), kib_us=round(kib_us, 3), disk_us=round(wait, 1))

    def transport_us(self, frames: int, size: int) -> float:
        """For so many frames of so many bytes together, at one of their two ends."""
        return self.frame_us * frames + self.kib_us * size / 1_024

    def document(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def transport_us() -> tuple[float, float]:
    """Processor time of all threads: for a small frame, and for each KiB of a long one, at one end of it.

    The least of a few slices. Sender and receiver are in this one process, so each is charged with half.
    """
    with _transports() as members:
        small = min(_us_per_frame(members, bytes(_SMALL), _STEPS) for _ in range(_SLICES))
        large = min(_us_per_frame(members, bytes(_LARGE), _STEPS // 4) for _ in range(_SLICES))
    return small / 2, max(0.0, large - small) / 2 / ((_LARGE - _SMALL) / 1_024)


@contextlib.contextmanager
def _transports() -> Iterator[Sequence[ZmqTransport]]:
    """All connected to all."""
    keys = {ReplicaId(i): TransportKey.generate() for i in range(_MEMBERS)}
    with contextlib.ExitStack() as stack:
        members = []
        for i, key in keys.items():
            peers = {j: other.public for j, other in keys.items() if j != i}
            loopback = "tcp://127.0.0.1:*"
            transport = ZmqTransport(key=key, peers=peers, peer_bind=loopback, client_bind=loopback)
            members.append(stack.enter_context(transport))
        for i in keys:
            for j in keys:
                if i != j:
                    members[i].connect(j, members[j].peer_endpoint)
        yield members


def _us_per_frame(members: Sequence[ZmqTransport], frame: bytes, steps: int) -> float:
    _exchange(members, frame)  # the first one waits for the handshakes
    begun = time.process_time_ns()
    for _ in range(steps):
        _exchange(members, frame)
    return (time.process_time_ns() - begun) / 1_000 / steps / (len(members) * (len(members) - 1))


def _exchange(members: Sequence[ZmqTransport], frame: bytes) -> None:
    """Each sends the frame to all others; returns when all have theirs. Raises `OperatorError` if they never come."""
    deadline = time.monotonic() + _PATIENCE_S
    unsent = [(i, ReplicaId(j)) for i in range(len(members)) for j in range(len(members)) if i != j]
    missing = [len(members) - 1] * len(members)
    while any(missing):
        unsent = [(i, j) for i, j in unsent if not members[i].send_peer(j, frame)]  # refused until it is connected
        for i, member in enumerate(members):
            if missing[i]:
                member.wait(_LOOK_MS)
                missing[i] -= len(member.drain())
        if time.monotonic() > deadline:
            raise OperatorError("the transport could not be measured: its frames do not arrive on loopback")


def disk_wait_us(directory: Path) -> float:
    """How long a durable commit of SQLite waits without using a core: the median of some small ones."""
    waits = []
    with (
        tempfile.TemporaryDirectory(prefix="calibration-", dir=directory) as temporary,
        contextlib.closing(sqlite3.connect(Path(temporary, "wait.db"), isolation_level=None)) as db,
    ):
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE row (value BLOB)")
        for _ in range(_COMMITS):
            begun, used = time.perf_counter_ns(), time.process_time_ns()
            db.execute("BEGIN")
            db.execute("INSERT INTO row VALUES (?)", (bytes(_ROW_BYTES),))
            db.execute("COMMIT")
            waits.append((time.perf_counter_ns() - begun) - (time.process_time_ns() - used))
    return max(0.0, sorted(waits)[len(waits) // 2] / 1_000)
