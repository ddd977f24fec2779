"""What comes before the NEW-VIEW of its view is kept until that comes (cf. OSDI'99 §4.4, seed 76889)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bftledger.base.ids import ReplicaId, Seq
from bftledger.pbft import messages
from bftledger.pbft.early import MAX_BYTES, SEATS
from bftledger.pbft.effects import Convict, Deliver, Effect, Ignore, Ignored, Persist, Send
from bftledger.pbft.messages import Commit, Message, NewView, Prepare, PrePrepare, ViewChange
from tests.builders import NOW, TestedReplica, Writer, a_replica, only, proposal, sent

W = Writer()


def leave() -> Iterator[Message]:
    """Two conflicting pre-prepares: the quickest reason to leave view 0."""
    yield W.pre_prepare(seq=60, of="one")
    yield W.pre_prepare(seq=60, of="another")


def new_view(view: int = 1) -> NewView:
    return W.new_view([W.view_change(i, view=view) for i in (0, 1, 3)])


def waiting(**settings: Any) -> TestedReplica:
    """Backup 2, which has left view 0 for view 1."""
    backup = a_replica(id=2, **settings).having(*leave())
    assert (backup.state.view, backup.state.active) == (1, False)
    return backup


def unaware(**settings: Any) -> TestedReplica:
    """Backup 2, which is still in view 0."""
    return a_replica(id=2, **settings)


def prepared_in(effects: tuple[Effect, ...]) -> list[tuple[int, int]]:
    """The (v, n) of the PREPAREs that are sent."""
    return [(vote.view, vote.seq) for vote in sent(effects, Prepare)]


@pytest.mark.parametrize("backup", [waiting, unaware])
def test_what_overtakes_its_new_view_is_prepared_when_that_comes(backup: object) -> None:
    """Nobody has to send it again, for which two status intervals may pass."""
    replica: TestedReplica = backup()  # type: ignore[operator]
    first = replica.take(W.pre_prepare(view=1, seq=1, of="pay bob"))
    second = replica.take(W.pre_prepare(view=1, seq=2, of="pay eve"))
    assert prepared_in(first) == prepared_in(second) == []
    assert not only(first, Persist), "it is no promise yet"

    effects = replica.take(new_view())

    assert prepared_in(effects) == [(1, 1), (1, 2)]
    assert replica.state.early == {}
    assert [vote.digest for vote in sent(effects, Prepare)] == [
        proposal("pay bob").digest,
        proposal("pay eve").digest,
    ]


def test_they_are_taken_in_the_order_of_their_numbers() -> None:
    backup = waiting().having(W.pre_prepare(view=1, seq=2, of="pay eve"), W.pre_prepare(view=1, seq=1, of="pay bob"))

    assert prepared_in(backup.take(new_view())) == [(1, 1), (1, 2)]


def test_when_it_is_taken_it_is_judged_as_if_it_came_then() -> None:
    """Its time may be too far from this clock by now."""
    backup = waiting().having(W.pre_prepare(view=1, seq=1, of="pay bob"))

    effects = backup.take(new_view(), now=NOW + 3_600_000)  # type: ignore[arg-type]

    assert prepared_in(effects) == []
    assert Ignore(Ignored.BAD_TIME) in effects


@pytest.mark.parametrize("backup", [waiting, unaware])
def test_only_the_primary_of_the_view_is_heard(backup: object) -> None:
    replica: TestedReplica = backup()  # type: ignore[operator]
    false = W.signed(replace(W.pre_prepare(view=1), replica=ReplicaId(3)))

    assert Ignore(Ignored.NOT_PRIMARY) in replica.take(false)
    assert replica.state.early == {}


@pytest.mark.parametrize(("backup", "view"), [(waiting, 3), (unaware, 3)])
def test_a_view_that_is_far_off_is_not_prepared_for(backup: object, view: int) -> None:
    replica: TestedReplica = backup()  # type: ignore[operator]

    assert Ignore(Ignored.FUTURE_VIEW) in replica.take(W.pre_prepare(view=view))
    assert replica.state.early == {}


@pytest.mark.parametrize(("backup", "reason"), [(waiting, Ignored.NOT_ACTIVE), (unaware, Ignored.FUTURE_VIEW)])
def test_no_more_are_kept_than_a_primary_has_under_way(backup: object, reason: Ignored) -> None:
    replica: TestedReplica = backup(pipeline=2)  # type: ignore[operator]
    replica.having(W.pre_prepare(view=1, seq=1), W.pre_prepare(view=1, seq=2))

    assert replica.take(W.pre_prepare(view=1, seq=3)) == (Ignore(reason),)
    assert [list(kept) for kept in replica.state.early.values()] == [[1, 2]]


@pytest.mark.parametrize(("seq", "reason"), [(0, Ignored.BELOW_WATERMARK), (65, Ignored.ABOVE_WATERMARK)])
def test_the_watermarks_hold_for_them_too(seq: int, reason: Ignored) -> None:
    assert waiting().take(W.pre_prepare(view=1, seq=seq)) == (Ignore(reason),)


def test_the_same_again_is_known_and_another_for_the_same_number_convicts() -> None:
    backup = waiting().having(W.pre_prepare(view=1, of="pay bob"))

    assert backup.take(W.pre_prepare(view=1, of="pay bob")) == (Ignore(Ignored.DUPLICATE),)
    effects = backup.take(W.pre_prepare(view=1, of="pay eve"))
    assert Ignore(Ignored.CONFLICTING) in effects
    assert [found.evidence.replica for found in only(effects, Convict)] == [1]


def test_one_without_its_proposal_is_accepted_only_if_that_is_known_by_then() -> None:
    backup = waiting().having(W.pre_prepare(view=1).bare)
    assert Ignore(Ignored.NO_PROPOSAL) in backup.take(new_view())

    backup = unaware().having(W.pre_prepare(seq=1, of="pay bob"), *leave(), W.pre_prepare(view=1, of="pay bob").bare)
    assert prepared_in(backup.take(new_view())) == [(1, 1)]


def test_what_was_kept_for_a_view_that_never_began_is_forgotten() -> None:
    backup = waiting().having(W.pre_prepare(view=1, of="pay bob"))

    effects = backup.take(new_view(4))

    assert prepared_in(effects) == []
    assert backup.state.early == {}


def test_what_was_kept_for_a_view_that_is_given_up_is_forgotten_at_once() -> None:
    backup = waiting().having(W.pre_prepare(view=1, of="pay bob"), *(W.view_change(i, view=3) for i in (0, 1)))

    assert (backup.state.view, backup.state.early) == (3, {})


def test_what_the_new_view_has_settled_is_below_the_watermark() -> None:
    stable = W.certificate(3)
    backup = waiting().having(W.pre_prepare(view=1, seq=3), W.pre_prepare(view=1, seq=4))

    effects = backup.take(W.new_view([W.view_change(i, view=1, stable=stable) for i in (0, 1, 3)]))

    assert prepared_in(effects) == [(1, 4)]
    assert Ignore(Ignored.BELOW_WATERMARK) in effects


def test_who_left_one_view_keeps_what_was_sent_for_the_next() -> None:
    backup = unaware().having(W.pre_prepare(view=1, of="pay bob"), *leave())
    assert (backup.state.view, backup.state.active) == (1, False)

    assert prepared_in(backup.take(new_view())) == [(1, 1)]


def test_a_primary_that_proposes_another_than_its_new_view_assigns_is_left_at_once() -> None:
    """§4.2: it signed two for one slot. What else was kept of it counts no more."""
    certificate = W.prepared(seq=1, of="pay bob")
    changes = [W.view_change(0, view=1, prepared=[certificate]), *(W.view_change(i, view=1) for i in (1, 3))]
    backup = waiting().having(W.pre_prepare(view=1, seq=1, of="pay eve"), W.pre_prepare(view=1, seq=2, of="pay joe"))

    effects = backup.take(W.new_view(changes))

    assert prepared_in(effects) == []
    assert [message.view for message in sent(effects, ViewChange)] == [2]
    assert backup.state.early == {}


def test_in_a_view_that_has_begun_nothing_is_kept() -> None:
    backup = waiting().having(new_view())

    assert prepared_in(backup.take(W.pre_prepare(view=1, of="pay bob"))) == [(1, 1)]
    assert backup.state.early == {}
    assert sent(backup.take(W.pre_prepare(view=1, of="pay bob")), PrePrepare) == []


# ── votes ──


def test_votes_of_a_view_that_others_have_begun_count_when_it_begins_here() -> None:
    """With what this replica adds they are enough: PREPAREs of 2f backups, COMMITs of a quorum."""
    votes = W.prepare(3, view=1), W.commit(3, view=1), W.commit(0, view=1)
    backup = unaware().having(*votes, W.pre_prepare(view=1))

    effects = backup.take(new_view())

    assert prepared_in(effects) == [(1, 1)]
    assert [(vote.view, vote.seq) for vote in sent(effects, Commit)] == [(1, 1)]
    assert [delivery.seq for delivery in only(effects, Deliver)] == [1]


def test_they_have_their_place_in_the_log_as_soon_as_their_view_is_awaited() -> None:
    backup = unaware().having(W.prepare(3, view=1), W.commit(3, view=1))
    assert 1 not in backup.state.slots

    backup.having(*leave())

    assert backup.state.slots[Seq(1)].prepares.keys() == backup.state.slots[Seq(1)].commits.keys() == {3}
    assert backup.state.early == {}
    assert backup.take(W.prepare(3, view=1)) == (Ignore(Ignored.DUPLICATE),)


@pytest.mark.parametrize("vote", [W.prepare, W.commit])
def test_of_each_replica_and_kind_only_so_many_are_kept_and_none_of_later_views(vote: Any) -> None:
    backup = unaware(pipeline=2).having(*(vote(3, view=1, seq=seq) for seq in (5, 6)))

    assert backup.take(vote(3, view=1, seq=7)) == (Ignore(Ignored.FUTURE_VIEW),)
    assert backup.take(vote(3, view=1, seq=5)) == (Ignore(Ignored.DUPLICATE),)
    assert Ignore(Ignored.CONFLICTING) in backup.take(vote(3, view=1, seq=5, of="pay eve"))
    assert backup.take(vote(3, view=2, seq=5)) == (Ignore(Ignored.FUTURE_VIEW),)
    assert Ignore(Ignored.ABOVE_WATERMARK) in backup.take(vote(1, view=1, seq=65))
    assert backup.take(vote(0, view=1, seq=7)) == ()
    assert sum(map(len, backup.state.early.values())) == 3


def test_a_prepare_of_the_primary_counts_no_more_than_later() -> None:
    backup = unaware().having(W.prepare(1, view=1), W.pre_prepare(view=1))

    effects = backup.take(new_view())

    assert Ignore(Ignored.FROM_PRIMARY) in effects
    assert sent(effects, Commit) == []


# ── at the door ──


def test_a_long_proposal_of_a_view_that_has_not_begun_is_not_even_checked() -> None:
    """Whoever leads the next view could keep all others busy with such, and make the present primary look slow."""
    message = W.pre_prepare(view=1)

    assert unaware().refusal_of(ReplicaId(1), message, MAX_BYTES) is None
    assert unaware().refusal_of(ReplicaId(1), message, MAX_BYTES + 1) is Ignored.FUTURE_VIEW
    assert waiting().refusal_of(ReplicaId(1), message, MAX_BYTES) is None
    assert waiting().refusal_of(ReplicaId(1), message, MAX_BYTES + 1) is Ignored.NOT_ACTIVE
    begun = unaware().having(new_view())
    assert begun.refusal_of(ReplicaId(1), message, 10 * MAX_BYTES) is None


def test_a_long_proposal_that_convicts_is_heard_all_the_same() -> None:
    backup = unaware().having(W.pre_prepare(view=1, of="pay bob"))

    assert backup.refusal_of(ReplicaId(1), W.pre_prepare(view=1, of="pay eve"), 2 * MAX_BYTES) is None


def test_however_many_a_primary_may_have_under_way_few_are_kept() -> None:
    backup = unaware(pipeline=64).having(*(W.pre_prepare(view=1, seq=seq) for seq in range(1, SEATS + 1)))

    assert backup.take(W.pre_prepare(view=1, seq=SEATS + 1)) == (Ignore(Ignored.FUTURE_VIEW),)


# ── what comes of it ──


def test_who_voted_for_another_proposal_is_shown_the_one_that_was_accepted() -> None:
    """As it would be if its votes came now: one of the two primaries' halves must learn of the other."""
    backup = unaware().having(W.prepare(3, view=1, of="pay eve"), W.commit(3, view=1, of="pay eve"))
    backup.having(W.pre_prepare(view=1, of="pay bob"))

    effects = backup.take(new_view())

    shown = [effect.to for effect in only(effects, Send) if isinstance(effect.message, messages.Testimony)]
    assert 3 in shown


def test_what_was_kept_for_the_view_after_a_faulty_primary_is_in_the_log_at_once() -> None:
    certificate = W.prepared(seq=1, of="pay bob")
    changes = [W.view_change(0, view=1, prepared=[certificate]), *(W.view_change(i, view=1) for i in (1, 3))]
    backup = a_replica(id=3).having(*leave())
    backup.having(W.pre_prepare(view=1, seq=1, of="pay eve"), W.prepare(0, view=2, seq=1))

    backup.having(W.new_view(changes))

    assert (backup.state.view, backup.state.active, backup.state.early) == (2, False, {})
    assert backup.state.slots[Seq(1)].prepares.keys() == {0}
