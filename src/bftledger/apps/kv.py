"""A key-value store: put, delete, compare-and-set. An entry remembers its version, its writer and its height.

`kv_payload` says what a payload looks like. A cas puts only if the entry's version is the given one (0: there must be
none). Versions count from 1; a deleted key starts again at 1. The result of a put or a cas is the CBOR array [new
version], that of a delete is empty. A batch is a list of these under one signature: each operation sees what those
before it did, and if one fails none has an effect. Its result is the array of all new versions, 0 for a deleted key.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bftledger.apps import kv_payload
from bftledger.apps.kv_payload import Batch, Operation, to_text
from bftledger.apps.machine import CONFLICT, NOT_FOUND, Context, Rejected
from bftledger.apps.state import StateView
from bftledger.base import cbor
from bftledger.base.errors import Malformed, OperatorError
from bftledger.base.transaction import Transaction

_QUERY_USAGE: Final = "get KEY"


class Entry(NamedTuple):
    """What the state holds under a key. `sender`: 32 bytes; `height`: of the block that wrote it."""

    version: int
    height: int
    sender: bytes
    value: bytes

    def encode(self) -> bytes:
        """CBOR array of the four fields."""
        return _encode(*self)

    @staticmethod
    def decode(data: bytes) -> "Entry":
        """The entry whose encoding is `data`. Raises `Malformed`."""
        match cbor.decode(data):
            case [int(version), int(height), bytes(sender), bytes(value)]:
                return Entry(version, height, sender, value)
        raise Malformed("not an entry of the key-value store")


def _encode(version: int, height: int, sender: bytes, value: bytes) -> bytes:
    # By hand, for a third of the work: every operation writes an entry. b"\x58\x20" announces 32 bytes.
    head = cbor.bytes_head(len(value))
    return b"".join((b"\x84", _number(version), _number(height), b"\x58\x20", sender, head, value))


@lru_cache(4_096)
def _number(number: int) -> bytes:
    """Its encoding: of the few small versions and the newest heights."""
    return cbor.encode_known(number)


class KeyValue:
    """The application `kv`. It takes no parameters."""

    name: Final = "kv"
    usage: Final = (
        "put KEY VALUE             write an entry",
        "delete KEY                remove an entry",
        "cas KEY VERSION VALUE     write it only if its version is VERSION (0: only if there is none)",
        "batch OPERATION...        several of these, one after the other: all of them, or none if one fails",
        "get KEY                   read an entry",
    )

    def __init__(self, params: Mapping[str, Any]) -> None:
        if params:
            raise OperatorError(f"the application 'kv' takes no params: remove {', '.join(sorted(params))}")

    def genesis(self, state: StateView) -> None:
        """An empty store."""

    def check(self, transaction: Transaction) -> None:
        """Raises `Rejected` for a payload that is none of the operations."""
        _payload(transaction)

    def apply(self, transaction: Transaction, context: Context) -> bytes:
        """Executes one operation, or all of a batch. Raises `Rejected`."""
        said = _payload(transaction)
        if isinstance(said, tuple):
            return _single_result(_apply(said, context))
        versions = []
        for operation in said:
            try:
                versions.append(_apply(operation, context))
            except Rejected as error:
                raise Rejected(error.code, f"operation {len(versions) + 1}: {error.reason}") from None
        return cbor.encode_known(versions)

    def query_key(self, args: bytes) -> bytes:
        """The key itself. Raises `Rejected`."""
        return kv_payload.check_key(args)

    def show_value(self, key: bytes, value: bytes | None) -> dict[str, Any]:
        """The entry's fields; `found` says whether there is one. Raises `Malformed`."""
        if value is None:
            return {"key": to_text(key), "found": False}
        entry = Entry.decode(value)
        return {
            "key": to_text(key),
            "found": True,
            "value": to_text(entry.value),
            "version": entry.version,
            "height": entry.height,
            "sender": entry.sender.hex(),
        }

    def parse(self, words: Sequence[str]) -> bytes:
        """As in `usage`. Raises `OperatorError`."""
        return kv_payload.parse(words)

    def parse_query(self, words: Sequence[str]) -> bytes:
        """KEY, or get KEY. Raises `OperatorError`."""
        match list(words):
            case [key] | ["get", key]:
                try:
                    return kv_payload.check_key(kv_payload.to_bytes(key))
                except Rejected as error:
                    raise OperatorError(f"{error.reason}: change it") from None
        raise OperatorError(f"not understood: write {_QUERY_USAGE}")

    def show(self, payload: bytes) -> str:
        """The operation as `parse` takes it."""
        return kv_payload.show(payload)

    def show_result(self, value: bytes) -> str:
        """The versions that were written; of a deleted key, that it was."""
        if not value:
            return "deleted"
        try:
            versions = cbor.decode(value)
        except Malformed:
            return value.hex()
        if type(versions) is not list or not versions or any(type(version) is not int for version in versions):
            return value.hex()
        return ", ".join([f"version {version}" if version else "deleted" for version in versions])


_KEPT: Final = "operation of kv"


def _payload(transaction: Transaction) -> Operation | Batch:
    """What its payload says. Raises `Rejected`.

    A single operation is read once and kept with its transaction, which is looked at when it comes in and when it is
    executed. A batch is not: read, it is many times larger than its bytes, and what waits is bounded in bytes.
    """
    known: Operation | None = transaction.__dict__.get(_KEPT)
    if known is not None:
        return known
    said = kv_payload.decode(transaction.payload)
    if isinstance(said, tuple):
        transaction.__dict__[_KEPT] = said
    return said


def _apply(operation: Operation, context: Context) -> int:
    """The version that the entry has then, 0 if it is gone. Raises `Rejected`."""
    kind, key, version, value = operation
    state = context.state
    stored = state.get(key)
    present = 0 if stored is None else _version(stored)
    if kind == "delete":
        if not present:
            raise Rejected(NOT_FOUND, "there is no such key")
        state.delete(key)
        return 0
    if version is not None and version != present:
        raise Rejected(CONFLICT, f"the version is {present}, not {version}")
    state.put(key, _encode(present + 1, context.height, context.sender, value))
    return present + 1


def _version(entry: bytes) -> int:
    """That of an encoded entry, mostly without decoding it: a small number is its own encoding, after the head."""
    return entry[1] if entry[1] < _LARGER_NUMBERS else Entry.decode(entry).version


_LARGER_NUMBERS: Final = 24


@lru_cache(4_096)
def _single_result(version: int) -> bytes:
    return cbor.encode_known([version]) if version else b""
