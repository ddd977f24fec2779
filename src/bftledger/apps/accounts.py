"""Accounts with balances: issuers mint, owners transfer, and the sum of all balances is what was minted.

An account is an Ed25519 public key. A payload is the CBOR array ["mint", account, amount] or
["transfer", account, amount]; amounts are 1 … 2^64-1. Who may mint stands in the genesis parameters:
{"issuers": ["<64 hexadecimal digits>", …]}. The state holds one row per account with a balance, b"balance/" ‖ key,
and the row b"total"; both are 8 big-endian bytes. A result is the sender's new balance for a transfer and the new
total for a mint, as 8 bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bftledger.apps.machine import MALFORMED, NOT_ALLOWED, OUT_OF_RANGE, Context, Rejected
from bftledger.apps.state import StateView
from bftledger.base import cbor
from bftledger.base.crypto import PUBLIC_KEY_BYTES
from bftledger.base.errors import BadProof, Malformed, OperatorError
from bftledger.base.transaction import Transaction

MAX_AMOUNT: Final = (1 << 64) - 1
TOTAL: Final = b"total"

_AMOUNT_BYTES: Final = 8
_MAX_ITEMS: Final = 8
"""No payload has more; what has is not walked to its end."""
_PREFIX: Final = b"balance/"
_USAGE: Final = "mint ACCOUNT AMOUNT, or transfer ACCOUNT AMOUNT"


class Accounts:
    """The application `accounts`. Its parameter `issuers` lists the keys that may mint."""

    name: Final = "accounts"
    usage: Final = (
        "mint ACCOUNT AMOUNT       create AMOUNT (issuers of the genesis only)",
        "transfer ACCOUNT AMOUNT   pay from the signing key's account",
        "get ACCOUNT               read a balance",
        "get total                 read the sum of all balances",
    )

    def __init__(self, params: Mapping[str, Any]) -> None:
        unknown = sorted(params.keys() - {"issuers"})
        issuers = params.get("issuers", [])
        if unknown or not isinstance(issuers, list):
            raise OperatorError("the application 'accounts' takes the params {\"issuers\": [KEY, ...]} and no other")
        self._issuers = frozenset(_account(issuer) for issuer in issuers)

    def genesis(self, state: StateView) -> None:
        """Nothing has been minted."""
        state.put(TOTAL, _pack(0))

    def check(self, transaction: Transaction) -> None:
        """Raises `Rejected` for a payload that is no operation, and for a mint by who is no issuer."""
        operation, _, _ = _decode(transaction.payload)
        self._check_allowed(operation, transaction.sender)

    def apply(self, transaction: Transaction, context: Context) -> bytes:
        """Executes one operation. Raises `Rejected`."""
        operation, account, amount = _decode(transaction.payload)
        self._check_allowed(operation, context.sender)
        state = context.state
        if operation == "mint":
            total = _read(state, TOTAL) + amount
            if total > MAX_AMOUNT:
                raise Rejected(OUT_OF_RANGE, "the sum of all balances would exceed 2^64-1")
            # No balance exceeds the total, so none can overflow once the total does not.
            state.put(TOTAL, _pack(total))
            _write(state, account, _read(state, _PREFIX + account) + amount)
            return _pack(total)
        balance = _read(state, _PREFIX + context.sender)
        if amount > balance:
            raise Rejected(OUT_OF_RANGE, f"the balance is {balance}, less than {amount}")
        _write(state, context.sender, balance - amount)
        _write(state, account, _read(state, _PREFIX + account) + amount)
        return _pack(_read(state, _PREFIX + context.sender))

    def query_key(self, args: bytes) -> bytes:
        """The row of an account, given its 32 bytes, or of the total, given b"total". Raises `Rejected`."""
        if args == TOTAL:
            return TOTAL
        return _PREFIX + _check_account(args)

    def show_value(self, key: bytes, value: bytes | None) -> dict[str, Any]:
        """The balance (0 for an account without a row), or the total. Raises `Malformed`."""
        amount = 0 if value is None else _unpack(value)
        if key == TOTAL:
            return {"total": amount}
        return {"account": key.removeprefix(_PREFIX).hex(), "balance": amount}

    def parse(self, words: Sequence[str]) -> bytes:
        """mint ACCOUNT AMOUNT, or transfer ACCOUNT AMOUNT. Raises `OperatorError`."""
        match list(words):
            case [("mint" | "transfer") as operation, account, amount]:
                return cbor.encode([operation, _account(account), _amount(amount)])
        raise OperatorError(f"not understood: write {_USAGE}")

    def parse_query(self, words: Sequence[str]) -> bytes:
        """ACCOUNT, or total, with or without get before it. Raises `OperatorError`."""
        match list(words):
            case ["total"] | ["get", "total"]:
                return TOTAL
            case [account] | ["get", account]:
                return _account(account)
        raise OperatorError("not understood: write get ACCOUNT, or get total")

    def show(self, payload: bytes) -> str:
        """The operation as `parse` takes it."""
        try:
            operation, account, amount = _decode(payload)
        except Rejected as error:
            return f"({error.reason})"
        return f"{operation} {account.hex()} {amount}"

    def show_result(self, value: bytes) -> str:
        """The amount."""
        return str(int.from_bytes(value, "big")) if len(value) == _AMOUNT_BYTES else value.hex()

    def _check_allowed(self, operation: str, sender: bytes) -> None:
        if operation == "mint" and sender not in self._issuers:
            raise Rejected(NOT_ALLOWED, "only an issuer that the genesis names may mint")


def verify_conservation(entries: Iterable[tuple[bytes, bytes]]) -> None:
    """Returns if the balances in all `entries` of a state sum up to its total; raises `BadProof` if not."""
    balances, total = 0, None
    for key, value in entries:
        if key == TOTAL:
            total = _unpack(value)
        else:
            balances += _unpack(value)
    if balances != total:
        raise BadProof(f"the balances sum up to {balances}, but the total says {total}")


def _decode(payload: bytes) -> tuple[str, bytes, int]:
    """Operation, account, amount."""
    try:
        fields = cbor.decode(payload, max_items=_MAX_ITEMS)
    except Malformed:
        # In words of our own: those of a library would be in the ledger, and differ from one version to the next.
        raise Rejected(MALFORMED, "not an operation: it is not canonical CBOR of a few items") from None
    match fields:
        case [("mint" | "transfer") as operation, account, amount]:
            if type(amount) is not int or not 1 <= amount <= MAX_AMOUNT:
                raise Rejected(MALFORMED, "an amount is a whole number from 1 to 2^64-1")
            return operation, _check_account(account), amount
    raise Rejected(MALFORMED, "not an operation: neither mint nor transfer with their arguments")


def _check_account(account: object) -> bytes:
    if type(account) is not bytes or len(account) != PUBLIC_KEY_BYTES:
        raise Rejected(MALFORMED, f"an account is a public key of {PUBLIC_KEY_BYTES} bytes")
    return account


def _read(state: StateView, key: bytes) -> int:
    row = state.get(key)
    return 0 if row is None else _unpack(row)


def _write(state: StateView, account: bytes, balance: int) -> None:
    if balance:
        state.put(_PREFIX + account, _pack(balance))
    else:
        state.delete(_PREFIX + account)


def _pack(amount: int) -> bytes:
    return amount.to_bytes(_AMOUNT_BYTES, "big")


def _unpack(row: bytes) -> int:
    if len(row) != _AMOUNT_BYTES:
        raise Malformed("an amount has 8 bytes")
    return int.from_bytes(row, "big")


def _account(word: object) -> bytes:
    digits = word if isinstance(word, str) else ""
    if len(digits) != 2 * PUBLIC_KEY_BYTES or any(digit not in "0123456789abcdef" for digit in digits):
        raise OperatorError(
            f"{word!r} is not an account: give a public key's {2 * PUBLIC_KEY_BYTES} hexadecimal digits"
        )
    return bytes.fromhex(digits)


def _amount(word: str) -> int:
    # The length comes first: Python refuses to read numbers of thousands of digits.
    amount = int(word) if word.isascii() and word.isdigit() and len(word) <= 20 else 0
    if not 1 <= amount <= MAX_AMOUNT:
        raise OperatorError(f"{word!r} is not an amount: give a whole number from 1 to {MAX_AMOUNT}")
    return amount
