"""The standard set of `bftledger bench`: what there is to know of a group's speed on a machine, in two minutes.

On a group of its own: closed loops of 1, 16, 64 and 256 clients, an open loop at half the rate of the best of them, all
of it twice, in turns; verified reads, and a replica that was away and fetches what it missed. On a group that runs
already the last is left out, for nobody's replica is stopped.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.bench.group import Group, LocalGroup, made_home, running_group
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load, percentile, rounded
from bftledger.bench.options import WAIT_QUIET_VARIABLE
from bftledger.bench.quiet import patience
from bftledger.bench.results import Result, Setting, group_config
from bftledger.bench.rounds import in_turns
from bftledger.client import AsyncClient
from bftledger.home.home import Home

SIZE: Final = 200
APP: Final = "kv"
_OPEN_SHARE: Final = 0.5
_READERS: Final = 16
_LEVEL_S: Final = 60.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How long and how much. Each load has so many windows of `seconds`, each after `warmup_s`.

    `quiet_s`: waits at most so long until the machine is quiet. `keys`: clients of the open loop, and of what a replica
    misses.
    """

    clients: tuple[int, ...]
    seconds: float
    warmup_s: float
    windows: int
    quiet_s: float
    keys: int = 64


STANDARD: Final = Extent(clients=(1, 16, 64, 256), seconds=8.0, warmup_s=1.5, windows=2, quiet_s=10.0)
QUICK: Final = Extent(clients=(1, 16), seconds=0.5, warmup_s=0.2, windows=1, quiet_s=2.0, keys=16)

Say = Callable[[str], None]
"""Tells whoever waits what is measured now."""


def measure_own(extent: Extent, *, replicas: int, seed: int, say: Say) -> Result:
    """Of a new group in a temporary directory, which goes afterwards. Raises `BftLedgerError`."""
    with made_home(None, replicas=replicas, keep=False) as home:
        which = "made for this on the machine described, all its replicas there"
        setting = _setting(home, extent, seed, which, here=replicas)
        say(setting.line)
        with running_group(home) as group:
            rows = _loads(group, extent, seed, say)
            reads = _reads(home, extent, say)
            return setting.result(rows, reads=reads, fetch=_fetch(group, extent, seed, say))


def measure_running(home: Home, extent: Extent, *, seed: int, say: Say) -> Result:
    """Of a group that runs, whose ledger keeps the transactions of the benchmark. Raises `BftLedgerError`."""
    check_can_be_measured(home)
    group = Group(home)
    answered = sum(reply is not None and reply.active for reply in group.status().values())
    if answered < home.genesis.group.quorum:
        raise OperatorError(
            f"{answered} of {home.genesis.group.n} replicas answer and are in a view: start the group first"
        )
    here = len(group.pids)
    which = f"running already, {here} of its replicas on the machine described"
    setting = _setting(home, extent, seed, which, here=here)
    calibration, _, _ = setting.line.partition("; ")
    say(setting.line if here == home.genesis.group.n else calibration)
    rows = _loads(group, extent, seed, say)
    return setting.result(rows, reads=_reads(home, extent, say), fetch=None)


def check_can_be_measured(home: Home) -> None:
    """Raises `OperatorError` if the group would not take the transactions of the benchmark."""
    if home.genesis.app != APP:
        raise OperatorError(f"the group's application is {home.genesis.app}: only {APP} can be measured")
    if home.genesis.members:
        raise OperatorError("the group takes transactions of its members only, and the clients of a benchmark are none")


def _setting(home: Home, extent: Extent, seed: int, which: str, here: int) -> Setting:
    """`here`: so many of the replicas share the machine."""
    config = {
        **group_config(home),
        "group": which,
        "replicas_here": here,
        "size": SIZE,
        "windows": extent.windows,
        "seconds": extent.seconds,
        "warmup_s": extent.warmup_s,
        "clients": "one process, one connection; a key each, every receipt verified",
    }
    with patience(float(os.environ.get(WAIT_QUIET_VARIABLE, extent.quiet_s))):
        return Setting.take("standard", seed=seed, replicas=home.genesis.group.n, directory=home.path, config=config)


