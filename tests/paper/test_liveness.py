"""What keeps a group going (OSDI'99 §4.5.2): timers that double, joining f+1 others, sending again what was lost."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from bftledger.base.ids import Millis, Seq, View
from bftledger.pbft import suspicion, wire
from bftledger.pbft.effects import Broadcast, Effect, Ignore, Ignored, Send, StartTimer, StopTimer
from bftledger.pbft.events import Started, Submitted, Withdrawn
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Relay,
    Stable,
    Status,
    ViewChange,
)
from bftledger.pbft.rooms import Load
from bftledger.pbft.settings import Settings
from bftledger.pbft.suspicion import patience
from bftledger.pbft.timers import NewViewTimer, RequestTimer, StatusTimer, suspicion_timeout
from tests.builders import GENESIS, NOW, TestedReplica, Writer, a_replica, delivered, fired, only, sent, tx
from tests.cluster import Cluster
from tests.traitor import Traitor

W = Writer()
MEBIBYTE = 1 << 20
"""What each transaction costs in turns, where each makes a batch."""


def started(effects: tuple[Effect, ...], kind: type) -> list[StartTimer]:
    return [effect for effect in only(effects, StartTimer) if isinstance(effect.timer, kind)]


def watching(id: int = 1, *others: str) -> TestedReplica:
    """A replica that waits for "pay bob", and after it for others, and has heard a quorum since."""
    return a_replica(id=id).having(W.relay(2 if id != 2 else 3, "pay bob", *others), *heard(but=id))


def heard(*, but: int, writer: Writer = W) -> list[Message]:
    """All others say something, and nothing comes of it."""
    return [writer.fetch_blocks(i) for i in writer.group.replicas if i != but]


def timer(*, view: int = 0, of: str = "pay bob", relayed: bool = True) -> RequestTimer:
    return RequestTimer(View(view), tx(of).id, relayed=relayed)


# ── the request timer ──


def test_backup_starts_a_timer_when_it_receives_a_request() -> None:
    """§4.4: "A backup starts a timer when it receives a request and the timer is not already running"."""
    effects = a_replica(id=1).take(W.relay(2, "pay bob"))

    assert started(effects, RequestTimer) == [StartTimer(timer(relayed=False), Millis(250))]


def test_backup_stops_the_timer_when_it_waits_no_more() -> None:
    """§4.4: "It stops the timer when it is no longer waiting to execute the request"; here, when a quorum has."""
    backup = watching().having(W.pre_prepare(), W.prepare(2), *(W.commit(i) for i in (0, 2)))
    executed = backup.take(delivered(1, "pay bob"))
    backup.take(W.checkpoint(0))
    certified = backup.take(W.checkpoint(2))

    assert started(executed, RequestTimer) == [StartTimer(RequestTimer(View(0), Seq(1), relayed=False), Millis(250))]
    assert StopTimer(RequestTimer) in certified


def test_ordering_everybody_elses_transactions_does_not_excuse_the_primary() -> None:
    """The timer follows the oldest pending one; §4.4 would restart it for any."""
    backup = watching(1, "pay eve")
    effects = [
        effect
        for message in (W.pre_prepare(of="pay eve"), W.prepare(2, of="pay eve"), W.commit(0, of="pay eve"))
        for effect in backup.take(message)
    ]
    effects += [*backup.take(W.commit(2, of="pay eve")), *backup.take(delivered(1, "pay eve"))]

    assert started(tuple(effects), RequestTimer) == []
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1]


def test_half_the_time_passes_before_all_are_asked_to_watch() -> None:
    effects = watching().take(fired(timer(relayed=False)))

    assert only(effects, Broadcast) == [Broadcast(W.relay(1, "pay bob"))]
    assert started(effects, RequestTimer) == [StartTimer(timer(), Millis(250))]


def test_the_primary_asks_others_to_watch_but_accuses_nobody() -> None:
    primary = a_replica(id=0).having(Submitted((tx("pay bob"),)))
    effects = primary.take(fired(timer()))

    assert sent(effects, Relay) == [W.relay(0, "pay bob")]
    assert sent(effects, ViewChange) == []


def test_who_waits_for_a_view_goes_on_asking_others_to_watch() -> None:
    backup = watching().having(fired(timer()))
    effects = backup.take(fired(timer(view=1)))

    assert sent(effects, Relay) == [W.relay(1, "pay bob")]
    assert started(effects, RequestTimer) == [StartTimer(timer(view=1), Millis(250))]


def test_a_replica_that_lags_accuses_nobody() -> None:
    backup = watching().having(W.stable(2, W.certificate(3, by=(0, 2, 3))))

    assert sent(backup.take(fired(timer())), ViewChange) == []


def test_a_timer_of_something_that_is_over_changes_nothing() -> None:
    backup = watching().having(fired(timer()))

    assert backup.take(fired(timer())) == (Ignore(Ignored.STALE_TIMER),)
    assert backup.take(fired(NewViewTimer(View(5)))) == (Ignore(Ignored.STALE_TIMER),)


def test_a_new_view_gives_its_primary_the_whole_time() -> None:
    backup = watching(id=3).having(fired(timer()), fired(timer(view=1)))
    effects = backup.take(W.new_view([W.view_change(i) for i in (0, 1, 2)]))

    assert started(effects, RequestTimer) == [StartTimer(timer(view=1, relayed=False), Millis(250))]


def test_what_is_in_the_ledger_already_is_watched_no_more() -> None:
    """A lagging primary may propose again what was executed long ago; nobody else would ever order it."""
    backup = a_replica(id=1).having(W.pre_prepare(of="pay bob"))
    effects = backup.take(Withdrawn((tx("pay bob").id,)))

    assert effects == (StopTimer(RequestTimer),)
    assert len(backup.state.pool) == 0


def settled_is_proposed(*, seq: int = 1) -> TestedReplica:
    """A replica has accepted what is in the ledger already."""
    return a_replica(id=1).having(W.pre_prepare(seq=seq, of="pay bob"), Withdrawn((tx("pay bob").id,)))


def test_who_has_prepared_a_number_waits_for_it_whatever_is_in_it() -> None:
    """`watch_oldest`: "They wait for it as well, though nothing in it may be pending" (seed 35488: the one that had
    executed it left alone, and the others waited for nothing)."""
    backup = settled_is_proposed()
    effects = backup.take(W.prepare(2))
    backup.having(*heard(but=1), fired(RequestTimer(View(0), Seq(1), relayed=False)))
    left = backup.take(fired(RequestTimer(View(0), Seq(1), relayed=True)))

    assert started(effects, RequestTimer) == [StartTimer(RequestTimer(View(0), Seq(1), relayed=False), Millis(250))]
    assert [change.view for change in sent(left, ViewChange)] == [1]


def test_who_has_prepared_a_later_number_than_the_next_waits_for_nothing() -> None:
    """Nobody executes number 40 before those below it, which f+1 wait for."""
    backup = settled_is_proposed(seq=40)

    assert started(backup.take(W.prepare(2, seq=40)), RequestTimer) == []
    assert backup.state.slots[Seq(40)].prepared


def test_who_accepted_an_empty_proposal_of_a_new_view_waits_for_it() -> None:
    """`watch_oldest`: "and accept it in any later one that assigns it". Number 1 is empty here, and "pay bob" is
    in the ledger already."""
    shown = [W.prepared(seq=2, of="pay bob")]
    backup = a_replica(id=3).having(W.pre_prepare(seq=2, of="pay bob"))
    backup.having(W.new_view([W.view_change(i, prepared=shown) for i in (0, 1, 2)]))
    effects = backup.take(Withdrawn((tx("pay bob").id,)))

    assert started(effects, RequestTimer) == [StartTimer(RequestTimer(View(1), Seq(1), relayed=False), Millis(250))]


def test_for_a_number_the_primary_leaves_its_own_view() -> None:
    """`is_stalled`: "it may be one of those f+1 that others wait for to leave"."""
    primary = a_replica(id=0).having(Submitted((tx("pay bob"),)), W.prepare(1), W.prepare(2))
    primary.having(Withdrawn((tx("pay bob").id,)), *heard(but=0))
    effects = primary.take(fired(RequestTimer(View(0), Seq(1), relayed=True)))

    assert [change.view for change in sent(effects, ViewChange)] == [1]


def test_a_block_that_one_replica_alone_has_executed_gets_to_all_without_a_new_request() -> None:
    """Primary 1, cut off before, proposes again what block 1 holds; 2 alone executes that, and leaves; 0 is gone. Of
    the two that had prepared it and are correct, the other is the primary (`suspicion.is_stalled`)."""
    cluster = Cluster(4)
    cluster.nodes[0].traitor = _Faithless()
    lost = _Losses(cluster)
    lost.by = lambda source, to, message: 1 in (source, to)
    for i in (0, 1):
        cluster.submit(i, tx("pay bob"))
    cluster.run(60)
    lost.by = _is_lost_so_that_2_alone_executes_block_2
    for i, times in ((2, (0, 1)), (3, (1, 0)), (1, (0, 1))):
        for time in times:
            cluster.transmit(0, i, wire.encode(W.pre_prepare(seq=2, of=(), time=NOW + time)))
    cluster.run(60)
    executed = [node.state.executed for node in cluster.nodes]
    lost.by = lambda source, to, message: not isinstance(message, Status) or to != 2
    cluster.crash(0)
    cluster.run(1_500)
    views = [cluster.nodes[i].state.view for i in (1, 2, 3)]
    lost.by = lambda source, to, message: False

    assert (executed[1:], views) == ([0, 2, 1], [1, 2, 1])
    assert cluster.run(20_000, lambda: all(cluster.nodes[i].state.low == 2 for i in (1, 2, 3)))


class _Faithless(Traitor):
    """Adds and withholds nothing itself, but nobody expects of it what is expected of correct replicas."""

    def __init__(self) -> None:
        self.calm = True

    def lens(self, message: Message, now: int) -> Iterator[Message]:
        yield message


@dataclass
class _Losses:
    """What a cluster's network loses, by sender, receiver and message."""

    cluster: Cluster
    by: Callable[[int, int, object], bool] = lambda source, to, message: False

    def __post_init__(self) -> None:
        self.cluster.tap = lambda source, to, frame: not self.by(source, to, wire.decode(frame, GENESIS))


