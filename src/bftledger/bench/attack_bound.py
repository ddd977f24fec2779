"""How long a request may wait in a run that was watched: the terms of `check.progress`, for what happened in it alone.

The rule there holds whatever happened before: time-outs may have doubled up to their cap, clocks may be apart, and
everybody may have been away. So it allows minutes, and no run of seconds could break it. Here it is known how many
views were left and who was stopped, and all clocks are one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bftledger.base.crypto import Ed25519Signer
from bftledger.base.group import Group
from bftledger.base.ids import Millis, ReplicaId
from bftledger.base.transaction import ENVELOPE_BYTES
from bftledger.bench.measured import Load, Measured
from bftledger.check.progress import ORACLE, Request, check_answered
from bftledger.check.violation import Violation
from bftledger.client import State as Outcome
from bftledger.ledger.asking import Timing
from bftledger.pbft.pool import Pool
from bftledger.pbft.settings import Settings
from bftledger.pbft.state import State
from bftledger.pbft.suspicion import patience
from bftledger.pbft.timers import suspicion_timeout
from bftledger.pbft.transfer import MOST_DOUBLINGS
from bftledger.pbft.turns import least_cost

_WATCHES: Final = 5
"""As in `check.progress`: a primary is accused after so many time-outs at the latest."""

_ORDERS: Final = 3
"""As there, with a batch that waits: an honest primary has ordered it after so many."""

_GIVEN_UP: Final = frozenset({Outcome.PENDING.value, Outcome.BUSY.value, Outcome.NO_QUORUM.value})
"""So ends what a client waited for until it gave up."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What happened in a run for which a request may have had to wait.

    `views`: the highest that an honest replica was in or awaited; all before it were left. `stopped`: from when to
    when, in seconds of the system's monotonic clock, more than f replicas did not work as they should. `excused_s`: so
    long its work may have excused a primary that let somebody wait (`excuse_ms`).
    """

    views: int
    stopped: Sequence[tuple[float, float]] = ()
    excused_s: float = 0.0


def bound_ms(settings: Settings, group: Group, course: Course | None, give_up_s: float) -> Millis:
    """So long a request waits at most; never longer than until the client gives up. None: of a run nobody watched.

    With S and I the status intervals, T the request time-out, tᵢ = T·2ⁱ, capped, and v views left, or f+1 if they were
    more: after so many an honest primary has led.

    1. The client asks all replicas after its patience, and once more: patience + 2·resend, both as in `client`.
    2. Each view left took 5tᵢ + 2S until its primary was accused, and tᵢ₊₁ + 2S until the next one began.
    3. In the last the request is ordered in 3t, or its primary would be accused after 5t; after f+1 views it is honest,
       and is not. And a batch's wait, an exchange (2S), and for how long the primary's work may have excused it.
    4. Only if a replica was stopped has anybody to catch up: 2I + 2S(f+2) + 2^`MOST_DOUBLINGS`·S.
    """
    tick, t = settings.status_interval_ms, settings.request_timeout_ms
    timing = Timing(patience_ms=t, resend_ms=Millis(2 * t))
    views = group.f + 1 if course is None else min(course.views, group.f + 1)
    timeouts = [suspicion_timeout(settings, failed) for failed in range(views + 1)]
    client = timing.patience_ms + 2 * timing.resend_ms
    left = sum(_WATCHES * timeouts[i] + timeouts[i + 1] + 4 * tick for i in range(views))
    last = (_WATCHES if views <= group.f else _ORDERS) * timeouts[-1] + settings.batch_wait_ms + 2 * tick
    excused = 0 if course is None else round(course.excused_s * 1_000)
    catching_up = 0
    if course is None or course.stopped:
        catching_up = 2 * settings.idle_status_interval_ms + 2 * tick * (group.f + 2) + (tick << MOST_DOUBLINGS)
    return Millis(min(client + left + last + excused + catching_up, round(give_up_s * 1_000)))


def excuse_ms(settings: Settings, group: Group, load: Load) -> Millis:
    """How long a primary can let a client wait that orders enough else (`pbft.suspicion`): a batch in 2T is enough.

    It is over with the work that an honest primary might do first (`suspicion.patience`) if all clients wait.
    """
    state = State(
        me=ReplicaId(0),
        group=group,
        settings=settings,
        signer=Ed25519Signer(bytes(32)),
        pool=Pool(settings, group.n),
    )
    ahead = load.clients * max(least_cost(settings), load.size + 2 * ENVELOPE_BYTES)
    return Millis(2 * settings.request_timeout_ms * -(-patience(state, ahead) // settings.batch_bytes))


def slowest_ms(measured: Measured) -> float:
    """The longest that a client waited, for a receipt or until it gave up."""
    waits = [done - begun for begun, done in zip(measured.begun, measured.done, strict=True)]
    if any(how in _GIVEN_UP for _, how in measured.failures):
        waits.append(measured.load.timeout_s)
    return round(max(waits, default=0.0) * 1_000, 1)


def unanswered(measured: Measured, bound: Millis, stopped: Sequence[tuple[float, float]] = ()) -> list[Violation]:
    """What waited longer than `bound`, or came to a wrong end: f liars are no excuse.

    Who had asked when a replica was stopped, or asks meanwhile, waits from when it goes on.
    """
    if measured.failures:
        return [Violation(ORACLE, f"a transaction came to no receipt: {how}") for _, how in measured.failures]
    requests = [
        Request(f"transaction {number}", round(_since(begun, done, stopped) * 1_000), round(done * 1_000))
        for number, (begun, done) in enumerate(zip(measured.begun, measured.done, strict=True))
    ]
    return check_answered(requests, healed=0, bound=bound, now=round(measured.start_s * 1_000))


def _since(begun: float, done: float, stopped: Sequence[tuple[float, float]]) -> float:
    return max([begun, *(gone_on for stop, gone_on in stopped if begun < gone_on and done > stop)])
