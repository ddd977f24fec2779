"""Starting a replica, and finding out when it answers and when it is level with the others."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.bench.group import Group, LocalGroup
from bftledger.bench.listening import listens
from bftledger.client import AsyncClient
from bftledger.home.home import Home
from bftledger.node.readiness import Statuses

LEVEL_S: Final = 300.0
"""Who is not level after so long never will be."""

_SETTLED_S: Final = 30.0
_POLL_S: Final = 0.01
_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """How a replica came up. Seconds from the start of its process until its first answer, and until it was level.

    `level_at`: the same moment on the system's monotonic clock; `height`: where it was then.
    """

    answered_s: float
    level_s: float
    level_at: float
    height: int

    def row(self) -> dict[str, Any]:
        """For a row of `results`."""
        return {"answered_s": round(self.answered_s, 3), "level_s": round(self.level_s, 3)}


def start_until_level(group: LocalGroup, replica: ReplicaId) -> Started:
    """Starts a replica that does not run, and returns when it is level. Raises `OperatorError`.

    Level is whose height is not below that of all others, when all are asked at once: in a group at work these are
    apart by what is just being executed.
    """
    begun = time.monotonic()
    group.start(replica)
    return asyncio.run(_until_level(group, replica, begun))


def settle(group: Group) -> None:
    """Returns when all replicas are in a view, at one height, with nothing under way.

    What is under way for half a minute is left so. Raises `OperatorError` if their heights differ then.
    """
    asyncio.run(_until_settled(group.home))


def is_level(heights: Mapping[ReplicaId, int], replica: ReplicaId) -> bool:
    """Whether the heights of those that answered show it."""
    others = [height for i, height in heights.items() if i != replica]
    return replica in heights and len(others) > 0 and heights[replica] >= min(others)


async def _until_level(group: LocalGroup, replica: ReplicaId, begun: float) -> Started:
    while not await listens(group.home, replica):
        _check_time(group, begun, LEVEL_S, f"replica {replica} does not answer")
        await asyncio.sleep(_POLL_S)
    answered: float | None = None
    # Connected only now: who tries before there is somebody tries again after longer and longer times.
    async with AsyncClient.open(group.home) as client:
        while True:
            said = await client.status(_TIMEOUT_S)
            now, heights = time.monotonic(), {i: reply.executed for i, reply in said.items() if reply is not None}
            if replica in heights and answered is None:
                answered = now
            if answered is not None and is_level(heights, replica):
                return Started(answered_s=answered - begun, level_s=now - begun, level_at=now, height=heights[replica])
            _check_time(group, begun, LEVEL_S, f"replica {replica} is not level with the others")
            await asyncio.sleep(_POLL_S)


async def _until_settled(home: Home) -> None:
    begun = time.monotonic()
    async with AsyncClient.open(home) as client:
        while not _is_settled(said := await client.status(_TIMEOUT_S)):
            if time.monotonic() - begun > _SETTLED_S:
                heights = {i: None if reply is None else reply.executed for i, reply in said.items()}
                if len(set(heights.values())) == 1:
                    return
                raise OperatorError(f"the replicas are not level after {_SETTLED_S:.0f} s: heights {heights}")
            await asyncio.sleep(_POLL_S)


def _is_settled(said: Statuses) -> bool:
    replies = [reply for reply in said.values() if reply is not None and reply.active and not reply.pending]
    return len(replies) == len(said) and len({reply.executed for reply in replies}) == 1


def _check_time(group: LocalGroup, begun: float, within_s: float, what: str) -> None:
    group.check()
    if time.monotonic() - begun > within_s:
        raise OperatorError(f"{what} after {within_s:.0f} s")
