"""A client's conversation with its group, without I/O: many questions at once, frames in, frames and answers out.

Whoever has sockets and a clock, or a simulator, calls `begin`, `receive` and `tick` and performs what they return:

    actions = session.begin(session.submission(transaction, timeout_ms), now)
    actions = session.receive(replica, frame, now)
    actions = session.tick(now)                       # once `session.due` has come

Replies are hostile until proven. What is malformed, or proves nothing, is counted in `dropped` and never raises.
"""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple, TypeVar

from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.ids import Millis, ReplicaId, TxId
from bftledger.base.transaction import Transaction
from bftledger.ledger.asking import Ask, Asking, Route, Timing
from bftledger.ledger.client_messages import AskStatus, Committed, Reply, Request, StatusReply
from bftledger.ledger.client_wire import decode_reply, encode
from bftledger.ledger.proofs import Proofs
from bftledger.ledger.question import Judge, Question
from bftledger.ledger.submission import FateQuestion, Submission

A = TypeVar("A")

_OWN_QUESTION: Final = 1
"""The request id of the session's own questions after the view."""

_WRONG: Final = (Malformed, BadSignature, BadProof)


class Send(NamedTuple):
    """Send this frame to this replica. It may be lost: what matters is sent again."""

    replica: ReplicaId
    frame: bytes


class Done(NamedTuple):
    """The question of this request id has its answer."""

    request_id: int
    answer: Any


Action = Send | Done


class Session:
    """All that one client has under way. `now` is in milliseconds on one clock that does not go backwards.

    `chance`: numbers from 0 up to 1, by which some transactions make a detour (`asking.Route`).
    """

    def __init__(self, proofs: Proofs, timing: Timing | None = None, chance: Callable[[], float] | None = None) -> None:
        self.proofs: Final = proofs
        self.timing: Final = timing or Timing()
        self.route: Final = Route(proofs.genesis.group, chance)
        self.dropped: Final[Counter[str]] = Counter()
        """Replies that were not used: "malformed", "unproven" (they prove nothing, or not what they claim), "stray"
        (to nothing that is still asked: late ones, mostly)."""

        self._last_id = _OWN_QUESTION
        self._open: Final[dict[int, Asking[Any]]] = {}
        self._agenda: Final[list[tuple[Millis, int]]] = []
        """When to look at which question: a heap; entries of those that moved or are over do no harm."""

    # ── what can be asked ────────────────────────────────────────────────────────────────────────────────────────

    def next_id(self) -> int:
        """A request id that was not used before."""
        self._last_id += 1
        return self._last_id

    def submission(self, transaction: Transaction, timeout_ms: int) -> Submission:
        """To be begun: the submission of a transaction."""
        return Submission(self.next_id(), transaction, self.proofs, self.route, self.timing, timeout_ms)

    def fate(self, tx_id: TxId, timeout_ms: int) -> FateQuestion:
        """To be begun: the question what became of it."""
        return FateQuestion(self.next_id(), tx_id, self.proofs, self.route, self.timing, timeout_ms)

    def question(self, request: Request, judge: Judge[A], timeout_ms: int, needed: int = 1) -> Question[A]:
        """To be begun: any other; `request` bears an id of `next_id`."""
        return Question(request, judge, self.route, self.timing, timeout_ms, needed)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def due(self) -> Millis | None:
        """When to call `tick` next; None while nothing is asked."""
        return self._agenda[0][0] if self._agenda else None

    @property
    def open(self) -> int:
        """How many questions have no answer yet."""
        return len(self._open)

    def begin(self, asking: Asking[Any], now: Millis) -> list[Action]:
        """Asks it."""
        self._open[asking.request_id] = asking
        actions = self._settle(asking, asking.begin(now))
        return actions + self._refresh(now)

    def forget(self, request_id: int) -> None:
        """Nobody wants the answer any more. May be called for a question that has one."""
        self._open.pop(request_id, None)

    def receive(self, replica: ReplicaId, frame: bytes, now: Millis) -> list[Action]:
        """A frame came from this replica."""
        try:
            reply = decode_reply(frame)
        except Malformed:
            self.dropped["malformed"] += 1
            return []
        if isinstance(reply, Committed):
            return self._receive_committed(replica, reply, now)
        if isinstance(reply, StatusReply):
            self.route.status(replica, reply.view)
            if reply.request_id == _OWN_QUESTION:
                return []
        asking = self._open.get(reply.request_id)
        if asking is None:
            self.dropped["stray"] += 1
            return []
        return self._hear(asking, replica, reply, now)

    def tick(self, now: Millis) -> list[Action]:
        """Time has passed: asks again and gives up where that is due."""
        actions: list[Action] = []
        while self._agenda and self._agenda[0][0] <= now:
            _, request_id = heappop(self._agenda)
            asking = self._open.get(request_id)
            if asking is not None:
                actions += self._settle(asking, asking.tick(now))
        return actions + self._refresh(now)

    def _hear(self, asking: Asking[Any], replica: ReplicaId, reply: Reply, now: Millis) -> list[Action]:
        try:
            asks = asking.heard(replica, reply, now)
        except _WRONG:
            self.dropped["unproven"] += 1
            asks = asking.lied(replica, now)
        return self._settle(asking, asks)

    def _receive_committed(self, replica: ReplicaId, frame: Committed, now: Millis) -> list[Action]:
        mine = []
        for item in frame.items:
            asking = self._open.get(item.request_id)
            if isinstance(asking, Submission):
                mine.append((asking, item))
            else:
                self.dropped["stray"] += 1
        if not mine:
            return []
        actions: list[Action] = []
        try:
            self.proofs.header(frame.header, frame.certificate)
        except _WRONG:
            self.dropped["unproven"] += 1
            for asking, _ in mine:
                actions += self._settle(asking, asking.lied(replica, now))
            return actions
        for asking, item in mine:
            if asking.answer is not None:
                continue  # one of two items has answered it
            asks: list[Ask] = []
            try:
                asking.committed(replica, frame, item, now)
            except _WRONG:
                self.dropped["unproven"] += 1
                asks = asking.lied(replica, now)
            actions += self._settle(asking, asks)
        return actions

    # ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self, asking: Asking[Any], asks: list[Ask]) -> list[Action]:
        """What a question wants now; it is over if it has its answer, and put on the agenda if not."""
        if asking.answer is not None:
            self._open.pop(asking.request_id, None)
            return [Done(asking.request_id, asking.answer)]
        if asking.scheduled != asking.due:
            asking.scheduled = asking.due
            heappush(self._agenda, (asking.due, asking.request_id))
        return _frames(asks)

    def _refresh(self, now: Millis) -> list[Action]:
        """Asks who the primary is, when there is reason to."""
        at = self.route.refresh_at
        if at is None or now < at:
            return []
        self.route.refreshing()
        request = AskStatus(request_id=_OWN_QUESTION)
        return _frames([Ask(replica, request) for replica in self.route.group.replicas])


def _frames(asks: list[Ask]) -> list[Action]:
    """A request to several replicas is encoded once."""
    actions: list[Action] = []
    request, frame = None, b""
    for ask in asks:
        if ask.request is not request:
            request, frame = ask.request, encode(ask.request)
        actions.append(Send(ask.replica, frame))
    return actions
