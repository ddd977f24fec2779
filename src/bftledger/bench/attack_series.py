"""The runs of a command, in which order, what is known of them already, and the result that they make."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.bench import machine
from bftledger.bench.attack import Misplaced
from bftledger.bench.attack_plan import Attack, control
from bftledger.bench.attack_repeats import combined, runs_of
from bftledger.bench.attack_sweep import Curve, points
from bftledger.bench.results import Result, Setting, read, say

_MACHINE: Final = ("cpu", "cores", "memory_gb", "system", "filesystem")
"""What tells one machine from another; the rest of `machine` is how busy it was."""

_MORE: Final = frozenset({"repeat", "controls"})
"""Of `config`: how many runs there are, of which there may be more the next time."""

_OTHERWISE: Final = "leave out --resume, or name another file"


def order(wanted: Sequence[Attack], *, repeat: int, controls: int) -> Iterator[tuple[Attack, int]]:
    """The runs, each with how often there was such a one, itself included.

    So many rounds over all that is wanted, with so many controls spread over each round, of each occasion that some of
    them need: what disturbs the machine for a while disturbs one run of many behaviours, not all runs of one.
    """
    honest = [control(occasion) for occasion in dict.fromkeys(attack.occasion for attack in wanted)]
    for number in range(1, repeat + 1):
        for place, attack in enumerate(wanted):
            for one in range(controls):
                if one * len(wanted) // controls == place:
                    yield from ((each, (number - 1) * controls + one + 1) for each in honest)
            yield attack, number


class Series:
    """What was measured so far, and what could not be. `known`: the result of an earlier command to go on with.

    `curves`: the sweeps; what only these want (not `wanted`, names of runs) is in `sweep` of the result, all else in
    its `results`.
    """

    def __init__(
        self,
        setting: Setting,
        known: Result | None = None,
        *,
        curves: Sequence[Curve] = (),
        wanted: Collection[str] = (),
    ) -> None:
        self._setting = setting
        self._curves = curves
        self._wanted = {*wanted, *(row["behaviour"] for row in known["results"])} if known else {*wanted}
        self._runs: dict[str, list[Mapping[str, Any]]] = {}
        self.failed: list[dict[str, Any]] = []
        for row in [*known["results"], *known["controls"], *points(known)] if known else []:
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
        return all(not row["traitors"] for row in self.rows.values())

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """All that there are, by the names of the runs."""
        return {name: combined(runs) for name, runs in self._runs.items()}

    def result(self) -> Result:
        """All of it. `controls`: a row of the honest runs of each occasion; `sweep`: an entry for each curve."""
        rows = self.rows
        swept = {attack.name for curve in self._curves for attack in curve.attacks()} - self._wanted
        return self._setting.result(
            [row for name, row in rows.items() if row["traitors"] and name not in swept],
            controls=[row for row in rows.values() if not row["traitors"]],
            sweep=[curve.document(rows) for curve in self._curves],
            not_measured=self.failed,
        )


def known(path: Path, setting: Setting) -> Result | None:
    """The result in that file, if there is one; it must be of the same options, sources, versions and machine.

    Raises `OperatorError` if it is not: what was measured with something else is no part of this.
    """
    if not path.is_file():
        return None
    before = read(path)
    try:
        reason = _differs(before, setting)
    except LookupError as error:
        raise OperatorError(f"{path}: is no result of this script as it is now: it lacks {error}") from None
    if reason is not None:
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
