"""Progress: once the network works again, everything pending is answered in bounded time (OSDI'99 §4.5.2, liveness).

Healing is the moment from which messages arrive, honest replicas run and their clocks agree as far as they must; up to
f replicas may go on doing what they like. Times are in milliseconds of one clock.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bftledger.base.group import Group
from bftledger.base.ids import Millis, ReplicaId, View
from bftledger.check.violation import Violation, first, named
from bftledger.ledger.asking import Timing
from bftledger.pbft import transfer
from bftledger.pbft.settings import Settings
from bftledger.pbft.timers import suspicion_timeout

ORACLE = "progress"

IN_A_ROW: Final = 8
"""Nobody is suspected only because the network is slow if so many messages, one after the other, take T at most: three
for what is ordered first and three for what waited meanwhile, one to be passed on, and one to spare."""


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


def check_calm(entered: Iterable[Entered]) -> list[Violation]:
    """Views that were left though nobody had a reason to: nothing was lost or late, and nobody was faulty."""
    left = sorted({entry.view for entry in entered if entry.view > 0})
    return [Violation(ORACLE, f"view {left[0]} is entered or awaited, and nothing was wrong")] if left else []


class Patience:
    """How long replicas await a NEW-VIEW: T, and twice as long for each view in a row that fails (§4.5.2).

    Else views might fail for ever where messages take long. Judged is the first honest replica that leaves a view which
    it awaited: others may follow f+1 that are ahead of them. And only if the primary of that view is honest: else the
    replica may have begun the view in between, and left it at once for two proposals that contradict each other. A view
    counts as failed unless a block was executed since, whatever was in it: so what is demanded is never too much. Give
    it replicas of a group with at most f faulty ones.
    """

    def __init__(self, settings: Settings, group: Group, honest: Collection[ReplicaId]) -> None:
        self._settings = settings
        self._group = group
        self._honest = honest
        self._failed: Counter[ReplicaId] = Counter()
        self._left_for: dict[ReplicaId, View] = {}
        self._since: dict[ReplicaId, tuple[int, int]] = {}
        """Since when each awaits its view, and how long it must."""
        self._executed_at: dict[ReplicaId, int] = {}
        self._highest = View(0)

    def began(self, replica: ReplicaId, view: View) -> None:
        """A replica starts, new or again, in this view: if it awaits it, then another process began to."""
        self._left_for[replica], self._failed[replica] = view, 0
        self._since.pop(replica, None)

    def executed(self, replica: ReplicaId, now: int) -> None:
        """It has executed a block."""
        self._failed[replica] = 0
        self._executed_at[replica] = now

    def entered(self, replica: ReplicaId, view: View) -> None:
        """This view has begun for it; in the same round it may have left another, and its VIEW-CHANGE follows."""
        self._since.pop(replica, None)
        self._left_for[replica] = max(view, self._left_for.get(replica, view))

    def left_for(self, replica: ReplicaId, view: View, now: int) -> list[Violation]:
        """An honest replica sends a VIEW-CHANGE, perhaps again. Returns whether it was too early."""
        awaited = self._left_for.get(replica, View(0))
        if awaited >= view:
            return []
        found = []
        if replica in self._since and self._highest <= awaited:
            since, least = self._since[replica]
            if now - since < least and self._group.primary(awaited) in self._honest:
                what = f"awaited view {awaited} for {now - since} ms, at least {least} ms are due"
                found.append(Violation(ORACLE, f"{named(replica)} {what}", None, (replica,)))
        doublings = self._failed[replica]
        if self._executed_at.get(replica) != now:  # else it may have been in this very round, and after this
            self._failed[replica] += 1
        least = min(self._settings.request_timeout_ms << min(doublings, 32), self._settings.timeout_cap_ms)
        self._left_for[replica], self._since[replica] = view, (now, least)
        self._highest = max(self._highest, view)
        return found


_WATCHES: Final = 5
"""In suspicion time-outs: 4 until a slow primary is accused by all, and 1 because who was cut off starts again."""


def recovery_bound_ms(
    settings: Settings,
    group: Group,
    timing: Timing,
    *,
    failed_views: int | None = None,
    batches: int = 1,
    delay_ms: int = 0,
    busy_ms: int = 0,
) -> Millis:
    """How long after healing anything pending is answered at the latest.

    `failed_views`: at most so many views had failed in a row at any honest replica at healing (`State.failed_views`);
    None if that is not known: then every time-out is taken for capped. `batches`: how many full batches all that is
    pending or submitted meanwhile makes. `delay_ms`: what a message takes; `IN_A_ROW` of them take T at most.
    `busy_ms`: so long it takes the one faulty primary that orders full batches of its own, if there is one, until no
    work excuses it any more (`pbft.suspicion.patience`).

    With S and I the status intervals, each with a message there and one back (2·`delay_ms`), T the request time-out,
    tᵢ = T·2^(k+i), capped, for k views that had failed:

    1. The client asks all replicas after `patience_ms` and again each `resend_ms`: patience + resend until the
       transaction is with an honest replica that runs. It may be too early by the clock of some: + `clock_skew_ms`.
    2. STATUS brings what was lost. Who has nothing to do sends it each I, is answered, and has caught up, from one
       honest peer after at most f that lie and cost a status interval each: 2I + 2S(f+2). While it was apart it may
       have asked for blocks in vain so often that it gives whom it asked last more time: + 2^`MOST_DOUBLINGS`·S.
    3. Now the honest replicas' views are at most one apart: a replica leaves a view that it awaits only after a quorum
       has left the one before, and f+1 of them pull the others along. The lower view may lack a quorum that works; at
       most f views after that have faulty primaries. So f+1 views may end in a suspicion, each after
       - 4tᵢ and two ticks: 2tᵢ until a replica that the primary starves tells all, 2tᵢ until all accuse it; one that
         orders nothing at all is accused earlier. A replica that was cut off starts again: + tᵢ. These are 5tᵢ + 2S.
         One that is busy with work of its own leads once in so many views: + `busy_ms`.
       - tᵢ₊₁ for the NEW-VIEW of the next, in which the VIEW-CHANGEs may be lost once: + 2S.
    4. The first honest primary is not suspected, so it orders what waits longest within its time-out, or half a batch
       in each: t for the last view, and 2·`batches` of them for a queue that is worked off.
    5. The certificate takes one exchange more, and a lost answer is asked for again: 2S + resend.

    The capacity is taken to be such that an honest primary keeps up.
    """
    tick = settings.status_interval_ms + 2 * delay_ms
    idle = max(tick, settings.idle_status_interval_ms + 2 * delay_ms)
    f = group.f
    timeouts = [
        settings.timeout_cap_ms if failed_views is None else suspicion_timeout(settings, failed_views + i)
        for i in range(f + 2)
    ]
    client = timing.patience_ms + 2 * timing.resend_ms + settings.clock_skew_ms
    catching_up = 2 * idle + 2 * tick * (f + 2) + (tick << transfer.MOST_DOUBLINGS)
    suspicions = busy_ms + sum(_WATCHES * timeouts[i] + timeouts[i + 1] + 4 * tick for i in range(f + 1))
    ordering = (1 + 2 * batches) * timeouts[-1] + settings.batch_wait_ms + 2 * tick
    return Millis(client + catching_up + suspicions + ordering)
