"""A group of real processes for one test: started, killed and restarted one by one, and none of them left behind.

Each replica is what an operator runs, `python -m bftledger --home H replica --id I`, with its log in a file. It ends
with its standard input, so that not even a test runner that is killed leaves one. Waiting is asking the group how it
is, until it says what is waited for or the deadline has come.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.ids import ReplicaId, Seq
from bftledger.client import AsyncClient
from bftledger.home.home import Home, init
from bftledger.home.template import Template
from bftledger.ledger.client_messages import StatusReply
from bftledger.pbft.settings import Settings
from bftledger.storage.audit import audit_store
from bftledger.storage.report import AuditReport

DEADLINE_S: Final = 30.0
"""Nothing that is waited for takes nearly so long; who waits longer has found a defect."""

ALL: Final = tuple(ReplicaId(i) for i in range(4))
QUORUM: Final = 3
IN_STEP: Final = 16
"""Replicas whose heights differ by no more are busy, not behind."""

_POLL_S: Final = 0.02

Statuses = dict[ReplicaId, StatusReply]


def signer(name: str) -> Ed25519Signer:
    """Somebody's key; the same name is the same key."""
    return Ed25519Signer(hashlib.sha256(name.encode()).digest())


class Processes:
    """A group of four in a home of its own; leaving the block kills what still runs."""

    def __init__(self, path: Path, protocol: Settings | None = None, *, name: str = "processes") -> None:
        self.home: Final = init(path, Template(name=name, protocol=protocol or Settings()))
        self._running: Final[dict[ReplicaId, subprocess.Popen[bytes]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        ended = [replica for replica, process in self._running.items() if process.poll() is not None]
        self.kill(*self._running)
        assert not ended, f"replicas {ended} ended by themselves"

    # ── processes ──

    def start(self, *replicas: int) -> None:
        """Starts these replicas, all if none is named. They are not ready yet: see `Observer`."""
        for replica in replicas or ALL:
            self._launch(replica, command(self.home, replica))

    def start_traitor(self, replica: int, *behaviours: str) -> None:
        """Starts what lies in this replica's place, in these ways."""
        adversary = [sys.executable, "-m", "bftledger.cli.adversary", "--home", str(self.home.path)]
        told = [word for behaviour in behaviours for word in ("--behaviour", behaviour)]
        self._launch(replica, [*adversary, "replica", "--id", str(replica), *told])

    def _launch(self, replica: int, words: list[str]) -> None:
        assert replica not in self._running, f"replica {replica} runs"
        self.home.make_directories(replica)
        with self.home.log_path(replica).open("ab") as log:
            self._running[ReplicaId(replica)] = subprocess.Popen(
                [*words, "--exit-with-parent"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "BFTLEDGER_DEBUG": "1"},  # a defect's traceback goes to the log
            )

    def kill(self, *replicas: int) -> None:
        """SIGKILL to all of these at once; returns when they have ended."""
        processes = [self._running.pop(ReplicaId(replica)) for replica in tuple(replicas)]
        for process in processes:
            process.kill()
        for process in processes:
            _await_end(process)

    def stop(self, replica: int) -> int:
        """SIGTERM; the exit status."""
        process = self._running.pop(ReplicaId(replica))
        process.terminate()
        try:
            return _await_end(process)
        except subprocess.TimeoutExpired:
            process.kill()
            _await_end(process)
            raise AssertionError(f"replica {replica} did not stop") from None

    @property
    def running(self) -> tuple[ReplicaId, ...]:
        """The replicas that were started and neither killed nor stopped."""
        return tuple(self._running)

    def pid(self, replica: int) -> int:
        """The process id of a replica that runs."""
        return self._running[ReplicaId(replica)].pid

    def log(self, replica: int) -> str:
        """All that the replica has said, in all its lives."""
        with contextlib.suppress(FileNotFoundError):
            return self.home.log_path(replica).read_text(errors="replace")
        return ""

    # ── clients ──

    def client(self, name: str = "alice", *, timeout: float = DEADLINE_S) -> AsyncClient:
        """A client that signs with `name`'s key; connects in `async with`."""
        addresses = [replica.client for replica in self.home.config.replicas]
        patience = self.home.config.protocol.request_timeout_ms / 1_000
        return AsyncClient(self.home.genesis, addresses, signer(name), timeout=timeout, patience=patience)

    # ── stores of replicas that do not run ──

    def audit(self, *replicas: int) -> tuple[AuditReport, ...]:
        """The audits of these replicas' stores, of all if none is named."""
        genesis = self.home.genesis
        machine = load_machine(genesis.app, genesis.app_params)
        return tuple(
            audit_store(self.home.ledger_path(i), genesis, Ed25519Verifier(), machine, ReplicaId(i))
            for i in replicas or ALL
        )


def command(home: Home, replica: int) -> list[str]:
    """The command line that runs a replica in the foreground."""
    return [sys.executable, "-m", "bftledger", "--home", str(home.path), "replica", "--id", str(replica)]


def refusal(home: Home, replica: int) -> str:
    """What a replica that does not start says on standard error; it says that only, and fails."""
    environment = {name: value for name, value in os.environ.items() if name != "BFTLEDGER_DEBUG"}
    ended = subprocess.run(
        command(home, replica),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment,
        check=False,
    )
    assert ended.returncode == 1, f"exit status {ended.returncode}: {ended.stderr}"
    assert ended.stdout == ""
    assert ended.stderr.endswith("\n")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


class Observer:
    """Asks a running group how it is, through a client of its own."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._client = processes.client("observer")

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def until(self, condition: Callable[[Statuses], bool], what: str) -> Statuses:
        """How the replicas are once `condition` holds of that; those that do not answer are not in it."""
        deadline = time.monotonic() + DEADLINE_S
        statuses: Statuses = {}
        while time.monotonic() < deadline:
            answers = await self._client.status(0.25)
            statuses = {replica: status for replica, status in answers.items() if status is not None}
            if condition(statuses):
                return statuses
            await asyncio.sleep(_POLL_S)
        raise AssertionError(f"waited {DEADLINE_S} s in vain until {what}: {statuses}")

    async def ready(self, *replicas: int) -> Statuses:
        """Waits until these replicas (all that run, if none is named) are in step and a quorum in one view."""
        wanted = [ReplicaId(i) for i in replicas or self._processes.running]
        return await self.until(lambda found: are_together(found, wanted), f"replicas {wanted} are together")

    async def level(self, height: int, *replicas: int) -> Statuses:
        """Waits until these replicas (all that run, if none is named) are together and have executed `height`."""
        wanted = [ReplicaId(i) for i in replicas or self._processes.running]
        return await self.until(
            lambda found: are_together(found, wanted) and all(found[i].executed >= height for i in wanted),
            f"replicas {wanted} have block {height}",
        )

    async def reaches(self, height: int, replica: ReplicaId) -> None:
        """Waits until this replica has executed `height`, whatever else becomes of it."""
        await self.until(
            lambda found: replica in found and found[replica].executed >= height,
            f"replica {replica} has block {height}",
        )

    async def settled(self) -> Seq:
        """Waits until nothing is under way at all that run, and returns their common height."""
        wanted = self._processes.running

        def is_settled(found: Statuses) -> bool:
            if not are_together(found, wanted):
                return False
            heights = {found[i].executed for i in wanted} | {found[i].stable for i in wanted}
            return len(heights) == 1 and not any(found[i].pending for i in wanted)

        found = await self.until(is_settled, f"nothing is under way at {wanted}")
        return found[wanted[0]].executed


def are_together(found: Statuses, replicas: Sequence[ReplicaId]) -> bool:
    """Whether all these answer and are in step, and a quorum of them is in one active view.

    One may be out of it: who lost patience alone waits for the others in the next view, and follows meanwhile.
    """
    if any(i not in found for i in replicas):
        return False
    heights = [found[i].executed for i in replicas]
    return (
        max(Counter(found[i].view for i in replicas if found[i].active).values(), default=0) >= QUORUM
        and max(heights) - min(heights) <= IN_STEP
        and all(found[i].executed >= found[i].stable for i in replicas)
    )


def primary_of(statuses: Statuses) -> ReplicaId:
    """The primary of the view that most are in."""
    ((primary, _),) = Counter(status.primary for status in statuses.values() if status.active).most_common(1)
    return primary


def deeds(group: Processes) -> set[str]:
    """The behaviours that deviated at least once, as the traitors said when they stopped."""
    said = "\n".join(group.log(i) for i in ALL)
    lists = re.findall(r"was a traitor; deviations: (.*)", said)
    return {item.rsplit(" ", 1)[0] for each in lists for item in each.split(", ")} - {"none"}


def _await_end(process: subprocess.Popen[bytes]) -> int:
    status = process.wait(DEADLINE_S)
    if process.stdin is not None:
        process.stdin.close()
    return status
