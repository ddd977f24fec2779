"""The frame of the scripts: where results go, what is refused before anything is measured, and what survives a fault.

`throughput.py` stands for all of them; what it shows is a result made here.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.errors import OperatorError
from bftledger.bench.results import check_writable
from tests.bench.scripts import run, show

FULL = Path("/dev/full")
"""A device that takes nothing."""


def row(**more: Any) -> dict[str, Any]:
    return {
        "batch_count": 512,
        "clients": 16,
        "rate": None,
        "size": 200,
        "operations": 1,
        "tx_per_s": 811.0,
        "operations_per_s": 811.0,
        "p50_ms": 18.9,
        "p99_ms": 30.3,
        "max_ms": 39.3,
        "samples": 9_000,
        "failed": {},
        "view": 0,
        "tx_per_block": 6.8,
        "payload_mb_per_s": 0.162,
        "clients_cpu_us_per_tx": 197.9,
        "replicas_cpu_us_per_tx": [551.7, None],
        **more,
    }


def result(*rows: dict[str, Any], busy: float | None = None) -> dict[str, Any]:
    return {
        "bench": "throughput",
        "when": "2026-01-01T00:00:00Z",
        "commit": None,
        "seed": 1,
        "calibration": 1.0,
        "calibrations": {},
        "ceiling_tx_per_s": 9_000.0,
        "machine": {"cores": 2, "busy_before": busy},
        "versions": {"bftledger": "0"},
        "config": {"replicas": 4},
        "results": list(rows),
    }


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A result that was measured before."""
    path = tmp_path / "known.json"
    path.write_text(json.dumps(result(row())))
    return path


# ── before anything is measured ──


@pytest.mark.parametrize(
    ("option", "target", "why"),
    [
        ("--json", "nowhere/x", "No such file or directory"),
        ("--png", ".", "Is a directory"),
        ("--html", "file/x", "Not a directory"),
    ],
)
def test_target_that_cannot_be_written_is_refused_in_one_line_before_anything_is_measured(
    option: str, target: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("kept")
    ended = show("throughput.py", "--clients", "1", option, str(tmp_path / target))

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == f"bench: {tmp_path / target}: cannot be written: {why}\n"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "kept")]


def test_check_of_a_target_leaves_all_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("before")
    check_writable(there)
    check_writable(tmp_path / "new.json")

    assert there.read_text() == "before"
    assert list(tmp_path.iterdir()) == [there]


def test_link_to_nowhere_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nowhere" / "x.json")

    with pytest.raises(OperatorError, match="cannot be written: No such file"):
        check_writable(link)


