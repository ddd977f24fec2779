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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import BftLedgerError
from bftledger.base.ids import ReplicaId, View
from bftledger.bench.attack_bound import Course, excuse_ms
from bftledger.bench.attack_plan import Attack, Occasion
from bftledger.bench.attack_row import Run, row
from bftledger.bench.attack_verdict import judge
from bftledger.bench.attack_watch import Event, Watch, events
from bftledger.bench.attack_work import Usage
from bftledger.bench.group import LocalGroup, running_group
from bftledger.bench.load import running_load
from bftledger.bench.results import say
from bftledger.bench.staging import Staging
from bftledger.home.home import Home
from bftledger.ledger.client_messages import StatusReply

_LEAVE_S: Final = 5.0
"""A primary is stopped for so long at most."""

_BEYOND: Final = 16
"""Who is so many blocks behind the window cannot decide them any more, and has to fetch them."""

_SETTLE_S: Final = 10.0
_POLL_S: Final = 0.05
_TRIES: Final = 3


class Misplaced(BftLedgerError):
    """The group changed its primary before it was attacked, in every try: a traitor stood in the wrong place."""


def run(attack: Attack, setup: Staging, number: int = 1) -> dict[str, Any]:
    """Measures and judges one attack, for the so many-eth time; the row of this run. Raises `BftLedgerError`.

    A group that changes its primary before it is attacked, as on a machine that is busy with something else, has the
    traitor in the wrong place: then it begins again, some times. What comes by chance differs from time to time.
    """
    for tries in range(1, _TRIES + 1):
        found = _run(attack, setup, number)
        if found is not None:
            return {**found, "seed": setup.seed + number - 1, "tries": tries}
        if setup.keep is not None:
            shutil.rmtree(setup.keep / _name(attack, number))
        say(f"  {attack.name}: the group changed its primary before the attack{'; once more' * (tries < _TRIES)}")
    raise Misplaced(f"the group changed its primary before the attack, {_TRIES} times in a row")


def _run(attack: Attack, setup: Staging, number: int) -> dict[str, Any] | None:
    """None if the primary was changed before the attack."""
    traitors = attack.traitors(setup.replicas)
    honest = [ReplicaId(i) for i in range(setup.replicas) if i not in traitors]
    setup = replace(setup, seed=setup.seed + number - 1)
    modules = {
        i: ("bftledger.cli.adversary", *attack.words(i, setup.replicas), "--seed", str(setup.seed), "--on-signal")
        for i in traitors
    }
    with (
        setup.home(_name(attack, number)) as home,
        tempfile.TemporaryDirectory(prefix="bftledger-receipts-") as receipts,
    ):
        with running_group(home, instead=modules) as group, Watch(home, honest) as watch:
            with running_load(group, setup.load(Path(receipts))) as load:
                clean_s, attacked_s, after_s = setup.parts_s
                usages = [Usage.of(group, time.monotonic())]
                load.sleep_until(clean_s)
                if any(sight.view for sight in watch.newest().values()):
                    return None
                usages.append(Usage.of(group, time.monotonic()))
                noted = [_edge(_begins(traitors), "attack", group, traitors, signal.SIGUSR1)]
                noted += _give_occasion(attack, group, watch, honest, attacked_s)
                load.sleep_until(clean_s + attacked_s)
                usages.append(Usage.of(group, time.monotonic()))
                noted.append(_edge(_ends(traitors), "end", group, traitors, signal.SIGUSR2))
                load.sleep_until(clean_s + attacked_s + after_s)
                usages.append(Usage.of(group, time.monotonic()))
                measured = load.finish()
            _settle(group, honest)
            sights = watch.sights
        begun_s, ended_s = noted[0].at_s, noted[-1].at_s
        happened = sorted([*noted, *events(sights, home.genesis.group, traitors)], key=lambda event: event.at_s)
        if is_misplaced(happened, begun_s):
            return None
        excused_s = excuse_ms(home.config.protocol, home.genesis.group, measured.load) / 1_000
        course = Course(
            views=max((sight.view for sight in sights), default=0),
            stopped=stops(noted),
            excused_s=min(excused_s, ended_s - begun_s) if attack.is_excused else 0.0,
        )
        return row(
            Run(
                attack=attack,
                traitors=traitors,
                setup_s=(clean_s, attacked_s, after_s),
                bucket_s=setup.bucket_s,
                measured=measured,
                happened=happened,
                begun_s=begun_s,
                ended_s=ended_s,
                verdict=judge(home, honest, Path(receipts), measured, course),
                deviations=_deviations(home, traitors),
                usages=usages,
                group=home.genesis.group,
            )
        )


def is_misplaced(happened: Iterable[Event], begun_s: float) -> bool:
    """Whether a view was left or begun before the attack, also if nobody had seen that yet when it began."""
    return any(event.kind in ("suspected", "view") and event.at_s < begun_s for event in happened)


def stops(noted: Iterable[Event]) -> tuple[tuple[float, float], ...]:
    """From when to when a replica was stopped, of the events of `_stopped`."""
    moments = [event.at_s for event in noted if event.kind == "stopped"]
    return tuple(zip(moments[::2], moments[1::2], strict=True))


def _name(attack: Attack, number: int) -> str:
    """Of the home of a run: NAME, NAME-2 and so on."""
    return re.sub(r"[^\w+-]", "-", attack.name) + (f"-{number}" if number > 1 else "")


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


def _begins(traitors: Sequence[ReplicaId]) -> str:
    return f"{_named(traitors, 'begins', 'begin')} to lie" if traitors else "an attack would begin here"


def _ends(traitors: Sequence[ReplicaId]) -> str:
    return f"{_named(traitors, 'is', 'are')} honest again" if traitors else "an attack would end here"


def _named(replicas: Sequence[ReplicaId], one: str, many: str) -> str:
    if len(replicas) == 1:
        return f"replica {replicas[0]} {one}"
    return f"replicas {', '.join(map(str, replicas[:-1]))} and {replicas[-1]} {many}"
