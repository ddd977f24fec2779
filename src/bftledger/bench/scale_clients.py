"""The clients of a group on virtual time: one program with many keys on the session that real clients use.

Each key has one transaction under way at most. Every receipt is verified. The program's rounds take as long as they
took to run, or no time at all.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple

from bftledger.apps.load import load_machine
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis
from bftledger.base.transaction import NONCE_BYTES, sign
from bftledger.bench.payloads import make_payloads
from bftledger.bench.scale_costs import Costs
from bftledger.bench.scale_host import CLIENTS, START, Cores, Host, Incoming, Outgoing, Post, Spent
from bftledger.ledger.asking import Timing
from bftledger.ledger.outcome import Outcome
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.session import Action, Done, Session
from bftledger.sim.timeline import Timeline

LIFETIME_MS: Final = 60_000
TIMEOUT_MS: Final = 30_000


class Answer(NamedTuple):
    """A transaction that is over: which client's, when it began and ended (microseconds), and what became of it."""

    client: int
    begun_us: int
    done_us: int
    outcome: Outcome


class Program(Host):
    """`wants`: what clients are to submit next; whoever adds to it calls `go`. `answers`: of all, in their order."""

    def __init__(
        self,
        genesis: Genesis,
        costs: Costs,
        *,
        clients: int,
        size: int,
        seed: int,
        detours: bool,
        is_free: bool,
        timeline: Timeline,
        cores: Cores,
        post: Post,
        patience_ms: Millis,
    ) -> None:
        """`size`: bytes of a payload. `detours`: some transactions go by another replica than the primary, as usual."""
        super().__init__(CLIENTS, timeline, cores, post)
        chance = Random(f"clients {seed}")
        self._genesis = genesis
        self._costs = costs
        self._is_free = is_free
        self._chance = chance
        self._payloads = make_payloads(size, 1, chance)
        self._signers = [Ed25519Signer(chance.randbytes(32)) for _ in range(clients)]
        self.session: Final = Session(
            Proofs(genesis, load_machine(genesis.app, {}), Ed25519Verifier()),
            Timing(patience_ms=patience_ms),
            Random(f"routes {seed}").random if detours else None,
        )
        self.wants: Final[deque[int]] = deque()
        self.answers: Final[list[Answer]] = []
        self.on_answer: Callable[[Answer], None] = lambda _: None
        """Called for each answer; may add to `wants`."""
        self._arrived: deque[Incoming] = deque()
        self._under_way: dict[int, tuple[int, int]] = {}
        self._outbox: list[Outgoing] = []
        self._found: list[tuple[int, Outcome]] = []
        self._wakes_at: Millis | None = None

    @property
    def has_work(self) -> bool:
        return bool(self._arrived or self.wants) or self._is_due

    @property
    def _now_ms(self) -> Millis:
        return Millis(self._timeline.now // 1_000)

    @property
    def _is_due(self) -> bool:
        due = self.session.due
        return due is not None and due <= self._now_ms

    def take_in(self, arrived: Sequence[Incoming]) -> None:
        self._arrived.extend(arrived)
        self.go()

    def work(self) -> Spent:
        arrived, self._arrived = self._arrived, deque()
        begun = time.process_time_ns()
        for source, frame in arrived:
            self._perform(self.session.receive(self._genesis.group.replicas[source], frame, self._now_ms))
        if self._is_due:
            self._perform(self.session.tick(self._now_ms))
        while self.wants:
            self._submit(self.wants.popleft())
        took = time.process_time_ns() - begun
        frames = [*(item.frame for item in arrived), *(item.frame for item in self._outbox)]
        if self._is_free:
            return Spent(measured_us=0.0, transport_us=0.0)
        transport_us = self._costs.transport_us(len(frames), sum(map(len, frames)))
        return Spent(measured_us=took / 1_000, transport_us=transport_us)

    def finish(self) -> Sequence[Outgoing]:
        found, self._found = self._found, []
        for request_id, outcome in found:
            client, begun = self._under_way.pop(request_id)
            answer = Answer(client, begun, self._timeline.now, outcome)
            self.answers.append(answer)
            self.on_answer(answer)
        due = self.session.due
        if due is not None and due != self._wakes_at:
            self._wakes_at = due
            self._timeline.at(1_000 * due, self.go)
        outbox, self._outbox = self._outbox, []
        return outbox

    def _submit(self, client: int) -> None:
        created = Millis(START + self._now_ms)
        transaction = sign(
            self._signers[client],
            self._genesis.genesis_hash,
            nonce=self._chance.randbytes(NONCE_BYTES),
            created=created,
            expires=Millis(created + LIFETIME_MS),
            payload=self._chance.choice(self._payloads),
        )
        asking = self.session.submission(transaction, TIMEOUT_MS)
        self._under_way[asking.request_id] = (client, self._timeline.now)
        self._perform(self.session.begin(asking, self._now_ms))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Done):
                self._found.append((action.request_id, action.answer))
            else:
                self._outbox.append(Outgoing(action.replica, action.frame))
