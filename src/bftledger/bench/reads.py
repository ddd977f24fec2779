"""How long single reads take, one after the other, of a group that has nothing else to do."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Any, Final

from bftledger.base.ids import TxId
from bftledger.bench.keyed_clients import key
from bftledger.bench.ledgers import Counted, transaction_ids
from bftledger.client import AsyncClient
from bftledger.home.home import Home

OLD: Final = 0.1
"""An old transaction is in this share of the blocks, counted from the beginning."""


def measure_reads(home: Home, counted: Counted, *, keys: int, times: int, chance: random.Random) -> dict[str, Any]:
    """For a row of `results`, medians of so many, each read verified by the client.

    `get_ms`: what the state says of one of `keys` keys, with its proof. `receipt_ms`: that of an old transaction.
    Raises `BftLedgerError`.
    """
    gets = [key(chance.randrange(keys)) for _ in range(times)]
    receipts = [_old_transaction(counted, chance) for _ in range(times)]
    return asyncio.run(_measure(home, gets, receipts))


def _old_transaction(counted: Counted, chance: random.Random) -> TxId:
    """One that is there; blocks without any are passed over."""
    while True:
        found = transaction_ids(counted.path, chance.randint(1, max(1, int(counted.height * OLD))))
        if found:
            return chance.choice(found)


async def _measure(home: Home, gets: list[bytes], receipts: list[TxId]) -> dict[str, Any]:
    async with AsyncClient.open(home) as client:
        await client.status()  # connected to all of them, whoever is asked
        return {
            "get_ms": await _median_ms(client.query, gets),
            "receipt_ms": await _median_ms(client.receipt, receipts),
        }


async def _median_ms(read: Callable[[Any], Awaitable[object]], wanted: Sequence[bytes]) -> float:
    took = []
    for one in wanted:
        begun = time.perf_counter()
        await read(one)
        took.append((time.perf_counter() - begun) * 1_000)
    return round(median(took), 3)
