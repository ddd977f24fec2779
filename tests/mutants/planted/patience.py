"""Bugs of replicas that say too little, wait too short, or take no late answer (OSDI'99 §4.2, §4.4; TOCS'02 §5.2)."""

from bftledger.base.ids import Millis, ReplicaId
from bftledger.pbft import normal, suspicion, transfer
from bftledger.pbft.effects import Broadcast, Effect, Ignored
from bftledger.pbft.messages import Blocks, Commit, Message, Prepare, PrePrepare, Proposal
from bftledger.pbft.state import Slot, State
from bftledger.sim.draw import Choice
from tests.mutants.campaigns import Failing
from tests.mutants.mutant import Patch, breaks

_accept = normal.accept
_advance = normal.advance

CALM = Choice(sizes=(4,), calm=True)
MUTE = ReplicaId(2)


@breaks(
    "TOCS'02 §5.2",
    "an answer is welcome however many were asked since",
    transfer,
    "blocks_refusal",
    also=(Patch(transfer, "MOST_DOUBLINGS", 0),),
)
def late_blocks_refused(state: State, message: Blocks) -> Ignored | None:
    """Only who was asked last may answer, and at each tick another is: where that is too soon, nobody catches up."""
    fetch = state.fetch
    if fetch is None or fetch.peer != message.replica or fetch.first != message.first or not message.blocks:
        return Ignored.NOT_ASKED
    return None if message.first == state.executed + 1 else Ignored.NOT_NEEDED


@breaks("§4.4", "a primary that orders all in time is not suspected", suspicion, "_half_timeout", campaign=CALM)
def suspicion_too_soon(state: State) -> Millis:
    """A tenth of the time must do."""
    return Millis(state.suspicion_timeout() // 20)


@breaks("§4.5.2", "time-outs double for each view that fails", State, "suspicion_timeout", campaign=Failing())
def timeouts_never_double(state: State) -> Millis:
    """Each view has as much time as the first."""
    return state.settings.request_timeout_ms


def _without(state: State, effects: list[Effect], kind: type[Message]) -> list[Effect]:
    if state.me != MUTE:
        return effects
    return [e for e in effects if not (isinstance(e, Broadcast) and isinstance(e.message, kind))]


@breaks("§4.2", "whoever accepts a proposal multicasts PREPARE", normal, "accept")
def one_prepares_in_silence(state: State, pre_prepare: PrePrepare, proposal: Proposal) -> list[Effect]:
    """One replica keeps its PREPAREs to itself; the others are enough."""
    return _without(state, _accept(state, pre_prepare, proposal), Prepare)


@breaks("§4.2", "whoever is prepared multicasts COMMIT", normal, "advance")
def one_commits_in_silence(state: State, slot: Slot) -> list[Effect]:
    """One replica keeps its COMMITs to itself; the others are enough."""
    return _without(state, _advance(state, slot), Commit)
