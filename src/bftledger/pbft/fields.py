"""The fields of messages as CBOR values: how each type of field is packed, and what is refused when it is unpacked.

Every field bounds its own length before it looks at its elements.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bftledger.base.crypto import DIGEST_BYTES, SIGNATURE_BYTES
from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, ReplicaId, Signature
from bftledger.pbft.messages import Message, SlotStatus

MAX_NUMBER: Final = (1 << 63) - 1
"""Views and sequence numbers stay below this, so that every store can hold them."""

MAX_REPLICAS: Final = 256

Vouch = Callable[[Message, Callable[[], Digest]], None]
"""Given a message, as far as it is decoded, and what its sender has to have signed; raises if it has not."""


class Reading(NamedTuple):
    """What has to be known to unpack. `vouch`: asked about each message inside another before it is unpacked itself."""

    genesis_hash: Digest
    vouch: Vouch


@dataclass(frozen=True, slots=True)
class Field:
    """How one type of field becomes a CBOR value and back; `unpack` raises `Malformed`.

    `outline`: what stands for a field that is unpacked only after its message's signature was checked, made from its
    encoding; None for one that is unpacked at once. `max_items`: so many CBOR items it has at most.
    """

    pack: Callable[[Any], Any]
    unpack: Callable[[Any, Reading], Any]
    outline: Callable[[memoryview], Any] | None = None
    max_items: int = 1


def many(item: Field, most: int) -> Field:
    """An array of at most `most`."""

    def unpack(value: Any, reading: Reading) -> tuple[Any, ...]:
        return tuple([item.unpack(element, reading) for element in array(value, most)])

    return Field(lambda values: [item.pack(value) for value in values], unpack, _nothing, 1 + most * item.max_items)


def optional(item: Field) -> Field:
    """That, or null."""
    return Field(
        lambda value: None if value is None else item.pack(value),
        lambda value, reading: None if value is None else item.unpack(value, reading),
        max_items=item.max_items,
    )


def array(value: Any, most: int) -> list[Any]:
    """`value` if it is an array of at most `most`. Raises `Malformed`."""
    if type(value) is not list:
        raise Malformed("an array was expected")
    if len(value) > most:
        raise Malformed(f"an array of {len(value)}, at most {most} allowed")
    return value


def exactly(value: Any, count: int) -> list[Any]:
    """`value` if it is an array of so many. Raises `Malformed`."""
    if type(value) is not list or len(value) != count:
        raise Malformed(f"an array of {count} was expected")
    return value


def octets(value: Any) -> bytes:
    """`value` if it is a byte string. Raises `Malformed`."""
    if type(value) is not bytes:
        raise Malformed("a byte string was expected")
    return value


def as_it_is(value: Any) -> Any:
    """How numbers, flags and byte strings are packed."""
    return value


def _nothing(_: memoryview) -> tuple[Any, ...]:
    return ()


def _number(limit: int) -> Field:
    def unpack(value: Any, _: Reading) -> int:
        if type(value) is not int or not 0 <= value <= limit:
            raise Malformed("a number is out of its range")
        return value

    return Field(as_it_is, unpack)


def _fixed(length: int) -> Field:
    def unpack(value: Any, _: Reading) -> bytes:
        if type(value) is not bytes or len(value) != length:
            raise Malformed(f"a byte string does not have its {length} bytes")
        return value

    return Field(as_it_is, unpack)


def _unpack_bool(value: Any, _: Reading) -> bool:
    if type(value) is not bool:
        raise Malformed("a flag is neither true nor false")
    return value


def _unpack_votes(value: Any, _: Reading) -> tuple[tuple[ReplicaId, Signature], ...]:
    """(replica, signature) pairs in strictly ascending order."""
    for pair in array(value, MAX_REPLICAS):
        if type(pair) is not list or len(pair) != 2:
            raise Malformed("a vote is a replica and a signature")
        replica, signature = pair
        if type(replica) is not int or not 0 <= replica < MAX_REPLICAS:
            raise Malformed("a signer has no number that a replica may have")
        if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
            raise Malformed(f"a signature has {SIGNATURE_BYTES} bytes")
    _require_ascending([replica for replica, _ in value])
    return tuple([(ReplicaId(replica), Signature(signature)) for replica, signature in value])


def _require_ascending(signers: list[int]) -> None:
    """Nobody is counted twice. Raises `Malformed`."""
    if signers != sorted(set(signers)):
        raise Malformed("the signers are not in ascending order")


def _unpack_mask(value: Any, _: Reading) -> int:
    if type(value) is not bytes or len(value) > MAX_REPLICAS // 8 or value[:1] == b"\0":
        raise Malformed("a set of replicas is not in its shortest form")
    return int.from_bytes(value, "big")


@lru_cache(1024)
def _pack_mask(mask: int) -> bytes:
    """Remembered, because a STATUS has three for each slot, and most of them are the same few."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "big")


def _pack_slot(slot: SlotStatus) -> list[Any]:
    return [
        slot.seq,
        slot.has_pre_prepare,
        _pack_mask(slot.prepares),
        _pack_mask(slot.commits),
        _pack_mask(slot.checkpoints),
    ]


def _unpack_slot(value: Any, reading: Reading) -> SlotStatus:
    if type(value) is not list or len(value) != 5:
        raise Malformed("a slot's status has five fields")
    seq, has_pre_prepare, prepares, commits, checkpoints = value
    return SlotStatus(
        seq=NUMBER.unpack(seq, reading),
        has_pre_prepare=_unpack_bool(has_pre_prepare, reading),
        prepares=_unpack_mask(prepares, reading),
        commits=_unpack_mask(commits, reading),
        checkpoints=_unpack_mask(checkpoints, reading),
    )


NUMBER: Final = _number(MAX_NUMBER)
REPLICA: Final = _number(MAX_REPLICAS - 1)
DIGEST: Final = _fixed(DIGEST_BYTES)
SIGNATURE: Final = _fixed(SIGNATURE_BYTES)
FLAG: Final = Field(as_it_is, _unpack_bool)
OCTETS: Final = Field(as_it_is, lambda value, _: octets(value))
MASK: Final = Field(_pack_mask, _unpack_mask)
VOTES: Final = Field(lambda votes: [list(vote) for vote in votes], _unpack_votes, max_items=1 + 3 * MAX_REPLICAS)

SLOT_STATUS: Final = Field(_pack_slot, _unpack_slot, max_items=1 + 5)
