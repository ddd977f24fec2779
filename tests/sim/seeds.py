"""What failed once: the seeds of `tests/seeds.txt`, and in `tests/plans` the plans that they stood for then.

What a seed stands for changes with `sim.draw`; a plan that is written down does not.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bftledger.sim import handwritten
from bftledger.sim.draw import Choice
from bftledger.sim.plan import Plan

PATH = Path(__file__).parent.parent / "seeds.txt"
PLANS = PATH.parent / "plans"


class Line(NamedTuple):
    """A seed, how it is drawn, what it found, and where the plan is that it stood for then."""

    seed: int
    choice: Choice
    found: str
    plan: Path

    def __str__(self) -> str:
        return f"{self.seed} {self.found[:40]}"


def read() -> Iterator[Line]:
    """All lines. Raises `ValueError` for one that means nothing, so that none is skipped by mistake."""
    for line in PATH.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield _line(line)


def plan_of(path: Path) -> Plan:
    """The plan in that file. Raises `OperatorError` for one that `bftledger sim --plan` refuses, and `ValueError`."""
    plan = Plan.from_json(json.loads(path.read_text()))
    handwritten.check(plan)
    return plan


def _line(line: str) -> Line:
    words, _, found = line.partition("#")
    seed, *options = words.split()
    if not found.strip():
        raise ValueError(f"{line}: say what it found")
    plan = PLANS / ("-".join([f"{int(seed):06}", *re.findall(r"\w+", " ".join(options))]) + ".json")
    values: dict[str, object] = {}
    while options:
        match options:
            case ["--excess", *options]:
                values["excess"] = True
            case ["--collude", *options]:
                values["collude"] = True
            case ["--calm", *options]:
                values["calm"] = True
            case ["--ed25519", *options]:
                values["real_keys"] = True
            case ["--network", name, *options]:
                values["network"] = name
            case ["--replicas", sizes, *options]:
                values["sizes"] = tuple(int(size) for size in sizes.split(","))
            case ["--byzantine", named, *options]:
                name, _, count = named.rpartition(":")
                traitor = (name, int(count)) if count.isdigit() and name else (named, 1)
                values["traitors"] = (*values.get("traitors", ()), traitor)  # type: ignore[misc]
            case _:
                raise ValueError(f"{line}: unknown option {options[0]}")
    return Line(int(seed), Choice(**values), found.strip(), plan)  # type: ignore[arg-type]
