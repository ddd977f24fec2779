"""Promises: no honest key ever signs two things that a correct replica could not both mean, restarts or not.

A vote is a promise about one slot, and quorums intersect in someone who keeps it: this is what agreement rests on
(OSDI'99 §4.2 to §4.4). What is watched of each replica, in the order in which it sends:

- one digest for each (view, sequence number), whether in PRE-PREPARE, PREPARE or COMMIT, or inside a NEW-VIEW;
- one block hash for each height in CHECKPOINTs; one VIEW-CHANGE for each view; one NEW-VIEW for each view;
- no vote in a view that it has left: views only grow;
- whoever sent COMMIT(v, n, d) shows in each later VIEW-CHANGE that n is settled, or a prepared certificate for n of
  view v, for d, or of a later view. Without it a new view may decide something else where d was committed.

Give it only what a replica signed itself: a NEW-VIEW that another one passes on is no promise of whoever sends it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.check.violation import MAX_VIOLATIONS, Violation, named, short
from bftledger.pbft.messages import (
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Record,
    Testimony,
    ViewChange,
)

ORACLE = "promises"

_KINDS: Final = {PrePrepare: "PRE-PREPARE", Prepare: "PREPARE", Commit: "COMMIT"}


class _Said(NamedTuple):
    kind: str
    digest: Digest


class _Record:
    """All that one replica ever promised."""

    __slots__ = ("changes", "checkpoints", "commits", "new_views", "slots", "view")

    def __init__(self) -> None:
        self.view = View(0)
        """The highest one that it voted in, or left others for."""
        self.slots: dict[tuple[View, Seq], _Said] = {}
        self.commits: dict[Seq, dict[View, Digest]] = {}
        self.checkpoints: dict[Seq, Digest] = {}
        self.changes: dict[View, ViewChange] = {}
        self.new_views: dict[View, NewView] = {}


class Promises:
    """What each replica said, for ever. Its state outlives the replicas that it watches."""

    def __init__(self) -> None:
        self._records: defaultdict[ReplicaId, _Record] = defaultdict(_Record)
        self._found: dict[str, Violation] = {}

    def add(self, message: Message) -> list[Violation]:
        """`message.replica` signed this and sends it, perhaps again. Returns what it contradicts, each thing once."""
        record = self._records[message.replica]
        match message:
            case PrePrepare() | Prepare() | Commit():
                return self._vote(record, message)
            case Checkpoint():
                known = record.checkpoints.setdefault(message.seq, message.block_hash)
                if known == message.block_hash:
                    return []
                what = f"CHECKPOINT for block {message.seq} of {short(known)} and of {short(message.block_hash)}"
                return self._signed(message.replica, what, message.seq)
            case ViewChange():
                return self._view_change(record, message)
            case NewView():
                return self._new_view(record, message)
            case _:
                return []  # says what is, and promises nothing

    def violations(self) -> list[Violation]:
        """All that was found so far."""
        return list(self._found.values())

    def _vote(self, record: _Record, message: PrePrepare | Prepare | Commit) -> list[Violation]:
        kind = _KINDS[type(message)]
        found = self._slot(record, message.replica, kind, message.view, message.seq, message.digest)
        if message.view < record.view:
            what = f"{kind} in view {message.view}, after it had left that for view {record.view}"
            found += self._note(message.replica, f"sent {what}", message.seq)
        record.view = max(record.view, message.view)
        if isinstance(message, Commit):
            record.commits.setdefault(message.seq, {}).setdefault(message.view, message.digest)
        return found

    def _slot(
        self, record: _Record, replica: ReplicaId, kind: str, view: View, seq: Seq, digest: Digest
    ) -> list[Violation]:
        said = record.slots.setdefault((view, seq), _Said(kind, digest))
        if said.digest == digest:
            return []
        what = f"{said.kind} for {short(said.digest)} and {kind} for {short(digest)}"
        return self._signed(replica, f"{what} at view {view}, sequence number {seq}", seq)

    def _view_change(self, record: _Record, message: ViewChange) -> list[Violation]:
        known = record.changes.get(message.view)
        if known is not None:
            if (known.stable, known.prepared) == (message.stable, message.prepared):
                return []
            return self._signed(message.replica, f"two VIEW-CHANGEs for view {message.view}")
        found: list[Violation] = []
        if message.view <= record.view:
            what = f"VIEW-CHANGE for view {message.view}, after it had been in view {record.view}"
            found += self._note(message.replica, f"sent {what}")
        record.changes[message.view] = message
        record.view = max(record.view, message.view)
        return found + self._hidden(record, message)

    def _hidden(self, record: _Record, message: ViewChange) -> list[Violation]:
        """What was prepared at its sender, as its COMMITs say, and is missing in its VIEW-CHANGE."""
        shown = {certificate.pre_prepare.seq: certificate.pre_prepare for certificate in message.prepared}
        found: list[Violation] = []
        for seq, commits in record.commits.items():
            if seq <= message.stable_seq:
                continue
            earlier = [view for view in commits if view < message.view]
            if not earlier:
                continue
            view = max(earlier)
            proof = shown.get(seq)
            committed = f"COMMIT for {short(commits[view])} at view {view}, sequence number {seq}"
            if proof is None or proof.view < view:
                what = f"{committed}, and VIEW-CHANGE for view {message.view} that does not show it"
                found += self._signed(message.replica, what, seq)
            elif proof.view == view and proof.digest != commits[view]:
                what = f"{committed}, and VIEW-CHANGE for view {message.view} that shows {short(proof.digest)} there"
                found += self._signed(message.replica, what, seq)
        return found

    def _new_view(self, record: _Record, message: NewView) -> list[Violation]:
        known = record.new_views.setdefault(message.view, message)
        record.view = max(record.view, message.view)
        found: list[Violation] = []
        if known is message:
            for inner in message.pre_prepares:
                kind = "PRE-PREPARE in NEW-VIEW"
                found += self._slot(record, message.replica, kind, inner.view, inner.seq, inner.digest)
        elif (known.view_changes, known.pre_prepares) != (message.view_changes, message.pre_prepares):
            found += self._signed(message.replica, f"two NEW-VIEWs for view {message.view}")
        return found

    def _signed(self, replica: ReplicaId, what: str, seq: Seq | None = None) -> list[Violation]:
        return self._note(replica, f"signed {what}", seq)

    def _note(self, replica: ReplicaId, what: str, seq: Seq | None = None) -> list[Violation]:
        text = f"{named(replica)} {what}"
        if text in self._found or len(self._found) >= MAX_VIOLATIONS:
            return []
        self._found[text] = violation = Violation(ORACLE, text, seq, (replica,))
        return [violation]


def check_signed(records: Iterable[Record], replicas: Collection[ReplicaId]) -> list[Violation]:
    """What these replicas contradict in what is left of all that they signed, wherever that was found.

    `records`: authentic, from any stores and in any order; so is what certificates, VIEW-CHANGEs, NEW-VIEWs and
    TESTIMONYs hold. It is taken as if it had been sent view by view, and in each its VIEW-CHANGE first: that views only
    grow is not judged.
    """
    said = [message for record in records for message in _signed_in(record) if message.replica in replicas]
    promises = Promises()
    for message in sorted(said, key=_turn):
        promises.add(message)
    return promises.violations()


def _signed_in(record: Record) -> Iterator[Message]:
    match record:
        case CheckpointCertificate():
            yield from record.votes()
        case PreparedCertificate():
            yield record.pre_prepare
            yield from record.votes()
        case ViewChange():
            yield record
            yield from record.stable.votes() if record.stable else ()
            for certificate in record.prepared:
                yield from _signed_in(certificate)
        case NewView():
            yield record
            for change in record.view_changes:
                yield from _signed_in(change)
        case Testimony():
            for told in record.messages:
                yield from _signed_in(told)
        case _:
            yield record


def _turn(message: Message) -> tuple[int, int]:
    match message:
        case ViewChange():
            return message.view, 0
        case NewView():
            return message.view, 1
        case PrePrepare() | Prepare() | Commit():
            return message.view, 2
        case _:
            return 0, 0
