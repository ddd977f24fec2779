"""Whether a path has got slower: how its cost relative to its yardsticks is measured, recorded and compared.

A turn is the yardsticks, the piece of work, and the yardsticks once more, in processor time and so close together that
whatever else the machine does disturbs all of them alike; it gives one ratio. The median of many turns is the figure.
On a busy machine that is steadier than the ratio of the least times, which takes a lucky moment for each of them.
The paths take turns by the time that they have had, so that each is measured all along.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Any, Final

from bftledger.bench.paths import Piece
from bftledger.bench.yardsticks import Ready

NOISE: Final = 2.0
"""So many times the range in which a path's figures lay when they were recorded says nothing."""

LEAST_TURNS: Final = 3

AGAIN: Final = 2
"""So often is measured again what seems slower."""

Clock = Callable[[], int]
"""Nanoseconds, or anything that grows with the work that is done."""


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A path's cost: the median of `turns` ratios to its yardsticks. `least_us`: the least time that it took."""

    ratio: float
    turns: int
    least_us: float


def measure(
    pieces: Sequence[Piece],
    yardsticks: Mapping[str, Ready],
    *,
    seconds: float,
    clock: Clock = time.process_time_ns,
) -> dict[str, Figure]:
    """By path. Takes about so many seconds, or as many as it takes for a few turns of each."""
    spent = dict.fromkeys((piece.name for piece in pieces), 0.0)
    ratios: dict[str, list[float]] = {piece.name: [] for piece in pieces}
    times: dict[str, list[int]] = {piece.name: [] for piece in pieces}
    begun = time.monotonic()
    with _no_collection():
        while time.monotonic() - begun < seconds or min(map(len, ratios.values())) < LEAST_TURNS:
            piece = min(pieces, key=lambda piece: (len(ratios[piece.name]) >= LEAST_TURNS, spent[piece.name]))
            start = time.monotonic()
            before = [_once(yardsticks[like], clock) for like in piece.like]
            took = _once(piece.ready, clock)
            after = [_once(yardsticks[like], clock) for like in piece.like]
            ratios[piece.name].append(2 * took / (sum(before) + sum(after)))
            times[piece.name].append(took)
            gc.collect()
            spent[piece.name] += time.monotonic() - start
    return {
        name: Figure(ratio=median(found), turns=len(found), least_us=min(times[name]) / 1_000)
        for name, found in ratios.items()
    }


def _once(ready: Ready, clock: Clock) -> int:
    with ready() as work:
        begun = clock()
        work()
        return clock() - begun


@contextmanager
def _no_collection() -> Iterator[None]:
    """The collector runs between turns, not within: when it does depends on what was done before."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


# ── recording and comparing ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What several rounds gave for a path: the median ratio, the least and the greatest."""

    ratio: float
    least: float
    greatest: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> "Recorded":
        """Of one round or more."""
        return cls(ratio=median(ratios), least=min(ratios), greatest=max(ratios))

    @property
    def spread(self) -> float:
        """The whole range, as a share of the ratio."""
        return (self.greatest - self.least) / self.ratio

    def document(self) -> dict[str, float]:
        """For a baseline."""
        return {name: round(value, 4) for name, value in vars(self).items()}


class Verdict(Enum):
    """What there is to say of a path. The texts are for the table."""

    SAME = "same"
    SLOWER = "SLOWER"
    FASTER = "faster: record anew"
    NEW = "not recorded yet"
    MISSING = "recorded, but not measured"


BAD: Final = (Verdict.SLOWER, Verdict.MISSING)
"""What nobody measures any more is guarded by nobody."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A path's recorded ratio, its ratio now, and by how much it may differ (a share of the recorded one)."""

    name: str
    recorded: float | None
    now: float | None
    allowed: float
    verdict: Verdict

    @property
    def change(self) -> float | None:
        """As a share of the recorded ratio; above 0 is slower."""
        return None if self.recorded is None or self.now is None else self.now / self.recorded - 1

    def row(self) -> dict[str, Any]:
        """For a result."""
        return {
            "path": self.name,
            "recorded": _rounded(self.recorded),
            "ratio": _rounded(self.now),
            "change": _rounded(self.change),
            "allowed": _rounded(self.allowed),
            "verdict": self.verdict.value,
            "ok": self.verdict not in BAD,
        }


def compare(recorded: Mapping[str, Recorded], now: Mapping[str, float], *, tolerance: float) -> list[Finding]:
    """A finding for each path that was recorded or measured, in the order of the measured ones.

    `tolerance`: a share; a path whose figures varied more when they were recorded is given `NOISE` times that.
    """
    names = [*now, *(name for name in recorded if name not in now)]
    return [_finding(name, recorded.get(name), now.get(name), tolerance) for name in names]


def _finding(name: str, recorded: Recorded | None, now: float | None, tolerance: float) -> Finding:
    allowed = tolerance if recorded is None else max(tolerance, NOISE * recorded.spread)
    if recorded is None:
        verdict = Verdict.NEW
    elif now is None:
        verdict = Verdict.MISSING
    elif now > recorded.ratio * (1 + allowed):
        verdict = Verdict.SLOWER
    elif now < recorded.ratio / (1 + allowed):
        verdict = Verdict.FASTER
    else:
        verdict = Verdict.SAME
    known = None if recorded is None else recorded.ratio
    return Finding(name=name, recorded=known, now=now, allowed=allowed, verdict=verdict)


def examine(
    recorded: Mapping[str, Recorded],
    pieces: Sequence[Piece],
    yardsticks: Mapping[str, Ready],
    *,
    seconds: float,
    tolerance: float,
    say: Callable[[str], None],
    clock: Clock = time.process_time_ns,
) -> tuple[dict[str, Figure], list[Finding]]:
    """Measures and compares. What seems slower is measured again, and the least ratio counts."""
    say(f"{len(pieces)} paths: {seconds:g} s …")
    figures = measure(pieces, yardsticks, seconds=seconds, clock=clock)
    findings = _compared(recorded, figures, tolerance)
    for _ in range(AGAIN):
        if not (names := slower(findings)):
            break
        share = seconds * len(names) / len(pieces)
        say(f"seems slower, measured again: {', '.join(names)}: {share:.1f} s …")
        some = [piece for piece in pieces if piece.name in names]
        for name, again in measure(some, yardsticks, seconds=share, clock=clock).items():
            figures[name] = min(figures[name], again, key=lambda figure: figure.ratio)
        findings = _compared(recorded, figures, tolerance)
    return figures, findings


def _compared(recorded: Mapping[str, Recorded], figures: Mapping[str, Figure], tolerance: float) -> list[Finding]:
    return compare(recorded, {name: figure.ratio for name, figure in figures.items()}, tolerance=tolerance)


def slower(findings: Sequence[Finding]) -> list[str]:
    """The names of those that have got slower."""
    return [finding.name for finding in findings if finding.verdict is Verdict.SLOWER]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
