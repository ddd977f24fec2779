"""One run: a group of real processes with traitors in it that are honest, then lie, then are honest again.

They are told by signals (`bftledger-adversary replica --on-signal`), so nothing is started, stopped or connected anew
when an attack begins or ends: what is seen is the attack.
"""

import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId, View
from bftledger.bench.attack_plan import Attack, Occasion
from bftledger.bench.attack_row import Run, row
from bftledger.bench.attack_verdict import judge
from bftledger.bench.attack_watch import Event, Watch, events
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.load import running_load
from bftledger.bench.measured import Load
from bftledger.bench.results import say
from bftledger.home.home import Home
from bftledger.ledger.client_messages import StatusReply

_LEAVE_S: Final = 5.0
"""A primary is stopped for so long at most."""

_BEYOND: Final = 16
"""Who is so many blocks behind the window cannot decide them any more, and has to fetch them."""

_SETTLE_S: Final = 10.0
_POLL_S: Final = 0.05
_TRIES: Final = 3


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What all runs of a command have in common.

    `parts_s`: how long it is clean, attacked, and clean again. `keep`: where the homes of the runs stay, if they do.
    """

    replicas: int
    clients: int
    size: int
    connections: int
    processes: int
    warmup_s: float
    timeout_s: float
    parts_s: tuple[float, float, float]
    bucket_s: float
    seed: int
    keep: Path | None

    def load(self, receipts: Path) -> Load:
        """The clients' work, from the beginning of the clean part to the end of the last."""
        return Load(
            clients=self.clients,
            seconds=sum(self.parts_s),
            size=self.size,
            warmup_s=self.warmup_s,
            processes=self.processes,
            connections=self.connections,
            seed=self.seed,
            timeout_s=self.timeout_s,
            receipts=receipts,
        )


def run(attack: Attack, setup: Setup) -> dict[str, Any]:
    """Measures and judges one attack; the row of `results`. Raises `BftLedgerError`.

    A group that changes its primary before it is attacked, as on a machine that is busy with something else, has the
    traitor in the wrong place: then it begins again, some times.
    """
    for tries_left in reversed(range(_TRIES)):
        found = _run(attack, setup, may_begin_again=tries_left > 0)
        if found is not None:
            return found
        if setup.keep is not None:
            shutil.rmtree(_kept(attack, setup.keep))
        say(f"  {attack.name}: the group changed its primary before the attack; once more")
    raise AssertionError("the last try is not given up")


def _run(attack: Attack, setup: Setup, *, may_begin_again: bool) -> dict[str, Any] | None:
    traitors = attack.traitors(setup.replicas)
    honest = [ReplicaId(i) for i in range(setup.replicas) if i not in traitors]
    words = ("replica", *(w for name in attack.behaviours for w in ("--behaviour", name)))
    module = ("bftledger.cli.adversary", *words, "--seed", str(setup.seed), "--on-signal")
    with _home(attack, setup) as home, tempfile.TemporaryDirectory(prefix="bftledger-receipts-") as receipts:
        with running_group(home, instead=dict.fromkeys(traitors, module)) as group, Watch(home, honest) as watch:
            with running_load(group, setup.load(Path(receipts))) as load:
                clean_s, attacked_s, _ = setup.parts_s
                load.sleep_until(clean_s)
                if may_begin_again and any(sight.view for sight in watch.newest().values()):
                    return None
                noted = [_edge(f"{_named(traitors)} to lie", "attack", group, traitors, signal.SIGUSR1)]
                noted += _give_occasion(attack, group, watch, honest, attacked_s)
                load.sleep_until(clean_s + attacked_s)
                noted.append(
                    _edge(f"{_named(traitors, 'is', 'are')} honest again", "end", group, traitors, signal.SIGUSR2)
                )
                measured = load.finish()
            _settle(group, honest)
            sights = watch.sights
        verdict = judge(home, honest, Path(receipts), measured)
        happened = [*noted, *events(sights, home.genesis.group, traitors)]
        return row(
            Run(
                attack=attack,
                traitors=traitors,
                setup_s=setup.parts_s,
                bucket_s=setup.bucket_s,
                measured=measured,
                happened=sorted(happened, key=lambda event: event.at_s),
                begun_s=noted[0].at_s,
                ended_s=noted[-1].at_s,
                verdict=verdict,
                deviations=_deviations(home, traitors),
                group=home.genesis.group,
            )
        )


