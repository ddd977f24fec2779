"""The primary dies with SIGKILL under load: how long nothing new is committed, and until the throughput is back."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.base.ids import View
from bftledger.bench.attack_watch import Event, Sight, Watch, events
from bftledger.bench.group import LocalGroup
from bftledger.bench.ledgers import Counted, identical, transactions_between
from bftledger.bench.level import settle, start_until_level
from bftledger.bench.load import running_load
from bftledger.bench.measured import Load, Measured, percentile, rounded
from bftledger.bench.outage import Around, longest_gap, outage, timeline
from bftledger.bench.tally import Tally

_PART: Final = "kill"
_PERCENTILES: Final = {"p50": 50, "p99": 99, "max": 100}


def is_kill(row: Mapping[str, Any]) -> bool:
    """Whether a row of `results` was made here."""
    return bool(row["part"] == _PART)


def kill_primary(group: LocalGroup, load: Load, tally: Tally, *, before_s: float, bucket_s: float) -> dict[str, Any]:
    """Kills the primary `before_s` after the window of the load began, and starts it again when the window is over.

    Returns the row of `results`, when all replicas are level again. Raises `BftLedgerError`.
    """
    home, members = group.home, group.home.genesis.group
    with Watch(home, members.replicas) as watch:
        with running_load(group, tally.keeping(load)) as running:
            running.sleep_until(before_s)
            view = _view(watch)
            killed_s, victim = time.monotonic(), members.primary(view)
            group.kill(victim)
            dead_s = time.monotonic()
            measured = running.finish()
        tally.add(measured)
        had = Counted(home.ledger_path(victim)).height
        started = start_until_level(group, victim)
        settle(group)
        sights = watch.sights
        happened = [event for event in events(sights, members, ()) if event.at_s >= killed_s]
    other = home.ledger_path(next(i for i in members.replicas if i != victim))
    around = Around(
        from_s=measured.start_s,
        killed_s=killed_s,
        dead_s=dead_s,
        to_s=measured.start_s + measured.load.seconds,
        bucket_s=bucket_s,
    )
    return {
        "part": _PART,
        "killed": victim,
        "view_before": view,
        **_outage(measured, around),
        "ledger_gap_ms": round(longest_gap(rises(sights), around)[0] * 1_000, 1),
        **_views(happened, view, killed_s),
        "missed_blocks": started.height - had,
        "missed_tx": transactions_between(other, had, started.height),
        **started.row(),
        "failed": measured.failed,
        "ledgers": asdict(identical(home)),
        "timeline": timeline(measured.done, around),
    }


def rises(sights: Iterable[Sight]) -> list[float]:
    """When a replica was first seen at a height where none was seen before."""
    found, highest = [], 0
    for sight in sights:
        if sight.executed > highest:
            highest = sight.executed
            found.append(sight.at_s)
    return found


def _view(watch: Watch) -> View:
    """The highest that a replica was in when it was last asked."""
    views = [sight.view for sight in watch.newest().values() if sight.active]
    if not views:
        raise OperatorError("no replica says in which view it is")
    return max(views)


def _outage(measured: Measured, around: Around) -> dict[str, Any]:
    found = outage(measured.begun, measured.done, around)
    latencies = measured.latencies_ms
    return {
        "outage_ms": None if found.outage_s is None else round(found.outage_s * 1_000, 1),
        "gap_ms": round(found.gap_s * 1_000, 1),
        "gap_end_ms": round(found.gap_end_s * 1_000, 1),
        "recovery_ms": None if found.recovery_s is None else round(found.recovery_s * 1_000, 1),
        "tx_per_s_before": round(found.before_per_s, 1),
        "tx_per_s_after": round(found.after_per_s, 1),
        "tx_per_s": round(measured.tx_per_s, 1),
        **{f"{name}_ms": rounded(percentile(latencies, percent)) for name, percent in _PERCENTILES.items()},
    }


def _views(happened: Iterable[Event], before: View, killed_s: float) -> dict[str, Any]:
    """When the first replica left the view of the dead primary, and when f+1 were in the next, after the death."""
    found: dict[str, Any] = {"suspected_ms": None, "new_view_ms": None, "view_after": before}
    for event in happened:
        after_ms = round((event.at_s - killed_s) * 1_000, 1)
        if event.kind == "suspected" and found["suspected_ms"] is None:
            found["suspected_ms"] = after_ms
        if event.kind == "view" and event.view is not None and event.view > before:
            found["view_after"] = event.view
            if found["new_view_ms"] is None:
                found["new_view_ms"] = after_ms
    return found
