"""Clients of a run: the same sessions that programs use (`ledger.session`), each with one operation after the other.

A transaction whose outcome is not final is submitted again until it is. Some clients forget one, as a program does that
ends too early, and ask later what became of it. What was invoked, when, and what came back is kept for the oracles.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from bftledger.apps.kv import Entry, KeyValue
from bftledger.base import cbor
from bftledger.base.crypto import Signer
from bftledger.base.ids import Digest, Millis, ReplicaId, Seq
from bftledger.base.transaction import NONCE_BYTES, Transaction, sign
from bftledger.ledger.asking import Asking
from bftledger.ledger.client_messages import AskHeight, BlockReply, HeightReply, Query, QueryReply, Reply
from bftledger.ledger.outcome import Outcome, State
from bftledger.ledger.question import Answers
from bftledger.ledger.session import Action, Done, Session
from bftledger.sim.calls import Asked, Call
from bftledger.sim.host import START_MS
from bftledger.sim.plan import Work

TIMEOUT_MS: Final = 4_000
"""A session tries so long; then the client asks again."""

AGAIN_MS: Final = 50

FORGETS_AFTER_MS: Final = (5, 50, 1_000)
"""Who forgets a transaction does so in the midst of it, or when it is over."""


class World(Protocol):
    """What a client needs of the world around it."""

    now: int

    def to_replica(self, client: int, replica: ReplicaId, frame: bytes) -> None:
        """Sends a request."""
        ...

    def wake(self, client: "Client", at: int) -> None:
        """Calls `client.woken` at that time, microseconds."""
        ...


@dataclass(slots=True, eq=False)
class Client:
    """One client. It begins with the first `woken`."""

    number: int
    world: World
    session: Session
    signer: Signer
    genesis_hash: Digest
    machine: KeyValue
    work: Work
    chance: Random
    calls: list[Call] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    is_done: bool = False
    _waiting: dict[int, Call | Asked] = field(default_factory=dict)
    _agenda: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    """What is to be done, and when."""
    _open: int = 0
    """How many calls have no answer."""
    _versions: dict[bytes, int] = field(default_factory=dict)
    _due: int = -1
    _next_at: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has nothing more to do, and all answers."""
        return self.is_done and not self._waiting and not self._agenda

    # ── what the world calls ──

    def woken(self) -> None:
        """The time that it asked for has come."""
        self._due = -1
        now = self.world.now
        self._perform(self.session.tick(_ms(now)))
        agenda, self._agenda = self._agenda, []
        for at, action in agenda:
            if at <= now:
                action()
            else:
                self._agenda.append((at, action))
        if not self._open and not self.is_done and now >= self._next_at:
            self._next_calls()
        self._sleep()

    def receive(self, replica: ReplicaId, frame: bytes) -> None:
        """A reply."""
        self._perform(self.session.receive(replica, frame, _ms(self.world.now)))
        self._sleep()

    # ── operations ──

    def _next_calls(self) -> None:
        for _ in range(self.work.burst):
            if len(self.calls) == self.work.operations:
                self.is_done = True
                return
            call = self._draw()
            self.calls.append(call)
            self._open += 1
            call.since = call.invoked
            if call.kind == "get":
                self._ask_height(call)
            else:
                call.transaction = self._sign(call)
                forgets = self.chance.random() < self.work.forgets
                number = self._submit(call)
                if forgets:
                    self._in(self.chance.choice(FORGETS_AFTER_MS), partial(self._forget, call, number))

    def _draw(self) -> Call:
        chance = self.chance
        key = b"key %d" % chance.randrange(self.work.keys)
        now = self.world.now
        if chance.random() < self.work.reads:
            return Call(self.number, "get", key, now)
        kind = ("put", "put", "put", "cas", "cas", "delete")[chance.randrange(6)]
        version = self._versions.get(key, 0) if kind == "cas" else 0
        value = b"value %d of client %d" % (len(self.calls), self.number)
        return Call(self.number, kind, key, now, value.ljust(self.work.payload_bytes, b"."), version)

    def _sign(self, call: Call) -> Transaction:
        created = Millis(START_MS + self.world.now // 1_000)
        words: list[Any] = [call.kind, call.key]
        if call.kind == "cas":
            words.append(call.version)
        if call.kind != "delete":
            words.append(call.value)
        return sign(
            self.signer,
            self.genesis_hash,
            nonce=len(self.calls).to_bytes(NONCE_BYTES, "big"),
            created=created,
            expires=Millis(created + self.work.lifetime_ms),
            payload=cbor.encode(words),
        )

    def _submit(self, call: Call) -> int:
        """Returns the request's number."""
        assert call.transaction is not None, "writes have transactions"
        return self._begin(self.session.submission(call.transaction, TIMEOUT_MS), call)

    def _submit_again(self, call: Call) -> None:
        if call.returned is not None:
            return  # it has asked meanwhile, and knows
        if call.is_forgotten:
            call.is_forgotten, call.since = False, self.world.now
        self._submit(call)

    def _forget(self, call: Call, number: int) -> None:
        """Whether it has an answer or not, it is asked for later."""
        if self._waiting.pop(number, None) is not None:
            self.session.forget(number)
            call.is_forgotten = True
        self._in(self.chance.choice(FORGETS_AFTER_MS), partial(self._ask_fate, call))

    def _ask_fate(self, call: Call) -> None:
        assert call.transaction is not None, "writes have transactions"
        asked = Asked(call, self.world.now)
        self.asked.append(asked)
        with self._anybody_first():
            question = self.session.fate(call.transaction.id, TIMEOUT_MS)
        self._begin(question, asked)

    def _ask_height(self, call: Call) -> None:
        """A linearizable read: what height do a quorum know of, and then what is there (docs/protocol.md)."""
        proofs = self.session.proofs

        def judge(_: ReplicaId, reply: Reply) -> Seq | None:
            return proofs.height(reply, Seq(0)).height if isinstance(reply, HeightReply | BlockReply) else None

        request = AskHeight(request_id=self.session.next_id(), minimum=Seq(0))
        quorum = proofs.genesis.group.quorum
        self._begin(self.session.question(request, judge, TIMEOUT_MS, quorum), call)

    def _ask_value(self, call: Call, least: Seq) -> None:
        proofs = self.session.proofs

        def judge(_: ReplicaId, reply: Reply) -> QueryReply | None:
            return proofs.read(reply, call.key, least) if isinstance(reply, QueryReply) else None

        request = Query(request_id=self.session.next_id(), args=call.key, certified=True, minimum=least)
        with self._anybody_first():
            question = self.session.question(request, judge, TIMEOUT_MS)
        self._begin(question, call)

    @contextmanager
    def _anybody_first(self) -> Iterator[None]:
        """What is asked meanwhile goes to any replica: the primary would nearly always know it."""
        route = self.session.route
        usual, route.preferred = route.preferred, self.chance.choice(route.group.replicas)
        yield
        route.preferred = usual

    # ── answers ──

    def _answered(self, call: Call, answer: Outcome | Answers[Any]) -> None:
        if isinstance(answer, Outcome):
            if call.returned is None:
                self._learned(call, answer)
        elif not answer.complete:
            self._ask_height(call)
        else:
            found = list(answer.found.values())
            if isinstance(found[0], QueryReply):
                self._finish(call)
                call.height = found[0].height
                call.found = None if found[0].value is None else Entry.decode(found[0].value)
                self._versions[call.key] = call.found.version if call.found else 0
            else:
                self._ask_value(call, max(found))

    def _told(self, asked: Asked, outcome: Outcome) -> None:
        """What it has forgotten and is not final is submitted again: whatever a replica says is no reason to wait."""
        asked.told, asked.outcome = self.world.now, outcome
        call = asked.call
        if call.returned is None and (outcome.final or call.is_forgotten):
            self._learned(call, outcome)

    def _learned(self, call: Call, outcome: Outcome) -> None:
        if not outcome.final:
            self._in(max(AGAIN_MS, outcome.retry_ms), partial(self._submit_again, call))
            return
        self._finish(call)
        call.outcome = outcome
        if outcome.state is State.COMMITTED:
            result = cbor.decode(outcome.value) if outcome.value else [0]
            self._versions[call.key] = result[0]

    def _finish(self, call: Call) -> None:
        call.returned = self.world.now
        self._open -= 1
        self._next_at = self.world.now + self.chance.randrange(1_000 * self.work.think_ms + 1)

    # ── the session ──

    def _begin(self, asking: Asking[Any], waiting: Call | Asked) -> int:
        self._waiting[asking.request_id] = waiting
        self._perform(self.session.begin(asking, _ms(self.world.now)))
        return asking.request_id

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Done):
                waiting = self._waiting.pop(action.request_id)
                if isinstance(waiting, Asked):
                    self._told(waiting, action.answer)
                else:
                    self._answered(waiting, action.answer)
            else:
                self.world.to_replica(self.number, action.replica, action.frame)

    def _in(self, after_ms: int, action: Callable[[], None]) -> None:
        self._agenda.append((self.world.now + 1_000 * after_ms, action))

    def _sleep(self) -> None:
        due = min(self._wanted(), default=None)
        if due is not None and (self._due < 0 or due < self._due):
            self._due = max(due, self.world.now)
            self.world.wake(self, self._due)

    def _wanted(self) -> Iterator[int]:
        if self.session.due is not None:
            yield 1_000 * self.session.due
        yield from (at for at, _ in self._agenda)
        if not self._open and not self.is_done:
            yield self._next_at


def _ms(now: int) -> Millis:
    return Millis(now // 1_000)
