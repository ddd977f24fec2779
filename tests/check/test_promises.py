"""What no honest key signs: each pair of contradictory messages is found, and no honest run has one."""

from collections.abc import Callable
from random import Random

import pytest

from bftledger.base.ids import ReplicaId
from bftledger.check.promises import Promises, check_signed
from bftledger.check.violation import MAX_VIOLATIONS
from bftledger.pbft.messages import Message, Record
from tests.builders import Writer, block_hash
from tests.engine.engines import Engines

W = Writer()


def found(*messages: Message) -> list[str]:
    """What the messages of one or more replicas contradict, in the order in which they were sent."""
    promises = Promises()
    at_once = [violation for message in messages for violation in promises.add(message)]
    assert promises.violations() == at_once
    return [violation.text for violation in at_once]


def the_one(*messages: Message) -> str:
    (text,) = found(*messages)
    return text


# ── what honest replicas do ──


def test_the_normal_case_keeps_all_promises() -> None:
    votes: list[Message] = [W.pre_prepare(), W.prepare(1), W.commit(0), W.commit(1), W.checkpoint(0), W.checkpoint(1)]

    assert found(*votes, *votes) == []


def test_another_digest_in_another_view_or_slot_or_of_another_replica_breaks_nothing() -> None:
    assert (
        found(
            W.prepare(1, of="pay bob"),
            W.prepare(1, of="pay eve", seq=2),
            W.prepare(2, of="pay eve"),
            W.prepare(1, of="pay eve", view=4),
            W.checkpoint(1, seq=1),
            W.checkpoint(1, seq=2, block=block_hash(9)),
        )
        == []
    )


def test_a_view_change_that_shows_what_was_prepared_keeps_the_promise_of_the_commit() -> None:
    commit, proof = W.commit(1), W.prepared()

    assert found(W.prepare(1), commit, W.view_change(1, prepared=[proof])) == []
    assert found(commit, W.view_change(1, stable=W.certificate(1))) == []
    later: list[Message] = [W.prepare(1, view=1, of="pay eve"), W.commit(1, view=1, of="pay eve")]
    shown = W.view_change(1, view=2, prepared=[W.prepared(view=1, of="pay eve")])
    assert found(commit, W.view_change(1, prepared=[proof]), *later, shown) == []


def test_a_certificate_of_a_later_view_than_that_of_the_commit_is_enough() -> None:
    assert found(W.commit(1), W.view_change(1, view=3, prepared=[W.prepared(view=2, of="pay eve")])) == []


def test_a_view_change_and_a_new_view_may_be_sent_again() -> None:
    changes = [W.view_change(i) for i in range(3)]
    new_view = W.new_view(changes)

    assert found(*changes, new_view, new_view, changes[1], changes[1]) == []


def test_what_promises_nothing_is_not_looked_at() -> None:
    assert found(W.status(1), W.status(1, view=5), W.prepare(1, view=0)) == []


# ── what they never do ──


@pytest.mark.parametrize("vote", [W.prepare, W.commit])
def test_two_votes_for_one_slot_are_found(vote: Callable[..., Message]) -> None:
    text = the_one(vote(2), vote(2, of="pay eve"))

    assert text.startswith("replica 2 signed ")
    assert text.endswith(" at view 0, sequence number 1")


def test_two_pre_prepares_for_one_slot_are_found() -> None:
    assert "PRE-PREPARE for" in the_one(W.pre_prepare(), W.pre_prepare(of="pay eve"))


def test_proposals_that_differ_only_in_time_are_different() -> None:
    first = W.pre_prepare()

    assert found(first, W.pre_prepare(time=1)) != []


@pytest.mark.parametrize("is_reversed", [False, True])
def test_prepare_and_commit_for_different_digests_in_one_view_are_found(is_reversed: bool) -> None:
    pair = [W.prepare(1), W.commit(1, of="pay eve")]

    text = the_one(*(reversed(pair) if is_reversed else pair))
    assert "PREPARE" in text
    assert "COMMIT" in text


