"""Campaigns for bugs that need a long time of work without faults, views that fail in a row, or too little room."""

from dataclasses import dataclass, replace
from random import Random

from bftledger.base.ids import Millis
from bftledger.pbft.settings import Settings
from bftledger.sim.draw import Choice, Staged
from bftledger.sim.laden import laden
from bftledger.sim.plan import Plan, Weather, Work
from bftledger.sim.twins import Scenario

SETTINGS = Settings(
    window=16,
    batch_count=100,
    batch_wait_ms=Millis(5),
    request_timeout_ms=Millis(200),
    timeout_cap_ms=Millis(200),
    status_interval_ms=Millis(100),
    idle_status_interval_ms=Millis(200),
    clock_skew_ms=Millis(200),
)


@dataclass(frozen=True, slots=True)
class Steady:
    """A censor leads, nothing else is wrong, and its favourites have work for longer than its victim may wait."""

    def plan(self, seed: int) -> Plan:
        """The plan of that seed."""
        drawn = Choice(sizes=(4,), traitors=(("censor", 1),), calm=True).plan(seed)
        work = Work(clients=3, operations=150, reads=0.0, keys=5, think_ms=100)
        return replace(drawn, settings=SETTINGS, weather=Weather(), skew_ms=(0,) * drawn.n, work=work)


@dataclass(frozen=True, slots=True)
class Laden:
    """A primary orders without end, and nothing else is wrong."""

    def plan(self, seed: int) -> Plan:
        """The plan of that seed."""
        return laden(Choice(sizes=(4,), calm=True).plan(seed), Random(f"load {seed}"))


@dataclass(frozen=True, slots=True)
class Failing:
    """Nobody gets anywhere in view 0, and the primaries of views 1 and 2 are cut off from the other three in theirs."""

    def plan(self, seed: int) -> Plan:
        """The plan of that seed."""
        views = (((0,), (1,), (2,), (3,)), ((0, 2, 3), (1,)), ((0, 1, 3), (2,)))
        return Scenario(n=4, twins=(), views=views, seed=seed).plan()


@dataclass(frozen=True, slots=True)
class Crowded:
    """Views end all the time, one replica proposes to some others only, and there is room for a few transactions of
    clients, and for fewer that only views which are over proposed."""

    def plan(self, seed: int) -> Plan:
        """The plan of that seed."""
        drawn = Staged(sizes=(4,), traitors=(("selective", 1),)).plan(seed)
        work = replace(drawn.work, clients=4, operations=4, burst=4, hostile=4)
        return replace(drawn, settings=replace(drawn.settings, pool_count=4, batch_count=10), work=work)


@dataclass(frozen=True, slots=True)
class Expiring:
    """A censor leads, nothing else is wrong, and what its victims want expires before its backups lose patience."""

    def plan(self, seed: int) -> Plan:
        """The plan of that seed."""
        drawn = Choice(sizes=(4,), traitors=(("censor", 1),), calm=True).plan(seed)
        work = Work(clients=3, operations=20, reads=0.0, think_ms=20, lifetime_ms=Millis(150))
        settings = replace(SETTINGS, request_timeout_ms=Millis(400), timeout_cap_ms=Millis(400))
        return replace(drawn, settings=settings, weather=Weather(), skew_ms=(0,) * drawn.n, work=work)
