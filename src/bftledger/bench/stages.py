"""Where a replica's processor time goes: a stopwatch around the functions that its work passes through.

The time of a function that is measured inside another is the inner one's alone, so that the stages of a replica's work
add up to the whole of it, to the nanosecond. What measuring itself costs is in them, a good part where functions are
called for each transaction: whoever knows what a call cost can take it off (`Reading.stages`).
"""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from bftledger.apps.kv import KeyValue
from bftledger.apps.state import AuthenticatedMap, StateView
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.engine.desk import Desk
from bftledger.engine.opening import Ledger
from bftledger.ledger import merkle
from bftledger.ledger.executor import Executor
from bftledger.ledger.history import History
from bftledger.pbft import normal, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.pool import Pool
from bftledger.pbft.replica import Replica
from bftledger.pbft.waiting import Waiting
from bftledger.storage.sqlite import SqliteStore

CLIENT_CHECKS: Final = "signatures checked: clients'"
REPLICA_CHECKS: Final = "signatures checked: replicas'"
SIGNING: Final = "signatures made"
FRAMES: Final = "frames opened and decoded"
REQUESTS: Final = "clients' requests"
CORE: Final = "core steps"
POOL: Final = "pool"
ENCODING: Final = "encoding"
EXECUTION: Final = "execution"
APPLICATION: Final = "execution: application"
STATE: Final = "execution: state map"
TREES: Final = "execution: Merkle trees"
READS: Final = "store reads"
WRITES: Final = "store writes"
COMMIT: Final = "store commit"
REPLIES: Final = "replies"
OTHER: Final = "all else"

STAGES: Final = (
    CLIENT_CHECKS,
    REPLICA_CHECKS,
    SIGNING,
    FRAMES,
    REQUESTS,
    CORE,
    POOL,
    ENCODING,
    EXECUTION,
    APPLICATION,
    STATE,
    TREES,
    WRITES,
    READS,
    COMMIT,
    REPLIES,
    OTHER,
)
"""In the order in which they are shown."""


class Point(NamedTuple):
    """A function that belongs to a stage: an attribute of a class or module."""

    owner: Any
    name: str
    stage: str


POINTS: Final = (
    Point(Ed25519Signer, "sign", SIGNING),
    Point(Authenticator, "authenticate", FRAMES),
    Point(Desk, "on_frame", REQUESTS),
    Point(Desk, "serve", REQUESTS),
    Point(Desk, "take_submitted", REQUESTS),
    Point(Replica, "refusal_of", CORE),
    Point(Replica, "step", CORE),
    *(Point(Pool, name, POOL) for name in ("admit", "mark_proposed", "settle", "expired")),
    Point(Waiting, "batch", POOL),
    Point(normal, "make_proposal", ENCODING),
    Point(wire, "encode", ENCODING),
    Point(Ledger, "rows", ENCODING),
    Point(Executor, "execute", EXECUTION),
    Point(Executor, "admissible", EXECUTION),
    Point(KeyValue, "apply", APPLICATION),
    Point(KeyValue, "check", APPLICATION),
    *(Point(AuthenticatedMap, name, STATE) for name in ("update", "root")),
    *(Point(StateView, name, STATE) for name in ("put", "commit")),
    Point(merkle, "inclusion_paths", TREES),
    Point(History, "append", TREES),
    Point(History, "root", TREES),
    *(
        Point(SqliteStore, name, WRITES)
        for name in ("save_vote", "save_block", "save_certificate", "save_decision", "discard_votes")
    ),
    *(Point(SqliteStore, name, READS) for name in ("locate", "contains", "height", "certificate", "next_certified")),
    Point(SqliteStore, "commit", COMMIT),
    Point(Desk, "take_answers", REPLIES),
    Point(Desk, "on_executed", REPLIES),
)
"""All that a replica passes through in calm times, but for checks of signatures, whose stage depends on the signer."""


