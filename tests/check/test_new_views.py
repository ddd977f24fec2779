"""NEW-VIEWs: what a correct replica never enters a view with."""

from collections.abc import Iterable

from bftledger.base.ids import Digest, ReplicaId
from bftledger.check.new_views import check_new_view
from bftledger.pbft.messages import NewView, ViewChange
from bftledger.pbft.proposals import NULL_PROPOSAL
from tests.builders import Writer, proposal

W = Writer()
BOB, EVE = proposal("pay bob").digest, proposal("pay eve").digest
NULL = NULL_PROPOSAL.digest


def wrong(message: NewView) -> list[str]:
    return [violation.text for violation in check_new_view(ReplicaId(2), message, W.group)]


def assigning(changes: Iterable[ViewChange], *assigned: tuple[int, Digest]) -> list[str]:
    return wrong(W.new_view(changes, assigning=list(assigned)))


def test_what_the_protocol_makes_of_view_changes_is_right() -> None:
    nothing = [W.view_change(i) for i in (1, 2, 3)]
    much = [
        W.view_change(1, view=3, stable=W.certificate(2), prepared=[W.prepared(seq=3), W.prepared(seq=5)]),
        W.view_change(2, view=3, prepared=[W.prepared(seq=2), W.prepared(seq=3, view=2, of="pay eve")]),
        W.view_change(3, view=3),
    ]

    assert wrong(W.new_view(nothing)) == []
    assert wrong(W.new_view(much)) == []


def test_two_of_four_view_changes_begin_no_view_nor_do_three_of_one_replica() -> None:
    few = "replica 2 enters view 1 with VIEW-CHANGEs of 2 replicas"

    assert wrong(W.new_view([W.view_change(1), W.view_change(2)])) == [few]
    assert wrong(W.new_view([W.view_change(1), W.view_change(2), W.view_change(2)])) == [few]


def test_the_certificate_of_the_highest_view_decides() -> None:
    changes = [
        W.view_change(1, view=2, prepared=[W.prepared(of="pay bob")]),
        W.view_change(2, view=2, prepared=[W.prepared(of="pay eve", view=1)]),
        W.view_change(3, view=2),
    ]

    assert assigning(changes, (1, EVE)) == []
    assert [text.partition(" for ")[2] for text in assigning(changes, (1, BOB))] == [
        f"number 1, where V says {EVE.hex()[:16]}…"
    ]


def test_gaps_become_null_requests_and_nothing_is_left_out_or_added() -> None:
    changes = [W.view_change(1, prepared=[W.prepared(seq=2)]), W.view_change(2), W.view_change(3)]
    said = f"{BOB.hex()[:16]}…"

    assert assigning(changes, (1, NULL), (2, BOB)) == []
    assert assigning(changes, (2, BOB)) == [
        "replica 2 enters view 1 with nothing for number 1, where V says the null request"
    ]
    assert assigning(changes, (1, NULL), (2, NULL)) == [
        f"replica 2 enters view 1 with the null request for number 2, where V says {said}"
    ]
    assert assigning(changes, (1, NULL), (2, BOB), (3, BOB)) == [
        f"replica 2 enters view 1 with {said} for number 3, where V says nothing"
    ]


def test_what_the_latest_stable_checkpoint_settles_is_not_proposed_again() -> None:
    changes = [
        W.view_change(1, stable=W.certificate(1)),
        W.view_change(2, prepared=[W.prepared(seq=1)]),
        W.view_change(3),
    ]

    assert assigning(changes) == []
    assert len(assigning(changes, (1, BOB))) == 1
