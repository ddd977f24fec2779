"""The kinds of frames, and the fields that each has: the one table of what replicas say to each other.

A kind is made of those that it holds, so each of them stands before it: nothing can nest for ever.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from bftledger.base import cbor, transaction
from bftledger.base.errors import Malformed
from bftledger.base.ids import Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.pbft import fields
from bftledger.pbft.fields import (
    DIGEST,
    FLAG,
    MASK,
    MAX_REPLICAS,
    NUMBER,
    OCTETS,
    REPLICA,
    VOTES,
    Field,
    Reading,
    many,
)
from bftledger.pbft.frames import MAX_FRAME_BYTES, Kind, embedded, open_embedded, unpack_vouched
from bftledger.pbft.messages import (
    Blocks,
    Checkpoint,
    CheckpointCertificate,
    Commit,
    FetchBlocks,
    FetchProposal,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    Proposed,
    Relay,
    Stable,
    Status,
    Testimony,
    ViewChange,
)
from bftledger.pbft.proposals import MAX_PROPOSAL_BYTES, decode_proposal, proposal_digest
from bftledger.pbft.settings import MAX_BATCH_COUNT, MAX_WINDOW
from bftledger.pbft.short import read_checkpoint, read_vote

MAX_BLOCKS: Final = 256
MAX_HEADERS: Final = 8_192
"""At most so many blocks and headers come in one answer; far fewer do, as the frame is bounded, too."""

MAX_TESTIFIED: Final = 512
"""At most so many messages of others are in one TESTIMONY."""

MAX_TESTIMONY_BYTES: Final = 128 * 1024
"""So long are they together, unless they are only two: what is evidence cannot be divided."""

_SMALL: Final = 512
_CERTIFICATE_BYTES: Final = _SMALL + 80 * MAX_REPLICAS
_BATCH_FRAME_BYTES: Final = _SMALL + MAX_PROPOSAL_BYTES


# ── votes ────────────────────────────────────────────────────────────────────────────────────────────────────────

_VOTE: Final = {"view": NUMBER, "seq": NUMBER, "digest": DIGEST, "replica": REPLICA}

_PRE_PREPARE: Final = Kind(PrePrepare, 1, "PRE-PREPARE", _BATCH_FRAME_BYTES, _VOTE)
_PREPARE: Final = Kind(Prepare, 2, "PREPARE", _SMALL, _VOTE, short=partial(read_vote, Prepare, b"\x83\x02\x84"))
_COMMIT: Final = Kind(Commit, 3, "COMMIT", _SMALL, _VOTE, short=partial(read_vote, Commit, b"\x83\x03\x84"))
_CHECKPOINT: Final = Kind(
    Checkpoint,
    4,
    "CHECKPOINT",
    _SMALL,
    {"seq": NUMBER, "block_hash": DIGEST, "replica": REPLICA},
    short=partial(read_checkpoint, b"\x83\x04\x83"),
)


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────

_PREPARED: Final = Kind(
    PreparedCertificate,
    32,
    "PREPARED",
    _SMALL + _CERTIFICATE_BYTES,
    {"pre_prepare": embedded(_PRE_PREPARE), "prepares": VOTES},
)
_CERTIFICATE: Final = Kind(
    CheckpointCertificate,
    33,
    "CERTIFICATE",
    _CERTIFICATE_BYTES,
    {"seq": NUMBER, "block_hash": DIGEST, "signatures": VOTES},
)


# ── view changes ─────────────────────────────────────────────────────────────────────────────────────────────────


def _unpack_view_changes(value: Any, reading: Reading) -> tuple[ViewChange, ...]:
    """In strictly ascending order of their senders, so that nobody makes others read the same ones many times."""
    found: list[ViewChange] = []
    for frame in fields.array(value, MAX_REPLICAS):
        sealed = open_embedded(frame, (_VIEW_CHANGE,), reading)
        if found and sealed.outline.replica <= found[-1].replica:
            raise Malformed("the view changes are not in ascending order of their senders")
        found.append(cast(ViewChange, unpack_vouched(sealed, reading)))
    return tuple(found)


_VIEW_CHANGE: Final = Kind(
    ViewChange,
    5,
    "VIEW-CHANGE",
    MAX_FRAME_BYTES,
    {
        "view": NUMBER,
        "stable": fields.optional(embedded(_CERTIFICATE)),
        "prepared": many(embedded(_PREPARED), MAX_WINDOW),
        "replica": REPLICA,
    },
)
_NEW_VIEW: Final = Kind(
    NewView,
    6,
    "NEW-VIEW",
    MAX_FRAME_BYTES,
    {
        "view": NUMBER,
        "view_changes": replace(many(embedded(_VIEW_CHANGE), MAX_REPLICAS), unpack=_unpack_view_changes),
        "pre_prepares": many(embedded(_PRE_PREPARE), MAX_WINDOW),
        "replica": REPLICA,
    },
)


# ── testimony ────────────────────────────────────────────────────────────────────────────────────────────────────

_TESTIFIED: Final = (_PRE_PREPARE, _PREPARE, _COMMIT, _CHECKPOINT, _VIEW_CHANGE, _NEW_VIEW)
"""What a correct replica signs once for each slot: none of these holds a TESTIMONY."""

_LARGE: Final = (ViewChange, NewView)
"""Two that differ are evidence; in their outlines they do not."""


def testified_slot(message: Message) -> tuple[type, View, Seq, ReplicaId, bytes]:
    """What a TESTIMONY tells once: each vote for a digest; or, of each sender, twice: what it says of one view."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            return type(message), message.view, message.seq, message.replica, message.digest
        case Checkpoint():
            return Checkpoint, View(0), message.seq, message.replica, message.block_hash
        case ViewChange() | NewView():
            return type(message), message.view, Seq(0), message.replica, b""
        case _:
            raise AssertionError("nothing else is testified")