@dataclass
class Reading:
    """What a stopwatch has counted; readings can be added. A stage that nothing passed through counts nothing."""

    own_ns: Counter[str] = field(default_factory=Counter)
    """Processor time of each stage without those inside it, and with what measuring cost. Their sum is the whole."""
    calls: Counter[str] = field(default_factory=Counter)
    """By the stage of who was called."""
    calls_from: Counter[str] = field(default_factory=Counter)
    """The same calls, by the stage of who called."""

    def add(self, other: "Reading") -> None:
        """Counts that, too."""
        self.own_ns.update(other.own_ns)
        self.calls.update(other.calls)
        self.calls_from.update(other.calls_from)

    @property
    def total_ns(self) -> int:
        """The whole, with what measuring cost."""
        return sum(self.own_ns.values())

    def stages(self, call_ns: float, within: float) -> dict[str, float]:
        """Nanoseconds of all stages, without what measuring cost: `call_ns` a call, of which the share `within` was
        counted for the stage that was called, and the rest for the caller's.

        Their sum is the whole without `call_ns` for each call. Nothing is cut off at 0: a stage below it says that its
        calls cost less than that.
        """
        return {
            stage: self.own_ns[stage]
            - call_ns * within * self.calls[stage]
            - call_ns * (1 - within) * self.calls_from[stage]
            for stage in STAGES
        }


class Stopwatch:
    """Counts each stage's own time while `running`. Processor time of the process, in nanoseconds.

    `replica_keys`: the public keys of replicas; any other signer is a client.
    """

    def __init__(self, replica_keys: Collection[bytes]) -> None:
        self._replica_keys = frozenset(replica_keys)
        self._begin()

    def _begin(self) -> None:
        self._reading = reading = Reading()
        self._own_ns, self._calls, self._calls_from = reading.own_ns, reading.calls, reading.calls_from
        self._stage = OTHER
        self._below = 0

    def read(self, took_ns: int) -> Reading:
        """What has been counted since the last time, in work that took so long in all; the next begins anew."""
        reading = self._reading
        reading.own_ns[OTHER] += took_ns - self._below
        self._begin()
        return reading

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All `POINTS` and checks of signatures are measured, of every replica of this process, until the end of the
        `with` block."""
        measured = [(owner, name, self.wrapped(vars(owner)[name], stage)) for owner, name, stage in POINTS]
        measured.append((Ed25519Verifier, "verify", self._by_signer(Ed25519Verifier.verify)))
        originals = [(owner, name, vars(owner)[name]) for owner, name, _ in measured]
        for owner, name, function in measured:
            setattr(owner, name, function)
        try:
            yield
        finally:
            for owner, name, function in originals:
                setattr(owner, name, function)

    def wrapped(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """`function`, its time counted for `stage`."""

        @functools.wraps(function)
        def measured(*args: Any, **named: Any) -> Any:
            caller, below = self._stage, self._below
            self._stage, self._below = stage, 0
            self._calls_from[caller] += 1
            self._calls[stage] += 1
            begun = time.process_time_ns()
            try:
                return function(*args, **named)
            finally:
                took = time.process_time_ns() - begun
                self._own_ns[stage] += took - self._below
                self._stage, self._below = caller, below + took

        return measured

    def _by_signer(self, verify: Callable[..., Any]) -> Callable[..., Any]:
        """The check of a signature, its time counted by whose it is."""
        of_replica, of_client = self.wrapped(verify, REPLICA_CHECKS), self.wrapped(verify, CLIENT_CHECKS)

        @functools.wraps(verify)
        def measured(verifier: Ed25519Verifier, public_key: bytes, message: bytes, signature: bytes) -> Any:
            check = of_replica if public_key in self._replica_keys else of_client
            return check(verifier, public_key, message, signature)

        return measured


def measuring_ns() -> tuple[float, float]:
    """What measuring a call adds to the time counted for it, and to the time counted for its caller, in a tight loop.

    Between real work it costs more, for neither has the other in the processor's caches.
    """
    calls, inside, outside = 500, [], []
    for _ in range(20):
        watch = Stopwatch(())
        nothing = watch.wrapped(_nothing, FRAMES)

        def outer(nothing: Callable[[], None] = nothing) -> None:
            for _ in range(calls):
                nothing()

        watch.wrapped(outer, CORE)()
        counted = watch.read(0).own_ns
        inside.append(counted[FRAMES] / calls)
        outside.append(counted[CORE] / calls)
    return min(inside), min(outside)


def _nothing() -> None:
    """What is called to find out what measuring costs."""
