"""View changes, rule by rule (OSDI'99 §4.4): leaving a view, the new one, and what it must carry over."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.certificates import largest_window
from bftledger.pbft.effects import Ignore, Ignored, Persist, Send
from bftledger.pbft.events import Received
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.messages import (
    CheckpointCertificate,
    Commit,
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposed,
    ViewChange,
)
from bftledger.pbft.proposals import NULL_PROPOSAL
from bftledger.pbft.replica import Replica
from bftledger.pbft.settings import MAX_WINDOW, Settings
from bftledger.pbft.timers import RequestTimer, StatusTimer
from tests.builders import (
    FAST,
    GENESIS_BLOCK,
    NOW,
    TestedReplica,
    Writer,
    a_replica,
    block_hash,
    delivered,
    fired,
    only,
    proposal,
    sent,
    tx,
)

W = Writer()
DOOR = Authenticator(W.group, FAST.verifier)


def leave() -> Iterator[Message]:
    """Two conflicting pre-prepares: the quickest reason to leave view 0."""
    yield W.pre_prepare(seq=60, of="one")
    yield W.pre_prepare(seq=60, of="another")


def prepared_backup(id: int = 2, **settings: Any) -> TestedReplica:
    """A backup at which "pay bob" is prepared at 1."""
    others = [i for i in (1, 2, 3) if i != id]
    return a_replica(id=id, **settings).having(W.pre_prepare(), *(W.prepare(i) for i in others))


# ── VIEW-CHANGE ──


def test_backup_whose_timer_expires_moves_to_the_next_view() -> None:
    """§4.4: "If the timer of backup i expires in view v, the backup starts a view change to move the system to view
    v+1"."""
    backup = a_replica(id=1).having(W.relay(2, "pay bob"), W.status(2), W.status(3))
    effects = backup.take(fired(RequestTimer(View(0), tx("pay bob").id, relayed=True)))

    assert sent(effects, ViewChange) == [W.view_change(1, view=1)]
    assert effects.index(Persist(W.view_change(1, view=1))) == 0
    assert not backup.state.active


def test_view_change_carries_the_stable_checkpoint_and_what_is_prepared_above_it() -> None:
    """§4.4: "n is the sequence number of the last stable checkpoint s known to i, C is a set of 2f+1 valid checkpoint
    messages proving the correctness of s, and P is a set containing a set P_m for each request m that prepared at i
    with a sequence number higher than n"."""
    backup = a_replica(id=1).having(W.stable(2, W.certificate(1, by=(0, 2, 3))))
    backup.having(*(m for seq in (2, 3) for m in (W.pre_prepare(seq=seq), W.prepare(2, seq=seq))))
    backup.having(W.pre_prepare(seq=4))
    (change,) = sent([e for message in leave() for e in backup.take(message)], ViewChange)

    assert change.stable == W.certificate(1, by=(0, 2, 3))
    assert [(c.pre_prepare.seq, [i for i, _ in c.prepares]) for c in change.prepared] == [(2, [1, 2]), (3, [1, 2])]
    assert DOOR.authenticate(wire.encode(change)) == change


def test_backup_that_left_accepts_nothing_of_the_normal_case() -> None:
    """§4.4: it "stops accepting messages (other than checkpoint, view-change, and new-view messages)"."""
    backup = a_replica(id=1).having(*leave())

    assert backup.take(W.pre_prepare()) == (Ignore(Ignored.STALE_VIEW),)
    assert backup.take(W.prepare(2)) == (Ignore(Ignored.STALE_VIEW),)
    assert backup.take(W.commit(2)) == (Ignore(Ignored.STALE_VIEW),)
    assert backup.take(W.pre_prepare(view=1)) == (Ignore(Ignored.OWN),)
    assert backup.take(W.checkpoint(2)) == ()


