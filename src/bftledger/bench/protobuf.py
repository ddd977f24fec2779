"""The protobuf messages that the etcd clients send, encoded by hand, so that no generated code is needed.

A field of bytes is its number and wire type 2 in one varint, the length as a varint, and the bytes (protobuf encoding
specification, "Length-Delimited Records"), and so is a field that holds a message. etcd's `rpc.proto`: PutRequest {
bytes key = 1; bytes value = 2; … }, TxnRequest { …; repeated RequestOp success = 2; … }, RequestOp { …; PutRequest
request_put = 2; … }.
"""

from collections.abc import Iterable
from typing import Final

PUT: Final = "/etcdserverpb.KV/Put"
"""The gRPC method that takes a PutRequest."""

TXN: Final = "/etcdserverpb.KV/Txn"
"""The one that takes a TxnRequest."""

MAX_TXN_OPERATIONS: Final = 128
"""etcd's `--max-txn-ops`, as it is by default."""

_LENGTH_DELIMITED: Final = 2


def put_request(key: bytes, value: bytes) -> bytes:
    """A PutRequest without lease and without any wish for the previous value."""
    return bytes_field(1, key) + bytes_field(2, value)


def txn_request(puts: Iterable[bytes]) -> bytes:
    """A TxnRequest of these PutRequests, of different keys, that compares nothing: all of them or none take effect."""
    return b"".join(bytes_field(2, bytes_field(2, put)) for put in puts)


def bytes_field(number: int, value: bytes) -> bytes:
    """The field; nothing if it is empty, as protobuf 3 has it."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(value)) + value if value else b""


def varint(number: int) -> bytes:
    """Seven bits to a byte, the lowest first; all bytes but the last have the highest bit set."""
    assert number >= 0, "a length or a number of a field"
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
