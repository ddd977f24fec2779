"""Bugs that let something grow, or be asked for, without end: on disk, among those who wait, towards a peer."""

from collections.abc import Callable, Iterable

from bftledger.base.ids import Millis, Seq, TxId, View
from bftledger.engine.answers import Answer, Answers, Waiter
from bftledger.engine.intake import Intake
from bftledger.engine.reads import Reads
from bftledger.engine.room import Room
from bftledger.engine.submissions import Submissions
from bftledger.ledger.client_messages import ReadProof
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.messages import Testimony
from bftledger.pbft.pace import Pace, Probe
from bftledger.pbft.state import State
from bftledger.pbft.witness import Witness
from bftledger.storage.memory import MemoryStore
from tests.mutants.campaigns import Crowded, Expiring, Steady
from tests.mutants.mutant import Patch, breaks

_done = Reads._done
_settle = Reads.settle
_convict = Witness._convict
_take = Intake.take
_release = Submissions._release

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


@breaks("reads", "whoever is answered makes room", Room, "drop")
def answered_reads_keep_their_room(room: Room[object], route: bytes, item: object) -> None:
    """A read that was answered keeps its place in the room of all reads, until whoever waits is crowded out."""


@breaks("requests", BOUNDED, Intake, "take")
def requests_taken_still_counted(intake: Intake) -> tuple[bytes, bytes] | None:
    """The bytes of requests that were served count among those that wait, until there is no room for more."""
    taken = _take(intake)
    intake._bytes += len(taken[1]) if taken else 0
    return taken


@breaks("submissions", "whoever waits is answered or told", Submissions, "on_forgotten", campaign=Crowded())
def forgotten_waiters_never_told(submissions: Submissions) -> None:
    """Who waits for what a view that ended has forgotten waits for ever."""


@breaks("submissions", "whoever is answered makes room", Submissions, "_release")
def told_submissions_still_counted(submissions: Submissions, tx_id: TxId) -> list[Waiter]:
    """Those who are told that no block will hold what they wait for count among those that wait."""
    released = _release(submissions, tx_id)
    submissions._waiting += len(released)
    return released


@breaks("submissions", BOUNDED, Answers, "_put_away")
def blocks_at_hand_for_ever(answers: Answers) -> None:
    """A replica keeps every block in memory of which it ever told somebody."""


@breaks("pace", BOUNDED, Pace, "keep", campaign=Expiring())
def what_is_gone_still_timed(pace: Pace, pending: Callable[[TxId], bool]) -> None:
    """A backup goes on timing what it passed on and what has expired or was refused since."""


@breaks("pace", BOUNDED, Pace, "agreed")
def agreements_timed_for_ever(pace: Pace, seq: Seq, now: Millis) -> None:
    """A backup goes on timing what is committed, until there is no room for what it has to time."""
    since = pace.accepted.get(seq)
    if since is not None:
        pace.agreements.add(now - since, since)


@breaks("pace", BOUNDED, Pace, "_leave")
def kept_back_for_ever(pace: Pace, level: Seq) -> list[Probe]:
    """A backup goes on timing what is kept back no more."""
    return [probe for seq, held in pace.kept_back.items() if seq <= level for probe in held]


@breaks("TOCS'02 §5.2", RATIONED, State, "may_answer", traitor="fetch-storm:100")
def every_question_answered(state: State, peer: int, what: object, times: int = 1) -> bool:
    """It answers whatever it is asked, however often."""
    return True
