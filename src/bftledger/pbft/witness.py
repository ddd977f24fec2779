"""The witness: sees what others sign, and notices when it does not fit together with what it remembers.

It sees every authentic message that a replica receives, and what is inside: the votes of prepared certificates and of
checkpoint certificates, the VIEW-CHANGEs and pre-prepares of a NEW-VIEW, what others testify. What it has seen is in
its `memory`, which is not durable; the evidence that it finds is.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from bftledger.base.ids import ReplicaId
from bftledger.pbft.evidence import Evidence, evidence
from bftledger.pbft.guilt import Rule, Signed, Vote
from bftledger.pbft.memory import Memory
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Stable,
    Testimony,
    ViewChange,
)
from bftledger.pbft.settings import MAX_WINDOW


class Witness:
    """What one replica knows of the others' guilt. `evidence`: by the convict and the rule, one piece of each."""

    def __init__(self, window: int = MAX_WINDOW) -> None:
        """`window`: so many numbers above the stable checkpoint can its owner execute."""
        self.memory = Memory(window)
        self.evidence: dict[tuple[ReplicaId, Rule], Evidence] = {}
        self.convicted: set[ReplicaId] = set()
        self.smallest: dict[ReplicaId, Evidence] = {}
        """Of each convict the piece that is told most easily."""

    def see(self, message: Message) -> list[Evidence]:
        """What an authentic message newly proves, alone or with what was seen before."""
        found = self._see_vote(message) if isinstance(message, PrePrepare | Prepare | Commit) else self._see(message)
        return [new for each in found if (new := self._convict(each)) is not None]

    def see_certificate(self, certificate: PreparedCertificate | CheckpointCertificate) -> list[Evidence]:
        """The same for an authentic certificate."""
        if isinstance(certificate, PreparedCertificate):
            found = self._see_prepared(certificate)
        else:
            found = self._see_certificate(certificate)
        return [new for each in found if (new := self._convict(each)) is not None]

    def restore(self, kept: Iterable[Evidence]) -> None:
        """What a store kept: it is not new."""
        for found in kept:
            self._convict(found)

    def listed(self) -> list[Evidence]:
        """All evidence, by convict and rule."""
        return sorted(self.evidence.values(), key=lambda found: (found.replica, found.rule.value))

    def would_convict(self, message: Message) -> bool:
        """Whether `message`, as far as it can be read before its signature is checked, would prove something new."""
        pairs: Iterable[Signed]
        match message:
            case PrePrepare() | Prepare() | Commit():
                pairs = self._against_vote(message)
            case Checkpoint():
                held = self.memory.checkpoint(message.replica, message.seq)
                pairs = () if held is None else (held,)
            case ViewChange():
                return self._is_another(self.memory.change(message.replica, message.view), message)
            case NewView():
                return self._is_another(self.memory.new_view(message.view), message)
            case _:
                return False
        return any(
            (found := evidence(held, message)) is not None and (found.replica, found.rule) not in self.evidence
            for held in pairs
        )

    def _against_vote(self, vote: Vote) -> Iterator[Signed]:
        """What is remembered that this vote might contradict."""
        yield from self.memory.rivals(vote)
        if isinstance(vote, Commit):
            yield from self.memory.changes_of(vote.replica)

    def _is_another(self, held: ViewChange | NewView | None, message: ViewChange | NewView) -> bool:
        """Only the outline is known: the signature says whether it is the same, for correct ones sign alike."""
        if held is None or held.replica != message.replica or held.signature == message.signature:
            return False
        rule = Rule.TWO_VIEW_CHANGES if isinstance(message, ViewChange) else Rule.TWO_NEW_VIEWS
        return (message.replica, rule) not in self.evidence

    # ── noticing ──

    def _convict(self, found: Evidence) -> Evidence | None:
        key = found.replica, found.rule
        if key in self.evidence:
            return None
        self.evidence[key] = found
        self.convicted.add(found.replica)
        held = self.smallest.get(found.replica)
        if held is None or len(found.encode()) < len(held.encode()):
            self.smallest[found.replica] = found
        return found

    def _see(self, message: Message) -> Iterator[Evidence]:
        match message:
            case PrePrepare() | Prepare() | Commit():
                yield from self._see_vote(message)
            case Checkpoint():
                yield from self._see_checkpoint(message)
            case ViewChange():
                yield from self._see_change(message)
            case NewView():
                yield from self._see_new_view(message)
            case Stable() | Blocks():
                yield from self._see_certificate(message.certificate)
            case Testimony():
                for first, second in pairwise(message.messages):
                    if (found := evidence(first, second)) is not None:
                        yield found
                for testified in message.messages:
                    yield from self._see(testified)
            case _:
                pass

    def _see_vote(self, vote: Vote) -> list[Evidence]:
        found: list[Evidence] = []
        if not self.memory.spans(vote.seq):
            return found
        for other in self.memory.rivals(vote):
            if other.digest != vote.digest:
                proven = evidence(other, vote)
                assert proven is not None, "votes of one replica for one slot that differ are evidence"
                found.append(proven)
        self.memory.keep_vote(vote)
        if isinstance(vote, Commit):
            for change in self.memory.changes_of(vote.replica):
                if (proven := evidence(change, vote)) is not None:
                    found.append(proven)
        return found

    def _see_checkpoint(self, vote: Checkpoint) -> Iterator[Evidence]:
        if not self.memory.spans(vote.seq):
            return
        held = self.memory.keep_checkpoint(vote)
        if held.block_hash != vote.block_hash and (found := evidence(held, vote)) is not None:
            yield found

    def _see_certificate(self, certificate: CheckpointCertificate) -> Iterator[Evidence]:
        for vote in certificate.votes():
            yield from self._see_checkpoint(vote)

    def _see_prepared(self, certificate: PreparedCertificate) -> Iterator[Evidence]:
        yield from self._see_vote(certificate.pre_prepare)
        for vote in certificate.votes():
            cast = self.memory.cast(vote.replica, vote.seq, vote.view)
            if not any(isinstance(held, Prepare) and held.digest == vote.digest for held in cast):
                yield from self._see_vote(vote)

    def _see_change(self, change: ViewChange) -> Iterator[Evidence]:
        held = self.memory.keep_change(change)
        if held is not change:
            found = evidence(held, change)
            if found is None:
                return  # seen before, with all that is in it
            yield found
        yield from self._see_hidden(change)
        if change.stable is not None:
            yield from self._see_certificate(change.stable)
        for certificate in change.prepared:
            yield from self._see_prepared(certificate)

    def _see_hidden(self, change: ViewChange) -> Iterator[Evidence]:
        for commit in self.memory.commits_of(change.replica):
            if (found := evidence(commit, change)) is not None:
                yield found

    def _see_new_view(self, message: NewView) -> Iterator[Evidence]:
        held = self.memory.new_view(message.view)
        if held is None:
            self.memory.keep_new_view(message)
        elif (found := evidence(held, message)) is None:
            return
        else:
            yield found
        for change in message.view_changes:
            yield from self._see_change(change)
        for pre_prepare in message.pre_prepares:
            yield from self._see_vote(pre_prepare)
