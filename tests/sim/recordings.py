"""A run that never happened, made by hand: all that a transcript and a diagram can meet, in a few lines."""

from dataclasses import replace

from bftledger.base.ids import Digest, Millis, ReplicaId, Seq, View
from bftledger.base.transaction import Transaction
from bftledger.ledger.client_messages import AskFate, Refused, Submit, TxState
from bftledger.ledger.client_messages import Fate as FateReply
from bftledger.ledger.client_wire import encode
from bftledger.pbft import wire
from bftledger.pbft.messages import Checkpoint, Message, Prepare, PrePrepare, Relay
from bftledger.pbft.proposals import make_proposal
from bftledger.pbft.wire import UNSIGNED
from bftledger.sim.places import place_of
from bftledger.sim.recording import Fate, Happening, Kind, Recording, Sending
from bftledger.sim.subject import Called, Deed, Span, Subject
from tests.engine.engines import START, Engines

HOSTILE = "</script><script>alert('pay eve')</script><img src=http://eve.example/>"
ONE, OTHER = Digest(b"\1" * 32), Digest(b"\2" * 32)
ENGINES = Engines(4)
GENESIS = ENGINES.genesis
BOB, EVE = ENGINES.transaction("put pay bob"), ENGINES.transaction(payload=HOSTILE.encode())
"""Made once: each call would give another nonce."""


def signed(message: wire.M) -> wire.M:
    """`message` with the signature of whom it names."""
    return ENGINES.signed(message)


def pre_prepare(*transactions: Transaction, seq: int = 1) -> PrePrepare:
    """Replica 0 proposes these in view 0."""
    proposal = make_proposal(Millis(START + seq), transactions)
    bare = PrePrepare(view=View(0), seq=Seq(seq), digest=proposal.digest, replica=ReplicaId(0), signature=UNSIGNED)
    return replace(signed(bare), proposal=proposal)


def prepare(by: int, of: PrePrepare) -> Prepare:
    """`by` accepts a proposal."""
    unsigned = Prepare(view=of.view, seq=of.seq, digest=of.digest, replica=ReplicaId(by), signature=UNSIGNED)
    return signed(unsigned)


def checkpoint(by: int, block_hash: Digest) -> Checkpoint:
    """`by` has executed block 1."""
    return signed(Checkpoint(seq=Seq(1), block_hash=block_hash, replica=ReplicaId(by), signature=UNSIGNED))


class Writer:
    """Writes a recording. Times in milliseconds, clients by their places."""

    def __init__(self) -> None:
        self.recording = Recording()

    def send(
        self, at: int, source: int, message: Message | bytes, *to: int, lie: bool = False, fate: Fate | None = None
    ) -> None:
        """A message of `source`, which flies for one millisecond, or not at all."""
        frame = message if isinstance(message, bytes) else wire.encode(message)
        for i in to:
            arrives = [] if fate else [1_000 * at + 1_000]
            self.recording.sent(Sending(1_000 * at, source, i, frame, lie, arrives, fate))

    def happen(
        self,
        at: int,
        kind: Kind,
        text: str,
        *replicas: int,
        view: int | None = None,
        block: Digest | None = None,
    ) -> None:
        """The same at each of these replicas, or to the whole group. Every block is block 1."""
        for i in replicas or (None,):
            replica = None if i is None else ReplicaId(i)
            seen = None if view is None else View(view)
            height = None if block is None else Seq(1)
            self.recording.happened(Happening(1_000 * at, kind, text, replica, seen, height, block))


