"""How the demo tells its story: a line for each thing that held, and a progress bar where one can be drawn."""

import sys
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from bftledger.cli import output


class Story:
    """Prints the demo's lines; nothing at all if `quiet`. As a context manager, ends the bar whatever happens."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total = total
        self._quiet = quiet
        self._console = output.console()
        self._told = 0
        is_drawn = output.is_terminal() and not quiet
        self._bar = self._make_bar() if is_drawn else None
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self._good, self._event = ("✓", "●") if unicode else ("ok", "--")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_bar()

    def title(self, text: str) -> None:
        """What this is going to be."""
        self._print(Text(text, output.STRONG))

    def held(self, text: str) -> None:
        """Something that was promised, and is so."""
        self._print(Text.assemble((f"{self._good} ", output.GOOD), output.printable(text)))

    def event(self, text: str) -> None:
        """Something that was done to the group."""
        self._print(Text.assemble((f"{self._event} ", output.DOUBTFUL), output.printable(text)))

    def begin_bar(self) -> None:
        """Shows how many transactions are committed, from now on."""
        if self._bar is not None:
            self._bar.start()
            self._bar.add_task("committed", total=self._total)

    def progress(self, done: int) -> None:
        """So many are committed."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)
        elif (quarter := 4 * done // self._total) > self._told:
            self._told = quarter
            self._print(Text(f"  {done:,} of {self._total:,} committed"))

    def end_bar(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None and self._bar.live.is_started:
            self._bar.stop()

    def _print(self, text: Text) -> None:
        if not self._quiet:
            self._console.print(text)
            sys.stdout.flush()

    def _make_bar(self) -> Progress:
        return Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
