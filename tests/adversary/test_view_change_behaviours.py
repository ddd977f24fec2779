"""Replicas that abuse certificates, view changes and new views: the others agree and get into a view that works."""

import pytest

from bftledger.adversary.behaviours import certificates, new_view, true_certificates, view_change
from bftledger.adversary.behaviours.new_view import O_WRONG, V_WRONG
from bftledger.adversary.catalogue import parse
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Prepare
from tests.adversary.storms import depose, storm
from tests.adversary.traitors import (
    a_group_with,
    colluding,
    dropped,
    have,
    honest,
    ignored,
    ledger,
    lens,
    submit_to_all,
    views,
    work,
)
from tests.engine.engines import Engines

MODULES = (certificates, true_certificates, view_change, new_view)
ALL = [behaviour.name for module in MODULES for behaviour in module.BEHAVIOURS]
NEXT_PRIMARY = 1


def a_group_in_the_next_view(behaviour: str, *, traitor: int = NEXT_PRIMARY, n: int = 4) -> Engines:
    """One that has lost its first primary in the middle of its work, with a traitor among the others."""
    group = a_group_with(behaviour, traitor=traitor, n=n)
    work(group, 2)
    depose(group)
    group.run(500)
    work(group, 2)
    return group


@pytest.mark.parametrize("behaviour", ALL)
@pytest.mark.parametrize("n", [4, 7])
def test_the_group_gets_over_a_view_change_with_a_traitor_as_the_next_primary(behaviour: str, n: int) -> None:
    group = a_group_in_the_next_view(behaviour, n=n)

    assert lens(group, NEXT_PRIMARY).lies[behaviour] > 0
    assert min(views(group)) >= 1


@pytest.mark.parametrize("behaviour", ALL)
@pytest.mark.parametrize("traitor", [0, 2])
def test_the_group_gets_over_bad_weather_with_a_traitor(behaviour: str, traitor: int) -> None:
    group = a_group_with(behaviour, traitor=traitor, seed=traitor)
    group.loss = 0.05
    storm(group, spells=4, seed=traitor)


@pytest.mark.parametrize("behaviour", ALL)
def test_f_of_them_that_share_their_keys_change_nothing(behaviour: str) -> None:
    group = colluding([behaviour], traitors=[1, 2], n=7)
    work(group, 1)
    depose(group)
    work(group, 1)

    assert max(views(group)) <= 3


@pytest.mark.parametrize("one", range(0, len(ALL), 3))
def test_two_that_misbehave_differently_change_nothing(one: int) -> None:
    traitors = {1: [parse(ALL[one])], 4: [parse(ALL[one - 5])]}
    storm(Engines(7, traitors=traitors, seed=one), spells=3, seed=one)


# ── certificates ──


@pytest.mark.parametrize("how", ["random", "own", "borrowed"])
def test_a_certificate_with_signatures_of_others_making_is_dropped(how: str) -> None:
    group = a_group_in_the_next_view(f"forge-certificates:{how}", traitor=2)

    assert dropped(group)["BadSignature"] > 0
    assert set(views(group)) == {1}


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("repeated", "Malformed"),
        ("disorder", "Malformed"),
        ("many", "BadProof"),
        ("few", "BadProof"),
        ("strangers", "BadProof"),
    ],
)
def test_a_certificate_that_is_not_a_quorum_of_distinct_members_in_order_is_dropped(how: str, error: str) -> None:
    group = a_group_in_the_next_view(f"pad-certificates:{how}", traitor=2)

    assert dropped(group)[error] > 0
    assert set(views(group)) == {1}


@pytest.mark.parametrize("how", ["type", "view", "seq", "group"])
def test_votes_of_another_type_view_number_or_group_make_no_certificate(how: str) -> None:
    group = a_group_in_the_next_view(f"pass-off:{how}", traitor=2)

    assert dropped(group)["BadSignature"] + dropped(group)["BadProof"] > 0
    assert set(views(group)) == {1}


def test_old_certificates_are_below_the_watermark_and_propose_nothing_again() -> None:
    group = a_group_in_the_next_view("stale-certificates")

    assert ignored(group)[Ignored.BELOW_WATERMARK] > 0
    assert dropped(group).total() == 0, "they are genuine"
    assert len(set(ledger(group, 2))) == len(ledger(group, 2))


def test_who_learns_first_that_a_block_is_final_is_not_left_behind() -> None:
    group = a_group_with("private-certificates:2")
    work(group)

    assert group.hosts[1].height == group.hosts[2].height
    assert views(group) == [0, 0, 0]


# ── leaving views ──


def test_one_replica_moves_nobody_into_another_view() -> None:
    """§4.5.2: a replica joins if it receives "a set of f+1 valid view-change messages from other replicas"."""
    group = a_group_with("spam-views", traitor=2)
    work(group)

    assert views(group) == [0, 0, 0]
    assert all(set(group.engine(i).replica.state.view_changes) <= {2} for i in honest(group))
    assert ignored(group)[Ignored.DUPLICATE] > 0


def test_f_replicas_move_nobody_into_another_view() -> None:
    group = colluding(["spam-views"], traitors=[2, 5], n=7)
    work(group)

    assert set(views(group)) == {0}


