"""What clients did and saw: the history that a linearizability check judges.

Times are of one clock for all clients, in any unit: the simulator's, or a monotonic one of one machine.
"""

from dataclasses import dataclass
from typing import Final

from bftledger.apps.machine import Result as LedgerResult
from bftledger.base import cbor
from bftledger.base.errors import Malformed
from bftledger.base.transaction import Transaction
from bftledger.check.violation import quoted

PUT: Final = "put"
"""`args`: (value,)."""
DELETE: Final = "delete"
"""`args`: ()."""
CAS: Final = "cas"
"""`args`: (expected version, value)."""
GET: Final = "get"
"""`args`: ()."""


@dataclass(frozen=True, slots=True)
class Wrote:
    """The operation had its effect, and left the entry at this version; a delete leaves 0."""

    version: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It is in the ledger without effect; `code` as in `apps.machine`."""

    code: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """It is in no block, and never will be: it expired."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was there; None and 0 if nothing was."""

    value: bytes | None
    version: int


Result = Wrote | Failed | Dropped | Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call of one client.

    `invoked`, `returned`: when; `returned` is None if no answer came.
    `result`: what was answered; None if that is not known. `id`: of its transaction. `height`, `index`: where its
    receipt says that it is in the ledger; of a read, only the height of the block after which it read. `is_fresh`:
    False for a read that only claims to be of its height, whatever was written since.
    """

    client: str
    key: bytes
    kind: str
    args: tuple[int | bytes, ...] = ()
    invoked: int
    returned: int | None = None
    result: Result | None = None
    id: bytes = b""
    height: int | None = None
    index: int | None = None
    is_fresh: bool = True

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing, and is in no block."""
        return self.kind == GET

    @property
    def is_answered(self) -> bool:
        """Whether its caller knows what became of it. If not, it may have happened, or may happen yet."""
        return self.returned is not None and self.result is not None

    def __str__(self) -> str:
        words = [self.kind, _shown(self.key), *(_shown(arg) for arg in self.args)]
        until = "?" if self.returned is None else self.returned
        outcome = "no answer" if self.returned is None or self.result is None else _told(self.result)
        return f"{self.client} [{self.invoked}, {until}] {' '.join(words)}: {outcome}"


def call_of(payload: bytes) -> tuple[str, bytes, tuple[int | bytes, ...]] | None:
    """Kind, key and arguments of a payload of `apps.kv`; None if it is none."""
    try:
        fields = cbor.decode(payload)
    except Malformed:
        return None
    match fields:
        case ["put", bytes(key), bytes(value)]:
            return PUT, key, (value,)
        case ["delete", bytes(key)]:
            return DELETE, key, ()
        case ["cas", bytes(key), int(version), bytes(value)]:
            return CAS, key, (version, value)
    return None


def result_of(kind: str, result: LedgerResult) -> Result | None:
    """What the ledger's result says to whoever called; None if that cannot be read."""
    if not result.ok:
        return Failed(result.code)
    if kind == DELETE:
        return Wrote(0)
    try:
        match cbor.decode(result.value):
            case [int(version)]:
                return Wrote(version)
    except Malformed:
        pass
    return None


def ledger_operation(
    transaction: Transaction, result: LedgerResult | None, height: int, index: int
) -> Operation | None:
    """A transaction of `apps.kv` as the ledger has it, asked by nobody. None if its payload is no operation."""
    call = call_of(transaction.payload)
    if call is None:
        return None
    kind, key, args = call
    return Operation(
        client=transaction.sender.hex()[:8],
        key=key,
        kind=kind,
        args=args,
        invoked=transaction.created,
        result=None if result is None else result_of(kind, result),
        id=transaction.id,
        height=height,
        index=index,
    )


def _shown(word: int | bytes) -> str:
    return str(word) if isinstance(word, int) else quoted(word)


def _told(result: Result) -> str:
    match result:
        case Wrote(version):
            return f"version {version}" if version else "deleted"
        case Failed(code):
            return f"failed with code {code}"
        case Dropped():
            return "expired"
        case Read(None, _):
            return "nothing"
        case Read(value, version):
            return f"{_shown(value or b'')} (version {version})"
