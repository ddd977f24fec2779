"""Running the command line: in this process for what it says, as a process of its own for what it does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bftledger.cli.main import run
from bftledger.home.home import Home
from bftledger.node.supervisor import stop_running


class Said(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which has to be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """Standard error, which has to be one line that names the program."""
        (line,) = self.err.splitlines()
        assert line.startswith("bftledger: ")
        return line.removeprefix("bftledger: ")


class Here:
    """Runs command lines in this process, on one home."""

    def __init__(self, home: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._captured = captured

    def __call__(self, *arguments: str) -> Said:
        status = run(["--home", str(self.home), *arguments])
        return Said(status, *self._captured.readouterr())

    def ok(self, *arguments: str) -> Said:
        """The same for one that has to succeed."""
        said = self(*arguments)
        assert said.status == 0, said.err
        return said


def bftledger(*arguments: str, cwd: Path, stdin: str = "", timeout: float = 60) -> Said:
    """Runs a command line as a process, in a pipe, with nothing of the caller's environment that it looks at."""
    done = subprocess.run(
        [sys.executable, "-m", "bftledger", *arguments],
        cwd=cwd,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """Without the variables of the program itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BFTLEDGER_")}


@contextmanager
def taken_down(home: Path) -> Iterator[None]:
    """No replica of `home` outlives this."""
    try:
        yield
    finally:
        if Home(home).exists:
            stop_running(Home.open(home), grace_s=0.5)