def _is_lost_so_that_2_alone_executes_block_2(source: int, to: int, message: object) -> bool:
    """Primary 1 cannot fetch block 1; of number 2 COMMITs get to 2 alone, and 3 hears nothing but 2's CHECKPOINT."""
    match message:
        case Blocks():
            return to == 1
        case Status():
            return 3 in (source, to) or {source, to} == {1, 2}
        case Checkpoint(seq=2):
            return (source, to) != (2, 3)
        case Commit():
            return to in (0, 1) or (to == 3 and message.view == 1)
        case PrePrepare() | Prepare():
            return to == 3 and message.view == 1
        case _:
            return False


def test_what_was_prepared_is_watched_until_a_quorum_has_executed_it() -> None:
    """One time-out for all of it: the number is the subject before its execution and after."""
    backup = settled_is_proposed().having(W.prepare(2), *(W.commit(i) for i in (0, 2)))
    executed = backup.take(delivered(1, "pay bob"))
    backup.take(W.checkpoint(0))
    certified = backup.take(W.checkpoint(2))

    assert (only(executed, StopTimer), started(executed, RequestTimer)) == ([], [])
    assert StopTimer(RequestTimer) in certified


# ── what a primary's work excuses ──


def ordered(backup: TestedReplica, *of: str, seq: int, writer: Writer = W) -> tuple[Effect, ...]:
    """The primary has these decided, and the last effects."""
    others = [i for i in writer.group.replicas if i != backup.state.me][: writer.group.quorum - 1]
    backup.having(writer.pre_prepare(seq=seq, of=of), *(writer.prepare(i, seq=seq, of=of) for i in others[1:]))
    backup.having(*(writer.commit(i, seq=seq, of=of) for i in others))
    return backup.take(delivered(seq, *of))


