"""Named timers. Each carries what it was started for, so that one that fires late identifies itself as stale.

The timeouts follow OSDI'99 §4.4 and §4.5.2: T at first, then doubled for each view that fails in a row, so that
a period long enough for a new view to succeed comes eventually (liveness under partial synchrony). Differs from the
paper: doubling is capped, because a group that was cut for a day should not wait another one.
"""

from dataclasses import dataclass

from bftledger.base.ids import Millis, Seq, TxId, View
from bftledger.pbft.settings import Settings


@dataclass(frozen=True, slots=True)
class RequestTimer:
    """What has waited longest was not settled in time: first by half of T, then (`relayed`) by all of it.

    `subject`: the oldest pending transaction, to be ordered; or a sequence number: an executed block's, to become
    stable, or the next one's, to be executed.
    """

    view: View
    subject: TxId | Seq
    relayed: bool


@dataclass(frozen=True, slots=True)
class NewViewTimer:
    """A quorum left for `view`, and its primary's NEW-VIEW did not come."""

    view: View


@dataclass(frozen=True, slots=True)
class BatchTimer:
    """An incomplete batch has waited long enough."""

    view: View


@dataclass(frozen=True, slots=True)
class StatusTimer:
    """Time to say what is here and what lacks, and to ask again for what did not come."""


Timer = RequestTimer | NewViewTimer | BatchTimer | StatusTimer


def suspicion_timeout(settings: Settings, failed_views: int) -> Millis:
    """T, 2T, 4T, … for 0, 1, 2, … views that failed in a row, up to the cap."""
    doublings = min(failed_views, 32)
    return Millis(min(settings.request_timeout_ms << doublings, settings.timeout_cap_ms))
