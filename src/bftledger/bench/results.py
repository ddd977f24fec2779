"""The form of every result: one JSON object that says what was measured, where, with what, and what came of it.

bench         the name of the benchmark
when          its end, UTC
commit        the git commit of sources and scripts when it began, `+` behind it if they differed from it then, or
              were changed, or moved to another, until the end; null outside a checkout
seed          of everything decided by chance
calibration   Ed25519 verifications per second on one core of the machine
calibrations  the same, SQLite commits per second, and the microseconds of a ZeroMQ round trip
ceiling_tx_per_s  cores × calibration / n: what replicas that share the machine cannot pass
machine, versions, config   where, with which software, and with what settings; `machine.busy_before` is the share of
              the cores that was busy right before the calibration, null if nobody looked
results       one object per row of the table, and more by the benchmark
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bftledger.base.errors import OperatorError
from bftledger.bench import machine
from bftledger.bench.calibration import Calibration
from bftledger.bench.quiet import until_quiet
from bftledger.home.home import Home

Result = dict[str, Any]


def _commit_now() -> str | None:
    """For `Setting`, in which `machine` is a field."""
    return machine.commit()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a benchmark knows before it begins. `config`: what its options say; `replicas` of them share the machine."""

    bench: str
    seed: int
    replicas: int
    calibration: Calibration
    machine: Mapping[str, Any]
    config: Mapping[str, Any]
    commit: str | None = field(default_factory=_commit_now)
    """When it began: the processes that are measured are started from the sources until the end."""

    @classmethod
    def take(cls, bench: str, *, seed: int, replicas: int, directory: Path, config: Mapping[str, Any]) -> "Setting":
        """Calibrates, which takes about two seconds; `directory` is on the file system that is measured.

        Before that it waits until the machine is quiet, as `quiet.patience` says.
        """
        begun = _commit_now()
        busy = until_quiet(say)
        return cls(
            bench=bench,
            seed=seed,
            replicas=replicas,
            machine=machine.machine(directory) | {"busy_before": None if busy is None else round(busy, 3)},
            calibration=Calibration.measure(directory),
            config=config,
            commit=begun,
        )

    @property
    def line(self) -> str:
        """The calibration, for people."""
        found = self.calibration
        return (
            f"calibration: {found.ed25519_verifications_per_s:,.0f} Ed25519 verifications/s, "
            f"{found.store_commits_per_s:,.0f} store commits/s ({self.machine['filesystem']}), "
            f"ZeroMQ round trip {found.zeromq_round_trip_us:.0f} µs, one core each; "
            f"{self.machine['cores']} cores / {self.replicas} replicas: "
            f"at most {found.ceiling_tx_per_s(self.replicas):,.0f} tx/s"
        )

    def result(self, results: Sequence[Mapping[str, Any]], **more: Any) -> Result:
        """The whole object, `more` beside the rows."""
        return {
            "bench": self.bench,
            "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "commit": _as_begun(self.commit, _commit_now()),
            "seed": self.seed,
            "calibration": self.calibration.ed25519_verifications_per_s,
            "calibrations": self.calibration.document(),
            "ceiling_tx_per_s": round(self.calibration.ceiling_tx_per_s(self.replicas), 1),
            "machine": dict(self.machine),
            "versions": machine.versions(),
            "config": dict(self.config),
            "results": [dict(row) for row in results],
            **more,
        }


def _as_begun(begun: str | None, now: str | None) -> str | None:
    return begun if begun is None or begun == now else begun.removesuffix("+") + "+"


def group_config(home: Home) -> dict[str, Any]:
    """What there is to say about the group itself."""
    return {
        "replicas": home.genesis.group.n,
        "app": home.genesis.app,
        "durable": "SQLite, WAL, synchronous=FULL: every vote and block before what depends on it is sent",
        "protocol": asdict(home.config.protocol),
    }


def document(result: Result) -> str:
    """The object as JSON."""
    return json.dumps(result, indent=1, ensure_ascii=False)


def write(result: Result, to: str) -> None:
    """Writes the object as JSON to that file, or to standard output if `to` is "-". Raises `OperatorError`."""
    if to == "-":
        print(document(result))
        return
    try:
        Path(to).write_text(document(result) + "\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{to}: cannot be written: {error.strerror}") from None


def check_writable(path: Path) -> None:
    """Raises `OperatorError` if no file can be written there, as far as can be known before. All stays as it is."""
    try:
        if path.is_file() or path.is_dir():
            os.close(os.open(path, os.O_WRONLY))  # neither made nor emptied
        elif not path.exists():  # what is a pipe or a device is not touched before it is used
            with tempfile.TemporaryFile(dir=path.resolve().parent):
                pass
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written: {error.strerror}") from None


def read(path: Path) -> Result:
    """A result that was written before. Raises `OperatorError` if it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or "bench" not in found or "results" not in found:
        raise OperatorError(f"{path}: is no result of a benchmark")
    return found


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
