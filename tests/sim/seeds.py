"""The seeds that failed once: `tests/seeds.txt`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bftledger.sim.draw import Choice

PATH = Path(__file__).parent.parent / "seeds.txt"


class Line(NamedTuple):
    """A seed, how it is drawn, and what it found."""

    seed: int
    choice: Choice
    found: str

    def __str__(self) -> str:
        return f"{self.seed} {self.found[:40]}"


def read() -> Iterator[Line]:
    """All lines. Raises `ValueError` for one that means nothing, so that none is skipped by mistake."""
    for line in PATH.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield _line(line)


def _line(line: str) -> Line:
    words, _, found = line.partition("#")
    seed, *options = words.split()
    if not found.strip():
        raise ValueError(f"{line}: say what it found")
    values: dict[str, object] = {}
    while options:
        match options:
            case ["--excess", *options]:
                values["excess"] = True
            case ["--collude", *options]:
                values["collude"] = True
            case ["--calm", *options]:
                values["calm"] = True
            case ["--ed25519", *options]:
                values["real_keys"] = True
            case ["--replicas", sizes, *options]:
                values["sizes"] = tuple(int(size) for size in sizes.split(","))
            case ["--byzantine", named, *options]:
                name, _, count = named.rpartition(":")
                traitor = (name, int(count)) if count.isdigit() and name else (named, 1)
                values["traitors"] = (*values.get("traitors", ()), traitor)  # type: ignore[misc]
            case _:
                raise ValueError(f"{line}: unknown option {options[0]}")
    return Line(int(seed), Choice(**values), found.strip())  # type: ignore[arg-type]
