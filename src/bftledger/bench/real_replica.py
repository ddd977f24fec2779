"""Beside what `breakdown.py` measures, what a transaction costs a real replica: sockets, CURVE, kernel, event loop.

The breakdown counts a favourable part: whole batches in one process, and none of that. What a process uses is of a
result of `throughput.py`, or of a short run with as many clients as keep the group busy.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from bftledger.base.errors import OperatorError
from bftledger.bench.group import made_home, running_group
from bftledger.bench.load import run_load
from bftledger.bench.measured import Load
from bftledger.bench.results import read

CLIENTS: Final = 256
SECONDS: Final = 3.0

WITHOUT: Final = "without sockets, CURVE, the kernel's work and the event loop"

Row = Mapping[str, Any]


def from_result(path: Path, size: int) -> dict[str, Any]:
    """Of the row of a result of `throughput.py` with most clients, of transactions of one operation of this size.

    Raises `OperatorError` if there is none.
    """
    result = read(path)
    rows = [
        row
        for row in result["results"]
        if result["bench"] == "throughput" and (row["operations"], row["size"]) == (1, size) and not row["view"]
    ]
    if not rows:
        raise OperatorError(f"{path}: is no result of throughput.py with transactions of {size} bytes and one primary")
    best = max(rows, key=lambda row: int(row["clients"]))
    source = f"{path.name}, commit {(result['commit'] or 'unknown')[:12]}"
    return of_row(best, source, check_us=round(1e6 / result["calibration"], 3))


def from_run(replicas: int, size: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The same of a new group of processes. Raises `BftLedgerError`."""
    load = Load(clients=CLIENTS, seconds=SECONDS, size=size, seed=seed)
    say(f"{replicas} processes, {load}: {SECONDS:g} s …")
    with made_home(None, replicas=replicas, keep=False) as home, running_group(home) as group:
        row = run_load(group, load).row()
    return of_row(row, f"a run of {SECONDS:g} s", check_us=None)


def of_row(row: Row, source: str, check_us: float | None) -> dict[str, Any]:
    """`check_us`: what the check of a signature took on the machine then; None: as in the breakdown."""
    used = row["replicas_cpu_us_per_tx"]
    primary = row["view"] % len(used)
    backups = [us for replica, us in enumerate(used) if replica != primary and us is not None]
    return {
        "source": source,
        "clients": row["clients"],
        "tx_per_s": row["tx_per_s"],
        "tx_per_block": row["tx_per_block"],
        "primary_us_per_tx": used[primary],
        "backup_us_per_tx": round(fmean(backups), 1) if backups else None,
        "client_check_us": check_us,
    }


def largest(rows: Sequence[Row]) -> dict[str, Row]:
    """By role: the rows with the largest batches, whose figures are judged."""
    batch = max(row["batch"] for row in rows)
    return {row["role"]: row for row in rows if row["batch"] == batch}


def said(rows: Sequence[Row], real: Row | None) -> list[str]:
    """The figures that are judged, what they leave out, and what the whole is. Lines for people."""
    judged = largest(rows)
    backup, primary = judged["backup"], judged["primary"]
    judged_alone = (
        f"beyond one check of a client's signature: backup {backup['beyond_client_check_us']:,.1f} µs, primary "
        f"{primary['beyond_client_check_us']:,.1f} µs, {WITHOUT}, in batches of {backup['batch']:,}"
    )
    if real is None:
        return [judged_alone]
    check = real["client_check_us"] or backup["client_check_us"]
    whole = real["backup_us_per_tx"], real["primary_us_per_tx"]
    beyond = [None if us is None else us - check for us in whole]
    beside = (
        f"a real replica with all of that, {real['clients']} clients, {real['tx_per_block'] or 0:,.0f} transactions in "
        f"a block: backup {_us(beyond[0])}, primary {_us(beyond[1])}, of {_us(whole[0])} and {_us(whole[1])} in all "
        f"({real['source']})"
    )
    return [judged_alone, beside]


def _us(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.1f} µs"
