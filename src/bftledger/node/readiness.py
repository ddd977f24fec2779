"""Waiting for the replicas of this host to be ready, whoever asks them how they are."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.ledger.client_messages import StatusReply
from bftledger.node.supervisor import Supervisor

READY_S: Final = 30.0
POLL_S: Final = 0.05

Statuses = Mapping[ReplicaId, StatusReply | None]
"""How each replica says it is; None for one that says nothing."""


async def wait_until_ready(ask: Callable[[], Awaitable[Statuses]], supervisor: Supervisor) -> Statuses:
    """Returns when every replica of the supervisor answers and is in a view. `ask`: a client's `status`.

    Raises `OperatorError`: with a replica's last words if one has ended, or that some do not get ready in 30 s.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_S
    while True:
        supervisor.check_started()
        said = await ask()
        late = [i for i in supervisor.replicas if (reply := said[i]) is None or not reply.active]
        if not late:
            supervisor.check_started()
            return said
        if loop.time() > deadline:
            logs = supervisor.home.log_path(late[0])
            raise OperatorError(f"replica {late[0]} is not ready after {READY_S:.0f} s: see {logs}")
        await asyncio.sleep(POLL_S)
