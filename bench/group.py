"""The group under test: real replica processes on loopback, each with its own durable store, taken down at the end."""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.cli.up import wait_until_ready
from bftledger.client import AsyncClient
from bftledger.home.home import Home, init
from bftledger.home.template import Template
from bftledger.node.supervisor import GRACE_S, Supervisor

_PROFILED = Path(__file__).with_name("profiled.py")
_PREFIX = "bftledger-bench-"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(kw_only=True)
class LocalGroup:
    """A running group. `profile`: where the profiled replica leaves its profile when it stops, if one is."""

    home: Home
    supervisor: Supervisor
    pids: dict[ReplicaId, int] = field(default_factory=dict)
    profile: Path | None = None

    def cpu_s(self) -> list[float]:
        """The processor time that each replica has used so far, all its threads, user and system."""
        return [_cpu_s(pid) for pid in self.pids.values()]

    def check(self) -> None:
        """Raises `OperatorError` if a replica has ended, with what it said last."""
        self.supervisor.check_started()


@contextlib.contextmanager
def made_home(path: Path | None, *, replicas: int, keep: bool) -> Iterator[Home]:
    """A home with a group of so many: in `path`, made or found there, or in a new directory that goes unless `keep`.

    Raises `OperatorError` if what is in `path` is not such a group.
    """
    template = Template(name="bench", replicas=replicas)
    if path is not None and Home(path).exists:
        home = Home.open(path)
        if home.genesis.group.n != replicas or home.genesis.app != template.app:
            raise OperatorError(
                f"{path} holds {home.genesis.group.n} replicas with the application {home.genesis.app}, "
                f"not {replicas} with {template.app}: name another directory with --home"
            )
        yield home
    elif path is not None:
        yield init(path, template)
    elif keep:
        yield init(Path(tempfile.mkdtemp(prefix=_PREFIX)), template)
    else:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as directory:
            yield init(Path(directory), template)


@contextlib.contextmanager
def running_group(home: Home, profiled: int | None) -> Iterator[LocalGroup]:
    """The group of `home`, all its replicas ready; `profiled` runs under cProfile, which makes it slower.

    Raises `OperatorError` if a replica did not stay up.
    """
    with Supervisor(home) as supervisor, contextlib.ExitStack() as stack:
        group = LocalGroup(home=home, supervisor=supervisor)
        for replica in supervisor.replicas:
            if replica == profiled:
                group.profile = home.run_path / f"replica-{replica}.prof"
                group.pids[replica] = stack.enter_context(_profiled_replica(home, replica, group.profile))
            else:
                group.pids[replica] = supervisor.start(replica)
        asyncio.run(_ready(supervisor))
        yield group
        group.check()


async def _ready(supervisor: Supervisor) -> None:
    async with AsyncClient.open(supervisor.home) as client:
        await wait_until_ready(client, supervisor)


@contextlib.contextmanager
def _profiled_replica(home: Home, replica: ReplicaId, profile: Path) -> Iterator[int]:
    command = [sys.executable, str(_PROFILED), str(profile), "--home", str(home.path), "replica", "--id", str(replica)]
    with home.log_path(replica).open("ab") as log:
        process = subprocess.Popen(
            [*command, "--exit-with-parent"], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _cpu_s(pid: int) -> float:
    """User and system time of all threads (proc(5): fields 14 and 15 of stat; the name in field 2 may hold spaces)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