def test_a_primary_that_commits_something_else_than_it_proposed_is_found() -> None:
    assert "PRE-PREPARE for" in the_one(W.pre_prepare(), W.commit(0, of="pay eve"))


def test_a_pre_prepare_inside_a_new_view_binds_its_primary() -> None:
    changes = [W.view_change(i, prepared=[W.prepared()]) for i in range(3)]

    text = the_one(W.new_view(changes), W.commit(1, view=1, of="pay eve"))
    assert "PRE-PREPARE in NEW-VIEW" in text


def test_two_checkpoints_for_one_height_are_found() -> None:
    text = the_one(W.checkpoint(3, seq=7), W.checkpoint(3, seq=7, block=block_hash("other")))

    assert text.startswith("replica 3 signed CHECKPOINT for block 7 of ")


def test_two_view_changes_for_one_view_are_found() -> None:
    assert the_one(W.view_change(1), W.view_change(1, stable=W.certificate(1))) == (
        "replica 1 signed two VIEW-CHANGEs for view 1"
    )


def test_two_new_views_for_one_view_are_found() -> None:
    changes = [W.view_change(i) for i in range(4)]

    assert the_one(W.new_view(changes[:3]), W.new_view(changes[1:])) == "replica 1 signed two NEW-VIEWs for view 1"


def test_a_view_change_that_hides_what_was_prepared_is_found() -> None:
    text = the_one(W.commit(1, seq=3), W.view_change(1, stable=W.certificate(2)))

    assert text.startswith("replica 1 signed COMMIT for ")
    assert text.endswith(" at view 0, sequence number 3, and VIEW-CHANGE for view 1 that does not show it")


def test_a_view_change_that_shows_an_older_certificate_is_found() -> None:
    hiding = W.view_change(2, view=2, prepared=[W.prepared(view=0)])
    commits = [W.commit(2), W.commit(2, view=1, of="pay eve")]

    assert "that does not show it" in the_one(commits[1], hiding)
    assert "that does not show it" in the_one(*commits, hiding)


def test_a_view_change_that_shows_another_digest_in_the_same_view_is_found() -> None:
    shown = W.view_change(1, prepared=[W.prepared(of="pay eve")])

    assert "that shows" in the_one(W.commit(1), shown)


def test_what_was_prepared_stays_so_through_several_view_changes() -> None:
    proof = W.prepared()

    text = the_one(W.commit(1), W.view_change(1, prepared=[proof]), W.view_change(1, view=2))
    assert "VIEW-CHANGE for view 2 that does not show it" in text


@pytest.mark.parametrize("vote", [W.prepare, W.commit])
def test_a_vote_in_a_view_that_was_left_is_found(vote: Callable[..., Message]) -> None:
    text = the_one(W.view_change(2), vote(2))

    assert text.endswith("in view 0, after it had left that for view 1")


def test_a_view_change_for_a_view_that_it_was_in_is_found() -> None:
    assert the_one(W.prepare(2, view=1), W.view_change(2, view=1)) == (
        "replica 2 sent VIEW-CHANGE for view 1, after it had been in view 1"
    )


def test_the_same_contradiction_is_told_once_and_never_too_many() -> None:
    pair = [W.prepare(1), W.prepare(1, of="pay eve")]
    many = [W.prepare(1, seq=seq, of=of) for seq in range(1, 200) for of in ("pay bob", "pay eve")]

    assert len(found(*pair, *pair)) == 1
    assert len(found(*many)) == MAX_VIOLATIONS


def test_a_violation_names_the_replica_and_the_sequence_number() -> None:
    promises = Promises()
    promises.add(W.commit(2, seq=5))
    (violation,) = promises.add(W.commit(2, seq=5, of="pay eve"))

    assert violation.replicas == (ReplicaId(2),)
    assert violation.height == 5
    assert str(violation).startswith("promises: replica 2 signed COMMIT for ")


