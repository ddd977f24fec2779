"""The sweeps on the page about attacks: kept, latency and time until replacement, by strength; as HTML and SVG."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bftledger.bench import attack_words as words
from bftledger.bench.attack_cost import AIM, cost
from bftledger.bench.attack_sweep import Limit, limit
from bftledger.bench.attack_words import Row

_WIDTH: Final = 560
_LEFT: Final = 52
_RIGHT: Final = 16
_TOP: Final = 30
_HIGH: Final = 104
_BETWEEN: Final = 34
_PANELS: Final = 3
_HEIGHT: Final = _TOP + _PANELS * _HIGH + (_PANELS - 1) * _BETWEEN + 38

_MOST_KEPT: Final = 1.25
_SHARES: Final = ((0.0, "0%"), (0.5, "50%"), (1.0, "100%"))
_LEAST_MS: Final = 10.0
_TIMES: Final = ((10.0, "10 ms"), (100.0, "0.1 s"), (1_000.0, "1 s"), (10_000.0, "10 s"))
_LEAST_RATE: Final = 50.0
_RATES: Final = ((100.0, "100"), (1_000.0, "1k"), (10_000.0, "10k"))
_DECADES: Final = 3
"""Of a logarithmic scale."""

_NEVER: Final = 0.93
"""So high stands who was not replaced, as a share of the panel."""

_ROOM: Final = 26
"""Pixels that a number under the axis needs."""

Place = Callable[[float], float]


@dataclass(frozen=True)
class _Panel:
    """One of the three, one above the other, all with the same horizontal axis."""

    number: int
    title: str
    ticks: Sequence[tuple[float, str]]
    y: Place

    @property
    def top(self) -> float:
        return _TOP + self.number * (_HIGH + _BETWEEN)

    @property
    def bottom(self) -> float:
        return self.top + _HIGH

    def at(self, value: float) -> float:
        """Pixels from the top, of a value; what is beyond the scale stands at its end."""
        return round(self.bottom - min(1.0, max(0.0, self.y(value))) * _HIGH, 1)

    def frame(self) -> str:
        """Title, grid and numbers."""
        lines = "".join(
            f'<path class="grid" d="M{_LEFT} {self.at(value)}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 7}" y="{self.at(value) + 4}" text-anchor="end">{text}</text>'
            for value, text in self.ticks
        )
        return f'<text class="title" x="{_LEFT}" y="{self.top - 8}">{self.title}</text>{lines}'


def sweeps_html(document: Mapping[str, Any]) -> str:
    """The section; empty if nothing was swept."""
    curves = [curve for curve in document.get("sweep", ()) if curve["points"]]
    if not curves:
        return ""
    longest = max((point["replaced_s"] or 0.0 for curve in curves for point in curve["points"]), default=0.0)
    drawn = "".join(_figure(curve, limit(curve, document["config"]["protocol"]), longest) for curve in curves)
    return (
        '<section class="sweeps" aria-labelledby="sweeps-title"><h2 id="sweeps-title">How strong it is</h2>'
        '<p class="hint">One run for each strength. Rings: the traitor kept its place, and what is kept is the mean of '
        "the whole attack; full dots: it was replaced, and what is kept is what was kept until then. Dashed: the mean "
        f"of the whole attack; dashed red: the aim, {AIM:.0%}. The same scales everywhere, but for the strength. Click "
        f"a dot to see its run.</p><div>{drawn}</div></section>"
    )


def _figure(curve: Mapping[str, Any], found: Limit | None, longest_s: float) -> str:
    points: Sequence[Row] = curve["points"]
    x = _scale([point["value"] for point in points], is_log=not curve["delays"])
    kept = _Panel(
        0, "kept, of the clean throughput", [(i / 2, f"{i / 2:.0%}") for i in range(3)], lambda v: v / _MOST_KEPT
    )
    late = _Panel(1, "latency while attacked, 99th percentile", _TIMES, _decades(_LEAST_MS))
    parts = [_limit_band(found, x), kept.frame(), late.frame()]
    parts.append(f'<path class="aim" d="M{_LEFT} {kept.at(AIM)}H{_WIDTH - _RIGHT}"/>')
    shares = [(point, found_.kept if (found_ := cost(point)) is not None else None) for point in points]
    parts.append(_line("mean", [(x(point["value"]), point["ratio"]) for point in points], kept))
    parts.append(_line("rate", [(x(point["value"]), share) for point, share in shares], kept))
    parts += [_dot(point, x, kept, share) for point, share in shares]
    parts.append(_line("p99", [(x(point["value"]), point["p99_ms"]) for point in points], late))
    parts += [_dot(point, x, late, point["p99_ms"]) for point in points]
    parts += _replaced(points, x, longest_s) if curve["delays"] else _traffic(points, x)
    parts.append(_numbers(points, x))
    parts.append(f'<text class="unit" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 3}" text-anchor="end">{curve["unit"]}</text>')
    name = html.escape(curve["behaviour"])
    return (
        f'<figure><figcaption><h3>{name}</h3><p class="hint">{html.escape(_said(curve, found))}</p></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="{name} by strength">{"".join(parts)}</svg>'
        f"{_table(curve)}</figure>"
    )


def _replaced(points: Sequence[Row], x: Place, longest_s: float) -> list[str]:
    """Seconds until an honest primary took over; those that kept their place stand above all others."""
    top = max(1.0, longest_s) * 1.35
    ticks = [
        (float(at), f"{at} s") for at in range(0, math.floor(top / 1.15) + 1, 1 if top < 5 else math.ceil(top / 4))
    ]
    panel = _Panel(2, "until it was replaced; rings: it was not", ticks, lambda s: s / top)
    known = [(x(point["value"]), point["replaced_s"]) for point in points]
    moments = [top * _NEVER if point["replaced_s"] is None else point["replaced_s"] for point in points]
    dots = [_dot(point, x, panel, at) for point, at in zip(points, moments, strict=True)]
    return [panel.frame(), _line("view", known, panel), *dots]


def _traffic(points: Sequence[Row], x: Place) -> list[str]:
    """How many frames the traitor really made, beside what the protocol needs of all replicas together."""
    panel = _Panel(
        2,
        "frames per second: made by it; dashed: the protocol needs",
        _RATES,
        _decades(_LEAST_RATE),
    )
    made = [(x(point["value"]), point["deviations_per_s"]) for point in points]
    needed = [(x(point["value"]), point.get("protocol_messages_per_s")) for point in points]
    dots = [_dot(point, x, panel, point["deviations_per_s"]) for point in points]
    return [panel.frame(), _line("mean", needed, panel), _line("attack", made, panel), *dots]


def _limit_band(found: Limit | None, x: Place) -> str:
    """From which delay on the rule replaces a primary."""
    if found is None:
        return ""
    least, most = (min(x(ms), _WIDTH - _RIGHT) for ms in (found.least, found.most))
    return (
        f'<rect class="limit" x="{least:.1f}" y="{_TOP}" width="{max(most - least, 2):.1f}" '
        f'height="{_HEIGHT - _TOP - 38}"/>'
        f'<text class="limit" x="{least + 4:.1f}" y="{_TOP + 12}">limit</text>'
    )


def _line(kind: str, places: Sequence[tuple[float, float | None]], panel: _Panel) -> str:
    """Through what is known."""
    known = [f"{x:.1f} {panel.at(value)}" for x, value in places if value is not None]
    return f'<path class="{kind}" d="M{"L".join(known)}"/>' if len(known) > 1 else ""


def _dot(point: Row, x: Place, panel: _Panel, value: float | None) -> str:
    """A link to the run."""
    if value is None:
        return ""
    name = html.escape(point["behaviour"])
    kind = "violated" if not point["ok"] else "stayed" if point["replaced_s"] is None else ""
    return (
        f'<a href="#{name}" data-id="{name}" class="{kind}" aria-label="{name}">'
        f'<circle cx="{x(point["value"]):.1f}" cy="{panel.at(value)}" r="5"/></a>'
    )


def _numbers(points: Sequence[Row], x: Place) -> str:
    """The strengths under the axis; those for which there is no room are left out."""
    shown, last = [], -math.inf
    for point in points:
        if (at := x(point["value"])) - last >= _ROOM:
            shown.append(f'<text x="{at:.1f}" y="{_HEIGHT - 20}" text-anchor="middle">{point["value"]:,}</text>')
            last = at
    return "".join(shown)


def _scale(values: Sequence[float], *, is_log: bool) -> Place:
    """Pixels from the left."""
    wide, most = _WIDTH - _LEFT - _RIGHT - 12, max(values)
    if not is_log:
        return lambda value: _LEFT + value / most * wide
    low = math.log10(max(min(values), 1)) - 0.1
    span = max(math.log10(max(most, 1)) - low, 0.1)
    return lambda value: _LEFT + (math.log10(max(value, 1)) - low) / span * wide


def _decades(least: float) -> Place:
    """A share of the height, from `least` at the bottom on."""
    return lambda value: math.log10(max(value, least) / least) / _DECADES


def _said(curve: Mapping[str, Any], found: Limit | None) -> str:
    if found is None:
        return f"{curve['unit'].capitalize()}, as it is told; what it really made of it is in the lowest panel."
    return (
        f"Milliseconds that it holds back. Shaded: where the rule begins to replace it, T/4 + batch_wait_ms + 4 "
        f"agreements, from {found.least:.0f} ms if these took no time to {found.most:.0f} ms if each took as long as "
        f"clients waited before the attack. Here {found.said}."
    )


def _table(curve: Mapping[str, Any]) -> str:
    heads = ("strength", "kept until replaced", "for", "then", "mean", "p99", "cost", "verdict")
    lines = []
    for point in curve["points"]:
        found = cost(point)
        is_over = found is not None and found.is_over
        told = f"{point['value']:,} ms" if curve["delays"] else f"{point['value']:,}"
        cells = [
            words.share(found.kept) if found is not None and is_over else "not replaced",
            f"{found.span_s:.2f} s" if found is not None and is_over else words.NO_VALUE,
            words.share(point["ratio_replaced"]),
            words.share(point["ratio"]),
            words.millis(point["p99_ms"]),
            words.cost(found.seconds if found is not None else None),
            "safe" if point["ok"] else "violated",
        ]
        name = html.escape(point["behaviour"])
        head = f'<th scope="row"><a href="#{name}">{told}</a></th>'
        lines.append(f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
