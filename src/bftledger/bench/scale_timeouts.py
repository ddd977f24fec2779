"""Whether a group under load can do with its request time-out T, and which T an operator would give it otherwise.

Nothing is wrong with any replica here. So a group that changes its primary, or leaves transactions without a receipt,
does so because T is too short for what a block takes; and its figures say how a group fares that is set wrongly, not
what agreement costs. Such a load has no figures, keeps what it was like under `got`, and is measured once more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from bftledger.base.ids import Millis
from bftledger.home.config import RANGES, RELATIONS
from bftledger.pbft.settings import Settings

USUAL: Final = Settings()

_SIZE: Final = 4
"""Of the group for which the usual T was chosen."""

_FIGURES: Final = ("tx_per_s", "p50_ms", "p99_ms")


def timeout_for(replicas: int) -> Millis:
    """T in proportion to the size of the group: the usual one is for a group of four, and never too long."""
    return Millis(USUAL.request_timeout_ms * max(replicas, _SIZE) // _SIZE)


def stretched(request_timeout_ms: Millis) -> Settings:
    """The usual settings with this T, and with its cap and both intervals of STATUS in proportion."""

    def by(value: Millis) -> Millis:
        return Millis(max(1, value * request_timeout_ms // USUAL.request_timeout_ms))

    return replace(
        USUAL,
        request_timeout_ms=request_timeout_ms,
        timeout_cap_ms=by(USUAL.timeout_cap_ms),
        status_interval_ms=by(USUAL.status_interval_ms),
        idle_status_interval_ms=by(USUAL.idle_status_interval_ms),
    )


def fault(settings: Settings) -> str | None:
    """Which of these numbers no replica would start with; None if there is none."""
    values = asdict(settings)
    for name, (low, high, _) in RANGES.items():
        if not low <= values[name] <= high:
            return f"{name} = {values[name]:,}: it should be {low:,} to {high:,}"
    for small, relation, large, _ in RELATIONS:
        if values[small] > values[large] or (relation == "below" and values[small] == values[large]):
            return f"{small} = {values[small]:,}: it should be {relation} {large}, which is {values[large]:,}"
    return None


def measured_within(
    chosen: Millis | None, replicas: int, cores: str, measure: Callable[[Settings], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The rows of a load. `chosen`: T; None: the usual one, and where that does not fit, once more with `timeout_for`.

    `cores`: what carries the group, for people. `measure`: runs the load with these settings.
    """
    choices = (USUAL.request_timeout_ms, timeout_for(replicas)) if chosen is None else (chosen,)
    for timeout_ms in dict.fromkeys(choices):
        row = measure(stretched(timeout_ms))
        yield row if is_carried(row) else without_figures(row, cores)
        if is_carried(row) and row["tx_per_s"] is not None:
            return


def is_carried(row: Mapping[str, Any]) -> bool:
    """Whether a load of `results` went by as it must when nothing is wrong with any replica.

    One that was ended before it was over says so itself; of one without figures nothing else is known.
    """
    return not row.get("view") and not row.get("failed")


def without_figures(row: Mapping[str, Any], cores: str) -> dict[str, Any]:
    """The row of a load that is not carried. `cores`: by what, for people."""
    got = {name: row[name] for name in _FIGURES}
    error = (
        f"no figure: {cores} cannot carry {row['replicas']} replicas within a request time-out of "
        f"{row['request_timeout_ms']:,} ms: {trouble(row)}, {row['tx_per_s']:,.1f} tx/s"
    )
    return {**row, **dict.fromkeys(_FIGURES), "got": got, "error": error}


def trouble(row: Mapping[str, Any]) -> str:
    """In which view a load ended, and what became of the transactions that were not committed."""
    said = [f"view {row['view']}"] * bool(row.get("view"))
    return ", ".join([*said, *(f"{count} {how}" for how, count in (row.get("failed") or {}).items())])