def test_pipe_is_not_opened_before_there_is_something_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for a reader, or tell one that all is over."""
    os.mkfifo(tmp_path / "pipe")

    def refuse(*_: object) -> int:
        raise AssertionError("it is opened")

    monkeypatch.setattr(os, "open", refuse)

    check_writable(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch", "1,2", "--home", "nowhere"), "leave out --home"),
        (("--profile", "0", "--rounds", "2"), "no --rounds"),
        (("--profile", "4"), "there is no replica 4"),
    ],
)
def test_command_line_that_makes_no_sense_has_status_2_and_one_line(options: tuple[str, ...], words: str) -> None:
    ended = show("throughput.py", *options)

    assert ended.returncode == 2
    assert ended.stderr.startswith("bench: ")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", "3"), "there is no put of 3 bytes"),
        (("--operations", "1,257"), "a transaction has no 257 operations"),
        (("--rounds", "0"), "'0' is not a number of 1 or more"),
        (("--wait-quiet", "-1"), "is not a time in seconds of 0 or more"),
    ],
)
def test_value_that_no_option_has_is_refused_with_status_2(options: tuple[str, ...], words: str) -> None:
    ended = show("throughput.py", *options)

    assert ended.returncode == 2
    assert words in ended.stderr


# ── when something goes wrong afterwards ──


def test_text_is_printed_and_every_other_file_written_although_one_cannot_be(known: Path, tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    ended = show("throughput.py", "--from", str(known), "--json", str(FULL), "--png", str(FULL), "--html", str(html))

    assert ended.returncode == 1
    assert "811" in ended.stdout
    assert ended.stderr.splitlines() == [f"bench: {FULL}: cannot be written: No space left on device"] * 2
    assert "<svg" in html.read_text()


def test_files_are_written_although_nobody_reads_the_text(known: Path, tmp_path: Path) -> None:
    file = tmp_path / "again.json"
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = run("throughput.py", "--from", str(known), "--json", str(file), stdout=write_end)
    os.close(write_end)

    assert (ended.returncode, ended.stderr) == (1, "")
    assert json.loads(file.read_text()) == json.loads(known.read_text())


def test_files_are_written_although_the_text_finds_no_space(known: Path, tmp_path: Path) -> None:
    file = tmp_path / "again.json"
    with FULL.open("w") as full:
        ended = run("throughput.py", "--from", str(known), "--json", str(file), stdout=full.fileno())

    assert ended.returncode == 1
    assert ended.stderr == "bench: standard output: cannot be written: No space left on device\n"
    assert file.exists()


# ── what throughput.py shows ──


def shown(tmp_path: Path, *rows: dict[str, Any], busy: float | None = None) -> tuple[str, str]:
    """(The text, the page)."""
    path, html = tmp_path / "result.json", tmp_path / "page.html"
    path.write_text(json.dumps(result(*rows, busy=busy)))
    ended = show("throughput.py", "--from", str(path), "--html", str(html))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, html.read_text()


def test_range_is_shown_where_there_were_rounds(tmp_path: Path) -> None:
    rounds = [{"tx_per_s": rate, "p50_ms": 18.0, "p99_ms": 30.0} for rate in (777.0, 811.0, 845.0)]
    text, page = shown(tmp_path, row(rounds=rounds), row(clients=64, rounds=rounds))

    assert "777 to 845" in text
    assert "<td>777 to 845</td>" in page
    assert "Medians of 3 rounds, with the least and the greatest." in page


def test_no_range_is_shown_where_there_was_one_round(tmp_path: Path) -> None:
    text, page = shown(tmp_path, row())

    assert "range" not in text
    assert "of the rounds" not in page


def test_batches_and_sizes_varied_together_are_one_picture_with_a_cell_for_each(tmp_path: Path) -> None:
    grid = [
        row(batch_count=batch, size=size, clients=clients, tx_per_s=float(1_000 * clients + batch + size))
        for clients in (1, 64)
        for batch in (1, 16, 128)
        for size in (40, 200)
    ]
    _, page = shown(tmp_path, *grid)

    assert page.count("<svg") == 1  # by clients there would be six lines, twice
    for one in grid:
        assert f">{one['tx_per_s']:,.0f}/s</text>" in page
    assert "<!-- one client -->" in page or ">one client</text>" in page
    assert ">64 clients</text>" in page


def test_text_and_page_say_how_many_samples_there_were_what_failed_and_the_view(tmp_path: Path) -> None:
    text, page = shown(tmp_path, row(samples=8_765, failed={"busy": 3, "expired": 1}, view=2))

    head, line, *_ = text.splitlines()
    assert {"samples", "view", "failed"} <= set(head.split())
    assert line.split()[9:11] == ["8765", "2"]
    assert line.endswith("3 busy, 1 expired")
    for value in ("8,765", "3 busy, 1 expired", "2"):
        assert re.search(f"<td[^>]*>{value}</td>", page), value


def test_percentile_with_less_than_ten_samples_beyond_it_is_left_out(tmp_path: Path) -> None:
    text, page = shown(tmp_path, row(samples=999))
    carried, _ = shown(tmp_path, row(samples=1_000))

    assert "30.3" in carried
    assert "30.3" not in text + page
    assert "18.9" in text
    assert "Percentiles with fewer than 10 samples beyond them are left out." in page


def test_each_round_has_to_carry_its_percentile(tmp_path: Path) -> None:
    rounds = [{"tx_per_s": 811.0, "p50_ms": 18.9, "p99_ms": 30.3}] * 5
    text, _ = shown(tmp_path, row(samples=4_999, rounds=rounds))
    carried, _ = shown(tmp_path, row(samples=5_000, rounds=rounds))

    assert "30.3" in carried
    assert "30.3" not in text


def test_text_and_page_warn_if_the_machine_was_busy_before(tmp_path: Path) -> None:
    text, page = shown(tmp_path, row(), busy=0.051)
    quiet, quiet_page = shown(tmp_path, row(), busy=0.05)

    said = "5% of the cores were busy with something else: trust no figure but ratios within this run"
    assert text.splitlines()[-1] == f"right before, {said}"
    assert f'<p class="warning">Right before, {said}.</p>' in page
    assert "busy" not in quiet
    assert 'class="warning"' not in quiet_page


def test_load_of_few_cells_is_bars_in_the_unit_that_it_is_judged_by(tmp_path: Path) -> None:
    many = {"operations": 100, "operations_per_s": 29_838.0}
    _, operations = shown(tmp_path, row(**many), row(clients=64, **many, p99_ms=321.0))
    _, payload = shown(tmp_path, row(size=4_096, payload_mb_per_s=6.68))

    assert "29,838 operations per second, 100 under each signature" in operations
    assert ">29,838</text>" in operations
    assert ">p50 18.9 ms, p99 321 ms</text>" in operations
    assert "ceiling: signature checks alone" not in operations
    assert "6.7 MB per second in transactions of 4,096 bytes" in payload
    assert ">6.7</text>" in payload
    assert ">16 clients</text>" in payload


@pytest.mark.parametrize(
    ("script", "option"),
    [("adversary.py", "--keep"), ("hostile.py", "--keep"), ("compare.py", "--directory")],
)
def test_a_directory_that_cannot_be_made_is_told_in_one_line(tmp_path: Path, script: str, option: str) -> None:
    (tmp_path / "file").write_text("in the way")

    ended = show(script, option, str(tmp_path / "file" / "below"))

    assert ended.returncode == 1
    assert f"{tmp_path}/file/below: the directory cannot be made: file exists" in ended.stderr
    assert ended.stderr.count("\n") <= 2, "without etcd that is said, too"
