"""Progress: once the network works again, everything pending is answered in bounded time (OSDI'99 §4.5.2, liveness).

Healing is the moment from which messages arrive, honest replicas run and their clocks agree as far as they must; up to
f replicas may go on doing what they like. Times are in milliseconds of one clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bftledger.base.group import Group
from bftledger.base.ids import Millis, View
from bftledger.check.violation import Violation, first
from bftledger.ledger.asking import Timing
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import suspicion_timeout

ORACLE = "progress"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked and still wanted to know when the group healed, or later. `answered`: None if it was not."""

    name: str
    asked: int
    answered: int | None


@dataclass(frozen=True, slots=True)
class Entered:
    """An honest replica entered `view`; or only left the one before for it, if it `awaits` its NEW-VIEW."""

    when: int
    view: View
    awaits: bool = False


def check_answered(requests: Iterable[Request], *, healed: int, bound: int, now: int) -> list[Violation]:
    """What was answered later than `bound` after it was asked, or after healing, or not at all though that is over.

    `now`: when the run ended.
    """
    return first(_late(requests, healed, bound, now))


def _late(requests: Iterable[Request], healed: int, bound: int, now: int) -> Iterator[Violation]:
    for request in requests:
        since = max(request.asked, healed)
        waited = (now if request.answered is None else request.answered) - since
        if waited > bound:
            what = "is not answered" if request.answered is None else "was answered"
            after = "healing" if since == healed else "it was asked"
            yield Violation(ORACLE, f"{request.name} {what} {waited} ms after {after}, at most {bound} ms are needed")


def check_views(entered: Iterable[Entered], *, healed: int, group: Group) -> list[Violation]:
    """More than f+1 views that no honest replica had been in or awaited before healing.

    One because the replicas' views may have been apart, and one for each faulty primary in a row. The view that was
    awaited at healing is none of them: its time had begun to run before, and may be over just when it could begin.
    """
    known = list(entered)
    before = max((entry.view for entry in known if entry.when <= healed), default=View(0))
    later = sorted({entry.view for entry in known if entry.when > healed and entry.view > before and not entry.awaits})
    if len(later) <= group.f + 1:
        return []
    views = ", ".join(str(view) for view in later)
    return [Violation(ORACLE, f"{len(later)} view changes after healing, at most {group.f + 1} are needed: {views}")]


_WATCHES: Final = 5
"""In suspicion time-outs: 4 until a slow primary is accused by all, and 1 because who was cut off starts again."""


def recovery_bound_ms(
    settings: Settings, group: Group, timing: Timing, *, failed_views: int | None = None, batches: int = 1
) -> Millis:
    """How long after healing anything pending is answered at the latest.

    `failed_views`: at most so many views had failed in a row at any honest replica at healing (`State.failed_views`);
    None if that is not known: then every time-out is taken for capped. `batches`: how many full batches all that is
    pending or submitted meanwhile makes.

    With S and I the status intervals, T the request time-out, tᵢ = T·2^(k+i), capped, for k views that had failed:

    1. The client asks all replicas after `patience_ms` and again each `resend_ms`: patience + resend until the
       transaction is with an honest replica that runs. It may be too early by the clock of some: + `clock_skew_ms`.
    2. STATUS brings what was lost. Who has nothing to do sends it each I, is answered, and has caught up, from one
       honest peer after at most f that lie and cost a status interval each: 2I + 2S(f+2).
    3. Now the honest replicas' views are at most one apart: a replica leaves a view that it awaits only after a quorum
       has left the one before, and f+1 of them pull the others along. The lower view may lack a quorum that works; at
       most f views after that have faulty primaries. So f+1 views may end in a suspicion, each after
       - 4tᵢ and two ticks: 2tᵢ until a replica that the primary starves tells all, 2tᵢ until all accuse it; one that
         orders nothing at all is accused earlier. A replica that was cut off starts again: + tᵢ. These are 5tᵢ + 2S.
       - tᵢ₊₁ for the NEW-VIEW of the next, in which the VIEW-CHANGEs may be lost once: + 2S.
    4. The first honest primary is not suspected, so it orders what waits longest within its time-out, or half a batch
       in each: t for the last view, and 2·`batches` of them for a queue that is worked off.
    5. The certificate takes one exchange more, and a lost answer is asked for again: 2S + resend.

    The delay of a message is taken to be small against S, and the capacity such that an honest primary keeps up.
    """
    tick, idle = settings.status_interval_ms, max(settings.status_interval_ms, settings.idle_status_interval_ms)
    f = group.f
    timeouts = [
        settings.timeout_cap_ms if failed_views is None else suspicion_timeout(settings, failed_views + i)
        for i in range(f + 2)
    ]
    client = timing.patience_ms + 2 * timing.resend_ms + settings.clock_skew_ms
    catching_up = 2 * idle + 2 * tick * (f + 2)
    suspicions = sum(_WATCHES * timeouts[i] + timeouts[i + 1] + 4 * tick for i in range(f + 1))
    ordering = (1 + 2 * batches) * timeouts[-1] + settings.batch_wait_ms + 2 * tick
    return Millis(client + catching_up + suspicions + ordering)