def equivocation() -> tuple[Subject, Recording]:
    """The primary proposes one thing to replica 1 and another to the rest, and one block is executed all the same."""
    to_one, to_rest = pre_prepare(BOB), pre_prepare(EVE)
    relay = signed(Relay(transactions=(BOB,), replica=ReplicaId(1), signature=UNSIGNED))
    writer = Writer()
    writer.happen(0, Kind.STARTED, "replica 0 starts", 0)
    writer.happen(0, Kind.VIEW_BEGUN, "is in view 0", 0, 1, 2, 3, view=0)
    writer.send(1, 1, relay, 0)
    writer.send(2, 0, to_one, 1, lie=True)
    writer.send(2, 0, to_rest, 2, 3, lie=True)
    writer.send(2, 0, to_one, 2, fate=Fate.WITHHELD, lie=True)
    writer.send(2, 0, b"\0\r\nnothing", 1, lie=True)
    writer.send(2, 0, prepare(3, to_one), 1, lie=True)
    writer.send(3, 2, prepare(2, to_rest), 0, 1)
    writer.send(3, 2, prepare(2, to_rest), 3, fate=Fate.LOST)
    writer.send(3, 3, prepare(3, to_rest), 0, 1, 2, fate=Fate.CUT)
    writer.send(4, 1, prepare(3, to_rest), 2)
    writer.recording.events[-1].arrives.append(9_000)  # type: ignore[union-attr]
    writer.happen(5, Kind.EXECUTED, "executes block 1", 2, 3, block=ONE)
    writer.send(5, 2, checkpoint(2, ONE), 3)
    writer.happen(6, Kind.TIMER, "loses its patience with the primary", 1)
    writer.happen(6, Kind.VIEW_LEFT, "leaves view 0", 1, 2, view=0)
    writer.happen(7, Kind.VIEW_BEGUN, "enters view 1", 1, view=1)
    writer.happen(8, Kind.CRASHED, "replica 3 crashes", 3)
    writer.happen(400, Kind.STARTED, "replica 3 starts", 3)
    writer.happen(401, Kind.EVIDENCE, "holds proof that replica 0 is guilty", 1, 2)
    writer.happen(402, Kind.HEALED, "from here on there are no faults but the traitors'")
    subject = Subject(
        seed=42,
        genesis=GENESIS,
        traitors={ReplicaId(0): (Deed("equivocate", "It tells one replica this and the others that."),)},
        spans=(Span(3_000, 8_000, "nobody hears replica 3", (ReplicaId(3),)),),
        calls=(Called(0, 1_000, 6_000, "put pay bob"), Called(1, 1_000, None, HOSTILE)),
        outcome=("All calls but one were answered.",),
    )
    return subject, writer.recording


def service() -> tuple[Subject, Recording]:
    """Clients ask; a traitor lies to one of them, withholds the truth, and ignores another; a third is hostile."""
    submit, hostile = (encode(Submit(request_id=1, transaction=tx.encoded)) for tx in (BOB, EVE))
    ask = encode(AskFate(request_id=2, tx_id=BOB.id))
    expired, pending = (
        encode(FateReply(request_id=2, tx_id=BOB.id, state=state, height=Seq(0), reason="so it is said"))
        for state in (TxState.EXPIRED, TxState.PENDING)
    )
    first, second, third = map(place_of, range(3))
    writer = Writer()
    writer.send(1, first, submit, 1)
    writer.send(1, second, hostile, 0, 2)
    writer.send(1, third, b"\xff\0", 3)
    writer.send(2, 0, prepare(0, pre_prepare(BOB)), 1, 2, 3)
    writer.send(2, 3, encode(Refused(request_id=1, code=64, reason="it is not signed")), third, fate=Fate.UNHEARD)
    writer.send(3, first, ask, 0, 1)
    writer.send(3, first, ask, 2, fate=Fate.LOST)
    writer.send(4, 0, pending, first, lie=True, fate=Fate.WITHHELD)
    writer.send(4, 0, expired, first, lie=True)
    writer.send(4, 0, b"\xff", second, lie=True)
    writer.send(4, 1, pending, first)
    ignored = writer.recording.events[1]
    assert isinstance(ignored, Sending)
    ignored.fate = Fate.IGNORED
    subject = Subject(
        seed=43,
        genesis=GENESIS,
        traitors={ReplicaId(0): (Deed("lie-replies", "It tells clients what is not so."),)},
        calls=(Called(0, 1_000, None, "put pay bob"), Called(1, 1_000, None, HOSTILE)),
        clients=3,
        hostile=1,
        verifier=ENGINES.keys.verifier,
        outcome=("No call was answered.",),
    )
    return subject, writer.recording


def fork() -> tuple[Subject, Recording]:
    """The same, but replica 1 executes another block."""
    subject, recording = equivocation()
    writer = Writer()
    writer.send(410, 1, checkpoint(1, OTHER), 2)
    writer.happen(410, Kind.EXECUTED, "executes block 1", 1, block=OTHER)
    writer.happen(410, Kind.VIOLATION, "agreement: two blocks at height 1")
    recording.events += writer.recording.events
    return replace(subject, is_sound=False, outcome=("agreement: two blocks at height 1",)), recording