def test_a_deserter_accuses_in_vain() -> None:
    group = a_group_with("deserter", traitor=2)
    work(group)

    assert lens(group, 2).lies["deserter"] > 0
    assert views(group) == [0, 0, 0]


@pytest.mark.parametrize("how", ["view", "order", "below", "above", "primary"])
def test_a_view_change_with_a_certificate_that_cannot_be_is_dropped_and_not_needed(how: str) -> None:
    group = a_group_in_the_next_view(f"invalid-prepared:{how}", traitor=2)

    assert dropped(group)["BadProof"] + dropped(group)["BadSignature"] > 0
    assert set(views(group)) == {1}


def test_what_is_hidden_in_a_view_change_is_known_to_others() -> None:
    group = a_group_in_the_next_view("hide-prepared")

    assert dropped(group).total() == 0, "what it says is valid"
    assert set(views(group)) == {1}


def test_old_view_changes_are_ignored_and_those_of_others_dropped() -> None:
    group = a_group_in_the_next_view("stale-view-change", traitor=2)

    assert ignored(group)[Ignored.STALE_VIEW] > 0
    assert dropped(group)["NotItsSender"] > 0
    assert set(views(group)) == {1}


@pytest.mark.parametrize("claim", ["behind", "ahead", "inactive", "lacking", "having"])
def test_a_false_status_moves_nothing(claim: str) -> None:
    group = a_group_with(f"lie-status:{claim}", traitor=2)
    work(group)

    assert views(group) == [0, 0, 0]
    assert {group.engine(i).replica.state.low for i in honest(group)} == {group.hosts[0].height}


def test_what_was_prepared_long_ago_and_forgotten_stops_no_view() -> None:
    """More views than a replica keeps proposals for, in which nothing is prepared but at the traitor; then calm."""
    group = a_group_with("bury-prepared")
    transactions = [group.transaction()]
    group.passes = lambda source, to, message: to == 0 or not isinstance(message, Prepare)
    submit_to_all(group, transactions)
    assert group.run(120_000, lambda: min(views(group)) >= 7)
    group.passes = lambda source, to, message: True
    reached = min(views(group))

    assert group.run(60_000, lambda: have(group, honest(group), transactions))
    assert max(views(group)) <= reached + 3


# ── new views ──


@pytest.mark.parametrize("wrong", O_WRONG)
def test_an_o_that_does_not_follow_from_v_is_ignored_and_the_next_view_begins(wrong: str) -> None:
    """§4.4: a backup accepts a new-view message "if the set O is correct"."""
    group = a_group_in_the_next_view(f"wrong-new-view:{wrong}")

    assert ignored(group)[Ignored.WRONG_NEW_VIEW] > 0
    assert set(views(group)) == {2}


@pytest.mark.parametrize("wrong", V_WRONG)
def test_a_v_that_is_no_quorums_is_dropped_and_the_next_view_begins(wrong: str) -> None:
    """§4.4: and if "the view-change messages it contains are valid for view v+1"."""
    group = a_group_in_the_next_view(f"wrong-new-view:{wrong}")

    assert dropped(group).total() > 0
    assert set(views(group)) == {2}


def test_a_primary_that_does_not_begin_its_view_is_passed_over() -> None:
    """§4.5.2: whose new-view message does not come in time starts "the view change for view v+2"."""
    assert set(views(a_group_in_the_next_view("silent-new-view"))) == {2}


def test_two_silent_primaries_in_a_row_are_passed_over() -> None:
    group = colluding(["silent-new-view"], traitors=[1, 2], n=7)
    work(group, 1)
    depose(group)

    assert set(views(group)) == {3}


@pytest.mark.parametrize("n", [4, 7])
def test_who_is_kept_out_of_a_view_hears_of_it_from_others(n: int) -> None:
    group = a_group_in_the_next_view("partial-new-view", n=n)

    assert len(set(views(group))) == 1
    assert ledger(group, 0) == ledger(group, 2)


@pytest.mark.parametrize("n", [4, 7])
def test_a_view_that_begins_in_two_ways_gives_one_ledger(n: int) -> None:
    group = a_group_in_the_next_view("split-new-view", n=n)

    assert dropped(group).total() == 0, "both are right"
    assert ledger(group, 0) == ledger(group, 2) == ledger(group, 3)


def test_what_began_a_view_begins_nothing_when_it_comes_again() -> None:
    group = a_group_in_the_next_view("stale-new-view", traitor=2)

    assert ignored(group)[Ignored.STALE_VIEW] > 0
    assert set(views(group)) == {1}


def test_a_view_that_nobody_wants_does_not_begin() -> None:
    group = a_group_with("early-new-view", traitor=2)
    work(group)

    assert views(group) == [0, 0, 0]
    assert dropped(group)["BadSignature"] + dropped(group)["BadProof"] > 0


def test_accomplices_cannot_begin_a_view_among_themselves() -> None:
    group = colluding(["early-new-view"], traitors=[1, 2], n=7)
    work(group)

    assert set(views(group)) == {0}
