"""The frame of every script here: measure or read a result, then print it, write it, draw it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from page import Shown, page

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench.results import Result, read, say, write

if TYPE_CHECKING:
    from pictures import Picture

INTERRUPTED = 130


@dataclass(frozen=True)
class Script:
    """A benchmark. Whatever is shown follows from the result alone, so that it can be shown again (`--from`).

    `parser` needs the options of `options.add_output`. `measure` raises `BftLedgerError` or ValueError if it cannot.
    """

    parser: argparse.ArgumentParser
    measure: Callable[[argparse.Namespace], Result]
    text: Callable[[Result], str]
    """For people, on standard output."""
    show: Callable[[Result], Shown]
    """The page without its pictures."""
    draw: Callable[[Result], Sequence["Picture"]]
    """The pictures, with `pictures` imported only within; called in its style."""
    compose: Callable[[Result], str] | None = None
    """A page of its own instead, which needs neither `show` nor `draw`."""
    is_good: Callable[[Result], bool] = lambda _: True
    """Whether the exit status is 0: what was measured may have turned out to be wrong."""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Returns the exit status: 0; 1 if it failed; argparse exits with 2."""
        options = self.parser.parse_args(arguments)
        try:
            return self._run(options)
        except (BftLedgerError, ValueError) as error:
            say(f"bench: {error}")
            return 1
        except LookupError as error:
            if options.result is None:
                raise
            say(f"bench: {options.result}: is no result of this benchmark as it is now: it lacks {error}")
            return 1
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:  # nobody reads on, and what is left must not fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1

    def _run(self, options: argparse.Namespace) -> int:
        draws = options.png is not None or (options.html is not None and self.compose is None)
        if draws:
            _need_matplotlib()
        if options.result is None:
            # As it will be read again: texts as keys, lists instead of tuples.
            result: Result = json.loads(json.dumps(self.measure(options)))
        else:
            result = read(options.result)
        if options.json is not None:
            write(result, options.json)
        if options.json != "-":
            print(self.text(result), flush=True)
        if draws:
            self._show(result, options)
        if options.html is not None and self.compose is not None:
            _write(options.html, self.compose(result))
        return 0 if self.is_good(result) else 1

    def _show(self, result: Result, options: argparse.Namespace) -> None:
        import pictures  # noqa: PLC0415

        with pictures.style():
            drawn = list(self.draw(result))
        if options.png is not None:
            try:
                pictures.save_png(drawn, options.png)
            except OSError as error:
                raise OperatorError(f"{error.filename}: cannot be written: {error.strerror}") from None
        if options.html is not None and self.compose is None:
            shown = self.show(result)
            _write(options.html, page(Shown(shown.title, shown.story, shown.tables, drawn), result))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written: {error.strerror}") from None


def _need_matplotlib() -> None:
    """Before anything is measured."""
    try:
        import pictures  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise OperatorError(f"pictures need {error.name}: pip install 'bftledger[bench]'") from None
