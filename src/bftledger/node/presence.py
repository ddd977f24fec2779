"""Which replicas of a home are running: a pid file each, locked for as long as its process lives.

The lock, not the number in the file, says that a process is alive: the kernel drops it with the process, however that
ends, so a file that was left behind names nobody, and a number that meanwhile is another program's is never signalled.
"""

import contextlib
import fcntl
import os
import select
import signal
import time
from pathlib import Path
from typing import Final, Self

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.home.files import make_directory, reason
from bftledger.home.home import Home

_PATIENCE_S: Final = 1.0
"""A predecessor that is just ending, or somebody who is just looking, may hold the lock for a moment."""

_RETRY_S: Final = 0.01


class Presence:
    """This process is replica `replica` of `home`: held from before its store is opened until after it is closed."""

    def __init__(self, home: Home, replica: ReplicaId) -> None:
        """Locks the pid file and writes this process's id. Raises `OperatorError` if the replica is running already."""
        path = home.pid_path(replica)
        make_directory(path.parent)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OperatorError(f"{path}: cannot be written: {reason(error)}") from None
        deadline = time.monotonic() + _PATIENCE_S
        while not _locked(self._descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                pid = _read_pid(self._descriptor)
                os.close(self._descriptor)
                named = f" (process {pid})" if pid else ""
                raise OperatorError(f"replica {replica} of {home.path} is running already{named}: stop it first")
            time.sleep(_RETRY_S)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """The replica is not running any more. May be called twice."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def running(home: Home, replica: ReplicaId) -> int | None:
    """The process id of a running replica, None if it is not running. Raises `OperatorError` if it cannot be told."""
    path = home.pid_path(replica)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read: {reason(error)}") from None
    try:
        # An empty file is left alone: its lock may be about to be taken.
        pid = _read_pid(descriptor)
        return pid if pid and not _locked(descriptor, fcntl.LOCK_SH) else None
    finally:
        os.close(descriptor)


class RunningReplica:
    """A handle on the running process of a replica that somebody else started; never one on its successor."""

    def __init__(self, replica: ReplicaId, pid: int, handle: int) -> None:
        self.replica = replica
        self.pid = pid
        self._handle = handle

    @classmethod
    def find(cls, home: Home, replica: ReplicaId) -> "RunningReplica | None":
        """The running process of `replica`, None if there is none. Raises `OperatorError` if it cannot be told."""
        pid = running(home, replica)
        if pid is None:
            return None
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        if running(home, replica) != pid:  # it ended in between: the handle may be on another program
            os.close(handle)
            return None
        return cls(replica, pid, handle)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal. Raises `OperatorError` if the process is another user's; nothing happens if it has ended."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            raise OperatorError(
                f"replica {self.replica} is process {self.pid} of another user: stop it as that user"
            ) from None

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after at most so long."""
        readable, _, _ = select.select([self._handle], [], [], max(seconds, 0))
        return bool(readable)

    def close(self) -> None:
        """Lets go of the handle; the process goes on."""
        with contextlib.suppress(OSError):
            os.close(self._handle)


def last_line(path: Path, start: int = 0) -> str:
    """The last line of text in a log after its first `start` bytes; empty if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(start, path.stat().st_size - 4096))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
