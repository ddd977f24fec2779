"""The benchmarks run, and their results have what they must have. What so short a run measures says nothing."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.bench.scripts import run, show

BENCH = Path(__file__).parents[2] / "bench"
BRIEFLY = ("--clients", "1", "--seconds", "0.3", "--warmup", "0.1")
SCRIPTS = {
    "throughput.py": (*BRIEFLY, "--batch", "1,4", "--operations", "2", "--size", "40"),
    "latency.py": (*BRIEFLY, "--rates", "20,40", "--keys", "2"),
    "simulator.py": ("--seeds", "2", "--repeat", "1", "--wait-quiet", "0.1"),
}
LOADS = ("throughput.py", "latency.py")
STAGED = 3
"""Kinds of runs without faults that `simulator.py` measures."""


@pytest.fixture(scope="module")
def result_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file with the result of one short run of a script, which leaves nothing and nobody behind."""

    @cache
    def measure(script: str) -> Path:
        directory = tmp_path_factory.mktemp("run")
        file = tmp_path_factory.mktemp("result") / "result.json"
        ended = run(script, *SCRIPTS[script], "--json", str(file), env={"TMPDIR": str(directory)})
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.strip()
        assert list(directory.iterdir()) == []
        assert not [line for line in command_lines() if str(directory) in line]
        return file

    return measure


