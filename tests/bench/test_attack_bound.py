"""How long a request may wait in a run under attack, and what follows for who waits longer."""

from array import array
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bftledger.base.ids import Millis
from bftledger.bench.attack_bound import Course, bound_ms, excuse_ms, slowest_ms, unanswered
from bftledger.bench.measured import Load, Measured
from bftledger.check.progress import recovery_bound_ms
from bftledger.ledger.asking import Timing
from bftledger.pbft.settings import Settings
from tests.builders import FAST

GROUP = FAST.group(4)
GIVE_UP_S = 30.0
BOUND = Millis(5_000)
STOPPED = ((103.0, 105.0),)


def waited(*spans: tuple[float, float], failures: Sequence[tuple[float, str]] = ()) -> Measured:
    """What clients saw who asked and were answered at such moments."""
    ordered = sorted(spans, key=lambda span: span[1])
    return Measured(
        load=Load(clients=2, seconds=17.0, timeout_s=GIVE_UP_S),
        start_s=100.0,
        begun=array("d", (begun for begun, _ in ordered)),
        done=array("d", (done for _, done in ordered)),
        failures=[*failures],
    )


def bounds(*, stopped: Sequence[tuple[float, float]] = (), excused_s: float = 0.0) -> list[int]:
    """With 0, 1, 2 and 3 views left, in a group as it comes."""
    courses = [Course(views=views, stopped=stopped, excused_s=excused_s) for views in range(4)]
    return [bound_ms(Settings(), GROUP, course, GIVE_UP_S) for course in courses]


# ── how long ──


def test_the_bound_is_for_the_views_that_were_left() -> None:
    assert bounds() == [5_250, 11_650, 20_050, 20_050]


def test_a_client_starved_for_the_whole_attack_waits_longer_than_a_primary_that_stays_may_make_it() -> None:
    """An attack lasts 8 s as the script comes."""
    assert bounds()[0] < 8_000


def test_a_bound_is_below_the_time_after_which_clients_give_up() -> None:
    assert max(bounds(stopped=STOPPED)) < 1_000 * GIVE_UP_S
    assert bound_ms(Settings(), FAST.group(10), Course(views=9), GIVE_UP_S) == 1_000 * GIVE_UP_S


@pytest.mark.parametrize("n", [4, 7, 10])
def test_with_all_that_can_be_it_is_the_bound_of_the_protocol_where_clocks_are_one(n: int) -> None:
    settings, group = Settings(), FAST.group(n)
    all_of_it = Course(views=group.f + 1, stopped=STOPPED)
    protocol = recovery_bound_ms(replace(settings, clock_skew_ms=Millis(0)), group, Timing(), failed_views=0)

    assert bound_ms(settings, group, all_of_it, 1e6) == protocol
    assert bound_ms(settings, group, None, 1e6) == protocol, "nobody knows better"


def test_only_who_was_stopped_has_to_catch_up() -> None:
    assert [stopped - usual for stopped, usual in zip(bounds(stopped=STOPPED), bounds(), strict=True)] == [3_400] * 4


def test_work_excuses_a_primary_for_a_while() -> None:
    assert bounds(excused_s=1.5)[0] == bounds()[0] + 1_500


def test_what_may_come_first_excuses_for_as_long_as_it_takes_at_a_batch_in_two_time_outs() -> None:
    load = Load(clients=16, seconds=16.0)
    excuse = excuse_ms(Settings(), GROUP, load)

    assert excuse == 15_000
    assert excuse_ms(replace(Settings(), request_timeout_ms=Millis(250)), GROUP, load) == excuse // 2
    assert excuse_ms(Settings(), GROUP, replace(load, clients=4_000)) > excuse


# ── who waited longer ──


def test_a_late_answer_is_a_violation() -> None:
    (found,) = unanswered(waited((100.0, 100.1), (101.0, 106.1)), BOUND)

    assert found.oracle == "progress"
    assert found.text == "transaction 1 was answered 5100 ms after it was asked, at most 5000 ms are needed"


def test_an_answer_just_in_time_is_none() -> None:
    assert unanswered(waited((100.0, 100.1), (101.0, 106.0)), BOUND) == []


@pytest.mark.parametrize("how", ["pending", "busy", "refused", "no quorum"])
def test_what_came_to_no_receipt_is_a_violation(how: str) -> None:
    """Sent away until it gives up, a client has waited as long as any other."""
    (found,) = unanswered(waited((100.0, 100.1), failures=[(130.0, how)]), BOUND)

    assert found.text == f"a transaction came to no receipt: {how}"


@pytest.mark.parametrize(
    ("asked", "answered", "is_late"),
    [
        (100.0, 109.9, False),
        (104.0, 109.9, False),
        (104.0, 110.1, True),
        (97.0, 102.5, True),
        (105.1, 110.2, True),
    ],
    ids=["asked before", "asked meanwhile", "still late", "answered before", "asked after"],
)
def test_who_asked_when_a_replica_was_stopped_waits_from_when_it_goes_on(
    asked: float, answered: float, is_late: bool
) -> None:
    assert bool(unanswered(waited((asked, answered)), BOUND, STOPPED)) is is_late


def test_the_slowest_is_who_waited_longest_also_in_vain() -> None:
    assert slowest_ms(waited((100.0, 100.25), (100.0, 102.5))) == 2_500.0
    assert slowest_ms(waited((100.0, 100.25), failures=[(130.0, "busy")])) == 1_000 * GIVE_UP_S
    assert slowest_ms(waited((100.0, 100.25), failures=[(100.1, "refused")])) == 250.0
    assert slowest_ms(waited()) == 0.0
