"""What a new primary proposes again it must be able to hand to the others (OSDI'99 §4.4; TOCS'02, condition A3)."""

from collections.abc import Iterable

from bftledger.base.ids import Seq
from bftledger.pbft import wire
from bftledger.pbft.effects import Effect, Ignore, Ignored, Send
from bftledger.pbft.messages import FetchProposal, NewView, Proposed
from bftledger.pbft.timers import StatusTimer
from tests.builders import GENESIS, TestedReplica, Writer, a_replica, fired, only, proposal, sent, tx
from tests.cluster import Cluster

W = Writer()
BURIED = W.view_change(3, view=5, prepared=[W.prepared()])
"""It shows that "pay bob" was prepared at 1 in view 0, by 0, 1 and 2. Replica 1 leads view 5, and never heard of it."""


def asked(effects: Iterable[Effect]) -> list[int]:
    """Who is asked for a proposal."""
    return [send.to for send in only(effects, Send) if isinstance(send.message, FetchProposal)]


def waiting_primary() -> TestedReplica:
    """It left for view 5 with those two, and has not what the one of them names."""
    return a_replica(id=1).having(BURIED, W.view_change(2, view=5))


def test_the_primary_chooses_only_what_it_has() -> None:
    """TOCS'02: it selects a request for n only if it has it (condition A3), whatever a VIEW-CHANGE proves."""
    primary = a_replica(id=1).having(BURIED)
    effects = primary.take(W.view_change(2, view=5))

    assert len(primary.state.view_changes) == W.group.quorum
    assert sent(effects, NewView) == []


def test_what_it_lacks_it_asks_of_who_names_it_and_of_one_more_at_each_tick() -> None:
    """§4.4: "A replica may be missing some request message m … It can obtain missing information from another
    replica"."""
    primary = a_replica(id=1).having(BURIED)
    effects = primary.take(W.view_change(2, view=5))
    ticks = [primary.take(fired(StatusTimer())) for _ in range(2)]

    assert [asked(each) for each in (effects, *ticks)] == [[3, 0], [3, 2], [3, 0]]
    assert sent(effects, FetchProposal) == [W.fetch_proposal(1), W.fetch_proposal(1)]


def test_a_view_change_that_names_what_it_lacks_is_asked_about_as_soon_as_it_comes() -> None:
    """The new view has to begin within T. Of f+1 that name the same, one is correct; no more are asked at once."""
    writer = Writer(7)
    named = [writer.prepared(of="pay bob")]
    primary = a_replica(id=1, n=7).having(*(writer.view_change(i, view=8) for i in (0, 2)))
    outcomes = [primary.take(writer.view_change(i, view=8, prepared=named)) for i in (3, 4, 5, 6)]

    assert [asked(effects)[:1] for effects in outcomes] == [[3], [4], [5], []]


def test_the_view_begins_as_soon_as_the_proposal_is_there() -> None:
    primary = waiting_primary()
    (message,) = sent(primary.take(W.proposed(2)), NewView)

    assert [(p.seq, p.digest) for p in message.pre_prepares] == [(1, proposal("pay bob").digest)]
    assert primary.state.slots[Seq(1)].pre_prepare is not None, "it can hand it to the others"


def test_whose_proposals_nobody_hands_over_is_left_out_of_v() -> None:
    """§4.4: V is a quorum's VIEW-CHANGEs, any quorum's; correct senders have what they name, and are a quorum."""
    primary = waiting_primary()
    (message,) = sent(primary.take(W.view_change(0, view=5)), NewView)

    assert [change.replica for change in message.view_changes] == [0, 1, 2]
    assert message.pre_prepares == ()


def test_what_nobody_names_is_not_taken() -> None:
    primary = waiting_primary()

    assert primary.take(W.proposed(3, of="pay eve")) == (Ignore(Ignored.NOT_ASKED),)
    assert primary.take(W.proposed(3, seq=2)) == (Ignore(Ignored.NOT_ASKED),)
    assert a_replica(id=2).having(BURIED, W.view_change(0, view=5)).take(W.proposed(3)) == (Ignore(Ignored.NOT_ASKED),)


def test_what_a_stable_checkpoint_settles_needs_no_proposal() -> None:
    """§4.3: a proof that the state is correct stands for all messages below it; a VIEW-CHANGE brings it along."""
    primary = waiting_primary()
    effects = primary.take(W.view_change(0, view=5, stable=W.certificate(1)))

    assert primary.state.low == 1
    assert [change.replica for change in sent(effects, NewView)[0].view_changes] == [0, 1, 2]


def test_a_checkpoint_that_becomes_stable_meanwhile_settles_it_too() -> None:
    primary = waiting_primary()
    effects = primary.take(W.stable(0, W.certificate(1)))

    assert [change.replica for change in sent(effects, NewView)[0].view_changes] == [1, 2, 3]


def test_numbers_above_the_high_watermark_are_not_fetched() -> None:
    """Who correctly names one has a stable checkpoint that this replica lacks, and shows it."""
    primary = a_replica(id=1, window=4).having(W.view_change(3, view=5, prepared=[W.prepared(seq=9)]))
    effects = primary.take(W.view_change(2, view=5))

    assert asked(effects) == []
    assert primary.take(W.proposed(3, seq=9)) == (Ignore(Ignored.NOT_ASKED),)


def test_what_one_view_change_names_is_not_forgotten_for_what_another_does() -> None:
    """At most n proposals are kept for a number, and as many VIEW-CHANGEs may name a different one each."""
    primary = a_replica(id=1)
    slot = primary.state.slot(Seq(1))
    for what in ("of view 4", "accepted", "accepted next", "accepted last"):
        primary.state.remember(slot, proposal(what))
    older, newer = (W.prepared(of=f"of view {view}", view=view) for view in (4, 6))
    primary.having(W.view_change(0, view=9, prepared=[newer]), W.view_change(2, view=9, prepared=[older]))
    (message,) = sent(primary.take(W.proposed(0, of="of view 6")), NewView)

    assert [change.replica for change in message.view_changes] == [0, 1, 2]
    assert len(slot.proposals) == W.group.n


def test_a_proposal_that_is_accepted_again_counts_as_the_latest() -> None:
    state = a_replica(id=2).state
    slot = state.slot(Seq(1))
    for what in ("first", "second", "third", "fourth", "first", "fifth"):
        state.remember(slot, proposal(what))

    assert proposal("first").digest in slot.proposals
    assert proposal("second").digest not in slot.proposals


def test_a_new_primary_that_restarts_while_it_waits_is_told_and_asks_again() -> None:
    """It never heard of what the others have prepared; STATUS brings their VIEW-CHANGEs back, and it asks again."""
    cluster = Cluster(4)
    cluster.run(10)
    cluster.network.cut = {(0, 1), (2, 1), (3, 1)}
    cluster.submit(0, tx("pay bob"))
    cluster.run(2)
    cluster.crash(0)
    cluster.network.cut = set()
    cluster.tap = lambda source, to, frame: not isinstance(wire.decode(frame, GENESIS), Proposed)

    assert cluster.run(3_000, lambda: len(cluster.nodes[1].state.view_changes) == 3)
    cluster.run(20)
    assert not cluster.nodes[1].state.active, "it lacks what the others name"
    cluster.crash(1)
    cluster.start(1)
    assert cluster.run(500, lambda: len(cluster.nodes[1].state.view_changes) == 3)
    cluster.tap = lambda source, to, frame: True
    assert cluster.run(200, lambda: cluster.have_executed(tx("pay bob"), on=[1, 2, 3]))
    assert cluster.view(1) == 1
