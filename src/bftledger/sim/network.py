"""The network of a run: what becomes of each message, decided by the plan's weather and the run's chance."""

from decimal import Decimal
from random import Random
from typing import Final

from bftledger.sim.plan import Weather
from bftledger.sim.recording import Fate

_QUANTILES: Final = tuple(int(-1_000 * (1 - (Decimal(i) + Decimal("0.5")) / 256).ln()) for i in range(256))
"""Of the exponential distribution with mean 1,000, in whole numbers: floating point may differ between machines."""

Link = tuple[int, int]


class Network:
    """Sends between numbered places: replicas from 0 on, clients with negative numbers. Times in microseconds."""

    def __init__(self, weather: Weather, chance: Random) -> None:
        self.weather = weather
        self._chance = chance
        self._cuts: dict[Link, int] = {}
        self._last: dict[Link, int] = {}
        self._free: dict[int, int] = {}

    def cut(self, links: tuple[tuple[int, int], ...]) -> None:
        """Nothing passes on these links until as many `mend`s."""
        for link in links:
            self._cuts[link] = self._cuts.get(link, 0) + 1

    def mend(self, links: tuple[tuple[int, int], ...]) -> None:
        """Undoes one `cut` of these links."""
        for link in links:
            self._cuts[link] -= 1
            if not self._cuts[link]:
                del self._cuts[link]

    def send(self, source: int, to: int, size: int, now: int) -> list[int] | Fate:
        """When a message of `size` bytes arrives, once for each copy; or why it never does."""
        link = (source, to)
        if link in self._cuts:
            return Fate.CUT
        weather = self.weather
        if weather.loss and self._chance.random() < weather.loss:
            return Fate.LOST
        arrives = [self._arrival(link, size, now)]
        if weather.duplication and self._chance.random() < weather.duplication:
            arrives.append(self._arrival(link, size, now))
        return arrives

    def _arrival(self, link: Link, size: int, now: int) -> int:
        weather = self.weather
        leaves = now
        if weather.bytes_per_ms:
            leaves = max(now, self._free.get(link[0], 0)) + 1_000 * size // weather.bytes_per_ms
            self._free[link[0]] = leaves
        arrives = leaves + weather.delay_us
        if weather.jitter_us:
            arrives += weather.jitter_us * _QUANTILES[self._chance.getrandbits(8)] // 1_000
        if weather.in_order:
            arrives = max(arrives, self._last.get(link, 0))
            self._last[link] = arrives
        return arrives
