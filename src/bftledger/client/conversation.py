"""Sockets, clock and futures around `ledger.session`, which decides everything."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

from bftledger.base.ids import Millis, ReplicaId
from bftledger.ledger.asking import Asking
from bftledger.ledger.session import Action, Send, Session
from bftledger.net.dealer import ClientConnection, ReplicaAddress

A = TypeVar("A")

_FRAMES_PER_TURN: Final = 64
"""After so many frames the rest of the program has its turn."""


class Conversation:
    """Performs what a session wants, in the event loop it was opened in: one task receives, one timer looks again."""

    def __init__(self, session: Session, addresses: Mapping[ReplicaId, ReplicaAddress]) -> None:
        self._session: Final = session
        self._addresses: Final = addresses
        self._waiting: Final[dict[int, asyncio.Future[Any]]] = {}
        self._connection: ClientConnection | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._outbox: Final[list[Send]] = []
        self._flush_soon: asyncio.Handle | None = None

    def open(self) -> None:
        """Connects. Raises `OperatorError` for an address that cannot be one."""
        if self._connection is not None:
            raise RuntimeError("a client is opened once")
        self._connection = ClientConnection(self._addresses)
        self._receiver = asyncio.create_task(self._receive(self._connection))

    async def close(self) -> None:
        """Ends the connection; who still waits for an answer gets ConnectionError. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flush_soon is not None:
            self._flush_soon.cancel()
        if self._connection is not None:
            self._connection.close()
        if self._receiver is not None:
            receiver, self._receiver = self._receiver, None
            receiver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiver
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the client was closed"))

    async def ask(self, asking: Asking[A]) -> A:
        """Its answer. Raises ConnectionError if the client is closed before it is there."""
        if self._receiver is None:
            raise RuntimeError("the client is not open: use it in a `with` block, or `async with`")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[asking.request_id] = future
        try:
            self._perform(self._session.begin(asking, self._now()))
            return cast(A, await future)
        finally:
            del self._waiting[asking.request_id]
            self._session.forget(asking.request_id)

    async def _receive(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                for _ in range(_FRAMES_PER_TURN):
                    replica, frame = await connection.receive()
                    self._perform(self._session.receive(replica, frame, self._now()))
                await asyncio.sleep(0)

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._outbox.append(action)
            else:
                future = self._waiting.get(action.request_id)
                if future is not None and not future.done():
                    future.set_result(action.answer)
        if self._outbox and self._flush_soon is None:
            # What all tasks of this turn of the loop have to send goes together: ZeroMQ's thread then wakes up once.
            self._flush_soon = asyncio.get_running_loop().call_soon(self._flush)
        self._set_timer()

    def _flush(self) -> None:
        self._flush_soon = None
        connection = self._connection
        assert connection is not None, "there is nothing to send before there is a connection"
        for replica, frame in self._outbox:
            connection.send(replica, frame)
        self._outbox.clear()

    def _set_timer(self) -> None:
        due = self._session.due
        if due is None:
            return
        when = due / 1_000
        if self._timer is not None:
            if self._timer.when() <= when:
                return  # it will look again then
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._perform(self._session.tick(self._now()))

    def _now(self) -> Millis:
        return Millis(round(asyncio.get_running_loop().time() * 1_000))
