"""The clients of a benchmark: one process with many closed-loop clients on the real `AsyncClient`.

A client has a key of its own and one transaction under way: it signs one, submits it, waits for the receipt, whose
proof the client library checks, and begins again. Started by `load`, which says on standard input what to do:

    → {"home": …, "clients": …, …}      the job, one line of JSON
    ← {"ready": true}                   connected, and the group has answered a transaction of every client
    → {"start": …, "end": …}            the window to measure, in seconds of the system's monotonic clock
    ← {"latencies_ms": [...], …}        what happened in it; then the process ends

Latency is the time from before a transaction is signed until its receipt is verified. A transaction belongs to the
window in which its receipt came.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bftledger.base import cbor
from bftledger.base.crypto import Ed25519Signer
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis
from bftledger.base.transaction import NONCE_BYTES, sign
from bftledger.client import AsyncClient
from bftledger.home.home import Home

LIFETIME_MS = 60_000
PAYLOADS = 4_096
"""So many different ones are made beforehand, each of a key of its own; clients draw from them."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process does: its clients are `first`, `first` + 1, … of the run, on so many `connections`."""

    home: str
    first: int
    clients: int
    connections: int
    size: int
    seed: int
    timeout_s: float


@dataclass(kw_only=True)
class Window:
    """What one process saw between `start` and `end`; `total` and `failed` count from its beginning.

    `view`: the highest that a replica says it is in, at the end.
    """

    latencies_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    first_height: int = 0
    last_height: int = 0
    view: int = 0
    total: int = 0
    failed: dict[str, int] = field(default_factory=dict)


def make_payloads(size: int, count: int, chance: random.Random) -> list[bytes]:
    """Operations of the key-value application of exactly `size` bytes each: CBOR ["put", key, value].

    Raises ValueError if no operation is so short.
    """
    for key_bytes in (8, 9):  # where the head of the value grows by a byte, one size is not met
        for value_bytes in range(max(0, size - key_bytes - 16), size):
            if len(_put(bytes(key_bytes), bytes(value_bytes))) == size:
                return [_put(i.to_bytes(key_bytes, "big"), chance.randbytes(value_bytes)) for i in range(count)]
    raise ValueError(f"there is no put of {size} bytes: use 16 or more")


def _put(key: bytes, value: bytes) -> bytes:
    return cbor.encode(["put", key, value])


class Clients:
    """All clients of this process."""

    def __init__(self, job: Job, genesis: Genesis) -> None:
        self._job = job
        self._genesis = genesis
        self._payloads = make_payloads(job.size, PAYLOADS, random.Random(job.seed))
        self._window = Window()
        self._failed: Counter[str] = Counter()
        self._start = self._end = float("inf")
        self._is_measured = False

    async def run(self, connections: list[AsyncClient]) -> Window:
        """Warms up until the window is known, measures it, and lets every client finish."""
        chances = [random.Random(f"{self._job.seed}/{self._job.first + i}") for i in range(self._job.clients)]
        signers = [Ed25519Signer(chance.randbytes(32)) for chance in chances]
        members = [
            (connections[i % len(connections)], signer, chance)
            for i, (signer, chance) in enumerate(zip(signers, chances, strict=True))
        ]
        await asyncio.gather(*(self._transact(*member) for member in members))
        _say({"ready": True})
        loops = [asyncio.create_task(self._loop(*member)) for member in members]
        window = await asyncio.to_thread(_hear)
        self._start, self._end = window["start"], window["end"]
        await asyncio.sleep(self._start - time.monotonic())
        cpu = time.process_time()
        await asyncio.sleep(self._end - time.monotonic())
        self._window.cpu_s = time.process_time() - cpu
        await asyncio.gather(*loops)
        self._window.failed = dict(self._failed)
        self._window.view = max((reply.view for reply in (await connections[0].status()).values() if reply), default=0)
        return self._window

    async def _loop(self, connection: AsyncClient, signer: Ed25519Signer, chance: random.Random) -> None:
        while time.monotonic() < self._end:
            await self._transact(connection, signer, chance)

    async def _transact(self, connection: AsyncClient, signer: Ed25519Signer, chance: random.Random) -> None:
        payload = chance.choice(self._payloads)
        begun = time.monotonic()
        created = time.time_ns() // 1_000_000
        transaction = sign(
            signer,
            self._genesis.genesis_hash,
            nonce=chance.randbytes(NONCE_BYTES),
            created=Millis(created),
            expires=Millis(created + LIFETIME_MS),
            payload=payload,
        )
        outcome = await connection.submit_transaction(transaction, self._job.timeout_s)
        done = time.monotonic()
        if not outcome.ok:
            self._failed[outcome.state.value] += 1
            return
        window = self._window
        window.total += 1
        if self._start <= done < self._end:
            window.latencies_ms.append((done - begun) * 1_000)
            height = outcome.height or 0
            window.first_height = min(window.first_height or height, height)
            window.last_height = max(window.last_height, height)


async def _main(job: Job) -> None:
    home = Home.open(Path(job.home))
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(AsyncClient.open(home)) for _ in range(job.connections)]
        window = await Clients(job, home.genesis).run(connections)
        _say(asdict(window))


def _hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("bench: whoever started these clients is gone")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(Job(**_hear())))
