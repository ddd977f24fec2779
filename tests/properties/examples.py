"""Strategies for everything that has a frame, and one signed example of each kind."""

from typing import Any

from hypothesis import strategies as st

from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, Signature, View
from bftledger.base.transaction import MAX_MILLIS, MAX_PAYLOAD_BYTES, Transaction, sign
from bftledger.pbft import kinds, messages
from bftledger.pbft.fields import MAX_NUMBER, MAX_REPLICAS
from bftledger.pbft.proposals import make_proposal
from tests.builders import ED25519, FAST, GENESIS, Writer

W = Writer(4, ED25519)
SIGNERS = [FAST.signer(f"client {i}") for i in range(3)]

numbers = st.one_of(st.integers(0, 300), st.integers(0, MAX_NUMBER))
replicas = st.integers(0, MAX_REPLICAS - 1).map(ReplicaId)
digests = st.binary(min_size=32, max_size=32).map(Digest)
signatures = st.binary(min_size=64, max_size=64).map(Signature)
masks = st.integers(0, (1 << MAX_REPLICAS) - 1)
votes = st.dictionaries(replicas, signatures, max_size=5).map(lambda found: tuple(sorted(found.items())))
views, seqs = numbers.map(View), numbers.map(Seq)


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    created = draw(st.integers(0, MAX_MILLIS - 1))
    return sign(
        draw(st.sampled_from(SIGNERS)),
        GENESIS,
        nonce=draw(st.binary(min_size=8, max_size=8)),
        created=Millis(created),
        expires=Millis(draw(st.integers(created + 1, MAX_MILLIS))),
        payload=draw(st.one_of(st.binary(max_size=300), st.just(bytes(MAX_PAYLOAD_BYTES)))),
    )


proposals = st.builds(
    make_proposal,
    st.integers(0, MAX_MILLIS).map(Millis),
    st.lists(transactions(), max_size=3, unique_by=lambda tx: tx.id).map(tuple),
)


def _vote(kind: type[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, view=views, seq=seqs, digest=digests, replica=replicas, signature=signatures, **more)


def _replica(message: messages.Message) -> int:
    return message.replica


bare_pre_prepares = _vote(messages.PrePrepare, proposal=st.none())
certificates = st.builds(messages.CheckpointCertificate, seq=seqs, block_hash=digests, signatures=votes)
prepared = st.builds(messages.PreparedCertificate, pre_prepare=bare_pre_prepares, prepares=votes)


def _many(item: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(item, max_size=most).map(tuple)


view_changes = st.builds(
    messages.ViewChange,
    view=views,
    stable=st.none() | certificates,
    prepared=_many(prepared),
    replica=replicas,
    signature=signatures,
)
slot_statuses = st.builds(
    messages.SlotStatus, seq=seqs, has_pre_prepare=st.booleans(), prepares=masks, commits=masks, checkpoints=masks
)
_from = {"replica": replicas, "signature": signatures}

records: dict[str, st.SearchStrategy[Any]] = {
    "PrePrepare": _vote(messages.PrePrepare, proposal=st.none() | proposals),
    "Prepare": _vote(messages.Prepare),
    "Commit": _vote(messages.Commit),
    "Checkpoint": st.builds(messages.Checkpoint, seq=seqs, block_hash=digests, **_from),
    "ViewChange": view_changes,
    "NewView": st.builds(
        messages.NewView,
        view=views,
        view_changes=st.lists(view_changes, max_size=3, unique_by=_replica).map(
            lambda v: tuple(sorted(v, key=_replica))
        ),
        pre_prepares=_many(bare_pre_prepares),
        **_from,
    ),
    "Status": st.builds(
        messages.Status,
        view=views,
        active=st.booleans(),
        stable=seqs,
        stable_hash=st.none() | digests,
        executed=seqs,
        executed_hash=st.none() | digests,
        slots=_many(slot_statuses),
        view_changes=masks,
        convicted=masks,
        **_from,
    ),
    "Relay": st.builds(messages.Relay, transactions=_many(transactions()), **_from),
    "Stable": st.builds(messages.Stable, certificate=certificates, **_from),
    "FetchProposal": st.builds(messages.FetchProposal, seq=seqs, digest=digests, **_from),
    "Proposed": st.builds(messages.Proposed, seq=seqs, proposal=proposals, **_from),
    "FetchBlocks": st.builds(messages.FetchBlocks, first=seqs, **_from),
    "Blocks": st.builds(
        messages.Blocks,
        first=seqs,
        blocks=_many(st.binary(max_size=100)),
        headers=_many(st.binary(max_size=100)),
        certificate=certificates,
        **_from,
    ),
    "Testimony": st.builds(
        messages.Testimony,
        messages=st.lists(
            bare_pre_prepares | _vote(messages.Commit) | view_changes, max_size=3, unique_by=kinds.testified_slot
        ).map(tuple),
        **_from,
    ),
    "PreparedCertificate": prepared,
    "CheckpointCertificate": certificates,
}

_changes = [W.view_change(i, prepared=[W.prepared()]) for i in (0, 1, 2)]
EXAMPLES: dict[str, messages.Message] = {
    "PrePrepare": W.pre_prepare(),
    "Prepare": W.prepare(1),
    "Commit": W.commit(1),
    "Checkpoint": W.checkpoint(1),
    "ViewChange": W.view_change(1, stable=W.certificate(1), prepared=[W.prepared(seq=2)]),
    "NewView": W.new_view(_changes),
    "Status": W.status(
        1, slots=[messages.SlotStatus(seq=Seq(1), has_pre_prepare=True, prepares=6, commits=0, checkpoints=1)]
    ),
    "Relay": W.relay(1, "pay bob", "pay eve"),
    "Stable": W.stable(1, W.certificate(1)),
    "FetchProposal": W.fetch_proposal(1),
    "Proposed": W.proposed(1),
    "FetchBlocks": W.fetch_blocks(1),
    "Blocks": W.blocks(1, W.certificate(1)),
    "Testimony": W.testimony(1, W.prepare(2), W.prepare(2, of="pay eve"), W.new_view(_changes)),
}
"""Authentic, signed with Ed25519."""
