"""Bugs that stop a group, or let it be stopped: timers, STATUS, fetching (OSDI'99 §4.4, §4.5.2; TOCS'02 §5.2)."""

from bftledger.base.ids import Seq
from bftledger.pbft import status, suspicion, transfer, view_change, wire
from bftledger.pbft.effects import Broadcast, Effect, Send
from bftledger.pbft.messages import FetchBlocks, Message, NewView, Stable, Status, ViewChange
from bftledger.pbft.passing import Moment
from bftledger.pbft.rooms import Load
from bftledger.pbft.state import Fetch, Slot, State
from tests.mutants.campaigns import Laden, Steady
from tests.mutants.mutant import Patch, breaks

_on_tick = status.on_tick
_on_status = status.on_status
_on_work = suspicion.on_work


@breaks("TOCS'02 §5.2", "a replica says periodically what it has", status, "on_tick", staged=True)
def status_never_sent(state: State) -> list[Effect]:
    """It says so to nobody."""
    return [e for e in _on_tick(state) if not (isinstance(e, Broadcast) and isinstance(e.message, Status))]


def _answer_without(state: State, peer: Status, kind: type[Message]) -> list[Effect]:
    return [e for e in _on_status(state, peer) if not (isinstance(e, Send) and isinstance(e.message, kind))]


@breaks("§4.5.2", "VIEW-CHANGE is sent again until it is answered", status, "on_status", staged=True)
def view_change_not_sent_again(state: State, peer: Status) -> list[Effect]:
    """It is sent once."""
    return _answer_without(state, peer, ViewChange)


@breaks("§4.5.2", "NEW-VIEW is sent again to whoever lacks it", status, "on_status", staged=True)
def new_view_not_sent_again(state: State, peer: Status) -> list[Effect]:
    """It is sent once."""
    return _answer_without(state, peer, NewView)


@breaks("TOCS'02 §5.2", "a certificate is sent again to whoever lacks it", status, "on_status")
def certificate_not_sent_again(state: State, peer: Status) -> list[Effect]:
    """Whoever missed the CHECKPOINTs of a block never learns that it is final."""
    return _answer_without(state, peer, Stable)


def _never(state: State) -> bool:
    return False


@breaks(
    "§4.4",
    "a backup suspects a primary that does not order what it knows",
    suspicion,
    "is_stalled",
    also=(Patch(suspicion, "is_slow", _never), Patch(suspicion, "is_slower_than_agreement", _never)),
    traitor="silent",
)
def primary_never_suspected(state: State) -> bool:
    """It waits."""
    return False


@breaks("§4.4", "the timer follows the oldest request", suspicion, "on_work", campaign=Steady())
def timer_reset_by_any_progress(state: State, seq: Seq, load: Load) -> None:
    """Whatever is ordered excuses the primary from all else."""
    _on_work(state, seq, load)
    state.batch_done = state.moment
    state.watched = None


@breaks("§4.4", "no work excuses a primary for ever", suspicion, "_has_too_much_come_first", campaign=Laden())
def work_excuses_for_ever(state: State, since: Moment, ahead: int) -> bool:
    """A primary that orders full batches may starve whom it likes."""
    return False


@breaks("§4.4", "who has prepared a number waits for it", State, "is_expected", staged=True)
def only_requests_are_awaited(state: State, slot: Slot) -> bool:
    """What holds nothing pending may stay with the one replica that has executed it."""
    return False


@breaks("§4.5.2", "who awaits a NEW-VIEW with 2f others starts a timer", view_change, "await_new_view", staged=True)
def new_view_awaited_for_ever(state: State) -> list[Effect]:
    """It waits for as long as it takes."""
    return []


@breaks(
    "TOCS'02 §5.2", "who gets no answer asks another", transfer, "fetch_blocks", traitor="withhold-blocks", staged=True
)
def one_peer_asked(state: State) -> list[Effect]:
    """A replica that lags asks the same peer again and again."""
    assert state.stable is not None
    peer = min(i for i, _ in state.stable.signatures if i != state.me)
    first = Seq(state.executed + 1)
    state.fetch = Fetch(peer, first, {peer})
    return [Send(peer, state.sign(FetchBlocks(first=first, replica=state.me, signature=wire.UNSIGNED)))]