def test_half_a_batch_ordered_in_time_excuses_that_the_oldest_waits() -> None:
    backup = a_replica(id=1, batch_count=4).having(W.relay(2, "pay bob"), *heard(but=1))
    ordered(backup, "a", "b", seq=1)
    effects = backup.take(fired(timer()))

    assert sent(effects, ViewChange) == []
    assert started(effects, RequestTimer) == [StartTimer(timer(relayed=False), Millis(250))]
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1], "the next T needs its own"


def excused(backup: TestedReplica, writer: Writer = W) -> int:
    """How many proposals of one transaction each, one in each T, make it go on waiting for "pay bob"."""
    for seq in range(1, 300):
        ordered(backup, f"other {seq:03}", seq=seq, writer=writer)
        backup.having(*(writer.checkpoint(i, seq=seq) for i in writer.group.replicas if i != 1))
        if sent(backup.take(fired(timer())), ViewChange):
            return seq - 1
    raise AssertionError("for ever")


@pytest.mark.parametrize("pool_count", [80, 10_000])
@pytest.mark.parametrize(("n", "most"), [(4, 6 * (1 + 3) + 5), (7, 9 * (1 + 3) + 5)])
def test_no_work_excuses_a_longer_wait_than_turns_can_make_it(n: int, most: int, pool_count: int) -> None:
    """`patience`: "Until this queue has got what is `ahead`, each of them gets as much, and at most three of the
    largest transactions". However much more a pool can hold."""
    writer = Writer(n)
    backup = a_replica(id=1, n=n, batch_count=1, pool_count=pool_count, pipeline=3, window=100)
    backup.having(writer.relay(2, "pay bob"), *heard(but=1, writer=writer))

    assert excused(backup, writer) == most, "all are as large as a batch, and two more than may be are in flight"


