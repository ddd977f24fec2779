"""The witness: remembers what others signed, and notices when it does not fit together.

It sees every authentic message that a replica receives, and what is inside: the votes of prepared certificates and of
checkpoint certificates, the VIEW-CHANGEs and pre-prepares of a NEW-VIEW, what others testify. Its memory is bounded
and not durable, for a vote that contradicts nothing is no promise of this replica's; evidence is durable. Its owner's
own messages it does not need: others remember them.

What nobody can make it forget by sending more is what its owner acted upon: the COMMITs that decided each block, and
the NEW-VIEWs of the view that it is in and of those in which it prepared what is remembered. All else it forgets
replica by replica, so each may only push out what is its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.pbft.evidence import Evidence, evidence
from bftledger.pbft.guilt import Rule, Signed
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

Vote = PrePrepare | Prepare | Commit

SPAN: Final = 128
"""So many settled numbers are remembered: two sides of a fork that meet later can no longer prove it by votes."""

VIEWS: Final = 4
"""In so many views, the latest, each replica's votes for one number are remembered."""

CHANGES: Final = 4
"""So many VIEW-CHANGEs of each replica, the latest, and so many NEW-VIEWs beyond those its owner acted upon."""

ACTED_UPON: Final = 64
"""So many NEW-VIEWs that its owner acted upon, the latest, and the one that it acts upon now."""

SIGNATURES: Final = 1 << 19
"""Fewer of them, if more signatures than this are in them: four of the largest that fit a frame."""


