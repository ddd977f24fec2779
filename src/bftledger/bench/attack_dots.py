"""All behaviours at a glance, as SVG: how little for how long until a traitor was replaced, and what was kept under
those whom nobody replaced."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cost import AIM, Cost, cost, is_down
from bftledger.bench.attack_repeats import Row

_RADIUS: Final = 6.5
_TOP: Final = 8.0
_FOOT: Final = 24
"""Pixels that the axis and its numbers need."""

_HIGH: Final = 208.0
_LEAST_HIGH: Final = 84.0
_USUAL: Final = 560.0
"""Pixels that a picture is wide, about: only for what may touch."""

_SHORTEST_S: Final = 0.02
_COSTS_S: Final = (0.1, 0.5, 2.0)
"""Lines of equal cost."""

_STEPS: Final = (0.05, 0.1, 0.2)
"""From number to number on an axis: the first that makes no more than `_MOST_STEPS` of them."""
_MOST_STEPS: Final = 7

_THIN: Final = 0.004
"""A band is so wide at least, as a share of the axis: else that of a single run would not be seen."""


@dataclass(frozen=True)
class _Dot:
    """Where a behaviour stands: a share of the width, and pixels above the axis."""

    x: float
    up: float
    row: Row
    found: Cost

    def drawn(self, floor: float) -> str:
        """A link to the row."""
        name = html.escape(self.row["behaviour"])
        kind = "violated" if not self.row["ok"] else "slow" if is_down(self.row) else ""
        kind += " given" * bool(self.row["occasion"])
        said = f"{name}: {words.share(self.found.kept)} for {self.found.span_s:.2f} s"
        return (
            f'<a href="#{name}" data-id="{name}" class="{kind}" aria-label="{said}">'
            f'<circle cx="{self.x:.2%}" cy="{floor - self.up:.1f}" r="{_RADIUS}"/></a>'
        )


@dataclass(frozen=True)
class _Frame:
    """Shares of throughput from the left to the right, on a floor so many pixels from the top."""

    low: float
    high: float
    floor: float

    def at(self, share: float) -> float:
        """Where it is, as a share of the width."""
        return (share - self.low) / (self.high - self.low)

    def behind(self, noise: Mapping[str, float] | None = None) -> str:
        """The part below the aim, and a band of what honest runs keep."""
        found = ""
        if self.low < AIM:
            found = f'<rect class="below" x="0" y="0" width="{self.at(AIM):.2%}" height="{self.floor:.0f}"/>'
        if noise is not None:
            least, greatest = (self.at(noise[name]) for name in ("least", "greatest"))
            width = max(greatest - least, _THIN)
            found += f'<rect class="noise" x="{least:.2%}" y="0" width="{width:.2%}" height="{self.floor:.0f}"/>'
        return found

    def svg(self, label: str, inside: str) -> str:
        """The picture, with the aim and the axis."""
        aim = ""
        if self.low < AIM < self.high:
            at = f"{self.at(AIM):.2%}"
            aim = f'<line class="aim" x1="{at}" x2="{at}" y1="0" y2="{self.floor:.0f}"/>'
        return (
            f'<svg role="group" aria-label="{label}" style="height:{self.floor + _FOOT:.0f}px">'
            f"{inside}{aim}{self._axis()}</svg>"
        )

    def _axis(self) -> str:
        step = next((step for step in _STEPS if (self.high - self.low) / step <= _MOST_STEPS), _STEPS[-1])
        numbers = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        ticks = []
        for share in (number * step for number in numbers):
            at = self.at(share)
            anchor = "start" if at < 0.02 else "end" if at > 0.98 else "middle"
            ticks.append(
                f'<line class="axis" x1="{at:.2%}" x2="{at:.2%}" y1="{self.floor:.0f}" y2="{self.floor + 5:.0f}"/>'
                f'<text x="{at:.2%}" y="{self.floor + 19:.0f}" text-anchor="{anchor}">{share:.0%}</text>'
            )
        return f'<line class="axis" x1="0" x2="100%" y1="{self.floor:.0f}" y2="{self.floor:.0f}"/>{"".join(ticks)}'


def outages(rows: Sequence[Row]) -> str:
    """A dot for each behaviour whose traitor was replaced: what was kept until then, and how long that took.

    Empty if there is none. The nearer to the upper left, the dearer; lines join what costs the same. Rings: it was
    given an occasion, which costs by itself.
    """
    known = [(row, found) for row in rows if (found := cost(row)) is not None and found.is_over]
    if not known:
        return ""
    frame = _Frame(0.0, max(1.1, *(found.kept + 0.05 for _, found in known)), _HIGH)
    longest = max(2.0, *(found.span_s * 1.3 for _, found in known))

    def up(seconds: float) -> float:
        share = math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S) / math.log(longest / _SHORTEST_S)
        return 8 + share * (_HIGH - 16 - _TOP)

    ticks = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{_HIGH - up(at):.1f}" y2="{_HIGH - up(at):.1f}"/>'
        f'<text class="y" x="100%" y="{_HIGH - up(at) - 3:.1f}" text-anchor="end">{at:g} s</text>'
        for at in (0.1, 1.0, 10.0)
        if at < longest
    )
    lines = []
    for seconds in _COSTS_S:
        shares = [share for i in range(48) if seconds / (1 - (share := i / 50)) <= longest]
        lines.append(_line([(frame.at(share), _HIGH - up(seconds / (1 - share))) for share in shares]))
        if (middle := seconds / (1 - frame.high / 2)) < longest:
            lines.append(f'<text class="cost" x="50%" y="{_HIGH - up(middle) - 5:.1f}">costs {seconds:g} s</text>')
    wanted = [_Dot(frame.at(found.kept), up(found.span_s), row, found) for row, found in known]
    dots = "".join(dot.drawn(_HIGH) for dot in _apart(sorted(wanted, key=lambda dot: (dot.x, dot.up)), sideways=True))
    label = "What was kept until the traitor was replaced, and how long that took"
    return frame.svg(label, f"{frame.behind()}{ticks}{''.join(lines)}{dots}")


def strip(rows: Sequence[Row], noise: Mapping[str, float] | None = None) -> str:
    """A dot for each behaviour whose traitor nobody replaced, over the share that was kept; where dots meet, they pile
    up. Empty if there is none.

    `noise`: the `least` and the `greatest` share that honest runs keep, a band behind the dots.
    """
    known = [(row, found) for row in rows if (found := cost(row)) is not None and not found.is_over]
    if not known:
        return ""
    shares = [found.kept for _, found in known] + ([] if noise is None else [noise["least"], noise["greatest"]])
    low = max(0.0, math.floor((min(shares) - 0.02) * 20) / 20)
    frame = _Frame(low, math.ceil((max(shares) + 0.02) * 20) / 20, 0.0)
    ordered = sorted(known, key=lambda one: (one[1].kept, one[0]["behaviour"]))
    dots = _apart([_Dot(frame.at(found.kept), _RADIUS + 2, row, found) for row, found in ordered])
    floor = max(_LEAST_HIGH, max(dot.up for dot in dots) + _RADIUS + _TOP)
    frame = _Frame(frame.low, frame.high, floor)
    label = "What was kept under those that nobody replaced"
    return frame.svg(label, f"{frame.behind(noise)}{''.join(dot.drawn(floor) for dot in dots)}")


def _apart(wanted: Sequence[_Dot], *, sideways: bool = False) -> list[_Dot]:
    """Those that would touch make room for one another: upwards, or a little to the right."""
    placed: list[_Dot] = []
    for dot in wanted:
        x, up = min(max(dot.x, 0.012), 0.988), dot.up
        while x < 1 and any(_touch(x, up, other) for other in placed):
            x, up = (x + _RADIUS / 2 / _USUAL, up) if sideways else (x, up + _RADIUS)
        placed.append(_Dot(min(x, 0.988), up, dot.row, dot.found))
    return placed


def _touch(x: float, up: float, other: _Dot) -> bool:
    near = 2 * _RADIUS - 1
    return abs(x - other.x) * _USUAL < near and abs(up - other.up) < near


def _line(places: Sequence[tuple[float, float]]) -> str:
    """Through shares of the width and pixels of the height; it scales with the width only."""
    if len(places) < 2:
        return ""
    path = "M" + "L".join(f"{x * 1_000:.0f} {y:.1f}" for x, y in places)
    return (
        f'<svg x="0" y="0" width="100%" height="{_HIGH:.0f}" viewBox="0 0 1000 {_HIGH:.0f}" preserveAspectRatio="none">'
        f'<path class="same" d="{path}"/></svg>'
    )
