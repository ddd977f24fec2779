"""Groups of real processes by their size, under one closed loop. What does not come up, or commits nothing, says so."""

from statistics import fmean
from typing import Any, Final

from bftledger.base.errors import BftLedgerError
from bftledger.bench.group import made_home, running_group
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load
from bftledger.pbft.settings import Settings

PROCESSES: Final = "measured, processes"


def measure_processes(replicas: int, load: Load, settings: Settings) -> dict[str, Any]:
    """The row of a new group of this size on loopback; with `error` and without figures if there are none."""
    row: dict[str, Any] = {
        "replicas": replicas,
        "how": PROCESSES,
        "load": f"{load.clients} clients",
        "clients": load.clients,
        "request_timeout_ms": settings.request_timeout_ms,
        "status_interval_ms": settings.status_interval_ms,
        "error": None,
    }
    try:
        with (
            made_home(None, replicas=replicas, keep=False, protocol=settings) as home,
            running_group(home) as group,
        ):
            measured = run_load(group, load).row()
            memory = group.memory_bytes().values()
            group.check()
    except BftLedgerError as error:
        return row | {"error": str(error), "tx_per_s": None, "p50_ms": None, "p99_ms": None}
    primary, *backups = measured["replicas_cpu_us_per_tx"]
    known = [used for used in backups if used is not None]
    kept = ("tx_per_s", "p50_ms", "p99_ms", "max_ms", "tx_per_block", "view", "failed", "samples")
    return (
        row
        | {name: measured[name] for name in kept}
        | {
            "replicas_cpu_us_per_tx": measured["replicas_cpu_us_per_tx"],
            "primary_cpu_us_per_tx": primary,
            "backup_cpu_us_per_tx": round(fmean(known), 1) if known else None,
            "clients_cpu_us_per_tx": measured["clients_cpu_us_per_tx"],
            "replica_memory_mb": round(fmean(memory) / 1e6, 1) if memory else None,
        }
    )
