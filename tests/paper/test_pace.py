"""A primary that takes its time: it is compared with the rest of the group, not only with T (NSDI'09; not in OSDI'99).

T is 500 ms and `batch_wait_ms` 50 where nothing else is said, so a wait may be 125 + 50 ms and four agreements.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from bftledger.base.ids import Millis, Seq
from bftledger.pbft.effects import Broadcast, Effect
from bftledger.pbft.events import Installed, Submitted, Withdrawn
from bftledger.pbft.messages import Relay, ViewChange
from bftledger.pbft.pace import ALARM, CALM, FORGET, SAMPLES
from bftledger.pbft.rooms import Load
from bftledger.pbft.timers import StatusTimer
from tests.builders import NOW, TestedReplica, Writer, a_replica, block_hash, delivered, fired, only, sent, tx

W = Writer()
TICK: Final = 100


@dataclass
class Group:
    """What replica 1 sees of its group, whose primary takes its time."""

    backup: TestedReplica
    now: int = NOW
    seq: int = 0
    view: int = 0
    ticks: int = 0

    def wait(self, ms: int) -> list[Effect]:
        """Time passes, with its ticks; returns what is done at them."""
        found: list[Effect] = []
        for _ in range(ms):
            self.now += 1
            if self.now % TICK == 0:
                self.ticks += 1
                found += self.backup.take(fired(StatusTimer()), Millis(self.now))
        return found

    def order(self, *of: str, agreement: int = 5, load: Load | None = None) -> list[Effect]:
        """The primary proposes these now, and they are executed `agreement` ms later; `load`: what the block holds."""
        self.seq += 1
        n, v, at = self.seq, self.view, self.now
        primary = v % 4
        others = [i for i in range(4) if i not in (1, primary)]
        self.take(W.pre_prepare(seq=n, of=of, view=v, time=at))
        found = self.wait(agreement)
        self.take(W.prepare(others[0], seq=n, of=of, view=v, time=at))
        for i in (primary, others[0]):
            self.take(W.commit(i, seq=n, of=of, view=v, time=at))
        block = delivered(n, *of)
        self.backup.take(replace(block, load=load or block.load), Millis(self.now))
        for i in (primary, others[0]):
            self.take(W.checkpoint(i, seq=n))
        return found

    def take(self, message: object) -> tuple[Effect, ...]:
        return self.backup.take(message, Millis(self.now))  # type: ignore[arg-type]

    def one(self, ms: int, *, by: int | None = 2, agreement: int = 5, name: str = "") -> list[Effect]:
        """A transaction that all know, by a RELAY of this replica; without one, that a client brings here. The primary
        orders it after `ms`; then the tick is over."""
        what = name or f"{self.now}"
        found = [*self.take(Submitted((tx(what),)) if by is None else W.relay(by, what))]
        found += self.wait(ms)
        found += self.order(what, agreement=agreement)
        return found + self.wait(-self.now % TICK)


def until_accused(group: Group, ms: int, *, most: int = 3 * SAMPLES, by: int | None = 2, agreement: int = 5) -> int:
    """After how many transactions, each of which waits `ms`, the primary is accused; 0 if it is not."""
    for count in range(1, most + 1):
        if sent(group.one(ms, by=by, agreement=agreement), ViewChange):
            return count
    return 0


def a_group(**settings: Any) -> Group:
    return Group(a_replica(id=1, **settings))


@pytest.mark.parametrize("ms", [220, 300, 450])
def test_a_primary_that_lets_wait_what_all_know_is_left_after_some_transactions(ms: int) -> None:
    assert until_accused(a_group(), ms) == SAMPLES


@pytest.mark.parametrize(
    ("ms", "agreement"), [(0, 0), (5, 5), (190, 5), (300, 40), (450, 80)], ids=lambda value: f"{value}"
)
def test_a_primary_is_not_left_for_what_agreement_and_messages_take(ms: int, agreement: int) -> None:
    assert until_accused(a_group(), ms, agreement=agreement) == 0


def test_the_limit_grows_with_the_timeout_and_with_the_time_for_a_batch() -> None:
    assert until_accused(a_group(request_timeout_ms=1_500), 350) == 0
    assert until_accused(a_group(batch_wait_ms=200), 300) == 0


def test_what_one_backup_alone_passes_on_makes_it_share_before_it_accuses() -> None:
    """Who leaves a view alone moves nobody."""
    group = a_group()
    shared = accused = 0
    for count in range(1, 60):
        effects = group.one(250, by=None)
        if not shared and sent(only(effects, Broadcast), Relay):
            shared = count
        if sent(effects, ViewChange):
            accused = count
            break

    assert (shared, accused) == (ALARM + 1, ALARM + SAMPLES)


def test_few_outliers_accuse_nobody() -> None:
    group = a_group()
    found = [effect for count in range(60) for effect in group.one(300 if count % 15 < 7 else 5)]

    assert sent(found, ViewChange) == []


def test_ordering_the_transactions_of_friends_in_between_does_not_help() -> None:
    """The longest wait of a tick counts."""
    group = a_group()
    accused = 0
    for count in range(1, 40):
        group.take(W.relay(2, f"honest {count}"))
        found = group.wait(290)
        for i in range(3):
            group.take(W.relay(3, f"friend {count} {i}"))
            found += group.order(f"friend {count} {i}", agreement=1)
        found += group.order(f"honest {count}", agreement=1)
        found += group.wait(-group.now % TICK)
        if sent(found, ViewChange):
            accused = count
            break

    assert accused == SAMPLES


def test_ordering_some_promptly_and_the_rest_late_does_not_help() -> None:
    """`pace`: "of a tick in which the primary ordered anything counts what it then still left waiting for too long"."""
    group = a_group()
    found: list[Effect] = []
    for count in range(12):
        group.take(W.relay(2, f"late {count}"))
        for i in range(4):
            group.take(W.relay(3, f"prompt {count} {i}"))
            found += group.order(f"prompt {count} {i}", agreement=1)
            found += group.wait(100 - group.now % TICK)
            if sent(found, ViewChange):
                return
        found += group.order(f"late {count}", agreement=1)

    raise AssertionError("the primary was not accused")


def test_what_is_never_ordered_counts_while_anything_else_is() -> None:
    """Else what expires could wait until then, and the friends of a primary could submit such."""
    group = a_group()
    found: list[Effect] = []
    for count in range(40):
        group.take(W.relay(2, *(f"junk {count} {i}" for i in range(100))))
        group.take(W.relay(3, f"late {count}"))
        found += group.wait(440)
        found += group.order(f"late {count}")
        group.take(Withdrawn(tuple(tx(f"junk {count} {i}").id for i in range(100))))
        found += group.wait(-group.now % TICK)
        if sent(found, ViewChange):
            break

    assert sent(found, ViewChange) != []


def accused_while(group: Group, *early: int, is_passed_on: bool = True) -> bool:
    """Whether the primary is accused, in 60 times T, if it orders what is passed on 20 ms after the beginning of each
    only after 480 ms; and at these times, in milliseconds, at once what a client brings to this replica then, or what
    nobody passes on."""
    for count in range(4 * SAMPLES):
        start = group.now
        for at, name in ((20, "late"), *[(at, "early") for at in early], (480, "ordered")):
            if sent(group.wait(start + at - group.now), ViewChange):
                return True
            if name == "late" or (name == "early" and is_passed_on):
                group.take(Submitted((tx(f"{name} {count} {at}"),)))
            if name != "late":
                group.order(f"early {count} {at}" if name == "early" else f"late {count} 20")
        if sent(group.wait(-group.now % TICK), ViewChange):
            return True
    return False


@pytest.mark.parametrize("early", [(), (40,), (40, 120), (40, 140, 240), (40, 140, 240, 340)], ids=str)
def test_what_overtakes_makes_no_tick_good(early: tuple[int, ...]) -> None:
    """`pace`: "a tick at whose end something waits that was overtaken is good only if that does not wait for too long
    either"."""
    assert accused_while(a_group(), *early)


