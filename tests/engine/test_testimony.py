"""TESTIMONY between whole engines: what it costs whoever hears it, and what leaves with it."""

from collections.abc import Iterator

import pytest

from bftledger.base.crypto import SIGNATURE_BYTES, Verifier
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.engine.engine import Engine, Halted
from bftledger.pbft import messages, wire
from bftledger.pbft.effects import Ignored
from bftledger.pbft.messages import Commit, Message, Prepare, PrePrepare, Proposal, Stable
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.state import HEARD_PER_TICK
from bftledger.pbft.testimony import told_in
from bftledger.pbft.wire import UNSIGNED
from tests.builders import FAST, GENESIS, Writer
from tests.engine.engines import START, Engines

NOW = Millis(START)


class Counting:
    """A verifier that counts."""

    def __init__(self, verifier: Verifier) -> None:
        self.count = 0
        self._verifier = verifier

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        self.count += 1
        self._verifier.verify(public_key, message, signature)


def counted(engine: Engine) -> Counting:
    verifier = Counting(FAST.verifier)
    engine.door._verifier = verifier
    return verifier


def a_commit(group: Engines, by: int, seq: int, view: int = 0) -> Commit:
    digest = Digest(bytes([view]) * 32)
    unsigned = Commit(view=View(view), seq=Seq(seq), digest=digest, replica=ReplicaId(by), signature=UNSIGNED)
    return group.signed(unsigned)


def told(group: Engines, *votes: Commit) -> bytes:
    return wire.encode(group.signed(messages.Testimony(messages=votes, replica=ReplicaId(3), signature=UNSIGNED)))


# ── what it costs ──


def test_a_peer_that_testifies_without_end_is_heard_only_so_much() -> None:
    group = Engines()
    engine = group.engine(1)
    verifier = counted(engine)
    before = engine.ignored[Ignored.HEARD_ENOUGH]
    for view in range(1, 60):
        engine.on_peer(ReplicaId(3), told(group, *(a_commit(group, 3, seq, view=view) for seq in range(1, 200))), NOW)

    frame = len(told(group, *(a_commit(group, 3, seq) for seq in range(1, 200))))
    most = HEARD_PER_TICK * engine.replica.state.answers_per_tick + frame
    assert engine.ignored[Ignored.HEARD_ENOUGH] > before
    assert verifier.count * SIGNATURE_BYTES <= most


def test_what_is_found_to_be_false_counts_too() -> None:
    group = Engines()
    engine = group.engine(1)
    good = a_commit(group, 3, 1)
    false = Commit(view=good.view, seq=Seq(2), digest=good.digest, replica=good.replica, signature=good.signature)
    frame = told(group, good, false)

    engine.on_peer(ReplicaId(3), frame, NOW)

    assert engine.dropped["BadSignature"] == 1
    assert engine.replica.state.heard[ReplicaId(3)] == len(frame)


def test_a_signature_that_was_good_is_not_verified_again() -> None:
    group = Engines()
    engine = group.engine(1)
    verifier = counted(engine)
    votes = [a_commit(group, 2, seq) for seq in range(1, 9)]
    engine.on_peer(ReplicaId(3), told(group, *votes), NOW)
    first, verifier.count = verifier.count, 0
    engine.on_peer(ReplicaId(3), told(group, *reversed(votes)), NOW)

    assert (first, verifier.count) == (9, 1)


# ── what is malformed before anything in it is verified ──


W = Writer()


def too_much() -> Iterator[tuple[str, messages.Testimony]]:
    change = W.view_change(0)
    new_view = W.new_view([W.view_change(i) for i in (0, 2, 3)])
    yield "a vote twice", W.testimony(3, W.commit(0), W.prepare(0), W.commit(0))
    yield "a CHECKPOINT twice", W.testimony(3, W.checkpoint(0), W.checkpoint(0))
    yield "a VIEW-CHANGE three times", W.testimony(3, change, change, change)
    yield "a NEW-VIEW sixteen times", W.testimony(3, *[new_view] * 16)
    certificates = [W.prepared(seq=seq) for seq in range(1, 65)]
    large = [W.view_change(i, view=view, prepared=certificates) for i in (0, 1) for view in range(1, 9)]
    yield "more than two that are large", W.testimony(3, *large)


@pytest.mark.parametrize("message", [pytest.param(message, id=what) for what, message in too_much()])
def test_what_would_be_verified_many_times_is_malformed(message: messages.Testimony) -> None:
    sealed = wire.open_frame(wire.encode(message), GENESIS)

    def never(_: Message, __: object) -> None:
        raise AssertionError("verified in vain")

    with pytest.raises(Malformed):
        sealed.unpack(never)


def test_two_that_differ_and_are_evidence_are_well_formed() -> None:
    pair = W.view_change(0), W.view_change(0, prepared=[W.prepared()])
    message = W.testimony(3, *pair, W.commit(0), W.commit(0, of="pay eve"))

    assert wire.decode(wire.encode(message), GENESIS) == message


# ── last words ──


def test_a_replica_that_halts_sends_nothing_that_it_signed_in_the_round_that_it_undoes() -> None:
    """One round in which it commits, executes and is contradicted: the COMMIT was never durable, and nobody sees it."""
    group = Engines()
    group.cut_off(1)
    group.run(5)
    engine = group.engine(1)
    proposal = make_proposal(NOW, (group.transaction(),))
    pre_prepare, *votes = _round_of(group, proposal)
    engine.on_peer(ReplicaId(0), wire.encode(pre_prepare), NOW)
    engine.end_round(NOW)
    for vote in votes:
        engine.on_peer(vote.replica, wire.encode(vote), NOW)
    assert engine.replica.state.executed == 1
    certificate = group.certificate(1, Digest(bytes(32)), by=(0, 2, 3))
    stable = group.signed(Stable(certificate=certificate, replica=ReplicaId(3), signature=UNSIGNED))

    with pytest.raises(Halted) as halted:
        engine.on_peer(ReplicaId(3), wire.encode(stable), NOW)

    group.crash(1)
    assert "COMMIT" not in [slot.kind for slot, _ in group.store(1).votes()]
    words = [wire.decode(frame, group.genesis.genesis_hash) for _, frame in halted.value.last_words]
    said = [each for word in words if isinstance(word, messages.Testimony) for each in told_in(word)]
    assert {each.replica for each in said} == {0, 2, 3}


def _round_of(group: Engines, proposal: Proposal) -> list[PrePrepare | Prepare | Commit]:
    def vote(kind: type[Prepare] | type[Commit], by: int) -> Prepare | Commit:
        return group.signed(
            kind(view=View(0), seq=Seq(1), digest=proposal.digest, replica=ReplicaId(by), signature=UNSIGNED)
        )

    unsigned = PrePrepare(
        view=View(0),
        seq=Seq(1),
        digest=proposal.digest,
        replica=ReplicaId(0),
        signature=UNSIGNED,
        proposal=proposal,
    )
    return [group.signed(unsigned), vote(Prepare, 3), vote(Commit, 0), vote(Commit, 3)]
