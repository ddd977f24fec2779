"""Issue: "32 clients keep submitting while the primary's process gets SIGKILL, ten times over"."""

import asyncio
import time
from itertools import count

from bftledger.client import AsyncClient, Outcome
from tests.processes.group import Observer, Processes, primary_of
from tests.processes.verdict import objections, seen_of

CLIENTS = 32
KILLS = 10
PACE_S = 0.2
"""Each client's pause between two transactions: load, but not so much that the audits take longer than the test."""


class Load:
    """Clients that keep submitting until they are told to stop, and remember what was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[Outcome] = []
        self.failed: list[Outcome] = []
        self._stopping = asyncio.Event()
        self._awaited: tuple[int, asyncio.Future[float]] | None = None

    async def keep_submitting(self, client: AsyncClient, name: str) -> None:
        for number in count():
            outcome = await client.submit("put", f"{name}/{number}", "x" * 100)
            if outcome.receipt is not None and outcome.ok:
                self.acknowledged.append(outcome)
                self._notice(outcome.receipt.header.time)
            else:
                self.failed.append(outcome)
            try:
                await asyncio.wait_for(self._stopping.wait(), PACE_S)
            except TimeoutError:
                continue
            return

    async def resumed(self) -> float:
        """Seconds from now to the next acknowledgement of something that was proposed from now on."""
        start = time.monotonic()
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._awaited = (time.time_ns() // 1_000_000, future)
        return await future - start

    def stop(self) -> None:
        self._stopping.set()

    def _notice(self, proposed_ms: int) -> None:
        if self._awaited is not None and proposed_ms > self._awaited[0]:
            self._awaited[1].set_result(time.monotonic())
            self._awaited = None


def test_no_acknowledged_transaction_is_lost_or_doubled_when_primaries_are_killed(group: Processes) -> None:
    """… "every acknowledged transaction is in all four ledgers exactly once; commits resume within twice the request
    timeout (default 500 ms) plus a second"."""
    group.start()
    load = Load()
    gaps = asyncio.run(_kill_primaries(group, load))
    group.kill(*group.running)

    assert load.failed == []
    assert len(gaps) == KILLS
    assert max(gaps) <= 2 * group.home.config.protocol.request_timeout_ms / 1_000 + 1, gaps
    assert objections(group, seen_of(load.acknowledged)) == []


async def _kill_primaries(group: Processes, load: Load) -> list[float]:
    gaps = []
    async with Observer(group) as observer, asyncio.TaskGroup() as tasks:
        statuses = await observer.ready()
        for number in range(CLIENTS):
            tasks.create_task(_client(group, load, f"client-{number}"))
        await asyncio.wait_for(load.resumed(), 10)
        for _ in range(KILLS):
            primary = primary_of(statuses)
            group.kill(primary)
            gaps.append(await asyncio.wait_for(load.resumed(), 20))
            group.start(primary)
            statuses = await observer.ready()
        load.stop()
    async with Observer(group) as observer:
        await observer.settled()
    return gaps


async def _client(group: Processes, load: Load, name: str) -> None:
    async with group.client(name) as client:
        await load.keep_submitting(client, name)
