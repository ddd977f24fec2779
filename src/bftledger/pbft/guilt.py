"""Guilt: which two signed messages prove that whoever signed both is faulty, or its key in other hands.

The paper says what a correct replica does (OSDI'99 §4.2 to §4.4); these rules are what it therefore never does, however
many others are faulty and however often it restarts: everything below is of one replica's own signing. They
suffice for a verdict on every fork: where two correct replicas execute different proposals for one number, the
messages that made them do so break one of these rules for f+1 replicas (`docs/protocol.md`; after Sheng et al., "BFT
Protocol Forensics", CCS 2021, for PBFT).

All rules need two things to be true of a correct replica across a crash. No message leaves before what it says is
durable, so whatever another has seen is known again after a restart. And what is durable about a number is discarded
only together with a certificate at that number or above being made durable; or, of votes alone, with a NEW-VIEW of a
later view, after which its owner votes in none before it.
"""

from dataclasses import replace
from enum import Enum

from bftledger.pbft.messages import Checkpoint, Commit, Message, NewView, Prepare, PrePrepare, ViewChange

Signed = PrePrepare | Prepare | Commit | Checkpoint | ViewChange | NewView
"""What a correct replica signs once for each slot: what evidence is made of."""

Vote = PrePrepare | Prepare | Commit


class Rule(Enum):
    """What no correct replica does; the values name the rules in stores and files."""

    TWO_PROPOSALS = "two-proposals"
    """Two PRE-PREPAREs for one (v, n). A primary assigns each number once in a view: it counts on from the last, which
    is in its log, or in the NEW-VIEW, or below its stable checkpoint, and all of these are durable before any leaves;
    what a new view assigns again, its NEW-VIEW assigns, and there is one."""

    TWO_PREPARES = "two-prepares"
    """Two PREPAREs for one (v, n). §4.2: a backup accepts a pre-prepare if "it has not accepted a pre-prepare message
    for view v and sequence number n containing a different digest". What it accepted is in its log, durable with the
    PREPARE, until n is settled by a certificate, and then it accepts nothing for n, or until a later view begins, and
    then it accepts nothing in v."""

    TWO_COMMITS = "two-commits"
    """Two COMMITs for one (v, n). A COMMIT names the pre-prepare that was accepted, and there is one."""

    COMMITTED_ANOTHER = "committed-another"
    """A PRE-PREPARE and a PREPARE, or one of them and a COMMIT, for one (v, n) and different proposals. All three name
    the pre-prepare that was accepted."""

    TWO_BLOCKS = "two-blocks"
    """Two CHECKPOINTs for one n. It is signed for the block that was executed, durable in the same round, and what was
    executed is never undone."""

    TWO_VIEW_CHANGES = "two-view-changes"
    """Two VIEW-CHANGEs for one view. A replica's view only grows, each VIEW-CHANGE is for a view above it and enters
    that view, and the newest is durable before it leaves; it is sent again as it is."""

    TWO_NEW_VIEWS = "two-new-views"
    """Two NEW-VIEWs for one view. Making one begins the view, which is durable before it leaves, and a view that has
    begun begins no second time."""

    HIDDEN_COMMIT = "hidden-commit"
    """A COMMIT for (v, n), and a VIEW-CHANGE for a later view that keeps silent about it: its stable checkpoint is
    below n, and it has no certificate for n of view v or later, or one of view v for another proposal. The COMMIT was
    signed first, for after a VIEW-CHANGE nothing of earlier views is. With it, the prepared certificate became durable,
    and gives way only to one of a later view; both are dropped only when a stable checkpoint is at n or above, durable
    in the same commit, and the VIEW-CHANGE carries the newest that is known."""


def contradiction(first: Message, second: Message) -> Rule | None:
    """The rule that these two authentic messages of one replica break together; None if a correct one may sign both.

    The order does not matter. Both have to be authentic, with all that is inside them.
    """
    if first.replica != second.replica:
        return None
    match first, second:
        case (PrePrepare() | Prepare() | Commit(), PrePrepare() | Prepare() | Commit()):
            return _two_votes(first, second)
        case Checkpoint(), Checkpoint():
            return Rule.TWO_BLOCKS if first.seq == second.seq and first.block_hash != second.block_hash else None
        case ViewChange(), ViewChange():
            return Rule.TWO_VIEW_CHANGES if first.view == second.view and _differ(first, second) else None
        case NewView(), NewView():
            return Rule.TWO_NEW_VIEWS if first.view == second.view and _differ(first, second) else None
        case Commit(), ViewChange():
            return Rule.HIDDEN_COMMIT if hides(second, first) else None
        case ViewChange(), Commit():
            return Rule.HIDDEN_COMMIT if hides(first, second) else None
        case _:
            return None


def hides(change: ViewChange, commit: Commit) -> bool:
    """Whether a VIEW-CHANGE keeps silent about what its sender committed to in an earlier view."""
    if commit.view >= change.view or commit.seq <= change.stable_seq:
        return False
    return not any(_covers(certificate.pre_prepare, commit) for certificate in change.prepared)


def _covers(certified: PrePrepare, commit: Commit) -> bool:
    """Whether a certificate for this pre-prepare says of the number what a correct replica that sent `commit` can."""
    if certified.seq != commit.seq:
        return False
    return certified.view > commit.view or (certified.view == commit.view and certified.digest == commit.digest)


def _two_votes(first: Vote, second: Vote) -> Rule | None:
    if (first.view, first.seq) != (second.view, second.seq) or first.digest == second.digest:
        return None
    match first, second:
        case PrePrepare(), PrePrepare():
            return Rule.TWO_PROPOSALS
        case Prepare(), Prepare():
            return Rule.TWO_PREPARES
        case Commit(), Commit():
            return Rule.TWO_COMMITS
        case _:
            return Rule.COMMITTED_ANOTHER


def _differ(first: ViewChange | NewView, second: ViewChange | NewView) -> bool:
    """Whether different things were signed, and not the same thing twice."""
    return replace(first, signature=second.signature) != second
