"""The file with the recorded ratios, and where and with what they were recorded.

A JSON object: `when`, `commit`, `rounds`, `where` (what the ratios depend on besides the code), and `paths`: for each
the median ratio of the rounds, the least and the greatest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bftledger.base.errors import OperatorError
from bftledger.bench.guard import Recorded


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What was recorded. `where`: names and values, such as the version of Python."""

    when: str
    commit: str | None
    rounds: int
    where: Mapping[str, str]
    paths: Mapping[str, Recorded]

    @classmethod
    def of(
        cls,
        rounds: Sequence[Mapping[str, float]],
        *,
        when: str,
        commit: str | None,
        where: Mapping[str, str],
    ) -> "Baseline":
        """Of the ratios of each round, by path."""
        paths = {name: Recorded.of([one[name] for one in rounds]) for name in rounds[0]}
        return cls(when=when, commit=commit, rounds=len(rounds), where=where, paths=paths)

    @classmethod
    def read(cls, path: Path) -> "Baseline":
        """Raises `OperatorError` if there is none, or it is none."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise OperatorError(f"{path}: cannot be read: {error.strerror}; --record makes one") from None
        except ValueError:
            found = None
        try:
            return cls(**{**found, "paths": {name: Recorded(**one) for name, one in found["paths"].items()}})
        except (TypeError, LookupError, AttributeError):
            raise OperatorError(f"{path}: is no baseline: make one with --record") from None

    def write(self, path: Path) -> None:
        """Raises `OperatorError`."""
        document: dict[str, Any] = {**vars(self), "paths": {name: one.document() for name, one in self.paths.items()}}
        try:
            path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise OperatorError(f"{path}: cannot be written: {error.strerror}") from None

    def differs(self, here: Mapping[str, str]) -> str | None:
        """One line that says what is not as it was; None if all is."""
        found = [
            f"{name} {self.where.get(name, 'unknown')} then, {value} now"
            for name, value in here.items()
            if self.where.get(name) != value
        ]
        return f"the baseline was recorded elsewhere: {'; '.join(found)}" if found else None
