"""Where a replica's processor time goes: a stopwatch around the functions that its work passes through.

The time of a function that is measured inside another is the inner one's alone. What measuring itself costs, a good
part of the time where functions are called for each transaction, is measured beforehand and taken off again.
"""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from bftledger.apps.kv import KeyValue
from bftledger.apps.state import AuthenticatedMap, StateView
from bftledger.base.crypto import Ed25519Signer, Ed25519Verifier
from bftledger.engine.desk import Desk
from bftledger.engine.opening import Ledger
from bftledger.ledger import merkle
from bftledger.ledger.executor import Executor
from bftledger.ledger.history import History
from bftledger.pbft import proposals, wire
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.passing import Passing
from bftledger.pbft.pool import Pool
from bftledger.pbft.replica import Replica
from bftledger.pbft.waiting import Waiting
from bftledger.storage.sqlite import SqliteStore

SIGNATURES: Final = "signatures checked"
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
    SIGNATURES,
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
    Point(Ed25519Verifier, "verify", SIGNATURES),
    Point(Ed25519Signer, "sign", SIGNING),
    Point(Authenticator, "authenticate", FRAMES),
    Point(Desk, "on_frame", REQUESTS),
    Point(Desk, "serve", REQUESTS),
    Point(Desk, "take_submitted", REQUESTS),
    Point(Replica, "refusal_of", CORE),
    Point(Replica, "step", CORE),
    *(Point(Pool, name, POOL) for name in ("admit", "admit_relayed", "mark_proposed", "settle", "expired")),
    Point(Waiting, "batch", POOL),
    Point(Passing, "pass_on", POOL),
    Point(proposals, "make_proposal", ENCODING),
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
    *(
        Point(SqliteStore, name, READS)
        for name in ("locate", "contains", "height", "block", "certificate", "next_certified", "block_hash")
    ),
    Point(SqliteStore, "commit", COMMIT),
    Point(Desk, "take_answers", REPLIES),
    Point(Desk, "on_executed", REPLIES),
)


class Stopwatch:
    """Counts each stage's own time while `running`. Processor time of the process, in nanoseconds."""

    def __init__(self) -> None:
        self._inside_ns, self._outside_ns = _own_cost_ns()
        self.clear()

    def clear(self) -> None:
        """Begins to count anew."""
        self._spent: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._calls_from: Counter[str] = Counter()
        self._stage = OTHER
        self._below = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All `POINTS` are measured, of every replica of this process, until the end of the `with` block."""
        originals = [(point, vars(point.owner)[point.name]) for point in POINTS]
        for point, original in originals:
            setattr(point.owner, point.name, self.wrapped(original, point.stage))
        try:
            yield
        finally:
            for point, original in originals:
                setattr(point.owner, point.name, original)

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
                self._spent[stage] += took - self._below
                self._stage, self._below = caller, below + took

        return measured

    def stages(self) -> dict[str, float]:
        """Nanoseconds by stage since the last `clear`, without what measuring cost."""
        return {
            stage: max(
                0.0,
                self._spent[stage] - self._calls[stage] * self._inside_ns - self._calls_from[stage] * self._outside_ns,
            )
            for stage in STAGES
        }


def _own_cost_ns() -> tuple[float, float]:
    """What measuring a call adds to the time counted for it, and to the time counted for its caller."""
    calls, inside, outside = 2_000, [], []
    for _ in range(20):
        watch = Stopwatch.__new__(Stopwatch)
        watch.clear()
        nothing = watch.wrapped(_nothing, FRAMES)

        def outer(nothing: Callable[[], None] = nothing) -> None:
            for _ in range(calls):
                nothing()

        watch.wrapped(outer, CORE)()
        inside.append(watch._spent[FRAMES] / calls)
        outside.append(watch._spent[CORE] / calls)
    return min(inside), min(outside)


def _nothing() -> None:
    """What is called to find out what measuring costs."""
