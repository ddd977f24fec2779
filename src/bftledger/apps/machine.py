"""The contract between the ledger and an application: a deterministic state machine over an authenticated map.

The application owns no storage: the ledger hands it a `StateView` per transaction, keeps what a successful
transaction wrote, forgets what a rejected one wrote, hashes, proves and stores the rest. An application must be a
function of (genesis parameters, state, transaction, context) alone: no clock, no randomness, no dictionary order of
foreign making, no floating point; replicas that disagree halt the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from bftledger.apps.state import StateView
from bftledger.base import cbor
from bftledger.base.errors import BftLedgerError, Malformed
from bftledger.base.ids import Millis, PublicKey, Seq
from bftledger.base.transaction import Transaction

MAX_RESULT_BYTES: Final = 4_096
"""No result is longer. What all results of a block may have together is `ledger.block.MAX_RESULTS_BYTES`."""

MAX_REASON_LENGTH: Final = 200
MAX_CODE: Final = 65_535

OK: Final = 0
MALFORMED: Final = 1
"""The payload is not one of the application's operations."""
NOT_ALLOWED: Final = 2
"""The sender may not do this."""
NOT_FOUND: Final = 3
"""What the operation is about does not exist."""
CONFLICT: Final = 4
"""The state is not the one that the sender expected."""
OUT_OF_RANGE: Final = 5
"""An amount or size that the application does not allow."""
RESULT_TOO_LARGE: Final = 63
"""The results before it in its block left no room for this one's. The transaction has no effect."""
INADMISSIBLE: Final = 64
"""Refused by the ledger, not by the application: lifetime, size, membership, clock."""
DEFECT: Final = 65_535
"""The application failed in a way it did not declare. The transaction has no effect."""


class Rejected(BftLedgerError):
    """A transaction or query that is refused. `code`: 1 … 65535; `reason`: one line for the person who sent it."""

    def __init__(self, code: int, reason: str) -> None:
        assert OK < code <= MAX_CODE, f"{code} is not a code of a rejection"
        super().__init__(reason)
        self.code = code
        # A reason may quote what was sent: what is no Unicode text is mended, or the result could not be encoded.
        self.reason = reason[:MAX_REASON_LENGTH].encode(errors="replace").decode()


class Context(NamedTuple):
    """Where a transaction is executed: the same at every replica.

    `height`: of its block. `time`: of its block, milliseconds since the epoch. `sender`: whose signature it carries.
    """

    height: Seq
    time: Millis
    sender: PublicKey
    state: StateView


class StateMachine(Protocol):
    """An application. It is made with the genesis parameters (`load_machine`), and holds nothing else."""

    @property
    def name(self) -> str:
        """What the genesis calls it."""
        ...

    @property
    def usage(self) -> Sequence[str]:
        """One line for each operation and query that `parse` and `parse_query` understand, for help texts."""
        ...

    def genesis(self, state: StateView) -> None:
        """Writes the state of height 0."""
        ...

    def check(self, transaction: Transaction) -> None:
        """Raises `Rejected` if the transaction can never succeed, whatever the state. Cheap: called at the door."""
        ...

    def apply(self, transaction: Transaction, context: Context) -> bytes:
        """Executes the transaction and returns its result, at most 4096 bytes. Raises `Rejected`: then no effect.

        Whatever else the state raises is not the transaction's fault: let it pass.
        """
        ...

    def query_key(self, args: bytes) -> bytes:
        """The one key of the state that answers a query: its value, or its absence, can be proven.

        Raises `Rejected`.
        """
        ...

    def show_value(self, key: bytes, value: bytes | None) -> dict[str, Any]:
        """What the state says under `key`, as JSON-able values; None is a proven absence. Raises `Malformed`."""
        ...

    def parse(self, words: Sequence[str]) -> bytes:
        """The payload that a person's words on the command line stand for. Raises `OperatorError`."""
        ...

    def parse_query(self, words: Sequence[str]) -> bytes:
        """The arguments of a query, as `query_key` takes them. Raises `OperatorError`."""
        ...

    def show(self, payload: bytes) -> str:
        """The payload in words, as `parse` would take them. Never raises: what is malformed is shown as such."""
        ...

    def show_result(self, value: bytes) -> str:
        """A successful result in words. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a transaction in a block came to: `value` if `code` is 0, else `reason`."""

    code: int
    value: bytes = b""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the transaction had its effect."""
        return self.code == OK

    def encode(self) -> bytes:
        """CBOR array: [0, value], or [code, reason]."""
        if self.code == OK:
            return b"\x82\x00" + cbor.bytes_head(len(self.value)) + self.value  # most are: for a tenth of the work
        return cbor.encode_known([self.code, self.reason])

    @staticmethod
    def decode(data: bytes) -> "Result":
        """The result whose one encoding is `data`. Raises `Malformed`."""
        match cbor.decode(data, MAX_RESULT_BYTES + 16):
            case [code, value] if type(code) is int and code == OK and type(value) is bytes:
                if len(value) <= MAX_RESULT_BYTES:
                    return Result(OK, value=value)
            case [code, reason] if type(code) is int and OK < code <= MAX_CODE and type(reason) is str:
                if len(reason) <= MAX_REASON_LENGTH:
                    return Result(code, reason=reason)
        raise Malformed("not a result")
