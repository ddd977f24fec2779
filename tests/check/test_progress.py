"""Progress after healing: late answers, too many views, and a bound that real groups keep."""

from random import Random

import pytest

from bftledger.base.ids import Millis, View
from bftledger.check.progress import Entered, Request, check_answered, check_views, recovery_bound_ms
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
    assert recovery_bound_ms(Settings(), GROUP, Timing(), failed_views=0) == 24_650
    assert recovery_bound_ms(Settings(), GROUP, Timing()) == 248_150


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
