"""What no correct replica signs, rule by rule: each pair convicts, and what comes closest to it does not."""

from dataclasses import replace

import pytest

from bftledger.base import cbor
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.pbft import wire
from bftledger.pbft.evidence import Evidence, bare, evidence, verify_evidence
from bftledger.pbft.guilt import Rule, Signed, contradiction
from bftledger.pbft.messages import Message
from tests.builders import ED25519, FAST, Writer, block_hash

W = Writer()

GUILTY: dict[str, tuple[Rule, Signed, Signed]] = {
    "two proposals": (Rule.TWO_PROPOSALS, W.pre_prepare(), W.pre_prepare(of="pay eve")),
    "two proposals that differ in time": (Rule.TWO_PROPOSALS, W.pre_prepare(), W.pre_prepare(time=1)),
    "two prepares": (Rule.TWO_PREPARES, W.prepare(1), W.prepare(1, of="pay eve")),
    "two commits": (Rule.TWO_COMMITS, W.commit(1), W.commit(1, of="pay eve")),
    "a proposal and another commit": (Rule.COMMITTED_ANOTHER, W.pre_prepare(), W.commit(0, of="pay eve")),
    "a prepare and another commit": (Rule.COMMITTED_ANOTHER, W.prepare(1), W.commit(1, of="pay eve")),
    "a proposal and another prepare": (Rule.COMMITTED_ANOTHER, W.pre_prepare(), W.prepare(0, of="pay eve")),
    "two blocks": (Rule.TWO_BLOCKS, W.checkpoint(1), W.checkpoint(1, block=block_hash("other"))),
    "two view changes": (Rule.TWO_VIEW_CHANGES, W.view_change(1), W.view_change(1, stable=W.certificate(1))),
    "two new views": (
        Rule.TWO_NEW_VIEWS,
        W.new_view([W.view_change(i) for i in (0, 1, 2)]),
        W.new_view([W.view_change(i) for i in (1, 2, 3)]),
    ),
    "a commit hidden": (Rule.HIDDEN_COMMIT, W.commit(1), W.view_change(1)),
    "a commit hidden two views later": (Rule.HIDDEN_COMMIT, W.commit(1), W.view_change(1, view=2)),
    "a commit hidden above the stable checkpoint": (
        Rule.HIDDEN_COMMIT,
        W.commit(1, seq=2),
        W.view_change(1, stable=W.certificate(1), prepared=[W.prepared(seq=3)]),
    ),
    "a commit hidden behind an older certificate": (
        Rule.HIDDEN_COMMIT,
        W.commit(1, view=1),
        W.view_change(1, view=2, prepared=[W.prepared(view=0)]),
    ),
    "a commit hidden behind another certificate of its view": (
        Rule.HIDDEN_COMMIT,
        W.commit(1),
        W.view_change(1, prepared=[W.prepared(of="pay eve")]),
    ),
}

INNOCENT: dict[str, tuple[Message, Message]] = {
    "the same twice": (W.prepare(1), W.prepare(1)),
    "of two replicas": (W.prepare(1), W.prepare(2, of="pay eve")),
    "for two numbers": (W.prepare(1), W.prepare(1, seq=2, of="pay eve")),
    "in two views": (W.commit(1), W.commit(1, view=1, of="pay eve")),
    "a prepare and the commit that follows": (W.prepare(1), W.commit(1)),
    "checkpoints of two heights": (W.checkpoint(1), W.checkpoint(1, seq=2)),
    "view changes for two views": (W.view_change(1), W.view_change(1, view=2)),
    "a commit that is shown": (W.commit(1), W.view_change(1, prepared=[W.prepared()])),
    "a commit that a later certificate has replaced": (
        W.commit(1),
        W.view_change(1, view=2, prepared=[W.prepared(view=1, of="pay eve")]),
    ),
    "a commit that is settled": (W.commit(1), W.view_change(1, stable=W.certificate(1))),
    "a commit that is settled by a later block": (W.commit(1), W.view_change(1, stable=W.certificate(9))),
    "a commit of the view that was entered": (W.commit(1, view=1), W.view_change(1)),
    "a commit of a later view": (W.commit(1, view=2), W.view_change(1)),
    "a prepare is no promise to show it": (W.prepare(1), W.view_change(1)),
    "a status": (W.status(1), W.status(1, executed=5)),
}


