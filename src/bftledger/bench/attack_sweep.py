"""One behaviour at many strengths: where it begins to hurt, and how much a primary may do that is never replaced.

A primary that is much too slow is replaced within seconds, and one that is hardly slow costs little. The worst is just
below the limit from which it is replaced (`pbft.pace`: T/4 + `batch_wait_ms` + 4 agreements), so between the strongest
that kept its view and the weakest that lost it further ones are tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis
from bftledger.bench.attack_plan import Attack, Place, parse
from bftledger.bench.attack_repeats import Row
from bftledger.pbft.pace import AGREEMENTS
from bftledger.pbft.settings import Settings

PERCENT: Final = (5, 10, 20, 30, 40, 60, 90)
"""Of the request time-out T, for those that hold back."""

HALVINGS: Final = 2
"""So many more strengths are tried where a primary begins to be replaced."""

MOST_PERCENT: Final = 1_000
MOST_FRAMES: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A behaviour, and how strong it is to be, one run each.

    Strengths are percent of T if it `delays`, else frames to each replica every 100 ms.
    """

    behaviour: str
    strengths: tuple[int, ...]
    delays: bool
    in_ms: bool = False
    """It is told milliseconds, not percent."""

    @property
    def unit(self) -> str:
        """Of what is drawn (`value`)."""
        return "ms held back" if self.delays else "frames to each replica every 100 ms"

    def value(self, strength: int, settings: Settings) -> int:
        """What is drawn: milliseconds, or frames."""
        return strength * settings.request_timeout_ms // 100 if self.delays else strength

    def attack(self, strength: int, settings: Settings, *, faulty: int, place: Place | None = None) -> Attack:
        """The run. Raises `OperatorError` for a strength that there is not."""
        if strength > (MOST_PERCENT if self.delays else MOST_FRAMES):
            raise OperatorError(f"{self.behaviour} has no strength {strength}")
        told = self.value(strength, settings) if self.in_ms else strength
        attack = parse(f"{self.behaviour}:{told}:{faulty}", faulty)
        return replace(attack, place=place or attack.place)


SWEEPS: Final[Mapping[str, Sweep]] = {
    sweep.behaviour: sweep
    for sweep in (
        Sweep(behaviour="slow", strengths=PERCENT, delays=True),
        Sweep(behaviour="late", strengths=PERCENT, delays=True, in_ms=True),
        Sweep(behaviour="garbage", strengths=(3, 10, 30, 100, 300, 1_000, 3_000, MOST_FRAMES), delays=False),
        Sweep(behaviour="flood", strengths=(10, 30, 100, 300, 1_000, 3_000, MOST_FRAMES), delays=False),
    )
}
"""Those that have a strength, from what they do by default up to what they can be told."""


def parse_sweep(text: str) -> Sweep:
    """`NAME` or `NAME:STRENGTH,STRENGTH,…`. Raises `OperatorError`."""
    name, _, listed = text.partition(":")
    if name not in SWEEPS:
        raise OperatorError(f"{name!r} has no strength to sweep: take {', '.join(SWEEPS)}")
    if not listed:
        return SWEEPS[name]
    parts = listed.split(",")
    if not all(part.isascii() and part.isdecimal() and int(part) for part in parts):
        raise OperatorError(f"{text}: strengths are numbers of 1 or more, separated by commas")
    return replace(SWEEPS[name], strengths=tuple(sorted({int(part) for part in parts})))


class Curve:
    """What was measured of a sweep: its strengths, and the row of each. `Curve.document` is an entry of `sweep`."""

    def __init__(self, sweep: Sweep, settings: Settings, *, faulty: int, place: Place | None = None) -> None:
        self.sweep = sweep
        self._settings = settings
        self._faulty = faulty
        self._place = place
        self._strengths = list(sweep.strengths)

    def attacks(self) -> list[Attack]:
        """Of all its strengths, in ascending order."""
        return [self.attack(strength) for strength in sorted(self._strengths)]

    def attack(self, strength: int) -> Attack:
        """One of them. Raises `OperatorError` if there is no such strength."""
        return self.sweep.attack(strength, self._settings, faulty=self._faulty, place=self._place)

    def refine(self, rows: Mapping[str, Row]) -> Attack | None:
        """A further strength, in the middle between the two where a primary begins to be replaced; None if there is no
        such place, or nothing in it. `rows`: what is known, by the names of the runs."""
        if not self.sweep.delays:
            return None
        known = [
            (strength, rows[name]) for strength in sorted(self._strengths) if (name := self._name(strength)) in rows
        ]
        for (kept, before), (lost, after) in pairwise(known):
            if before["replaced_s"] is None and after["replaced_s"] is not None:
                if lost - kept < 2:
                    return None
                self._strengths.append((kept + lost) // 2)
                return self.attack(self._strengths[-1])
        return None

    def document(self, rows: Mapping[str, Row]) -> dict[str, Any]:
        """For the result: the rows of its runs as `points`, each with `strength`, and `value` in this `unit`."""
        return {
            "behaviour": self.sweep.behaviour,
            "unit": self.sweep.unit,
            "delays": self.sweep.delays,
            "points": [
                {**rows[name], "strength": strength, "value": self.sweep.value(strength, self._settings)}
                for strength in sorted(self._strengths)
                if (name := self._name(strength)) in rows
            ],
        }

    def _name(self, strength: int) -> str:
        return self.attack(strength).name


def points(document: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of all sweeps of a result that are not among its `results`; none in one that knows of no sweeps."""
    known = {row["behaviour"] for row in document["results"]}
    for curve in document.get("sweep", ()):
        yield from (point for point in curve["points"] if point["behaviour"] not in known)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """From which delay on a primary should be replaced, in milliseconds.

    `least`: if agreement took no time. `most`: if it took as long as half of the clients waited for their receipts when
    nobody lied, which is longer. What it held back longest without being replaced, and shortest with: `kept`, `lost`.
    """

    least: float
    most: float
    kept: int | None
    lost: int | None

    @property
    def said(self) -> str:
        """What was found, for people."""
        kept = "it never kept its view" if self.kept is None else f"it kept its view with {self.kept} ms"
        return f"{kept} and was {'never replaced' if self.lost is None else f'replaced with {self.lost} ms'}"


def limit(curve: Mapping[str, Any], protocol: Mapping[str, Any]) -> Limit | None:
    """Of an entry of `sweep`; None if it holds nothing back. `protocol`: the settings that the group had."""
    if not curve["delays"] or not curve["points"]:
        return None
    least = Millis(protocol["request_timeout_ms"] // 4 + protocol["batch_wait_ms"])
    usual = [ms for point in curve["points"] if (ms := point["phases"]["clean"]["p50_ms"]) is not None]
    agreement = median(usual) if usual else 0.0
    lost = [point["value"] for point in curve["points"] if point["replaced_s"] is not None]
    kept = [point["value"] for point in curve["points"] if point["replaced_s"] is None]
    first = min(lost, default=None)
    return Limit(
        least=least,
        most=least + AGREEMENTS * agreement,
        kept=max((value for value in kept if first is None or value < first), default=None),
        lost=first,
    )


def worst_kept(curves: Sequence[Mapping[str, Any]]) -> Row | None:
    """Of all primaries that held back and were not replaced, the one under which least was kept."""
    stayed = [
        point
        for curve in curves
        if curve["delays"]
        for point in curve["points"]
        if point["replaced_s"] is None and point["ratio"] is not None
    ]
    return min(stayed, key=lambda point: float(point["ratio"]), default=None)
