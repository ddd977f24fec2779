"""Normal-case operation, rule by rule (OSDI'99 §4.2), and this project's own rules for batches and time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.pbft.effects import Broadcast, Deliver, Effect, Ignore, Ignored, Persist, Refuse, Send, StartTimer
from bftledger.pbft.events import Submitted
from bftledger.pbft.messages import Commit, Message, Prepare, PreparedCertificate, PrePrepare, Relay, ViewChange
from bftledger.pbft.timers import BatchTimer, RequestTimer, StatusTimer
from tests.builders import NOW, TestedReplica, Writer, a_replica, block_hash, delivered, fired, only, sent, tx

W = Writer()
LONG_AGO = 60_000


def in_flight(count: int = 1, **settings: Any) -> TestedReplica:
    """A primary of 4 with so many proposals under way."""
    replica = a_replica(id=0, **settings)
    for i in range(count):
        replica.take(Submitted((tx(f"early {i}"),)))
        replica.take(fired(BatchTimer(View(0))))
    return replica


def committed(seq: int, of: str, n: int = 4) -> Iterator[Message]:
    """What makes `of` committed-local at backup 1."""
    writer = Writer(n)
    yield writer.pre_prepare(seq=seq, of=of)
    yield from (writer.prepare(i, seq=seq, of=of) for i in range(2, n))
    yield from (writer.commit(i, seq=seq, of=of) for i in range(n) if i != 1)


def is_before(effects: tuple[Effect, ...], first: type, then: type) -> bool:
    kinds = [type(getattr(effect, "record", None) or getattr(effect, "message", None)) for effect in effects]
    persisted = [i for i, effect in enumerate(effects) if isinstance(effect, Persist) and kinds[i] is first]
    left = [i for i, effect in enumerate(effects) if isinstance(effect, Broadcast) and kinds[i] is then]
    return max(persisted) < min(left)


# ── the primary ──


def test_primary_starts_the_protocol_when_it_receives_a_request() -> None:
    """§4.2: "When the primary, p, receives a client request, m, it starts a three-phase protocol"."""
    primary = a_replica(id=0)
    effects = primary.take(Submitted((tx("pay bob"),)))

    assert sent(effects, PrePrepare) == [W.pre_prepare(seq=1, of="pay bob")]
    assert is_before(effects, PrePrepare, PrePrepare)


def test_primary_assigns_consecutive_sequence_numbers() -> None:
    """§4.2: "the primary assigns a sequence number, n, to the request"."""
    primary = in_flight(3)
    effects = primary.take(W.prepare(1, seq=1, of="early 0"))

    assert sorted(primary.state.slots) == [1, 2, 3]
    assert sent(effects, PrePrepare) == []


def test_backup_sends_a_clients_request_to_the_primary() -> None:
    """§4.2: a backup that gets a request "relays the request to the primary"."""
    effects = a_replica(id=1).take(Submitted((tx("pay bob"),)))

    assert [(effect.to, effect.message) for effect in only(effects, Send)] == [(0, W.relay(1, "pay bob"))]


def test_primary_orders_what_is_passed_on_to_it() -> None:
    effects = a_replica(id=0).take(W.relay(1, "pay bob"))

    assert sent(effects, PrePrepare) == [W.pre_prepare(of="pay bob")]


def test_primary_gathers_a_batch_while_a_proposal_is_in_flight() -> None:
    """§4.2: "if the number of messages for which the protocol is in progress exceeds a given maximum … the primary
    buffers the request"; here from the first on, for a short time."""
    effects = in_flight(batch_wait_ms=10).take(Submitted((tx("second"),)))

    assert sent(effects, PrePrepare) == []
    assert StartTimer(BatchTimer(View(0)), Millis(10)) in effects


def test_buffered_requests_are_multicast_later_as_a_group() -> None:
    """§4.2: "Buffered requests are multicast later as a group"."""
    primary = in_flight().having(Submitted((tx("second"),)), Submitted((tx("third"),)))
    effects = primary.take(fired(BatchTimer(View(0))))

    assert sent(effects, PrePrepare) == [W.pre_prepare(seq=2, of=("second", "third"))]


