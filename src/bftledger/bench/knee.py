"""Where a group stops keeping up: rates that rise until it does not, and what they say in the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, repeat, takewhile
from operator import mul
from typing import Any, Final

SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Of what a closed loop got: the rates that are tried first."""

FACTOR: Final = 1.15
"""Then each is so many times the one before."""

LIMIT: Final = 3.0
"""No rate is more than so many times what the closed loop got."""


def rising(tx_per_s: float) -> Iterator[float]:
    """Rates per second, each above the one before, the last `LIMIT` times what a closed loop got."""
    beyond = takewhile(lambda share: share < LIMIT, accumulate(repeat(FACTOR), mul))
    rates = (float(max(1, round(tx_per_s * share))) for share in (*SHARES, *beyond, LIMIT))
    return (rate for rate, _ in groupby(rates))


@dataclass(frozen=True, kw_only=True)
class Knee:
    """The highest rate that the group kept up with before the first that it did not, and that one; None: not found."""

    kept_up_per_s: float | None
    not_kept_up_per_s: float | None

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]]) -> "Knee":
        """Of the open loops among the rows, which are in the order of their rates."""
        opened = [row for row in rows if row["rate"] is not None]
        kept = list(takewhile(lambda row: row["kept_up"], opened))
        return cls(
            kept_up_per_s=kept[-1]["rate"] if kept else None,
            not_kept_up_per_s=opened[len(kept)]["rate"] if len(kept) < len(opened) else None,
        )

    def text(self, closed_tx_per_s: float, closed: str) -> str:
        """For people; relative to what that closed loop got. Empty if no rate was tried."""
        kept, missed = self.kept_up_per_s, self.not_kept_up_per_s
        if kept is None:
            return "" if missed is None else f"The knee is below {missed:,.0f}/s due, the lowest rate that was tried"
        share = f" ({kept / closed_tx_per_s:.0%} of what {closed} got)" if closed_tx_per_s else ""
        if missed is None:
            return f"No knee was found: the group kept up with all rates, up to {kept:,.0f}/s due{share}"
        return f"The knee: the group kept up with {kept:,.0f}/s due{share}, and not with {missed:,.0f}/s"
