"""What `bench/compare.py` compares: a protocol that anything can keep that takes puts, and this project's own group.

Another system is one class more: it says what it promises, starts its processes on a directory, is loaded with so many
closed-loop clients by a process of its own, and says what came of it as a `Measured`.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from bftledger.bench import machine
from bftledger.bench.group import LocalGroup, made_home, running_group
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load, Measured
from bftledger.bench.results import group_config


class System(Protocol):
    """One row of the table for each number of clients."""

    @property
    def name(self) -> str:
        """What the row is called."""
        ...

    @property
    def guarantees(self) -> str:
        """What an acknowledged operation is safe from, in one line: without it no two rows can be compared."""
        ...

    def missing(self) -> str | None:
        """Why it cannot be measured here, in one line; None if it can."""
        ...

    def start(self, directory: Path) -> None:
        """Starts its processes on loopback, what they keep in `directory`. Raises `BftLedgerError`."""
        ...

    def run_load(self, load: Load) -> Measured:
        """Measures one closed loop; `replicas_cpu_s` is of its server processes. Raises `BftLedgerError`."""
        ...

    def stop(self) -> None:
        """Ends its processes, also after a start that failed."""
        ...

    def facts(self) -> dict[str, Any]:
        """Version, number of nodes, and settings, for the result. Asked while it runs."""
        ...


class Ledger:
    """This project's group of replica processes, one operation in each transaction."""

    name = "bftledger"
    guarantees = (
        "Byzantine faults: f of 3f+1 nodes may lie; each operation signed by its client; fsync before every vote; "
        "a receipt with a quorum's signatures, which the client checks"
    )

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas
        self._stack = ExitStack()
        self._group: LocalGroup | None = None

    def missing(self) -> str | None:
        return None

    def start(self, directory: Path) -> None:
        home = self._stack.enter_context(made_home(directory, replicas=self._replicas, keep=False))
        self._group = self._stack.enter_context(running_group(home))

    def run_load(self, load: Load) -> Measured:
        measured = run_load(self.group, load)
        self.group.check()
        return measured

    def stop(self) -> None:
        self._stack.close()

    def facts(self) -> dict[str, Any]:
        return {"version": machine.versions()["bftledger"], "nodes": self._replicas, **group_config(self.group.home)}

    @property
    def group(self) -> LocalGroup:
        """The group, once it has been started."""
        assert self._group is not None, "it has been started"
        return self._group


class Batched:
    """The same group, and so many operations in each transaction: one signature and one receipt for all of them."""

    def __init__(self, ledger: Ledger, operations: int) -> None:
        self._ledger = ledger
        self._operations = operations
        self.name = f"bftledger, {operations} operations per signature"
        self.guarantees = f"as {ledger.name}; the {operations} operations take effect together or not at all"

    def missing(self) -> str | None:
        return None

    def start(self, directory: Path) -> None:
        """The group is the other's."""

    def run_load(self, load: Load) -> Measured:
        return self._ledger.run_load(replace(load, operations=self._operations))

    def stop(self) -> None:
        """The group is the other's."""

    def facts(self) -> dict[str, Any]:
        return {"version": machine.versions()["bftledger"], "nodes": self._ledger.facts()["nodes"]}