def test_what_overtakes_is_no_better_for_what_it_takes_with_it() -> None:
    """The latest of each proposal counts: else one of a friend that was passed on before would hide it."""
    group = a_group()
    for count in range(30):
        group.wait(15)
        group.take(W.relay(2, f"friend {count} 0", f"friend {count} 1"))
        group.wait(5)
        group.take(W.relay(3, f"late {count}"))
        for i, ms in enumerate((20, 96)):
            found = group.wait(ms)
            group.take(W.relay(3, f"early {count} {i}"))
            found += group.order(f"friend {count} {i}", f"early {count} {i}", agreement=4)
        found += group.wait(340) + group.order(f"late {count}")
        found += group.wait(-group.now % TICK)
        if sent(found, ViewChange):
            return

    raise AssertionError("the primary was not accused")


@pytest.mark.parametrize("doublings", [0, 1])
def test_who_is_overtaken_now_and_then_and_does_not_wait_long_is_no_reason(doublings: int) -> None:
    """On its way, what this replica passed on may be overtaken by what the primary got elsewhere, and STATUS shows when
    a tick is. A pause of 230 ms in each 19 ticks is what it takes more than."""
    group = a_group()
    pace = group.backup.state.pace
    pace.doublings = doublings
    found: list[Effect] = []
    for count in range(CALM + 60):
        if count % 19 == 18:
            found += group.one(230, name=f"pause {count}")
            continue
        found += group.wait((90 - group.now) % TICK)
        group.take(W.relay(3, f"x {count}"))
        found += group.wait(2)
        group.take(W.relay(2, f"y {count}"))
        found += group.wait(1) + group.order(f"y {count}", agreement=2)
        found += group.wait(-group.now % TICK + 5) + group.order(f"x {count}", agreement=2)

    assert sent(found, ViewChange) == []
    assert pace.shared.median() <= 15
    assert (pace.doublings, pace.alarmed) == (0, False)