def _loads(group: Group, extent: Extent, seed: int, say: Say) -> list[dict[str, Any]]:
    """The closed loops, then the open one, at half of what the best of the first windows got; and all that again."""
    rates: list[float] = []

    def once() -> list[dict[str, Any]]:
        rows = [_row(group, _load(extent, seed, clients), say) for clients in extent.clients]
        rates.append(max(1.0, float(round(_OPEN_SHARE * max(row["tx_per_s"] for row in rows)))))
        return [*rows, _row(group, _load(extent, seed, extent.keys, rates[0]), say)]

    return in_turns(extent.windows, [once], say)


def _load(extent: Extent, seed: int, clients: int, rate: float | None = None) -> Load:
    return Load(clients=clients, rate=rate, size=SIZE, seconds=extent.seconds, warmup_s=extent.warmup_s, seed=seed)


def _row(group: Group, load: Load, say: Say) -> dict[str, Any]:
    say(f"{load}: {load.seconds:g} s …")
    measured = run_load(group, load)
    group.check()
    return measured.row() | {"kept_up": measured.kept_up}


def _reads(home: Home, extent: Extent, say: Say) -> dict[str, Any]:
    """What the state says of a key, each answer with its proof against a certified block."""
    seconds = extent.seconds / 4
    say(f"verified reads, {_READERS} at once: {seconds:g} s …")
    latencies = sorted(asyncio.run(_read_for(home, seconds)))
    return {
        "at_once": _READERS,
        "reads_per_s": round(len(latencies) / seconds, 1),
        "p50_ms": rounded(percentile(latencies, 50)),
        "p99_ms": rounded(percentile(latencies, 99)),
    }


async def _read_for(home: Home, seconds: float) -> list[float]:
    latencies: list[float] = []
    async with AsyncClient.open(home) as client:
        end = time.monotonic() + seconds

        async def reader(number: int) -> None:
            while (begun := time.monotonic()) < end:
                await client.query(number.to_bytes(8, "big"))
                latencies.append((time.monotonic() - begun) * 1_000)

        await asyncio.gather(*(reader(number) for number in range(_READERS)))
    return latencies


def _fetch(group: LocalGroup, extent: Extent, seed: int, say: Say) -> dict[str, Any]:
    """A backup is stopped, misses what is committed meanwhile, is started again and fetches it."""
    view = max(reply.view for reply in group.status().values() if reply is not None)
    spec = group.home.genesis.group
    replica = next(i for i in reversed(spec.replicas) if i != spec.primary(view))
    before = _height(group, replica)
    say(f"replica {replica} is away for {extent.seconds:g} s, then fetches what it missed …")
    group.stop(replica)
    missed = run_load(group, _load(extent, seed, extent.keys))
    begun = time.monotonic()
    group.start(replica)
    seconds, height = asyncio.run(_until_level(group.home, replica, begun))
    group.check()
    return {
        "replica": replica,
        "missed_blocks": height - before,
        "missed_tx": missed.total,
        "seconds": round(seconds, 3),
        "tx_per_s": round(missed.total / seconds, 1),
    }


def _height(group: Group, replica: ReplicaId) -> int:
    reply = group.status()[replica]
    return reply.executed if reply is not None else 0


async def _until_level(home: Home, replica: ReplicaId, begun: float) -> tuple[float, int]:
    """(Seconds from its start until it is at the height that the others had then, that height).

    Raises `OperatorError` if that takes a minute.
    """
    async with AsyncClient.open(home) as client:
        goal: int | None = None
        while time.monotonic() - begun < _LEVEL_S:
            said = await client.status(1.0 if goal is None else 0.2)
            if goal is None:
                goal = max(reply.executed for reply in said.values() if reply is not None)
            mine = said[replica]
            if mine is not None and mine.executed >= goal:
                return time.monotonic() - begun, goal
            await asyncio.sleep(_POLL_S)
    raise OperatorError(f"replica {replica} has not fetched what it missed after {_LEVEL_S:.0f} s")
