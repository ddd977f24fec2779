"""The benchmarks run, and their JSON object has what it must have. What so short a run measures says nothing."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
BRIEFLY = ("--clients", "1", "--seconds", "0.3", "--warmup", "0.1")


def run(script: str, *options: str, tmpdir: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / script), *options]
    env = None if tmpdir is None else os.environ | {"TMPDIR": str(tmpdir)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def command_lines() -> Iterator[str]:
    """Those of all processes there are."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize("script", ["throughput.py", "latency.py"])
def test_json_is_one_object_with_calibration_ceiling_and_rows_and_nothing_else_is_left(
    script: str, tmp_path: Path
) -> None:
    ended = run(script, *BRIEFLY, "--json", tmpdir=tmp_path)

    assert ended.returncode == 0, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    cores = said["machine"]["cores"]
    assert said["calibration"] > 0
    assert said["ceiling_tx_per_s"] == pytest.approx(cores * said["calibration"] / 4, rel=1e-3)
    (row,) = said["results"]
    assert (row["clients"], row["size"], row["failed"]) == (1, 200, {})
    assert row["tx_per_s"] == pytest.approx(row["samples"] / 0.3, rel=1e-2)
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
    assert len(row["replicas_cpu_us_per_tx"]) == 4
    assert list(tmp_path.iterdir()) == []
    assert not [line for line in command_lines() if str(tmp_path) in line]


@pytest.mark.parametrize("script", ["throughput.py", "latency.py", "simulator.py"])
def test_help_explains_by_example(script: str) -> None:
    ended = run(script, "--help")

    assert ended.returncode == 0
    assert f"python bench/{script} --" in ended.stdout


def test_simulator_is_measured_with_and_without_its_oracles() -> None:
    ended = run("simulator.py", "--seeds", "2", "--repeat", "1", "--json")

    assert ended.returncode == 0, ended.stderr
    rows = json.loads(ended.stdout)["results"]
    assert [row["blocks"] for row in rows[:3]] == [25, 5, 1]
    assert all(row[name] > 0 for row in rows for name in ("run_ms", "world_ms", "events_per_s"))


def test_size_that_no_operation_has_is_refused_in_one_line() -> None:
    ended = run("throughput.py", "--size", "3")

    assert ended.returncode == 1
    assert ended.stderr.startswith("bench: ")
    assert ended.stderr.count("\n") == 1
