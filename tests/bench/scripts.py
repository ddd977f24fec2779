"""The scripts of bench/ as tests run them: as processes if they measure, and else in this one, which is much sooner."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from unittest import mock

BENCH: Final = Path(__file__).parents[2] / "bench"

Ended = subprocess.CompletedProcess[str]


def run(
    script: str,
    *options: str,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    timeout_s: float = 120,
) -> Ended:
    """As a user runs it; `env`: in addition to this process's environment."""
    return subprocess.run(
        [sys.executable, str(BENCH / script), *options],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        check=False,
        env=os.environ | (env or {}),
    )


def show(script: str, *options: str) -> Ended:
    """Its main program in this process, for what measures nothing: refusals, help, results that are shown again.

    To start an interpreter and import what it imports takes longer than all that it does.
    """
    command = [str(BENCH / script), *options]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", command),
        mock.patch.object(sys, "path", [str(BENCH), *sys.path]),
    ):
        try:
            runpy.run_path(command[0], run_name="__main__")
            status: object = 0
        except SystemExit as ended:
            status = ended.code
    assert status is None or isinstance(status, int), status
    return subprocess.CompletedProcess(command, status or 0, out.getvalue(), err.getvalue())
