"""What all kills and lags of a run come to: the rows together, and the verdict on the ledgers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bftledger.bench.attack_verdict import Verdict
from bftledger.bench.catch_up import fits
from bftledger.bench.fits import spread
from bftledger.bench.kills import is_kill

SPREAD: Final = (
    "outage_ms",
    "ledger_gap_ms",
    "suspected_ms",
    "new_view_ms",
    "recovery_ms",
    "gap_ms",
    "gap_end_ms",
    "level_s",
)
"""Of the rows of kills: what is summed up, what counts most comes first."""


def summary(rows: Sequence[Mapping[str, Any]], verdict: Verdict) -> dict[str, Any]:
    """Beside the rows of a result. `ok`: nothing is wrong, at the end and after each row."""
    return {
        "summary": {name: spread([row[name] for row in rows if is_kill(row)]) for name in SPREAD},
        "fits": fits(rows),
        "acknowledged": verdict.acknowledged,
        "verdict": {name: {"ok": found.ok, "text": found.text} for name, found in verdict.findings.items()},
        "ok": verdict.ok and all(row["ledgers"]["ok"] for row in rows),
    }
