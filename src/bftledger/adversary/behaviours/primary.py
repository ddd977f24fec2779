"""Primaries that propose what they should not, or not when they should (OSDI'99 §4.2, §4.4)."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Final

from bftledger.adversary.behaviour import Behaviour, Frame, Scene
from bftledger.adversary.behaviours.proposing import Proposing, raw_proposal, shifted
from bftledger.apps.kv_payload import MAX_VALUE_BYTES
from bftledger.base import cbor
from bftledger.base.ids import Millis, PublicKey, ReplicaId, Seq, Signature
from bftledger.base.transaction import ENVELOPE_BYTES, MAX_PAYLOAD_BYTES, Transaction
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import Reply, Request, Submit
from bftledger.pbft import frames
from bftledger.pbft.fields import MAX_NUMBER
from bftledger.pbft.kinds import KINDS
from bftledger.pbft.messages import Blocks, Checkpoint, Message, PrePrepare, Proposal, Relay, Stable, Status
from bftledger.pbft.proposals import MAX_PROPOSAL_BYTES, make_proposal
from bftledger.pbft.settings import MAX_BATCH_COUNT

TIMERS = "A backup's request timer follows the oldest pending transaction, and a new primary takes over (§4.4)."
DOOR = "The door: a pre-prepare with such a proposal is no message, so nobody prepares it."
REMEMBERED: Final = 64
RELAY: Final = KINDS[Relay].number
OWN_ROUTE: Final = b"own"
"""Where answers to its own transactions would go: to nobody."""
OWN_PER_BATCH: Final = 8
"""It makes a batch of so many at most, and of large ones."""
PUT_BYTES: Final = 32
"""What there is of a `put` beside its value, and somewhat more."""


class Censor(Proposing):
    """Leaves one client's transactions out, and orders everybody else's."""

    name = "censor"
    does = "As primary it leaves one client's transactions out of its proposals."
    stopped_by = f"{TIMERS} Ordering those of others does not stop the timer."
    shows = "The client's transactions commit in the next view."
    takes = "the beginning of the client's public key, in hexadecimal; the first client it meets without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._prefix = argument.lower()
        self._victim: PublicKey | None = None
        if set(self._prefix) - set("0123456789abcdef"):
            raise self.wrong_argument()

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        if self._victim is None:
            found = [tx.sender for tx in proposal.transactions if tx.sender.hex().startswith(self._prefix)]
            self._victim = found[0] if found else None
        kept = tuple(tx for tx in proposal.transactions if tx.sender != self._victim)
        if len(kept) == len(proposal.transactions):
            return message
        return self.signed(message, make_proposal(proposal.time, kept))


class Reorder(Proposing):
    """Runs ahead of its clients."""

    name = "reorder"
    does = "As primary it turns the order of each batch around, and puts a transaction of its own first."
    stopped_by = "Nothing has to: the paper promises one order, not a fair one. The same order holds everywhere."
    shows = "One ledger, in the primary's order; no view change."

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        own = () if self.scene.is_calm else (self.scene.transaction(),)
        turned = (*own, *reversed(proposal.transactions))[:MAX_BATCH_COUNT]
        if turned == proposal.transactions:
            return message
        return self.signed(message, make_proposal(proposal.time, turned))


class ForgeRequests(Proposing):
    """Puts words in a client's mouth."""

    name = "forge-requests"
    does = "As primary it proposes a transaction in a client's name that the client never signed."
    stopped_by = f"{DOOR} Every transaction's signature is checked there."
    shows = "A view change; the forged transaction is in no ledger."

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        if not proposal.transactions:
            return message
        victim = proposal.transactions[0]
        forged = replace(self.scene.transaction(), sender=victim.sender, signature=Signature(victim.signature))
        transactions = (*proposal.transactions[: MAX_BATCH_COUNT - 1], forged)
        return self.signed(message, make_proposal(proposal.time, transactions))


class ReplayRequests(Proposing):
    """Orders what has been ordered."""

    name = "replay-requests"
    does = "As primary it proposes transactions that are in the ledger already, and now and then one twice in a batch."
    stopped_by = "Exactly once: a block leaves out what an earlier one holds; a batch that repeats itself is malformed."
    shows = "Each transaction in the ledger once; a view change for each batch that repeats itself."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._ordered: dict[bytes, Transaction] = {}

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        batch = proposal.transactions
        new = {tx.id for tx in batch}
        old = tuple(tx for tx in self._ordered.values() if tx.id not in new)
        self._ordered.update((tx.id, tx) for tx in batch[:REMEMBERED])
        for tx_id in list(islice(self._ordered, max(0, len(self._ordered) - REMEMBERED))):
            del self._ordered[tx_id]
        if not old:
            return message
        again = (*batch[:1],) if self.scene.chance.random() < 0.1 else ()
        replayed = (*batch, *old, *again)[-MAX_BATCH_COUNT:]
        return self.signed(message, make_proposal(proposal.time, replayed))


