"""What one client did, and what came of it, as it is kept for the oracles."""

from dataclasses import dataclass

from bftledger.apps.kv import Entry
from bftledger.base.ids import Seq
from bftledger.base.transaction import Transaction
from bftledger.ledger.outcome import Outcome


@dataclass(slots=True, eq=False)
class Call:
    """One operation of one client: times in microseconds, None while there is no answer.

    `kind`: put, cas, delete or get; `version`: what a cas expects. `outcome`: of a write. `found`: of a read: the
    entry, None if there was none, as of block `height`. `since`: when it was last begun; later than `invoked` if its
    client had forgotten it.
    """

    client: int
    kind: str
    key: bytes
    invoked: int
    value: bytes = b""
    version: int = 0
    transaction: Transaction | None = None
    returned: int | None = None
    outcome: Outcome | None = None
    found: Entry | None = None
    height: Seq = Seq(0)
    since: int = 0
    is_forgotten: bool = False
    """Nobody waits for its answer."""


@dataclass(slots=True, eq=False)
class Asked:
    """The question what became of a call's transaction: times in microseconds, None while there is no answer."""

    call: Call
    asked: int
    told: int | None = None
    outcome: Outcome | None = None