def test_a_prepared_certificate_outlives_views_until_a_higher_one_replaces_it() -> None:
    backup = prepared_backup(id=2).having(W.new_view([W.view_change(i, prepared=[W.prepared()]) for i in (0, 1, 3)]))
    before = backup.state.slots[Seq(1)].certificate
    backup.having(W.prepare(3, view=1))
    after = backup.state.slots[Seq(1)].certificate

    assert before is not None
    assert after is not None
    assert (before.pre_prepare.view, after.pre_prepare.view) == (0, 1)


# ── certificates inside messages ──


def broken_view_changes() -> Iterator[tuple[str, ViewChange]]:
    good, certificate = W.prepared(), W.certificate(1)
    few = replace(good, prepares=good.prepares[:1])
    yield "too few prepares", W.view_change(1, prepared=[few])
    primarys = replace(good, prepares=((W.group.replicas[0], W.prepare(0).signature), good.prepares[0]))
    yield "a prepare of the primary", W.view_change(1, prepared=[primarys])
    other = replace(good, pre_prepare=replace(W.pre_prepare(of="pay eve"), proposal=None))
    yield "prepares for another digest", W.view_change(1, prepared=[other])
    yield "the same number twice", W.view_change(1, prepared=[good, good])
    yield "a number below the checkpoint", W.view_change(1, stable=certificate, prepared=[good])
    yield "a number above the watermarks", W.view_change(1, prepared=[W.prepared(seq=MAX_WINDOW + 1)])
    yield "a certificate of the new view itself", W.view_change(1, prepared=[W.prepared(view=1)])
    yield "too few checkpoints", W.view_change(1, stable=replace(certificate, signatures=certificate.signatures[1:]))
    yield "checkpoints of another block", W.view_change(1, stable=replace(certificate, block_hash=block_hash("x")))
    false = replace(good.pre_prepare, replica=W.group.replicas[2])
    yield "a pre-prepare that is not the primary's", W.view_change(1, prepared=[replace(good, pre_prepare=false)])


@pytest.mark.parametrize("message", [pytest.param(message, id=what) for what, message in broken_view_changes()])
def test_an_invalid_certificate_invalidates_the_view_change_and_the_new_view_with_it(
    message: ViewChange,
) -> None:
    carrier = W.new_view([W.view_change(0), message, W.view_change(2)], assigning=[])

    for frame in (wire.encode(message), wire.encode(carrier)):
        with pytest.raises((BadProof, BadSignature)):
            DOOR.authenticate(frame)


def test_a_proof_is_judged_by_the_largest_window_of_all_not_by_the_one_here() -> None:
    """§4.3: L is "big enough that replicas do not stall": whoever halves its own must still follow the others."""
    changes = [W.view_change(i, prepared=[W.prepared(seq=seq) for seq in (9, MAX_WINDOW)]) for i in (0, 1, 2)]
    message = W.new_view(changes)
    backup = Replica(ReplicaId(3), W.group, FAST.signer("replica 3"), Settings(window=4), genesis_block=GENESIS_BLOCK)

    assert DOOR.authenticate(wire.encode(changes[0]), lambda found: backup.refusal(found) is None) == changes[0]
    assert DOOR.authenticate(wire.encode(message), lambda found: backup.refusal(found) is None) == message
    assert Persist(message) in backup.step(Received(message), NOW)
    assert (backup.state.view, backup.state.active, len(backup.state.slots)) == (1, True, MAX_WINDOW)


