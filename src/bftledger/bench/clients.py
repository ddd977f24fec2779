"""The clients of a benchmark: one process with many of them on the real `AsyncClient`.

Each has a key of its own. In a closed loop a client has one transaction under way: it signs one, submits it, waits for
the receipt, whose proof the client library checks, and begins again. In an open loop transactions are due at fixed
moments, whatever becomes of those before them, and the clients take turns. Started by `load`, which says on standard
input what to do:

    → {"home": …, "clients": …, …}      the job, one line of JSON
    ← {"ready": true}                   connected, and the group has answered a transaction of every client
    → {"begin": …}                      when the loops begin, in seconds of the system's monotonic clock
    → {"start": …, "end": …}            the window to measure; transactions begin until its end
    ← {"commits": …, …}                 what happened since the beginning; then the process ends

Latency is the time from before a transaction is signed (in an open loop: from the moment it was due, so that a group
that stalls is charged for every transaction it kept from starting) until its receipt is verified.
"""

import asyncio
import json
import random
import selectors
import signal
import sys
import time
from array import array
from base64 import b64decode, b64encode
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bftledger.base.crypto import Ed25519Signer
from bftledger.base.errors import BftLedgerError
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis
from bftledger.base.transaction import NONCE_BYTES, sign
from bftledger.bench import open_files, receipts
from bftledger.bench.open_files import allow_files
from bftledger.bench.payloads import make_payloads
from bftledger.client import AsyncClient, State
from bftledger.home.home import Home

LIFETIME_MS: Final = 60_000
_LAG_PERCENT: Final = 99
_FILES_PER_CLIENT: Final = 6
"""Of an `AsyncClient`, beside those to its replicas: its ZeroMQ context has five, an event loop one."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process does: its clients are `first`, `first` + 1, … of the run, on so many `connections`.

    `rate`: so many transactions per second are due, `phase` of an interval after the beginning the first of them;
    None for a closed loop. `receipts`: the file for what each receipt says (`bench.receipts`), if that is wanted.
    """

    home: str
    first: int
    clients: int
    connections: int
    size: int
    operations: int
    seed: int
    timeout_s: float
    rate: float | None
    phase: float
    receipts: str | None = None


@dataclass(kw_only=True)
class Seen:
    """What one process saw. Times in seconds on the system's monotonic clock.

    `begun`, `done`: of every committed transaction, in the order of `done`; in an open loop it begins when it is due.
    `failures`: when and how the others ended. `lag_ms`: how late the process itself began transactions that were due,
    99th percentile. `view`: the highest that a replica says it is in, at the end.
    """

    begun: "array[float]" = field(default_factory=lambda: array("d"))
    done: "array[float]" = field(default_factory=lambda: array("d"))
    failures: list[tuple[float, str]] = field(default_factory=list)
    cpu_s: float = 0.0
    first_height: int = 0
    last_height: int = 0
    lag_ms: float = 0.0
    view: int = 0

    def to_json(self) -> dict[str, Any]:
        """For `from_json`; the times as base64, for there may be millions of them."""
        times = {name: b64encode(getattr(self, name).tobytes()).decode() for name in ("begun", "done")}
        return {name: value for name, value in vars(self).items() if name not in times} | times

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "Seen":
        """What another process saw."""
        seen = cls(**said)
        seen.begun = array("d", b64decode(said["begun"]))
        seen.done = array("d", b64decode(said["done"]))
        seen.failures = [(when, how) for when, how in said["failures"]]
        return seen


@dataclass(frozen=True)
class _Member:
    connection: AsyncClient
    signer: Ed25519Signer
    chance: random.Random


