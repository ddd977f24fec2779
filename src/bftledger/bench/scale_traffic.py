"""What replicas and clients say to each other, counted by kind, next to what the protocol needs.

Of the normal case (OSDI'99 §4.2, §4.3) a block of n replicas takes n-1 PRE-PREPAREs, (n-1)² PREPAREs, for a primary
does not prepare its own proposal, and n(n-1) COMMITs and CHECKPOINTs each: 3n(n-1) messages. Bytes are those of frames,
before encryption and without what TCP adds.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bftledger.base.genesis import Genesis
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.bench.scale_host import CLIENTS, START
from bftledger.ledger import client_wire
from bftledger.pbft import frames, wire
from bftledger.pbft.kinds import BY_NUMBER
from bftledger.pbft.messages import Checkpoint, Commit, Message, Prepare, PrePrepare, Proposal
from bftledger.pbft.proposals import make_proposal

PRE_PREPARE: Final = "PRE-PREPARE"
PREPARE: Final = "PREPARE"
COMMIT: Final = "COMMIT"
CHECKPOINT: Final = "CHECKPOINT"
STATUS: Final = "STATUS"
VIEW_CHANGE: Final = "VIEW-CHANGE"
NEW_VIEW: Final = "NEW-VIEW"
NORMAL_CASE: Final = (PRE_PREPARE, PREPARE, COMMIT, CHECKPOINT)

SURPRISE: Final = 0.10
"""More than this beyond what the protocol needs, STATUS left out, nobody expects."""


class Amount(NamedTuple):
    """So many frames, of so many bytes together."""

    messages: int
    bytes: int


class Traffic:
    """What every place has sent so far, by kind. Frames that got lost were sent."""

    def __init__(self) -> None:
        self.messages: Counter[tuple[int, str]] = Counter()
        self.bytes: Counter[tuple[int, str]] = Counter()
        self.largest: Counter[str] = Counter()
        """The longest frame of each kind, in bytes."""
        self.of_slot: Counter[int] = Counter()
        """Messages of the normal case by their sequence number, since the beginning: `clear` leaves them."""
        self.again: Counter[str] = Counter()
        """By kind, between replicas: frames that had been sent to the same replica before, by whomever."""
        self._sent: set[int] = set()
        """The hashes of all of those; the frames themselves would be too many."""
        self._of_clients: dict[int, str] = {}
        self._last: tuple[bytes, int] = b"", 0

    def count(self, source: int, to: int, frame: bytes) -> str:
        """One more, of somebody honest; returns its kind: the paper's name, or the class of a client's message."""
        number = frames.number_of(frame)
        assert number is not None, "who is honest sends frames of known kinds"
        if CLIENTS not in (source, to):
            kind = BY_NUMBER[number].name
            self._look_for_it(to, kind, frame)
        elif (known := self._of_clients.get(number)) is not None:
            kind = known
        else:
            message = client_wire.decode_reply(frame) if to == CLIENTS else client_wire.decode_request(frame)
            kind = self._of_clients[number] = type(message).__name__
        self.messages[source, kind] += 1
        self.bytes[source, kind] += len(frame)
        self.largest[kind] = max(self.largest[kind], len(frame))
        if kind in NORMAL_CASE:
            self.of_slot[self._seq(frame)] += 1
        return kind

    def _look_for_it(self, to: int, kind: str, frame: bytes) -> None:
        """Whether it was sent there before: what is said again is the same frame, for it is signed once."""
        before = len(self._sent)
        self._sent.add(hash((to, frame)))
        self.again[kind] += len(self._sent) == before

    def _seq(self, frame: bytes) -> int:
        """A frame that goes to all is the same one to each, and looked at once."""
        if frame is not self._last[0]:
            self._last = frame, _seq_of(frame)
        return self._last[1]

    def clear(self) -> None:
        """Begins to count anew. What was sent is not forgotten."""
        for counter in (self.messages, self.bytes, self.largest, self.again):
            counter.clear()

    def by_kind(self) -> dict[str, Amount]:
        """Of all places together."""
        kinds = sorted({kind for _, kind in self.messages})
        return {kind: Amount(_sum(self.messages, kind), _sum(self.bytes, kind)) for kind in kinds}

    def between_replicas(self) -> dict[str, Amount]:
        """The same without what clients say and are told."""
        return {kind: amount for kind, amount in self.by_kind().items() if kind in _NAMES}

    @property
    def votes_again(self) -> int:
        """How many messages of the normal case had been sent to the same replica before."""
        return sum(self.again[kind] for kind in NORMAL_CASE)

    def sent_by(self, replica: ReplicaId) -> Amount:
        """What this replica has sent to others, STATUS left out."""
        mine = [key for key in self.messages if key[0] == replica and key[1] in _NAMES and key[1] != STATUS]
        return Amount(sum(self.messages[key] for key in mine), sum(self.bytes[key] for key in mine))


_NAMES: Final = frozenset(kind.name for kind in BY_NUMBER.values())


def _sum(counter: Mapping[tuple[int, str], int], kind: str) -> int:
    return sum(count for (_, other), count in counter.items() if other == kind)


def _seq_of(frame: bytes) -> int:
    message = wire.open_frame(frame, _NO_GROUP).outline
    assert isinstance(message, PrePrepare | Prepare | Commit | Checkpoint), "of the normal case"
    return message.seq


_NO_GROUP: Final = Digest(bytes(32))
"""Sequence numbers are the same in all."""


def total(amounts: Iterable[Amount]) -> Amount:
    """All of them together."""
    found = list(amounts)
    return Amount(sum(one.messages for one in found), sum(one.bytes for one in found))


# ── what the protocol needs ──────────────────────────────────────────────────────────────────────────────────────


def expected_messages(n: int) -> dict[str, int]:
    """How many messages the n replicas together need for a block, by kind."""
    return {PRE_PREPARE: n - 1, PREPARE: (n - 1) ** 2, COMMIT: n * (n - 1), CHECKPOINT: n * (n - 1)}


def expected(genesis: Genesis, seq: Seq, transactions: tuple[Transaction, ...]) -> dict[str, Amount]:
    """The same with their bytes, for the block of view 0 at `seq` with these transactions: from frames as they are."""
    replicas = genesis.group.replicas
    primary, *backups = replicas
    others = len(backups)
    senders = {PRE_PREPARE: [primary], PREPARE: backups, COMMIT: replicas, CHECKPOINT: replicas}
    proposal = make_proposal(Millis(START), transactions)
    return {
        kind: Amount(
            count, sum(others * len(wire.encode(_message(kind, sender, seq, proposal))) for sender in senders[kind])
        )
        for kind, count in expected_messages(genesis.group.n).items()
    }


def _message(kind: str, sender: ReplicaId, seq: Seq, proposal: Proposal) -> Message:
    """One of the normal case, whose length is that of any other."""
    view, digest, signature = View(0), proposal.digest, wire.UNSIGNED
    match kind:
        case "PRE-PREPARE":
            return PrePrepare(view=view, seq=seq, digest=digest, replica=sender, signature=signature, proposal=proposal)
        case "PREPARE":
            return Prepare(view=view, seq=seq, digest=digest, replica=sender, signature=signature)
        case "COMMIT":
            return Commit(view=view, seq=seq, digest=digest, replica=sender, signature=signature)
        case _:
            return Checkpoint(seq=seq, block_hash=digest, replica=sender, signature=signature)
