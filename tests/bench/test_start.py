"""`bench/start.py`: a round with real processes from beginning to end, and what is said of those that failed."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bftledger.bench.start import STEPS, summary
from tests.bench.scripts import run, show


def command_lines() -> Iterator[str]:
    """Those of all processes there are."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def a_round(number: int, first_commit_ms: float | None, error: str | None = None) -> dict[str, Any]:
    others = {"answered_ms": 900.0, "init_ms": 300.0, "up_ms": 2_000.0}
    return {"round": number, "first_commit_ms": first_commit_ms, **others, "error": error}


# ── what is made of rounds ──


def test_steps_are_summed_up_over_the_rounds_in_which_they_were_done() -> None:
    took = [1_400.0, 1_000.0, None, 1_200.0]

    rows = {row["step"]: row for row in summary([a_round(number, ms) for number, ms in enumerate(took)])}

    assert list(rows) == list(STEPS) == ["first_commit", "answered", "init", "up"]
    first = rows["first_commit"]
    assert [first[name] for name in ("min_ms", "p50_ms", "p99_ms", "max_ms")] == [1_000, 1_200, 1_400, 1_400]
    assert (first["samples"], rows["up"]["samples"]) == (3, 4)
    assert first["tx_per_s"] is None


def test_step_that_was_never_done_has_no_figures() -> None:
    first, answered, *_ = summary([a_round(1, None, "it was not committed")])

    assert (first["p50_ms"], first["p99_ms"], first["samples"]) == (None, None, 0)
    assert (answered["p50_ms"], answered["samples"]) == (900, 1)  # what came before the failure counts


# ── a real round ──


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the result of one round, which leaves nothing and nobody behind."""
    directory, file = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("result") / "result.json"
    ended = run("start.py", "--rounds", "1", "--json", str(file), env={"TMPDIR": str(directory)})
    assert ended.returncode == 0, ended.stderr
    assert "all answer after" in ended.stderr
    assert list(directory.iterdir()) == []
    assert not [line for line in command_lines() if str(directory) in line]
    return file


def test_result_has_a_row_for_each_step_and_for_each_round(result: Path) -> None:
    said = json.loads(result.read_text())

    assert (said["bench"], said["ok"], said["config"]["replicas"]) == ("start", True, 4)
    assert said["calibration"] > 0
    assert [row["step"] for row in said["results"]] == list(STEPS)
    (only,) = said["rounds"]
    assert only["error"] is None
    assert 0 < only["answered_ms"] < only["first_commit_ms"]
    assert only["init_ms"] > 0
    assert only["up_ms"] > 0
    for row in said["results"]:
        assert row["p50_ms"] == row["p99_ms"] == only[f"{row['step']}_ms"]
        assert (row["tx_per_s"], row["samples"]) == (None, 1)


def test_result_is_shown_again_as_lines_a_picture_and_a_page_that_loads_nothing(result: Path, tmp_path: Path) -> None:
    png, html = tmp_path / "picture.png", tmp_path / "page.html"
    first = json.loads(result.read_text())["results"][0]["p50_ms"]

    ended = show("start.py", "--from", str(result), "--png", str(png), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    assert re.search(rf"^first_commit +{first:,.0f} ", ended.stdout, re.M)
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert f"<h1>{first:,.0f} ms from starting 4 processes to the first commit</h1>" in page
    assert page.count("<figure>") == 1
    assert not re.search(r"https?:|//|@import|<script|<link|<img|url\((?!#)", page)


# ── what goes wrong ──


def test_round_that_failed_is_named_with_its_reason_and_makes_the_status_1(tmp_path: Path) -> None:
    file, png = tmp_path / "result.json", tmp_path / "picture.png"

    ended = run("start.py", "--rounds", "1", "--replicas", "3", "--json", str(file), "--png", str(png))

    assert ended.returncode == 1
    assert "round 1 failed: bftledger init: " in ended.stdout
    said = json.loads(file.read_text())
    assert (said["ok"], said["results"][0]["p50_ms"]) == (False, None)
    assert "replicas" in said["rounds"][0]["error"]
    assert png.exists()


@pytest.mark.parametrize(
    ("options", "status"),
    [(("--rounds", "0"), 2), (("--size", "3"), 2), (("--directory", "nowhere"), 1), (("--from", "nowhere"), 1)],
)
def test_what_cannot_be_done_is_refused(options: tuple[str, ...], status: int) -> None:
    ended = show("start.py", *options)

    assert ended.returncode == status
    assert ended.stdout == ""


def test_help_explains_by_example() -> None:
    assert "python bench/start.py --rounds" in show("start.py", "--help").stdout
