"""How much of what others bring there may be: counted in transactions and in bytes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from bftledger.base.ids import ReplicaId
from bftledger.base.transaction import ENVELOPE_BYTES, MAX_PAYLOAD_BYTES, Transaction
from bftledger.pbft.settings import Settings

CLIENTS: Final = ReplicaId(-1)
"""Whose room a submitted transaction takes, as if all clients were one replica."""

PROPOSALS: Final = ReplicaId(-2)
"""Whose room takes what only proposals brought, when their view has ended."""

MAX_TRANSACTION_BYTES: Final = MAX_PAYLOAD_BYTES + ENVELOPE_BYTES
"""No transaction is larger."""


class Load(NamedTuple):
    """So many transactions, and of so many bytes together."""

    number: int
    bytes: int


@dataclass(slots=True)
class Room:
    """How much of what is bounded is here."""

    max_count: int
    max_bytes: int
    count: int = 0
    bytes: int = 0

    def has_place_for(self, size: int, times: int = 1) -> bool:
        """Whether one more fits, were the room so many times as large; a single one always does."""
        return not self.count or (self.count < times * self.max_count and self.bytes + size <= times * self.max_bytes)

    def add(self, size: int) -> None:
        """One more of this size."""
        self.count += 1
        self.bytes += size

    def remove(self, size: int) -> None:
        """One less of this size."""
        self.count -= 1
        self.bytes -= size


def rooms_of(settings: Settings, n: int) -> dict[ReplicaId, Room]:
    """Those in the pool of one of `n` replicas: for clients, for what each replica passes on, and for proposals."""
    share, share_bytes = settings.pool_count // (2 * n), settings.pool_bytes // (2 * n)
    rooms = {ReplicaId(i): Room(share, share_bytes) for i in range(n)}
    rooms[CLIENTS] = Room(settings.pool_count - (n - 1) * share, settings.pool_bytes - (n - 1) * share_bytes)
    rooms[PROPOSALS] = Room(settings.pool_count // 2, settings.pool_bytes // 2)
    return rooms


def room_out(settings: Settings, n: int) -> Room:
    """For what a backup has passed on to the primary and still waits: a batch, and half of what it has there at most.

    More would not be ordered sooner. And the longer the queue that it has there, the longer it must bear that what it
    passes on waits (`suspicion.patience`).
    """
    share, share_bytes = settings.pool_count // (2 * n) // 2, settings.pool_bytes // (2 * n) // 2
    return Room(min(share, settings.batch_count), min(share_bytes, settings.batch_bytes))


def room_for_others(settings: Settings, n: int) -> Room:
    """Of that, for what others than its own clients have brought: a quarter, so that they leave room for those."""
    out = room_out(settings, n)
    return Room(out.max_count // 4, out.max_bytes // 4)


def batches(transactions: Iterable[Transaction], settings: Settings) -> Iterator[tuple[Transaction, ...]]:
    """The transactions in their order, cut into pieces that one proposal or RELAY may hold."""
    chosen: list[Transaction] = []
    size = 0
    for transaction in transactions:
        size += len(transaction.encoded)
        if chosen and (size > settings.batch_bytes or len(chosen) >= settings.batch_count):
            yield tuple(chosen)
            chosen, size = [], len(transaction.encoded)
        chosen.append(transaction)
    if chosen:
        yield tuple(chosen)