def _unpack_testimony(value: Any, reading: Reading) -> tuple[Message, ...]:
    """All are opened before the first is verified: nobody makes others verify the same ones many times."""
    frames = fields.array(value, MAX_TESTIFIED)
    if len(frames) > 2 and sum(len(fields.octets(frame)) for frame in frames) > MAX_TESTIMONY_BYTES:
        raise Malformed("so much is testified with no more than two messages")
    opened = [open_embedded(frame, _TESTIFIED, reading) for frame in frames]
    told = Counter(testified_slot(sealed.outline) for sealed in opened)
    if any(times > (2 if of in _LARGE else 1) for (of, *_), times in told.items()):
        raise Malformed("the same is testified more than once")
    return tuple([unpack_vouched(sealed, reading) for sealed in opened])


_TESTIMONY: Final = Kind(
    Testimony,
    14,
    "TESTIMONY",
    MAX_FRAME_BYTES,
    {
        "messages": replace(many(embedded(*_TESTIFIED), MAX_TESTIFIED), unpack=_unpack_testimony),
        "replica": REPLICA,
    },
)


# ── progress, and what is passed on ──────────────────────────────────────────────────────────────────────────────


def _unpack_transaction(value: Any, reading: Reading) -> Transaction:
    return transaction.decode(fields.octets(value), reading.genesis_hash)


def _announced(raw: memoryview) -> Proposal:
    """A proposal by its digest, not decoded yet."""
    return Proposal(time=Millis(0), transactions=(), encoded=b"", digest=proposal_digest(cbor.content(raw)))


_NONE: Final = memoryview(cbor.encode([]))
_TRANSACTION: Final = Field(lambda tx: tx.encoded, _unpack_transaction)
_PROPOSAL: Final = Field(
    lambda proposal: proposal.encoded,
    lambda value, reading: decode_proposal(fields.octets(value), reading.genesis_hash),
    _announced,
)
_BLOCKS: Final = replace(many(OCTETS, MAX_BLOCKS), outline=lambda raw: () if raw == _NONE else (b"",))

_OTHERS: Final = (
    Kind(
        Status,
        7,
        "STATUS",
        _SMALL + 128 * MAX_WINDOW,
        {
            "view": NUMBER,
            "active": FLAG,
            "stable": NUMBER,
            "stable_hash": fields.optional(DIGEST),
            "executed": NUMBER,
            "executed_hash": fields.optional(DIGEST),
            "slots": many(fields.SLOT_STATUS, MAX_WINDOW),
            "view_changes": MASK,
            "convicted": MASK,
            "replica": REPLICA,
        },
    ),
    Kind(
        Relay, 8, "RELAY", _BATCH_FRAME_BYTES, {"transactions": many(_TRANSACTION, MAX_BATCH_COUNT), "replica": REPLICA}
    ),
    Kind(
        Stable,
        9,
        "STABLE",
        _SMALL + _CERTIFICATE_BYTES,
        {"certificate": embedded(_CERTIFICATE), "replica": REPLICA},
    ),
    Kind(FetchProposal, 10, "FETCH-PROPOSAL", _SMALL, {"seq": NUMBER, "digest": DIGEST, "replica": REPLICA}),
    Kind(Proposed, 11, "PROPOSED", _BATCH_FRAME_BYTES, {"seq": NUMBER, "proposal": _PROPOSAL, "replica": REPLICA}),
    Kind(FetchBlocks, 12, "FETCH-BLOCKS", _SMALL, {"first": NUMBER, "replica": REPLICA}),
    Kind(
        Blocks,
        13,
        "BLOCKS",
        MAX_FRAME_BYTES,
        {
            "first": NUMBER,
            "blocks": _BLOCKS,
            "headers": many(OCTETS, MAX_HEADERS),
            "certificate": embedded(_CERTIFICATE),
            "replica": REPLICA,
        },
    ),
)


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────

KINDS: Final[dict[type, Kind]] = {
    kind.of: kind for kind in (*_TESTIFIED, *_OTHERS, _TESTIMONY, _PREPARED, _CERTIFICATE)
}
"""By the class of their records."""

BY_NUMBER: Final = {kind.number: kind for kind in KINDS.values()}
