"""A group whose ledger grows under load, looked at every so many transactions."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bftledger.base.ids import ReplicaId
from bftledger.bench.fits import Line
from bftledger.bench.footprint import Memory, store_mb
from bftledger.bench.group import LocalGroup
from bftledger.bench.keyed_clients import module
from bftledger.bench.ledgers import Counted
from bftledger.bench.level import settle, start_until_level
from bftledger.bench.load import endless_load
from bftledger.bench.measured import Load
from bftledger.bench.reads import measure_reads

PER: Final = 100_000
"""Growth of memory and stores is said for so many transactions."""

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`keys`: to so many the clients put, each as likely as any other. `reads`: a row has the medians of so many."""

    load: Load
    keys: int
    reads: int


class Growth:
    """Of one group, from where its ledger is."""

    def __init__(self, group: LocalGroup, plan: Plan) -> None:
        self.ledger: Final = Counted(group.home.ledger_path(0))
        self._group = group
        self._plan = plan
        self._chance = random.Random(plan.load.seed)
        self._rows = 0

    def row(self, goal: int) -> dict[str, Any]:
        """Loads the group until `goal` transactions are in the ledger, and looks at it when all is done.

        Returns the row of `results`. Raises `BftLedgerError`.
        """
        group, ledger, plan = self._group, self.ledger, self._plan
        transactions, height = ledger.transactions, ledger.height
        with endless_load(group, plan.load, module(plan.keys, self._rows)) as running:
            ledger.wait(lambda now: now.transactions >= goal)
            measured = running.finish()
        self._rows += 1
        settle(group)
        ledger.update()
        row = measured.row()
        return {
            "transactions": ledger.transactions,
            "height": ledger.height,
            **{name: row[name] for name in _OF_THE_LOAD},
            "seconds": round(measured.load.seconds, 3),
            "tx_per_block": round((ledger.transactions - transactions) / max(1, ledger.height - height), 1),
            **_footprint(group),
            **measure_reads(group.home, ledger, keys=plan.keys, times=plan.reads, chance=self._chance),
        }

    def restart(self) -> dict[str, Any]:
        """Kills the backup that is last in line to be primary, and starts it again. Raises `BftLedgerError`."""
        members = self._group.home.genesis.group
        view = max(reply.view for reply in self._group.status().values() if reply is not None)
        replica = ReplicaId((members.primary(view) - 1) % members.n)
        self._group.kill(replica)
        started = start_until_level(self._group, replica)
        settle(self._group)
        return {"replica": replica, **started.row()}


def goals(begin: int, upto: int, every: int) -> list[int]:
    """At which sizes of the ledger there is a row: each `every` transactions from `begin`, the last at `upto`."""
    return [*range(begin + every, upto, every), upto]


def fitted(rows: Sequence[Row], name: str) -> list[float | None]:
    """MB for `PER` transactions by replica, over the last half of the ledger's growth: `name` is one of the lists.

    None for a replica of which two rows are not known there.
    """
    return [None if line is None else round(line.slope * PER, 4) for line in lines(rows, name)]


def lines(rows: Sequence[Row], name: str) -> list[Line | None]:
    """The fitted lines themselves, MB by transactions."""
    later = last_half(rows)
    return [
        Line.through([(row["transactions"], row[name][i]) for row in later if row[name][i] is not None])
        for i in range(len(rows[0][name]))
    ]


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Beside the rows of a result: what is left at its end, and how it grew. Of several replicas the worst counts."""
    rss, uss = fitted(rows, "rss_mb"), fitted(rows, "uss_mb")
    return {
        "transactions": rows[-1]["transactions"],
        "rss_mb_at_end": _largest(rows[-1]["rss_mb"]),
        "rss_mb_growth_per_100k": _largest(rss),
        "rss_mb_growth_per_100k_by_replica": rss,
        "uss_mb_growth_per_100k": _largest(uss),
        "store_mb_per_100k": _largest(fitted(rows, "store_mb")),
        "fitted_from_transactions": last_half(rows)[0]["transactions"],
    }


def last_half(rows: Sequence[Row]) -> list[Row]:
    """Those with at least half of the transactions that there are in the end."""
    return [row for row in rows if row["transactions"] >= rows[-1]["transactions"] / 2]


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _footprint(group: LocalGroup) -> dict[str, Any]:
    """Lists by replica."""
    replicas = group.home.genesis.group.replicas
    held = [Memory.of(group.pids[i]) for i in replicas]
    stores = [store_mb(group.home.ledger_path(i)) for i in replicas]
    return {
        "rss_mb": [one.rss for one in held],
        "peak_rss_mb": [one.peak_rss for one in held],
        "pss_mb": [one.pss for one in held],
        "uss_mb": [one.uss for one in held],
        "store_mb": [database for database, _ in stores],
        "wal_mb": [log for _, log in stores],
    }


_OF_THE_LOAD: Final = (
    "tx_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "samples",
    "failed",
    "view",
    "clients_cpu_us_per_tx",
    "replicas_cpu_us_per_tx",
)
