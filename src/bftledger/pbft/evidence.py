"""Evidence: two messages that convict whoever signed both, to whoever holds the genesis. No replica is asked.

It is a file, a row of a store, and what replicas tell one another (TESTIMONY): the frames of the two messages, bare of
what is not signed. The rule that they break is not in it: it follows from them. Every byte is bound by a signature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from bftledger.base import cbor
from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, Malformed
from bftledger.base.group import Group
from bftledger.base.ids import ReplicaId
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.frames import MAX_FRAME_BYTES
from bftledger.pbft.guilt import Rule, Signed, contradiction
from bftledger.pbft.messages import Checkpoint, Commit, Message, NewView, Prepare, PrePrepare, ViewChange

FORMAT: Final = 1
MAX_EVIDENCE_BYTES: Final = 2 * MAX_FRAME_BYTES + 64
MAX_FILE_BYTES: Final = 8 * MAX_EVIDENCE_BYTES


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two authentic messages that no correct replica signs both; build it with `evidence` or `verify_evidence`."""

    rule: Rule
    first: Signed
    second: Signed

    @property
    def replica(self) -> ReplicaId:
        """Who signed both."""
        return self.first.replica

    def encode(self) -> bytes:
        """CBOR array of the format's number and the frames of the two messages."""
        return cbor.encode_known([FORMAT, wire.encode(self.first), wire.encode(self.second)])

    def __str__(self) -> str:
        return f"replica {self.replica} {_deed(self)}"


def evidence(first: Message, second: Message) -> Evidence | None:
    """What two authentic messages prove together, the same in either order; None if they prove nothing."""
    rule = contradiction(first, second)
    if rule is None:
        return None
    pair = sorted((bare(cast(Signed, first)), bare(cast(Signed, second))), key=wire.encode)
    return Evidence(rule, *pair)


def bare(message: Signed) -> Signed:
    """`message` without what its sender has not signed: the proposal, for which the digest stands."""
    return message.bare if isinstance(message, PrePrepare) else message


def verify_evidence(data: bytes, group: Group, verifier: Verifier) -> Evidence:
    """The evidence in `data`, if it proves that a replica of `group` is faulty.

    Raises `Malformed`, `BadSignature` or `BadProof`; then it proves nothing.
    """
    match cbor.decode(data, MAX_EVIDENCE_BYTES):
        case [int(format_number), bytes(first), bytes(second)] if type(format_number) is int:
            pass
        case _:
            raise Malformed("evidence is a format's number and two messages")
    if format_number != FORMAT:
        raise Malformed(f"evidence of format {format_number}, not {FORMAT}")
    authenticator = Authenticator(group, verifier)
    messages = [_read(frame, authenticator) for frame in (first, second)]
    found = evidence(*messages)
    if found is None:
        raise BadProof("a correct replica may have signed both messages")
    if found.encode() != data:
        raise Malformed("evidence has its messages in the order of their encodings, and proposals by their digests")
    return found


def encode_file(pieces: Sequence[Evidence]) -> bytes:
    """A file of evidence: CBOR array of the pieces as byte strings."""
    return cbor.encode_known([found.encode() for found in pieces])


def verify_file(data: bytes, group: Group, verifier: Verifier) -> list[Evidence]:
    """The evidence in such a file, every piece of it proven. Raises as `verify_evidence` does, also if it is empty."""
    pieces = cbor.decode(data, MAX_FILE_BYTES)
    if type(pieces) is not list or not pieces or any(type(piece) is not bytes for piece in pieces):
        raise Malformed("a file of evidence is an array of pieces, at least one")
    return [verify_evidence(piece, group, verifier) for piece in pieces]


def _read(frame: bytes, authenticator: Authenticator) -> Message:
    record = authenticator.authenticate_record(frame)
    if not isinstance(record, Message):
        raise Malformed("evidence is made of messages")
    return record


# ── in words ──


def _deed(found: Evidence) -> str:
    """What the replica did, and why that is wrong."""
    match found.first, found.second:
        case Checkpoint() as one, Checkpoint() as other:
            return f"signed two blocks for height {one.seq}: {_short(one.block_hash)} and {_short(other.block_hash)}"
        case ViewChange() as one, ViewChange():
            return f"signed two different VIEW-CHANGEs for view {one.view}"
        case NewView() as one, NewView():
            return f"signed two different NEW-VIEWs for view {one.view}"
        case (Commit() as commit, ViewChange() as change) | (ViewChange() as change, Commit() as commit):
            return (
                f"committed to {_short(commit.digest)} for sequence number {commit.seq} in view {commit.view}, "
                f"and hid that when it left for view {change.view}"
            )
        case (PrePrepare() | Prepare() | Commit() as one, PrePrepare() | Prepare() | Commit() as other):
            where = f"for sequence number {one.seq} in view {one.view}"
            digests = f"{_short(one.digest)} and {_short(other.digest)}"
            if type(one) is type(other):
                return f"signed two {_NAMES[type(one)]} {where}: {digests}"
            return f"signed a {_NAMES[type(one)][:-1]} and a {_NAMES[type(other)][:-1]} that differ {where}: {digests}"
        case _:
            return found.rule.value


_NAMES: Final[dict[type, str]] = {PrePrepare: "proposals", Prepare: "PREPAREs", Commit: "COMMITs"}


def _short(digest: bytes) -> str:
    return f"{digest.hex()[:16]}…"
