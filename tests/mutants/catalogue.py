"""All planted bugs, by name.

Some rules have no bug here, because nobody can see the difference. COMMITs from a replica that is not prepared itself:
2f+1 of them say that f+1 correct ones are. Signers that are no members: their keys are not known. The sender of a frame
that others have signed: what is signed means the same whoever brings it. CHECKPOINTs that are not sent again: their
certificate is. An earlier min-s than the latest: who has settled a number votes on it no more, and the others are too
few. Requests that a new view names and nobody fetches: a later primary has them. Nor can a campaign see a new primary
that names what all have forgotten (TOCS'02, A3), as that takes more views than a run has: `tests/paper` does.
"""

from typing import Final

from bftledger.pbft import status
from bftledger.pbft.effects import Effect, Halt
from bftledger.pbft.state import State
from tests.mutants.mutant import Mutant, breaks
from tests.mutants.planted import (
    clients,
    counting,
    durability,
    evidence,
    execution,
    limits,
    liveness,
    patience,
    signatures,
    view_changes,
)

MODULES: Final = (
    counting,
    signatures,
    view_changes,
    durability,
    liveness,
    execution,
    clients,
    evidence,
    limits,
    patience,
)

MUTANTS: Final = {
    found.name: found for module in MODULES for found in vars(module).values() if isinstance(found, Mutant)
}


@breaks("§3", "a correct replica runs", status, "on_tick")
def canary(state: State) -> list[Effect]:
    """No run survives it: a campaign that lets it pass looks at nothing."""
    return [Halt("the canary is dead")]


CANARY: Final = canary
