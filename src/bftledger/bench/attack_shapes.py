"""The small picture in a row of the page about attacks, as SVG: throughput over the whole run."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_POINTS: Final = 80
_WIDTH: Final = 200
_HEIGHT: Final = 42

TOP: Final = 1.4
"""All of them end at this share of the run's clean throughput, so that they can be compared; what is beyond is cut."""


def spark(row: Mapping[str, Any]) -> str:
    """Throughput as a share of that of the clean part, with a line at 100%; the attack shaded, with a stroke where the
    primary changes."""
    line, clean = row["timeline"], row["phases"]["clean"]["tx_per_s"]
    counts: Sequence[int] = line["committed"]
    each = max(1, -(-len(counts) // _POINTS))
    usual = max(clean * line["bucket_s"], 1e-9)
    sums = [sum(counts[i : i + each]) / len(counts[i : i + each]) / usual for i in range(0, len(counts), each)]
    begin, span = line["from_s"], len(counts) * line["bucket_s"]

    def x(at_s: float) -> float:
        return float(round((at_s - begin) / span * _WIDTH, 1))

    def y(share: float) -> float:
        return _HEIGHT - 2 - min(share, TOP) / TOP * (_HEIGHT - 4)

    step = _WIDTH / max(1, len(sums) - 1)
    path = "M" + "L".join(f"{i * step:.1f} {y(value):.1f}" for i, value in enumerate(sums))
    first, last = (x(at_s) for at_s in row["attack_s"])
    views = "".join(
        f'<path class="view" d="M{x(event["at_s"])} 0V{_HEIGHT}"/>'
        for event in row["events"]
        if event["kind"] == "view"
    )
    return (
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="band" x="{first}" width="{round(last - first, 1)}" height="{_HEIGHT}"/>'
        f'<path class="whole" d="M0 {y(1):.1f}H{_WIDTH}"/>'
        f'<path class="edge" d="M{first} 0V{_HEIGHT}M{last} 0V{_HEIGHT}"/>'
        f'<path class="area" d="{path}L{_WIDTH} {_HEIGHT}L0 {_HEIGHT}Z"/><path class="line" d="{path}"/>{views}</svg>'
    )