def test_no_work_excuses_a_longer_wait_than_turns_by_bytes_can_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    size, small = len(tx("other 001").encoded), len(tx("pay bob").encoded)
    monkeypatch.setattr(suspicion, "MAX_TRANSACTION_BYTES", size)
    backup = a_replica(id=1, batch_bytes=size, pool_count=10_000, pipeline=1, window=300)
    backup.having(W.relay(2, "pay bob"), *heard(but=1))

    assert excused(backup) == (6 * (small + 3 * size) + 3 * size) // size


def test_what_a_block_leaves_out_is_no_work() -> None:
    """`suspicion`: "what they leave out, as what is in the ledger already, is none"."""
    backup = a_replica(id=1, batch_count=2).having(W.relay(2, "pay bob"), *heard(but=1))
    ordered(backup, "a", "b", seq=1)
    excused_by_work = sent(backup.take(fired(timer())), ViewChange)
    backup.having(W.pre_prepare(seq=2, of=("a", "b")), W.prepare(2, seq=2, of=("a", "b")))
    backup.having(*(W.commit(i, seq=2, of=("a", "b")) for i in (0, 2)))
    backup.having(replace(delivered(2, "a", "b"), load=Load(0, 0)))

    assert excused_by_work == []
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1]


def test_what_a_new_view_carries_over_is_not_held_against_its_primary() -> None:
    """A faulty predecessor may have left a whole window of full batches, and none of them was in its pool."""
    left = [(seq, f"left {seq}") for seq in range(1, 41)]
    backup = a_replica(id=3, batch_count=1, pool_count=1, pipeline=1).having(
        *(W.pre_prepare(seq=n, of=of) for n, of in left)
    )
    shown = [W.prepared(seq=n, of=of) for n, of in left]
    backup.having(W.relay(2, "pay bob"), W.new_view([W.view_change(i, prepared=shown) for i in (0, 1, 2)]))
    backup.having(*(W.prepare(0, seq=n, of=of, view=1) for n, of in left))
    for n, of in left:
        backup.having(*(W.commit(i, seq=n, of=of, view=1) for i in (0, 1)), delivered(n, of))
    effects = backup.having(*heard(but=3)).take(fired(timer(view=1)))

    assert (backup.state.executed, sent(effects, ViewChange)) == (40, [])
    assert patience(backup.state, MEBIBYTE) < 40 * MEBIBYTE, "had they been held against it"