def test_nor_do_proposals_of_the_primarys_own() -> None:
    """What waits and is not late yet is no sample."""
    assert accused_while(a_group(), 40, 140, is_passed_on=False)


def test_what_is_on_its_way_was_not_overtaken() -> None:
    """Where a round trip takes longer than a tick, something always is; good samples count nevertheless."""
    group = a_group()
    group.take(Submitted((tx("0"),)))
    for count in range(SAMPLES):
        group.wait(80)
        group.take(Submitted((tx(f"{count + 1}"),)))
        group.wait(20)
        group.order(f"{count}")

    assert len(group.backup.state.pace.waits) == SAMPLES - 1
    assert not group.backup.state.pace.alarmed


def test_a_pause_in_which_nothing_is_ordered_is_one_sample() -> None:
    """`pace`: "it takes more than a few outliers: a pause of a process, in which nothing is ordered"."""
    group = a_group(request_timeout_ms=4_000)
    for _ in range(SAMPLES):
        group.one(5)
    group.take(W.relay(2, "late"))
    found = group.wait(3_500)
    found += group.order("late")
    found += group.wait(-group.now % TICK)
    waits = group.backup.state.pace.waits

    assert sent(found, ViewChange) == []
    assert (len(waits), waits.median()) == (SAMPLES, 0)


def leaving_one_open(group: Group, ms: int, *of: str) -> list[Effect]:
    """The primary has each of these decided at once, but leaves the number before them open for so long."""
    open_seq, at = group.seq + 1, group.now
    for i, what in enumerate(of, start=1):
        n = open_seq + i
        group.take(W.pre_prepare(seq=n, of=what, time=at))
        group.take(W.prepare(2, seq=n, of=what, time=at))
        for j in (0, 2):
            group.take(W.commit(j, seq=n, of=what, time=at))
    found = group.wait(ms)
    found += group.order(f"opens {open_seq}")
    for n, what in enumerate(of, start=open_seq + 1):
        group.backup.take(delivered(n, what), Millis(group.now))
        for j in (0, 2):
            group.take(W.checkpoint(j, seq=n))
    group.seq = open_seq + len(of)
    return found + group.wait(-group.now % TICK)


