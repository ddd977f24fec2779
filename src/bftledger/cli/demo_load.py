"""The load of the demo: several clients that keep a running group busy, and the times of what they see."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bftledger.base.errors import BftLedgerError
from bftledger.base.ids import TxId
from bftledger.cli.output import NotDone
from bftledger.client import AsyncClient
from bftledger.home.home import Home
from bftledger.home.keys import new_client_key
from bftledger.ledger.outcome import State
from bftledger.ledger.receipt import Receipt

CLIENTS: Final = 8
IN_FLIGHT: Final = 8
"""Transactions that each client has under way, unless that were more than a quarter of all."""

FATE_S: Final = 30.0
"""Within this time each transaction has to be in the ledger, whoever dies meanwhile."""


@dataclass(slots=True)
class Measured:
    """What the clients saw: a time for each commit, in seconds on the monotonic clock, in order."""

    started: float = 0.0
    commits: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    receipts: dict[TxId, Receipt] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the first submission to the last commit."""
        return self.commits[-1] - self.started

    @property
    def rate(self) -> float:
        """Transactions per second."""
        return len(self.commits) / self.seconds

    def gap(self, since: float) -> float:
        """The longest time without a commit that ended after `since`."""
        times = [self.started, *self.commits]
        return max((after - before for before, after in pairwise(times) if after > since), default=0.0)

    def percentile_ms(self, percent: int) -> float:
        """Of the times from submission to verified receipt."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1] * 1_000


class Load:
    """`total` transactions from several clients, each with a key of its own, a fixed number of them in flight."""

    def __init__(self, home: Home, total: int, committed: Callable[[int], Awaitable[None]]) -> None:
        """`committed` is awaited after each commit with how many there are; the other transactions go on meanwhile."""
        self.measured: Final = Measured()
        self._total = total
        self._next = 0
        self._in_flight = max(1, min(IN_FLIGHT, total // (4 * CLIENTS)))
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._committed = committed
        names = [f"demo-{i}" for i in range(CLIENTS)]
        for name in names:
            new_client_key(home.client_keys_path, name, passphrase=None)
        self._clients: Final[Sequence[AsyncClient]] = [AsyncClient.open(home, name, timeout=FATE_S) for name in names]

    async def run(self) -> None:
        """Returns when all are committed. Raises `NotDone` if one is not."""
        async with AsyncExitStack() as stack:
            for client in self._clients:
                await stack.enter_async_context(client)
            self.measured.started = time.monotonic()
            failures: list[Exception] = []
            try:
                async with asyncio.TaskGroup() as tasks:
                    for client in self._clients:
                        for _ in range(self._in_flight):
                            tasks.create_task(self._submit_all(client))
            except* BftLedgerError as group:
                failures.extend(group.exceptions)
            if failures:
                raise failures[0]

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No new transaction begins; those under way go on."""
        self._is_open.clear()
        try:
            yield
        finally:
            self._is_open.set()

    async def _submit_all(self, client: AsyncClient) -> None:
        while await self._is_open.wait() and self._next < self._total:
            number, self._next = self._next, self._next + 1
            transaction = client.make_transaction("put", f"key-{number % 100}", f"value {number}")
            began = time.monotonic()
            outcome = await client.submit_transaction(transaction)
            while outcome.state is State.BUSY and time.monotonic() - began < FATE_S:
                await asyncio.sleep(outcome.retry_ms / 1_000)
                outcome = await client.submit_transaction(transaction)
            if outcome.receipt is None or not outcome.ok:
                raise NotDone(str(outcome))
            now = time.monotonic()
            self.measured.commits.append(now)
            self.measured.latencies.append(now - began)
            self.measured.receipts[transaction.id] = outcome.receipt
            await self._committed(len(self.measured.commits))