def test_a_full_batch_does_not_wait() -> None:
    effects = in_flight(batch_count=2).take(Submitted((tx("second"), tx("third"), tx("fourth"))))

    assert sent(effects, PrePrepare) == [W.pre_prepare(seq=2, of=("second", "third"))]


def test_a_batch_is_bounded_in_bytes_and_a_larger_transaction_goes_alone() -> None:
    primary = a_replica(id=0, batch_bytes=1_000)
    large, small = tx("large", size=2_000), tx("small")
    effects = primary.take(Submitted((large, small)))

    assert [p.proposal.transactions for p in sent(effects, PrePrepare) if p.proposal] == [(large,)]
    assert primary.state.pool.waiting.all() == (small,)


def test_primary_keeps_at_most_a_pipeline_of_proposals_in_flight() -> None:
    primary = in_flight(5, pipeline=3)

    assert sorted(primary.state.slots) == [1, 2, 3]


def test_primary_assigns_nothing_above_the_high_watermark() -> None:
    """§4.2: a sequence number lies "between a low water mark, h, and a high water mark, H"."""
    primary = in_flight(6, window=4, pipeline=100)

    assert sorted(primary.state.slots) == [1, 2, 3, 4]


def test_what_exceeds_a_bound_of_the_pool_is_refused_by_name() -> None:
    primary = a_replica(id=0, pool_count=2, pool_share=1)
    first, second, third = tx("a"), tx("b"), tx("c", sender="carol")
    effects = primary.take(Submitted((first, second, third, tx("d", sender="dave"))))

    assert only(effects, Refuse) == [
        Refuse(second.id, Ignored.SHARE_USED),
        Refuse(tx("d", sender="dave").id, Ignored.POOL_FULL),
    ]


# ── PRE-PREPARE ──


def test_backup_that_accepts_a_pre_prepare_multicasts_a_prepare() -> None:
    """§4.2: "If backup i accepts the … message, it enters the prepare phase by multicasting a ⟨PREPARE, v, n, d, i⟩σᵢ
    message to all other replicas and adds both messages to its log"."""
    backup = a_replica(id=1)
    effects = backup.take(W.pre_prepare(seq=1, of="pay bob"))

    assert sent(effects, Prepare) == [W.prepare(1, seq=1, of="pay bob")]
    assert is_before(effects, PrePrepare, Prepare)
    assert is_before(effects, Prepare, Prepare)


@pytest.mark.parametrize(
    ("view", "reason"), [(0, Ignored.STALE_VIEW), (4, Ignored.FUTURE_VIEW)], ids=["a view that is over", "a later one"]
)
def test_backup_accepts_pre_prepares_of_its_own_view_only(view: int, reason: Ignored) -> None:
    """§4.2: "it is in view v"."""
    backup = a_replica(id=3).having(W.new_view([W.view_change(i) for i in (0, 1, 2)]))

    assert backup.take(W.pre_prepare(view=view)) == (Ignore(reason),)


def test_backup_accepts_pre_prepares_of_the_primary_only() -> None:
    false = W.signed(replace(W.pre_prepare(), replica=ReplicaId(2)))

    assert a_replica(id=1).take(false) == (Ignore(Ignored.NOT_PRIMARY),)


@pytest.mark.parametrize(
    ("seq", "reason"), [(0, Ignored.BELOW_WATERMARK), (3, Ignored.BELOW_WATERMARK), (8, Ignored.ABOVE_WATERMARK)]
)
def test_backup_accepts_sequence_numbers_between_the_watermarks_only(seq: int, reason: Ignored) -> None:
    """§4.2: the number is "between a low water mark, h, and a high water mark, H"."""
    backup = a_replica(id=1, window=4).having(W.stable(0, W.certificate(3)))

    assert Ignore(reason) in backup.take(W.pre_prepare(seq=seq))
    assert Ignore(reason) in backup.take(W.prepare(2, seq=seq))
    assert Ignore(reason) in backup.take(W.commit(2, seq=seq))


def test_backup_rejects_a_second_digest_for_the_same_view_and_number() -> None:
    """§4.2: "it has not accepted a pre-prepare message for view v and sequence number n containing a different
    digest". Two such messages prove the primary faulty: the backup leaves its view without waiting for a timer."""
    backup = a_replica(id=1).having(W.pre_prepare(seq=1, of="pay bob"))
    effects = backup.take(W.pre_prepare(seq=1, of="pay eve"))

    assert sent(effects, Prepare) == []
    assert [change.view for change in sent(effects, ViewChange)] == [1]


