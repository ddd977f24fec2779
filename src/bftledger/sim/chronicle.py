"""What befalls replicas, told from the outside: views left and begun, blocks executed and made final, proofs of guilt.

The core does not know that it is watched: after each round this compares what it knows with what it knew before.
"""

from dataclasses import dataclass

from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.engine.running import Running
from bftledger.pbft.timers import BatchTimer, NewViewTimer, RequestTimer, StatusTimer, Timer
from bftledger.sim.recording import Happening, Kind, Observer
from bftledger.storage.store import Store


@dataclass(slots=True)
class _Known:
    view: View
    active: bool
    height: Seq
    final: Seq
    convicted: frozenset[ReplicaId]


def _of(running: Running) -> _Known:
    state = running.replica.state
    return _Known(state.view, state.active, running.ledger.tip.height, state.low, frozenset(state.witness.convicted))


class Chronicle:
    """Tells an observer. Call `begun` when a replica starts, and `ended_round` after each of its rounds."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._known: dict[ReplicaId, _Known] = {}

    def begun(self, at: int, replica: ReplicaId, running: Running) -> None:
        """It has started, new or again: what it recovered is no news, but for the view."""
        now = self._known[replica] = _of(running)
        if now.active:
            self._tell(Happening(at, Kind.VIEW_BEGUN, f"is in view {now.view}", replica, view=now.view))
        else:
            self._tell(Happening(at, Kind.VIEW_LEFT, f"waits for view {now.view}", replica, view=View(now.view - 1)))

    def ended_round(self, at: int, replica: ReplicaId, running: Running, store: Store) -> None:
        """A round of its is durable."""
        known, now = self._known[replica], _of(running)
        if now == known:
            return
        self._known[replica] = now
        for height in map(Seq, range(known.height + 1, now.height + 1)):
            block_hash = store.block_hash(height)
            text = f"executes block {height}"
            self._tell(Happening(at, Kind.EXECUTED, text, replica, height=height, block_hash=block_hash))
        if now.final > known.final:
            block_hash = store.block_hash(now.final)
            text = f"knows that block {now.final} is final"
            self._tell(Happening(at, Kind.CERTIFIED, text, replica, height=now.final, block_hash=block_hash))
        if now.view > known.view and known.active:
            self._tell(Happening(at, Kind.VIEW_LEFT, f"leaves view {known.view}", replica, view=known.view))
        if now.active and (now.view, True) != (known.view, known.active):
            self._tell(Happening(at, Kind.VIEW_BEGUN, f"enters view {now.view}", replica, view=now.view))
        for guilty in sorted(now.convicted - known.convicted):
            self._tell(Happening(at, Kind.EVIDENCE, f"holds proof that replica {guilty} is guilty", replica))

    def timer_fired(self, at: int, replica: ReplicaId, timer: Timer) -> None:
        """A timer of its ran out. Those for routine are nothing to tell of."""
        match timer:
            case RequestTimer(relayed=False):
                self._tell(Happening(at, Kind.TIMER, "has waited for half of its patience", replica))
            case RequestTimer():
                self._tell(Happening(at, Kind.TIMER, "loses its patience with the primary", replica))
            case NewViewTimer(view=view):
                self._tell(Happening(at, Kind.TIMER, f"waits no longer for view {view}", replica))
            case BatchTimer() | StatusTimer():
                return

    def _tell(self, happening: Happening) -> None:
        self._observer.happened(happening)