class Oversize(Proposing):
    """Exceeds the bounds of a batch."""

    name = "oversize"
    does = "As primary it proposes more bytes or transactions than a proposal may have, or one that is too large."
    stopped_by = "Bounds are checked before anything is copied; a block leaves out what the genesis does not allow."
    shows = "A view change where the proposal is too large; an ordinary block where a single transaction is."
    takes = "bytes, count or payload; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self.choose_from("bytes", "count", "payload")

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        match self.choose_from("bytes", "count", "payload"):
            case "bytes":
                large = raw_proposal(cbor.encode_known([proposal.time, [bytes(MAX_PROPOSAL_BYTES)]]))
            case "count":
                large = raw_proposal(cbor.encode_known([proposal.time, [b""] * (MAX_BATCH_COUNT + 1)]))
            case _:
                payload = bytes(min(self.scene.genesis.max_payload_bytes + 1, MAX_PAYLOAD_BYTES))
                junk = () if self.scene.is_calm else (self.scene.transaction(payload),)
                large = make_proposal(proposal.time, (*junk, *proposal.transactions)[:MAX_BATCH_COUNT])
        return self.signed(message, large)


class MalformedProposals(Proposing):
    """Signs for bytes that are no proposal."""

    name = "malformed"
    does = "As primary it proposes bytes that have the digest it signed, but are no proposal; or none, or other bytes."
    stopped_by = f"{DOOR} A digest without its proposal is not prepared either."
    shows = "A view change; what came is counted as dropped."

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        make = self.scene.chance.choice((self._junk, self._torn, self._shapeless, self._foreign, self._bare))
        return make(message, proposal)

    def _junk(self, message: PrePrepare, _: Proposal) -> PrePrepare:
        return self.signed(message, raw_proposal(self.scene.chance.randbytes(self.scene.chance.randint(0, 200))))

    def _torn(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        return self.signed(message, raw_proposal(proposal.encoded[:-1]))

    def _shapeless(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        return self.signed(message, raw_proposal(cbor.encode_known([-1, [proposal.encoded], {}])))

    def _foreign(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        """A proposal, but not the one that it signed."""
        return replace(message, proposal=make_proposal(shifted(proposal.time, 1), proposal.transactions))

    def _bare(self, message: PrePrepare, _: Proposal) -> PrePrepare:
        return replace(message, proposal=None)


class BadTime(Proposing):
    """Dates its proposals wrongly."""

    name = "bad-time"
    does = "As primary it dates its proposals far back, far ahead, or as far off as is just accepted."
    stopped_by = "A backup compares the time with its own clock; a block's time is never before the last one's (§4.2)."
    shows = "A view change where the time is far off; blocks with times in order in any case."
    takes = "past, future or inside; by chance without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self.choose_from("past", "future", "inside")

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        skew = self.scene.settings.clock_skew_ms
        oldest = -skew - self.scene.settings.timeout_cap_ms
        match self.choose_from("past", "future", "inside"):
            case "past":
                by = oldest - 5_000
            case "future":
                by = skew + self.scene.chance.choice((5_000, 3_600_000))
            case _:
                by = self.scene.chance.choice((oldest + 500, skew - 1))
        return self.signed(message, make_proposal(shifted(proposal.time, by), proposal.transactions))


class Ahead(Behaviour):
    """Assigns numbers that nobody can use yet."""

    name = "ahead"
    does = "As primary it also assigns its proposals to sequence numbers beyond the window."
    stopped_by = "The high watermark: a pre-prepare is accepted only for h < n ≤ H (§4.2)."
    shows = "No view change, and logs that do not grow."

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        yield message
        if isinstance(message, PrePrepare) and message.replica == self.scene.me:
            high = self.scene.state.high + self.scene.settings.window
            for seq in (high + self.scene.chance.randint(1, 1_000), MAX_NUMBER):
                yield self.scene.sign(replace(message, seq=Seq(seq)))


class Gaps(Proposing):
    """Leaves a number out."""

    name = "gaps"
    does = "As primary it numbers its proposals one too high, so that one number before them is never used."
    stopped_by = f"Blocks are executed in the order of their numbers. {TIMERS} It fills the gap with a null request."
    shows = "A view change, an empty block, and the transactions after it."

    def other(self, message: PrePrepare, proposal: Proposal) -> PrePrepare:
        return self.scene.sign(replace(message, seq=Seq(message.seq + 1)))


class Slow(Behaviour):
    """Takes as much time as it is given."""

    name = "slow"
    does = "As primary it holds each proposal back for a part of the request time-out: nine tenths, or as it is told."
    stopped_by = (
        "Backups compare how long it lets wait what they passed on with how long agreement takes without it, and "
        "clients let them pass on a share; what it has known for 2T is to be settled in any case (§4.4)."
    )
    shows = (
        "All transactions commit; if they come soon enough after one another, there is a view change within seconds."
    )
    takes = "the delay in percent of the request time-out, at most 1000; 90 without it"

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        percent = self.number(90, most=1_000)
        self._delay = Millis(percent * scene.settings.request_timeout_ms // 100)

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        return self._delay if isinstance(message, PrePrepare) else Millis(0)


class Blindfold(Slow):
    """Takes its time, and lets nobody look when it would be noticed."""

    name = "blindfold"
    does = (
        "As primary it delays each proposal by half the request time-out, withholds every second one from one backup, "
        "and has it certified just before that backup's tick, so that it lags when it would judge its primary."
    )
    stopped_by = (
        "Who lags at a tick judges when it executes the next block that was decided there and is level; and keeps what "
        "it has measured (NSDI'09)."
    )
    shows = "As for slow: a view change within seconds."
    takes = (
        "how many milliseconds before it hears of a tick its CHECKPOINT is to leave, twice the way there and somewhat "
        "more; at most 100; 12 without it"
    )
    is_heavy = True

    def __init__(self, scene: Scene, argument: str = "") -> None:
        Behaviour.__init__(self, scene, argument)
        self._delay = Millis(scene.settings.request_timeout_ms // 2)
        self._lead = self.number(12, most=100)
        self._heard_at: dict[ReplicaId, Millis] = {}
        self._leaves_at: dict[Seq, Millis] = {}

    def heard(self, sender: ReplicaId, message: Message) -> Iterable[Frame]:
        if isinstance(message, Status):
            self._heard_at[sender] = self.scene.now
        return ()

    def to_peer(self, to: ReplicaId, message: Message) -> Iterable[Message | bytes]:
        if not self.scene.state.is_primary:
            return (message,)
        is_withheld = isinstance(message, PrePrepare) and self._victim(message.seq) == to
        return () if is_withheld or isinstance(message, Stable | Blocks) else (message,)

    def delay(self, to: ReplicaId, message: Message) -> Millis:
        if not isinstance(message, Checkpoint) or not self.scene.state.is_primary:
            return super().delay(to, message)
        if (victim := self._victim(message.seq)) is None:
            return Millis(0)
        leaves_at = self._leaves_at.setdefault(message.seq, self._before_the_tick_of(victim))
        return Millis(max(leaves_at - self.scene.now, 0))

    def _victim(self, seq: Seq) -> ReplicaId | None:
        others = self.scene.others
        return others[seq // 2 % len(others)] if seq % 2 else None

    def _before_the_tick_of(self, victim: ReplicaId) -> Millis:
        """When its CHECKPOINT should leave: time enough from now on for the others to have executed the block."""
        now, interval = self.scene.now, self.scene.settings.status_interval_ms
        at = self._heard_at.get(victim, now) - self._lead
        ticks = -(-(now + self._lead - at) // interval)
        return Millis(at + max(ticks, 0) * interval)


class BusyCensor(Behaviour):
    """Orders what it likes, and nobody can say that it does too little."""

    name = "busy-censor"
    does = "As primary it takes nothing from clients nor from what others pass on, and orders full batches of its own."
    stopped_by = (
        "What is passed on has its turn: no work excuses a longer wait than an honest primary's turns can make, and a "
        "new primary takes over (§4.4)."
    )
    shows = "A view change after some ten megabytes of its own; then every client's transaction."
    is_heavy = True

    def takes_request(self, route: bytes, request: Request) -> bool:
        return not self.scene.state.is_primary

    def hears(self, sender: ReplicaId, frame: bytes) -> bool:
        return not self.scene.state.is_primary or frames.number_of(frame) != RELAY

    def to_client(self, route: bytes, reply: Reply) -> Iterable[Reply | bytes]:
        return () if route == OWN_ROUTE else (reply,)

    def tick(self) -> Iterable[Frame]:
        scene = self.scene
        if scene.state.is_primary and not scene.is_calm and not len(scene.state.pool):
            for transaction in self._batch():
                # It is a client of its own core, which orders honestly what it gets.
                frame = client_wire.encode(Submit(request_id=1, transaction=transaction.encoded))
                scene.engine.on_client(OWN_ROUTE, frame, scene.now)
        return ()

    def _batch(self) -> Iterable[Transaction]:
        """A full one of `put`s, by its bytes or by its count; of another application than `kv` its core takes none."""
        settings, most = self.scene.settings, self.scene.genesis.max_payload_bytes
        count = min(settings.batch_count, OWN_PER_BATCH)
        size = min(settings.batch_bytes // count - ENVELOPE_BYTES, most, MAX_VALUE_BYTES) - PUT_BYTES
        payload = cbor.encode(["put", b"busy", bytes(max(size, 0))])
        return [self.scene.transaction(payload) for _ in range(count)]


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (
    Censor,
    Reorder,
    ForgeRequests,
    ReplayRequests,
    Oversize,
    MalformedProposals,
    BadTime,
    Ahead,
    Gaps,
    Slow,
    Blindfold,
    BusyCensor,
)
