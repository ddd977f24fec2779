"""Bugs in what convicts: rules that accuse who did nothing wrong (`pbft.guilt`), and forks that nobody answers for."""

from bftledger.base.ids import ReplicaId
from bftledger.pbft import guilt, testimony
from bftledger.pbft.effects import Effect
from bftledger.pbft.guilt import Rule, Vote
from bftledger.pbft.messages import Commit, PrePrepare, ViewChange
from bftledger.pbft.state import State
from bftledger.sim.draw import Choice
from tests.mutants.mutant import breaks

FORKS = Choice(sizes=(4,), excess=True)


@breaks("§4.4", "VIEW-CHANGE says nothing of what its stable checkpoint settles", guilt, "hides", staged=True)
def settled_commits_hidden(change: ViewChange, commit: Commit) -> bool:
    """Who sent COMMIT must show it in every later VIEW-CHANGE, settled or not."""
    return commit.view < change.view and not any(guilt._covers(c.pre_prepare, commit) for c in change.prepared)


@breaks("§4.4", "a certificate gives way to one of a later view", guilt, "_covers", staged=True)
def later_certificate_hides(certified: PrePrepare, commit: Commit) -> bool:
    """Who sent COMMIT must show the certificate of that very view for ever."""
    return (certified.seq, certified.view, certified.digest) == (commit.seq, commit.view, commit.digest)


@breaks("§4.2", "votes contradict each other in one view", guilt, "_two_votes", staged=True)
def votes_of_two_views_contradict(first: Vote, second: Vote) -> Rule | None:
    """Who votes for one proposal in a view may vote for no other in a later one."""
    if first.seq != second.seq or first.digest == second.digest or type(first) is not type(second):
        return None
    return {PrePrepare: Rule.TWO_PROPOSALS, Commit: Rule.TWO_COMMITS}.get(type(first), Rule.TWO_PREPARES)


@breaks("§4.2", "who executed different blocks shows each other why", testimony, "disclose", campaign=FORKS)
def fork_not_disclosed(state: State, peer: ReplicaId) -> list[Effect]:
    """Each half of a group that has forked keeps to itself what made it execute its blocks."""
    return []
