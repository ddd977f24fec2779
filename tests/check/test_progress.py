"""Progress after healing: late answers, too many views, and a bound that real groups keep."""

from random import Random

import pytest

from bftledger.base.ids import Millis, ReplicaId, View
from bftledger.check.progress import (
    Entered,
    Patience,
    Request,
    check_answered,
    check_calm,
    check_views,
    recovery_bound_ms,
)
from bftledger.check.violation import MAX_VIOLATIONS
from bftledger.ledger.asking import Timing
from bftledger.pbft.messages import Message
from bftledger.pbft.settings import Settings
from tests.builders import FAST
from tests.engine.engines import Engines

GROUP = FAST.group(4)


def test_what_is_answered_in_time_passes() -> None:
    requests = [Request("a", 0, 5), Request("b", 50, 150), Request("c", 300, 400), Request("d", 350, None)]

    assert check_answered(requests, healed=100, bound=100, now=420) == []


def test_what_is_answered_too_late_after_healing_is_found() -> None:
    (found,) = check_answered([Request("a", 50, 201)], healed=100, bound=100, now=300)

    assert str(found) == "progress: a was answered 101 ms after healing, at most 100 ms are needed"


def test_what_is_asked_later_has_its_own_time() -> None:
    (found,) = check_answered([Request("a", 150, 251)], healed=100, bound=100, now=300)

    assert str(found) == "progress: a was answered 101 ms after it was asked, at most 100 ms are needed"


def test_what_is_never_answered_is_found_once_its_time_is_over() -> None:
    pending = [Request("a", 0, None)]

    assert check_answered(pending, healed=100, bound=100, now=200) == []
    (found,) = check_answered(pending, healed=100, bound=100, now=201)
    assert "a is not answered 101 ms after healing" in str(found)


def test_a_halted_group_is_told_in_few_lines() -> None:
    pending = [Request(f"request {i}", 0, None) for i in range(1_000)]

    assert len(check_answered(pending, healed=0, bound=1, now=10)) == MAX_VIOLATIONS


# ── views ──


def entered(*pairs: tuple[int, int]) -> list[Entered]:
    return [Entered(when, View(view)) for when, view in pairs]


def test_f_plus_1_new_views_after_healing_pass_whoever_enters_them() -> None:
    moves = entered((10, 3), (101, 3), (102, 4), (103, 4), (110, 5), (111, 5), (112, 5), (113, 2))

    assert check_views(moves, healed=100, group=GROUP) == []
    assert check_views([], healed=100, group=GROUP) == []


def test_one_more_is_found() -> None:
    (found,) = check_views(entered((10, 3), (101, 4), (110, 5), (120, 6)), healed=100, group=GROUP)

    assert str(found) == "progress: 3 view changes after healing, at most 2 are needed: 4, 5, 6"
    assert check_views(entered((101, 4), (110, 5), (120, 6)), healed=100, group=FAST.group(7)) == []


def test_a_view_that_is_only_awaited_is_not_entered_and_no_news_if_it_was_awaited_before() -> None:
    awaited = [Entered(90, View(4), awaits=True), Entered(105, View(6), awaits=True)]

    assert check_views([*awaited, *entered((101, 4), (110, 5), (120, 6))], healed=100, group=GROUP) == []
    assert check_views([*awaited, *entered((101, 5), (110, 6), (120, 7))], healed=100, group=GROUP) != []


def test_whoever_leaves_view_0_though_nothing_was_wrong_is_found() -> None:
    assert check_calm(entered((10, 0), (20, 0))) == []
    (found,) = check_calm([*entered((10, 0)), Entered(20, View(1), awaits=True)])
    assert str(found) == "progress: view 1 is entered or awaited, and nothing was wrong"


# ── patience ──

ONE, TWO = ReplicaId(1), ReplicaId(2)


def patience(*honest: int) -> Patience:
    settings = Settings(request_timeout_ms=Millis(100), timeout_cap_ms=Millis(300))
    return Patience(settings, GROUP, [ReplicaId(i) for i in honest or range(4)])


def leaving(patience: Patience, *times: int) -> list[str]:
    """What is wrong if replica 1 leaves for view 1, 2, 3, … at these times."""
    return [found.text for view, at in enumerate(times, 1) for found in patience.left_for(ONE, View(view), at)]


