"""Bugs in view changes (OSDI'99 §4.4, §4.5.2)."""

from dataclasses import replace

from bftledger.base.ids import Digest, Millis, Seq, View
from bftledger.pbft import normal, view_change
from bftledger.pbft.effects import Deliver, Effect, Ignored
from bftledger.pbft.messages import (
    CheckpointCertificate,
    NewView,
    PreparedCertificate,
    PrePrepare,
    ViewChange,
)
from bftledger.pbft.pool import Pool
from bftledger.pbft.proposals import NULL_PROPOSAL, make_proposal
from bftledger.pbft.state import Slot, State
from bftledger.sim.twins import Family
from tests.mutants.mutant import breaks

_start = view_change.start
_deliver = normal.deliver
_prepared_certificate = normal.prepared_certificate

Changes = tuple[ViewChange, ...]
Decided = tuple[CheckpointCertificate | None, list[tuple[Seq, Digest]]]
_NULL = NULL_PROPOSAL.digest


@breaks("§4.4", "VIEW-CHANGE carries what is prepared", view_change, "start", staged=True)
def prepared_certificates_dropped(state: State, view: View) -> list[Effect]:
    """It says that nothing is."""
    certificates = {seq: slot.certificate for seq, slot in state.slots.items()}
    for slot in state.slots.values():
        slot.certificate = None
    effects = _start(state, view)
    for seq, slot in state.slots.items():
        slot.certificate = certificates[seq]
    return effects


@breaks("§4.4", "VIEW-CHANGE carries the certificate of the highest view", normal, "prepared_certificate", staged=True)
def first_certificate_kept(state: State, slot: Slot) -> PreparedCertificate:
    """It carries the first that was made."""
    return slot.certificate or _prepared_certificate(state, slot)


def _chosen(changes: Changes, min_s: int, prefers: int) -> dict[Seq, PrePrepare]:
    """`prefers`: 1 the certificate of the highest view, -1 that of the lowest, 0 the first in V."""
    chosen: dict[Seq, PrePrepare] = {}
    for change in changes:
        for certificate in change.prepared:
            candidate = certificate.pre_prepare
            held = chosen.get(candidate.seq)
            if candidate.seq > min_s and (held is None or prefers * (candidate.view - held.view) > 0):
                chosen[candidate.seq] = candidate
    return chosen


def _filled(min_s: int, chosen: dict[Seq, PrePrepare]) -> list[tuple[Seq, Digest]]:
    numbers = (Seq(seq) for seq in range(min_s + 1, max(chosen, default=Seq(min_s)) + 1))
    return [(seq, chosen[seq].digest if seq in chosen else _NULL) for seq in numbers]


def _latest(changes: Changes) -> CheckpointCertificate | None:
    return max((change.stable for change in changes if change.stable), key=lambda c: c.seq, default=None)


@breaks(
    "§4.4", "O has the digest of the certificate with the highest view", view_change, "re_proposals", campaign=Family()
)
def highest_view_not_chosen(changes: Changes) -> Decided:
    """It has that of the lowest."""
    stable = _latest(changes)
    min_s = stable.seq if stable else 0
    return stable, _filled(min_s, _chosen(changes, min_s, -1))


@breaks("§4.4", "gaps are filled with null requests", view_change, "re_proposals", staged=True)
def gaps_left(changes: Changes) -> Decided:
    """Only what is prepared is proposed again."""
    stable = _latest(changes)
    min_s = stable.seq if stable else 0
    return stable, [(seq, chosen.digest) for seq, chosen in sorted(_chosen(changes, min_s, 1).items())]


@breaks("§4.4", "what was prepared is proposed again", view_change, "re_proposals", staged=True)
def everything_nulled(changes: Changes) -> Decided:
    """Every number up to max-s becomes a null request."""
    stable = _latest(changes)
    min_s = stable.seq if stable else 0
    return stable, [(seq, _NULL) for seq, _ in _filled(min_s, _chosen(changes, min_s, 1))]


@breaks("§4.4", "the null request is the same for all", normal, "deliver", traitor="gaps", staged=True)
def null_request_differs(state: State) -> list[Effect]:
    """Each replica gives it the time of the request that has waited longest there."""
    effects = _deliver(state)
    oldest = state.pool.oldest()
    return [
        replace(effect, proposal=make_proposal(oldest.created, ()))
        if isinstance(effect, Deliver) and effect.proposal.digest == _NULL and oldest is not None
        else effect
        for effect in effects
    ]


@breaks("§4.4", "a backup computes O for itself", view_change, "follows", traitor="wrong-new-view", staged=True)
def new_view_not_recomputed(message: NewView) -> bool:
    """It takes what the new primary says."""
    return True


@breaks("§4.4", "views only grow", view_change, "new_view_refusal", traitor="stale-new-view", staged=True)
def old_new_view_accepted(state: State, message: NewView) -> Ignored | None:
    """The NEW-VIEW of a view that is over begins it again."""
    return Ignored.OWN if message.replica == state.me else None


@breaks(
    "§4.4",
    "V is 2f+1 view changes for the new view",
    view_change,
    "changes_for_view",
    traitor="spam-views",
    staged=True,
)
def later_view_changes_counted(state: State) -> list[ViewChange]:
    """The new primary counts those for later views too."""
    return [change for _, change in sorted(state.view_changes.items()) if change.view >= state.view]


@breaks("§4.5.2", "f+1 replicas in later views pull one along", view_change, "view_to_join", staged=True)
def nobody_joins(state: State) -> View | None:
    """A replica changes views only when its own timer runs out."""
    return None


@breaks(
    "§4.5.2",
    "f+1 replicas in later views pull one along",
    view_change,
    "view_to_join",
    traitor="spam-views",
    staged=True,
)
def one_is_followed(state: State) -> View | None:
    """One is enough."""
    later = [change.view for i, change in state.view_changes.items() if change.view > state.view and i != state.me]
    return min(later, default=None)


@breaks("§4.4", "a vote counts in its own view", Slot, "leave_view", staged=True)
def votes_survive_their_view(slot: Slot) -> None:
    """PREPAREs and COMMITs of the old view stay in the log."""
    slot.pre_prepare = slot.announced = None
    slot.prepared = slot.committed = False


@breaks("§4.4", "what the old primary proposed is pending until it is executed", Pool, "return_proposed", staged=True)
def proposed_requests_dropped(pool: Pool, latest: Millis) -> None:
    """The new primary does not propose what its predecessor did."""
