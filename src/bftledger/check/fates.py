"""Fates: what clients are told about a transaction agrees with the ledger, whenever they ask, and stays so once final.

A program that ended too early asks later, of replicas that may have crashed or never had it. Of what was acknowledged
every quorum has a correct replica that can prove it (`ledger.submission.FateQuestion`), so nobody who asks after that
may hear that it is unknown.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bftledger.base.ids import Seq, TxId
from bftledger.check.violation import Violation, first
from bftledger.ledger.outcome import State

ORACLE = "fates"


class Place(NamedTuple):
    """A transaction's block, its place there, and whether it had its effect."""

    height: Seq
    position: int
    ok: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a client that asked at `asked` was told at `told`: two times of one clock. `place`: as its receipt says."""

    tx_id: TxId
    name: str
    asked: int
    told: int
    state: State
    place: Place | None = None


def check_fates(tellings: Iterable[Told], ledger: Mapping[TxId, Place]) -> list[Violation]:
    """What was told and is not so. `ledger`: all transactions of it in the end."""
    return first(_wrong(list(tellings), ledger))


def _wrong(tellings: list[Told], ledger: Mapping[TxId, Place]) -> Iterator[Violation]:
    acknowledged: dict[TxId, int] = {}
    for telling in tellings:
        if telling.state in _IN_LEDGER:
            acknowledged[telling.tx_id] = min(telling.told, acknowledged.get(telling.tx_id, telling.told))
    for telling in tellings:
        place = ledger.get(telling.tx_id)
        if telling.state in _IN_LEDGER:
            if place is None or place != telling.place:
                yield _violation(telling, f"at {_words(telling.place)}, and is at {_words(place)}")
            elif place.ok is not (telling.state is State.COMMITTED):
                yield _violation(telling, f"and its result in block {place.height} says the opposite")
        elif telling.state is State.EXPIRED and place is not None:
            yield _violation(telling, f"and is at {_words(place)}")
        elif telling.state is State.UNKNOWN and telling.asked > acknowledged.get(telling.tx_id, telling.asked):
            since = acknowledged[telling.tx_id]
            yield _violation(telling, f"to who asked {telling.asked - since} after it had been acknowledged")


_IN_LEDGER = (State.COMMITTED, State.REJECTED)


def _violation(telling: Told, what: str) -> Violation:
    height = telling.place.height if telling.place else None
    return Violation(ORACLE, f"{telling.name} is said to be {telling.state.value}, {what}", height)


def _words(place: Place | None) -> str:
    return "no place" if place is None else f"block {place.height}, place {place.position}"