def test_each_view_that_fails_in_a_row_is_awaited_twice_as_long_up_to_the_cap() -> None:
    assert leaving(patience(), 50, 150, 350, 650, 950) == []
    assert leaving(patience(), 50, 149) == ["replica 1 awaited view 1 for 99 ms, at least 100 ms are due"]
    assert leaving(patience(), 50, 150, 349) == ["replica 1 awaited view 2 for 199 ms, at least 200 ms are due"]
    assert leaving(patience(), 50, 150, 350, 649) == ["replica 1 awaited view 3 for 299 ms, at least 300 ms are due"]


def test_a_view_change_that_is_sent_again_is_the_same_one() -> None:
    watch = patience()

    assert leaving(watch, 50) == []
    assert watch.left_for(ONE, View(1), 60) == []
    assert watch.left_for(ONE, View(2), 150) == []


def test_a_view_that_has_begun_may_be_left_at_any_time() -> None:
    watch = patience()
    leaving(watch, 50)
    watch.entered(ONE, View(1))

    assert watch.left_for(ONE, View(2), 60) == []


def test_a_view_that_begins_in_the_round_that_left_another_for_it_is_not_awaited() -> None:
    watch = patience()
    watch.entered(ONE, View(1))

    assert leaving(watch, 50, 60) == []


def test_a_block_or_a_restart_begins_the_count_anew() -> None:
    executing, restarted = patience(), patience()
    for watch in (executing, restarted):
        assert leaving(watch, 0, 100, 300) == []
    executing.executed(ONE, 310)
    restarted.began(ONE, View(3))

    for watch in (executing, restarted):
        assert watch.left_for(ONE, View(4), 700) == []
        assert watch.left_for(ONE, View(5), 800) == []
        assert watch.left_for(ONE, View(6), 999) != []


def test_a_view_may_be_left_early_to_follow_others_or_if_its_primary_is_faulty() -> None:
    following, deceived = patience(), patience(0, 2, 3)
    following.left_for(TWO, View(2), 10)

    assert leaving(following, 50, 60) == []
    assert leaving(deceived, 50, 60) == []


# ── the bound ──

FAST_SETTINGS = Settings(request_timeout_ms=Millis(200), timeout_cap_ms=Millis(1_600))


def test_the_bound_grows_with_what_may_have_gone_wrong_before() -> None:
    bounds = [recovery_bound_ms(FAST_SETTINGS, GROUP, Timing(), failed_views=views) for views in range(5)]

    assert bounds == sorted(bounds)
    assert bounds[-1] == recovery_bound_ms(FAST_SETTINGS, GROUP, Timing()), "what is capped grows no more"
    assert recovery_bound_ms(FAST_SETTINGS, FAST.group(7), Timing(), failed_views=0) > bounds[0]
    assert recovery_bound_ms(FAST_SETTINGS, GROUP, Timing(), failed_views=0, batches=9) > bounds[0]


def test_the_bound_of_the_defaults_is_known() -> None:
    """Whoever changes it should know."""
    assert recovery_bound_ms(Settings(), GROUP, Timing(), failed_views=0) == 25_450
    assert recovery_bound_ms(Settings(), GROUP, Timing()) == 248_950


@pytest.mark.parametrize("seed", range(8))
def test_groups_recover_within_the_bound_with_few_view_changes(seed: int) -> None:
    """Cuts and crashes, then a network that works, with one replica silent for good."""
    chance = Random(f"progress {seed}")
    engines = Engines(seed=seed, request_timeout_ms=200, timeout_cap_ms=1_600)
    apart: set[int] = set()
    moves: list[Entered] = []

    def see(source: int, to: int, message: Message) -> bool:
        return source not in apart and to not in apart

    engines.passes = see
    pending = [engines.transaction(created=0, lifetime=300_000) for _ in range(5)]
    for _ in range(6):
        apart = set(chance.sample(range(4), 2))
        engines.submit(chance.randrange(4), chance.choice(pending))
        engines.run(chance.randrange(100, 1_500))
    apart = {chance.randrange(4)}
    healed = engines.now
    up = [host for host in engines.hosts if host.id not in apart]
    moves += [Entered(healed, host.up.replica.state.view) for host in engines.hosts if host.up.replica.state.active]
    failed = max(host.up.replica.state.failed_views for host in up)
    for host in up:
        engines.submit(host.id, *pending)
    wanted = [tx.id for tx in pending]
    bound = recovery_bound_ms(FAST_SETTINGS, GROUP, Timing(), failed_views=failed)

    def answered() -> bool:
        for host in up:
            if host.up.replica.state.active:
                moves.append(Entered(engines.now, host.up.replica.state.view))
        return all(len(host.store.locate(wanted)) == len(wanted) for host in up)

    assert engines.run(bound, answered)
    assert check_views(moves, healed=healed, group=GROUP) == []
