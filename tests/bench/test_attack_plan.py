"""Which attacks there are to measure, who lies in them, and when."""

import pytest

from bftledger.adversary import catalogue
from bftledger.adversary.catalogue import names
from bftledger.base.errors import OperatorError
from bftledger.bench.attack_plan import (
    COLLUSIVE,
    EXCUSED,
    FAMILIES,
    FEW,
    HONEST,
    SILENT,
    Occasion,
    Place,
    attacks,
    control,
    parse,
)


def test_all_are_those_of_the_catalogue_in_its_order() -> None:
    assert [attack.behaviours[0].partition(":")[0] for attack in attacks(["all"], faulty=1)] == names()


def test_some_are_chosen_by_parts_of_their_names() -> None:
    chosen = attacks(["all"], faulty=1, only=["certificates", "slow"], skip=["blocks", "private"])

    assert [attack.name for attack in chosen] == [
        "slow",
        "forge-certificates",
        "pad-certificates",
        "stale-certificates",
    ]


@pytest.mark.parametrize(
    ("text", "behaviours", "count"),
    [
        ("slow", ("slow",), 2),
        ("slow:1", ("slow",), 1),
        ("slow:80:1", ("slow:80",), 1),
        ("mute:commit", ("mute:commit",), 2),
        ("mute:commit+stutter:1", ("mute:commit", "stutter"), 1),
    ],
)
def test_a_number_at_the_end_is_how_many_lie(text: str, behaviours: tuple[str, ...], count: int) -> None:
    attack = parse(text, faulty=2)

    assert (attack.behaviours, attack.count) == (behaviours, count)


@pytest.mark.parametrize(("text", "words"), [("slow:80", "slow:80:1"), ("slow:0", "from 1 to 1"), ("slw", "try slow")])
def test_what_cannot_be_run_is_refused_with_what_can(text: str, words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        attacks([text], faulty=1)


def test_nothing_left_to_run_is_said() -> None:
    with pytest.raises(OperatorError, match="--only"):
        attacks(["all"], faulty=1, only=["no such part"])


@pytest.mark.parametrize(
    ("text", "traitors"), [("equivocate", [0, 1]), ("silent-new-view", [1, 2]), ("flip-flop", [5, 6])]
)
def test_where_a_traitor_stands_follows_from_its_family(text: str, traitors: list[int]) -> None:
    assert parse(text, faulty=2).traitors(7) == traitors


def test_who_lies_when_views_change_or_to_those_that_lag_gets_an_occasion() -> None:
    occasions = {attack.name: attack.occasion for attack in attacks(["all"], faulty=1)}

    assert occasions["wrong-new-view"] is Occasion.VIEW_CHANGE
    assert occasions["lie-blocks"] is Occasion.LAG
    assert occasions["equivocate"] is Occasion.NONE


def test_every_module_of_the_catalogue_is_a_family() -> None:
    found = {attack.family for attack in attacks(["all"], faulty=1)}

    assert found == {*FAMILIES.values(), "Anything"}


def test_places_can_be_chosen() -> None:
    (attack,) = attacks(["flood"], faulty=1, place=Place.PRIMARY)

    assert attack.traitors(4) == [0]


def test_who_deviates_less_than_five_times_has_few_occasions() -> None:
    attack = parse("wrong-new-view", faulty=1)

    assert [attack.is_few(deviations) for deviations in (0, 1, FEW - 1, FEW)] == [False, True, True, False]


@pytest.mark.parametrize("text", ["withhold-blocks", "mute:commit", "silent-new-view+mute"])
def test_who_only_keeps_silent_need_not_do_so_often(text: str) -> None:
    assert not parse(text, faulty=1).is_few(1)


def test_who_also_does_something_else_needs_occasions() -> None:
    assert parse("silent-new-view+lie-blocks", faulty=1).is_few(1)


def test_only_who_lets_clients_wait_and_works_is_excused_by_work() -> None:
    assert [parse(text, faulty=1).is_excused for text in ("censor", "slow+busy-censor", "slow")] == [True, True, False]


def test_what_is_said_of_behaviours_is_said_of_some_that_there_are() -> None:
    assert set(names()) >= SILENT | EXCUSED


def test_in_a_control_nobody_lies() -> None:
    assert (HONEST.name, HONEST.traitors(4), HONEST.family, HONEST.is_few(0)) == ("honest", [], "Control", False)


def test_controls_are_called_by_what_happens_in_them() -> None:
    found = {occasion: control(occasion) for occasion in Occasion}

    assert [attack.name for attack in found.values()] == ["honest", "honest, primary stopped", "honest, backup stopped"]
    assert all(attack.is_control and attack.occasion is occasion for occasion, attack in found.items())


@pytest.mark.parametrize("name", ["garbage", "flood", "fetch-storm"])
def test_of_all_the_floods_send_more_than_the_protocol_needs(name: str) -> None:
    """9 frames for each block, and some 100 blocks a second, from the other three together."""
    (attack,) = attacks(["all"], faulty=1, only=[name])
    frames_per_tick = int(attack.behaviours[0].partition(":")[2])

    assert frames_per_tick * 10 > 2 * 9 * 100


def test_traitors_that_collude_hold_one_anothers_keys() -> None:
    (attack,) = attacks(["equivocate+double-vote"], faulty=2, collude=True)
    told = {traitor: attack.words(traitor, 7) for traitor in attack.traitors(7)}
    lies = ["replica", "--behaviour", "equivocate", "--behaviour", "double-vote", "--accomplice"]

    assert told == {0: [*lies, "1"], 1: [*lies, "0"]}


def test_those_that_do_not_have_their_own_keys_only() -> None:
    (attack,) = attacks(["flip-flop"], faulty=2)

    assert attack.words(attack.traitors(7)[0], 7) == ["replica", "--behaviour", "flip-flop"]


def test_all_that_collude_are_those_to_which_keys_make_a_difference() -> None:
    found = attacks(["all"], faulty=2, collude=True)

    assert [attack.name for attack in found] == list(COLLUSIVE)
    assert all(attack.colludes and len(attack.traitors(7)) == 2 for attack in found)
    for attack in found:
        for behaviour in attack.behaviours:
            catalogue.parse(behaviour)


def test_nobody_colludes_with_itself() -> None:
    with pytest.raises(OperatorError, match="--replicas 7"):
        attacks(["equivocate"], faulty=1, collude=True)
