"""How a client asks a group: one replica first, all of them when it is slow, wrong or busy, and again until a time-out.

The client's side of PBFT (OSDI'99 §4.1), with one difference: there a client needs f+1 equal replies, here one reply
with a proof will do, so nothing is lost by asking a single replica. Without I/O, clock and chance: who calls says
what the time is (milliseconds, on any clock that does not go backwards) and gets back what to send.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from bftledger.base.group import Group
from bftledger.base.ids import Millis, ReplicaId, View
from bftledger.ledger.client_messages import AskStatus, Busy, Reply, Request

A = TypeVar("A")

LEAST_RETRY_MS: Final = 20
"""No hint of a busy replica makes a client ask it more often."""

_REFRESH_MS: Final = 1_000
"""So long after a replica failed all are asked for the view: time enough for them to change it."""

_MOST_DOUBLINGS: Final = 6
"""A primary that fails again and again is given its next chance after a minute at most."""

_LEAST_SHARE: Final = 1 / 16
"""So many transactions go by another replica."""

_MOST_SHARE: Final = 1 / 2

_HOP_IS_NOTHING_MS: Final = 1_000
"""Where an answer takes so long, nobody would notice another hop. The share grows with it up to there."""

_ENOUGH: Final = 4
"""So many answers tell how fast a replica is."""

_CLEARLY: Final = 0.75
"""A replica is preferred that takes so much of the time of another, and `_CLEARLY_MS` less."""

_CLEARLY_MS: Final = 2

_LOOK_AGAIN_MS: Final = 5_000
"""Not more often are all asked for the view only because another replica was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When to turn to whom."""

    patience_ms: Millis = Millis(500)
    """The first replica has so long before all are asked."""

    resend_ms: Millis = Millis(1_000)
    """Then all are asked again so often."""

    probe_ms: Millis = Millis(500)
    """So long before the time-out every replica is asked whether it is there at all."""


class Ask(NamedTuple):
    """Send this request to this replica."""

    replica: ReplicaId
    request: Request


@dataclass(slots=True)
class _Pace:
    """How long one replica's answers took lately: milliseconds, each new one counts for an eighth."""

    mean_ms: float
    answers: int = 1


