"""What hostile clients and strangers send: frames, one after the other, made as cheaply as they can be.

What need not be new is made beforehand and sent again and again, so that the time of whoever sends it is spent on
sending. A replica remembers nothing of what it refused.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from bftledger.base import cbor
from bftledger.base.crypto import SIGNATURE_BYTES, Ed25519Signer, Signer
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, ReplicaId, Seq, Signature
from bftledger.base.transaction import MAX_PAYLOAD_BYTES, NONCE_BYTES, Transaction, sign
from bftledger.bench.hostile_plan import KEYS
from bftledger.ledger.client_messages import AskBlock, AskBlocks, AskFate, AskHeight, AskReceipt, Query, Request, Submit
from bftledger.ledger.client_wire import MAX_SUMMARIES, encode
from bftledger.sim.host import START_MS
from bftledger.sim.hostile import HostileClient
from bftledger.sim.keys import KeyRing

if TYPE_CHECKING:
    from bftledger.sim.plan import Plan
    from bftledger.sim.world import World

USUAL_BYTES: Final = 200
"""The payload of those that do not try to be large."""

_STOCK: Final = 512
"""So many frames are made beforehand, where frames may come again."""

_FEW: Final = 16
"""The same of those that are large."""

_FAR: Final = Seq(1 << 40)
"""No ledger comes to this height."""

_CALLS: Final = 1_024
"""A simulated hostile client remembers all that it sent; after so many frames another one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Transactions that are in the ledger, with their heights and the keys that they put; nothing if none are known."""

    transactions: Sequence[Transaction] = ()
    heights: Sequence[Seq] = ()
    keys: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """An endless row of frames, none longer than `largest` bytes."""

    frames: Iterator[bytes]
    largest: int


def source(kind: str, genesis: Genesis, past: Past, seed: str) -> Source:
    """What one of that kind (`hostile_plan.KINDS`) sends. Raises KeyError for one that sends nothing."""
    return _SOURCES[kind](genesis, past, random.Random(seed))


def put(key: bytes, length: int, chance: random.Random) -> bytes:
    """A payload that puts to `key`: so many bytes, or a few less where no value makes it just so long."""
    value_bytes = length - len(cbor.encode(["put", key, b""]))
    while len(cbor.encode(["put", key, bytes(value_bytes)])) > length:  # the head of the value grows with it
        value_bytes -= 1
    return cbor.encode(["put", key, chance.randbytes(value_bytes)])


def signed(signer: Signer, genesis: Genesis, payload: bytes, chance: random.Random) -> Transaction:
    """A new transaction that lives as long as the group allows."""
    created = time.time_ns() // 1_000_000
    return sign(
        signer,
        genesis.genesis_hash,
        nonce=chance.randbytes(NONCE_BYTES),
        created=Millis(created),
        expires=Millis(created + genesis.max_lifetime_ms),
        payload=payload,
    )


# ── clients ──


def _greedy(keys: int, length: int | None = None) -> "_Make":
    """Of so many keys in turn; `length` of a payload, None: as long as the group allows."""

    def make(genesis: Genesis, _: Past, chance: random.Random) -> Source:
        size = genesis.max_payload_bytes if length is None else length
        signers = cycle([Ed25519Signer(chance.randbytes(32)) for _ in range(keys)])
        payloads = cycle([put(b"greedy %d" % i, size, chance) for i in range(_FEW)])

        def frames() -> Iterator[bytes]:
            for number, signer, payload in zip(count(1), signers, payloads):
                transaction = signed(signer, genesis, payload, chance)
                yield encode(Submit(request_id=number, transaction=transaction.encoded))

        return Source(frames(), size + 1_024)

    return make


def _mixed(genesis: Genesis, _: Past, chance: random.Random) -> Source:
    """The hostile clients of the simulator; what they send to several replicas is sent to one."""
    world, seed = _World(genesis), chance.randrange(1 << 32)
    plan = SimpleNamespace(n=genesis.group.n, seed=seed, work=SimpleNamespace(clients=0, hostile_rest_ms=0))

    def frames() -> Iterator[bytes]:
        for number in count():
            client = HostileClient(number, cast("World", world), cast("Plan", plan))
            for _ in range(_CALLS):
                client.act()
                yield world.frame

    return Source(frames(), genesis.max_payload_bytes + 2_048)


class _World:
    """As much of a simulated world as a hostile client of it sees, on this machine's clock."""

    is_healed = False
    clients: Sequence[Any] = ()

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.keys = KeyRing(real=True)
        self.counts = Counter[str]()
        self.frame = b""
        """What was sent last."""

    @property
    def now(self) -> int:
        """In microseconds from the time at which simulated runs begin."""
        return time.time_ns() // 1_000 - START_MS * 1_000

    def to_replica(self, _: int, __: ReplicaId, frame: bytes) -> None:
        self.frame = frame

    def at(self, _: int, __: Callable[[], None]) -> None:
        """When to act again is for others to say."""