def test_what_others_may_find_created_too_late_makes_nobody_leave() -> None:
    backup = watching()
    early = backup.take(fired(timer()), now=Millis(tx("pay bob").created - 1))

    assert sent(early, ViewChange) == []
    assert [change.view for change in sent(backup.take(fired(timer())), ViewChange)] == [1]


def test_who_heard_too_few_since_the_timer_started_accuses_nobody() -> None:
    """It would leave its view alone, and be of no use there until the others leave it, too."""
    backup = a_replica(id=1).having(W.relay(2, "pay bob"))
    alone = backup.take(fired(timer()))
    backup.having(W.fetch_blocks(0))
    heard_again = backup.take(W.fetch_blocks(3))

    assert sent(alone, ViewChange) == []
    assert started(heard_again, RequestTimer) == [StartTimer(timer(relayed=False), Millis(250))]


def test_what_was_passed_on_is_watched_by_all_after_2t_and_accused_for_after_4t() -> None:
    """However often something else becomes the oldest."""
    backup = a_replica(id=1).having(Submitted(tuple(tx(f"{i}") for i in range(60))))
    shared = accused = 0
    for tick in range(1, 60):
        if tick % 2:
            ordered(backup, f"{tick // 2}", seq=tick // 2 + 1)
            backup.having(*(W.checkpoint(i, seq=tick // 2 + 1) for i in (0, 2)))
        effects = backup.take(fired(StatusTimer()))
        if not shared and any(isinstance(effect.message, Relay) for effect in only(effects, Broadcast)):
            shared = tick
        if sent(effects, ViewChange):
            accused = tick
            break

    assert (shared, accused) == (11, 22)


# ── view changes that must succeed in the end ──


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_replica_joins_f_plus_one_others_in_the_smallest_view(n: int) -> None:
    """§4.5.2: "if a replica receives a set of f+1 valid view-change messages from other replicas for views greater than
    its current view, it sends a view-change message for the smallest view in the set, even if its timer has not
    expired"."""
    writer = Writer(n)
    backup = a_replica(id=0, n=n)
    outcomes = [backup.take(writer.view_change(1 + i, view=7 - i)) for i in range(writer.group.weak_quorum)]

    assert [len(sent(effects, ViewChange)) for effects in outcomes] == [0] * writer.group.f + [1]
    assert backup.state.view == 7 - writer.group.f


def test_one_replica_alone_pulls_nobody_along() -> None:
    backup = a_replica(id=0).having(W.view_change(3, view=1), W.view_change(3, view=2), W.view_change(3, view=9))

    assert backup.state.view == 0


def test_the_new_view_timer_starts_with_a_quorum_of_view_changes() -> None:
    """§4.5.2: "a replica that multicasts a view-change message for view v+1 waits for 2f+1 view-change messages for
    view v+1 and then starts its timer to expire after some time T"."""
    backup = watching(id=0)
    outcomes = [backup.take(event) for event in (fired(timer()), W.view_change(2), W.view_change(3))]

    assert [started(effects, NewViewTimer) for effects in outcomes] == [
        [],
        [],
        [StartTimer(NewViewTimer(View(1)), Millis(500))],
    ]


@pytest.mark.parametrize(("fail", "expected"), [(1, 500), (2, 1000), (3, 2000), (4, 2500), (9, 2500)])
def test_the_time_for_a_new_view_doubles_up_to_a_cap(fail: int, expected: int) -> None:
    """§4.5.2: if the timer expires before a valid new-view message, "it starts the view change for view v+2 but this
    time it will wait 2T"."""
    backup = a_replica(id=3, timeout_cap_ms=Millis(2_500))
    effects: tuple[Effect, ...] = ()
    for view in range(1, fail + 1):
        backup.having(W.view_change(0, view=view))
        effects = backup.take(W.view_change(1, view=view))
        assert backup.state.view == view

    assert [effect.after for effect in started(effects, NewViewTimer)] == [expected]


def test_a_silent_new_primary_is_passed_over() -> None:
    backup = a_replica(id=3).having(W.view_change(0), W.view_change(1))
    effects = backup.take(fired(NewViewTimer(View(1))))

    assert [change.view for change in sent(effects, ViewChange)] == [2]


def test_the_timeout_comes_back_down_on_progress() -> None:
    backup = a_replica(id=2)
    for view in (1, 2, 3):
        backup.having(W.view_change(0, view=view), W.view_change(1, view=view))
    failed = backup.state.failed_views
    backup.having(W.new_view([W.view_change(i, view=3) for i in (0, 1, 2)]))
    backup.having(W.pre_prepare(view=3), *(W.prepare(i, view=3) for i in (0, 1)))
    backup.having(*(W.commit(i, view=3) for i in (0, 1)), delivered(1, "pay bob"))

    assert failed == 3
    assert backup.state.failed_views == 0


def test_doubling_never_overflows() -> None:
    settings = Settings()

    assert suspicion_timeout(settings, 10_000) == settings.timeout_cap_ms


def test_view_changes_for_later_views_count_for_the_new_view_timer() -> None:
    """Who moved on to v+2 does not send its VIEW-CHANGE for v+1 again. If that was lost, those who wait for v+1 would
    wait for ever, since f+1 are needed to join and 2f+1 to time out."""
    backup = a_replica(id=3).having(*(W.view_change(i, view=1) for i in (0,)), W.view_change(1, view=2))

    assert backup.state.view == 1
    assert backup.state.new_view_timer_runs


# ── what was lost is sent again ──


def test_who_knows_that_what_a_new_view_assigns_is_stable_says_so_at_once() -> None:
    """`views._enter`: "nobody else could get it decided again, and those who do not know would wait for it"."""
    stable = W.certificate(1, by=(0, 2, 3))
    begins = W.new_view([W.view_change(i, prepared=[W.prepared()]) for i in (0, 1, 2)])
    knows = a_replica(id=3).having(W.pre_prepare(), W.stable(2, stable)).take(begins)
    does_not = a_replica(id=3).having(W.pre_prepare()).take(begins)

    assert only(knows, Broadcast) == [Broadcast(W.stable(3, stable))]
    assert sent(does_not, Stable) == []


def test_a_view_change_is_sent_again_until_it_is_answered() -> None:
    backup = watching().having(fired(timer()))

    assert sent(backup.take(W.status(2)), ViewChange) == [W.view_change(1)]
    assert sent(backup.take(W.status(3, view=1, active=False, view_changes=0b1000)), ViewChange) == [W.view_change(1)]
    assert sent(backup.take(W.status(0, view=1, active=False, view_changes=0b0010)), ViewChange) == []


def test_a_new_view_is_sent_again_by_whoever_has_it() -> None:
    message = W.new_view([W.view_change(i) for i in (0, 1, 2)])
    backup = a_replica(id=3).having(message)

    assert sent(backup.take(W.status(2)), NewView) == [message]
    assert sent(backup.take(W.status(0, view=1, active=False)), NewView) == [message]
    assert sent(backup.take(W.status(1, view=1)), NewView) == []


def test_lost_votes_are_sent_again_to_who_lacks_them() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2), fired(StatusTimer()))
    effects = backup.take(W.status(3))

    assert sent(effects, Prepare) == [W.prepare(1)]
    assert sent(effects, Commit) == [W.commit(1)]
    assert sent(effects, PrePrepare) == [], "the primary's to send"


def test_a_lost_pre_prepare_is_sent_again_by_the_primary() -> None:
    primary = a_replica(id=0).having(Submitted((tx("pay bob"),)), fired(StatusTimer()))

    assert sent(primary.take(W.status(3)), PrePrepare) == [W.pre_prepare()]


def test_votes_that_a_peer_can_no_longer_use_are_not_sent_again() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2), fired(StatusTimer()))

    assert only(backup.take(W.status(3, executed=1)), Send) == []