@contextlib.contextmanager
def _home(attack: Attack, setup: Setup) -> Iterator[Home]:
    """A new home, which stays as `keep`/NAME if it is to stay. Raises `OperatorError` if there is something."""
    path = None if setup.keep is None else _kept(attack, setup.keep)
    if path is not None and path.exists():
        raise OperatorError(f"{path} exists: remove it, or name another directory with --keep")
    with made_home(path, replicas=setup.replicas, keep=False) as home:
        yield home


def _kept(attack: Attack, keep: Path) -> Path:
    return keep / re.sub(r"[^\w+-]", "-", attack.name)


def _edge(what: str, flag: str, group: LocalGroup, traitors: Sequence[ReplicaId], number: signal.Signals) -> Event:
    for traitor in traitors:
        os.kill(group.pids[traitor], number)
    return Event(time.monotonic(), "edge", flag, what)


def _give_occasion(
    attack: Attack, group: LocalGroup, watch: Watch, honest: Sequence[ReplicaId], attacked_s: float
) -> list[Event]:
    match attack.occasion:
        case Occasion.NONE:
            return []
        case Occasion.VIEW_CHANGE:
            view = max((sight.view for sight in watch.newest().values()), default=View(0))
            victim = group.home.genesis.group.primary(view)
            others = [i for i in honest if i != victim]
            with _stopped(group, victim) as noted:
                watch.has_left(view, others, min(_LEAVE_S, attacked_s / 2))
        case Occasion.LAG:
            victim = honest[-1]
            with _stopped(group, victim) as noted:
                watch.is_behind(victim, group.home.config.protocol.window + _BEYOND, attacked_s / 2)
    return noted


@contextlib.contextmanager
def _stopped(group: LocalGroup, replica: ReplicaId) -> Iterator[list[Event]]:
    """A replica that stands still for as long as the block lasts."""
    pid = group.pids[replica]
    os.kill(pid, signal.SIGSTOP)
    noted = [Event(time.monotonic(), "stopped", f"{replica} stopped", f"replica {replica} is stopped")]
    try:
        yield noted
    finally:
        os.kill(pid, signal.SIGCONT)
        noted.append(Event(time.monotonic(), "stopped", f"{replica} goes on", f"replica {replica} goes on"))


def _settle(group: LocalGroup, honest: Sequence[ReplicaId]) -> None:
    """Waits until the honest replicas are level and nothing is under way, or for long enough."""
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        said = group.status()
        answers = [said[i] for i in honest]
        if len({_height(answer) for answer in answers}) == 1 and answers[0] is not None and not answers[0].pending:
            return
        time.sleep(_POLL_S)


def _height(said: StatusReply | None) -> tuple[int, int] | None:
    return None if said is None else (said.executed, said.stable)


def _deviations(home: Home, traitors: Sequence[ReplicaId]) -> dict[str, int]:
    """How often each behaviour deviated, as the traitors said when they were stopped."""
    found: dict[str, int] = {}
    for traitor in traitors:
        for listed in re.findall(r"was a traitor; deviations: (.*)", home.log_path(traitor).read_text()):
            for name, count in re.findall(r"([\w-]+) (\d+)", listed):
                found[name] = found.get(name, 0) + int(count)
    return found


def _named(replicas: Sequence[ReplicaId], one: str = "begins", many: str = "begin") -> str:
    if len(replicas) == 1:
        return f"replica {replicas[0]} {one}"
    return f"replicas {', '.join(map(str, replicas[:-1]))} and {replicas[-1]} {many}"