# ── strangers ──


def _garbage(genesis: Genesis, _: Past, chance: random.Random) -> Source:
    signer = Ed25519Signer(chance.randbytes(32))
    transaction = signed(signer, genesis, put(b"key", USUAL_BYTES, chance), chance)
    good = [
        encode(request)
        for request in (
            Submit(request_id=1, transaction=transaction.encoded),
            Query(request_id=2, args=b"key", certified=True, minimum=Seq(0)),
            AskReceipt(request_id=3, tx_id=transaction.id),
            AskBlocks(request_id=4, count=MAX_SUMMARIES),
        )
    ]
    bombs = [
        b"\x9b" + b"\x7f" + b"\xff" * 7,
        b"\x5b" + b"\x7f" + b"\xff" * 7,
        b"\x81" * 2_000,
        b"\x9f" * 2_000,
        cbor.encode([0] * 2_000),
        good[0][:2] + b"\x9a\x00\x03\x00\x00" + b"\xf6" * 2_000,
    ]
    frames = [bomb for bomb in bombs for _ in range(_FEW)]
    while len(frames) < _STOCK:
        frame = bytearray(chance.choice(good))
        frames.append(bytes(frame[: chance.randrange(len(frame))]))
        frame[chance.randrange(2)] ^= chance.randrange(1, 256)
        frames += [bytes(frame), chance.randbytes(chance.randrange(1, 2_000))]
    return _again(frames, chance)


def _forged(size: int, many: int) -> "_Make":
    """Transactions with a payload of so many bytes, none of which its sender has signed."""

    def make(genesis: Genesis, _: Past, chance: random.Random) -> Source:
        signer = Ed25519Signer(chance.randbytes(32))
        frames = []
        for number in range(many):
            transaction = signed(signer, genesis, put(b"forged", size, chance), chance)
            forged = Signature(chance.randbytes(SIGNATURE_BYTES))
            encoded = transaction.encoded.replace(transaction.signature, forged)
            frames.append(encode(Submit(request_id=number, transaction=encoded)))
        return _again(frames, chance)

    return make


def _replays(_: Genesis, past: Past, chance: random.Random) -> Source:
    return _asked([Submit(request_id=i, transaction=tx.encoded) for i, tx in enumerate(past.transactions)], chance)


def _reads(_: Genesis, past: Past, chance: random.Random) -> Source:
    queries = [Query(request_id=i, args=key, certified=True, minimum=Seq(0)) for i, key in enumerate(past.keys)]
    return _asked([*queries, *[AskHeight(request_id=i, minimum=Seq(0)) for i in range(len(queries))]], chance)


def _lookups(_: Genesis, past: Past, chance: random.Random) -> Source:
    requests: list[Request] = []
    for i, (transaction, height) in enumerate(zip(past.transactions, past.heights, strict=True)):
        requests += [AskFate(request_id=i, tx_id=transaction.id), AskReceipt(request_id=i, tx_id=transaction.id)]
        requests += [AskBlock(request_id=i, height=height), AskBlocks(request_id=i, count=MAX_SUMMARIES)]
    return _asked(requests, chance)


def _waits(_: Genesis, __: Past, chance: random.Random) -> Source:
    return _asked(
        [
            Query(request_id=i, args=b"key", certified=True, minimum=_FAR)
            if i % 2
            else AskHeight(request_id=i, minimum=_FAR)
            for i in range(_STOCK)
        ],
        chance,
    )


def _blocks(_: Genesis, past: Past, chance: random.Random) -> Source:
    return _asked([AskBlock(request_id=i, height=height) for i, height in enumerate(past.heights)], chance)


def _asked(requests: Sequence[Request], chance: random.Random) -> Source:
    return _again([encode(request) for request in requests], chance)


def _again(frames: list[bytes], chance: random.Random) -> Source:
    """These, over and over, in an order of their own."""
    chance.shuffle(frames)
    return Source(cycle(frames), max(map(len, frames)))


_Make = Callable[[Genesis, Past, random.Random], Source]

_SOURCES: Final[dict[str, _Make]] = {
    "greedy": _greedy(1, USUAL_BYTES),
    "greedy-keys": _greedy(KEYS, USUAL_BYTES),
    "greedy-large": _greedy(1),
    "mixed": _mixed,
    "garbage": _garbage,
    "forged": _forged(USUAL_BYTES, _STOCK),
    "huge": _forged(MAX_PAYLOAD_BYTES, _FEW),
    "replays": _replays,
    "reads": _reads,
    "lookups": _lookups,
    "waits": _waits,
    "deaf": _blocks,
}
