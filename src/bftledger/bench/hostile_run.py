"""One run: honest clients on a group of real processes, alone, beside a hostile one, alone again, and beside a control.

The control is a process that takes as much processor time as the hostile one took, and sends nothing: what it costs is
what anybody costs who runs on the same machine, and what the hostile one costs beyond that it costs by what it sends.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.base.ids import ReplicaId, View
from bftledger.bench.attack_bound import Course
from bftledger.bench.attack_verdict import judge
from bftledger.bench.attack_watch import Watch, events
from bftledger.bench.footprint import Memory
from bftledger.bench.group import LocalGroup, running_group
from bftledger.bench.hostile_plan import Hostile
from bftledger.bench.hostile_process import Did, Job
from bftledger.bench.hostile_row import Look, Run, row
from bftledger.bench.level import settle
from bftledger.bench.load import endless_load
from bftledger.bench.staging import Staging
from bftledger.home.home import Home

AT: Final = ("all", "primary", "backups")
"""Whom a hostile client may turn to."""

_LEAD_S: Final = 0.05
"""What it is to begin is announced so long before."""

_DRAINED_S: Final = 20.0
"""So long does the control wait at most until the pools hold no more than honest clients put there."""

_POLL_S: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Setup(Staging):
    """What all runs of a command have in common.

    Their parts: the honest clients are alone, attacked, alone again, and beside the control. `at`: one of `AT`.
    """

    at: str

    def targets(self) -> list[ReplicaId]:
        """Whom the hostile one turns to, as seen from view 0."""
        everybody = [ReplicaId(i) for i in range(self.replicas)]
        return {"all": everybody, "primary": everybody[:1], "backups": everybody[1:]}[self.at]

    @property
    def usual_pending(self) -> int:
        """So many transactions may be pending where only honest clients are at work, or a second's worth of them."""
        return 2 * self.clients if self.rate is None else round(self.rate) + self.clients


def run(hostile: Hostile, setup: Setup) -> dict[str, Any]:
    """Measures and judges one; its row of `results`. Raises `BftLedgerError`."""
    everybody = [ReplicaId(i) for i in range(setup.replicas)]
    with (
        setup.home(_name(hostile)) as home,
        tempfile.TemporaryDirectory(prefix="bftledger-receipts-") as receipts,
    ):
        with running_group(home) as group, Watch(home, everybody) as watch:
            with (
                _Process(_job(hostile, setup, home)) as process,
                endless_load(group, setup.load(Path(receipts))) as load,
            ):
                clean_s, attacked_s, after_s, control_s = setup.parts_s
                looks = {"before": _look(group)}
                load.sleep_until(clean_s)
                looks["clean"] = _look(group)
                did = process.attack(attacked_s)
                looks["attacked"] = _look(group)
                load.sleep_until(did.ended_s - load.start_s + after_s)
                looks["after"] = _look(group)
                drained_s = _drain(group, setup.usual_pending, did.ended_s)
                looks["drained"] = _look(group)
                burnt = process.burn(did.cpu_share, control_s)
                looks["control"] = _look(group)
                measured = load.finish()
            settle(group)
            sights = watch.sights
        happened = list(events(sights, home.genesis.group, ()))
        course = Course(views=max((sight.view for sight in sights), default=View(0)))
        return row(
            Run(
                hostile=hostile,
                measured=measured,
                bucket_s=setup.bucket_s,
                did=did,
                burnt=burnt,
                looks=looks,
                drained_s=drained_s,
                happened=happened,
                counters=_counters(home),
                verdict=judge(home, everybody, Path(receipts), measured, course),
            )
        )


def _job(hostile: Hostile, setup: Setup, home: Home) -> Job:
    return Job(
        home=str(home.path),
        kind=hostile.kind.name,
        at=list(setup.targets()),
        connections=hostile.connections,
        rate=hostile.rate,
        seed=setup.seed,
    )


def _name(hostile: Hostile) -> str:
    """Of the home of its run."""
    return f"{hostile.kind.name}-{hostile.connections}" + ("" if hostile.rate is None else f"-{hostile.rate:g}")


def _look(group: LocalGroup) -> Look:
    """Takes some milliseconds, the sooner part of which is the processor time."""
    at_s, pids = time.monotonic(), group.pids
    used = group.cpu_s()
    return Look(
        at_s=at_s,
        cpu_s={replica: used[pid] for replica, pid in pids.items() if pid in used},
        memory={replica: Memory.of(pid) for replica, pid in pids.items()},
    )


def _drain(group: LocalGroup, usual: int, since_s: float) -> float | None:
    """Waits until no replica that answers has more pending; seconds since then. None: it took too long."""
    deadline = time.monotonic() + _DRAINED_S
    while (now := time.monotonic()) < deadline:
        said = [answer for answer in group.status().values() if answer is not None]
        if len(said) >= group.home.genesis.group.quorum and all(answer.pending <= usual for answer in said):
            return now - since_s
        time.sleep(_POLL_S)
    return None


def _counters(home: Home) -> dict[str, int]:
    """What all replicas together refused, dropped or ignored in the run, as they said when they were stopped."""
    found: Counter[str] = Counter()
    for replica in home.genesis.group.replicas:
        begin = f"replica {replica}: "
        for line in home.log_path(replica).read_text().splitlines():
            said = line.removeprefix(begin)
            if line.startswith(begin) and not said.startswith("stopped "):
                found.update(counted(said))
    return dict(sorted(found.items()))


def counted(said: str) -> dict[str, int]:
    """The counters in what a replica says (`node.driver.count`); what is none is left out."""
    parts = (part.rpartition(" ") for part in said.split(", "))
    return {what: int(times) for what, _, times in parts if what and times.isdecimal()}


class _Process:
    """The hostile client's process, ready on entering; killed at the end of the `with` block if it has not ended."""

    def __init__(self, job: Job) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bftledger.bench.hostile_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(asdict(job))

    def attack(self, seconds: float) -> Did:
        """It is hostile for so long; returns when that is over. Raises `BftLedgerError`."""
        return self._do(seconds, {})

    def burn(self, share: float, seconds: float) -> Did:
        """It takes that share of the processors' time for so long. Raises `BftLedgerError`."""
        return self._do(seconds, {"share": share})

    def _do(self, seconds: float, how: dict[str, Any]) -> Did:
        begin = time.monotonic() + _LEAD_S
        self._say({"begin": begin, "end": begin + seconds, **how})
        return Did(**self._hear())

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is nothing to hear either
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BftLedgerError(f"the hostile client ended with status {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        if "error" in heard:
            raise OperatorError(str(heard["error"]))
        return heard

    def __enter__(self) -> "_Process":
        try:
            self._hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