def test_status_says_where_a_replica_is() -> None:
    backup = a_replica(id=1).having(W.pre_prepare(), W.prepare(2), fired(StatusTimer()))
    (status,) = sent(backup.take(fired(StatusTimer())), Status)
    (slot,) = status.slots

    assert (status.view, status.active, status.stable, status.executed) == (0, True, 0, 0)
    assert (slot.seq, slot.has_pre_prepare, slot.prepares, slot.commits, slot.checkpoints) == (1, True, 0b110, 0b10, 0)


def test_status_is_rare_when_nothing_is_unfinished_and_frequent_as_soon_as_something_is() -> None:
    backup = a_replica(id=1)
    idle = backup.take(Started())
    busy = backup.take(W.pre_prepare())

    assert started(idle, StatusTimer) == [StartTimer(StatusTimer(), Millis(1_000))]
    assert started(busy, StatusTimer) == [StartTimer(StatusTimer(), Millis(100))]
    assert started(backup.take(W.prepare(2)), StatusTimer) == []


# ── groups ──


def test_a_transaction_that_one_backup_alone_knows_is_ordered_though_its_relay_is_lost() -> None:
    cluster = Cluster(4)
    cluster.tap = lambda source, to, frame: not (frame[1] == 8 and cluster.now < 2_000)  # no RELAY arrives
    cluster.submit(3, tx("pay bob"))

    assert cluster.run(10_000, lambda: cluster.have_executed(tx("pay bob")))


