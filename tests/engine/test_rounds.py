"""Rounds: disk before promise, what needs no commit of its own, and what a crash at any moment may not break."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bftledger.base.errors import StoreError
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.engine.engine import Halted
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskReceipt, Committed, ReceiptReply, Submit
from bftledger.pbft import messages, wire
from bftledger.pbft.effects import Ignored, StartTimer
from bftledger.pbft.guilt import Rule
from bftledger.pbft.messages import Checkpoint, Message, NewView, Stable
from bftledger.pbft.timers import RequestTimer, StatusTimer
from bftledger.pbft.wire import UNSIGNED
from bftledger.storage.recall import recall_evidence
from bftledger.storage.sqlite import SqliteStore
from tests.engine.engines import ME, START, Engines, RecordingStore

NOW = Millis(START + 1)


def a_primary_with(tx_words: str = "put color blue") -> tuple[Engines, RecordingStore]:
    """A group whose primary has been given a transaction, in a round that has not ended."""
    group = Engines()
    group.run(1)
    engine = group.engine(0)
    request = Submit(request_id=1, transaction=group.transaction(tx_words).encoded)
    engine.on_client(ME, client_wire.encode(request), NOW)
    store = group.store(0)
    store.diary.clear()
    return group, store


# ── disk before promise ──


def test_a_round_persists_its_votes_commits_once_and_only_then_hands_out_frames() -> None:
    group, store = a_primary_with()

    finished = group.engine(0).end_round(NOW)

    assert store.diary == ["PRE-PREPARE", "commit", "committed"]
    assert len(finished.to_peers) == 3


def test_all_steps_of_a_round_share_one_commit() -> None:
    group = Engines()
    group.commit(*[group.transaction() for _ in range(4)])
    rounds = sum(what == "commit" for what in group.store(1).diary)
    votes = sum(what in ("PRE-PREPARE", "PREPARE", "COMMIT", "CHECKPOINT") for what in group.store(1).diary)

    assert rounds < votes


def test_a_round_without_promises_does_not_commit() -> None:
    group = Engines()
    group.run(5_000)

    assert [host.store.diary for host in group.hosts if isinstance(host.store, RecordingStore)] == [[]] * 4


def test_a_round_that_brings_only_a_certificate_does_not_commit_but_answers_the_client() -> None:
    group = Engines()
    tx = group.transaction()
    group.submit(0, tx)
    assert group.run(100, lambda: bool(group.replies[ME]))

    assert group.store(0).diary[-1] == "certificate"
    assert isinstance(group.taken()[0], Committed)


def test_a_certificate_that_a_crash_lost_is_given_again_by_the_others() -> None:
    group = Engines()
    tx = group.transaction()
    group.submit(0, tx)
    group.run(100)
    assert isinstance(group.taken()[0], Committed)

    group.crash(0)
    assert group.hosts[0].store.certificate(Seq(1)) is None
    group.start(0)
    group.run(3_000)

    assert group.hosts[0].store.certificate(Seq(1)) is not None
    assert isinstance(group.answer(0, AskReceipt(request_id=1, tx_id=tx.id)), ReceiptReply)


def test_a_lost_certificate_takes_nothing_with_it_even_if_all_lose_it() -> None:
    group = Engines()
    tx = group.transaction()
    group.submit(0, tx)
    group.run(100)
    for i in range(4):
        group.crash(i)
    assert all(host.store.certificate(Seq(1)) is None for host in group.hosts)
    for i in range(4):
        group.start(i)
    group.run(3_000)

    replies = [group.answer(i, AskReceipt(request_id=1, tx_id=tx.id)) for i in range(4)]
    assert [type(reply) for reply in replies] == [ReceiptReply] * 4


def test_an_orderly_stop_makes_what_waited_for_a_commit_durable() -> None:
    group = Engines()
    group.commit(group.transaction())

    group.engine(2).close()
    group.store(2).crash()

    assert group.hosts[2].store.certificate(Seq(1)) is not None


# ── when a round must not end ──


def test_when_the_commit_fails_nothing_is_sent() -> None:
    group, store = a_primary_with()
    store.is_broken = True

    with pytest.raises(StoreError):
        group.engine(0).end_round(NOW)


def test_after_a_commit_failed_no_later_round_sends_what_was_not_durable() -> None:
    group, store = a_primary_with()
    store.is_broken = True
    with pytest.raises(StoreError):
        group.engine(0).end_round(NOW)

    with pytest.raises(StoreError):
        group.engine(0).end_round(NOW)


def test_a_replica_that_contradicts_a_quorum_halts_and_keeps_its_store_as_it_was() -> None:
    group = Engines()
    group.passes = lambda source, to, message: not (to == 3 and isinstance(message, Checkpoint | Stable))
    tx = group.transaction()
    group.submit(0, tx)
    group.run(50)
    certificate = group.certificate(1, Digest(b"?" * 32))
    stable = group.signed(Stable(certificate=certificate, replica=ReplicaId(0), signature=UNSIGNED))
    engine = group.engine(3)

    with pytest.raises(Halted, match="a quorum certified"):
        engine.on_peer(stable.replica, wire.encode(stable), NOW)
    with pytest.raises(Halted):
        engine.end_round(NOW)
    group.store(3).crash()
    assert group.hosts[3].store.height() == 1
    assert group.hosts[3].store.certificate(Seq(1)) is None


def test_a_replica_that_halts_keeps_and_tells_what_the_same_round_proved() -> None:
    """Replica 0 signed the block that was made here, and the certificate of another one."""
    group = Engines()
    group.passes = lambda source, to, message: not (to == 3 and isinstance(message, Checkpoint | Stable))
    group.submit(0, group.transaction())
    group.run(50)
    certificate = group.certificate(1, Digest(b"?" * 32))
    stable = group.signed(Stable(certificate=certificate, replica=ReplicaId(0), signature=UNSIGNED))
    made = group.engine(0).ledger.tip.hash
    truth = group.signed(Checkpoint(seq=Seq(1), block_hash=made, replica=ReplicaId(0), signature=UNSIGNED))
    engine = group.engine(3)
    engine.on_peer(truth.replica, wire.encode(truth), NOW)

    with pytest.raises(Halted) as halted:
        engine.on_peer(stable.replica, wire.encode(stable), NOW)

    group.crash(3)
    (found,) = recall_evidence(group.hosts[3].store, group.genesis.group, group.keys.verifier)
    assert (found.replica, found.rule) == (0, Rule.TWO_BLOCKS)
    assert group.hosts[3].store.certificate(Seq(1)) is None
    assert {to for to, _ in halted.value.last_words} == {0, 1, 2}
    told = [wire.decode(frame, group.genesis.genesis_hash) for _, frame in halted.value.last_words]
    assert all(isinstance(message, messages.Testimony) for message in told)
    for i in (1, 2):
        for to, frame in halted.value.last_words:
            if to == i:
                group.peer_frame(i, frame, by=3)
    group.run(5)
    assert all(0 in group.engine(i).replica.state.witness.convicted for i in (1, 2))


def test_evidence_is_durable_before_anybody_is_told_and_known_after_a_restart() -> None:
    group = Engines()
    group.submit(0, group.transaction())
    group.run(50)
    twice = [
        group.signed(
            Checkpoint(seq=Seq(9), block_hash=Digest(bytes([i]) * 32), replica=ReplicaId(2), signature=UNSIGNED)
        )
        for i in (1, 2)
    ]
    store = group.store(1)
    group.engine(1).on_peer(ReplicaId(2), wire.encode(twice[0]), NOW)
    group.engine(1).on_peer(ReplicaId(2), wire.encode(twice[1]), NOW)
    store.diary.clear()
    told = group.engine(1).end_round(NOW).to_peers

    assert store.diary == ["commit", "committed"]
    assert [to for to, _ in told] == [0, 2, 3]
    group.crash(1)
    group.start(1)
    assert group.engine(1).replica.state.witness.convicted == {2}
    group.run(3_000)
    assert all(host.up.replica.state.witness.convicted == {2} for host in group.hosts), "all hear of it, by STATUS"


# ── timers ──


def test_a_timer_that_the_round_started_anew_does_not_fire_in_it() -> None:
    """A frame that was waiting may answer what a timer, run out meanwhile, would have complained about."""
    group = Engines()
    engine = group.new_engine(1)
    engine.start(START)  # starts the status timer

    engine.on_timer(StatusTimer(), START)

    assert engine.ignored[Ignored.STALE_TIMER] == 1
    started = [effect.timer for effect in engine.end_round(START).timers if isinstance(effect, StartTimer)]
    assert started == [StatusTimer()]


def test_the_request_timer_of_the_time_before_a_new_view_does_not_end_that_view() -> None:
    group = Engines()
    group.cut_off(0)
    tx = group.transaction()
    for i in (1, 2, 3):
        group.submit(i, tx)
    new_views: list[bytes] = []

    def catch(source: int, to: int, message: Message) -> bool:
        if to == 2 and isinstance(message, NewView):
            new_views.append(wire.encode(message))
        return 0 not in (source, to) and not (to == 2 and isinstance(message, NewView))

    group.passes = catch
    assert group.run(3_000, lambda: bool(new_views))
    engine = group.engine(2)
    now = Millis(START + group.now)

    engine.on_peer(ReplicaId(3), new_views[0], now)
    assert engine.replica.state.active
    engine.on_timer(RequestTimer(View(1), tx.id, relayed=True), now)

    assert engine.replica.state.view == 1


# ── crashes between persist and send ──


def order_three(group: Engines) -> None:
    for number in range(3):
        tx = group.transaction(f"put key{number} value")
        for i in (0, 1):
            if group.hosts[i].engine is not None:
                group.submit(i, tx)
        group.run(30)


def change_view(group: Engines) -> None:
    order_three(group)
    group.cut_off(0)
    tx = group.transaction("put after change")
    for host in group.up:
        group.submit(host.id, tx)
    group.run(1_500)
    group.cut_off()


@pytest.mark.parametrize("scenario", [order_three, change_view])
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_crash_at_any_operation_of_the_store_breaks_no_promise(
    scenario: Callable[[Engines], None], victim: int
) -> None:
    """`Engines` checks that no two votes for one slot ever leave a replica; here its power fails at each moment."""
    moment = 1
    while power_fails_at(moment, scenario, victim):
        moment += 1

    assert moment > 10, "the scenario is long enough to mean something"


@pytest.mark.parametrize("victim", [1, 2])
def test_a_view_change_after_a_crash_at_any_operation_hides_nothing(victim: int) -> None:
    """`Engines` checks that nobody gives evidence against itself: what a COMMIT promised to show is there, or settled.

    The certificate that settles it is not committed by itself, and may be lost.
    """
    moment = 1
    while power_fails_at(moment, order_three, victim, then=change_view):
        moment += 1

    assert moment > 10, "the scenario is long enough to mean something"


def power_fails_at(
    moment: int,
    scenario: Callable[[Engines], None],
    victim: int,
    then: Callable[[Engines], None] = lambda group: None,
) -> bool:
    """Whether the scenario is so long. The replica starts again, and the group must go on with all four."""
    group = Engines()
    group.store(victim).fuse = moment
    scenario(group)
    has_crashed = group.hosts[victim].engine is None
    if has_crashed:
        group.start(victim)
        then(group)
        group.run(3_000)
    group.store(victim).fuse = None
    last = group.transaction("put at last")
    for i in range(4):
        group.submit(i, last)

    assert group.run(12_000, lambda: all(host.store.locate([last.id]) for host in group.hosts)), f"stuck at {moment}"
    return has_crashed


@pytest.mark.parametrize("seed", range(4))
def test_with_a_tenth_of_all_frames_lost_and_crashes_in_between_everything_is_ordered_once(seed: int) -> None:
    group = Engines(loss=0.1, seed=seed)
    transactions = [group.transaction() for _ in range(12)]
    for number, tx in enumerate(transactions):
        victim = number % 4
        group.crash(victim)
        for i in range(4):
            if i != victim:
                group.submit(i, tx)
        group.run(200)
        group.start(victim)
    wanted = [tx.id for tx in transactions]

    assert group.run(60_000, lambda: all(len(host.store.locate(wanted)) == 12 for host in group.hosts))
    for host in group.hosts:
        places = host.store.locate(wanted)
        assert len(set(places.values())) == 12
        assert places == group.hosts[0].store.locate(wanted)


def test_an_engine_runs_on_sqlite_as_in_memory(tmp_path: Path) -> None:
    group = Engines(make_store=lambda i, group: SqliteStore(tmp_path / f"{i}.db", group, i))
    transactions = [group.transaction() for _ in range(5)]
    group.commit(*transactions)
    for host in group.hosts:
        host.up.close()
    reopened = SqliteStore(tmp_path / "1.db", group.genesis.genesis_hash, ReplicaId(1))

    assert reopened.contains([tx.id for tx in transactions]) == {tx.id for tx in transactions}
    reopened.close()


def test_a_restarted_replica_goes_on_where_it_was() -> None:
    group = Engines()
    group.commit(group.transaction("put color blue"))
    tip = group.engine(3).ledger.tip
    group.engine(3).close()
    group.crash(3)
    group.start(3)

    assert group.engine(3).ledger.tip == tip
    group.commit(group.transaction("put color red"))
    assert group.hosts[3].height == 2


def test_votes_of_settled_blocks_are_forgotten_in_the_store_too() -> None:
    group = Engines()
    for _ in range(30):
        group.commit(group.transaction())

    assert all(len(list(host.store.votes())) < 12 for host in group.hosts)