class Clients:
    """All clients of this process."""

    def __init__(self, job: Job, genesis: Genesis) -> None:
        self._job = job
        self._genesis = genesis
        self._payloads = make_payloads(job.size, job.operations, random.Random(job.seed))
        self._seen = Seen()
        self._receipts = bytearray()
        self._start = self._end = float("inf")

    async def run(self, connections: list[AsyncClient]) -> Seen:
        """Works until the window is known and over, and lets every client finish."""
        members = []
        for i in range(self._job.clients):
            chance = random.Random(f"{self._job.seed}/{self._job.first + i}")
            members.append(_Member(connections[i % len(connections)], Ed25519Signer(chance.randbytes(32)), chance))
        await asyncio.gather(*(self._transact(member, time.monotonic()) for member in members))
        self._seen = Seen()
        _say({"ready": True})
        begin = (await asyncio.to_thread(_hear))["begin"]
        await asyncio.sleep(begin - time.monotonic())
        loops = (
            [self._closed_loop(member) for member in members]
            if self._job.rate is None
            else [self._open_loop(members, begin, self._job.rate)]
        )
        tasks = [asyncio.create_task(loop) for loop in loops]
        window = await asyncio.to_thread(_hear)
        self._start, self._end = window["start"], window["end"]
        await asyncio.sleep(self._start - time.monotonic())
        cpu = time.process_time()
        await asyncio.sleep(self._end - time.monotonic())
        self._seen.cpu_s = time.process_time() - cpu
        await asyncio.gather(*tasks)
        if self._job.receipts is not None:
            Path(self._job.receipts).write_bytes(self._receipts)
        self._seen.view = max((reply.view for reply in (await connections[0].status()).values() if reply), default=0)
        return self._seen

    async def _closed_loop(self, member: _Member) -> None:
        while time.monotonic() < self._end:
            retry_ms = await self._transact(member, time.monotonic())
            if retry_ms:
                await asyncio.sleep(retry_ms / 1_000)

    async def _open_loop(self, members: list[_Member], begin: float, rate: float) -> None:
        lags = array("d")
        under_way: set[asyncio.Task[int]] = set()
        number = 0
        while (due := begin + (number + self._job.phase) / rate) < self._end:
            now = time.monotonic()
            if due > now:
                # The end may become known while this sleeps: not for long.
                await asyncio.sleep(min(due - now, 0.05))
                continue
            lags.append(now - due)
            task = asyncio.create_task(self._transact(members[number % len(members)], due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
            if number % 16 == 0:
                await asyncio.sleep(0)  # whoever is behind must read answers, too
        await asyncio.gather(*under_way)
        ordered = sorted(lags)
        self._seen.lag_ms = ordered[len(ordered) * _LAG_PERCENT // 100] * 1_000 if ordered else 0.0

    async def _transact(self, member: _Member, begun: float) -> int:
        """Signs and submits one; returns after how many milliseconds to come again, if the group is busy."""
        payload = member.chance.choice(self._payloads)
        created = time.time_ns() // 1_000_000
        transaction = sign(
            member.signer,
            self._genesis.genesis_hash,
            nonce=member.chance.randbytes(NONCE_BYTES),
            created=Millis(created),
            expires=Millis(created + LIFETIME_MS),
            payload=payload,
        )
        outcome = await member.connection.submit_transaction(transaction, self._job.timeout_s)
        done = time.monotonic()
        seen = self._seen
        if not outcome.ok:
            seen.failures.append((done, outcome.state.value))
            return outcome.retry_ms if outcome.state is State.BUSY else 0
        seen.begun.append(begun)
        seen.done.append(done)
        if self._job.receipts is not None and outcome.receipt is not None:
            self._receipts += receipts.row(outcome.tx_id, outcome.receipt, begun, done)
        if self._start <= done < self._end:
            height = outcome.height or 0
            seen.first_height = min(seen.first_height or height, height)
            seen.last_height = max(seen.last_height, height)
        return 0


async def _main(job: Job) -> None:
    home = Home.open(Path(job.home))
    each = _FILES_PER_CLIENT + home.genesis.group.n * open_files.PER_CONNECTION
    allow_files(job.connections * each + open_files.OTHERS)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(AsyncClient.open(home)) for _ in range(job.connections)]
        seen = await Clients(job, home.genesis).run(connections)
        _say(seen.to_json())


def _hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("bench: whoever started these clients is gone")
    heard: dict[str, Any] = json.loads(line)
    return heard


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def job_line(job: Job) -> dict[str, Any]:
    """What `main` reads first."""
    return asdict(job)


def main() -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it, and will end it
    try:
        _run(Job(**_hear()))
    except BftLedgerError as error:
        raise SystemExit(f"bench: {error}") from None


def _run(job: Job) -> None:
    if job.rate is None:
        asyncio.run(_main(job))
        return
    # epoll wakes up by whole milliseconds, select by microseconds: what is due at a moment shall begin then.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_main(job))


if __name__ == "__main__":
    main()