def test_a_number_that_is_left_open_keeps_back_what_comes_after_it() -> None:
    """`pace`: "until it has accepted a proposal of this view that holds it, and all before that one"."""
    group = a_group()
    found: list[Effect] = []
    for count in range(40):
        group.take(W.relay(2, f"late {count}"))
        found += leaving_one_open(group, 300, f"late {count}")
        if sent(found, ViewChange):
            break

    assert sent(found, ViewChange) != []


def test_what_is_kept_back_is_bounded_and_ends_when_the_number_is_there() -> None:
    group = a_group()
    group.take(W.relay(2, *(f"late {i}" for i in range(12))))
    at = group.now
    for n in (2, 3, 4):
        group.take(W.pre_prepare(seq=n, of=tuple(f"late {4 * (n - 2) + i}" for i in range(4)), time=at))
    kept_back = {seq: len(probes) for seq, probes in group.backup.state.pace.kept_back.items()}
    group.take(W.pre_prepare(seq=1, of="opens", time=at))

    assert kept_back == {2: 4, 3: 4, 4: 4}, "the first and the last of all, and of what all know"
    assert group.backup.state.pace.kept_back == {}
    assert group.backup.state.pace.level == 4


def test_what_was_kept_back_by_a_block_that_was_fetched_accuses_nobody() -> None:
    """Fetching takes its time."""
    group = a_group()
    group.take(W.relay(2, "late"))
    group.take(W.pre_prepare(seq=2, of="late", time=group.now))
    group.wait(300)
    group.take(W.stable(2, W.certificate(1, by=(0, 2, 3))))
    group.take(fetched(1))
    group.wait(TICK)
    pace = group.backup.state.pace

    assert (len(pace.waits), len(pace.shared), pace.kept_back) == (1, 0, {})


def test_what_overtook_what_had_to_be_fetched_makes_no_tick_good() -> None:
    """Else a primary would withhold what it lets wait."""
    group = a_group()
    group.wait(10)
    group.take(W.relay(2, "late"))
    group.wait(10)
    group.take(W.relay(2, "early"))
    group.order("early")
    group.wait(-group.now % TICK)
    group.seq += 1
    group.take(W.stable(2, W.certificate(group.seq, by=(0, 2, 3))))
    group.take(fetched(group.seq, "late"))
    group.wait(TICK)
    pace = group.backup.state.pace

    assert (len(pace.waits), len(pace.shared)) == (2, 0)


def test_who_lags_times_no_more_than_what_is_pending() -> None:
    """What expires meanwhile is settled, and makes room to pass more on."""
    group = a_group()
    group.take(W.stable(2, W.certificate(5, by=(0, 2, 3))))
    for count in range(3):
        transactions = tuple(tx(f"{count} {i}") for i in range(50))
        group.take(Submitted(transactions))
        group.take(Withdrawn(tuple(each.id for each in transactions)))
        group.wait(TICK)

    assert group.backup.state.lagging
    assert group.backup.state.pace.probes == {}


def test_proposing_what_is_in_the_ledger_already_is_no_excuse() -> None:
    """`pace`: "Nothing that waited while a block with half a batch was executed is counted": what a block leaves out
    is none of it."""
    group = a_group(batch_count=4)
    found: list[Effect] = []
    for count in range(40):
        group.take(W.relay(2, f"late {count}"))
        found += group.wait(290)
        found += group.order("old 1", "old 2", load=Load(0, 0))
        found += group.order(f"late {count}")
        found += group.wait(-group.now % TICK)
        if sent(found, ViewChange):
            break

    assert sent(found, ViewChange) != []


def test_who_waits_behind_half_a_batch_does_not_count() -> None:
    """An honest primary has a queue then, and works it off."""
    group = a_group(batch_count=4)
    found: list[Effect] = []
    for count in range(40):
        group.take(W.relay(2, f"late {count}"))
        found += group.wait(150)
        found += group.order(f"first {count}", f"second {count}")
        found += group.wait(140)
        found += group.order(f"late {count}")
        found += group.wait(-group.now % TICK)

    assert sent(found, ViewChange) == []


