"""What becomes of a transaction, against replicas in memory that are honest, silent, busy, wrong, or liars."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.ids import Millis, ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger.client_messages import (
    AskReceipt,
    AskStatus,
    Busy,
    Committed,
    ErrorReply,
    ReceiptReply,
    Refused,
    Reply,
    Request,
    Submit,
    TxState,
)
from bftledger.ledger.outcome import NoQuorum, NotCommitted, Outcome, State
from bftledger.ledger.receipt import verify_receipt
from tests.client.fake_group import (
    ALL,
    GENESIS,
    FakeGroup,
    Rehearsal,
    alive_but,
    certify,
    fate,
    nothing,
    status,
    tampered,
)

TIMEOUT_MS = 10_000


@pytest.fixture
def group() -> FakeGroup:
    return FakeGroup()


def submit(run: Rehearsal, transaction: Transaction) -> Outcome:
    asking = run.session.submission(transaction, TIMEOUT_MS)
    run.run(asking)
    outcome = run.answers[asking.request_id]
    assert isinstance(outcome, Outcome)
    return outcome


def ask_fate(run: Rehearsal, tx_id: TxId) -> Outcome:
    asking = run.session.fate(tx_id, TIMEOUT_MS)
    run.run(asking)
    outcome = run.answers[asking.request_id]
    assert isinstance(outcome, Outcome)
    return outcome


def committed_by(group: FakeGroup, request: Request) -> Committed:
    reply = group.honest(request)[0]
    assert isinstance(reply, Committed)
    return reply


# ── submitting ──


def test_one_replica_is_asked_and_its_proof_is_enough(group: FakeGroup) -> None:
    run, transaction = Rehearsal(group), group.transaction()
    outcome = submit(run, transaction)

    assert run.asked(Submit) == [(0, 0)]
    assert outcome.state is State.COMMITTED
    assert outcome.final
    assert outcome.height == 1
    receipt = outcome.raise_for_state()
    assert verify_receipt(receipt.encode(), GENESIS, Ed25519Verifier()).transaction.id == transaction.id


def test_what_the_application_rejects_comes_with_a_receipt_and_its_reason(group: FakeGroup) -> None:
    outcome = submit(Rehearsal(group), group.transaction("delete nothing"))

    assert outcome.state is State.REJECTED
    assert outcome.receipt is not None
    assert outcome.reason == "there is no such key"
    with pytest.raises(NotCommitted, match=r"in block 1 without effect: there is no such key"):
        outcome.raise_for_state()


def test_silent_replica_is_waited_for_half_a_second_then_all_are_asked(group: FakeGroup) -> None:
    group.behave[0] = None
    run = Rehearsal(group)
    outcome = submit(run, group.transaction())

    assert outcome.ok
    assert run.asked(Submit) == [(0, 0), *((500, replica) for replica in ALL)]


def test_after_a_silent_replica_another_is_asked_first(group: FakeGroup) -> None:
    group.behave[0] = None
    run = Rehearsal(group)
    submit(run, group.transaction())
    run.log.clear()

    assert submit(run, group.transaction()).ok
    assert run.asked(Submit) == [(500, 1)]


def test_primary_that_two_replicas_name_is_asked_first(group: FakeGroup) -> None:
    def in_view_six(request: Request) -> Iterable[Reply]:
        return [status(request.request_id, 1, view=6)] if isinstance(request, AskStatus) else group.honest(request)

    group.behave[1] = group.behave[2] = in_view_six
    run = Rehearsal(group)
    submit(run, group.transaction())
    run.log.clear()
    submit(run, group.transaction())

    assert run.asked(Submit) == [(0, 2)]


def test_view_that_one_replica_claims_is_not_believed(group: FakeGroup) -> None:
    group.behave[3] = lambda request: [status(request.request_id, 3, view=7)]
    run = Rehearsal(group)
    submit(run, group.transaction())
    run.log.clear()
    submit(run, group.transaction())

    assert run.asked(Submit) == [(0, 0)]


@pytest.mark.parametrize("lie", ["result", "certificate", "two signatures", "another transaction", "receipt"])
def test_liar_is_ignored_and_the_others_are_asked_at_once(group: FakeGroup, lie: str) -> None:
    def lies(request: Request) -> Iterable[Reply]:
        if not isinstance(request, Submit):
            return []
        reply = committed_by(group, request)
        header = reply.header
        match lie:
            case "result":
                return [tampered(reply)]
            case "certificate":
                return [replace(reply, certificate=certify(header.height, GENESIS.genesis_hash))]
            case "two signatures":
                return [replace(reply, certificate=certify(header.height, header.hash, signers=(0, 1)))]
            case "another transaction":
                other = group.decide(group.transaction()).transactions[0]
                item = group.committed(request.request_id, other.id).items[0]._replace(tx_id=reply.items[0].tx_id)
                return [replace(group.committed(request.request_id, other.id), items=(item,))]
            case _:
                other = group.decide(group.transaction()).transactions[0]
                return [ReceiptReply(request_id=request.request_id, receipt=group.receipt(other.id).encode())]

    group.behave[0] = lies
    run = Rehearsal(group)
    outcome = submit(run, group.transaction())

    assert outcome.ok
    assert run.now == 0
    assert run.session.dropped["unproven"] == 1
    assert run.asked(Submit)[:2] == [(0, 0), (0, 1)]


def test_receipt_instead_of_a_block_s_answer_is_as_good(group: FakeGroup) -> None:
    def with_receipt(request: Request) -> Iterable[Reply]:
        if not isinstance(request, Submit):
            return []
        tx_id = committed_by(group, request).items[0].tx_id
        return [ReceiptReply(request_id=request.request_id, receipt=group.receipt(tx_id).encode())]

    group.behave[0] = with_receipt
    run = Rehearsal(group)

    assert submit(run, group.transaction()).ok
    assert run.asked(Submit) == [(0, 0)]


def test_claim_without_a_proof_makes_the_client_ask_for_the_receipt(group: FakeGroup) -> None:
    def claims(request: Request) -> Iterable[Reply]:
        if isinstance(request, Submit):
            tx_id = committed_by(group, request).items[0].tx_id
            return [fate(request.request_id, tx_id, TxState.COMMITTED)]
        return group.honest(request)

    group.behave[0] = claims
    run = Rehearsal(group)

    assert submit(run, group.transaction()).ok
    assert run.asked(AskReceipt) == [(0, 0)]


def test_one_replica_cannot_make_a_transaction_look_refused_or_expired(group: FakeGroup) -> None:
    transaction = group.transaction()
    for answer in (
        lambda request: [Refused(request_id=request.request_id, code=64, reason="no")],
        lambda request: [fate(request.request_id, transaction.id, TxState.EXPIRED)],
        lambda request: [ErrorReply(request_id=request.request_id, text="no")],
    ):
        group.behave[0] = answer
        run = Rehearsal(group)

        assert submit(run, transaction).ok
        assert run.now == 0


def test_refusal_is_believed_of_two_replicas(group: FakeGroup) -> None:
    for replica in (0, 2):
        group.behave[replica] = lambda request: [Refused(request_id=request.request_id, code=64, reason="no member")]
    group.behave[1] = group.behave[3] = None
    run, transaction = Rehearsal(group), group.transaction()
    outcome = submit(run, transaction)

    assert (outcome.state, outcome.code, outcome.reason) == (State.REFUSED, 64, "no member")
    assert transaction.id.hex() in str(outcome)
    assert run.now == 0


def test_expiry_is_believed_of_two_replicas(group: FakeGroup) -> None:
    transaction = group.transaction()
    for replica in ALL:
        group.behave[replica] = lambda request: [fate(request.request_id, transaction.id, TxState.EXPIRED)]
    outcome = submit(Rehearsal(group), transaction)

    assert outcome.state is State.EXPIRED
    assert outcome.final


def test_busy_replica_sends_the_client_to_the_next(group: FakeGroup) -> None:
    group.behave[0] = lambda request: [Busy(request_id=request.request_id, retry_ms=Millis(250))]
    run = Rehearsal(group)

    assert submit(run, group.transaction()).ok
    assert run.asked(Submit) == [(0, 0), (0, 1)]


def test_busy_replicas_are_asked_again_when_they_said(group: FakeGroup) -> None:
    rounds: list[int] = []

    def busy_at_first(request: Request) -> Iterable[Reply]:
        rounds.append(1)
        if len(rounds) <= 4:
            return [Busy(request_id=request.request_id, retry_ms=Millis(250))]
        return group.honest(request)

    for replica in ALL:
        group.behave[replica] = alive_but(busy_at_first)
    run = Rehearsal(group)

    assert submit(run, group.transaction()).ok
    assert run.now == 250


@pytest.mark.parametrize("hint", [0, 100, 3_600_000])
def test_group_that_stays_busy_is_reported_with_a_hint(group: FakeGroup, hint: int) -> None:
    for replica in ALL:
        group.behave[replica] = alive_but(lambda request: [Busy(request_id=request.request_id, retry_ms=Millis(hint))])
    run, transaction = Rehearsal(group), group.transaction()
    outcome = submit(run, transaction)

    assert outcome.state is State.BUSY
    assert run.now == TIMEOUT_MS
    assert transaction.id.hex() in str(outcome)
    assert len(run.asked(Submit)) < 4 * TIMEOUT_MS / 20 + 50


def test_time_out_with_a_quorum_there_is_pending_and_names_the_transaction(group: FakeGroup) -> None:
    for replica in ALL:
        group.behave[replica] = alive_but(nothing)
    run, transaction = Rehearsal(group), group.transaction()
    outcome = submit(run, transaction)

    assert outcome.state is State.PENDING
    assert not outcome.final
    assert outcome.alive == 4
    assert run.now == TIMEOUT_MS
    assert transaction.id.hex() in str(outcome)


def test_without_a_quorum_the_outcome_says_how_many_answer_within_the_time_out(group: FakeGroup) -> None:
    for replica in (0, 1):
        group.behave[replica] = None
    for replica in (2, 3):
        group.behave[replica] = alive_but(nothing)
    run, transaction = Rehearsal(group), group.transaction()
    outcome = submit(run, transaction)

    assert outcome.state is State.NO_QUORUM
    assert run.now == TIMEOUT_MS
    assert str(outcome).startswith("no quorum: only 2 of 4 replicas answer, 3 are needed; transaction ")
    assert f"{transaction.id.hex()} may still be ordered: ask for it later" in str(outcome)
    with pytest.raises(NoQuorum):
        outcome.raise_for_state()


def test_replica_that_died_meanwhile_is_not_counted(group: FakeGroup) -> None:
    def until_the_probe(request: Request) -> Iterable[Reply]:
        return [] if isinstance(request, AskStatus) else [ErrorReply(request_id=request.request_id, text="wait")]

    for replica in ALL:
        group.behave[replica] = until_the_probe
    run = Rehearsal(group)

    # The probe comes with the last round, half a second before the end: nothing was heard since.
    assert submit(run, group.transaction()).state is State.NO_QUORUM


def test_transaction_is_sent_again_every_second_until_the_group_is_back(group: FakeGroup) -> None:
    for replica in ALL:
        group.behave[replica] = None
    run, transaction = Rehearsal(group), group.transaction()
    asking = run.session.submission(transaction, TIMEOUT_MS)
    run._perform(run.session.begin(asking, run.now))
    for now in range(10, 2_600, 10):
        run.now = Millis(now)
        if now == 2_000:
            group.behave.clear()
        run._perform(run.session.tick(run.now))

    outcome = run.answers[asking.request_id]
    assert isinstance(outcome, Outcome)
    assert outcome.ok
    assert sorted({at for at, _ in run.asked(Submit)}) == [0, 500, 1_500, 2_500]


# ── asking for one ──


def test_fate_of_a_committed_transaction_comes_with_its_receipt(group: FakeGroup) -> None:
    tx_id = group.decide(group.transaction()).transactions[0].id
    run = Rehearsal(group)
    outcome = ask_fate(run, tx_id)

    assert outcome.ok
    assert run.asked(AskReceipt) == [(0, 0)]


def test_transaction_that_a_quorum_does_not_know_is_unknown(group: FakeGroup) -> None:
    group.behave[3] = None
    run = Rehearsal(group)
    outcome = ask_fate(run, group.transaction().id)

    assert outcome.state is State.UNKNOWN
    assert run.now == 0


def test_replica_that_hides_a_transaction_is_overruled_by_one_proof(group: FakeGroup) -> None:
    tx_id = group.decide(group.transaction()).transactions[0].id
    group.behave[0] = lambda request: [fate(request.request_id, tx_id, TxState.UNKNOWN)]
    run = Rehearsal(group)

    assert ask_fate(run, tx_id).ok
    assert run.now == 0


def test_transaction_that_waits_somewhere_is_pending(group: FakeGroup) -> None:
    tx_id = group.transaction().id
    group.behave[1] = lambda request: [fate(request.request_id, tx_id, TxState.PENDING)]

    assert ask_fate(Rehearsal(group), tx_id).state is State.PENDING


def test_claim_of_one_replica_that_never_proves_it_delays_nobody(group: FakeGroup) -> None:
    tx_id = group.transaction().id
    group.behave[0] = lambda request: [fate(request.request_id, tx_id, TxState.COMMITTED)]
    run = Rehearsal(group)

    assert not ask_fate(run, tx_id).final
    assert run.now == 0


def test_expiry_needs_two_voices_here_too(group: FakeGroup) -> None:
    tx_id = group.transaction().id
    group.behave[0] = lambda request: [fate(request.request_id, tx_id, TxState.EXPIRED)]
    assert ask_fate(Rehearsal(group), tx_id).state is State.UNKNOWN
    group.behave[1] = group.behave[0]

    assert ask_fate(Rehearsal(group), tx_id).state is State.EXPIRED


def test_fate_without_a_quorum_says_so(group: FakeGroup) -> None:
    group.behave[1] = group.behave[2] = None

    assert ask_fate(Rehearsal(group), group.transaction().id).state is State.NO_QUORUM


def test_fate_is_not_unknown_because_some_do_not_know_it_and_others_have_no_time(group: FakeGroup) -> None:
    """Those who have no time may hold the proof."""
    tx_id = group.decide(group.transaction()).transactions[0].id
    group.behave[0] = lambda request: [fate(request.request_id, tx_id, TxState.UNKNOWN)]
    for replica in (1, 2, 3):
        group.behave[replica] = lambda request: [Busy(request_id=request.request_id, retry_ms=Millis(500))]
    outcome = ask_fate(Rehearsal(group), tx_id)

    assert outcome.state is State.NO_QUORUM
    assert outcome.alive == 1


# ── the session ──


def test_answer_to_many_submissions_at_once_settles_all(group: FakeGroup) -> None:
    for replica in ALL:
        group.behave[replica] = None
    run = Rehearsal(group)
    transactions = [group.transaction() for _ in range(50)]
    asked = [run.session.submission(transaction, TIMEOUT_MS) for transaction in transactions]
    for asking in asked:
        run._perform(run.session.begin(asking, run.now))
    group.decide(*transactions)
    replies = [group.committed(asking.request_id, asking.tx_id) for asking in asked]
    frame = replace(replies[0], items=tuple(reply.items[0] for reply in replies))
    group.behave[0] = lambda _: [frame]
    run._perform(run.session.begin(run.session.submission(group.transaction(), TIMEOUT_MS), run.now))

    outcomes = [run.answers[asking.request_id] for asking in asked]
    assert all(isinstance(outcome, Outcome) and outcome.ok for outcome in outcomes)
    assert run.session.open == 1


def test_late_and_unknown_answers_are_counted_and_nothing_else(group: FakeGroup) -> None:
    group.behave[0] = lambda request: [reply for _ in range(3) for reply in group.honest(request)]
    run = Rehearsal(group)

    assert submit(run, group.transaction()).ok
    assert run.session.dropped["stray"] == 2
    assert run.session.open == 0


def test_frame_that_answers_a_submission_twice_answers_it_once(group: FakeGroup) -> None:
    def twice(request: Request) -> list[Reply]:
        (reply,) = group.honest(request)
        return [replace(reply, items=2 * reply.items)] if isinstance(reply, Committed) else [reply]

    group.behave[0] = twice
    run = Rehearsal(group)  # which asserts it

    assert submit(run, group.transaction()).ok
    assert run.session.open == 0


def test_question_that_nobody_wants_any_more_is_forgotten(group: FakeGroup) -> None:
    group.behave[0] = None
    run = Rehearsal(group)
    asking = run.session.submission(group.transaction(), TIMEOUT_MS)
    run.session.begin(asking, run.now)
    run.session.forget(asking.request_id)

    assert run.session.tick(Millis(20_000))[4:] == []  # the first four ask for the view
    assert run.session.due is None
    assert ReplicaId(0) == run.session.route.preferred
