"""The links of a run, as part of its plan: how far machines are from one another, and what their lines can carry.

This is the network, not a fault: it stays when a run has healed. Weather comes on top of it. `sim.lines` performs it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Final

_BITS: Final = 12
"""Chance is drawn in so many steps: what comes once in several thousand messages is what a heavy tail is about."""

_SCALE: Final = 1_000

TAIL: Final = Decimal("1.2")
"""The shape of the Pareto distribution (α): its mean is finite, its variance is not."""


def _free(step: int) -> Decimal:
    """The share of the draws that are larger than those of this step."""
    return 1 - (step + Decimal("0.5")) / (1 << _BITS)


@cache
def _exponential(step: int) -> int:
    """Of mean `_SCALE`."""
    return int(-_SCALE * _free(step).ln())


@cache
def _pareto(step: int) -> int:
    """Of Pareto's second kind, which begins at 0: half of all are below 0.8·`_SCALE`, one in 4,000 is 1,000 times it.

    By `ln` and `exp`, which `decimal` rounds alike on every machine.
    """
    return int(_SCALE * ((-_free(step).ln() / TAIL).exp() - 1))


def _uniform(step: int) -> int:
    """From 0 to twice `_SCALE`."""
    return (2 * _SCALE * step) >> _BITS


QUANTILES: Final[Mapping[str, Callable[[int], int]]] = {
    "exponential": _exponential,
    "pareto": _pareto,
    "uniform": _uniform,
}
"""By the name of a distribution: for each step of chance a whole number, `_SCALE` for once the `jitter_us`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What is between the machines. Machine i is in region `regions[i]`, and so is client i; further clients go round.

    `delays_us`: in row a, column b, how long a message takes from region a to region b. `jitter`: how it is distributed
    what a message takes longer: `exponential` (mean `jitter_us`), `uniform` (up to twice that), or `pareto` (half of
    all up to 0.8 times that, few very much longer); `most_us` at most. `up`, `down`: the bytes that each machine can
    send and receive in a millisecond, shared alike by all its connections that have something to carry; empty: as many
    as it likes. Clients have as many as they like.
    """

    regions: tuple[int, ...]
    delays_us: tuple[tuple[int, ...], ...]
    jitter: str = "exponential"
    jitter_us: int = 0
    most_us: int = 0
    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()

    def region(self, place: int) -> int:
        """Of a machine, or of a client, which has a negative number."""
        return self.regions[place if place >= 0 else (-1 - place) % len(self.regions)]

    def delay_us(self, source: int, to: int, chance: Random) -> int:
        """How long this message is between the lines of two places."""
        delay = self.delays_us[self.region(source)][self.region(to)]
        if self.jitter_us:
            step = chance.getrandbits(_BITS)
            delay += min(self.most_us, self.jitter_us * QUANTILES[self.jitter](step) // _SCALE)
        return delay

    @property
    def longest_us(self) -> int:
        """The longest that `delay_us` can be between any two places."""
        used = set(self.regions)
        return max(self.delays_us[a][b] for a in used for b in used) + (self.most_us if self.jitter_us else 0)

    @property
    def narrowest(self) -> int:
        """What the narrowest line carries, in bytes per millisecond; 0: all carry as much as one likes."""
        return min((*self.up, *self.down), default=0)

    def of(self, places: Collection[int]) -> "Links":
        """As they are if only these machines are left, renumbered in this order."""

        def left(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(values[place] for place in places) if values else ()

        return replace(self, regions=left(self.regions), up=left(self.up), down=left(self.down))

    def __str__(self) -> str:
        """In one line, for people."""
        used = sorted(set(self.regions))
        delays = sorted(self.delays_us[a][b] for a in used for b in used)
        parts = [f"{len(used)} region{'s' if len(used) > 1 else ''}, {_span(delays, 1_000)} ms one way"]
        if self.jitter_us:
            parts.append(f"up to {self.most_us / 1_000:g} ms more ({self.jitter})")
        if rates := sorted((*self.up, *self.down)):
            parts.append(f"lines of {_span(rates, 1)} bytes/ms")
        return ", ".join(parts)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Links":
        """The links whose fields these are. Raises `KeyError`, `TypeError` or `ValueError` for others."""
        lists = {name: tuple(values.get(name, ())) for name in ("regions", "up", "down")}
        delays = tuple(tuple(row) for row in values["delays_us"])
        return Links(**{**values, **lists, "delays_us": delays})

    def objections(self, machines: int) -> list[str]:
        """Why no run of so many machines can have these links."""
        size = len(self.delays_us)
        numbers = (*self.regions, *self.up, *self.down, *(delay for row in self.delays_us for delay in row))
        found = []
        if not all(type(number) is int and number >= 0 for number in numbers):
            found.append("links have whole numbers from 0 on")
        elif len(self.regions) != machines or not all(region < size for region in self.regions):
            found.append(f"links.regions are {machines}, one for each machine, and each has its row of links.delays_us")
        if any(len(row) != size for row in self.delays_us):
            found.append("links.delays_us has as many columns as rows")
        if any(len(rates) not in (0, machines) or 0 in rates for rates in (self.up, self.down)):
            found.append(f"links.up and links.down are empty, or have {machines} numbers from 1 on")
        if self.jitter not in QUANTILES:
            found.append(f"links.jitter is one of {', '.join(QUANTILES)}")
        return found


def _span(values: list[int], unit: int) -> str:
    """From the first to the last."""
    low, high = values[0] / unit, values[-1] / unit
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
