"""What a replica remembers of what others signed, to hold it against what they sign later.

It is bounded and not durable, for a vote that contradicts nothing is no promise of this replica's. Its owner's own
messages it does not need: others remember them.

What nobody can make it forget by sending more is what its owner acted upon: the COMMITs that decided each block, and
the NEW-VIEWs of the view that it is in and of those in which it prepared what is remembered. All else it forgets
replica by replica, so each may only push out what is its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.pbft.guilt import Signed, Vote
from bftledger.pbft.messages import Checkpoint, Commit, NewView, Prepare, PrePrepare, ViewChange

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


class Memory:
    """Votes, CHECKPOINTs, VIEW-CHANGEs and NEW-VIEWs of others, and what its owner did because of them."""

    def __init__(self, window: int) -> None:
        """`window`: so many numbers above the stable checkpoint can its owner execute."""
        self._window = window
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

    # ── what its owner does ──

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
        self.keep_new_view(new_view)

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

    # ── what others sign ──

    def spans(self, seq: Seq) -> bool:
        """Whether votes for this number are remembered."""
        return self._floor < seq <= self._ceiling

    def keep_vote(self, vote: Vote) -> None:
        """Remembers a vote for a number that it spans, the first of its kind, and no proposal."""
        views = self._votes.setdefault(vote.seq, {}).setdefault(vote.replica, {})
        held = views.setdefault(vote.view, [])
        if len(views) > VIEWS:
            del views[min(views)]
        if all(type(other) is not type(vote) for other in held):
            held.append(vote.bare if isinstance(vote, PrePrepare) else vote)

    def keep_checkpoint(self, vote: Checkpoint) -> Checkpoint:
        """Remembers a CHECKPOINT for a number that it spans, if it is the first; returns the first."""
        return self._checkpoints.setdefault(vote.seq, {}).setdefault(vote.replica, vote)

    def keep_change(self, change: ViewChange) -> ViewChange:
        """Remembers a VIEW-CHANGE, if it is its sender's first for that view; returns the first."""
        changes = self._changes.setdefault(change.replica, {})
        held = changes.setdefault(change.view, change)
        while len(changes) > CHANGES:
            del changes[min(changes)]
        return held

    def keep_new_view(self, new_view: NewView) -> None:
        """Remembers a NEW-VIEW, instead of another for that view."""
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

    # ── what is remembered of one replica ──

    def cast(self, replica: ReplicaId, seq: Seq, view: View) -> Iterable[Vote]:
        """Its votes for a slot, but not those that are remembered only because they decided a block."""
        voters = self._votes.get(seq)
        views = voters.get(replica) if voters else None
        return views.get(view, ()) if views else ()

    def rivals(self, vote: Vote) -> Iterable[Vote]:
        """All votes of the same replica for the same slot."""
        held = self.cast(vote.replica, vote.seq, vote.view)
        decided = self._decisions.get(vote.seq)
        decisive = decided.get(vote.replica) if decided else None
        return held if decisive is None or decisive.view != vote.view else (*held, decisive)

    def knows(self, vote: Prepare | Commit) -> bool:
        """Whether one of this kind, by this replica, for this slot, is remembered."""
        return any(type(held) is type(vote) for held in self.rivals(vote))

    def commits_of(self, replica: ReplicaId) -> list[Commit]:
        """Its COMMITs for all numbers; some may come twice."""
        cast = [vote for votes in self._votes.values() for held in votes.get(replica, {}).values() for vote in held]
        decisive = [commits[replica] for commits in self._decisions.values() if replica in commits]
        return [*(vote for vote in cast if isinstance(vote, Commit)), *decisive]

    def changes_of(self, replica: ReplicaId) -> Iterator[ViewChange]:
        """Its VIEW-CHANGEs, those in remembered NEW-VIEWs among them; some may come twice."""
        yield from self._changes.get(replica, {}).values()
        yield from self._used.get(replica, ())

    def checkpoint(self, replica: ReplicaId, seq: Seq) -> Checkpoint | None:
        """Its first CHECKPOINT for a number."""
        return self._checkpoints.get(seq, {}).get(replica)

    def change(self, replica: ReplicaId, view: View) -> ViewChange | None:
        """Its first VIEW-CHANGE for a view."""
        return self._changes.get(replica, {}).get(view)

    def new_view(self, view: View) -> NewView | None:
        """The NEW-VIEW for a view."""
        return self._new_views.get(view)

    # ── what can be shown to others ──

    def agreed(self, peer: ReplicaId) -> Seq:
        """The newest remembered block that `peer` made as well; 0 if there is none."""
        return max(
            (
                seq
                for seq, block_hash in self.blocks.items()
                if (vote := self.checkpoint(peer, seq)) is not None and vote.block_hash == block_hash
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

    def sizes(self) -> tuple[int, int, int]:
        """Of how many numbers anything is remembered, how many VIEW-CHANGEs, how many NEW-VIEWs: all are bounded."""
        of_votes = max(len(self._votes), len(self._decisions))
        of_blocks = max(len(self._checkpoints), len(self.blocks))
        return max(of_votes, of_blocks), sum(map(len, self._changes.values())), len(self._new_views)


def _signatures(new_view: NewView) -> int:
    """How many are in a NEW-VIEW."""
    prepared = [certificate for change in new_view.view_changes for certificate in change.prepared]
    stable = [change.stable for change in new_view.view_changes if change.stable is not None]
    of_prepared = sum(1 + len(certificate.prepares) for certificate in prepared)
    of_stable = sum(len(certificate.signatures) for certificate in stable)
    return 1 + len(new_view.view_changes) + len(new_view.pre_prepares) + of_prepared + of_stable
