"""Bugs that let something grow, or be asked for, without end: on disk, among those who wait, towards a peer."""

from collections.abc import Iterable

from bftledger.base.ids import Seq, View
from bftledger.engine.answers import Answer, Waiter
from bftledger.engine.reads import Reads
from bftledger.ledger.client_messages import ReadProof
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import Testimony
from bftledger.pbft.state import State
from bftledger.pbft.witness import Witness
from bftledger.storage.memory import MemoryStore
from tests.mutants.campaigns import Steady
from tests.mutants.mutant import Patch, breaks

_done = Reads._done
_settle = Reads.settle
_convict = Witness._convict

BOUNDED = "what is kept is bounded"
RATIONED = "a peer that keeps asking costs only so much"


@breaks("§4.4", BOUNDED, MemoryStore, "_forget_views_before", staged=True)
def views_kept_for_ever(store: MemoryStore, view: View) -> None:
    """A store keeps the votes of all views until a checkpoint is stable."""


@breaks("§4.3", BOUNDED, MemoryStore, "discard_votes")
def log_kept_for_ever(store: MemoryStore, upto: Seq) -> None:
    """A store keeps all votes that it was ever given."""


@breaks("evidence", BOUNDED, MemoryStore, "save_decision", campaign=Steady())
def decisions_kept_for_ever(store: MemoryStore, height: Seq, commits: Testimony) -> None:
    """A store keeps what decided every block."""
    store._set(store._decisions, height, commits)


def _convicted_again(witness: Witness, found: Evidence) -> Evidence:
    return _convict(witness, found) or found


@breaks("evidence", BOUNDED, MemoryStore, "save_evidence", also=(Patch(Witness, "_convict", _convicted_again),))
def all_evidence_kept(store: MemoryStore, found: Evidence) -> None:
    """A replica keeps all evidence that it ever finds, though one piece convicts as well as a hundred."""
    store._set(store._evidence, (found.replica, f"{found.rule.value}, piece {len(store._evidence)}"), found)


@breaks("reads", "whoever is answered makes room", Reads, "_done")
def answered_reads_still_counted(
    reads: Reads, waiter: Waiter, value: bytes | None, height: Seq, proof: ReadProof | None
) -> Answer:
    """A read that was answered counts among those that wait, until there is no room for more."""
    reads._waiting += 1
    return _done(reads, waiter, value, height, proof)


@breaks("reads", "whoever waits is answered when it is there", Reads, "settle")
def reads_left_waiting(reads: Reads) -> Iterable[Answer]:
    """What a certificate makes answerable is answered when the next thing happens that could make it so."""
    is_late = not getattr(reads, "_is_late", False)
    reads._is_late = is_late  # type: ignore[attr-defined]
    return () if is_late else _settle(reads)


@breaks("TOCS'02 §5.2", RATIONED, State, "may_answer", traitor="fetch-storm:100")
def every_question_answered(state: State, peer: int, what: object, times: int = 1) -> bool:
    """It answers whatever it is asked, however often."""
    return True
