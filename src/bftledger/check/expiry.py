"""Expiry: nobody is told that a transaction expired while every honest clock says that it has not.

The time of a block is a proposal's, which a correct replica has compared with its own clock (`pbft.normal.is_timely`).
A group that lets a primary date its blocks far ahead forks nowhere and answers everything in time, all of it with
"expired"; and so does a client that believes one replica that says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bftledger.base.ids import Millis
from bftledger.check.violation import Violation, first

ORACLE = "expiry"


@dataclass(frozen=True, slots=True)
class Expired:
    """What a client was told at `told` to have expired, and when it would: milliseconds since the epoch."""

    name: str
    expires: Millis
    told: Millis


def check_expired(endings: Iterable[Expired], *, ahead: int) -> list[Violation]:
    """What was told too early. `ahead`: by so many milliseconds the time of a block may be ahead of the right time."""
    return first(
        Violation(ORACLE, f"{ending.name} is said to have expired {ending.expires - ending.told} ms before it does")
        for ending in endings
        if ending.told + ahead < ending.expires
    )