class Route:
    """Whom to ask first: the primary, as far as known; else whoever answered last. Shared by all that one client asks.

    It holds hints only. A wrong one costs a hop or a time-out.

    A primary that gets everything directly can delay it unseen: the backups know only what they pass on themselves. So
    a share of the transactions goes by another replica, drawn by chance: one in sixteen, and more where answers take
    longer and a hop less of that. And if those are answered clearly sooner, all go that way: so a primary must be as
    slow with what backups see, or its slowness hurts nobody.

    `chance`: numbers from 0 up to 1, drawn one for each transaction; without it no transaction makes a detour.
    """

    def __init__(self, group: Group, chance: Callable[[], float] | None = None) -> None:
        self.group = group
        self._chance = chance
        self._pace: dict[ReplicaId, _Pace] = {}
        """How fast which replicas are, as far as known in this view."""
        self._share = _LEAST_SHARE
        self._is_chosen = False
        """Whether who is preferred is that for being faster."""
        self._looked_at: Millis | None = None
        self.preferred = group.primary(View(0))
        self.refresh_at: Millis | None = Millis(0)
        """When the replicas should be asked for their view next; None: there is no reason to."""

        self._failed: set[ReplicaId] = set()
        self._forgivable: set[ReplicaId] = set()
        """Who failed, and will have another chance if it answers the question after the view."""

        self._failures = 0
        """How often whoever was asked first has failed since the primary last gave a proof."""

        self._views: dict[ReplicaId, View] = {}
        self._view = View(0)

    def failed(self, replica: ReplicaId, now: Millis) -> None:
        """It was silent for too long, or lied. The next one is asked first until somebody knows better."""
        self._failed.add(replica)
        if len(self._failed) == self.group.n:
            self._failed = {replica}
        if replica == self.preferred:
            self._is_chosen = False
            n = self.group.n
            following = [ReplicaId((replica + i) % n) for i in range(1, n)]
            self.preferred = next(other for other in following if other not in self._failed)
            self.refresh_at = Millis(now + (_REFRESH_MS << min(self._failures, _MOST_DOUBLINGS)))
            self._failures += 1

    def first(self) -> ReplicaId:
        """Whom to ask first for the next transaction."""
        if self._chance is None or (drawn := self._chance()) >= self._share:
            return self.preferred
        others = [other for other in self.group.replicas if other != self.preferred and other not in self._failed]
        return others[int(drawn / self._share * len(others))] if others else self.preferred

    def answered(self, replica: ReplicaId, took: int, now: Millis) -> None:
        """A transaction that was first given to this replica has its proof, after `took` milliseconds."""
        if self._chance is None:
            return
        pace = self._pace.get(replica)
        if pace is None:
            pace = self._pace[replica] = _Pace(took)
        else:
            pace.mean_ms += (took - pace.mean_ms) / 8
            pace.answers += 1
        if replica == self.preferred:
            self._share = min(max(pace.mean_ms / _HOP_IS_NOTHING_MS, _LEAST_SHARE), _MOST_SHARE)
        elif pace.answers >= _ENOUGH:
            self._compare(replica, pace, now)

    def _compare(self, replica: ReplicaId, pace: _Pace, now: Millis) -> None:
        """Whoever is asked for nothing but trial is faster than who is asked first: perhaps it is the primary now."""
        usual = self._pace.get(self.preferred)
        if usual is None or pace.mean_ms >= usual.mean_ms or replica in self._failed:
            return
        if self.refresh_at is None and (self._looked_at is None or now - self._looked_at >= _LOOK_AGAIN_MS):
            self._looked_at = self.refresh_at = now
        if pace.mean_ms <= _CLEARLY * usual.mean_ms - _CLEARLY_MS:
            self.preferred, self._is_chosen = replica, True

    def refreshing(self) -> None:
        """All are being asked for their view. A primary that was slow once, when it started perhaps, is tried again."""
        self.refresh_at = None
        self._forgivable = set(self._failed)

    def proved(self, replica: ReplicaId) -> None:
        """It gave an answer with a proof."""
        if self._failed:
            self._failed.discard(replica)
        if self._failures and replica == self.group.primary(self._view):
            self._failures = 0

    def status(self, replica: ReplicaId, view: View) -> None:
        """What it says its view is. At least one correct replica is in the view that f+1 have reached, or later."""
        if replica in self._forgivable:
            self._forgivable.discard(replica)
            self._failed.discard(replica)
        self._views[replica] = view
        if len(self._views) < self.group.weak_quorum:
            return
        reached = sorted(self._views.values(), reverse=True)[self.group.f]
        primary = self.group.primary(reached)
        if reached != self._view:
            self._pace.clear()  # they have other parts now
            self._is_chosen = False
        if reached != self._view or (primary not in self._failed and not self._is_chosen):
            self._view = reached
            self._failed.discard(primary)
            self.preferred = primary


