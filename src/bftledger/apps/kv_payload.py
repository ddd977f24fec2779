"""What a payload of `kv` says, in bytes and in words.

A payload is a CBOR array: ["put", key, value], ["delete", key], ["cas", key, version, value], or ["batch", [operation,
…]] with 1 to 256 of these three. On the command line the operations of a batch follow one another as they are: each
says by its first word how many words it has.
"""

from collections.abc import Sequence
from typing import Any, Final

from bftledger.apps.machine import MALFORMED, Rejected
from bftledger.base import cbor
from bftledger.base.errors import Malformed, OperatorError

MAX_KEY_BYTES: Final = 256
MAX_VALUE_BYTES: Final = 128 * 1024
MAX_OPERATIONS: Final = 256
"""A batch has no more: its result would not fit into one."""

_MAX_VERSION: Final = (1 << 63) - 1
_MAX_ITEMS: Final = 2 + 5 * MAX_OPERATIONS
"""No payload has more; what has is not walked to its end."""

_NOT_UNDERSTOOD: Final = (
    "not understood: write put KEY VALUE, delete KEY, or cas KEY VERSION VALUE, or batch and several of them"
)


Operation = tuple[str, bytes, int | None, bytes]
"""put, delete or cas, of a key; the expected version of a cas, else None; the value of a put or cas, else nothing."""

Batch = list[Operation]
"""Operations of one transaction, of which all take effect or none."""


def decode(payload: bytes) -> Operation | Batch:
    """What it says. Raises `Rejected`."""
    try:
        fields = cbor.decode(payload, max_items=_MAX_ITEMS)
    except Malformed:
        # In words of our own: those of a library would be in the ledger, and differ from one version to the next.
        raise Rejected(MALFORMED, "not an operation: it is not canonical CBOR of a few items") from None
    match fields:
        case ["batch", [*operations]]:
            if not 1 <= len(operations) <= MAX_OPERATIONS:
                raise Rejected(MALFORMED, f"a batch has 1 to {MAX_OPERATIONS} operations")
            return [_operation(operation) for operation in operations]
    return _operation(fields)


def parse(words: Sequence[str]) -> bytes:
    """The payload that these words stand for. Raises `OperatorError`."""
    is_batch = len(words) > 0 and words[0] == "batch"
    operations = _parse_all(list(words[is_batch:]))
    if len(operations) != 1 and not is_batch:
        raise OperatorError(_NOT_UNDERSTOOD)
    fields = ["batch", operations] if is_batch else operations[0]
    payload = cbor.encode(fields)
    try:
        decode(payload)
    except Rejected as error:
        raise OperatorError(f"{error.reason}: change it") from None
    return payload


def show(payload: bytes) -> str:
    """The words that `parse` would take. Never raises."""
    try:
        said = decode(payload)
    except Rejected as error:
        return f"({error.reason})"
    return _show(said) if isinstance(said, tuple) else " ".join(["batch", *map(_show, said)])


def check_key(key: object) -> bytes:
    """The key, if it can be one. Raises `Rejected`."""
    if type(key) is not bytes or not 1 <= len(key) <= MAX_KEY_BYTES:
        raise Rejected(MALFORMED, f"a key has 1 to {MAX_KEY_BYTES} bytes")
    return key


def _operation(fields: object) -> Operation:
    match fields:
        case ["put", key, value]:
            return "put", check_key(key), None, _check_value(value)
        case ["delete", key]:
            return "delete", check_key(key), None, b""
        case ["cas", key, version, value] if type(version) is int and 0 <= version <= _MAX_VERSION:
            return "cas", check_key(key), version, _check_value(value)
    raise Rejected(MALFORMED, "not an operation: neither put, delete nor cas with their arguments")


def _check_value(value: object) -> bytes:
    if type(value) is not bytes or len(value) > MAX_VALUE_BYTES:
        raise Rejected(MALFORMED, f"a value has at most {MAX_VALUE_BYTES} bytes")
    return value


def _parse_all(words: list[str]) -> list[list[Any]]:
    found: list[list[Any]] = []
    while words:
        match words:
            case ["put", key, value, *words]:
                found.append(["put", to_bytes(key), to_bytes(value)])
            case ["delete", key, *words]:
                found.append(["delete", to_bytes(key)])
            case ["cas", key, version, value, *words] if version.isascii() and version.isdigit() and len(version) < 20:
                found.append(["cas", to_bytes(key), int(version), to_bytes(value)])
            case _:
                raise OperatorError(_NOT_UNDERSTOOD)
    return found


def _show(operation: Operation) -> str:
    kind, key, version, value = operation
    words = {"put": [to_text(value)], "cas": [str(version), to_text(value)]}
    return " ".join([kind, to_text(key), *words.get(kind, [])])


def to_bytes(word: str) -> bytes:
    """The word's UTF-8; bytes of the command line that are none come back as they were. Raises `OperatorError`."""
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise OperatorError(f"{word!a} is not text: write it in UTF-8") from None


def to_text(data: bytes) -> str:
    """The UTF-8 text, or 0x and the hexadecimal digits of what is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
    return text if text.isprintable() else f"0x{data.hex()}"
