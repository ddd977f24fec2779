"""Votes as nearly all of them are: of a view and a replica below 24, so that all in their frames has a fixed place.

They are most of what a replica reads, and here they are read at once instead of item by item. `frames` reads the same
in them; of all else, be it another vote or no vote at all, nothing is said here.
"""

from struct import Struct
from typing import Final, NamedTuple, TypeVar

from bftledger.base.crypto import DIGEST_BYTES, SIGNATURE_BYTES
from bftledger.base.ids import Digest, ReplicaId, Seq, Signature, View
from bftledger.pbft.messages import Checkpoint, Commit, Prepare

V = TypeVar("V", Prepare, Commit)

_OF_DIGEST: Final = b"\x58\x20"
_OF_SIGNATURE: Final = b"\x58\x40"
_ONE_BYTE: Final = 23
"""Numbers up to this are encoded as themselves."""


class _Form(NamedTuple):
    """Where the fields are in frames of one length; what stands before the sequence number there, and its range."""

    fields: Struct
    of_seq: bytes
    least: int
    most: int


def _forms(before: str) -> dict[int, _Form]:
    """By the length of the frame. `before`: what comes before the sequence number."""
    numbers = (
        (b"", "B", 0, _ONE_BYTE),
        (b"\x18", "B", _ONE_BYTE + 1, (1 << 8) - 1),
        (b"\x19", "H", 1 << 8, (1 << 16) - 1),
        (b"\x1a", "I", 1 << 16, (1 << 32) - 1),
    )
    forms = [
        _Form(Struct(f">{before} {len(head)}s{number} 2s{DIGEST_BYTES}s B 2s{SIGNATURE_BYTES}s"), head, least, most)
        for head, number, least, most in numbers
    ]
    return {form.fields.size: form for form in forms}


_VOTES: Final = _forms("3s B")
_CHECKPOINTS: Final = _forms("3s")


def read_vote(of: type[V], opening: bytes, frame: bytes) -> V | None:
    """The vote of this class in `frame`, if it is a short one. `opening`: how frames of its kind start."""
    form = _VOTES.get(len(frame))
    if form is None:
        return None
    start, view, of_seq, seq, of_digest, digest, replica, of_signature, signature = form.fields.unpack(frame)
    if (start, of_seq, of_digest, of_signature) != (opening, form.of_seq, _OF_DIGEST, _OF_SIGNATURE):
        return None
    if not form.least <= seq <= form.most or view > _ONE_BYTE or replica > _ONE_BYTE:
        return None
    return of(
        view=View(view), seq=Seq(seq), digest=Digest(digest), replica=ReplicaId(replica), signature=Signature(signature)
    )


def read_checkpoint(opening: bytes, frame: bytes) -> Checkpoint | None:
    """The CHECKPOINT in `frame`, if it is a short one."""
    form = _CHECKPOINTS.get(len(frame))
    if form is None:
        return None
    start, of_seq, seq, of_digest, digest, replica, of_signature, signature = form.fields.unpack(frame)
    if (start, of_seq, of_digest, of_signature) != (opening, form.of_seq, _OF_DIGEST, _OF_SIGNATURE):
        return None
    if not form.least <= seq <= form.most or replica > _ONE_BYTE:
        return None
    return Checkpoint(
        seq=Seq(seq), block_hash=Digest(digest), replica=ReplicaId(replica), signature=Signature(signature)
    )
