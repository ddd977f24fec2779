"""All planted bugs, by name."""

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
    liveness,
    signatures,
    view_changes,
)

MODULES: Final = (counting, signatures, view_changes, durability, liveness, execution, clients, evidence)

MUTANTS: Final = {
    found.name: found for module in MODULES for found in vars(module).values() if isinstance(found, Mutant)
}


@breaks("§3", "a correct replica runs", status, "on_tick")
def canary(state: State) -> list[Effect]:
    """No run survives it: a campaign that lets it pass looks at nothing."""
    return [Halt("the canary is dead")]


CANARY: Final = canary
