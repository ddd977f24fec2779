"""The numbers that shape a run of the protocol; none of them is needed to check a ledger or a receipt."""

from dataclasses import dataclass
from typing import Final

from bftledger.base.ids import Millis

MAX_WINDOW: Final = 1024
MAX_BATCH_COUNT: Final = 4096
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""What `window`, `batch_count` and `batch_bytes` may be at most, and what every replica takes from any other.

What a message may hold must not depend on the settings of who reads it: those may have been changed since it was
signed, and proofs that some refuse and others rely on would halt the group."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Bounds and times of the protocol core. A group works best when all replicas use the same."""

    window: int = 64
    """L: how many sequence numbers the log spans above the stable checkpoint (§4.3, H = h + L)."""

    pipeline: int = 8
    """At most so many proposals of a primary are not yet executed."""

    batch_count: int = 512
    """At most so many transactions make a proposal."""

    batch_bytes: int = 1024 * 1024
    """At most so many bytes of transactions make a proposal; a single larger one goes alone."""

    batch_wait_ms: Millis = Millis(50)
    """While others are in flight, an incomplete batch is proposed after this time."""

    request_timeout_ms: Millis = Millis(500)
    """T: a backup waits so long for the oldest pending transaction before it suspects the primary (§4.4)."""

    timeout_cap_ms: Millis = Millis(16_000)
    """Doubling ends here."""

    status_interval_ms: Millis = Millis(100)
    """How often STATUS is sent, and what was lost sent again, while something is unfinished."""

    idle_status_interval_ms: Millis = Millis(1_000)
    """How often STATUS is sent when nothing is unfinished."""

    clock_skew_ms: Millis = Millis(2_000)
    """A backup accepts a proposal whose time is at most so far from its own clock."""

    pool_count: int = 10_000
    """At most so many pending transactions from clients are held."""

    pool_bytes: int = 64 * 1024 * 1024
    """At most so many bytes of them."""

    pool_share: int = 2_500
    """At most so many of them are of one sender."""
