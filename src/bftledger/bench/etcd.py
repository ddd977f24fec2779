"""A local etcd cluster as a `System`: three nodes on loopback over plain HTTP, as etcd is by default, fsync included.

Needs an `etcd` on PATH and grpcio (the extra `compare`); nothing else of this project does. The clients talk to the
leader: a put that a follower gets costs etcd one message more.
"""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.bench.clients import Seen
from bftledger.bench.etcd_clients import Job
from bftledger.bench.group import cpu_s_of
from bftledger.bench.measured import Load, Measured
from bftledger.bench.protobuf import MAX_TXN_OPERATIONS
from bftledger.home.addresses import local_addresses

NODES: Final = 3
"""The fewest that survive the crash of one."""

_READY_S: Final = 30.0
_POLL_S: Final = 0.05
_GRACE_S: Final = 2.0
_QUOTA_BYTES: Final = 8 * 1024**3
"""Of what a node keeps; etcd's default of 2 GiB is full after some tens of seconds of large transactions, and it then
refuses every put."""

_LEAD_S: Final = 0.05
"""What the clients are to do is announced so long before it."""


class Etcd:
    """Implements `System`."""

    name = "etcd"
    guarantees = (
        "crash faults only: (n-1)/2 of n nodes may stop, none may lie; no signatures; "
        "fsync before every vote; the answer of one node is the proof"
    )

    def __init__(self) -> None:
        self._binary = shutil.which("etcd")
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._addresses: list[str] = []
        self._directory = Path()

    def missing(self) -> str | None:
        if self._binary is None:
            return "etcd is not installed: there is none on PATH"
        if find_spec("grpc") is None:
            return "its clients need grpcio: pip install 'bftledger[compare]'"
        return None

    def start(self, directory: Path) -> None:
        assert self._binary is not None, "it is not missing"
        directory.mkdir(parents=True)
        self._directory = directory
        found = local_addresses(NODES)
        self._addresses = [one.client.removeprefix("tcp://") for one in found]
        peers = [one.peer.replace("tcp://", "http://") for one in found]
        cluster = ",".join(f"node-{i}={peer}" for i, peer in enumerate(peers))
        for i, peer in enumerate(peers):
            client = f"http://{self._addresses[i]}"
            arguments = {
                "name": f"node-{i}",
                "data-dir": str(directory / f"node-{i}"),
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "initial-cluster": cluster,
                "quota-backend-bytes": str(_QUOTA_BYTES),
                "logger": "zap",
                "log-level": "error",
            }
            command = [self._binary, *(f"--{name}={value}" for name, value in arguments.items())]
            self._nodes.append(_tied(command, self._log(i)))
        self._leader()

    def run_load(self, load: Load) -> Measured:
        job = Job(
            address=self._leader(),
            clients=load.clients,
            size=load.size,
            operations=load.operations,
            seed=load.seed,
            timeout_s=load.timeout_s,
        )
        with _Clients(job) as clients:
            clients.hear()
            begin = time.monotonic() + _LEAD_S
            start = begin + max(load.warmup_s, _LEAD_S)
            clients.say({"begin": begin, "start": start, "end": start + load.seconds})
            time.sleep(max(0.0, start - time.monotonic()))
            before = self._cpu_s()
            time.sleep(max(0.0, start + load.seconds - time.monotonic()))
            after = self._cpu_s()
            seen = Seen.from_json(clients.hear())
        self._check()
        used: list[float | None] = [end - begun for begun, end in zip(before, after, strict=True)]
        measured = Measured.of(load, start, [seen], replicas_cpu_s=used, marks=[])
        if not measured.latencies_ms:
            raise OperatorError(f"etcd, {load}: nothing was put within {load.seconds:g} s: {measured.failed}")
        return measured

    def stop(self) -> None:
        for node in self._nodes:
            node.kill()  # what it acknowledged is on disk, and goes with the directory
        for node in self._nodes:
            node.wait()
        self._nodes.clear()

    def facts(self) -> dict[str, Any]:
        assert self._binary is not None, "it is not missing"
        said = subprocess.run(
            [self._binary, "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
        flags = "defaults, but for names, addresses, directories, the log and the quota; the clients talk to the leader"
        return {"version": said.splitlines()[0].rpartition(" ")[2], "nodes": NODES, "flags": flags}

    # ── nodes ──

    def _log(self, node: int) -> Path:
        return self._directory / f"node-{node}.log"

    def _leader(self) -> str:
        """Where the leader takes clients, as soon as all nodes agree who it is. Raises `OperatorError`."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            self._check()
            said = [_status(address) for address in self._addresses]
            leaders = {one["leader"] if one else None for one in said}
            if len(leaders) == 1 and (leader := leaders.pop()):
                for address, one in zip(self._addresses, said, strict=True):
                    if one and one["member"] == leader:
                        return address
            time.sleep(_POLL_S)
        raise OperatorError(f"the etcd nodes have no leader after {_READY_S:g} s")

    def _check(self) -> None:
        """Raises `OperatorError` if a node has ended, with what it said last."""
        for i, node in enumerate(self._nodes):
            if (status := node.poll()) is not None:
                raise OperatorError(f"etcd node {i} ended with status {status}: {_last_line(self._log(i))}")

    def _cpu_s(self) -> list[float]:
        return [cpu_s_of(node.pid) or 0.0 for node in self._nodes]


class BatchedEtcd:
    """The same nodes, and so many operations in each of etcd's transactions: one entry of the log for all of them."""

    def __init__(self, etcd: Etcd, operations: int) -> None:
        self._etcd = etcd
        self._operations = operations
        self.name = f"{etcd.name}, {operations} operations in a Txn"
        self.guarantees = f"as {etcd.name}; the {operations} operations take effect together or not at all"

    def missing(self) -> str | None:
        if self._operations > MAX_TXN_OPERATIONS:
            return f"etcd takes {MAX_TXN_OPERATIONS} operations in a transaction at most"
        return self._etcd.missing()

    def start(self, directory: Path) -> None:
        """The nodes are the other's."""

    def run_load(self, load: Load) -> Measured:
        return self._etcd.run_load(replace(load, operations=self._operations))

    def stop(self) -> None:
        """The nodes are the other's."""

    def facts(self) -> dict[str, Any]:
        return self._etcd.facts()


class _Clients:
    """The clients' process; killed at the end of the `with` block if it has not ended."""

    def __init__(self, job: Job) -> None:
        command = [sys.executable, "-m", "bftledger.bench.etcd_clients"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.say(asdict(job))

    def say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then there is nothing to hear either
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OperatorError(f"the process with etcd's clients ended with status {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def __enter__(self) -> "_Clients":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        self._process.kill()
        self._process.communicate()


def _tied(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A process of that program, which ends when this one does, what it says in `log`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    with log.open("ab") as to:
        return subprocess.Popen(
            [sys.executable, "-m", "bftledger.bench.tied", *command],
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=to,
            env=environment,
            start_new_session=True,  # Ctrl-C is for whoever started it
        )


def _status(address: str) -> dict[str, str] | None:
    """What a node says of itself: its own id and the leader's; None if it does not answer or knows no leader."""
    connection = http.client.HTTPConnection(address, timeout=1.0)
    try:
        connection.request("POST", "/v3/maintenance/status", "{}")
        said = json.loads(connection.getresponse().read())
        return {"member": said["header"]["member_id"], "leader": said["leader"]}
    except (OSError, http.client.HTTPException, ValueError, LookupError):
        return None
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
