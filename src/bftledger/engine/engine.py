"""The engine: performs the core's effects on a store and a ledger, and says what to send.

A round: any number of `on_…` calls, then one `end_round`, which makes everything durable and only then hands out what
was to be sent. Nothing of a round leaves before its commit ("disk before promise").
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, assert_never

from bftledger.apps.machine import Rejected, StateMachine
from bftledger.base.crypto import Signer, Verifier
from bftledger.base.errors import BadProof, BadSignature, BftLedgerError, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, ReplicaId, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.engine.aside import Stopwatch, Taken, stopped
from bftledger.engine.desk import Desk
from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.opening import NOT_AHEAD, genesis_block_hash, open_ledger
from bftledger.engine.work import WORK_PER_ROUND
from bftledger.ledger.block import Block
from bftledger.ledger.chain import verify_segment, verify_way
from bftledger.ledger.executor import Executed
from bftledger.pbft import wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.effects import (
    Broadcast,
    Convict,
    Deliver,
    Discard,
    Effect,
    Halt,
    Ignore,
    Ignored,
    Install,
    Persist,
    ReadBlocks,
    Refuse,
    Remember,
    Send,
    StartTimer,
    StopTimer,
)
from bftledger.pbft.events import (
    BlocksRead,
    Delivered,
    Event,
    Installed,
    InstallFailed,
    Received,
    Started,
    Submitted,
    TimerFired,
    Withdrawn,
)
from bftledger.pbft.evidence import Evidence
from bftledger.pbft.memory import SPAN
from bftledger.pbft.messages import Blocks, CheckpointCertificate, Message, NewView, Proposal, Relay
from bftledger.pbft.replica import Replica
from bftledger.pbft.rooms import CLIENTS, Load
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import Timer
from bftledger.storage.recall import recall_certificate, recall_evidence, recall_recent, recall_votes
from bftledger.storage.store import Store, Vote

BLOCKS_PER_ANSWER: Final = 64
BYTES_PER_ANSWER: Final = 2 * 1024 * 1024


class Halted(BftLedgerError):
    """The replica contradicts a quorum and must stop; the text says how.

    Its store is as it was before the round, but for evidence that the round found. `last_words`: frames that may still
    be sent, and should be; they promise nothing.
    """

    def __init__(self, reason: str, last_words: Sequence[tuple[ReplicaId, bytes]] = ()) -> None:
        super().__init__(reason)
        self.last_words = tuple(last_words)


@dataclass(slots=True)
class Round:
    """What a committed round wants done, in this order."""

    timers: list[StartTimer | StopTimer] = field(default_factory=list)
    to_peers: list[tuple[ReplicaId, bytes]] = field(default_factory=list)
    to_clients: list[tuple[bytes, bytes]] = field(default_factory=list)
    to_end: list[bytes] = field(default_factory=list)
    """Connections of clients that have nothing more to say here (`forgers`)."""
    has_more: bool = False
    """Clients' requests are left: the next round should begin at once, after what peers and timers have for it."""
    owes_receipts: bool = False
    """Some of that are answers to those whose transactions are in a certified block, or will be in none."""
    is_ordering: bool = False
    """It promised something: a vote or a block."""
    waits_for_lookup: bool = False
    """There is nothing for the next round to do, unless it looks up old blocks."""
    aside: Taken = field(default_factory=Taken)
    """What it took for clients beside new transactions."""


