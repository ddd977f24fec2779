"""Predicted throughput and latency of a group under a closed loop, on virtual time: see `scale_host`.

With a core for each replica, and with all processes on the cores of one machine. There the clients' program takes its
share, too, and no network is in between.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Final

from bftledger.bench.measured import percentile, rounded
from bftledger.bench.readable import carries
from bftledger.bench.scale_blocks import PRIMARY
from bftledger.bench.scale_group import Group, Model, grouped, settled_heap
from bftledger.bench.scale_traffic import NORMAL_CASE, expected_messages

OWN_CORES: Final = "predicted, a core each"
SHARED_CORES: Final = "predicted, shared cores"

AT_MOST_US: Final = 120_000_000
"""A load that takes more virtual time is ended."""


@dataclass(frozen=True, kw_only=True)
class ClosedLoop:
    """So many clients, each with one transaction under way. `batch`: so many make a proposal at most; None: as usual.

    Of the first `warm_up` receipts nothing counts, of the next `receipts` all. `budget_s`: it is ended when the rounds
    have taken so much processor time.
    """

    name: str
    clients: int
    batch: int | None
    warm_up: int
    receipts: int
    budget_s: float


def full_blocks(batch: int, pipeline: int, blocks: int, budget_s: float) -> ClosedLoop:
    """As many clients as fill all proposals that a primary may have in flight, and half as many more that wait.

    `blocks` of these proposals count.
    """
    clients = (pipeline + pipeline // 2 + 1) * batch
    return ClosedLoop(
        name=f"batches of {batch}",
        clients=clients,
        batch=batch,
        warm_up=clients,
        receipts=blocks * batch,
        budget_s=budget_s,
    )


def usual(clients: int, blocks: int, budget_s: float) -> ClosedLoop:
    """As the processes are measured with: batches as they come, of which `blocks` of half the clients count."""
    unit = max(1, clients // 2)
    return ClosedLoop(
        name=f"{clients} clients",
        clients=clients,
        batch=None,
        warm_up=4 * unit,
        receipts=blocks * unit,
        budget_s=budget_s,
    )


def predict(model: Model, loop: ClosedLoop) -> dict[str, Any]:
    """The row of this model under this load. `model.cores` decides how replicas share them.

    With a core each `model.delay_us` is in between, on one machine nothing is.
    """
    settings = model.settings if loop.batch is None else replace(model.settings, batch_count=loop.batch)
    shared = model.cores is not None
    with grouped(
        replace(
            model,
            settings=settings,
            clients=loop.clients,
            detours=True,
            delay_us=0 if shared else model.delay_us,
            bytes_per_ms=0 if shared else model.bytes_per_ms,
        )
    ) as group:
        group.program.on_answer = lambda answer: group.program.wants.append(answer.client)
        group.submit(range(loop.clients))
        _until(group, loop.warm_up, loop.budget_s)
        with settled_heap():
            return {
                "replicas": model.replicas,
                "how": SHARED_CORES if shared else OWN_CORES,
                "load": loop.name,
                "clients": loop.clients,
                "request_timeout_ms": settings.request_timeout_ms,
                "status_interval_ms": settings.status_interval_ms,
                **_measure(group, loop),
            }


def _until(group: Group, answers: int, budget_s: float) -> bool:
    """Whether so many answers came, of whatever kind, before time and budget were spent."""
    end = group.cpu_us + budget_s * 1e6
    program = group.program

    def is_over() -> bool:
        return len(program.answers) >= answers or group.cpu_us >= end

    group.run(group.now + AT_MOST_US, is_over)
    return len(program.answers) >= answers


def _measure(group: Group, loop: ClosedLoop) -> dict[str, Any]:
    group.traffic.clear()
    hosts = [*group.replicas, group.program]
    before = [host.cpu_us + host.transport_us for host in hosts]
    known, height, begun = len(group.program.answers), group.height, group.now
    is_finished = _until(group, known + loop.receipts, loop.budget_s)
    answers = group.program.answers[known:]
    good = [answer for answer in answers if answer.outcome.ok]
    seconds = (group.now - begun) / 1e6
    blocks = len({answer.outcome.height for answer in good})
    spent = [host.cpu_us + host.transport_us - was for host, was in zip(hosts, before, strict=True)]
    *replicas, clients = [round(used / len(good), 1) if good else None for used in spent]
    return {
        "tx_per_s": round(len(good) / seconds, 1) if seconds else 0.0,
        **latencies([answer.done_us - answer.begun_us for answer in good], blocks),
        "blocks": blocks,
        "tx_per_block": round(len(good) / blocks, 1) if blocks else None,
        "ms_per_block": round(1_000 * seconds / blocks, 1) if blocks else None,
        "view": group.view,
        "failed": dict(Counter(answer.outcome.state.value for answer in answers if not answer.outcome.ok)),
        "error": None if is_finished else f"{len(good)} of {loop.receipts} receipts before it was given up",
        **_traffic(group, height),
        "replicas_cpu_us_per_tx": replicas,
        "primary_cpu_us_per_tx": replicas[PRIMARY],
        "backup_cpu_us_per_tx": round(fmean(used for used in replicas[PRIMARY + 1 :] if used is not None), 1)
        if good
        else None,
        "clients_cpu_us_per_tx": clients,
        "virtual_s": round(seconds, 3),
    }


def latencies(of_each_us: Sequence[int], blocks: int) -> dict[str, float | None]:
    """Of what each transaction of so many blocks took, the percentiles of a row, in milliseconds.

    The transactions of a block have one fate: as many blocks as carry a 99th percentile, or there is none.
    """
    ascending = [each / 1_000 for each in sorted(of_each_us)]
    slow = rounded(percentile(ascending, 99)) if carries(blocks, 99) else None
    return {"p50_ms": rounded(percentile(ascending, 50)), "p99_ms": slow}


def _traffic(group: Group, height: int) -> dict[str, Any]:
    """Messages of the normal case for each block above `height` that all have executed, and of other kinds."""
    slots = range(height + 1, 1 + min(host.engine.ledger.tip.height for host in group.replicas))
    blocks = group.height - height
    if not slots:
        return dict.fromkeys(("messages_per_block", "excess_messages", "again_per_block", "others_per_block"))
    found = fmean(group.traffic.of_slot[slot] for slot in slots)
    needed = sum(expected_messages(group.model.replicas).values())
    said = group.traffic.between_replicas()
    return {
        "messages_per_block": round(found, 2),
        "excess_messages": round(found / needed - 1, 4),
        "again_per_block": round(group.traffic.votes_again / blocks, 2),
        "others_per_block": {
            kind: round(amount.messages / blocks, 2) for kind, amount in said.items() if kind not in NORMAL_CASE
        },
    }