def test_what_a_primary_proposed_long_ago_is_ordered_when_the_others_come_back() -> None:
    """Its time is no longer accepted; the primary's own relay makes the others watch, and a new view orders it."""
    cluster = Cluster(4)
    for i in (1, 2, 3):
        cluster.crash(i)
    cluster.submit(0, tx("pay bob"))
    cluster.run(40_000)
    for i in (1, 2, 3):
        cluster.start(i)

    assert cluster.run(10_000, lambda: cluster.have_executed(tx("pay bob")))


def test_an_expired_transaction_that_nobody_else_takes_does_not_stop_its_holder() -> None:
    cluster = Cluster(4)
    for i in (0, 1, 2):
        cluster.crash(i)
    cluster.submit(3, tx("pay bob"))
    cluster.run(70_000)
    for i in (0, 1, 2):
        cluster.start(i)
    cluster.run(1_000)
    cluster.submit(3, late := tx("late", expires=300_000))

    assert cluster.run(10_000, lambda: cluster.have_executed(late))
    assert len(cluster.nodes[3].state.pool) == 0


def test_a_block_without_certificate_ends_the_view_of_a_primary_that_is_gone() -> None:
    """Two of four executed it, so nothing is pending with them; the third has never heard of it, and only the crashed
    primary could tell it. A client would wait for the certificate for ever."""
    cluster = Cluster(4)
    cluster.network.cut = {(i, 3) for i in (0, 1, 2)}
    cluster.submit(0, tx("pay bob"))
    cluster.run(3)
    cluster.crash(0)
    cluster.network.cut.clear()

    assert cluster.have_executed(tx("pay bob"), on=[1, 2])
    assert cluster.run(2_000, lambda: all(cluster.nodes[i].state.low == 1 for i in (1, 2, 3)))


def test_a_lagging_replica_that_becomes_primary_catches_up_and_leads() -> None:
    cluster = Cluster(4, window=4)
    cluster.crash(1)
    early = [tx(f"early {i}") for i in range(30)]
    for transaction in early:
        cluster.submit(0, transaction)
        cluster.run(20)
    cluster.crash(0)
    cluster.start(1)
    cluster.submit(2, tx("late"))

    assert cluster.run(10_000, lambda: cluster.have_executed(*early, tx("late"), on=[1, 2, 3]))
    assert cluster.nodes[1].state.executed == Seq(len(cluster.chain) - 1)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_a_group_outlives_f_crashed_primaries(n: int) -> None:
    cluster = Cluster(n)
    for i in range(cluster.group.f):
        cluster.crash(i)
    left = range(cluster.group.f, n)
    cluster.submit(n - 1, tx("pay bob"))

    assert cluster.run(10_000, lambda: cluster.have_executed(tx("pay bob"), on=left))
    assert all(cluster.view(i) == cluster.group.f for i in left)
