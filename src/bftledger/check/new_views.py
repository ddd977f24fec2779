"""New views: one that a correct replica enters rests on a quorum, and proposes again what that says (OSDI'99 §4.4).

O is computed here once more from V. A wrong O does harm only where what it leaves out was committed somewhere, which is
rare; whoever enters a view with it is wrong every time.
"""

from collections.abc import Iterator

from bftledger.base.group import Group
from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.check.violation import Violation, first, named, short
from bftledger.pbft.messages import NewView
from bftledger.pbft.proposals import NULL_PROPOSAL

ORACLE = "new_views"


def check_new_view(who: ReplicaId, message: NewView, group: Group) -> list[Violation]:
    """What is wrong with the NEW-VIEW by which `who` has entered a view."""
    return first(
        Violation(ORACLE, f"{named(who)} enters view {message.view} {what}", seq, (who,))
        for seq, what in _wrong(message, group)
    )


def _wrong(message: NewView, group: Group) -> Iterator[tuple[Seq | None, str]]:
    senders = {change.replica for change in message.view_changes if change.view == message.view}
    if 2 * len(senders) <= group.n + group.f:
        yield None, f"with VIEW-CHANGEs of {len(senders)} replicas"
    proposed = {pre_prepare.seq: pre_prepare.digest for pre_prepare in message.pre_prepares}
    due = _due(message)
    for seq in sorted(due.keys() | proposed.keys()):
        if due.get(seq) != proposed.get(seq):
            yield seq, f"with {_said(proposed.get(seq))} for number {seq}, where V says {_said(due.get(seq))}"


def _due(message: NewView) -> dict[Seq, Digest]:
    """O as it follows from V."""
    settled = max((change.stable_seq for change in message.view_changes), default=Seq(0))
    shown: dict[Seq, list[tuple[View, Digest]]] = {}
    for change in message.view_changes:
        for certificate in change.prepared:
            prepared = certificate.pre_prepare
            shown.setdefault(prepared.seq, []).append((prepared.view, prepared.digest))
    last = max(shown, default=Seq(0))
    return {
        Seq(seq): max(shown[Seq(seq)])[1] if seq in shown else NULL_PROPOSAL.digest
        for seq in range(settled + 1, last + 1)
    }


def _said(digest: Digest | None) -> str:
    if digest is None:
        return "nothing"
    return "the null request" if digest == NULL_PROPOSAL.digest else short(digest)
