"""What runs a replica needs of it: an engine has it, and so has whatever is put around one."""

from typing import Protocol

from bftledger.base.ids import Millis, ReplicaId
from bftledger.engine.engine import Round
from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.opening import Ledger
from bftledger.engine.work import WORK_PER_ROUND
from bftledger.pbft.replica import Replica
from bftledger.pbft.timers import Timer


class Running(Protocol):
    """One replica, a round at a time: any number of `on_…` calls, then `end_round`. See `engine.Engine`."""

    @property
    def ledger(self) -> Ledger:
        """What has been executed."""
        ...

    @property
    def replica(self) -> Replica:
        """The core."""
        ...

    def start(self, now: Millis) -> None:
        """The first event of a run."""
        ...

    def on_peer(self, replica: ReplicaId, frame: bytes, now: Millis) -> None:
        """A frame that `replica` handed over."""
        ...

    def on_client(self, route: bytes, frame: bytes, now: Millis) -> None:
        """A frame from a client."""
        ...

    def on_timer(self, timer: Timer, now: Millis) -> None:
        """A timer ran out that an earlier round started."""
        ...

    def end_round(self, now: Millis, work: int = WORK_PER_ROUND, lookups: int = MAX_FRAMES) -> Round:
        """Makes the round durable and returns what it wants done. Raises `StoreError` and `Halted`."""
        ...

    def counters(self) -> dict[str, int]:
        """What was refused, dropped or ignored so far and why."""
        ...

    def close(self) -> None:
        """An orderly stop. Raises `StoreError`."""
        ...