def test_the_same_pre_prepare_again_changes_nothing() -> None:
    backup = a_replica(id=1).having(W.pre_prepare())

    assert backup.take(W.pre_prepare()) == (Ignore(Ignored.DUPLICATE),)


def test_a_pre_prepare_without_its_proposal_is_not_accepted() -> None:
    bare = replace(W.pre_prepare(), proposal=None)

    assert a_replica(id=1).take(bare) == (Ignore(Ignored.NO_PROPOSAL),)


@pytest.mark.parametrize("off", [-LONG_AGO, 2_001])
def test_backup_compares_the_proposals_time_with_its_clock(off: int) -> None:
    assert a_replica(id=1).take(W.pre_prepare(time=NOW + off)) == (Ignore(Ignored.BAD_TIME),)


@pytest.mark.parametrize("off", [-18_000, 0, 2_000])
def test_a_proposal_that_had_to_be_sent_again_is_still_timely(off: int) -> None:
    assert sent(a_replica(id=1).take(W.pre_prepare(time=NOW + off)), Prepare)


# ── PREPARE and COMMIT ──


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_prepared_takes_a_quorum_together_with_the_primary(n: int) -> None:
    """§4.2: prepared(m, v, n, i) takes "2f prepares from different backups that match the pre-prepare"; where n is not
    3f+1, as many as make a quorum with the primary."""
    writer = Writer(n)
    backup = a_replica(id=1, n=n).having(writer.pre_prepare())
    needed = writer.group.quorum - 2  # besides the primary's word and its own
    outcomes = [backup.take(writer.prepare(2 + i)) for i in range(needed)]

    assert [len(sent(effects, Commit)) for effects in outcomes] == [0] * (needed - 1) + [1]
    assert sent(outcomes[-1], Commit) == [writer.commit(1)]


def test_backup_stores_its_proof_before_it_commits() -> None:
    """§4.2: "Replica i multicasts a ⟨COMMIT, v, n, D(m), i⟩σᵢ to the other replicas when prepared(m, v, n, i) becomes
    true"."""
    effects = a_replica(id=1).having(W.pre_prepare()).take(W.prepare(2))

    assert is_before(effects, PreparedCertificate, Commit)
    assert is_before(effects, Commit, Commit)


def test_prepares_count_once_for_each_backup() -> None:
    backup = a_replica(id=1, n=7).having(Writer(7).pre_prepare(), *[Writer(7).prepare(2)] * 5)

    assert not backup.state.slots[Seq(1)].prepared


def test_prepares_for_another_digest_do_not_count() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(of="pay bob"), W.prepare(2, of="pay eve"))

    assert not backup.state.slots[Seq(1)].prepared
    assert only(backup.take(W.prepare(2, of="pay bob")), Ignore) == [Ignore(Ignored.CONFLICTING)]


def test_the_primarys_prepare_does_not_count() -> None:
    """§4.2: prepares are "from different backups"."""
    backup = a_replica(id=1).having(W.pre_prepare())

    assert backup.take(W.prepare(0)) == (Ignore(Ignored.FROM_PRIMARY),)


def test_votes_that_overtake_their_pre_prepare_are_kept() -> None:
    backup = a_replica(id=1).having(W.prepare(2), W.prepare(3), W.commit(2), W.commit(3), W.commit(0))
    effects = backup.take(W.pre_prepare())

    assert sent(effects, Commit) == [W.commit(1)]
    assert [effect.seq for effect in only(effects, Deliver)] == [1]


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_committed_local_takes_a_quorum_of_commits(n: int) -> None:
    """§4.2: committed-local(m, v, n, i) is true iff prepared(m, v, n, i) is and i "has accepted 2f+1 commits (possibly
    including its own) from different replicas that match the pre-prepare"."""
    writer = Writer(n)
    backup = a_replica(id=1, n=n).having(writer.pre_prepare(), *(writer.prepare(i) for i in range(2, n)))
    others = [i for i in range(n) if i != 1][: writer.group.quorum - 1]
    outcomes = [backup.take(writer.commit(i)) for i in others]

    assert [len(only(effects, Deliver)) for effects in outcomes] == [0] * (len(others) - 1) + [1]