def test_what_the_primary_passed_on_itself_does_not_count() -> None:
    """It has had that for longer: it would be measured as faster than it is."""
    group = a_group()
    until_accused(group, 300, most=SAMPLES, by=0)

    assert len(group.backup.state.pace.waits) == 0


def test_what_others_may_find_created_too_late_does_not_count() -> None:
    """A client with a fast clock must not get an honest primary accused."""
    group = a_group()
    group.now = tx("x").created - 10_000
    until_accused(group, 300, most=SAMPLES)

    assert len(group.backup.state.pace.waits) == 0


def test_a_clock_that_jumps_accuses_nobody() -> None:
    """Ticks are no clock: no wait is longer than they say, and none is negative."""
    group = a_group()
    found: list[Effect] = []
    for count in range(40):
        what = f"{count}"
        group.take(W.relay(2, what))
        group.now += 5_000 if count % 2 else -5_000
        found += group.order(what)
        found += group.wait(TICK)

    assert sent(found, ViewChange) == []


def test_what_was_measured_before_a_view_counts_for_nothing_in_it() -> None:
    group = a_group()
    assert until_accused(group, 300, most=SAMPLES - 1) == 0
    stable = W.certificate(group.seq, by=(0, 1, 2))
    group.take(W.new_view([W.view_change(i, view=2, stable=stable) for i in (0, 2, 3)]))
    group.view = 2

    assert until_accused(group, 300, most=SAMPLES - 1, by=3) == 0
    assert until_accused(group, 300, by=3) == 1


def test_nothing_counts_until_a_view_has_executed_what_it_carries_over() -> None:
    """Its primary can propose nothing meanwhile."""
    group = a_group()
    group.take(W.new_view([W.view_change(i, view=2, prepared=[W.prepared(of="old")]) for i in (0, 2, 3)]))
    group.take(W.relay(3, "new"))

    assert group.backup.state.pace.probes == {}


def test_a_primary_that_was_slow_once_is_not_left_when_it_is_not_any_more() -> None:
    """Nobody is accused for what was before the network healed: the newest sample must be a slow one."""
    group = a_group()
    assert until_accused(group, 300, most=SAMPLES - 1) == 0
    found = [effect for _ in range(60) for effect in group.one(5)]

    assert sent(found, ViewChange) == []


def test_what_was_measured_long_ago_is_forgotten() -> None:
    group = a_group()
    assert until_accused(group, 300, most=SAMPLES - 1) == 0
    group.wait(FORGET * TICK + 1_000)

    assert until_accused(group, 300, most=SAMPLES - 1) == 0


def test_a_replica_that_lags_at_a_tick_keeps_what_it_has_measured() -> None:
    """`pace`: "Who lags measures on, or a primary could make each backup lag now and then"."""
    group = a_group()
    until_accused(group, 300, most=SAMPLES - 1)
    group.take(W.stable(2, W.certificate(group.seq + 1, by=(0, 2, 3))))
    lagging = group.wait(TICK)
    group.take(fetched(group.seq + 1))
    group.seq += 1

    assert sent(lagging, ViewChange) == []
    assert len(group.backup.state.pace.waits) == SAMPLES - 1
    assert sent(group.one(300), ViewChange) != []


def fetched(seq: int, *of: str) -> Installed:
    """Replica 1 fetched this block with these."""
    ids = tuple(tx(text).id for text in of)
    return Installed(Seq(seq), block_hash(seq), ids, (Load(len(of), 200),), W.certificate(seq, by=(0, 2, 3)))


def test_a_fetched_block_ends_a_wait_which_alarms_and_accuses_nobody() -> None:
    """`pace`: "A block that is fetched ends a wait as well, though not one that accuses, since fetching takes its
    time". Else a primary could withhold from each what it itself passed on."""
    group = a_group()
    for _ in range(ALARM):
        group.one(5)
    found: list[Effect] = []
    for count in range(2 * SAMPLES):
        group.take(W.relay(2, f"late {count}"))
        found += group.wait(300)
        group.seq += 1
        group.take(W.stable(2, W.certificate(group.seq, by=(0, 2, 3))))
        group.take(fetched(group.seq, f"late {count}"))
        found += group.wait(-group.now % TICK)

    assert group.backup.state.pace.alarmed
    assert len(group.backup.state.pace.waits) == SAMPLES
    assert sent(found, ViewChange) == []


