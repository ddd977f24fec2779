"""Primaries that sign two proposals for one sequence number (OSDI'99 §4.2, §4.4)."""

from typing import Final

from bftledger.adversary.behaviour import Behaviour, Scene
from bftledger.adversary.behaviours.proposing import Proposing, shifted
from bftledger.base.ids import ReplicaId
from bftledger.pbft.messages import PrePrepare, Proposal
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.settings import MAX_BATCH_COUNT

QUORUMS = "Two quorums share a correct replica, which prepares only one proposal for a slot (§4.2)."


class Equivocate(Proposing):
    """Two proposals, one for each half of the others. Accomplices get the core's, and vote as they like."""

    name = "equivocate"
    does = "As primary it proposes different transactions to two halves of the group, and votes for both."
    stopped_by = f"{QUORUMS} Whoever is left with the other proposal takes the certified block."
    shows = "One ledger. Those who were told different things show each other the two proposals and leave the view."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        honest = [i for i in scene.others if i not in scene.signers]
        self._others = set(self.victims(honest))

    def victims(self, honest: list[ReplicaId]) -> list[ReplicaId]:
        """Who gets the other proposal."""
        return honest[len(honest) // 2 :]

    def is_for(self, to: ReplicaId) -> bool:
        return to in self._others

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        junk = () if self.scene.is_calm else (self.scene.transaction(),)
        transactions = (*junk, *proposal.transactions[1:])[:MAX_BATCH_COUNT]
        return self.signed(message, make_proposal(shifted(proposal.time, 1), transactions))


class EquivocateOne(Equivocate):
    """All but one get the same proposal."""

    name = "equivocate-one"
    does = "As primary it proposes something else to a single replica, and votes for both."
    stopped_by = f"{QUORUMS} The victim prepares alone, and takes the certified block (§4.3)."
    shows = "One ledger, also at the victim; and a new view, as soon as the two proposals are compared."
    takes = "the victim's number; by chance without it"

    def victims(self, honest: list[ReplicaId]) -> list[ReplicaId]:
        if not self.argument:
            return [self.scene.chance.choice(honest or self.scene.others)]
        return [*self.replicas()]


class EquivocateTime(Equivocate):
    """The same transactions at two times."""

    name = "equivocate-time"
    does = "As primary it proposes the same transactions to two halves of the group, at times 1 ms apart."
    stopped_by = f"{QUORUMS} The time is part of the digest."
    shows = "One ledger with one time for each block, and a new view."

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        return self.signed(message, make_proposal(shifted(proposal.time, 1), proposal.transactions))


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (Equivocate, EquivocateOne, EquivocateTime)
