"""Whatever replicas send: it is counted and dropped, nothing raises, and the honest answer still comes through."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bftledger.base.ids import Millis, ReplicaId, Seq
from bftledger.ledger import client_wire
from bftledger.ledger.asking import Asking
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskHeight,
    AskReceipt,
    AskStatus,
    BlockReply,
    Busy,
    ErrorReply,
    HeightReply,
    Query,
    QueryReply,
    Refused,
    Reply,
    TxState,
)
from bftledger.ledger.outcome import Outcome
from bftledger.ledger.question import Answers
from tests.client.fake_group import ALL, FakeGroup, Rehearsal, fate

TIMEOUT_MS = 10_000
ID = 2
"""The number of the first question of a session."""

GROUP = FakeGroup()
TRANSACTION = GROUP.decide(GROUP.transaction(), GROUP.transaction("put shape round")).transactions[0]


def replies() -> Iterable[Reply]:
    """One of each kind, all to the first question."""
    yield GROUP.committed(ID, TRANSACTION.id)
    for request in (
        AskReceipt(request_id=ID, tx_id=TRANSACTION.id),
        Query(request_id=ID, args=b"color", certified=True, minimum=Seq(0)),
        AskHeight(request_id=ID, minimum=Seq(0)),
        AskBlock(request_id=ID, height=Seq(1)),
        AskBlocks(request_id=ID, count=2),
        AskStatus(request_id=ID),
    ):
        yield from GROUP.honest(request)
    for state in TxState:
        yield fate(ID, TRANSACTION.id, state)
    yield Refused(request_id=ID, code=64, reason="no")
    yield Busy(request_id=ID, retry_ms=Millis(0))
    yield ErrorReply(request_id=ID, text="no")
    yield ErrorReply(request_id=0, text="no")
    yield QueryReply(request_id=ID, value=b"x", height=Seq(9), proof=None)


FRAMES = [client_wire.encode(reply) for reply in replies()]


@st.composite
def hostile_frames(draw: st.DrawFn) -> bytes:
    """A valid reply, perhaps to another question, with some bytes changed, cut off or put in its place."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.one_of(st.none(), st.integers(0, len(frame))))
    return bytes(frame[:cut]) if draw(st.booleans()) else draw(st.one_of(st.just(bytes(frame)), st.binary(max_size=99)))


def ask(run: Rehearsal, what: str) -> Asking[Any]:
    session, proofs = run.session, run.session.proofs
    match what:
        case "submission":
            return session.submission(TRANSACTION, TIMEOUT_MS)
        case "fate":
            return session.fate(TRANSACTION.id, TIMEOUT_MS)
        case "read":

            def judge(_: ReplicaId, reply: Reply) -> bytes | None:
                return proofs.read(reply, b"color", Seq(1)).value if isinstance(reply, QueryReply) else None

            query = Query(request_id=session.next_id(), args=b"color", certified=True, minimum=Seq(1))
            return session.question(query, judge, TIMEOUT_MS)
        case _:

            def judge_height(_: ReplicaId, reply: Reply) -> Seq | None:
                return proofs.height(reply, Seq(1)).height if isinstance(reply, HeightReply | BlockReply) else None

            heights = AskHeight(request_id=session.next_id(), minimum=Seq(1))
            return session.question(heights, judge_height, TIMEOUT_MS, needed=3)


@settings(max_examples=150, deadline=None)
@given(st.lists(hostile_frames(), max_size=12), st.sampled_from(["submission", "fate", "read", "heights"]))
def test_no_reply_of_one_replica_raises_or_changes_the_answer(frames: list[bytes], what: str) -> None:
    run = Rehearsal(GROUP)
    asking = ask(run, what)
    liar = run.session.route.preferred
    GROUP.behave = {liar: None}
    assert asking.request_id == ID
    sent = run.session.begin(asking, run.now)
    for frame in frames:
        sent += run.session.receive(liar, frame, run.now)
    run._perform(sent)
    while ID not in run.answers:
        due = run.session.due
        assert due is not None
        run.now = max(run.now, due)
        run._perform(run.session.tick(run.now))
    GROUP.behave = {}

    answer = run.answers[ID]
    assert run.now < TIMEOUT_MS
    if isinstance(answer, Outcome):
        assert answer.ok
        assert answer.raise_for_state().transaction == TRANSACTION
    else:
        assert isinstance(answer, Answers)
        assert answer.complete
        assert set(answer.found.values()) == {GROUP.read(ID, b"color", 1).value if what == "read" else 1}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL), hostile_frames()), max_size=30))
def test_four_liars_get_a_client_no_further_than_its_time_out(frames: list[tuple[ReplicaId, bytes]]) -> None:
    run = Rehearsal(GROUP)
    other = GROUP.transaction("put never decided")
    GROUP.behave = dict.fromkeys(ALL)
    asking = run.session.submission(other, TIMEOUT_MS)
    run._perform(run.session.begin(asking, run.now))
    for replica, frame in frames:
        run._perform(run.session.receive(replica, frame, run.now))
    while asking.request_id not in run.answers:
        due = run.session.due
        assert due is not None
        assert run.now < due <= TIMEOUT_MS
        run.now = due
        run._perform(run.session.tick(run.now))
    GROUP.behave = {}

    outcome = run.answers[asking.request_id]
    assert isinstance(outcome, Outcome)
    assert outcome.receipt is None