@pytest.mark.parametrize("n", [31, 64, 200])
def test_the_new_view_of_a_full_log_fits_a_frame(n: int) -> None:
    """With the longest numbers and signers' ids; and the next larger window would not fit."""
    window = largest_window(n)
    quorum = FAST.group(n).quorum
    signers = [(ReplicaId(i), wire.UNSIGNED) for i in range(n - quorum, n)]
    far, view, digest = Seq(MAX_NUMBER), View(MAX_NUMBER), Digest(bytes(32))
    last = ReplicaId(n - 1)
    bare = PrePrepare(view=view, seq=far, digest=digest, replica=last, signature=wire.UNSIGNED)
    prepared = PreparedCertificate(pre_prepare=bare, prepares=tuple(signers[1:]))
    stable = CheckpointCertificate(seq=far, block_hash=digest, signatures=tuple(signers))

    def size(window: int) -> int:
        changes = tuple(
            ViewChange(view=view, stable=stable, prepared=(prepared,) * window, replica=i, signature=wire.UNSIGNED)
            for i, _ in signers[:1]
        )
        assigned = (bare,) * window
        message = NewView(view=view, view_changes=changes, pre_prepares=assigned, replica=last, signature=wire.UNSIGNED)
        return len(wire.encode(message)) + (quorum - 1) * (len(wire.encode(changes[0])) + 5)

    assert size(window) <= MAX_FRAME_BYTES < size(window + 1 + window // 20)


def broken_new_views() -> Iterator[tuple[str, NewView]]:
    changes = [W.view_change(i) for i in (0, 1, 2)]
    yield "too few view changes", W.new_view(changes[:2])
    yield "a view change twice", W.signed(replace(W.new_view(changes), view_changes=(*changes[:2], changes[1])))
    mixed = W.signed(replace(W.new_view(changes), view_changes=(*changes[:2], W.view_change(2, view=5))))
    yield "a view change for another view", mixed
    yield "not the new primary's", W.signed(replace(W.new_view(changes), replica=W.group.replicas[2]))
    stranger = replace(W.new_view(changes), pre_prepares=(replace(W.pre_prepare(view=1), replica=W.group.replicas[3]),))
    yield "a pre-prepare of somebody else", W.signed(stranger)
    older = replace(W.new_view(changes), pre_prepares=(replace(W.pre_prepare(view=0), proposal=None),))
    yield "a pre-prepare of another view", W.signed(older)
    many = [(seq, NULL_PROPOSAL.digest) for seq in range(1, MAX_WINDOW + 2)]
    yield "more pre-prepares than numbers", W.new_view(changes, assigning=many)


@pytest.mark.parametrize("message", [pytest.param(message, id=what) for what, message in broken_new_views()])
def test_a_new_view_that_proves_nothing_is_refused_at_the_door(message: NewView) -> None:
    with pytest.raises((BadProof, BadSignature, Malformed)):
        DOOR.authenticate(wire.encode(message))


# ── NEW-VIEW ──


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_the_new_primary_begins_its_view_with_a_quorum_of_view_changes(n: int) -> None:
    """§4.4: "When the primary p of view v+1 receives 2f valid view-change messages for view v+1 from other replicas, it
    multicasts a ⟨NEW-VIEW, v+1, V, O⟩σₚ message to all other replicas"."""
    writer = Writer(n)
    primary = a_replica(id=1, n=n)
    others = [i for i in range(n) if i != 1][: writer.group.quorum - 1]
    outcomes = [primary.take(writer.view_change(i)) for i in others]
    (message,) = [m for effects in outcomes for m in sent(effects, NewView)]

    assert sent(outcomes[-1], NewView) == [message]
    assert len(message.view_changes) == writer.group.quorum
    assert outcomes[-1].index(Persist(message)) < len(outcomes[-1]) - 1
    assert primary.state.is_primary


def test_a_new_view_assigns_again_what_may_have_committed() -> None:
    """§4.4: for each number between min-s and max-s with a P_m in V, the new pre-prepare is for "the request digest in
    the pre-prepare message for sequence number n with the highest view number in V"."""
    older, newer = W.prepared(seq=1, of="pay eve", view=0), W.prepared(seq=1, of="pay bob", view=1)
    changes = [
        W.view_change(0, view=2, prepared=[older]),
        W.view_change(1, view=2, prepared=[newer]),
        W.view_change(2, view=2),
    ]
    message = W.new_view(changes)

    assert [(p.view, p.seq, p.digest) for p in message.pre_prepares] == [(2, 1, proposal("pay bob").digest)]


def test_a_new_view_fills_gaps_with_the_null_request() -> None:
    """§4.4: otherwise "it creates a new pre-prepare message … where d_null is the digest of a special null request"."""
    changes = [W.view_change(0, prepared=[W.prepared(seq=3)]), W.view_change(1), W.view_change(2)]

    assert [(p.seq, p.digest == NULL_PROPOSAL.digest) for p in W.new_view(changes).pre_prepares] == [
        (1, True),
        (2, True),
        (3, False),
    ]


def test_a_new_view_begins_above_the_latest_stable_checkpoint_in_v() -> None:
    """§4.4: "min-s [is the number] of the latest stable checkpoint in V"."""
    prepared = [W.prepared(seq=seq) for seq in (1, 2, 3)]
    changes = [W.view_change(0, prepared=prepared), W.view_change(1, stable=W.certificate(2)), W.view_change(2)]
    message = W.new_view(changes)
    backup = a_replica(id=3).having(message)

    assert [p.seq for p in message.pre_prepares] == [3]
    assert backup.state.low == 2, "the checkpoint is taken over"
    assert backup.state.lagging


def test_a_backup_that_accepts_a_new_view_prepares_what_it_assigns() -> None:
    """§4.4: "It then … multicasts prepares for each message in O to all the other replicas … and enters view v+1"."""
    backup = prepared_backup(id=2)
    changes = [W.view_change(0), W.view_change(1, prepared=[W.prepared()]), W.view_change(3)]
    effects = backup.take(W.new_view(changes))

    assert (backup.state.view, backup.state.active) == (1, True)
    assert sent(effects, Prepare) == [W.prepare(2, view=1)]


@pytest.mark.parametrize(
    "assigning",
    [[], [(1, proposal("pay eve").digest)], [(1, proposal("pay bob").digest), (2, NULL_PROPOSAL.digest)]],
    ids=["nothing", "another digest", "one number more"],
)
def test_a_backup_recomputes_what_the_new_view_assigns(assigning: list[tuple[int, Digest]]) -> None:
    """§4.4: a backup "verifies the correctness of O by performing a computation similar to the one used by the primary
    to create O"."""
    changes = [W.view_change(0, prepared=[W.prepared()]), W.view_change(1), W.view_change(3)]
    false = W.new_view(changes, assigning=assigning)
    backup = a_replica(id=2)

    assert backup.take(false) == (Ignore(Ignored.WRONG_NEW_VIEW),)
    assert backup.state.view == 0


def test_a_new_view_needs_no_timely_proposals() -> None:
    changes = [W.view_change(0, prepared=[W.prepared()]), W.view_change(1), W.view_change(3)]
    backup = prepared_backup(id=2)
    much_later = Millis(NOW + 3_600_000)
    effects = backup.take(W.new_view(changes), now=much_later)

    assert sent(effects, Prepare) == [W.prepare(2, view=1)]


def test_a_proposal_that_is_missing_is_fetched_by_its_digest() -> None:
    """§4.4: the messages that a replica lacks "it can obtain … from another replica"."""
    changes = [W.view_change(0, prepared=[W.prepared()]), W.view_change(1), W.view_change(3)]
    backup = a_replica(id=2)
    asked = backup.take(W.new_view(changes))
    again = backup.take(fired(StatusTimer()))
    wrong = backup.take(W.proposed(3, of="pay eve"))
    effects = backup.take(W.proposed(3, of="pay bob"))

    assert [send.to for send in only(asked, Send)] == [1, 0], "the new primary must have it, another may"
    assert [send.to for send in only(again, Send) if isinstance(send.message, FetchProposal)] == [1, 3]
    assert set(sent([*asked, *again], FetchProposal)) == {W.fetch_proposal(2)}
    assert wrong == (Ignore(Ignored.NOT_ASKED),)
    assert sent(effects, Prepare) == [W.prepare(2, view=1)]


def test_who_accepted_a_proposal_hands_it_to_others_also_in_later_views() -> None:
    backup = prepared_backup(id=2).having(*leave())

    assert sent(backup.take(W.fetch_proposal(3)), Proposed) == [W.proposed(2)]
    assert backup.take(W.fetch_proposal(3)) == (Ignore(Ignored.NOT_NEEDED),), "once until the next tick"


def test_votes_of_the_old_view_count_for_nothing_in_the_new_one() -> None:
    backup = prepared_backup(id=2)
    changes = [W.view_change(0), W.view_change(1, prepared=[W.prepared()]), W.view_change(3)]
    effects = backup.take(W.new_view(changes))

    assert sent(effects, Commit) == []
    assert not backup.state.slots[Seq(1)].prepared


def test_what_was_executed_before_is_agreed_on_again_but_not_executed_again() -> None:
    """§4.4: "Replicas redo the protocol for messages between min-s and max-s but they avoid re-executing client
    requests"."""
    backup = prepared_backup(id=2).having(W.commit(0), W.commit(1), delivered(1, "pay bob"))
    changes = [W.view_change(0), W.view_change(1, prepared=[W.prepared()]), W.view_change(3)]
    backup.having(W.new_view(changes), W.prepare(3, view=1), W.prepare(0, view=1))
    effects = [e for i in (0, 1, 3) for e in backup.take(W.commit(i, view=1))]

    assert backup.state.slots[Seq(1)].committed
    assert backup.state.executed == 1
    assert [effect for effect in effects if not isinstance(effect, Ignore)] == []


def test_what_the_new_view_leaves_out_waits_to_be_proposed_again() -> None:
    primary = a_replica(id=1).having(W.pre_prepare(of="pay bob"))
    effects = [e for i in (2, 3) for e in primary.take(W.view_change(i))]
    (message,) = [p for p in sent(effects, PrePrepare) if p.proposal]

    assert (message.view, message.seq, message.proposal) == (1, 1, proposal("pay bob"))


def test_the_new_primary_assigns_numbers_above_all_that_it_carried_over() -> None:
    primary = prepared_backup(id=1).having(W.relay(3, "next"))
    effects = [e for i in (2, 3) for e in primary.take(W.view_change(i))]

    assert [(p.seq, p.digest) for p in sent(effects, NewView)[0].pre_prepares] == [(1, proposal("pay bob").digest)]
    assert primary.state.next_seq == 2


def test_a_new_view_counts_only_once_and_never_for_a_view_that_is_over() -> None:
    first = W.new_view([W.view_change(i) for i in (0, 1, 2)])
    second = W.new_view([W.view_change(i, view=2) for i in (0, 1, 2)])
    backup = a_replica(id=3).having(first)

    assert backup.take(first) == (Ignore(Ignored.STALE_VIEW),)
    assert backup.having(second).take(first) == (Ignore(Ignored.STALE_VIEW),)
    assert backup.take(W.view_change(2, view=2)) == (Ignore(Ignored.STALE_VIEW),)


def test_proposal_of_a_certificate_is_never_forgotten() -> None:
    backup = prepared_backup(id=2)
    slot = backup.state.slots[Seq(1)]
    for i in range(20):
        backup.state.remember(slot, proposal(f"other {i}"))

    assert proposal("pay bob").digest in slot.proposals
    assert len(slot.proposals) <= W.group.n


def test_only_proofs_of_the_primarys_own_making_end_a_view() -> None:
    """A pre-prepare that contradicts what the NEW-VIEW announced is as good a proof as two pre-prepares."""
    changes = [W.view_change(0, prepared=[W.prepared()]), W.view_change(1), W.view_change(3)]
    backup = a_replica(id=2).having(W.new_view(changes))
    effects = backup.take(W.pre_prepare(view=1, of="pay eve"))

    assert [change.view for change in sent(effects, ViewChange)] == [2]
    assert only(effects, Ignore) == []
