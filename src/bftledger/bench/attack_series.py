"""The runs of a command, in which order, what is known of them already, and the result that they make."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.bench import machine
from bftledger.bench.attack import Misplaced
from bftledger.bench.attack_plan import HONEST, Attack
from bftledger.bench.attack_repeats import combined, runs_of
from bftledger.bench.results import Result, Setting, read, say

_MACHINE: Final = ("cpu", "cores", "memory_gb", "system", "filesystem")
"""What tells one machine from another; the rest of `machine` is how busy it was."""

_MORE: Final = frozenset({"repeat", "controls"})
"""Of `config`: how many runs there are, of which there may be more the next time."""

_OTHERWISE: Final = "leave out --resume, or name another file"


def order(wanted: Sequence[Attack], *, repeat: int, controls: int) -> Iterator[tuple[Attack, int]]:
    """The runs, each with how often there was such a one, itself included.

    So many rounds over all that is wanted, with so many controls spread over each round: what disturbs the machine for
    a while disturbs one run of many behaviours, not all runs of one.
    """
    honest = 0
    for number in range(1, repeat + 1):
        for place, attack in enumerate(wanted):
            for control in range(controls):
                if control * len(wanted) // controls == place:
                    honest += 1
                    yield HONEST, honest
            yield attack, number


class Series:
    """What was measured so far, and what could not be. `known`: the result of an earlier command to go on with."""

    def __init__(self, setting: Setting, known: Result | None = None) -> None:
        self._setting = setting
        self._runs: dict[str, list[Mapping[str, Any]]] = {}
        self.failed: list[dict[str, Any]] = []
        for row in [*known["results"], *known["controls"]] if known else []:
            self._runs[row["behaviour"]] = [*runs_of(row)]

    def has(self, attack: Attack, number: int) -> bool:
        """Whether there are so many runs of it."""
        return len(self._runs.get(attack.name, ())) >= number

    def add(self, attack: Attack, run: Mapping[str, Any]) -> None:
        """A run was measured."""
        self._runs.setdefault(attack.name, []).append(run)

    def fail(self, attack: Attack, error: Exception) -> None:
        """A run could not be measured, or counts as if: its traitors were `misplaced`."""
        self.failed.append(
            {"behaviour": attack.name, "error": str(error), "misplaced": isinstance(error, Misplaced)},
        )

    @property
    def is_empty(self) -> bool:
        """Whether no attack was measured."""
        return not self._rows(is_control=False)

    def result(self) -> Result:
        """All of it. `controls`: one row of all honest runs, or none."""
        return self._setting.result(
            self._rows(is_control=False), controls=self._rows(is_control=True), not_measured=self.failed
        )

    def _rows(self, *, is_control: bool) -> list[dict[str, Any]]:
        return [combined(runs) for name, runs in self._runs.items() if (name == HONEST.name) == is_control]


def known(path: Path, setting: Setting) -> Result | None:
    """The result in that file, if there is one; it must be of the same options, sources, versions and machine.

    Raises `OperatorError` if it is not: what was measured with something else is no part of this.
    """
    if not path.is_file():
        return None
    before = read(path)
    if (reason := _differs(before, setting)) is not None:
        raise OperatorError(f"{path}: was measured {reason}: {_OTHERWISE}")
    if (before["commit"] or "").endswith("+"):
        say(f"{path}: was measured with changed sources of {before['commit']}; whether they are the same is not known")
    return before


def _differs(before: Result, setting: Setting) -> str | None:
    if before["bench"] != setting.bench or before["seed"] != setting.seed:
        return "with other options"
    if _options(before["config"]) != _options(setting.config):
        return "with other options"
    if "controls" not in before:
        return "by an earlier version of this script"
    here = machine.commit()
    if before["commit"] != here:
        return f"at commit {before['commit'] or 'unknown'}, and these sources are {here or 'of no checkout'}"
    for name, version in machine.versions().items():
        if before["versions"].get(name) != version:
            return f"with {name} {before['versions'].get(name)}, and this is {version}"
    for name in _MACHINE:
        if before["machine"][name] != setting.machine[name]:
            return f"on another machine ({name} {before['machine'][name]}, here {setting.machine[name]})"
    return None


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _MORE}
