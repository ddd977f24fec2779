"""What proposals of earlier views left in the pool: bounded, and nothing forgotten that anybody relies on."""

from bftledger.check.bounds import exceeded, state_bounds
from bftledger.pbft.events import Submitted
from bftledger.pbft.messages import Relay
from tests.builders import TestedReplica, Writer, a_replica, sent, tx

W = Writer()


def next_view(replica: TestedReplica, view: int, *, prepared: tuple[int, ...] = ()) -> TestedReplica:
    """The view begins; what is prepared at these numbers is carried over."""
    shown = [W.prepared(seq=seq, of=("carried over",), view=view - 1) for seq in prepared]
    others = [i for i in range(4) if i != replica.state.me][:3]
    return replica.having(W.new_view([W.view_change(i, view=view, prepared=shown) for i in others]))


def test_what_lying_primaries_proposed_does_not_fill_the_pool() -> None:
    """Each view's primary proposes other transactions, and nothing is ever prepared."""
    backup = a_replica(id=3, pool_count=16, window=8)
    for view in (0, 1, 2, 4, 5, 6, 8, 9, 10):
        if view:
            next_view(backup, view)
        backup.having(*(W.pre_prepare(seq=n, of=[f"{view} {n} {i}" for i in range(4)], view=view) for n in range(1, 9)))
        assert exceeded(state_bounds(backup.state)) == []

    assert len(backup.state.pool) == 8 + 8 * 4, "of earlier views half as much as the pool holds, and the current one's"


def test_the_first_that_came_stay() -> None:
    backup = a_replica(id=3, pool_count=4).having(W.pre_prepare(seq=1, of=["a", "b"]), W.pre_prepare(seq=2, of=["c"]))
    next_view(backup, 1)

    assert [t.payload for t in backup.state.pool.pending()] == [b"a", b"b"]


def test_what_clients_gave_is_kept_though_a_proposal_brought_it_first() -> None:
    """§4.4: "A backup is waiting for a request if it received a valid request and has not executed it"."""
    backup = a_replica(id=3, pool_count=4).having(W.pre_prepare(seq=1, of=["a", "b", "c"]))
    backup.having(Submitted((tx("c"),)), Submitted((tx("c"),)))
    next_view(backup, 1)

    assert [t.payload for t in backup.state.pool.pending()] == [b"a", b"b", b"c"]
    assert backup.state.pool.shares() == {tx("c").sender: 1}


def test_what_the_new_view_carries_over_is_pending_again() -> None:
    backup = a_replica(id=3, pool_count=4)
    backup.having(W.pre_prepare(seq=1, of=["a", "b"]), W.pre_prepare(seq=2, of=["carried over"]))
    next_view(backup, 1, prepared=(2,))

    assert {t.payload for t in backup.state.pool.pending()} == {b"a", b"b", b"carried over"}


def test_who_got_it_from_a_client_passes_it_on_to_the_new_primary() -> None:
    """So it is lost to nobody if others forget it."""
    backup = a_replica(id=3).having(Submitted((tx("pay bob"),)), W.pre_prepare(of="pay bob"))
    before = backup.state.pool.pending()
    effects = backup.take(W.new_view([W.view_change(i) for i in (0, 1, 2)]))

    assert before == backup.state.pool.pending()
    assert sent(effects, Relay) == [W.relay(3, "pay bob")]
