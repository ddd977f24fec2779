"""What a view change takes, by the size of the group: its messages and bytes, which grow worst of all.

The primary proposes some slots, all replicas prepare them, and no COMMIT of that view arrives: so every VIEW-CHANGE
holds the certificates of these slots, and the NEW-VIEW a quorum of VIEW-CHANGEs. Then the primary is silent for ever.
Without slots in flight it is silent before a transaction comes. Each replica has a core of its own.

VIEW-CHANGE and NEW-VIEW are needed once by each other replica. `…_again` counts those that had been sent to the same
replica before, which happens upon STATUS only.
"""

from dataclasses import replace
from statistics import fmean
from typing import Any, Final

from bftledger.base.ids import Seq
from bftledger.bench.scale_blocks import PATIENCE_US, PRIMARY, WARM_UP, commit
from bftledger.bench.scale_group import Group, Model, grouped, settled_heap
from bftledger.bench.scale_host import ReplicaHost
from bftledger.bench.scale_traffic import COMMIT, NEW_VIEW, STATUS, SURPRISE, VIEW_CHANGE, Amount, total
from bftledger.pbft import wire

_NOTHING: Final = Amount(0, 0)


def measure_view_change(model: Model, in_flight: int) -> dict[str, Any]:
    """The row of a group of this size with so many slots in flight. Raises `Stalled`."""
    pipeline = max(in_flight, model.settings.pipeline)
    settings = replace(model.settings, batch_count=1, pipeline=pipeline, window=max(pipeline, model.settings.window))
    clients = max(1, in_flight)
    with grouped(replace(model, settings=settings, clients=clients, cores=None)) as group:
        for _ in range(WARM_UP):
            commit(group, 1)
        with settled_heap():
            return _measure(group, in_flight)


def _measure(group: Group, in_flight: int) -> dict[str, Any]:
    height, known = group.height, len(group.program.answers)
    group.is_lost = lambda _, __, kind, frame: kind == COMMIT and _is_of_view_0(group, frame)
    if in_flight:
        last = Seq(height + in_flight)
        group.submit(range(in_flight))
        group.until(lambda: all(_has_prepared(host, last) for host in group.replicas), PATIENCE_US, "not prepared")
    group.replicas[PRIMARY].is_silent = True
    group.traffic.clear()
    spent = [host.cpu_us for host in group.replicas]
    if not in_flight:
        group.submit([0])
    silent = group.now
    wanted = known + max(1, in_flight)
    group.until(lambda: any(host.engine.replica.state.view for host in group.up), PATIENCE_US, "nobody left the view")
    left = group.now
    group.until(lambda: all(_has_entered(host) for host in group.up), PATIENCE_US, "no new view")
    entered = group.now
    group.until(lambda: len(group.program.answers) >= wanted and group.is_quiet, PATIENCE_US, "no receipt after it")
    return {
        "replicas": group.model.replicas,
        "in_flight": in_flight,
        "view": group.view,
        "re_proposed": _re_proposed(group),
        **_traffic_row(group),
        "suspected_ms": round((left - silent) / 1_000, 3),
        "took_ms": round((entered - left) / 1_000, 3),
        "gap_ms": round((group.program.answers[known].done_us - silent) / 1_000, 3),
        "cpu_ms": _cpu_ms(group, spent),
    }


def _traffic_row(group: Group) -> dict[str, Any]:
    n = group.model.replicas
    said = group.traffic.between_replicas()
    changes, news = said.get(VIEW_CHANGE, _NOTHING), said.get(NEW_VIEW, _NOTHING)
    expected = {VIEW_CHANGE: (n - 1) ** 2, NEW_VIEW: n - 1}
    both = total((changes, news))
    excess = both.messages / sum(expected.values()) - 1
    return {
        "view_changes": changes.messages,
        "view_changes_again": group.traffic.again[VIEW_CHANGE],
        "expected_view_changes": expected[VIEW_CHANGE],
        "view_change_bytes": changes.bytes,
        "view_change_longest": group.traffic.largest[VIEW_CHANGE],
        "new_views": news.messages,
        "new_views_again": group.traffic.again[NEW_VIEW],
        "expected_new_views": expected[NEW_VIEW],
        "new_view_bytes": news.bytes,
        "new_view_longest": group.traffic.largest[NEW_VIEW],
        "excess_messages": round(excess, 4),
        "is_surprise": excess > SURPRISE or news.messages > (1 + SURPRISE) * expected[NEW_VIEW],
        "messages": both.messages,
        "bytes": both.bytes,
        "status": said.get(STATUS, _NOTHING).messages,
        "kinds": {kind: {"messages": amount.messages, "bytes": amount.bytes} for kind, amount in said.items()},
    }


def _cpu_ms(group: Group, before: list[float]) -> dict[str, float]:
    """Of the new view's primary, and of the mean of the others that are left."""
    used = {host.place: (host.cpu_us - was) / 1_000 for host, was in zip(group.replicas, before, strict=True)}
    primary = group.genesis.group.primary(group.up[0].engine.replica.state.view)
    others = [ms for place, ms in used.items() if place not in (primary, PRIMARY)]
    return {"primary": round(used[primary], 2), "backup": round(fmean(others), 2)}


def _re_proposed(group: Group) -> int:
    """How many slots the NEW-VIEW assigned."""
    new_view = group.up[0].engine.replica.state.new_view
    return 0 if new_view is None else len(new_view.pre_prepares)


def _has_prepared(host: ReplicaHost, last: Seq) -> bool:
    slot = host.engine.replica.state.slots.get(last)
    return slot is not None and slot.certificate is not None


def _has_entered(host: ReplicaHost) -> bool:
    state = host.engine.replica.state
    return state.view > 0 and state.active


def _is_of_view_0(group: Group, frame: bytes) -> bool:
    vote = wire.open_frame(frame, group.genesis.genesis_hash).outline
    return getattr(vote, "view", None) == 0
