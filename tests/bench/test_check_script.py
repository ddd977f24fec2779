"""`bench/check.py` as a program, and the baseline that it writes and reads. So short a run measures nothing."""

import json
import sys
from pathlib import Path

import pytest

from bftledger.base.errors import OperatorError
from bftledger.bench.baseline import Baseline
from tests.bench.scripts import run, show

SCRIPT = Path(__file__).parents[2] / "bench" / "check.py"
NAMES = ["step", "decode", "verify", "execute", "store", "encode", "sign", "simulator", "replica"]


# ── the baseline ──


def baseline(ratio: float, **where: str) -> Baseline:
    rounds = [dict.fromkeys(NAMES, ratio)]
    return Baseline.of(rounds, when="2026-01-01T00:00:00Z", commit=None, where=where)


def test_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = baseline(1.5, python="3.11.7")
    written.write(tmp_path / "baseline.json")

    assert Baseline.read(tmp_path / "baseline.json") == written


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"paths": {"step": {}}}', '{"paths": {}, "more": 1}'])
def test_what_is_no_baseline_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(content)

    with pytest.raises(OperatorError, match="is no baseline: make one with --record"):
        Baseline.read(path)


def test_what_differs_from_where_it_was_recorded_is_one_line() -> None:
    known = baseline(1.0, python="3.11.7", cpu="A")

    assert known.differs({"python": "3.11.7", "cpu": "A"}) is None
    assert known.differs({"python": "3.13.1", "cpu": "A"}) == (
        "the baseline was recorded elsewhere: python 3.11.7 then, 3.13.1 now"
    )


# ── the script ──


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline that the script has recorded, in less time than says anything."""
    path = tmp_path_factory.mktemp("check") / "baseline.json"
    ended = run("check.py", "--record", "--rounds", "1", "--seconds", "0.01", "--baseline", str(path))
    assert ended.returncode == 0, ended.stderr
    assert [line.split()[0] for line in ended.stdout.splitlines()[1:10]] == NAMES
    return path


def test_recorded_is_every_path_and_where(written: Path) -> None:
    found = Baseline.read(written)

    assert list(found.paths) == NAMES
    assert all(one.ratio > 0 for one in found.paths.values())
    assert found.where["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"cpu", "cores", "PyNaCl", "sqlite", "cbor2"} <= set(found.where)


def test_within_what_is_allowed_the_status_is_0(written: Path, tmp_path: Path) -> None:
    file, png, html = tmp_path / "check.json", tmp_path / "check.png", tmp_path / "check.html"
    to = ("--json", str(file), "--png", str(png), "--html", str(html))
    ended = run("check.py", "--seconds", "0.01", "--tolerance", "100000", "--baseline", str(written), *to)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("nothing is slower than recorded\n")
    rows = json.loads(file.read_text())["results"]
    assert [row["path"] for row in rows] == NAMES
    assert all(row["ok"] and row["turns"] >= 3 and row["least_us"] > 0 for row in rows)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "frames of peers and clients" in html.read_text()


def test_what_is_slower_is_named_and_the_status_is_1(written: Path, tmp_path: Path) -> None:
    document = json.loads(written.read_text())
    document["paths"]["encode"] = dict.fromkeys(("ratio", "least", "greatest"), 0.0001)
    document["where"]["python"] = "3.10.0"
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(document))
    ended = run("check.py", "--seconds", "0.01", "--only", "encode", "--baseline", str(path))

    assert ended.returncode == 1
    assert ended.stdout.endswith("slower than recorded: encode\n")
    assert "python 3.10.0 then" in ended.stdout
    assert ended.stderr.count("measured again: encode") == 2


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (("--baseline", "nowhere.json"), "--record makes one", 1),
        (("--baseline", str(SCRIPT)), "is no baseline", 1),
        (("--record", "--only", "step"), "leave out --only", 2),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(options: tuple[str, ...], words: str, status: int) -> None:
    ended = show("check.py", *options)

    assert ended.returncode == status
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_path_that_is_none_is_refused_with_those_that_are(written: Path) -> None:
    ended = show("check.py", "--only", "stap", "--baseline", str(written))

    assert ended.returncode == 2
    assert ended.stderr.startswith("bench: there is no path 'stap': use step, decode")
    assert ended.stderr.count("\n") == 1  # and nothing was calibrated


@pytest.mark.parametrize("tolerance", ["-1", "x", "1,2"])
def test_tolerance_is_a_percentage(tolerance: str) -> None:
    assert show("check.py", "--tolerance", tolerance).returncode == 2


def test_help_explains_by_example() -> None:
    assert "python bench/check.py --record" in run("check.py", "--help").stdout
