"""Waiting for the replicas of this host to be ready, whoever asks them how they are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.ledger.client_messages import StatusReply
from bftledger.node.supervisor import Supervisor

READY_S: Final = 30.0
LEVEL_S: Final = 3.0
"""So long those that lag are waited for, once all are ready: who lags by little catches up, and who lags by much takes
minutes, which nobody has to wait for."""

POLL_S: Final = 0.05

Statuses = Mapping[ReplicaId, StatusReply | None]
"""How each replica says it is; None for one that says nothing."""


async def wait_until_ready(ask: Callable[[], Awaitable[Statuses]], supervisor: Supervisor) -> Statuses:
    """Returns when every replica of the supervisor answers and is in a view, and none lags, or some do after 3 s yet.

    `ask`: a client's `status`.

    Raises `OperatorError`: with a replica's last words if one has ended, or that some do not get ready in 30 s.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_S
    level_by: float | None = None
    while True:
        supervisor.check_started()
        said = await ask()
        late = [i for i in supervisor.replicas if (reply := said[i]) is None or not reply.active]
        if not late:
            supervisor.check_started()
            level_by = level_by or loop.time() + LEVEL_S
            if _are_level(said, supervisor.replicas) or loop.time() > level_by:
                return said
        elif loop.time() > deadline:
            logs = supervisor.home.log_path(late[0])
            raise OperatorError(f"replica {late[0]} is not ready after {READY_S:.0f} s: see {logs}")
        await asyncio.sleep(POLL_S)


def _are_level(said: Statuses, replicas: Iterable[ReplicaId]) -> bool:
    """Whether none of these is below all others. Those of a group at work are apart by what is being executed."""
    heights = {i: reply.executed for i, reply in said.items() if reply is not None}
    others = {i: [height for other, height in heights.items() if other != i] for i in replicas}
    return all(heights[i] >= min(others[i], default=0) for i in replicas)
