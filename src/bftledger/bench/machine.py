"""Where a result was measured, and with which versions."""

import os
import platform
import sqlite3
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import zmq

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""Of a container (cgroup v2): microseconds of processor time in each period, or `max`, and the period."""


def cores() -> int:
    """How many cores this process, and so all that it starts, may use; of a quota a part of a core counts as one."""
    allowed = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = _QUOTA.read_text().split()
        if quota != "max":
            return min(allowed, max(1, -(-int(quota) // int(period))))
    return allowed


def machine(directory: Path) -> dict[str, Any]:
    """The hardware and its system; `directory` is where the ledgers are."""
    return {
        "cores": cores(),
        "cpu": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "filesystem": _filesystem(directory),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Of everything that has a part in the figures."""
    return {
        "bftledger": version("bftledger"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libzmq": zmq.zmq_version(),
        **{name: version(name) for name in ("PyNaCl", "pyzmq", "cbor2")},
    }


def commit() -> str | None:
    """The git commit of this package's sources, `+` behind it if they or scripts differ; None outside a checkout."""
    source = Path(__file__).parents[1]
    with suppress(OSError, subprocess.SubprocessError):
        _git(source, "ls-files", "--error-unmatch", "__init__.py")  # not of a project that merely has it installed
        head = _git(source, "rev-parse", "HEAD")
        return head + ("+" if _git(source, "status", "--porcelain", "--", ".", ":(top)bench/*.py") else "")
    return None


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(path: Path) -> str:
    """The type of the file system that holds `path`: what is durable on tmpfs is durable nowhere."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, this_kind, *_ = line.split()
        if path.resolve().is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, this_kind
    return kind
