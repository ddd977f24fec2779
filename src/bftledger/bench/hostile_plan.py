"""Which hostile clients and strangers there are to measure: what each sends, over how many connections, how fast."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from bftledger.base.errors import OperatorError

ALL: Final = "all"
FEW, SEVERAL, CROWD = 1, 16, 600
"""Connections to each replica. A crowd is more than a replica has room for (`net.options.Limits.clients`)."""

MOST_CONNECTIONS: Final = 4_096
KEYS: Final = 64
"""So many keys have those who pretend to be many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A way to be hostile. `does`: a sentence for people. `connections`: how many, in turns, where nobody says.

    `is_client`: its transactions are valid, and it gets what it pays for. `needs_past`: it works with transactions that
    are in the ledger, and has some committed beforehand. `reads`: whether it takes in what it is answered.
    `sends`: whether it says anything at all.
    """

    name: str
    does: str
    connections: Sequence[int] = (FEW, SEVERAL)
    is_client: bool = False
    needs_past: bool = False
    reads: bool = True
    sends: bool = True


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            name="greedy",
            does="Valid transactions of one key, as fast as it can, whatever is under way.",
            is_client=True,
        ),
        Kind(name="greedy-keys", does=f"Valid transactions of {KEYS} keys in turn.", is_client=True),
        Kind(name="greedy-large", does="Valid transactions of one key, as large as the group allows.", is_client=True),
        Kind(name="garbage", does="Random bytes, spoilt requests, nesting, and lengths that lie."),
        Kind(name="forged", does="Transactions that are well-formed and badly signed, until it is shunned."),
        Kind(name="huge", does="Badly signed transactions as large as a request can be, larger than the group allows."),
        Kind(name="replays", does="Transactions that have long been committed.", needs_past=True),
        Kind(name="reads", does="Values and heights, with proof.", needs_past=True),
        Kind(name="lookups", does="Fates, receipts, blocks and headers of the past.", needs_past=True),
        Kind(name="waits", does="Values and heights that are yet to come: each waits."),
        Kind(name="deaf", does="Asks for blocks and takes in none of the answers.", needs_past=True, reads=False),
        Kind(name="mixed", does="What hostile clients of the simulator send: a bit of everything.", is_client=True),
        Kind(
            name="idle",
            does="Connects, says nothing, and connects again whenever it is turned out.",
            connections=(CROWD,),
            reads=False,
            sends=False,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """One to be measured. `connections`: to each replica. `rate`: frames per second of all of them; None: no limit."""

    kind: Kind
    connections: int
    rate: float | None

    @property
    def name(self) -> str:
        """As on the command line, `NAME:CONNECTIONS`."""
        return f"{self.kind.name}:{self.connections}"

    @property
    def title(self) -> str:
        """The same with its rate, if that is limited."""
        return self.name if self.rate is None else f"{self.name} {self.rate:,g}/s"


def hostiles(texts: Iterable[str], rates: Sequence[float | None]) -> list[Hostile]:
    """What a command line asks for, each once: `NAME`, `NAME:CONNECTIONS`, or `all`; each with each rate.

    Who says nothing has no rate, and is there once. Raises `OperatorError`.
    """
    found: dict[Hostile, None] = {}
    for text in texts:
        for name in KINDS if text == ALL else (text,):
            for kind, connections in _parse(name):
                for rate in rates if kind.sends else (None,):
                    found[Hostile(kind=kind, connections=connections, rate=rate)] = None
    return list(found)


def _parse(text: str) -> list[tuple[Kind, int]]:
    name, _, number = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        close = get_close_matches(name, KINDS, 1)
        raise OperatorError(f"{name}: is none of {', '.join(KINDS)}{f': try {close[0]}' if close else ''}")
    if ":" not in text:
        return [(kind, connections) for connections in kind.connections]
    if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= MOST_CONNECTIONS):
        raise OperatorError(f"{text}: {number!r} is no number of connections from 1 to {MOST_CONNECTIONS}")
    return [(kind, int(number))]
