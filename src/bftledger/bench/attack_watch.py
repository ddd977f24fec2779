"""Watching a group from outside while it is attacked: who is in which view, and who has been convicted.

It asks every replica how it is, some times a second, and notes each answer when it comes: one that keeps silent holds
up nobody else's. What traitors answer is not asked for: only what honest replicas say makes an event.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bftledger.base.group import Group
from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.client.reader import Reader
from bftledger.home.home import Home
from bftledger.ledger.client_messages import AskStatus, Reply, StatusReply

INTERVAL_S: Final = 0.05
_TIMEOUT_MS: Final = Millis(1_000)
_OPEN_S: Final = 10.0

Tell = Callable[[ReplicaId, StatusReply], None]


@dataclass(frozen=True, slots=True)
class Sight:
    """What an honest replica said of itself; `at_s` on the system's monotonic clock."""

    at_s: float
    replica: ReplicaId
    view: View
    active: bool
    executed: Seq
    convicted: int
    """A bit mask of those that it holds evidence against."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `kind`: suspected, view, convicted, edge or stopped. `flag`: in a word or two."""

    at_s: float
    kind: str
    flag: str
    what: str
    view: View | None = None


class Watch(threading.Thread):
    """Watches from the beginning of its `with` block to the end."""

    def __init__(self, home: Home, honest: Collection[ReplicaId]) -> None:
        super().__init__(name="watch", daemon=True)
        self._home = home
        self._honest = frozenset(honest)
        self._ending = threading.Event()
        self._sights: list[Sight] = []

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join(_OPEN_S)

    def run(self) -> None:
        """The thread."""
        asyncio.run(self._watch())

    @property
    def sights(self) -> list[Sight]:
        """All answers so far, in the order in which they came."""
        return self._sights.copy()

    def newest(self) -> dict[ReplicaId, Sight]:
        """The last answer of each replica that gave one."""
        return {sight.replica: sight for sight in self.sights}

    def has_left(self, view: View, replicas: Collection[ReplicaId], within_s: float) -> bool:
        """Waits until all these replicas have left `view`; False if that takes longer."""
        return self._comes(
            lambda newest: all(i in newest and (newest[i].view > view or not newest[i].active) for i in replicas),
            within_s,
        )

    def is_behind(self, replica: ReplicaId, blocks: int, within_s: float) -> bool:
        """Waits until `replica` is so many blocks behind the others; False if that takes longer."""
        return self._comes(
            lambda newest: (
                replica in newest
                and max(sight.executed for sight in newest.values()) - newest[replica].executed >= blocks
            ),
            within_s,
        )

    def _comes(self, condition: Callable[[dict[ReplicaId, Sight]], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if condition(self.newest()):
                return True
            time.sleep(INTERVAL_S / 5)
        return False

    async def _watch(self) -> None:
        addresses = [replica.client for replica in self._home.config.replicas]
        async with _Asker(self._home.genesis, addresses) as asker:
            asked: set[asyncio.Task[None]] = set()
            while not self._ending.is_set():
                task = asyncio.create_task(asker.ask(self._note))
                asked.add(task)
                task.add_done_callback(asked.discard)
                await asyncio.sleep(INTERVAL_S)
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    def _note(self, replica: ReplicaId, said: StatusReply) -> None:
        if replica in self._honest:
            self._sights.append(Sight(time.monotonic(), replica, said.view, said.active, said.executed, said.convicted))


class _Asker(Reader):
    """Tells each answer when it comes, not when all have."""

    async def ask(self, tell: Tell) -> None:
        def judge(replica: ReplicaId, reply: Reply) -> StatusReply | None:
            if not isinstance(reply, StatusReply):
                return None
            tell(replica, reply)
            return reply

        request = AskStatus(request_id=self._session.next_id())
        await self._conversation.ask(
            self._session.question(request, judge, _TIMEOUT_MS, len(self.genesis.group.replicas))
        )


def events(sights: Iterable[Sight], group: Group, traitors: Collection[ReplicaId]) -> Iterator[Event]:
    """What the answers of honest replicas tell: who left a view first, when f+1 were in the next, who was convicted.

    f+1 are so many that one of them has what makes everybody follow.
    """
    current = View(0)
    seen: dict[ReplicaId, Sight] = {}
    left = View(-1)
    convicted: set[ReplicaId] = set()
    for sight in sights:
        seen[sight.replica] = sight
        if left < current and (sight.view > current or (sight.view == current and not sight.active)):
            left = current
            yield Event(sight.at_s, "suspected", "suspected", f"replica {sight.replica} leaves view {current}")
        views = Counter(one.view for one in seen.values() if one.active)
        begun = max((view for view, count in views.items() if count >= group.weak_quorum), default=current)
        if begun > current:
            current = begun
            primary = group.primary(begun)
            liar = ", a traitor," if primary in traitors else ""
            what = f"view {begun} begins: replica {primary}{liar} is primary"
            yield Event(sight.at_s, "view", f"view {begun}", what, begun)
        for accused in group.replicas:
            if sight.convicted >> accused & 1 and accused not in convicted:
                convicted.add(accused)
                what = f"replica {sight.replica} holds proof that replica {accused} is a traitor"
                yield Event(sight.at_s, "convicted", f"{accused} convicted", what)
