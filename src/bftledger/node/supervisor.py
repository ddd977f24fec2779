"""The local group's processes: each replica whose key is in the home, started, watched and taken down.

A group in the foreground dies with its supervisor, however that ends: each replica watches a pipe whose other end only
the supervisor holds. A detached group outlives it, and is found again through its pid files (`presence`).
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.home.files import reason
from bftledger.home.home import Home
from bftledger.node.presence import RunningReplica, last_line, running

GRACE_S: Final = 5.0
"""A replica that was asked to stop has so long; then it is killed."""


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    log_start: int


class Supervisor:
    """Starts and stops replicas of `home`; as a context manager, takes down what it started.

    `detached`: the replicas outlive this process unless `stop` is called.
    """

    def __init__(self, home: Home, *, detached: bool = False) -> None:
        """Raises `OperatorError` if the home holds no replica's key."""
        self.home = home
        self.replicas = home.replicas_here()
        if not self.replicas:
            raise OperatorError(f"{home.keys_path} holds no replica's key: this host runs none of the group")
        self._detached = detached
        self._children: dict[ReplicaId, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._detached:
            self.stop()

    def start(self, replica: ReplicaId, module: Sequence[str] = ("bftledger", "replica")) -> int:
        """Starts a replica and returns its process id; it is not ready yet. Raises `OperatorError`.

        `module`: the Python module that runs it and the arguments before `--home` and `--id`, for what measures.
        """
        self.home.make_directories(replica)
        path = self.home.log_path(replica)
        command = [sys.executable, "-m", *module, "--home", str(self.home.path), "--id", str(replica)]
        if not self._detached:
            command.append("--exit-with-parent")
        try:
            with path.open("ab") as log:
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL if self._detached else subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
                )
                self._children[replica] = _Child(child, log.tell())
        except OSError as error:
            raise OperatorError(f"replica {replica} cannot be started: {path}: {reason(error)}") from None
        return child.pid

    def start_missing(self) -> tuple[ReplicaId, ...]:
        """Starts every replica of this home that is not running, and returns them. Raises `OperatorError`."""
        missing = tuple(i for i in self.replicas if self.pid(i) is None)
        for replica in missing:
            self.start(replica)
        return missing

    def pid(self, replica: ReplicaId) -> int | None:
        """The process that runs `replica`, whoever started it; None if there is none."""
        child = self._children.get(replica)
        if child is not None and child.process.poll() is None:
            return child.process.pid
        return running(self.home, replica)

    @property
    def running(self) -> dict[ReplicaId, int]:
        """The process id of each replica that runs."""
        return {i: pid for i in self.replicas if (pid := self.pid(i)) is not None}

    def ended(self, replica: ReplicaId) -> str | None:
        """How a replica that this supervisor started came to its end, in its own last words; None if it has not."""
        child = self._children.get(replica)
        if child is None or (status := child.process.poll()) is None:
            return None
        said = last_line(self.home.log_path(replica), child.log_start).removeprefix("bftledger: ")
        if status < 0:
            return f"ended by {signal.Signals(-status).name}" + (f" after saying: {said}" if said else "")
        return said or f"ended with status {status}"

    def failed(self, replica: ReplicaId) -> bool:
        """Whether a replica that this supervisor started has ended otherwise than by being asked to."""
        child = self._children.get(replica)
        return child is not None and child.process.poll() not in (None, 0)

    def check_started(self) -> None:
        """Raises `OperatorError` with the reason of the first replica that was started and has ended."""
        for replica in self._children:
            if (how := self.ended(replica)) is not None:
                raise OperatorError(f"replica {replica} did not stay up: {how} (log: {self.home.log_path(replica)})")

    def kill(self, replica: ReplicaId) -> None:
        """SIGKILL to a replica that this supervisor started; returns when it has ended, and forgets it."""
        process = self._children.pop(replica).process
        process.kill()
        process.wait()
        self._forget(process)

    def stop_one(self, replica: ReplicaId, grace_s: float = GRACE_S) -> None:
        """Takes down a replica that this supervisor started, as `stop` does, and forgets it."""
        process = self._children.pop(replica).process
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._forget(process)

    def stop(self, grace_s: float = GRACE_S) -> tuple[ReplicaId, ...]:
        """Takes down all that it started: SIGTERM, and SIGKILL after `grace_s`. Returns those it had to kill.

        Signals that arrive meanwhile wait, so that a second Ctrl-C leaves no process behind.
        """
        killed = []
        with _uninterrupted():
            for child in self._children.values():
                child.process.terminate()
            deadline = time.monotonic() + grace_s
            for replica, child in self._children.items():
                try:
                    child.process.wait(max(deadline - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()
                    killed.append(replica)
                self._forget(child.process)
            self._children.clear()
        return tuple(killed)

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()


def stop_running(home: Home, grace_s: float = GRACE_S) -> tuple[tuple[ReplicaId, ...], tuple[ReplicaId, ...]]:
    """Takes down the replicas of `home` that run here, whoever started them: (all of them, those it had to kill).

    Raises `OperatorError` if one belongs to another user.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for replica in home.genesis.group.replicas:
            if (process := RunningReplica.find(home, replica)) is not None:
                stack.callback(process.close)
                found.append(process)
        for process in found:
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        late = [process for process in found if not process.wait(deadline - time.monotonic())]
        for process in late:
            process.send(signal.SIGKILL)
            process.wait(grace_s)
        return _ids(found), _ids(late)


def _ids(processes: Iterable[RunningReplica]) -> tuple[ReplicaId, ...]:
    return tuple(process.replica for process in processes)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
