"""Real time: the wall clock that proposals carry, and the timers that run on the monotonic one."""

import time

from bftledger.base.ids import Millis
from bftledger.pbft.effects import StartTimer, StopTimer
from bftledger.pbft.timers import Timer


def wall_ms() -> Millis:
    """Milliseconds since the Unix epoch."""
    return Millis(time.time_ns() // 1_000_000)


class Timers:
    """The running timers of one replica, at most one of each class, on the monotonic clock: a jump of the wall
    clock neither fires nor delays them."""

    def __init__(self) -> None:
        self._running: dict[type[Timer], tuple[float, Timer]] = {}

    def apply(self, effect: StartTimer | StopTimer) -> None:
        """Starts, starts anew or stops a timer."""
        if isinstance(effect, StopTimer):
            self._running.pop(effect.timer, None)
        else:
            self._running[type(effect.timer)] = (time.monotonic() + effect.after / 1000, effect.timer)

    def take_expired(self) -> list[Timer]:
        """The timers that ran out, the earliest first; they do not run any more."""
        now = time.monotonic()
        expired = sorted((item for item in self._running.values() if item[0] <= now), key=lambda item: item[0])
        for _, timer in expired:
            del self._running[type(timer)]
        return [timer for _, timer in expired]

    def until_next_ms(self, at_most: int) -> int:
        """How long to sleep until a timer runs out, at most `at_most` milliseconds."""
        if not self._running:
            return at_most
        earliest = min(deadline for deadline, _ in self._running.values())
        return max(0, min(at_most, int((earliest - time.monotonic()) * 1000) + 1))