# ── what stores have ──


def left(*records: Record, of: int = 1) -> list[str]:
    """What replica `of` contradicts in them, which are in no order."""
    orders = [list(records), list(reversed(records))]
    one, other = [[violation.text for violation in check_signed(order, [ReplicaId(of)])] for order in orders]
    assert len(one) == len(other)
    return one


def test_what_an_honest_replica_signed_is_consistent_in_whatever_order_it_is_found() -> None:
    changes = [W.view_change(i, prepared=[W.prepared()]) for i in range(3)]

    assert left(W.new_view(changes), W.prepared(), W.commit(1), W.certificate(1), W.commit(1, seq=2, view=1)) == []


@pytest.mark.parametrize(
    ("holding", "vote", "text"),
    [
        (W.prepared(), W.prepare(1, of="pay eve"), "PREPARE for"),
        (W.prepared(view=1), W.commit(1, view=1, of="pay eve"), "PRE-PREPARE for"),
        (W.certificate(3), W.checkpoint(1, seq=3, block=block_hash(9)), "CHECKPOINT for block 3"),
        (W.view_change(0, prepared=[W.prepared()]), W.commit(1, of="pay eve"), "PREPARE for"),
        (W.view_change(0, stable=W.certificate(3)), W.checkpoint(1, seq=3, block=block_hash(9)), "CHECKPOINT for"),
        (W.new_view([W.view_change(i) for i in range(3)]), W.view_change(1, stable=W.certificate(1)), "VIEW-CHANGEs"),
        (W.new_view([W.view_change(i) for i in range(3)]), W.commit(1), "that does not show it"),
        (W.testimony(3, W.commit(1)), W.commit(1, of="pay eve"), "COMMIT for"),
    ],
)
def test_what_is_inside_of_what_others_keep_binds_whoever_signed_it(holding: Record, vote: Message, text: str) -> None:
    (found,) = left(holding, vote)

    assert text in found
    assert left(holding, vote, of=2) == []


# ── whole groups ──


@pytest.mark.parametrize("seed", range(6))
def test_honest_replicas_keep_their_promises_through_loss_crashes_and_view_changes(seed: int) -> None:
    chance = Random(f"promises {seed}")
    engines = Engines(seed=seed, loss=0.1, delay=3, request_timeout_ms=200)
    promises = Promises()
    apart: set[int] = set()

    def see(source: int, to: int, message: Message) -> bool:
        if message.replica == source:
            promises.add(message)
        return source not in apart and to not in apart

    engines.passes = see
    for _ in range(12):
        primary = engines.up[-1].up.replica.state.primary
        victim = primary if chance.random() < 0.5 else chance.randrange(4)
        apart.clear()
        if chance.random() < 0.5:
            apart.add(victim)
        else:
            engines.crash(victim)
        for host in engines.up:
            engines.submit(host.id, engines.transaction())
        engines.run(chance.randrange(200, 2_000))
        for host in engines.hosts:
            if host.engine is None:
                engines.start(host.id)
    apart.clear()
    engines.run(3_000)

    assert promises.violations() == []
    assert max(host.up.replica.state.view for host in engines.up) > 0, "views changed"
    assert max(host.height for host in engines.up) > 5, "and blocks were made"


def test_an_honest_key_that_forgot_its_votes_breaks_its_promises() -> None:
    """Each of two honest cores under one identity begins with an empty store."""
    promises = Promises()

    def see(source: int, to: int, message: Message) -> bool:
        if message.replica == source == 0:
            promises.add(message)
        return True

    for value in ("one", "two"):
        engines = Engines()
        engines.passes = see
        engines.submit(0, engines.transaction(f"put key {value}"))
        engines.run(100)

    said = [violation.text for violation in promises.violations()]
    assert any("signed PRE-PREPARE for" in text for text in said)
    assert any("signed CHECKPOINT for block 1" in text for text in said)
