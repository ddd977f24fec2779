"""What commands print: answers for people, or one JSON document for programs, on standard output; the rest on stderr.

In a terminal there is colour and what is too long for it is cut; in a pipe there is neither. What others wrote is shown
with its control characters escaped, so that nobody's transaction plays with the reader's terminal.
"""

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import typer
from rich.console import Console
from rich.text import Text

from bftledger.base.errors import BftLedgerError

GOOD: Final = "green"
BAD: Final = "bold red"
DOUBTFUL: Final = "yellow"
QUIET: Final = "dim"
STRONG: Final = "bold"

NOT_DONE: Final = 1
USAGE: Final = 2
UNDECIDED: Final = 3
"""Exit status when the fate of a transaction is not known yet: asking again is safe."""


class NotDone(BftLedgerError):
    """What was asked did not happen. The text is one line; `status` is the exit status."""

    def __init__(self, text: str, status: int = NOT_DONE) -> None:
        super().__init__(text)
        self.status = status


class Misused(NotDone):
    """The command line makes no sense. The text is one line that says what to write instead."""

    def __init__(self, text: str) -> None:
        super().__init__(text, USAGE)


def console(*, stderr: bool = False) -> Console:
    """Prints text as it is: no markup, no highlighting, no wrapping of lines."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def is_terminal() -> bool:
    """Whether a person reads standard output as it is."""
    return sys.stdout.isatty()


def say(text: str, style: str = "") -> None:
    """A line for the reader."""
    console().print(printable(text), style=style or None)


def paragraph(text: str, style: str = "", indent: int = 0) -> None:
    """Sentences for the reader: in a terminal broken between words, what follows so far to the right; else one line."""
    shown = printable(text)
    console().print(wrapped(shown, console().width, indent) if is_terminal() else shown, style=style or None)


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """`text` in lines of at most `width` columns, all but the first after `indent` blanks; no word is broken."""
    lines = textwrap.wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def note(text: str) -> None:
    """A line about what is going on, on standard error, so that it never gets between an answer's lines."""
    console(stderr=True).print(printable(text), style=QUIET)


def emit(answer: Any) -> None:
    """One JSON document: readable in a terminal, one line in a pipe."""
    typer.echo(json.dumps(answer, indent=2 if is_terminal() else None))


class JsonList:
    """Prints one JSON array, each item as it comes; as a context manager, ends it whatever happens."""

    def __init__(self) -> None:
        self._before = "["

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        typer.echo("[]" if self._before == "[" else "]")

    def add(self, item: Any) -> None:
        """Prints the next item."""
        typer.echo(f"{self._before}{json.dumps(item)}", nl=False)
        sys.stdout.flush()
        self._before = ",\n "


def fields(pairs: Mapping[str, object], *, head: str = "", style: str = STRONG) -> None:
    """A heading and each of `pairs`, aligned; None is left out. Nothing is ever cut.

    One line for each; in a terminal more where it is too narrow.
    """
    out = console()
    if head:
        out.print(printable(head), style=style)
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        if value is not None:
            told = printable(shown(value))
            if is_terminal():
                told = wrapped(" " * (width + 4) + told, out.width, width + 4).lstrip()
            out.print(Text.assemble((f"  {name:<{width}}  ", QUIET), told))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str] | None = None) -> None:
    """Prints `aligned` columns; nothing if there are no rows."""
    if rows:
        console().print(aligned(columns, rows, styles, console().width if is_terminal() else None))


def aligned(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    styles: Sequence[str] | None = None,
    width: int | None = None,
) -> Text:
    """Columns under a heading, numbers to the right. `styles`: one per row.

    Where `width` is too narrow, the longest cells of the widest column are cut; without it nothing is.
    """
    cells = [[printable(shown(value)) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(columns)]
    if width is not None and (excess := sum(widths) + 2 * len(widths) - 2 - width) > 0:
        widest = widths.index(max(widths))
        widths[widest] = max(widths[widest] - excess, len(columns[widest]), 8)
    right = [any(type(row[i]) in (int, float) for row in rows) for i in range(len(columns))]
    text = Text(_line(columns, widths, right), style=QUIET)
    lines = [text, *(Text(_line(row, widths, right), styles[i] if styles else "") for i, row in enumerate(cells))]
    return Text("\n").join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, is_number in zip(cells, widths, right, strict=True):
        text = cell if len(cell) <= width else cell[: width - 1] + "…"
        parts.append(text.rjust(width) if is_number else text.ljust(width))
    return "  ".join(parts).rstrip()


def shown(value: object) -> str:
    """A value for people: yes or no, bytes as hexadecimal digits, a path as short as it can be said."""
    match value:
        case bool():
            return "yes" if value else "no"
        case bytes():
            return value.hex()
        case Path():
            return pretty(value)
        case _:
            return str(value)


def printable(text: str) -> str:
    """`text` with what is not printable escaped, as in \\x1b."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def pretty(path: Path) -> str:
    """A path as short as it can be said from here."""
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith("..") else relative


def when(millis: int) -> str:
    """A time in milliseconds since the epoch, as UTC to the millisecond."""
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def plural(count: int, noun: str) -> str:
    """`1 block`, `2 blocks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
