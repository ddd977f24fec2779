"""The small pictures of the page about attacks, as SVG: a line for each run, and a dot for each behaviour."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

_POINTS: Final = 80
_WIDTH: Final = 200
_HEIGHT: Final = 42

_STRIP: Final = 1_000
_TOP: Final = 8
_FLOOR: Final = 118
_RADIUS: Final = 6.5
_MOST: Final = 1.4
"""Where the axis ends: a share beyond it, which is noise, stands there."""

_THIN: Final = 0.003
"""A band is so wide at least, as a share of the axis: else that of a single run would not be seen."""


def spark(row: Mapping[str, Any]) -> str:
    """Throughput over the whole run, the attack shaded, with a stroke where the primary changes."""
    line = row["timeline"]
    counts: Sequence[int] = line["committed"]
    each = max(1, -(-len(counts) // _POINTS))
    sums = [sum(counts[i : i + each]) / len(counts[i : i + each]) for i in range(0, len(counts), each)]
    most = max(*sums, 1e-9) if len(sums) > 1 else max(sums[0], 1e-9)
    begin, span = line["from_s"], len(counts) * line["bucket_s"]

    def x(at_s: float) -> float:
        return float(round((at_s - begin) / span * _WIDTH, 1))

    step = _WIDTH / max(1, len(sums) - 1)
    points = [f"{i * step:.1f} {_HEIGHT - 2 - value / most * (_HEIGHT - 6):.1f}" for i, value in enumerate(sums)]
    path = "M" + "L".join(points)
    first, last = (x(at_s) for at_s in row["attack_s"])
    views = "".join(
        f'<path class="view" d="M{x(event["at_s"])} 0V{_HEIGHT}"/>'
        for event in row["events"]
        if event["kind"] == "view"
    )
    return (
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="band" x="{first}" width="{round(last - first, 1)}" height="{_HEIGHT}"/>'
        f'<path class="edge" d="M{first} 0V{_HEIGHT}M{last} 0V{_HEIGHT}"/>'
        f'<path class="area" d="{path}L{_WIDTH} {_HEIGHT}L0 {_HEIGHT}Z"/><path class="line" d="{path}"/>{views}</svg>'
    )


def strip(rows: Sequence[Mapping[str, Any]], aim: float, noise: Mapping[str, float] | None = None) -> str:
    """A dot for each behaviour over the share of throughput that the group keeps; where dots meet, they pile up.

    `noise`: the `least` and the `greatest` share that honest runs keep, a band behind the dots.
    """
    known = [row for row in rows if row["ratio"] is not None]
    top = min(_MOST, max([1.2, *(row["ratio"] + 0.02 for row in known)]))
    taken: list[tuple[float, float]] = []
    dots = []
    for row in sorted(known, key=lambda row: (row["ratio"], row["behaviour"])):
        x = min(row["ratio"] / top, 0.99) * _STRIP
        y = _FLOOR - _RADIUS - 2
        while y > _TOP and any(abs(x - at) < 2 * _RADIUS and abs(y - high) < 2 * _RADIUS - 1 for at, high in taken):
            y -= _RADIUS
        taken.append((x, y))
        name = html.escape(row["behaviour"])
        kind = "violated" if not row["ok"] else "slow" if row["ratio"] < aim else ""
        dots.append(
            f'<a href="#{name}" data-id="{name}" class="{kind}" aria-label="{name}: {row["ratio"]:.0%}">'
            f'<circle cx="{x / _STRIP:.2%}" cy="{y:.1f}" r="{_RADIUS}"/></a>'
        )
    ticks = "".join(
        f'<line class="axis" x1="{share / top:.2%}" x2="{share / top:.2%}" y1="{_FLOOR}" y2="{_FLOOR + 5}"/>'
        f'<text x="{share / top:.2%}" y="{_FLOOR + 19}" text-anchor="{"middle" if share else "start"}">'
        f"{share:.0%}</text>"
        for share in (fifth / 5 for fifth in range(int(top * 5 + 1e-9) + 1))
        if share < top
    )
    at = f"{aim / top:.2%}"
    band = ""
    if noise is not None:
        least, greatest = (min(noise[name] / top, 1.0) for name in ("least", "greatest"))
        width = max(greatest - least, _THIN)
        band = f'<rect class="noise" x="{least:.2%}" y="0" width="{width:.2%}" height="{_FLOOR}"/>'
    return (
        '<svg role="group" aria-label="Share of the clean throughput, by behaviour">'
        f'<rect class="below" x="0" y="0" width="{at}" height="{_FLOOR}"/>{band}'
        f'<line class="aim" x1="{at}" x2="{at}" y1="0" y2="{_FLOOR}"/>'
        f'<line class="axis" x1="0" x2="100%" y1="{_FLOOR}" y2="{_FLOOR}"/>{ticks}{"".join(dots)}</svg>'
    )
