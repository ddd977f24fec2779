"""Integrity: a chain is linked, what is in it was signed by its sender and has one effect, and that effect is what the
blocks say.

Each block is looked at twice: whether it may hold the transactions that it holds is judged without the code that
executes (`admission`), and then it is executed again on top of those before it (`ledger.audit`).
"""

from collections.abc import Iterable, Mapping

from bftledger.apps.machine import StateMachine
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Seq
from bftledger.check.admission import Admission
from bftledger.check.violation import Violation, Who, named
from bftledger.ledger.audit import Audit
from bftledger.ledger.block import Block
from bftledger.pbft.messages import CheckpointCertificate

ORACLE = "integrity"


class Integrity:
    """One replica's chain, block by block. Ends at the first that is wrong: nothing after it means anything."""

    def __init__(self, who: Who, genesis: Genesis, machine: StateMachine, verifier: Verifier) -> None:
        self._who = who
        self._audit = Audit(genesis, machine, verifier)
        self._admission = Admission(genesis, verifier)
        self._is_over = False

    @property
    def height(self) -> Seq:
        """The last block that was looked at."""
        return self._audit.height

    def add(self, encoded: bytes, certificate: CheckpointCertificate | None = None) -> list[Violation]:
        """The next block, from height 1 on, as it is stored; its certificate if it has one. What is wrong with it."""
        if self._is_over:
            return []
        height = Seq(self.height + 1)
        try:
            objection = next(self._admission.objections(Block.decode(encoded)), None)
            if objection is not None:
                return self._end(objection, height)
            self._audit.add(encoded, certificate)
        except (BadProof, Malformed) as error:
            return self._end(str(error), height)
        return []

    def _end(self, what: str, height: Seq) -> list[Violation]:
        self._is_over = True
        return [Violation(ORACLE, f"at {named(self._who)}: {what}", height, (self._who,))]


def check_chain(
    who: Who,
    blocks: Iterable[bytes],
    genesis: Genesis,
    machine: StateMachine,
    verifier: Verifier,
    certificates: Mapping[Seq, CheckpointCertificate] | None = None,
) -> list[Violation]:
    """The first thing that is wrong with a whole chain.

    `blocks`: their encodings from height 1 on. `machine`: the application that the genesis names, made anew.
    `certificates`: those that are known, by height.
    """
    integrity = Integrity(who, genesis, machine, verifier)
    for height, encoded in enumerate(blocks, start=1):
        if found := integrity.add(encoded, (certificates or {}).get(Seq(height))):
            return found
    return []
