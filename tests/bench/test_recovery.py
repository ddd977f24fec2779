"""`bench/recovery.py`: what is made of the moments of commits, and a real kill and a real lag from beginning to end.

What so short a run measures says nothing.
"""

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.bench.attack_watch import Sight
from bftledger.bench.calibration import Calibration
from bftledger.bench.catch_up import Lag, catch_up, fits
from bftledger.bench.fits import Line, spread
from bftledger.bench.group import made_home, running_group
from bftledger.bench.kills import kill_primary, rises
from bftledger.bench.ledgers import compared
from bftledger.bench.level import is_level
from bftledger.bench.measured import Load, Measured
from bftledger.bench.recovery import summary
from bftledger.bench.results import Result, Setting, group_config, write
from bftledger.bench.tally import Tally, joined
from tests.bench.scripts import show

# ── the ledger ──


def test_ledger_rises_when_a_replica_is_seen_higher_than_any_before() -> None:
    seen = [(0.0, 0, 5), (0.1, 1, 4), (0.2, 1, 6), (0.3, 0, 6), (0.4, 0, 9)]

    assert rises(Sight(at_s, ReplicaId(i), View(0), True, Seq(to), 0) for at_s, i, to in seen) == [0.0, 0.2, 0.4]


# ── lines and spreads ──


def test_line_has_the_least_squares() -> None:
    line = Line.through([(0, 1), (1, 3), (2, 5), (1, 4), (1, 2)])

    assert line is not None
    assert (line.at_zero, line.slope, line.at(10)) == pytest.approx((1, 2, 21))


@pytest.mark.parametrize("points", [[], [(1, 1)], [(1, 1), (1, 2)]])
def test_no_line_goes_through_points_above_one_another(points: list[tuple[float, float]]) -> None:
    assert Line.through(points) is None


def test_spread_is_of_what_is_known() -> None:
    assert spread([3, None, 1, 10]) == {"min": 1, "median": 3, "max": 10, "many": 3}
    assert spread([None]) == {"min": None, "median": None, "max": None, "many": 0}


def test_fits_are_by_whether_the_load_went_on() -> None:
    rows = [
        {
            "part": "catch-up",
            "loaded": False,
            "blocks": blocks,
            "transactions": 10 * blocks,
            "level_s": 0.5 + blocks / 100,
        }
        for blocks in (0, 100, 300)
    ]

    found = fits([*rows, {"part": "catch-up", "loaded": True, "blocks": 7, "transactions": 70, "level_s": 1.0}])

    assert found["idle"] == {"fixed_s": 0.5, "ms_per_block": 10, "ms_per_tx": 1}
    assert found["loaded"] is None


# ── level, and the same ──


@pytest.mark.parametrize(
    ("heights", "expected"), [([9, 9, 9, 9], True), ([8, 9, 8, 8], True), ([7, 9, 9, 8], False), ([8], False)]
)
def test_level_is_who_is_not_below_all_others(heights: Sequence[int], expected: bool) -> None:
    said = {ReplicaId(i): height for i, height in enumerate(heights)}

    assert is_level(said, ReplicaId(0)) is expected


def test_who_does_not_answer_is_not_level() -> None:
    assert not is_level({ReplicaId(1): 0}, ReplicaId(0))


def test_ledgers_are_compared_by_every_hash_and_by_length() -> None:
    hashes = [Digest(bytes([i]) * 32) for i in range(4)]

    same = compared({"replica 0": hashes[:3], "replica 1": hashes[:3]})
    shorter = compared({"replica 0": hashes[:3], "replica 1": hashes[:2]})
    forked = compared({"replica 0": hashes[:3], "replica 1": [hashes[0], hashes[3], hashes[2]]})

    assert (same.ok, same.text) == (True, "2 identical ledgers up to block 3")
    assert (shorter.ok, shorter.text) == (False, "not all ledgers are as long: replica 0 block 3, replica 1 block 2")
    assert not forked.ok
    assert forked.text.startswith("block 2 is ")


def test_loads_are_joined_in_the_order_of_their_commits() -> None:
    one = Measured(
        load=Load(clients=1, seconds=1.0),
        start_s=0.0,
        begun=array("d", [0.0, 0.2]),
        done=array("d", [0.1, 0.5]),
        failures=[(0.7, "busy")],
    )
    other = Measured(
        load=Load(clients=1, seconds=1.0),
        start_s=0.0,
        begun=array("d", [0.3]),
        done=array("d", [0.4]),
        failures=[(0.6, "busy")],
    )
    found = joined([one, other])

    assert (list(found.begun), list(found.done)) == ([0.0, 0.3, 0.2], [0.1, 0.4, 0.5])
    assert [when for when, _ in found.failures] == [0.6, 0.7]


# ── a real kill, a real lag ──


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """As the script puts it together, of a machine that was not calibrated."""
    tally = Tally(tmp_path_factory.mktemp("receipts"))
    load = Load(clients=2, seconds=2.3, warmup_s=0.1)
    with made_home(None, replicas=4, keep=False) as home:
        with running_group(home) as group:
            rows = [
                kill_primary(group, load, tally, before_s=0.3, bucket_s=0.1),
                catch_up(group, Lag(blocks=3, is_loaded=True), load, tally),
            ]
        calibration = Calibration(ed25519_verifications_per_s=1, store_commits_per_s=1, zeromq_round_trip_us=1)
        setting = Setting(
            bench="recovery",
            seed=1,
            replicas=4,
            calibration=calibration,
            machine={"cores": 1},
            config=group_config(home),
        )
        return setting.result(rows, **summary(rows, tally.verdict(home)))


