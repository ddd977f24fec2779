"""Which branches of the protocol core a campaign has taken, measured on a part of its seeds.

Tracing costs ten times the run itself, so it is done for a few runs only, and only if the package `coverage` is there.
"""

import importlib.util
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bftledger.pbft.replica
from bftledger.sim.campaign import Source, Tally, run_seeds

CORE = Path(bftledger.pbft.replica.__file__).parent
"""The sources whose branches are counted."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """`missing`: branches of each file (line it leaves, line it leads to) that no run has taken; `total`: of all."""

    missing: dict[str, frozenset[tuple[int, int]]]
    total: int
    runs: int

    def merged(self, other: "Coverage") -> "Coverage":
        """What neither of two measurements has taken."""
        files = self.missing.keys() & other.missing.keys()
        missing = {name: self.missing[name] & other.missing[name] for name in sorted(files)}
        return Coverage(missing, self.total, self.runs + other.runs)

    @property
    def taken(self) -> int:
        """How many branches were taken."""
        return self.total - sum(len(arcs) for arcs in self.missing.values())

    def __str__(self) -> str:
        least = sorted(((len(arcs), name) for name, arcs in self.missing.items() if arcs), reverse=True)[:3]
        where = ", ".join(f"{count} in {name}" for count, name in least)
        share = self.taken / self.total if self.total else 1.0
        return f"{self.taken:,} of {self.total:,} in pbft ({share:.1%}), in {self.runs:,} runs" + (
            f"; never: {where}" if where else ""
        )

    def facts(self) -> dict[str, Any]:
        """For programs."""
        return {
            "branches": self.total,
            "taken": self.taken,
            "runs": self.runs,
            "missing": {name: sorted(arcs) for name, arcs in self.missing.items() if arcs},
        }


def is_available() -> bool:
    """Whether coverage can be measured here."""
    return importlib.util.find_spec("coverage") is not None


def covered_run(seeds: range, source: Source, keeps_traces: bool) -> tuple[Tally, float, Coverage | None]:
    """As `timed_run`, with the coverage; the processor time is not counted, as the tracer has most of it."""
    import coverage  # noqa: PLC0415  (only who measures needs it)

    meter = coverage.Coverage(data_file=None, branch=True, include=[str(CORE / "*.py")], config_file=False)
    meter.start()
    try:
        tally = run_seeds(seeds, source, keeps_traces=keeps_traces)
    finally:
        meter.stop()
    return tally, 0.0, _read(meter, len(seeds))


def _read(meter: Any, runs: int) -> Coverage:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        meter.json_report(outfile=str(path), ignore_errors=True)
        files = json.loads(path.read_text())["files"]
    missing = {
        Path(name).name: frozenset((line, to) for line, to in found["missing_branches"])
        for name, found in sorted(files.items())
    }
    return Coverage(missing, sum(found["summary"]["num_branches"] for found in files.values()), runs)
