"""Clients of the shipped library on a few common keys, and what they did and saw, for the oracles.

A caller has one call under way: a transaction, or a linearizable read. What it calls follows from its number. Some
transactions are given up at once, and asked for later, as by a program that ended too early; some live for a moment
only. All times are of the one monotonic clock of the machine, in microseconds, but for those of transactions.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from bftledger.apps.kv import Entry
from bftledger.base.ids import Millis, TxId
from bftledger.base.transaction import Transaction
from bftledger.check.answers import acknowledgement, result_told, telling
from bftledger.check.durability import Acknowledgement
from bftledger.check.expiry import Expired
from bftledger.check.fates import Told
from bftledger.check.history import CAS, DELETE, GET, PUT, Operation, Read, Result
from bftledger.check.verdict import Seen
from bftledger.client import AsyncClient, NoAnswer, Outcome, State

KEPT: Final = "kept"
"""Nobody deletes this key."""

KEYS: Final = (KEPT, "common", "other")

_AT_ONCE_S: Final = 0.005
_A_MOMENT_S: Final = 0.002
_KINDS: Final = (GET, GET, GET, GET, PUT, PUT, PUT, CAS, CAS, DELETE)


@dataclass(kw_only=True)
class Calls:
    """What all callers of a group did and saw.

    `history`: in the order in which they called. `failed`: what had no answer though it was waited for.
    """

    history: list[Operation] = field(default_factory=list)
    acknowledged: list[Acknowledgement] = field(default_factory=list)
    tellings: list[Told] = field(default_factory=list)
    expired: list[Expired] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def seen(self) -> Seen:
        """For the oracles."""
        return Seen(history=self.history, acknowledged=self.acknowledged, tellings=self.tellings, expired=self.expired)

    async def until(self, count: int) -> None:
        """Waits until so many calls have begun."""
        while len(self.history) < count:
            self._ended.clear()
            await self._ended.wait()

    def begin(self, operation: Operation) -> int:
        """Notes a call; returns its number."""
        self.history.append(operation)
        self._ended.set()
        return len(self.history) - 1

    def end(self, number: int, result: Result | None, *, height: int | None = None, index: int | None = None) -> None:
        """Notes the answer to a call."""
        self.history[number] = replace(self.history[number], returned=_now(), result=result, height=height, index=index)

    def told(self, number: int, transaction: Transaction, outcome: Outcome, asked: int) -> None:
        """Notes what was said of a call's transaction; what is final answers the call."""
        operation = self.history[number]
        name, receipt = f"{operation.kind} {number} of {operation.client}", outcome.receipt
        self.tellings.append(telling(outcome, name, asked=asked, told=_now()))
        if outcome.state is State.EXPIRED:
            self.expired.append(Expired(name, transaction.expires, Millis(time.time_ns() // 1_000_000)))
        if receipt is not None:
            self.acknowledged.append(acknowledgement(receipt))
        if outcome.final and not operation.is_answered:
            place = (receipt.header.height, receipt.index) if receipt is not None else (None, None)
            self.end(number, result_told(operation.kind, outcome), height=place[0], index=place[1])


class Caller:
    """One client, with a connection of its own."""

    def __init__(self, number: int, client: AsyncClient, calls: Calls) -> None:
        self._name = f"client {number}"
        self._client = client
        self._calls = calls
        self._chance = Random(number)
        self._made = 0
        self._versions: dict[str, int] = {}
        """Of each key, as it was last seen here."""
        self._forgotten: list[tuple[int, Transaction]] = []

    async def call(self, count: int) -> None:
        """So many calls, one after the other; then it asks what became of those that it gave up."""
        for _ in range(count):
            self._made += 1
            kind, key = self._chance.choice(_KINDS), self._chance.choice(KEYS)
            if kind == GET:
                await self._read(key)
            else:
                await self._write(PUT if kind == DELETE and key == KEPT else kind, key)
        for number, transaction in self._forgotten:
            asked = _now()
            self._calls.told(number, transaction, await self._client.fate(transaction.id), asked)
        self._forgotten.clear()

    async def _read(self, key: str) -> None:
        number = self._begin(GET, key)
        try:
            reading = await self._client.query(key, read="linearizable")
        except NoAnswer as error:
            self._calls.failed.append(f"{self._calls.history[number]}: {error}")
            return
        found = None if reading.value is None else Entry.decode(reading.value)
        self._versions[key] = found.version if found else 0
        result = Read(found.value, found.version) if found else Read(None, 0)
        self._calls.end(number, result, height=reading.height)

    async def _write(self, kind: str, key: str) -> None:
        value = f"value {self._made} of {self._name}"
        version = self._versions.get(key, 0)
        words: Sequence[str] = {PUT: (value,), CAS: (str(version), value), DELETE: ()}[kind]
        how = self._chance.random()
        transaction = self._client.make_transaction(kind, key, *words, lifetime=_A_MOMENT_S if how < 0.1 else None)
        args = {PUT: (value.encode(),), CAS: (version, value.encode()), DELETE: ()}[kind]
        number = self._begin(kind, key, args, transaction.id)
        asked, gives_up = _now(), how > 0.9
        outcome = await self._client.submit_transaction(transaction, _AT_ONCE_S if gives_up else None)
        self._calls.told(number, transaction, outcome, asked)
        if not outcome.final:
            self._forgotten.append((number, transaction))
            if not gives_up:
                self._calls.failed.append(f"{self._calls.history[number]}: {outcome}")

    def _begin(self, kind: str, key: str, args: tuple[int | bytes, ...] = (), tx_id: TxId | None = None) -> int:
        operation = Operation(
            client=self._name, key=key.encode(), kind=kind, args=args, invoked=_now(), id=tx_id or b""
        )
        return self._calls.begin(operation)


def _now() -> int:
    return time.monotonic_ns() // 1_000