def test_killed_primary_leaves_a_gap_and_comes_back_to_the_same_ledger(result: Result) -> None:
    row = result["results"][0]

    assert (row["part"], row["killed"]) == ("kill", row["view_before"] % 4)
    assert row["view_after"] > row["view_before"]
    assert 0 < row["gap_ms"] <= row["gap_end_ms"] <= 2_000
    assert row["outage_ms"] >= row["gap_ms"]
    assert 0 < row["ledger_gap_ms"] <= 2_000
    assert 0 < row["suspected_ms"] <= row["new_view_ms"]
    assert row["recovery_ms"] is None or row["recovery_ms"] > row["outage_ms"] - 1
    assert row["tx_per_s_before"] > 0
    assert 0 < row["answered_s"] <= row["level_s"]
    assert row["missed_tx"] >= row["missed_blocks"] > 0
    assert row["ledgers"]["ok"]
    assert row["timeline"]["from_s"] == pytest.approx(-0.3, abs=0.1)


def test_replica_that_was_away_catches_up_what_it_missed(result: Result) -> None:
    row = result["results"][1]

    assert (row["part"], row["lag"], row["loaded"]) == ("catch-up", 3, True)
    assert row["blocks"] >= 3
    assert row["transactions"] >= row["blocks"]
    assert 0 < row["answered_s"] <= row["level_s"]
    assert row["blocks_per_s"] == pytest.approx(row["blocks"] / row["level_s"], rel=0.05)
    assert row["load_tx_per_s"] is not None
    assert row["tx_per_s"] > 0
    assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert row["ledgers"]["ok"]


def test_verdict_is_on_all_loads_together(result: Result) -> None:
    assert result["ok"]
    assert set(result["verdict"]) == {"agreement", "durability", "integrity", "witness", "progress", "guilt"}
    assert result["acknowledged"] > result["results"][0]["missed_tx"]
    assert result["summary"]["gap_ms"]["median"] == pytest.approx(result["results"][0]["gap_ms"])
    assert list(result["summary"])[:2] == ["outage_ms", "ledger_gap_ms"]
    assert result["fits"] == {"idle": None, "loaded": None}


def test_ledger_that_was_not_identical_is_shown_and_fails(result: Result, tmp_path: Path) -> None:
    wrong: dict[str, Any] = json.loads(json.dumps(result))
    wrong["results"][1]["ledgers"] = {"ok": False, "text": "block 2 is two"}
    wrong["ok"] = False
    write(wrong, str(tmp_path / "wrong.json"))

    ended = show("recovery.py", "--from", str(tmp_path / "wrong.json"))

    assert ended.returncode == 1
    assert "VIOLATED\n  block 2 is two" in ended.stdout


def test_result_is_shown_as_pictures_and_as_a_page(result: Result, tmp_path: Path) -> None:
    file, png, html = tmp_path / "result.json", tmp_path / "picture.png", tmp_path / "page.html"
    write(result, str(file))

    ended = show("recovery.py", "--from", str(file), "--png", str(png), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    assert "4 identical ledgers up to block" in ended.stdout
    kill, page = result["results"][0], html.read_text()
    outage, no_block = (f"{kill[name]:,.0f}" for name in ("outage_ms", "ledger_gap_ms"))
    headline = (
        f"A primary killed under load: outage {outage} ms ({outage} to {outage}), "
        f"no new block for {no_block} ms ({no_block} to {no_block})"
    )
    live = "the 3 live replicas share one core, and a dead one takes no processor time"
    assert ended.stdout.startswith(f"{headline}\n")
    assert f"<h1>{headline}</h1>" in page
    assert live in ended.stdout
    assert page.count(live) == 2  # in the story, and below the throughput
    assert "outage: what began after the kill has its first receipt" in page
    assert "no new block for so long" in page
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (png, png.with_stem("picture-3")))
    assert page.count("<figure>") == 3


def test_result_of_before_there_was_an_outage_is_told_by_the_time_without_a_new_block(
    result: Result, tmp_path: Path
) -> None:
    old: dict[str, Any] = json.loads(json.dumps(result))
    for rows in (old["summary"], old["results"][0]):
        del rows["outage_ms"]
    file, png = tmp_path / "old.json", tmp_path / "picture.png"
    write(old, str(file))

    ended = show("recovery.py", "--from", str(file), "--png", str(png))

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("A primary killed under load: no new block for ")


def test_kill_after_which_nothing_new_was_committed_says_so(result: Result, tmp_path: Path) -> None:
    worse: dict[str, Any] = json.loads(json.dumps(result))
    kill = worse["results"][0]
    second = kill | {"outage_ms": None, "ledger_gap_ms": kill["ledger_gap_ms"] + 100, "recovery_ms": None}
    worse["results"].insert(1, second)
    worse["summary"]["ledger_gap_ms"] = spread([kill["ledger_gap_ms"], second["ledger_gap_ms"]])
    file, html = tmp_path / "worse.json", tmp_path / "worse.html"
    write(worse, str(file))

    ended = show("recovery.py", "--from", str(file), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    least, greatest = (f"{one['ledger_gap_ms']:,.0f}" for one in (kill, second))
    title = ended.stdout.splitlines()[0]
    assert title.startswith("A primary killed under load, median of 2 kills: outage ")
    assert ", and in 1 of 2 kills longer, no new block for " in title
    assert title.endswith(f" ms ({least} to {greatest})")


# ── misuse ──


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--kills", "0", "--lags", "none"), "leaves nothing"), (("--bucket", "4"), "is longer than --before")],
)
def test_what_cannot_be_measured_is_one_line(options: tuple[str, ...], words: str) -> None:
    ended = show("recovery.py", *options)

    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_help_explains_by_example() -> None:
    assert "python bench/recovery.py --kills 20" in show("recovery.py", "--help").stdout