@pytest.mark.parametrize("case", GUILTY)
def test_no_correct_replica_signs(case: str) -> None:
    rule, first, second = GUILTY[case]

    assert contradiction(first, second) is rule
    assert contradiction(second, first) is rule


@pytest.mark.parametrize("case", INNOCENT)
def test_a_correct_replica_may_sign(case: str) -> None:
    first, second = INNOCENT[case]

    assert contradiction(first, second) is None
    assert contradiction(second, first) is None


def test_every_rule_has_its_case() -> None:
    assert {rule for rule, _, _ in GUILTY.values()} == set(Rule)


# ── evidence ──


def proof(case: str = "two prepares") -> Evidence:
    _, first, second = GUILTY[case]
    found = evidence(first, second)
    assert found is not None
    return found


@pytest.mark.parametrize("case", GUILTY)
def test_evidence_convinces_whoever_knows_the_group(case: str) -> None:
    rule, first, second = GUILTY[case]

    found = verify_evidence(proof(case).encode(), W.group, FAST.verifier)

    assert (found.replica, found.rule) == (first.replica, rule)
    assert {found.first, found.second} == {bare(first), bare(second)}
    assert str(found).startswith(f"replica {first.replica} ")


def test_evidence_is_the_same_whichever_message_came_first() -> None:
    _, first, second = GUILTY["a commit hidden"]

    assert evidence(first, second) == evidence(second, first)


def test_evidence_says_what_the_replica_did() -> None:
    eve, bob = W.commit(1, seq=7, view=3, of="pay eve"), W.commit(1, seq=7, view=3)

    shown = sorted(vote.digest.hex()[:16] for vote in (eve, bob))
    said = str(evidence(eve, bob))

    assert said.startswith("replica 1 signed two COMMITs for sequence number 7 in view 3: ")
    assert sorted(word.rstrip("…") for word in said.split(": ")[1].split(" and ")) == shown


def test_no_byte_of_evidence_can_be_changed() -> None:
    writer = Writer(keys=ED25519)
    found = evidence(writer.commit(1), writer.view_change(1, stable=None, prepared=[writer.prepared(seq=2)]))
    assert found is not None
    data = found.encode()
    verify_evidence(data, writer.group, ED25519.verifier)

    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises((Malformed, BadSignature, BadProof)):
            verify_evidence(bytes(changed), writer.group, ED25519.verifier)


def test_what_convicts_nobody_is_no_evidence() -> None:
    found = proof()
    forged = replace(W.commit(1, of="pay eve"), signature=W.commit(2).signature)

    with pytest.raises(BadProof, match="a correct replica may have signed both"):
        verify(Evidence(Rule.TWO_COMMITS, W.commit(1), W.commit(2)))
    with pytest.raises(Malformed, match="order"):
        verify(Evidence(found.rule, found.second, found.first))
    with pytest.raises(Malformed, match="by their digests"):
        verify(Evidence(Rule.TWO_PROPOSALS, *sorted([W.pre_prepare(), W.pre_prepare(time=1)], key=wire.encode)))
    with pytest.raises(BadSignature):
        verify(Evidence(Rule.TWO_COMMITS, W.commit(1), forged))
    with pytest.raises(Malformed, match="made of messages"):
        verify_evidence(cbor.encode([1, wire.encode(W.prepared()), wire.encode(W.commit(1))]), W.group, FAST.verifier)


def test_evidence_of_another_format_is_refused() -> None:
    _, first, second = cbor.decode(proof().encode())

    with pytest.raises(Malformed, match="format 2, not 1"):
        verify_evidence(cbor.encode([2, first, second]), W.group, FAST.verifier)
    with pytest.raises(Malformed, match="two messages"):
        verify_evidence(cbor.encode([1, first]), W.group, FAST.verifier)


def verify(found: Evidence) -> Evidence:
    return verify_evidence(found.encode(), W.group, FAST.verifier)