class Asking(ABC, Generic[A]):
    """One question or transaction on its way; subclasses say what answers it. `answer` ends it.

    Call `begin` once, then `heard` for each reply, `lied` for each reply that was wrong, and `tick` when `due` has
    come; each returns what to send.
    """

    def __init__(self, request: Request, route: Route, timing: Timing, timeout_ms: int, ask_all: bool = False) -> None:
        self.request = request
        self.request_id = request.request_id
        self.group = route.group
        self.answer: A | None = None
        self.due = Millis(0)
        self.scheduled: Millis | None = None
        """Whoever calls `tick` may note here for when that is planned."""

        self.alive: set[ReplicaId] = set()
        """Who answered anything; since the probe, once that was sent."""

        self._route = route
        self._timing = timing
        self._timeout_ms = timeout_ms
        self._ask_all = ask_all
        self._first = route.preferred
        self._began = Millis(0)
        self._asked: set[ReplicaId] = set()
        self._liars: set[ReplicaId] = set()
        self._busy: dict[ReplicaId, Millis] = {}
        """Who had no room, and when it may be asked again."""

        self._turned = False
        self._probed = False
        self._deadline = self._probe_at = self._resend_at = Millis(0)

    def begin(self, now: Millis) -> list[Ask]:
        """Asks the first replica, or all."""
        self._began = now
        self._deadline = Millis(now + self._timeout_ms)
        self._probe_at = Millis(self._deadline - min(self._timing.probe_ms, self._timeout_ms // 2))
        self._resend_at = Millis(now + self._timing.patience_ms)
        self._schedule(now)
        if self._ask_all:
            self._turned = True
            return self._ask(self.group.replicas)
        return self._ask((self._first,))

    def heard(self, replica: ReplicaId, reply: Reply, now: Millis) -> list[Ask]:
        """A reply to this; it proves nothing yet. Raises `Malformed`, `BadSignature` or `BadProof`: then call `lied`.

        What was heard is ignored once there is an answer.
        """
        if self.answer is not None or replica in self._liars:
            return []
        self.alive.add(replica)
        if isinstance(reply, Busy):
            return self._heard_busy(replica, reply.retry_ms, now)
        return self._weigh(replica, reply, now)

    def lied(self, replica: ReplicaId, now: Millis) -> list[Ask]:
        """Its reply was wrong: it is not listened to any more, and the others are asked."""
        if self.answer is not None or replica in self._liars:
            return []
        self._liars.add(replica)
        self._busy.pop(replica, None)
        self._route.failed(replica, now)
        return self._turn_to_all(now)

    def tick(self, now: Millis) -> list[Ask]:
        """`due` has come, or not: then nothing happens."""
        if self.answer is not None or now < self.due:
            return []
        if now >= self._deadline:
            self.answer = self._give_up()
            return []
        asks: list[Ask] = []
        if now >= self._probe_at and not self._probed:
            self._probed = True
            self.alive.clear()
            asks += [Ask(replica, AskStatus(request_id=self.request_id)) for replica in self.group.replicas]
        if now >= self._resend_at:
            if not self._turned and self._first not in self.alive:
                self._route.failed(self._first, now)
            self._turned = True
            self._resend_at = Millis(now + self._timing.resend_ms)
            asks += self._ask(self._ready(now))
        else:
            asks += self._ask([replica for replica in self._ready(now) if replica in self._busy])
        self._schedule(now)
        return asks

    # ── for the subclasses ───────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _weigh(self, replica: ReplicaId, reply: Reply, now: Millis) -> list[Ask]:
        """Sets `answer` if the reply gives one. Raises if the reply is wrong."""

    @abstractmethod
    def _give_up(self) -> A:
        """The answer when the time is over."""

    def _turn_to_all(self, now: Millis) -> list[Ask]:
        """Asks all that have not been asked yet."""
        if self._turned:
            return []
        self._turned = True
        self._resend_at = Millis(now + self._timing.resend_ms)
        self._schedule(now)
        return self._ask([replica for replica in self._ready(now) if replica not in self._asked])

    def _ask(self, replicas: "tuple[ReplicaId, ...] | list[ReplicaId]") -> list[Ask]:
        for replica in replicas:
            self._asked.add(replica)
            self._busy.pop(replica, None)
        return [Ask(replica, self.request) for replica in replicas]

    # ── when to ask whom ─────────────────────────────────────────────────────────────────────────────────────────

    def _ready(self, now: Millis) -> list[ReplicaId]:
        return [r for r in self.group.replicas if r not in self._liars and self._busy.get(r, now) <= now]

    def _heard_busy(self, replica: ReplicaId, retry_ms: int, now: Millis) -> list[Ask]:
        """The next one may have room; if none has, the first that said when it would is asked again then."""
        self._busy[replica] = Millis(now + max(retry_ms, LEAST_RETRY_MS))
        others = [other for other in self._ready(now) if other not in self._asked]
        self._schedule(now)
        return self._ask(others[:1])

    def _schedule(self, now: Millis) -> None:
        due = self._deadline if self._probed else self._probe_at
        self.due = Millis(min(due, self._resend_at, *self._busy.values()))
