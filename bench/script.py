"""The frame of every script here: measure or read a result, then print it, write it, draw it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from page import Shown, page

from bftledger.base.errors import BftLedgerError, OperatorError
from bftledger.bench.options import Misused
from bftledger.bench.quiet import patience, warning
from bftledger.bench.results import Result, check_writable, document, read, say, write

if TYPE_CHECKING:
    from pictures import Picture

FAILED = 1
MISUSED = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class Script:
    """A benchmark. Whatever is shown follows from the result alone, so that it can be shown again (`--from`).

    `parser` needs the options of `options.add_output`. `measure` raises `options.Misused` before it begins if the
    command line makes no sense, and `BftLedgerError` or ValueError if it cannot do it.
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
        """Returns the exit status: 0; 1 if it failed; 2 for a command line that makes no sense, as argparse does."""
        options = self.parser.parse_args(arguments)
        try:
            return self._run(options)
        except (BftLedgerError, ValueError) as error:
            say(f"bench: {error}")
            return MISUSED if isinstance(error, Misused) else FAILED
        except LookupError as error:
            if options.result is None:
                raise
            say(f"bench: {options.result}: is no result of this benchmark as it is now: it lacks {error}")
            return FAILED
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            _tell_nobody()
            return FAILED

    def _run(self, options: argparse.Namespace) -> int:
        for path in _targets(options):
            check_writable(path)
        if _draws(options, self):
            _need_matplotlib()
        if options.result is None:
            with patience(options.wait_quiet):
                # As it will be read again: texts as keys, lists instead of tuples.
                result: Result = json.loads(json.dumps(self.measure(options)))
        else:
            result = read(options.result)
        # What is on the screen stays there, whatever becomes of the files.
        is_told = _tell(document(result) if options.json == "-" else self._said(result))
        is_saved = self._save(result, options)
        return 0 if is_told and is_saved and self.is_good(result) else FAILED

    def _said(self, result: Result) -> str:
        """The text, and how busy the machine was, if it was."""
        busy = warning(result["machine"].get("busy_before"))
        return "\n".join([self.text(result), *([] if busy is None else [f"\nright before, {busy}"])])

    def _save(self, result: Result, options: argparse.Namespace) -> bool:
        """Writes all files, each whatever became of those before. Whether all could be written."""
        done = [options.json in (None, "-") or _is_done(partial(write, result, options.json))]
        if _draws(options, self):
            import pictures  # noqa: PLC0415

            with pictures.style():
                drawn = list(self.draw(result))
            if options.png is not None:
                done.append(_is_done(partial(_write_png, drawn, options.png)))
            if options.html is not None and self.compose is None:
                shown = replace(self.show(result), pictures=drawn)
                done.append(_is_done(partial(_write, options.html, page(shown, result))))
        if options.html is not None and self.compose is not None:
            done.append(_is_done(partial(_write, options.html, self.compose(result))))
        return all(done)


def _draws(options: argparse.Namespace, script: Script) -> bool:
    return options.png is not None or (options.html is not None and script.compose is None)


def _targets(options: argparse.Namespace) -> list[Path]:
    """The files that will be written; further pictures are beside the first."""
    json_file = None if options.json in (None, "-") else Path(options.json)
    return [path for path in (json_file, options.png, options.html) if path is not None]


def _is_done(step: Callable[[], None]) -> bool:
    """Whether it could be done; why not is said."""
    try:
        step()
    except OperatorError as error:
        say(f"bench: {error}")
        return False
    return True


def _tell(text: str) -> bool:
    """On standard output. Whether all of it got there: if not, there are still files to be written."""
    try:
        print(text, flush=True)
    except OSError as error:
        _tell_nobody()
        if not isinstance(error, BrokenPipeError):
            say(f"bench: standard output: cannot be written: {error.strerror}")
        return False
    return True


def _tell_nobody() -> None:
    """Nobody reads on, and what is left in the buffer must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written: {error.strerror}") from None


def _write_png(drawn: Sequence["Picture"], path: Path) -> None:
    import pictures  # noqa: PLC0415

    try:
        pictures.save_png(drawn, path)
    except OSError as error:
        raise OperatorError(f"{error.filename or path}: cannot be written: {error.strerror}") from None


def _need_matplotlib() -> None:
    """Before anything is measured."""
    try:
        import pictures  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise OperatorError(f"pictures need {error.name}: pip install 'bftledger[bench]'") from None