def test_commits_without_prepared_do_not_execute() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), *(W.commit(i) for i in (0, 2, 3)))

    assert not backup.state.slots[Seq(1)].committed


def test_requests_are_executed_in_the_order_of_their_numbers() -> None:
    """§4.2: i executes m after "i's state reflects the sequential execution of all requests with lower sequence
    numbers"."""
    backup = a_replica(id=1)
    later = [effect for message in committed(2, "second") for effect in backup.take(message)]
    first = [effect for message in committed(1, "first") for effect in backup.take(message)]
    then = backup.take(delivered(1, "first"))

    assert only(later, Deliver) == []
    assert [effect.seq for effect in only(first, Deliver)] == [1]
    assert [effect.seq for effect in only(then, Deliver)] == [2]


def test_nothing_else_is_delivered_before_the_last_delivery_is_answered() -> None:
    backup = a_replica(id=1).having(*committed(1, "first"))
    effects = [effect for message in committed(2, "second") for effect in backup.take(message)]

    assert only(effects, Deliver) == []


def test_executed_transactions_are_pending_no_more() -> None:
    backup = a_replica(id=1).having(W.relay(2, "first"), *committed(1, "first"), delivered(1, "first"))

    assert len(backup.state.pool) == 0
    assert backup.state.executed_hash == block_hash(1)


def test_what_each_replica_passes_on_has_a_room_of_its_own() -> None:
    """Else one that passes on junk would keep out clients and other replicas."""
    primary = a_replica(id=0, pool_count=16, pipeline=0).having(W.relay(2, "a", "b", "c"))
    primary.having(W.relay(3, "d"), *(Submitted((tx(f"{i}"),)) for i in range(20)))

    pending = [transaction.payload for transaction in primary.state.pool.pending()]
    assert pending == [b"a", b"b", b"d", *(b"%d" % i for i in range(10))]


def test_a_backup_passes_on_only_what_is_certain_to_find_room() -> None:
    """In the order of arrival; the rest follows as soon as a proposal has the first."""
    backup = a_replica(id=1, pool_count=32)
    first = backup.take(Submitted((tx("a"), tx("b"), tx("c"))))
    then = backup.take(W.pre_prepare(of=["a"]))

    assert sent(first, Relay) == [W.relay(1, "a", "b")]
    assert sent(then, Relay) == [W.relay(1, "c")]


def test_a_backup_passes_on_to_each_new_primary_what_it_holds() -> None:
    backup = a_replica(id=3).having(Submitted((tx("a"),)), W.pre_prepare(of="b"))
    effects = backup.take(W.new_view([W.view_change(i) for i in (0, 1, 2)]))

    assert [effect for effect in only(effects, Send) if isinstance(effect.message, Relay)] == [
        Send(ReplicaId(1), W.relay(3, "a", "b"))
    ]


def test_what_is_passed_on_at_a_time_fits_a_frame() -> None:
    """`rooms.room_out`: "a batch, and half of what it has there at most"."""
    backup = a_replica(id=1, batch_bytes=5_000)
    transactions = tuple(tx(f"large {i}", size=2_000) for i in range(5))
    forwarded = sent(backup.take(Submitted(transactions)), Relay)
    relayed = sent(backup.take(fired(RequestTimer(View(0), transactions[0].id, relayed=False))), Relay)
    backup.state.pool.mark_proposed(transactions[:2])
    then = sent(backup.take(fired(StatusTimer())), Relay)

    assert [relay.transactions for relay in forwarded] == [transactions[:2]]
    assert [relay.transactions for relay in relayed] == [transactions[:2]]
    assert [relay.transactions for relay in then] == [transactions[2:4]]


def test_a_primary_that_leads_again_gathers_batches_again() -> None:
    """A batch timer that ran out after its view did must not be waited for."""
    primary = in_flight().having(Submitted((tx("second"),)), W.view_change(1, view=4), W.view_change(2, view=4))
    primary.having(fired(BatchTimer(View(0))), W.view_change(3, view=4))
    effects = primary.take(Submitted((tx("third"),)))

    assert primary.state.is_primary
    assert only(effects, StartTimer) == [StartTimer(BatchTimer(View(4)), primary.state.settings.batch_wait_ms)]
