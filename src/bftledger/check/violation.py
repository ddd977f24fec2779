"""What an oracle returns: one thing that must never be."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bftledger.base.ids import Digest, ReplicaId, Seq

MAX_VIOLATIONS: Final = 20
"""An oracle lists at most so many; where there are more, the first say enough."""

Who = ReplicaId | str
"""Whose something is: a replica, or the name of a store or client."""


@dataclass(frozen=True, slots=True)
class Violation:
    """`text` says in one line what is wrong; `oracle` is the module that says so.

    `height`: the height or sequence number that it is about, if it is about one. `holders`: whom it is about.
    `is_certain`: False where the oracle gave up before it knew: nothing is proven, and nothing is fine either.
    """

    oracle: str
    text: str
    height: Seq | None = None
    holders: tuple[Who, ...] = ()
    is_certain: bool = True

    def __str__(self) -> str:
        return f"{self.oracle}: {self.text}" if self.is_certain else f"{self.oracle}: undecided: {self.text}"

    @property
    def replicas(self) -> tuple[ReplicaId, ...]:
        """Those of `holders` that are replicas."""
        return tuple(who for who in self.holders if not isinstance(who, str))


def first(violations: Iterable[Violation]) -> list[Violation]:
    """As many as are listed; what would come after them is not even looked for."""
    return list(islice(violations, MAX_VIOLATIONS))


def named(*whos: Who) -> str:
    """Replicas and others in words: "replica 2, data/3"."""
    return ", ".join(who if isinstance(who, str) else f"replica {who}" for who in whos)


def short(digest: Digest | bytes) -> str:
    """Enough of a hash to tell it from others."""
    return f"{digest.hex()[:16]}…"


def quoted(data: bytes) -> str:
    """A key or value: its text, or the hexadecimal digits of what is none, cut where it is long."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        return text if len(text) <= 24 else f"{text[:24]}…"
    return f"0x{data[:12].hex()}" + ("…" if len(data) > 12 else "")
