"""Issue: "Each adversary, as a real process with its own key, against a real group of four under load: the ledgers stay
identical, every honest client's transaction commits". Each has an occasion to lie, and has to take it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from types import ModuleType

import pytest

from bftledger.adversary.behaviours import equivocation, new_view, primary, true_certificates, view_change
from bftledger.adversary.catalogue import MODULES, RandomChoice
from bftledger.base.ids import Millis, ReplicaId
from bftledger.client import AsyncClient, Outcome
from bftledger.pbft.settings import Settings
from tests.processes.group import (
    ALL,
    DEADLINE_S,
    Observer,
    Processes,
    Statuses,
    are_together,
    primary_of,
)
from tests.processes.verdict import objections, seen_of

WAVES = 3
MOST_WAVES = 60
PATIENT_WAVES = 15
PATIENT_POLLS = 20
OCCASIONS = 5
NEWCOMERS = 5
"""After so many waves in vain somebody new asks: whether a client is served may depend on its connection."""

AT_ONCE = 8
PATIENCE_MS = Millis(300)

LEADING = (equivocation, primary)
"""These lie as primaries: each begins as one."""

CHANGING = (view_change, new_view, true_certificates)
"""These lie when views change: the primary before them is stopped for a while."""

FEEDING = ("lie-blocks", "withhold-blocks", "slow-blocks")
"""These lie to replicas that have missed blocks: one is killed, and comes back."""

TOLD = {"mute": "mute:commit"}
"""What might be told something that does not matter here."""


@pytest.fixture
def protocol() -> Settings:
    return Settings(request_timeout_ms=PATIENCE_MS)


class Trials:
    """A group in which one replica after the other is a traitor, never two at once."""

    def __init__(self, group: Processes, observer: Observer, client: AsyncClient) -> None:
        self._group = group
        self._observer = observer
        self._client = client
        self._traitor: ReplicaId | None = None
        self._said = 0
        """So long was the log of the replica that is a traitor now, before it was one."""
        self.committed: list[Outcome] = []
        self.liars: set[ReplicaId] = set()

    async def lead(self, behaviour: str) -> None:
        """The primary is exchanged for a traitor while nothing is under way, so it still leads, and then lies."""
        await self._become(await self._primary(), behaviour)
        assert await self._load(behaviour), f"{behaviour} has not lied"

    async def follow(self, behaviour: str) -> None:
        """A backup is a traitor: the same one as long as it can be."""
        primary_now = await self._primary()
        same = self._traitor if self._traitor not in (None, primary_now) else None
        await self._become(ReplicaId((primary_now + 2) % 4) if same is None else same, behaviour)
        assert await self._load(behaviour), f"{behaviour} has not lied"

    async def succeed(self, behaviour: str) -> None:
        """The traitor is next in line, and the primary stops while clients wait for it; again, if it has not lied."""
        for _ in range(OCCASIONS):
            if await self._change_view(behaviour):
                return
        raise AssertionError(f"{behaviour} has not lied")

    async def _change_view(self, behaviour: str) -> bool:
        primary_now = await self._primary()
        await self._become(ReplicaId((primary_now + 1) % 4), behaviour)
        loading = asyncio.create_task(self._load(behaviour, PATIENT_WAVES))
        with paused(self._group.pid(primary_now)):
            honest = self._honest(primary_now)
            await self._observer.until(
                lambda found: any(i in found and found[i].primary != primary_now for i in honest),
                f"replicas {honest} leave the view of {primary_now}",
            )
        return await loading

    async def feed(self, behaviour: str) -> None:
        """A replica misses some blocks, and asks the traitor for them first; again, if it has not lied."""
        primary_now = await self._primary()
        await self._become(ReplicaId((primary_now + 2) % 4), behaviour)
        away = ReplicaId((primary_now + 1) % 4)  # it asks who comes next after itself, and the primary last
        for _ in range(OCCASIONS):
            self._group.kill(away)
            height = max([await self._wave(f"{behaviour}/{wave}") for wave in range(WAVES)])
            self._group.start(away)
            await self._observer.reaches(height, away)
            if self._has_lied(behaviour):
                return
        raise AssertionError(f"{behaviour} has not lied")

    async def end(self) -> None:
        """The last traitor is honest again."""
        self._dismiss()
        await self._observer.ready(*ALL)

    async def _primary(self) -> ReplicaId:
        """Who leads, when the honest ones are together; whoever lost patience with a traitor alone is brought back."""
        honest, alone = self._honest(), 0

        def is_over(found: Statuses) -> bool:
            nonlocal alone
            active = [i for i in honest if i in found and found[i].active]
            alone = alone + 1 if len(active) == len(honest) - 1 else 0
            return are_together(found, honest) or alone == PATIENT_POLLS

        said = f"replicas {honest} are together, or one is alone for long"
        while not are_together(found := await self._observer.until(is_over, said), honest):
            await self._change_primary(primary_of(found))
            alone = 0
        return primary_of(found)

    async def _become(self, replica: ReplicaId, behaviour: str) -> None:
        if self._traitor == replica:
            self._group.stop(replica)
        else:
            self._dismiss()
            self._group.kill(replica)
        self._traitor = replica
        self.liars.add(replica)
        self._said = len(self._group.log(replica))
        self._group.start_traitor(replica, TOLD.get(behaviour, behaviour))
        await self._observer.until(
            lambda _: "peers at" in self._group.log(replica)[self._said :],
            f"replica {replica} runs, in the way of {behaviour}",
        )
        await self._primary()

    def _dismiss(self) -> None:
        """Who was a traitor is an honest replica again, on the same store."""
        if self._traitor is not None:
            self._group.stop(self._traitor)
            self._group.start(self._traitor)
            self._traitor = None

    async def _load(self, behaviour: str, most_waves: int = MOST_WAVES) -> bool:
        """Some waves, and more until the traitor says that it has lied; whether it has."""
        for wave in range(most_waves):
            if wave >= WAVES and self._has_lied(behaviour):
                return True
            if wave and wave % PATIENT_WAVES == 0:
                await self._gather()
            if wave and wave % NEWCOMERS == 0:
                async with self._group.client("newcomer") as newcomer:
                    await newcomer.status(0.25)
            await self._wave(f"{behaviour}/{wave}")
        return self._has_lied(behaviour)

    async def _wave(self, name: str) -> int:
        """Some transactions at once; the highest block that holds one of them."""
        words = [("put", f"{name}/{number}", "x" * 50) for number in range(AT_ONCE)]
        outcomes = await asyncio.gather(*(self._client.submit(*each) for each in words))
        assert all(outcome.ok for outcome in outcomes), (name, outcomes)
        self.committed += outcomes
        return max(outcome.height or 0 for outcome in outcomes)

    async def _gather(self) -> None:
        """Who lost patience alone does not vote, and so cannot lie, until all are in another view: here it comes."""
        primary_now = await self._primary()
        if primary_now != self._traitor:
            await self._change_primary(primary_now)

    async def _change_primary(self, primary_now: ReplicaId) -> None:
        asking = asyncio.create_task(self._client.submit("put", "gather", "x"))
        with paused(self._group.pid(primary_now)):
            honest = self._honest(primary_now)
            await self._observer.until(
                lambda found: all(i in found and found[i].primary != primary_now for i in honest),
                f"replicas {honest} leave the view of {primary_now}",
            )
        outcome = await asking
        assert outcome.ok, outcome
        self.committed.append(outcome)

    def _has_lied(self, behaviour: str) -> bool:
        assert self._traitor is not None, "somebody is to lie"
        what = "" if behaviour == RandomChoice.name else f"{behaviour}\n"
        return f"replica {self._traitor} lies: {what}" in self._group.log(self._traitor)[self._said :]

    def _honest(self, *without: ReplicaId) -> list[ReplicaId]:
        return [i for i in ALL if i != self._traitor and i not in without]


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stops a process for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def catalogue(modules: Sequence[ModuleType]) -> list[str]:
    """The behaviours of these modules."""
    return [behaviour.name for module in modules for behaviour in module.BEHAVIOURS]


async def try_all(group: Processes, how: str, behaviours: Sequence[str]) -> Trials:
    """Each behaviour in turn."""
    async with Observer(group) as observer, group.client("honest") as client:
        trials = Trials(group, observer, client)
        for behaviour in behaviours:
            await asyncio.wait_for(getattr(trials, how)(behaviour), 2 * DEADLINE_S)
        await trials.end()
        await observer.settled()
    return trials


def half(all_of: list[str], which: int) -> list[str]:
    return all_of[which::2]


FOLLOWING = [
    *(
        name
        for name in catalogue([each for each in MODULES if each not in (*LEADING, *CHANGING)])
        if name not in FEEDING
    ),
    RandomChoice.name,
]
"""These lie wherever they are."""


@pytest.mark.parametrize(
    ("how", "behaviours"),
    [
        ("lead", half(catalogue(LEADING), 0)),
        ("lead", half(catalogue(LEADING), 1)),
        ("follow", half(FOLLOWING, 0)),
        ("follow", half(FOLLOWING, 1)),
        ("feed", list(FEEDING)),
        ("succeed", catalogue(CHANGING)),
    ],
    ids=["primaries", "more primaries", "members", "more members", "sources", "successors"],
)
def test_a_group_stays_one_and_goes_on_beside_each_traitor(group: Processes, how: str, behaviours: list[str]) -> None:
    group.start()
    trials = asyncio.run(try_all(group, how, behaviours))
    group.kill(*group.running)

    assert len(trials.committed) >= len(behaviours) * WAVES * AT_ONCE
    assert objections(group, seen_of(trials.committed), trials.liars) == []