class Engine:
    """One replica: feed it frames and timers, end the round, do what the round says."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        me: ReplicaId,
        signer: Signer,
        verifier: Verifier,
        settings: Settings,
        machine: StateMachine,
        store: Store,
        door: Authenticator | None = None,
        stopwatch: Stopwatch = stopped,
    ) -> None:
        """Opens the ledger of `store` and recovers the core from it. Raises `StoreError`: then it must not vote.

        `door`: what turns frames into messages, if it is not to be one of its own. `stopwatch`: by which rounds say
        what clients took; nothing else depends on it.
        """
        self.me = me
        self.genesis = genesis
        self._settings = settings
        self.store = store
        self.ledger = open_ledger(genesis, machine, store)
        self.door = door or Authenticator(genesis.group, verifier)
        self.replica = Replica(
            me,
            genesis.group,
            signer,
            settings,
            genesis_block=genesis_block_hash(self.ledger),
            ahead_ms=Millis(genesis.max_skew_ms - settings.clock_skew_ms),
        )
        recall = Authenticator(genesis.group, verifier)
        self.replica.recover(
            recall_votes(store, recall),
            executed=self.ledger.tip.height,
            executed_hash=self.ledger.tip.hash,
            certificate=recall_certificate(store, recall),
            recent=recall_recent(store, recall, SPAN),
            evidence=recall_evidence(store, genesis.group, verifier),
        )
        self.desk = Desk(
            genesis=genesis,
            store=store,
            ledger=self.ledger,
            replica=self.replica,
            door=self.door,
            stopwatch=stopwatch,
        )
        self._longest_way = max(BLOCKS_PER_ANSWER, settings.window)
        self.ignored: Counter[Ignored] = Counter()
        self.dropped: Counter[str] = Counter()
        """Frames that were no messages, by the error that said so."""
        self._others = [i for i in genesis.group.replicas if i != me]
        self._round = Round()
        self._discard = Seq(0)
        self._read_for: set[ReplicaId] = set()
        """Whose FETCH-BLOCKS this round has answered; who asks again in it waits, and nobody waits for another."""
        self._admitted: set[TxId] = set()
        """What clients submitted in this round: it needs no second look when it is passed on."""
        self._has_promised = False
        self._convictions: list[Evidence] = []
        """What this round found."""
        self._halted: Halted | None = None

    # ── input ──

    def start(self, now: Millis) -> None:
        """The first event of a run."""
        self.desk.questions.started(now)
        self._step(Started(), now)

    def on_peer(self, replica: ReplicaId, frame: bytes, now: Millis) -> None:
        """A frame that `replica` handed over: the transport proves that much. Whatever is wrong with it is counted.

        Whoever hands over a message must have signed it, or an old one, kept and brought again by another, would pass
        for what its sender has to say now. Only a NEW-VIEW is passed on by all.
        """
        try:
            message = self.door.authenticate(frame, partial(self._is_wanted, replica, len(frame)))
        except (Malformed, BadProof, BadSignature) as error:
            self.dropped[type(error).__name__] += 1
            return
        if message is None:
            return
        self.desk.questions.heard(replica, now)
        if isinstance(message, Relay):
            fresh = self._fresh(message.transactions, now)
            self.replica.relayed_in_vain(replica, len(message.transactions) - len(fresh))
            message = replace(message, transactions=fresh)
        self._step(Received(message), now)

    def on_client(self, route: bytes, frame: bytes, now: Millis) -> None:
        """A frame from a client, to be looked at in its turn when a round ends."""
        self.desk.on_frame(route, frame, now)

    def on_timer(self, timer: Timer, now: Millis) -> None:
        """A timer ran out that an earlier round started; nothing, if this round has stopped it or started it anew."""
        if any(_timer_class(effect) is type(timer) for effect in self._round.timers):
            self.ignored[Ignored.STALE_TIMER] += 1
            return
        self._step(TimerFired(timer), now)

    def end_round(self, now: Millis, work: int = WORK_PER_ROUND, lookups: int = MAX_FRAMES) -> Round:
        """Makes the round durable and returns what it wants done.

        `work`: what may be spent on clients' requests (`work.py`); those that it does not cover wait. 0: all do, and
        reads that have waited as well. `lookups`: so many old blocks may be read for clients.

        Raises `StoreError` if the medium fails and `Halted` if the replica must not go on: nothing may be sent then,
        and no later round makes up for it.
        """
        if self._halted is not None:
            raise self._halted
        self.desk.serve(now, work, lookups)
        submitted = self.desk.take_submitted()
        if submitted:
            self._admitted = {tx.id for tx in submitted}
            self._step(Submitted(submitted), now)
            self._admitted.clear()
        self._round.is_ordering = self._has_promised
        if self._has_promised:
            if self._discard:
                self.store.discard_votes(self._discard)
                self._discard = Seq(0)
            self.store.commit()
            self._has_promised = False
            self._convictions.clear()
        finished, self._round = self._round, Round()
        self._read_for.clear()
        finished.to_clients += self.desk.take_answers()
        finished.to_end = self.desk.forgers.take_new()
        finished.has_more = self.desk.has_more
        finished.waits_for_lookup = self.desk.waits_for_lookup
        finished.owes_receipts = self.desk.owes_receipts
        finished.aside = self.desk.take_aside()
        return finished

    def counters(self) -> dict[str, int]:
        """What was refused, dropped or ignored so far and why, for whoever looks for a cause; never a zero."""
        counted = (
            ("ignored", {reason.name.lower(): count for reason, count in self.ignored.items()}),
            ("dropped from peers", self.dropped),
            ("dropped from clients", self.desk.dropped),
            ("refused", self.desk.submissions.refused),
        )
        return {f"{what}: {why}": counts[why] for what, counts in counted for why in sorted(counts) if counts[why]}

    def close(self) -> None:
        """An orderly stop: what waited for a later commit is made durable. Raises `StoreError`."""
        self.store.commit()
        self.store.close()

    # ── the core ──

    def _is_wanted(self, replica: ReplicaId, size: int, message: Message) -> bool:
        if message.replica != replica and not isinstance(message, NewView):
            self.dropped["NotItsSender"] += 1
            return False
        reason = self.replica.refusal_of(replica, message, size)
        if reason is not None:
            self.ignored[reason] += 1
        return reason is None

    def _fresh(self, transactions: tuple[Transaction, ...], now: Millis) -> tuple[Transaction, ...]:
        """Those that may still be ordered: a peer may pass on what is in the ledger, or not admissible at all.

        A backup takes only what is admissible to every primary, by whose clock it may be `clock_skew_ms` earlier: or it
        would wait in vain, and accuse an honest one.
        """
        ahead = self._ahead
        known = self.store.contains([tx.id for tx in transactions])
        return tuple(tx for tx in transactions if tx.id not in known and self._is_admissible(tx, now, ahead))

    @property
    def _ahead(self) -> Millis:
        """By so much this replica's clock may be ahead of the primary's, which has to take what this one takes."""
        return NOT_AHEAD if self.replica.state.is_primary else self._settings.clock_skew_ms

    def _is_admissible(self, transaction: Transaction, now: Millis, ahead: Millis) -> bool:
        try:
            self.ledger.admit(transaction, now, ahead=ahead)
        except Rejected:
            return False
        return True

    def _step(self, event: Event, now: Millis) -> None:
        """One event, and the events that performing its effects answers with, in order and before any other."""
        events = deque([event])
        while events:
            event = events.popleft()
            effects = self.replica.step(event, now)
            if isinstance(event, Installed):
                self.desk.on_forgotten()
            elif isinstance(event, Delivered):
                self.desk.on_delivered()
            if isinstance(event, Installed | Delivered):
                expired = self.replica.state.pool.expired(self.ledger.tip.time)
                if expired:  # a proposal tells what its own block leaves out, and nothing what only waits
                    self.desk.on_expired(expired)
                    events.append(Withdrawn(expired))
            elif isinstance(event, Withdrawn):
                self.desk.on_withdrawn(event.transactions)
            for effect in effects:
                answer = self._perform(effect, now)
                if answer is not None:
                    events.append(answer)

    def _perform(self, effect: Effect, now: Millis) -> Event | None:
        match effect:
            case Persist(CheckpointCertificate() as certificate):
                # No promise, and a quorum can give it again: it may wait for the next commit, and the client need not.
                self.store.save_certificate(certificate)
                self.desk.on_certificate()
            case Persist(record):
                assert isinstance(record, Vote)
                self._has_promised = True
                self.store.save_vote(record)
                if isinstance(record, NewView):
                    self.desk.on_forgotten()  # what only proposals of the view before had brought, and found no room
            case Discard(seq):
                self._discard = max(self._discard, seq)
            case Send(to, message):
                self._round.to_peers.append((to, wire.encode(message)))
                if isinstance(message, Relay):
                    return self._withdraw(message.transactions, now)
            case Broadcast(message):
                frame = wire.encode(message)
                self._round.to_peers += [(to, frame) for to in self._others]
                if isinstance(message, Relay):
                    return self._withdraw(message.transactions, now)
            case StartTimer() | StopTimer():
                self._round.timers.append(effect)
            case Deliver(seq, proposal):
                return self._execute(seq, proposal, now)
            case Install(blocks):
                return self._install(blocks)
            case ReadBlocks(to, first):
                return self._read(to, first)
            case Refuse(transaction, _):
                self.desk.on_no_room(transaction)
            case Ignore(reason):
                self.ignored[reason] += 1
            case Convict(evidence):
                self._has_promised = True  # no promise, but it should survive
                self._convictions.append(evidence)
                self.store.save_evidence(evidence)
            case Remember(seq, commits):
                self.store.save_decision(seq, commits)  # its block is saved in the same round
            case Halt(reason):
                raise self._halt(reason)
            case _:
                assert_never(effect)
        return None

    def _withdraw(self, transactions: tuple[Transaction, ...], now: Millis) -> Event | None:
        """Finds those among pending transactions that no peer would take: only this replica would wait for them.

        What its own clients submitted is too early for no other, unless a clock was set back, and will be in time.
        """
        passed_on = [tx for tx in transactions if tx.id not in self._admitted]
        known = self.store.contains([tx.id for tx in passed_on])
        origins = self.replica.state.pool.origins()
        settled = []
        for tx in passed_on:
            if origins.get(tx.id) == CLIENTS:
                will_do = self._is_admissible(tx, max(tx.created, now), NOT_AHEAD)
            else:
                will_do = self._is_admissible(tx, now, self._ahead)
            if tx.id in known or not will_do:
                settled.append(tx.id)
        return Withdrawn(tuple(settled)) if settled else None

    def _halt(self, reason: str) -> Halted:
        """Nothing of this round is kept or sent but what it found out about others."""
        self.store.abandon()
        for evidence in self._convictions:
            self.store.save_evidence(evidence)
        self.store.commit()
        frames = [wire.encode(message) for message in self.replica.last_words()]
        self._halted = Halted(reason, [(to, frame) for frame in frames for to in self._others])
        return self._halted

    # ── blocks ──

    def _execute(self, seq: Seq, proposal: Proposal, now: Millis) -> Event:
        executed = self.ledger.executor.execute(proposal)
        assert executed.block.height == seq, "blocks are decided in the order of their heights"
        self._save_block(executed)
        unsettled = self.ledger.unsettled(executed, proposal, now, ahead=self._settings.clock_skew_ms)
        self.desk.on_executed(executed, unsettled)
        settled = tuple(tx_id for tx_id in executed.ids if tx_id not in unsettled)
        return Delivered(seq, executed.block.hash, settled, _load(executed))

    def _save_block(self, executed: Executed) -> None:
        self._has_promised = True
        self.store.save_block(self.ledger.rows(executed))

    def _install(self, message: Blocks) -> Event:
        """Checks and executes fetched blocks.

        What proves them must be near: this replica keeps the certificate and none for the blocks below, and could not
        prove those to others if the way up to it were longer than an answer can be.
        """
        if len(message.blocks) + len(message.headers) > self._longest_way:
            self.dropped["TooLongAWay"] += 1
            return InstallFailed()
        try:
            blocks = verify_segment(self.ledger.tip, message.blocks, message.headers, message.certificate)
        except (BadProof, Malformed) as error:
            if self._is_contradicted_by(message):
                raise self._halt(f"the certified block after block {self.ledger.tip.height} follows another") from None
            self.dropped[type(error).__name__] += 1
            return InstallFailed()
        transactions: list[TxId] = []
        loads: list[Load] = []
        for block in blocks:
            try:
                executed = self.ledger.executor.replay(block)
            except BadProof as error:
                raise self._halt(f"{error}, though a quorum certified it: this replica differs from it") from None
            self._save_block(executed)
            self.desk.on_executed(executed, set())
            transactions += executed.ids
            loads.append(_load(executed))
        tip = self.ledger.tip
        return Installed(tip.height, tip.hash, tuple(transactions), tuple(loads), message.certificate)

    def _is_contradicted_by(self, message: Blocks) -> bool:
        """Whether these blocks, proven by their certificate, stand on another block than the newest here."""
        try:
            first, *rest = [Block.decode(data).header for data in message.blocks]
            verify_way(first, [*(header.encoded for header in rest), *message.headers], message.certificate)
        except (BadProof, Malformed):
            return False
        tip = self.ledger.tip
        return first.height == tip.height + 1 and first.previous != tip.hash

    def _read(self, to: ReplicaId, first: Seq) -> Event | None:
        """Blocks from `first` on, as many as one answer may have, up to the last of them that is certified.

        If none of them is, all of them, and headers up to the next that is.
        """
        if to in self._read_for:
            return None
        self._read_for.add(to)
        blocks = self.store.blocks(first, BLOCKS_PER_ANSWER, BYTES_PER_ANSWER)
        if not blocks:
            return None
        last = Seq(first + len(blocks) - 1)
        certified = self.store.last_certified(last)
        if certified is None or certified < first:
            certified = self.store.next_certified(last)
        if certified is None or certified > self.store.height():
            return None
        certificate = self.store.certificate(certified)
        assert certificate is not None, "certified heights have certificates"
        headers = self.store.headers(Seq(last + 1), certified) if certified > last else []
        return BlocksRead(to, first, tuple(blocks[: certified - first + 1]), tuple(headers), certificate)


def _load(executed: Executed) -> Load:
    """How much is in a block."""
    return Load(len(executed.transactions), sum([len(data) for data in executed.block.transactions]))


def _timer_class(effect: StartTimer | StopTimer) -> type[Timer]:
    return effect.timer if isinstance(effect, StopTimer) else type(effect.timer)
