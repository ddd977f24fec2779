"""The group under test: real replica processes on loopback, each with its own durable store, taken down at the end."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.client import AsyncClient
from bftledger.home.home import Home, init
from bftledger.home.template import Template
from bftledger.node.presence import running
from bftledger.node.readiness import Statuses, wait_until_ready
from bftledger.node.supervisor import Supervisor
from bftledger.pbft.settings import Settings

_PREFIX = "bftledger-bench-"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Module = Sequence[str]
"""A Python module that runs a replica, and its arguments before `--home DIR --id I --exit-with-parent`."""


class Group:
    """A group that runs already, whoever started it; not all its replicas need be on this host."""

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def pids(self) -> dict[ReplicaId, int]:
        """The processes of those of its replicas that run on this host."""
        return {i: pid for i in self.home.genesis.group.replicas if (pid := running(self.home, i)) is not None}

    def cpu_s(self) -> dict[int, float]:
        """By process id: the processor time that each has used so far, all its threads, user and system."""
        return {pid: used for pid in self.pids.values() if (used := cpu_s_of(pid)) is not None}

    def memory_bytes(self) -> dict[ReplicaId, int]:
        """What each replica on this host holds in memory now (VmRSS)."""
        return {replica: held for replica, pid in self.pids.items() if (held := _memory_bytes(pid)) is not None}

    def status(self) -> Statuses:
        """How each replica says it is."""
        return asyncio.run(_status(self.home))

    def check(self) -> None:
        """Raises `OperatorError` if a replica has ended that was not asked to, with what it said last."""


class LocalGroup(Group):
    """A group whose replicas this process started and will take down. `profile`: what the profiled replica leaves."""

    def __init__(self, home: Home, supervisor: Supervisor, profile: Path | None) -> None:
        super().__init__(home)
        self.supervisor = supervisor
        self.profile = profile

    @property
    def pids(self) -> dict[ReplicaId, int]:
        return self.supervisor.running

    def start(self, replica: ReplicaId, module: Module | None = None) -> int:
        """Starts a replica that does not run; its process id. It is not ready yet: see `wait_until_ready`."""
        return self.supervisor.start(replica) if module is None else self.supervisor.start(replica, module)

    def kill(self, replica: ReplicaId) -> None:
        """SIGKILL; returns when it has ended."""
        self.supervisor.kill(replica)

    def stop(self, replica: ReplicaId) -> None:
        """SIGTERM; returns when it has ended."""
        self.supervisor.stop_one(replica)

    def wait_until_ready(self) -> Statuses:
        """Returns when every replica answers and is in a view. Raises `OperatorError` if that takes 30 s."""
        return asyncio.run(_ready(self.supervisor))

    def check(self) -> None:
        self.supervisor.check_started()


@contextlib.contextmanager
def made_home(path: Path | None, *, replicas: int, keep: bool, protocol: Settings | None = None) -> Iterator[Home]:
    """A home with a group of so many: in `path`, made or found there, or in a new directory that goes unless `keep`.

    `protocol`: the settings of one that is made. Raises `OperatorError` if what is in `path` is not such a group.
    """
    template = Template(name="bench", replicas=replicas, protocol=protocol or Settings())
    if path is not None and Home(path).exists:
        home = Home.open(path)
        if home.genesis.group.n != replicas or home.genesis.app != template.app:
            raise OperatorError(
                f"{path} holds {home.genesis.group.n} replicas with the application {home.genesis.app}, "
                f"not {replicas} with {template.app}: name another directory with --home"
            )
        if protocol is not None and home.config.protocol != protocol:
            raise OperatorError(f"{path} has other [protocol] settings: name another directory with --home")
        yield home
    elif path is not None:
        yield init(path, template)
    elif keep:
        yield init(Path(tempfile.mkdtemp(prefix=_PREFIX)), template)
    else:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as directory:
            yield init(Path(directory), template)


@contextlib.contextmanager
def running_group(
    home: Home, *, profiled: int | None = None, instead: Mapping[ReplicaId, Module] | None = None
) -> Iterator[LocalGroup]:
    """The group of `home`, all its replicas ready, taken down at the end.

    `profiled` runs under cProfile, which makes it slower; `instead` says which replicas another module runs, such as
    ("bftledger.cli.adversary", "replica", "--behaviour", "equivocate"). Raises `OperatorError` if a replica did not
    stay up.
    """
    modules = dict(instead or {})
    profile = None
    if profiled is not None:
        replica = home.check_replica_id(profiled)
        home.make_directories(replica)
        profile = home.run_path / f"replica-{replica}.prof"
        modules[replica] = ("bftledger.bench.profiled", str(profile))
    with Supervisor(home) as supervisor:
        group = LocalGroup(home, supervisor, profile)
        for one in supervisor.replicas:
            group.start(one, modules.get(one))
        group.wait_until_ready()
        yield group
        group.check()


async def _ready(supervisor: Supervisor) -> Statuses:
    async with AsyncClient.open(supervisor.home) as client:
        return await wait_until_ready(client.status, supervisor)


async def _status(home: Home) -> Statuses:
    async with AsyncClient.open(home) as client:
        return await client.status()


def cpu_s_of(pid: int) -> float | None:
    """User and system time of all threads of a process; None if there is no such process.

    proc(5): fields 14 and 15 of stat; the name in field 2 may hold spaces.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _memory_bytes(pid: int) -> int | None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return None
