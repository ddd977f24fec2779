"""What one block costs a group, by its size: messages, bytes, processor time, and the proof that a client gets.

A batch is submitted, becomes a block, and comes to an end everywhere before the next one is: so all that was said is
that block's. Each replica has a core of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median
from typing import Any, Final

from bftledger.base.crypto import Ed25519Verifier
from bftledger.base.ids import ReplicaId, Seq
from bftledger.base.transaction import Transaction, decode
from bftledger.bench.scale_group import Group, Model, Stalled, grouped, settled_heap
from bftledger.bench.scale_traffic import NORMAL_CASE, STATUS, SURPRISE, Amount, expected, total
from bftledger.ledger.block import Block
from bftledger.ledger.receipt import verify_receipt

WARM_UP: Final = 3
"""So many blocks do not count: what is made once is made in them."""

PATIENCE_US: Final = 60_000_000
PRIMARY: Final = ReplicaId(0)

_NOTHING: Final = Amount(0, 0)


def measure_blocks(model: Model, batch: int, blocks: int) -> dict[str, Any]:
    """The row of a group of this size, with so many blocks of `batch` transactions. Raises `Stalled`."""
    settings = replace(model.settings, batch_count=batch)
    with grouped(replace(model, settings=settings, clients=batch, cores=None)) as group:
        for _ in range(WARM_UP):
            commit(group, batch)
        with settled_heap():
            return _measure(group, batch, blocks)


def commit(group: Group, batch: int) -> None:
    """So many clients submit a transaction each; returns when it has come to an end everywhere. Raises `Stalled`."""
    wanted = len(group.program.answers) + batch
    group.submit(range(batch))
    group.until(lambda: len(group.program.answers) >= wanted and group.is_quiet, PATIENCE_US, "no receipt for a batch")


def _measure(group: Group, batch: int, blocks: int) -> dict[str, Any]:
    group.traffic.clear()
    before, known = group.height, len(group.program.answers)
    cpu: list[list[float]] = []
    transport: list[list[float]] = []
    for _ in range(blocks):
        spent = [(host.cpu_us, host.transport_us) for host in group.replicas]
        commit(group, batch)
        cpu.append([host.cpu_us - was for host, (was, _) in zip(group.replicas, spent, strict=True)])
        transport.append([host.transport_us - was for host, (_, was) in zip(group.replicas, spent, strict=True)])
    if group.view:
        raise Stalled(f"{group.model.replicas} replicas changed their primary, though nothing was wrong with it")
    answers = group.program.answers[known:]
    proof = answers[-1].outcome.receipt
    assert proof is not None, "what is committed has its receipt"
    receipt = proof.encode()
    verify_receipt(receipt, group.genesis, Ed25519Verifier())
    return {
        "replicas": group.model.replicas,
        "batch": batch,
        "blocks": group.height - before,
        **_traffic_row(group, range(before + 1, group.height + 1), batch * blocks),
        "receipt_bytes": len(receipt),
        "certificate_signatures": group.genesis.group.quorum,
        "cpu_us_per_block": _by_role(cpu),
        "transport_us_per_block": _by_role(transport),
        "latency_ms": round(median(answer.done_us - answer.begun_us for answer in answers) / 1_000, 3),
    }


def _transactions(group: Group, height: int) -> tuple[Transaction, ...]:
    """Those of a block."""
    encoded = group.replicas[PRIMARY].store.block(Seq(height))
    assert encoded is not None, "what is executed is stored"
    return tuple(decode(item, group.genesis.genesis_hash) for item in Block.decode(encoded).transactions)


def _by_role(spent: Sequence[Sequence[float]]) -> dict[str, float]:
    """Of the primary and of a backup: the median over the blocks, of backups of their mean."""
    return {
        "primary": round(median(block[PRIMARY] for block in spent), 1),
        "backup": round(median(fmean(block[PRIMARY + 1 :]) for block in spent), 1),
    }


def _traffic_row(group: Group, heights: range, transactions: int) -> dict[str, Any]:
    """What was said for each of these blocks with so many transactions, next to what the protocol needs for them."""
    blocks, n = len(heights), group.model.replicas
    all_needed = [expected(group.genesis, Seq(height), _transactions(group, height)) for height in heights]
    needed = {kind: total(one[kind] for one in all_needed) for kind in NORMAL_CASE}
    said = group.traffic.by_kind()
    between = group.traffic.between_replicas()
    found = total(amount for kind, amount in between.items() if kind != STATUS)
    wanted = total(needed.values())
    primary = group.traffic.sent_by(PRIMARY)
    excess = [found.messages / wanted.messages - 1, found.bytes / wanted.bytes - 1]
    return {
        "messages_per_block": round(found.messages / blocks, 2),
        "expected_messages_per_block": wanted.messages // blocks,
        "excess_messages": round(excess[0], 4),
        "again_per_block": round(group.traffic.votes_again / blocks, 2),
        "bytes_per_block": round(found.bytes / blocks, 1),
        "expected_bytes_per_block": round(wanted.bytes / blocks),
        "excess_bytes": round(excess[1], 4),
        "is_surprise": max(excess) > SURPRISE,
        "status_per_block": round(between.get(STATUS, _NOTHING).messages / blocks, 2),
        "messages_per_tx": round(found.messages / transactions, 3),
        "bytes_per_tx": round(found.bytes / transactions, 1),
        "replica_messages_per_block": round(found.messages / blocks / n, 2),
        "replica_bytes_per_block": round(found.bytes / blocks / n, 1),
        "primary_messages_per_block": round(primary.messages / blocks, 2),
        "primary_bytes_per_block": round(primary.bytes / blocks, 1),
        "reply_bytes_per_tx": round(said.get("Committed", _NOTHING).bytes / transactions, 1),
        "kinds": {
            kind: {
                "messages": round(said.get(kind, _NOTHING).messages / blocks, 2),
                "bytes": round(said.get(kind, _NOTHING).bytes / blocks, 1),
                "expected_messages": needed[kind].messages // blocks if kind in needed else None,
                "expected_bytes": round(needed[kind].bytes / blocks) if kind in needed else None,
            }
            for kind in [*NORMAL_CASE, *(other for other in said if other not in NORMAL_CASE)]
        },
    }