def test_what_waits_for_blocks_before_it_is_no_agreement() -> None:
    """`pace`: "What it then waits for blocks before it, which a primary may have withheld, is none of it"."""
    group = a_group()
    group.take(W.pre_prepare(seq=2, of="behind", time=group.now))
    group.wait(5)
    group.take(W.prepare(2, seq=2, of="behind", time=NOW))
    for i in (0, 2):
        group.take(W.commit(i, seq=2, of="behind", time=NOW))
    group.wait(400)
    group.take(W.stable(2, W.certificate(1, by=(0, 2, 3))))
    group.take(fetched(1))
    group.take(delivered(2, "behind"))
    group.wait(TICK)

    assert group.backup.state.pace.agreements.median() == 5
    assert group.backup.state.pace.accepted == {}


def test_what_was_fetched_is_timed_no_more_and_what_comes_after_it_is() -> None:
    """Else a primary that withholds every third proposal would leave nobody with an agreement to compare it with."""
    group = a_group()
    for seq in (1, 2, 3):
        group.take(W.pre_prepare(seq=seq, of=f"{seq}", time=group.now))
    group.take(W.stable(2, W.certificate(2, by=(0, 2, 3))))
    group.take(fetched(2))

    assert list(group.backup.state.pace.accepted) == [3]


def test_who_sees_no_agreement_shares_what_waits_and_accuses_nobody() -> None:
    """It may be starved of all proposals; an alarm costs no more than sharing."""
    group = a_group()
    found: list[Effect] = []
    for count in range(2 * SAMPLES):
        found += group.take(Submitted((tx(f"own {count}"),)))
        found += group.wait(300)
        group.seq += 1
        group.take(W.stable(2, W.certificate(group.seq, by=(0, 2, 3))))
        found += group.take(fetched(group.seq, f"own {count}"))
        found += group.wait(-group.now % TICK)

    assert sent(only(found, Broadcast), Relay) != []
    assert len(group.backup.state.pace.agreements) == 0
    assert sent(found, ViewChange) == []


def test_nor_does_who_has_all_proposals_and_sees_none_of_them_agreed() -> None:
    group = a_group()
    found: list[Effect] = []
    for count in range(2 * SAMPLES):
        group.take(W.relay(2, f"late {count}"))
        found += group.wait(300)
        group.seq += 1
        group.take(W.pre_prepare(seq=group.seq, of=f"late {count}", time=group.now))
        group.take(W.stable(2, W.certificate(group.seq, by=(0, 2, 3))))
        found += group.take(fetched(group.seq, f"late {count}"))
        found += group.wait(-group.now % TICK)

    assert len(group.backup.state.pace.shared) == SAMPLES
    assert sent(found, ViewChange) == []


def test_each_accusation_doubles_the_limit_and_good_ones_halve_it_again() -> None:
    """Else accusations that are wrong could go on for ever."""
    group = a_group()
    assert until_accused(group, 300) == SAMPLES
    stable = W.certificate(group.seq, by=(0, 1, 2))
    group.take(W.new_view([W.view_change(i, view=2, stable=stable) for i in (0, 2, 3)]))
    group.view = 2

    assert until_accused(group, 300, by=3) == 0
    for _ in range(CALM):
        group.one(5, by=3)
    assert until_accused(group, 300, by=3) in range(1, SAMPLES + 1)


def test_what_is_timed_is_bounded_by_what_may_be_passed_on() -> None:
    group = a_group(pool_count=400)
    group.take(Submitted(tuple(tx(f"{i}") for i in range(200))))
    out = group.backup.state.pool.passing.out

    assert len(group.backup.state.pace.probes) == out.count
    assert 0 < out.count < 100
