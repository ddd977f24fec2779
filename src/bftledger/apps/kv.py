"""A key-value store: put, delete, compare-and-set. An entry remembers its version, its writer and its height.

A payload is a CBOR array: ["put", key, value], ["delete", key], or ["cas", key, version, value], which puts only if
the entry's version is the given one (0: there must be none). Versions count from 1; a deleted key starts again at 1.
The result of a put or a cas is the CBOR array [new version], that of a delete is empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bftledger.apps.machine import CONFLICT, MALFORMED, NOT_FOUND, Context, Rejected
from bftledger.apps.state import StateView
from bftledger.base import cbor
from bftledger.base.errors import Malformed, OperatorError
from bftledger.base.transaction import Transaction

MAX_KEY_BYTES: Final = 256
MAX_VALUE_BYTES: Final = 128 * 1024

_MAX_VERSION: Final = (1 << 63) - 1
_MAX_ITEMS: Final = 8
"""No payload has more; what has is not walked to its end."""
_QUERY_USAGE: Final = "get KEY"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the state holds under a key. `sender`: 32 bytes; `height`: of the block that wrote it."""

    version: int
    height: int
    sender: bytes
    value: bytes

    def encode(self) -> bytes:
        """CBOR array of the four fields."""
        return cbor.encode_known([self.version, self.height, self.sender, self.value])

    @staticmethod
    def decode(data: bytes) -> "Entry":
        """The entry whose encoding is `data`. Raises `Malformed`."""
        match cbor.decode(data):
            case [int(version), int(height), bytes(sender), bytes(value)]:
                return Entry(version, height, sender, value)
        raise Malformed("not an entry of the key-value store")


class KeyValue:
    """The application `kv`. It takes no parameters."""

    name: Final = "kv"
    usage: Final = (
        "put KEY VALUE             write an entry",
        "delete KEY                remove an entry",
        "cas KEY VERSION VALUE     write it only if its version is VERSION (0: only if there is none)",
        "get KEY                   read an entry",
    )

    def __init__(self, params: Mapping[str, Any]) -> None:
        if params:
            raise OperatorError(f"the application 'kv' takes no params: remove {', '.join(sorted(params))}")

    def genesis(self, state: StateView) -> None:
        """An empty store."""

    def check(self, transaction: Transaction) -> None:
        """Raises `Rejected` for a payload that is none of the operations."""
        _decode(transaction.payload)

    def apply(self, transaction: Transaction, context: Context) -> bytes:
        """Executes one operation. Raises `Rejected`."""
        operation, key, version, value = _decode(transaction.payload)
        state = context.state
        stored = state.get(key)
        present = 0 if stored is None else Entry.decode(stored).version
        if operation == "delete":
            if not present:
                raise Rejected(NOT_FOUND, "there is no such key")
            state.delete(key)
            return b""
        if version is not None and version != present:
            raise Rejected(CONFLICT, f"the version is {present}, not {version}")
        state.put(key, Entry(present + 1, context.height, context.sender, value).encode())
        return cbor.encode_known([present + 1])

    def query_key(self, args: bytes) -> bytes:
        """The key itself. Raises `Rejected`."""
        return _check_key(args)

    def show_value(self, key: bytes, value: bytes | None) -> dict[str, Any]:
        """The entry's fields; `found` says whether there is one. Raises `Malformed`."""
        if value is None:
            return {"key": _text(key), "found": False}
        entry = Entry.decode(value)
        return {
            "key": _text(key),
            "found": True,
            "value": _text(entry.value),
            "version": entry.version,
            "height": entry.height,
            "sender": entry.sender.hex(),
        }

    def parse(self, words: Sequence[str]) -> bytes:
        """put KEY VALUE, delete KEY, or cas KEY VERSION VALUE. Raises `OperatorError`."""
        match list(words):
            case ["put", key, value]:
                payload = cbor.encode(["put", _bytes(key), _bytes(value)])
            case ["delete", key]:
                payload = cbor.encode(["delete", _bytes(key)])
            case ["cas", key, version, value] if version.isascii() and version.isdigit() and len(version) < 20:
                payload = cbor.encode(["cas", _bytes(key), int(version), _bytes(value)])
            case _:
                raise OperatorError("not understood: write put KEY VALUE, delete KEY, or cas KEY VERSION VALUE")
        try:
            _decode(payload)
        except Rejected as error:
            raise OperatorError(f"{error.reason}: change it") from None
        return payload

    def parse_query(self, words: Sequence[str]) -> bytes:
        """KEY, or get KEY. Raises `OperatorError`."""
        match list(words):
            case [key] | ["get", key]:
                try:
                    return _check_key(_bytes(key))
                except Rejected as error:
                    raise OperatorError(f"{error.reason}: change it") from None
        raise OperatorError(f"not understood: write {_QUERY_USAGE}")

    def show(self, payload: bytes) -> str:
        """The operation as `parse` takes it."""
        try:
            operation, key, version, value = _decode(payload)
        except Rejected as error:
            return f"({error.reason})"
        match operation:
            case "put":
                return f"put {_text(key)} {_text(value)}"
            case "cas":
                return f"cas {_text(key)} {version} {_text(value)}"
            case _:
                return f"delete {_text(key)}"

    def show_result(self, value: bytes) -> str:
        """The version that was written, or that the key was deleted."""
        if not value:
            return "deleted"
        try:
            match cbor.decode(value):
                case [int(version)]:
                    return f"version {version}"
        except Malformed:
            pass
        return value.hex()


def _decode(payload: bytes) -> tuple[str, bytes, int | None, bytes]:
    """Operation, key, expected version, value."""
    try:
        fields = cbor.decode(payload, max_items=_MAX_ITEMS)
    except Malformed:
        # In words of our own: those of a library would be in the ledger, and differ from one version to the next.
        raise Rejected(MALFORMED, "not an operation: it is not canonical CBOR of a few items") from None
    match fields:
        case ["put", key, value]:
            return "put", _check_key(key), None, _check_value(value)
        case ["delete", key]:
            return "delete", _check_key(key), None, b""
        case ["cas", key, version, value] if type(version) is int and 0 <= version <= _MAX_VERSION:
            return "cas", _check_key(key), version, _check_value(value)
    raise Rejected(MALFORMED, "not an operation: neither put, delete nor cas with their arguments")


def _check_key(key: object) -> bytes:
    if type(key) is not bytes or not 1 <= len(key) <= MAX_KEY_BYTES:
        raise Rejected(MALFORMED, f"a key has 1 to {MAX_KEY_BYTES} bytes")
    return key


def _check_value(value: object) -> bytes:
    if type(value) is not bytes or len(value) > MAX_VALUE_BYTES:
        raise Rejected(MALFORMED, f"a value has at most {MAX_VALUE_BYTES} bytes")
    return value


def _bytes(word: str) -> bytes:
    """The word's UTF-8; bytes of the command line that are none come back as they were."""
    try:
        return word.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise OperatorError(f"{word!a} is not text: write it in UTF-8") from None


def _text(data: bytes) -> str:
    """The UTF-8 text, or 0x and the hexadecimal digits of what is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
    return text if text.isprintable() else f"0x{data.hex()}"
