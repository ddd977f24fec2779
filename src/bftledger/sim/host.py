"""One replica's machine: a disk that outlasts its process, a clock that may be wrong, and timers that are not."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bftledger.base.ids import Millis, ReplicaId, Seq
from bftledger.engine.engine import Round
from bftledger.engine.running import Running
from bftledger.pbft.effects import StartTimer
from bftledger.pbft.messages import CheckpointCertificate, Message, PreparedCertificate
from bftledger.pbft.timers import Timer
from bftledger.storage.memory import MemoryStore
from bftledger.storage.store import VOID_IN_THE_NEXT_VIEW, BlockRows, Slot, Vote, slot_of

START_MS: Final = Millis(1_700_000_000_000)
"""What the clocks of a run say at its beginning: milliseconds since the epoch."""

Input = Callable[[Running, Millis], None]


BETWEEN_ROUNDS: Final = "between two rounds"
BEFORE_COMMIT: Final = "before the commit"
IN_COMMIT: Final = "in the commit"
BEFORE_SENDING: Final = "after the commit, before a frame left"
WHILE_SENDING: Final = "with some frames sent"
AFTER_SENDING: Final = "with all sent"
"""Where in its work a process dies."""


class PowerLoss(Exception):
    """The process is gone, in the midst of an operation of its store; the text says where in the round."""


class Sizes(NamedTuple):
    """How many rows a disk has of these; of evidence: the most against one replica by one rule."""

    proposals: int
    decisions: int
    evidence: int


class Disk(MemoryStore):
    """A store whose power fails at a given operation."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = 0
        """It fails at this operation from now on; 0: it does not."""
        self._discarded = Seq(0)

    def save_vote(self, vote: Vote) -> None:
        """As of every store."""
        self._burn()
        super().save_vote(vote)

    def save_block(self, rows: BlockRows) -> None:
        """As of every store."""
        self._burn()
        super().save_block(rows)

    def save_certificate(self, certificate: CheckpointCertificate) -> None:
        """As of every store."""
        self._burn()
        super().save_certificate(certificate)

    def discard_votes(self, upto: Seq) -> None:
        """As of every store."""
        super().discard_votes(upto)
        self._discarded = max(self._discarded, upto)

    def commit(self) -> None:
        """As of every store."""
        self._burn(IN_COMMIT)
        super().commit()

    def has_promised(self, message: Message) -> bool:
        """Whether a replica that dies now still knows that it said this; of what is no promise, always."""
        if not isinstance(message, Vote):
            return True
        slot = slot_of(message)
        if any(table is self._votes and key == slot for table, key, _ in self._undo):
            return False
        kept = self._votes.get(slot)
        if kept is None:  # then it is settled, or a later view has made it void
            by = "NEW-VIEW" if slot.kind in VOID_IN_THE_NEXT_VIEW else slot.kind
            later = any(other.kind == by and other.view > slot.view for other in self._votes)
            return 0 < slot.seq <= self._discarded or (slot.kind != "CHECKPOINT" and later)
        assert not isinstance(kept, PreparedCertificate), "no message has the slot of a certificate"
        return kept.signature == message.signature

    def slots(self) -> Iterable[Slot]:
        """Those that have a vote."""
        return self._votes.keys()

    def sizes(self) -> Sizes:
        """How much is kept beside the ledger and the votes."""
        pieces = Counter((found.replica, found.rule) for found in self._evidence.values())
        return Sizes(len(self._proposals), len(self._decisions), max(pieces.values(), default=0))

    def rows(self) -> list[BlockRows]:
        """What is kept of each block, from block 1 on."""
        return list(self._blocks.values())

    def _burn(self, where: str = BEFORE_COMMIT) -> None:
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise PowerLoss(where)


@dataclass(slots=True, eq=False)
class Host:
    """One replica's machine. Times in microseconds since the run began, clocks in milliseconds since the epoch."""

    id: ReplicaId
    round_us: int
    place: int
    """Its number among all machines of the run: its id, unless it is the second one of a twin."""
    disk: Disk = field(default_factory=Disk)
    running: Running | None = None
    """The process, while there is one."""
    skew_ms: int = 0
    jump_ms: int = 0
    inbox: list[Input] = field(default_factory=list)
    has_round: bool = False
    """A round is about to begin."""
    free_at: int = 0
    """Until then it is busy with its last round."""
    timers: dict[type[Timer], tuple[int, Timer]] = field(default_factory=dict)
    _tokens: int = 0
    die_after: int = -1
    """It dies when so many frames of its next round have left; -1: it does not."""
    downs: int = 0
    """How many faults keep it down."""

    @property
    def lane(self) -> ReplicaId:
        """What observers call it: two machines of one replica are not the same to them."""
        return ReplicaId(self.place)

    @property
    def height(self) -> Seq:
        """Of the newest block on its disk."""
        return self.disk.height()

    @property
    def stable(self) -> Seq:
        """The height up to which its process knows everything to be final; 0 while there is none."""
        return self.running.replica.state.low if self.running else Seq(0)

    def clock(self, now: int) -> Millis:
        """What its wall clock says."""
        return Millis(START_MS + now // 1_000 + self.skew_ms + self.jump_ms)

    def die(self) -> None:
        """The process is gone; what was not committed too."""
        self.running = None
        self.inbox.clear()
        self.timers.clear()
        self.die_after = -1
        self.disk.fuse = 0
        self.disk.crash()

    def leaves(self, finished: Round) -> tuple[list[tuple[ReplicaId, bytes]], list[tuple[bytes, bytes]], str]:
        """What of a round leaves, to replicas first and then to clients, and where the process dies, or ""."""
        peers, clients, left = finished.to_peers, finished.to_clients, self.die_after
        if left < 0:
            return peers, clients, ""
        if left >= len(peers) + len(clients):
            return peers, clients, AFTER_SENDING
        return peers[:left], clients[: max(0, left - len(peers))], WHILE_SENDING if left else BEFORE_SENDING

    def set_timers(self, finished: Round) -> list[tuple[int, type[Timer], int]]:
        """Does what the round says of timers; returns those that began: milliseconds, class, token."""
        started: list[tuple[int, type[Timer], int]] = []
        for effect in finished.timers:
            if isinstance(effect, StartTimer):
                kind = type(effect.timer)
                self._tokens += 1
                self.timers[kind] = (self._tokens, effect.timer)
                started.append((effect.after, kind, self._tokens))
            else:
                self.timers.pop(effect.timer, None)
        return started

    def take_timer(self, kind: type[Timer], token: int) -> Timer | None:
        """The timer that ran out, if it was neither stopped nor started anew since."""
        running = self.timers.get(kind)
        if running is None or running[0] != token:
            return None
        del self.timers[kind]
        return running[1]
