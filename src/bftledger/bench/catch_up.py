"""A replica was away while the others went on: how long after its start it is level with them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Final

from bftledger.base.ids import ReplicaId
from bftledger.bench.fits import Line
from bftledger.bench.group import LocalGroup
from bftledger.bench.ledgers import Counted, identical, transactions_between
from bftledger.bench.level import Started, settle, start_until_level
from bftledger.bench.load import EndlessLoad, endless_load
from bftledger.bench.measured import Load, Measured, percentile, rounded
from bftledger.bench.tally import Tally

_PART: Final = "catch-up"


@dataclass(frozen=True, kw_only=True)
class Lag:
    """`blocks`: the others make so many while it is away; 0: it is started again at once. `is_loaded`: the load goes
    on while it catches up."""

    blocks: int
    is_loaded: bool

    def __str__(self) -> str:
        return f"{self.blocks:,} blocks behind {'a group under load' if self.is_loaded else 'an idle group'}"


def is_catch_up(row: Mapping[str, Any]) -> bool:
    """Whether a row of `results` was made here."""
    return bool(row["part"] == _PART)


def catch_up(group: LocalGroup, lag: Lag, load: Load, tally: Tally) -> dict[str, Any]:
    """Kills a backup, has the others make blocks, and starts it again.

    Returns the row of `results`, when all replicas are level. Raises `BftLedgerError`.
    """
    home = group.home
    replica, other = _chosen(group)
    with ExitStack() as stack:
        running: EndlessLoad | None = None
        measured: Measured | None = None
        if lag.is_loaded or lag.blocks:
            running = stack.enter_context(endless_load(group, tally.keeping(load)))
        group.kill(replica)
        had = Counted(home.ledger_path(replica)).height
        Counted(home.ledger_path(other)).wait(lambda now: now.height >= had + lag.blocks)
        if running is not None and not lag.is_loaded:
            measured = running.finish()
        started_s = running.at_s if running is not None else 0.0
        started = start_until_level(group, replica)
        if running is not None and lag.is_loaded:
            measured = running.finish()
    if measured is not None:
        tally.add(measured)
    settle(group)
    caught_tx = transactions_between(home.ledger_path(other), had, started.height)
    caught_blocks = max(0, started.height - had)
    return {
        "part": _PART,
        "lag": lag.blocks,
        "loaded": lag.is_loaded,
        "replica": replica,
        "blocks": caught_blocks,
        "transactions": caught_tx,
        **started.row(),
        "blocks_per_s": round(caught_blocks / started.level_s, 1),
        "tx_per_s": round(caught_tx / started.level_s, 1),
        **_load(measured, lag, started_s, started),
        "failed": {} if measured is None else measured.failed,
        "ledgers": asdict(identical(home)),
    }


def fits(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For a result, idle and loaded: the line through its rows; None if they have no two different lags.

    `fixed_s`: what a start takes without any lag; `ms_per_block`, `ms_per_tx`: what each block, or transaction, adds.
    """
    return {
        name: _fit([row for row in rows if is_catch_up(row) and row["loaded"] == is_loaded])
        for name, is_loaded in (("idle", False), ("loaded", True))
    }


def _fit(rows: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    by_block = Line.through([(row["blocks"], row["level_s"]) for row in rows])
    by_tx = Line.through([(row["transactions"], row["level_s"]) for row in rows])
    if by_block is None or by_tx is None:
        return None
    return {
        "fixed_s": round(by_block.at_zero, 3),
        "ms_per_block": round(by_block.slope * 1_000, 4),
        "ms_per_tx": round(by_tx.slope * 1_000, 4),
    }


def _chosen(group: LocalGroup) -> tuple[ReplicaId, ReplicaId]:
    """The backup that is last in line to be primary, and the primary."""
    members = group.home.genesis.group
    view = max(reply.view for reply in group.status().values() if reply is not None)
    primary = members.primary(view)
    return ReplicaId((primary - 1) % members.n), primary


def _load(measured: Measured | None, lag: Lag, started_s: float, started: Started) -> dict[str, Any]:
    """The load's throughput while the replica was away, and while it caught up; None where there was no such time.

    And the latencies of the clients while it caught up.
    """
    while_away = while_catching_up = None
    latencies: list[float] = []
    if measured is not None and lag.blocks:
        while_away = round(measured.tx_per_s_between(0.0, started_s), 1)
    if measured is not None and lag.is_loaded:
        level_s = started.level_at - measured.start_s
        while_catching_up = round(measured.tx_per_s_between(started_s, level_s), 1)
        latencies = measured.latencies_ms_between(started_s, level_s)
    return {
        "load_tx_per_s_away": while_away,
        "load_tx_per_s": while_catching_up,
        **{f"p{percent}_ms": rounded(percentile(latencies, percent)) for percent in (50, 99)},
    }
