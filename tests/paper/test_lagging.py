"""What a primary gains by making a backup lag just when that would judge it: nothing (not in OSDI'99).

Whoever lags accuses nobody, since it has not seen all that the primary did (`suspicion.is_late`). "So that is made up
for when the backup is level again and executes what was decided here."
"""

from dataclasses import replace
from typing import Any

from bftledger.base.ids import Digest, Seq
from bftledger.pbft.effects import Halt, Send
from bftledger.pbft.events import Installed, Submitted
from bftledger.pbft.messages import FetchBlocks, Message, Relay, ViewChange
from bftledger.pbft.rooms import Load
from bftledger.pbft.suspicion import BATCH
from bftledger.pbft.timers import StatusTimer
from tests.builders import TestedReplica, Writer, a_replica, block_hash, delivered, fired, only, sent, tx
from tests.paper.test_liveness import heard, timer

W = Writer()
TICKS_OF_2T = 10
"""T is 500 ms and the status interval 100, where nothing else is said."""


def decided(seq: int, of: str = "other", *, block: Digest | None = None) -> list[Message]:
    """This is decided here, and before it is executed a quorum's word for it comes: the backup lags until then."""
    return [
        W.pre_prepare(seq=seq, of=of),
        W.prepare(2, seq=seq, of=of),
        *(W.commit(i, seq=seq, of=of) for i in (0, 2)),
        W.stable(2, W.certificate(seq, block=block, by=(0, 2, 3))),
    ]


def fetched(seq: int) -> Installed:
    return Installed(Seq(seq), block_hash(seq), (), (Load(1, 200),), W.certificate(seq, by=(0, 2, 3)))


def watching(*more: Message, **settings: Any) -> TestedReplica:
    """It and all others have known "pay bob" since the first tick."""
    return a_replica(id=1, **settings).having(W.relay(2, "pay bob"), *heard(but=1), *more)


def left_for(effects: tuple[object, ...]) -> list[int]:
    return [change.view for change in sent(effects, ViewChange)]


# ── what waits longest ──


def test_who_lags_when_the_request_timer_runs_out_accuses_when_it_is_level() -> None:
    backup = watching(*decided(1))
    lagging = backup.take(fired(timer()))
    level = backup.take(delivered(1, "other"))

    assert left_for(lagging) == []
    assert left_for(level) == [1]


def test_nobody_is_accused_when_the_block_that_was_missing_settles_it() -> None:
    backup = watching(*decided(1, "pay bob")).having(fired(timer()))

    assert left_for(backup.take(delivered(1, "pay bob"))) == []


def test_work_that_was_missing_excuses() -> None:
    """Half a batch in T: a queue is being worked off."""
    backup = watching(*decided(1), batch_count=2).having(fired(timer()))

    assert left_for(backup.take(delivered(1, "other"))) == []


def test_who_has_been_in_time_again_since_then_accuses_nobody_for_what_is_over() -> None:
    """The timer began anew for another that waits longest."""
    backup = watching(W.relay(3, "pay eve"), *decided(1, "pay bob")).having(fired(timer()))
    settled = backup.take(delivered(1, "pay bob"))
    later = backup.having(*decided(2)).take(delivered(2, "other"))

    assert left_for(settled) == left_for(later) == []


def test_a_queue_that_was_worked_off_when_the_timer_ran_out_is_judged_from_then_on() -> None:
    """As for who does not lag: the measure begins anew, and what comes next need not hold half a batch."""
    backup = watching(*decided(1), W.pre_prepare(seq=2, of="one more"), batch_count=2).having(delivered(1, "other"))
    backup.having(*decided(2, "one more"), fired(timer()))

    assert backup.state.work_at_start == BATCH // 2
    assert left_for(backup.take(replace(delivered(2, "one more"), load=Load(0, 0)))) == []


def test_who_was_cut_off_meanwhile_gives_the_primary_the_whole_time() -> None:
    """`Replica._hear`: "after a time alone, the primary has the whole time from when a quorum is there again"."""
    backup = a_replica(id=1).having(W.relay(2, "pay bob"), *decided(1))
    backup.state.unheard = backup.state.others
    backup.having(fired(timer()))
    cut_off = backup.state.cut_off
    backup.having(*heard(but=1), *heard(but=1))

    assert cut_off
    assert not backup.state.cut_off
    assert not backup.state.alone
    assert left_for(backup.take(delivered(1, "other"))) == []


def test_who_fetched_what_was_missing_judges_when_it_executes_what_was_decided_here() -> None:
    """`is_late`: "who comes from far behind is level for a moment, as far as it knows"."""
    backup = watching(W.stable(2, W.certificate(1, by=(0, 2, 3)))).having(fired(timer()))
    installed = backup.take(fetched(1))
    executed = backup.having(*decided(2)).take(delivered(2, "other"))

    assert left_for(installed) == []
    assert left_for(executed) == [1]


def test_who_has_to_halt_leaves_no_view() -> None:
    """What it has executed is not what a quorum certified, so nothing that it would say can be relied on."""
    backup = watching(*decided(1, block=block_hash("another"))).having(fired(timer()))
    effects = backup.take(delivered(1, "other"))

    assert len(only(effects, Halt)) == 1
    assert left_for(effects) == []


# ── what was passed on first: at each tick ──


def overdue() -> TestedReplica:
    """At its next tick it would accuse the primary for "pay bob"."""
    backup = watching().having(W.pre_prepare(seq=1, of="first"))
    backup.having(*(fired(StatusTimer()) for _ in range(TICKS_OF_2T)))
    return backup


def test_who_is_level_at_the_tick_judges_at_it() -> None:
    assert left_for(overdue().take(fired(StatusTimer()))) == [1]


def test_who_lags_at_each_tick_judges_at_the_first_block_that_it_executes_and_is_level() -> None:
    backup = overdue().having(*decided(1, "first"))
    lagging = [effect for _ in range(3) for effect in backup.take(fired(StatusTimer()))]
    still_behind = backup.having(*decided(2)).take(delivered(1, "first"))
    level = backup.take(delivered(2, "other"))

    assert left_for(tuple(lagging)) == left_for(still_behind) == []
    assert left_for(level) == [1]


def test_between_ticks_nobody_is_judged() -> None:
    """One judgement for each tick: what was measured is closed once."""
    backup = watching(*decided(1, "pay bob")).having(fired(timer()), delivered(1, "pay bob"))
    late = len(backup.state.pace.waits)
    backup.having(fired(StatusTimer()))

    assert (late, len(backup.state.pace.waits)) == (0, 1)


def test_what_only_the_primary_has_known_for_too_long_is_shared_late_as_well() -> None:
    backup = a_replica(id=1).having(Submitted((tx("pay bob"),)), *heard(but=1))
    backup.having(*(fired(StatusTimer()) for _ in range(TICKS_OF_2T)), *decided(1))
    at_the_tick = backup.take(fired(StatusTimer()))
    level = backup.take(delivered(1, "other"))

    assert sent(at_the_tick, Relay) == []
    assert sent(level, Relay) == [W.relay(1, "pay bob")]


# ── what it lacks ──


def test_the_primary_is_asked_for_blocks_last() -> None:
    """`fetch_blocks`: "if anybody withheld something from this replica, it was the primary"."""
    backup = a_replica(id=3)
    asked = [*backup.take(W.stable(2, W.certificate(3, by=(0, 1, 2))))]
    asked += [effect for _ in range(3) for effect in backup.take(fired(StatusTimer()))]
    to = [effect.to for effect in only(asked, Send) if isinstance(effect.message, FetchBlocks)]

    assert to == [1, 2, 0], "0 is the next one after 3"