class Witness:
    """What one replica knows of the others' signatures. `evidence`: by the convict and the rule, one piece of each."""

    def __init__(self, window: int = MAX_WINDOW) -> None:
        """`window`: so many numbers above the stable checkpoint can its owner execute."""
        self._window = window
        self.evidence: dict[tuple[ReplicaId, Rule], Evidence] = {}
        self.convicted: set[ReplicaId] = set()
        self.smallest: dict[ReplicaId, Evidence] = {}
        """Of each convict the piece that is told most easily."""
        self.blocks: dict[Seq, Digest] = {}
        """The hashes of those remembered blocks that its owner executed."""
        self._votes: dict[Seq, dict[ReplicaId, dict[View, list[Vote]]]] = {}
        self._decisions: dict[Seq, dict[ReplicaId, Commit]] = {}
        """The COMMITs that decided a block here."""
        self._views: dict[View, Seq] = {}
        """The highest number that its owner prepared in a view."""
        self._view = View(0)
        """The one that its owner is in."""
        self._checkpoints: dict[Seq, dict[ReplicaId, Checkpoint]] = {}
        self._changes: dict[ReplicaId, dict[View, ViewChange]] = {}
        self._new_views: dict[View, NewView] = {}
        self._used: dict[ReplicaId, list[ViewChange]] = {}
        """The VIEW-CHANGEs in those NEW-VIEWs."""
        self._floor = Seq(0)
        self._ceiling = Seq(window)

    # ── what it is told ──

    def see(self, message: Message) -> list[Evidence]:
        """What an authentic message newly proves, alone or with what was seen before."""
        return [new for found in self._see(message) if (new := self._convict(found)) is not None]

    def see_certificate(self, certificate: PreparedCertificate | CheckpointCertificate) -> list[Evidence]:
        """The same for an authentic certificate."""
        if isinstance(certificate, PreparedCertificate):
            found = self._see_prepared(certificate)
        else:
            found = self._see_certificate(certificate)
        return [new for each in found if (new := self._convict(each)) is not None]

    def settle(self, low: Seq) -> None:
        """The low watermark moved: what is far below it is forgotten."""
        floor = Seq(max(low - SPAN, 0))
        for seq in range(self._floor + 1, min(floor, self._ceiling) + 1) if floor > self._floor else ():
            for memory in (self._votes, self._checkpoints, self._decisions, self.blocks):
                memory.pop(Seq(seq), None)
        self._views = {view: seq for view, seq in self._views.items() if seq > floor}
        self._floor, self._ceiling = floor, Seq(low + self._window)

    def entered(self, new_view: NewView) -> None:
        """Its owner begins this view; of two NEW-VIEWs for it, this is the one that counts."""
        self._view = new_view.view
        self._keep(new_view)

    def prepared(self, seq: Seq, view: View) -> None:
        """Its owner is about to commit to a proposal."""
        self._views[view] = max(seq, self._views.get(view, seq))

    def decided(self, seq: Seq, commits: Iterable[Commit]) -> None:
        """Its owner executes what these, and perhaps others, have committed to."""
        if seq > self._floor:
            self._decisions[seq] = {commit.replica: commit for commit in commits}

    def executed(self, seq: Seq, block_hash: Digest) -> None:
        """Its owner made this block."""
        if seq > self._floor:
            self.blocks[seq] = block_hash

    def restore(self, kept: Iterable[Evidence]) -> None:
        """What a store kept: it is not new."""
        for found in kept:
            self._convict(found)

    # ── what it is asked ──

    def would_convict(self, message: Message) -> bool:
        """Whether `message`, as far as it can be read before its signature is checked, would prove something new."""
        match message:
            case PrePrepare() | Prepare() | Commit():
                pairs = self._against_vote(message)
            case Checkpoint():
                held = self._checkpoints.get(message.seq, {}).get(message.replica)
                pairs = iter(()) if held is None else iter((held,))
            case ViewChange():
                return self._is_another(self._changes.get(message.replica, {}).get(message.view), message)
            case NewView():
                return self._is_another(self._new_views.get(message.view), message)
            case _:
                return False
        return any(
            (found := evidence(held, message)) is not None and (found.replica, found.rule) not in self.evidence
            for held in pairs
        )

    def _is_another(self, held: ViewChange | NewView | None, message: ViewChange | NewView) -> bool:
        """Only the outline is known: the signature says whether it is the same, for correct ones sign alike."""
        if held is None or held.replica != message.replica or held.signature == message.signature:
            return False
        rule = Rule.TWO_VIEW_CHANGES if isinstance(message, ViewChange) else Rule.TWO_NEW_VIEWS
        return (message.replica, rule) not in self.evidence

    def listed(self) -> list[Evidence]:
        """All evidence, by convict and rule."""
        return sorted(self.evidence.values(), key=lambda found: (found.replica, found.rule.value))

    def agreed(self, peer: ReplicaId) -> Seq:
        """The newest remembered block that `peer` made as well; 0 if there is none."""
        return max(
            (
                seq
                for seq, block_hash in self.blocks.items()
                if (vote := self._checkpoints.get(seq, {}).get(peer)) is not None and vote.block_hash == block_hash
            ),
            default=Seq(0),
        )

    def foundations(self, after: Seq, upto: Seq) -> Iterator[Signed]:
        """What the blocks in (after, upto] stand on, by number: the COMMITs that decided them, and all CHECKPOINTs."""
        known = self._checkpoints.keys() | self._decisions.keys()
        for seq in sorted(seq for seq in known if after < seq <= upto):
            yield from (vote for _, vote in sorted(self._decisions.get(seq, {}).items()))
            yield from (vote for _, vote in sorted(self._checkpoints.get(seq, {}).items()))

    def commits(self, after: Seq, upto: Seq) -> Iterator[Signed]:
        """All other COMMITs that are remembered in (after, upto], by number; some may be among the decisive, too."""
        for seq in sorted(seq for seq in self._votes if after < seq <= upto):
            for _, views in sorted(self._votes[seq].items()):
                for _, votes in sorted(views.items()):
                    yield from (vote for vote in votes if isinstance(vote, Commit))

    def new_views(self) -> list[NewView]:
        """The latest NEW-VIEWs that were seen."""
        return [new_view for _, new_view in sorted(self._new_views.items())]

    def knows(self, vote: Prepare | Commit) -> bool:
        """Whether one of this kind, by this replica, for this slot, is remembered."""
        return any(type(held) is type(vote) for held in self._votes_of(vote))

    def certified(self, certificate: CheckpointCertificate) -> Iterator[Checkpoint]:
        """The CHECKPOINTs that a certificate is made of."""
        for replica, signature in certificate.signatures:
            yield Checkpoint(
                seq=certificate.seq, block_hash=certificate.block_hash, replica=replica, signature=signature
            )

    def sizes(self) -> tuple[int, int, int]:
        """Of how many numbers anything is remembered, how many VIEW-CHANGEs, how many NEW-VIEWs: all are bounded."""
        of_votes = max(len(self._votes), len(self._decisions))
        of_blocks = max(len(self._checkpoints), len(self.blocks))
        return max(of_votes, of_blocks), sum(map(len, self._changes.values())), len(self._new_views)

    # ── seeing ──

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

    def _against_vote(self, vote: Vote) -> Iterator[Signed]:
        """What is remembered that this vote might contradict."""
        yield from self._votes_of(vote)
        if isinstance(vote, Commit):
            yield from self._changes_of(vote.replica)

    def _votes_of(self, vote: Vote) -> Iterable[Vote]:
        held: Iterable[Vote] = self._votes.get(vote.seq, {}).get(vote.replica, {}).get(vote.view, ())
        decisive = self._decisions.get(vote.seq, {}).get(vote.replica)
        return held if decisive is None or decisive.view != vote.view else (*held, decisive)

    def _changes_of(self, replica: ReplicaId) -> Iterator[ViewChange]:
        yield from self._changes.get(replica, {}).values()
        yield from self._used.get(replica, ())

    def _see_vote(self, vote: Vote) -> Iterator[Evidence]:
        if not self._floor < vote.seq <= self._ceiling:
            return
        views = self._votes.setdefault(vote.seq, {}).setdefault(vote.replica, {})
        held = views.setdefault(vote.view, [])
        if len(views) > VIEWS:
            del views[min(views)]
        for other in self._votes_of(vote):
            if other.digest != vote.digest:
                found = evidence(other, vote)
                assert found is not None, "votes of one replica for one slot that differ are evidence"
                yield found
        if all(type(other) is not type(vote) for other in held):
            held.append(replace(vote, proposal=None) if isinstance(vote, PrePrepare) and vote.proposal else vote)
        if isinstance(vote, Commit):
            for change in self._changes_of(vote.replica):
                if (found := evidence(change, vote)) is not None:
                    yield found

    def _see_checkpoint(self, vote: Checkpoint) -> Iterator[Evidence]:
        if not self._floor < vote.seq <= self._ceiling:
            return
        held = self._checkpoints.setdefault(vote.seq, {}).setdefault(vote.replica, vote)
        if held.block_hash != vote.block_hash and (found := evidence(held, vote)) is not None:
            yield found

    def _see_certificate(self, certificate: CheckpointCertificate) -> Iterator[Evidence]:
        for vote in self.certified(certificate):
            yield from self._see_checkpoint(vote)

    def _see_prepared(self, certificate: PreparedCertificate) -> Iterator[Evidence]:
        chosen = certificate.pre_prepare
        yield from self._see_vote(chosen)
        known = self._votes.get(chosen.seq, {})
        for replica, signature in certificate.prepares:
            held = known.get(replica, {}).get(chosen.view, ())
            if not any(isinstance(vote, Prepare) and vote.digest == chosen.digest for vote in held):
                yield from self._see_vote(
                    Prepare(
                        view=chosen.view, seq=chosen.seq, digest=chosen.digest, replica=replica, signature=signature
                    )
                )

    def _see_change(self, change: ViewChange) -> Iterator[Evidence]:
        changes = self._changes.setdefault(change.replica, {})
        held = changes.setdefault(change.view, change)
        if held is change:
            while len(changes) > CHANGES:
                del changes[min(changes)]
            yield from self._see_hidden(change)
        elif (found := evidence(held, change)) is not None:
            yield found
            yield from self._see_hidden(change)
        else:
            return  # seen before, with all that is in it
        if change.stable is not None:
            yield from self._see_certificate(change.stable)
        for certificate in change.prepared:
            yield from self._see_prepared(certificate)

    def _see_hidden(self, change: ViewChange) -> Iterator[Evidence]:
        of_sender = [views.get(change.replica, {}) for views in self._votes.values()]
        decisive = [commits[change.replica] for commits in self._decisions.values() if change.replica in commits]
        for vote in (*(vote for views in of_sender for votes in views.values() for vote in votes), *decisive):
            if isinstance(vote, Commit) and (found := evidence(vote, change)) is not None:
                yield found

    def _see_new_view(self, message: NewView) -> Iterator[Evidence]:
        held = self._new_views.get(message.view)
        if held is None:
            self._keep(message)
        elif (found := evidence(held, message)) is None:
            return
        else:
            yield found
        for change in message.view_changes:
            yield from self._see_change(change)
        for pre_prepare in message.pre_prepares:
            yield from self._see_vote(pre_prepare)

    def _keep(self, new_view: NewView) -> None:
        self._new_views[new_view.view] = new_view
        self._forget_new_views()
        self._used = defaultdict(list)
        for kept in self._new_views.values():
            for change in kept.view_changes:
                self._used[change.replica].append(change)

    def _forget_new_views(self) -> None:
        """All but a few, but those that its owner acted upon; and of these what is too much."""
        acted_upon = sorted(view for view in self._new_views if view in self._views and view != self._view)
        others = sorted(view for view in self._new_views if view not in self._views and view != self._view)
        forgotten = [*others[:-CHANGES], *acted_upon[:-ACTED_UPON]]
        room = SIGNATURES
        for view in reversed(acted_upon[-ACTED_UPON:]):
            room -= _signatures(self._new_views[view])
            if room < 0:
                forgotten.append(view)
        for view in forgotten:
            del self._new_views[view]
            self._views.pop(view, None)


def _signatures(new_view: NewView) -> int:
    """How many are in a NEW-VIEW."""
    prepared = [certificate for change in new_view.view_changes for certificate in change.prepared]
    stable = [change.stable for change in new_view.view_changes if change.stable is not None]
    of_prepared = sum(1 + len(certificate.prepares) for certificate in prepared)
    of_stable = sum(len(certificate.signatures) for certificate in stable)
    return 1 + len(new_view.view_changes) + len(new_view.pre_prepares) + of_prepared + of_stable
