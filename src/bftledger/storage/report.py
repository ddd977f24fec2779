"""What an audit finds: each problem in one line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bftledger.base.ids import Digest, Seq

MAX_PROBLEMS: Final = 100
"""An audit lists at most so many; where there are more, the first say enough."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `table`: of the database, or "file"; `where`: the row, for example "height 7"."""

    file: Path
    table: str
    where: str
    what: str
    height: Seq | None = None
    """The height or sequence number that it is about, if it is about one."""

    def __str__(self) -> str:
        place = f"{self.table}, {self.where}" if self.where else self.table
        return f"{self.file}: {place}: {self.what}"


@dataclass(slots=True)
class Findings:
    """The problems of one store, while it is being audited."""

    file: Path
    problems: list[Problem] = field(default_factory=list)
    unlisted: int = 0

    def add(self, table: str, where: str, what: object, height: int | None = None) -> None:
        """Notes a problem."""
        if len(self.problems) < MAX_PROBLEMS:
            text = " ".join(str(what).split())
            self.problems.append(Problem(self.file, table, where, text, None if height is None else Seq(height)))
        else:
            self.unlisted += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What there is in a store, and everything that is wrong with it.

    `hashes`: of the blocks from block 0, the genesis block, on; None where a block is damaged. `unlisted`: how many
    problems there are beyond those in `problems`.
    """

    file: Path
    replica: int | None
    hashes: tuple[Digest | None, ...]
    transactions: int
    certificates: int
    votes: int
    evidence: int = 0
    problems: tuple[Problem, ...]
    unlisted: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def height(self) -> Seq:
        """Of the newest block; 0 if there is none but the genesis block."""
        return Seq(max(len(self.hashes) - 1, 0))