def command_lines() -> Iterator[str]:
    """Those of all processes there are."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


@pytest.mark.parametrize("script", SCRIPTS)
def test_result_says_where_and_with_what_it_was_measured(script: str, result_of: Callable[[str], Path]) -> None:
    said: dict[str, Any] = json.loads(result_of(script).read_text())

    assert said["bench"] == Path(script).stem
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", said["when"])
    assert said["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", said["commit"])
    assert isinstance(said["seed"], int)
    assert said["calibration"] == said["calibrations"]["ed25519_verifications_per_s"] > 0
    assert said["calibrations"]["store_commits_per_s"] > 0
    assert said["calibrations"]["zeromq_round_trip_us"] > 0
    cores = said["machine"]["cores"]
    assert said["ceiling_tx_per_s"] == pytest.approx(cores * said["calibration"] / 4, rel=1e-3)
    assert {"bftledger", "python", "sqlite", "libzmq", "PyNaCl"} <= set(said["versions"])
    assert said["config"]


def test_result_says_how_busy_the_machine_was_if_somebody_looked(result_of: Callable[[str], Path]) -> None:
    looked, nobody_looked = (json.loads(result_of(script).read_text()) for script in ("simulator.py", "latency.py"))

    assert 0 <= looked["machine"]["busy_before"] <= 1
    assert nobody_looked["machine"]["busy_before"] is None


@pytest.mark.parametrize("script", LOADS)
def test_rows_have_throughput_and_latencies(script: str, result_of: Callable[[str], Path]) -> None:
    rows = json.loads(result_of(script).read_text())["results"]

    assert rows
    for row in rows:
        assert row["failed"] == {}
        assert row["tx_per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert len(row["replicas_cpu_us_per_tx"]) == 4


@pytest.mark.parametrize("script", SCRIPTS)
def test_result_is_shown_again_as_pictures_and_as_a_page_that_loads_nothing(
    script: str, result_of: Callable[[str], Path], tmp_path: Path
) -> None:
    png, html = tmp_path / "picture.png", tmp_path / "page.html"

    ended = show(script, "--from", str(result_of(script)), "--png", str(png), "--html", str(html), "--json", "-")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == json.loads(result_of(script).read_text())
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert "<svg" in page
    assert "<table" in page
    assert not re.search(r"https?:|//|@import|<script|<link|<img|url\((?!#)", page)
    assert set(re.findall(r'href="(.)', page)) <= {"#"}
    assert "var(--ink)" in page
    assert "prefers-color-scheme: dark" in page


def test_batches_are_measured_in_groups_of_their_own(result_of: Callable[[str], Path]) -> None:
    rows = json.loads(result_of("throughput.py").read_text())["results"]

    assert [row["batch_count"] for row in rows] == [1, 4]
    assert all(row["operations_per_s"] == pytest.approx(2 * row["tx_per_s"], abs=0.2) for row in rows)


def test_open_loop_is_offered_what_was_said(result_of: Callable[[str], Path]) -> None:
    rows = json.loads(result_of("latency.py").read_text())["results"]

    assert [row["rate"] for row in rows][:2] == [None, 20]
    assert rows[1]["samples"] == pytest.approx(20 * 0.3, abs=1)
    assert set(rows[1]["percentiles_ms"]) >= {"50", "99", "99.9", "100"}
    assert sum(rows[1]["histogram_below_ms"].values()) == rows[1]["samples"]


def test_latency_names_the_knee(result_of: Callable[[str], Path], tmp_path: Path) -> None:
    said = json.loads(result_of("latency.py").read_text())
    said["results"] = [row | {"kept_up": row["rate"] != 40} for row in said["results"][:2]]
    said["results"].append(said["results"][1] | {"rate": 40.0, "kept_up": False})
    path, html = tmp_path / "latency.json", tmp_path / "latency.html"
    path.write_text(json.dumps(said))

    ended = show("latency.py", "--from", str(path), "--html", str(html))

    words = r"The knee: the group kept up with 20/s due \(\d+% of what one client got\), and not with 40/s"
    assert re.search(f"^{words}$", ended.stdout, re.M)
    assert re.search(f"{words}\\.</p>", html.read_text())
    assert set(said["knee"]) == {"kept_up_per_s", "not_kept_up_per_s"}


def test_simulator_is_measured_with_and_without_its_oracles(result_of: Callable[[str], Path]) -> None:
    rows = json.loads(result_of("simulator.py").read_text())["results"]

    blocks = [row["blocks"] for row in rows[:STAGED]]
    assert 100 > blocks[0] > blocks[1] > blocks[2] > 0
    assert all(row[name] > 0 for row in rows for name in ("run_ms", "world_ms", "events_per_s"))


def test_simulator_has_the_figures_of_every_result_for_each_of_its_shapes(result_of: Callable[[str], Path]) -> None:
    rows = json.loads(result_of("simulator.py").read_text())["results"]

    assert [row["at_once"] for row in rows] == [4, 20, 100, None]
    assert [row["samples"] for row in rows] == [1, 1, 1, 2]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows)
    for row in rows[:STAGED]:
        assert row["tx_per_s"] == pytest.approx(100 / (row["run_ms"] / 1_000), rel=0.01)


def test_profile_says_where_the_time_of_a_replica_goes() -> None:
    ended = run("throughput.py", *BRIEFLY, "--profile", "1", "--json", "-")

    assert json.loads(ended.stdout)["profile"][0]["own_us_per_tx"] > 0


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_explains_by_example(script: str) -> None:
    ended = show(script, "--help")

    assert ended.returncode == 0
    assert f"python bench/{script} --" in ended.stdout


@pytest.mark.parametrize("file", ["no-such-file.json", str(BENCH / "README.md")])
def test_what_cannot_be_shown_is_refused_in_one_line(file: str) -> None:
    ended = show("throughput.py", "--from", file)

    assert ended.returncode == 1
    assert ended.stderr.startswith("bench: ")
    assert ended.stderr.count("\n") == 1


def test_result_of_another_benchmark_is_refused_in_one_line(result_of: Callable[[str], Path]) -> None:
    ended = show("throughput.py", "--from", str(result_of("simulator.py")))

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "is no result of this benchmark" in ended.stderr


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ("throughput.py", ("--size", "200,1000", "--operations", "100"), "the group takes 65,536 at most"),
        ("latency.py", ("--size", "70000"), "the group takes 65,536 at most"),
        ("compare.py", ("--value", "1000"), "100 operations of"),
        ("scale.py", ("--replicas", "4,7,64"), "with 64 replicas the usual window of 64 is too large"),
        ("scale.py", ("--processes", "3"), "a group of 3 is none"),
        ("scale.py", ("--size", "70000"), "the group takes 65,536 at most"),
    ],
)
def test_what_no_group_takes_is_said_before_anything_is_measured(
    script: str, options: tuple[str, ...], said: str
) -> None:
    """One value of several would cost the figures of all others."""
    ended = show(script, *options)

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr


@pytest.mark.parametrize("options", [("--rates", "-3"), ("--size", "3")])
def test_command_line_that_makes_no_sense_has_status_2(options: tuple[str, ...]) -> None:
    assert show("latency.py", *options).returncode == 2
