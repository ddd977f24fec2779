"""The client for programs without an event loop: `AsyncClient` on a loop in a thread of its own.

Any number of the program's threads may use one `Client`; their questions are under way at the same time.
"""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Signer
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.client.client import AsyncClient
from bftledger.client.reader import (
    DEFAULT_PATIENCE_S,
    DEFAULT_STATUS_TIMEOUT_S,
    DEFAULT_TIMEOUT_S,
    Read,
    Reading,
)
from bftledger.home.home import Home
from bftledger.ledger.block import Block, Header
from bftledger.ledger.client_messages import StatusReply
from bftledger.ledger.outcome import Outcome
from bftledger.ledger.receipt import Receipt

A = TypeVar("A")


class Client:
    """As `AsyncClient`, whose methods say what they do; each waits here for its answer."""

    def __init__(
        self,
        genesis: Genesis,
        addresses: Sequence[str],
        signer: Signer | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        patience: float = DEFAULT_PATIENCE_S,
        machine: StateMachine | None = None,
    ) -> None:
        self._hold(AsyncClient(genesis, addresses, signer, timeout=timeout, patience=patience, machine=machine))

    @classmethod
    def open(
        cls,
        home: Home | Path | str,
        key: str | None = None,
        *,
        passphrase: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """A client of the group whose home is this directory; `key` names the client key that signs."""
        client = cls.__new__(cls)
        client._hold(AsyncClient.open(home, key, passphrase=passphrase, timeout=timeout))
        return client

    def _hold(self, client: AsyncClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("a client is opened once")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bftledger-client", daemon=True)
        self._thread.start()
        try:
            self._wait(self._client.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection and the thread; who still waits gets ConnectionError. May be called twice."""
        with self._lock:
            loop, self._loop = self._loop, None  # from here on nothing more is put on it
        if loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    @property
    def genesis(self) -> Genesis:
        """The group's."""
        return self._client.genesis

    @property
    def machine(self) -> StateMachine:
        """The group's application."""
        return self._client.machine

    def submit(self, *what: bytes | str, timeout: float | None = None, lifetime: float | None = None) -> Outcome:
        """Signs a transaction, submits it and waits for what becomes of it."""
        return self._wait(self._client.submit(*what, timeout=timeout, lifetime=lifetime))

    def submit_transaction(self, transaction: Transaction, timeout: float | None = None) -> Outcome:
        """Submits this transaction and waits for what becomes of it."""
        return self._wait(self._client.submit_transaction(transaction, timeout))

    def make_transaction(self, *what: bytes | str, lifetime: float | None = None) -> Transaction:
        """A signed transaction, not yet submitted."""
        return self._client.make_transaction(*what, lifetime=lifetime)

    def fate(self, tx_id: TxId, timeout: float | None = None) -> Outcome:
        """What became of a transaction."""
        return self._wait(self._client.fate(tx_id, timeout))

    def receipt(self, tx_id: TxId, timeout: float | None = None) -> Receipt:
        """The receipt of a transaction that is in the ledger, verified. Raises `NotFound`."""
        return self._wait(self._client.receipt(tx_id, timeout))

    def query(
        self, *what: bytes | str, read: Read = "certified", minimum: int = 0, timeout: float | None = None
    ) -> Reading:
        """What the state says, at height `minimum` or later."""
        return self._wait(self._client.query(*what, read=read, minimum=minimum, timeout=timeout))

    def show(self, reading: Reading) -> dict[str, Any]:
        """A reading in the application's terms."""
        return self._client.show(reading)

    def height(self, minimum: int = 0, timeout: float | None = None) -> Seq:
        """The highest certified height that a quorum knows."""
        return self._wait(self._client.height(minimum, timeout))

    def block(self, height: int, timeout: float | None = None) -> Block:
        """A block, with proof. Raises `NotFound`."""
        return self._wait(self._client.block(height, timeout))

    def blocks(self, count: int = 10, timeout: float | None = None) -> tuple[Header, ...]:
        """The headers of one replica's newest blocks, the newest first."""
        return self._wait(self._client.blocks(count, timeout))

    def status(self, timeout: float = DEFAULT_STATUS_TIMEOUT_S) -> dict[ReplicaId, StatusReply | None]:
        """How each replica says it is, None for the silent ones."""
        return self._wait(self._client.status(timeout))

    async def _end(self) -> None:
        await self._client.close()
        # What `close` failed may still have to run its course, or its waiters would wait for a loop that is gone.
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _wait(self, coroutine: Coroutine[Any, Any, A]) -> A:
        with self._lock:
            if self._loop is None:
                coroutine.close()
                raise RuntimeError("the client is not open: use it in a `with` block")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt: nobody waits any more
            raise
