"""`bench/hostile.py`: what is made of runs, one real run from beginning to end, and what is shown.

What so short a run measures says nothing.
"""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.ids import Millis, Seq, TxId
from bftledger.bench.hostile_lines import Answers, Exchanged
from bftledger.bench.hostile_process import burn
from bftledger.bench.hostile_run import counted
from bftledger.bench.results import Result, write
from bftledger.ledger.client_messages import Busy, ErrorReply, Fate, TxState
from bftledger.ledger.client_wire import encode
from bftledger.node.driver import count
from tests.bench.hostile_runs import START, a_result, a_run, of
from tests.bench.scripts import run, show

BRIEFLY = ("--seconds", "0.4,0.8,0.3,0.3", "--warmup", "0.1", "--clients", "2")


def shown(result: Result, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    file = directory / "result.json"
    write(result, str(file))
    return show("hostile.py", "--from", str(file), *options)


# ── what is made of a run ──


def test_kept_is_of_the_same_runs_clean_part_and_of_its_control() -> None:
    row = a_run(kept=0.4, control=0.8)

    assert (row["kept"], row["kept_control"], row["kept_after"]) == pytest.approx((0.4, 0.8, 1.0), abs=0.02)
    assert row["kept_beyond_control"] == pytest.approx(0.5, abs=0.02)
    assert (row["p50_times"], row["p99_times_control"]) == pytest.approx((2.5, 1.25), abs=0.02)
    assert row["phases"]["attacked"]["span_s"] == [0.0, 8.0]
    assert row["phases"]["control"]["span_s"] == [12.0, 16.0]
    assert row["timeline"]["from_s"] == -4.0


def test_sent_and_got_are_by_the_second() -> None:
    sent = a_run("forged:1", hostile_rate=1_000.0)["sent"]

    assert (sent["frames_per_s"], sent["mb_per_s"], sent["committed_per_s"]) == (1_000, 0.4, 10)
    assert (sent["answers"], sent["answers_per_s"]) == ({"Busy": 3, "Refused": 4_000}, 500.4)
    assert sent["cpu_share"] == 0.5


@pytest.mark.parametrize(("peak_mb", "grown"), [(91, "+41"), (60, "+5")])
def test_memory_grew_to_a_new_peak_or_else_to_what_it_is_at_the_end(peak_mb: int, grown: str, tmp_path: Path) -> None:
    """A peak of before the attack, which the system remembers, is not of it."""
    row = a_run()
    row["phases"]["clean"] |= {"rss_mb": [50], "peak_rss_mb": [60]}
    row["phases"]["attacked"] |= {"rss_mb": [55], "peak_rss_mb": [peak_mb]}

    head, line = shown(a_result(row), tmp_path).stdout.splitlines()[:2]
    at = head.index("RSS MB")
    assert line[at : at + len("RSS MB")].strip() == grown


def test_what_replicas_took_is_by_part_and_unknown_of_one_that_is_gone() -> None:
    parts = a_run()["phases"]

    shares = [parts[name]["replicas_cpu_share"] for name in ("clean", "attacked", "after", "control")]
    assert shares == [[0.2] * 3, [0.4] * 3, [0.1] * 3, [0.3, 0.3, None]]
    assert parts["attacked"]["rss_mb"] == [90, 91, 92]
    assert parts["clean"]["peak_rss_mb"] == [51, 52, 53]


def test_in_an_open_loop_what_was_due_in_an_attack_is_charged_to_it_whenever_it_is_done() -> None:
    """Ten are due per second; of those that are due in the first half of the attack none is done before its end."""
    due = [START + i / 10 for i in range(200)]
    over = START + 12.5
    transactions = [(at_s, over if START + 4 <= at_s < START + 8 else at_s + 0.01) for at_s in due]

    opened, closed = (a_run(instead=of(transactions, due=rate))["phases"] for rate in (10.0, None))

    assert (opened["attacked"]["transactions"], opened["attacked"]["max_ms"]) == (80, pytest.approx(8_500))
    assert opened["after"]["max_ms"] == pytest.approx(10)
    assert (closed["attacked"]["transactions"], closed["attacked"]["max_ms"]) == (40, pytest.approx(10))
    assert opened["attacked"]["tx_per_s"] == closed["attacked"]["tx_per_s"] == 5


def test_part_in_which_nothing_is_committed_has_no_latencies() -> None:
    row = a_run(instead=of([(START + i / 10, START + i / 10 + 0.01) for i in range(40)]))

    assert (row["tx_per_s"], row["p50_ms"], row["kept"], row["p99_times"]) == (0, None, 0, None)
    assert row["kept_beyond_control"] is None


def test_counters_are_read_as_a_replica_says_them() -> None:
    said = {"dropped from clients: Busy": 12, "not sent to replica 2": 3}

    assert counted(count(said, {"sent": 5})) == said | {"sent": 5}
    assert counted("nothing of the kind") == {}


# ── what a hostile client is answered ──


def test_answers_are_counted_by_their_kind() -> None:
    found = Exchanged()
    answers = Answers(found)
    frames = [encode(Busy(request_id=i, retry_ms=Millis(250))) for i in range(3)]
    frames.append(encode(Fate(request_id=1, tx_id=TxId(bytes(32)), state=TxState.UNKNOWN, height=Seq(0), reason="")))
    frames += [encode(ErrorReply(request_id=0, text="no")), b"\xff\xff\xff"]
    for frame in frames:
        answers.take(frame)

    assert found.answers == {"Busy": 3, "Fate": 1, "ErrorReply": 1, "Malformed": 1}
    assert found.answers_size == sum(map(len, frames))
    assert found.committed == 0


def test_control_takes_no_more_than_its_share() -> None:
    now = time.monotonic()
    found = burn(0.3, now, now + 0.3)

    assert found.ended_s >= now + 0.3
    assert 0 < found.cpu_share < 0.4


# ── a real one ──


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON file of a run beside a stranger that sends at a rate what is in the ledger; its page beside it."""
    directory = tmp_path_factory.mktemp("hostile")
    file, keep = directory / "hostile.json", directory / "homes"
    to = ("--json", str(file), "--html", str(directory / "hostile.html"), "--keep", str(keep))
    ended = run("hostile.py", "--hostile", "replays:2", "--rate", "400", *BRIEFLY, *to)
    assert ended.returncode == 0, ended.stderr
    return file


def result(file: Path) -> Result:
    found: Result = json.loads(file.read_text())
    return found


def test_a_hostile_client_is_measured_with_its_control_and_judged(measured: Path) -> None:
    (row,) = result(measured)["results"]

    assert (row["hostile"], row["hostile_connections"], row["hostile_rate"]) == ("replays:2", 2, 400)
    assert (row["ok"], row["failed"]) == (True, {})
    assert set(row["verdict"]) == {"agreement", "durability", "integrity", "witness", "progress", "guilt"}
    assert row["acknowledged"] > row["phases"]["attacked"]["transactions"] > 0
    assert row["phases"]["control"]["transactions"] > 0
    begun, ended = row["phases"]["attacked"]["span_s"]
    assert begun < ended
    assert row["control_cpu_share"] > 0
    assert row["drained_s"] >= 0.3
    assert row["command"].startswith("python bench/hostile.py --hostile replays:2 --rate 400 --clients 2 --warmup 0.1 ")


def test_it_sends_no_faster_than_it_may_and_is_answered(measured: Path) -> None:
    sent = result(measured)["results"][0]["sent"]

    assert 0 < sent["frames_per_s"] <= 400
    assert sent["answers"].keys() <= {"Committed", "ReceiptReply", "Busy"}
    assert sum(sent["answers"].values()) > 0
    assert 0 < sent["committed_per_s"] <= sent["frames_per_s"]
    assert sent["cpu_share"] > 0


def test_replicas_are_asked_what_they_took_in_each_part(measured: Path) -> None:
    (row,) = result(measured)["results"]

    for part in row["phases"].values():
        assert all(0 <= share <= 2 for share in part["replicas_cpu_share"])
        assert all(0 < rss <= peak for rss, peak in zip(part["rss_mb"], part["peak_rss_mb"], strict=True))
        assert len(part["rss_mb"]) == 4
    assert row["counters"]["received"] > 0


def test_its_page_and_its_pictures_can_be_made_again_and_load_nothing(measured: Path, tmp_path: Path) -> None:
    png, html = tmp_path / "picture.png", tmp_path / "page.html"

    ended = show("hostile.py", "--from", str(measured), "--png", str(png), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[1].startswith("replays:2 400/s ")
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert page == measured.with_suffix(".html").read_text()
    assert not re.search(r"https?:|//|@import|<script|<link|<img|url\((?!#)", page)


def test_home_that_is_to_stay_is_not_overwritten(measured: Path) -> None:
    keep = measured.parent / "homes"
    ended = run("hostile.py", "--hostile", "replays:2", "--rate", "400", *BRIEFLY, "--keep", str(keep))

    assert (keep / "replays-2-400" / "genesis.json").exists()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("remove it, or name another directory with --keep")


# ── what is shown ──


def test_what_costs_more_than_its_processor_time_is_told_from_what_does_not(tmp_path: Path) -> None:
    html = tmp_path / "page.html"
    rows = [a_run("forged:1", kept=0.3, control=0.9), a_run("reads:1", kept=0.85, control=0.9)]

    ended = shown(a_result(*rows), tmp_path, "--html", str(html))

    forged, reads = ended.stdout.splitlines()[1:]
    assert forged.endswith("safe, beyond its processor time")
    assert reads.endswith("safe")
    assert "8 honest clients keep at least 30% beside each of 2 hostile ones</h1>" in html.read_text()
    assert "Beside forged:1 they keep 30% of their throughput, and 90% beside a process" in html.read_text()
    assert "costs forged:1. Every honest transaction" in html.read_text()


def test_many_runs_have_comparisons_and_several_rates_a_sweep(tmp_path: Path) -> None:
    rates = [a_run("reads:1", hostile_rate=rate, kept=1 - rate / 20_000) for rate in (10_000.0, 100.0)]

    def figures(*rows: dict[str, Any]) -> int:
        html = tmp_path / "page.html"
        assert shown(a_result(*rows), tmp_path, "--html", str(html)).returncode == 0
        return html.read_text().count("<figure>")

    assert figures(a_run()) == 1
    assert figures(a_run("idle:600"), a_run("forged:1")) == 3
    assert figures(*rates) == 4


def test_what_is_wrong_is_said_and_fails(tmp_path: Path) -> None:
    ended = shown(a_result(a_run(ok=False, drained_s=None)), tmp_path, "--html", str(tmp_path / "page.html"))

    assert ended.returncode == 1
    assert (
        "VIOLATED, beyond its processor time, pools not drained\n  forged:1: agreement: block 2 is two" in ended.stdout
    )
    assert "The verdict is violated: forged:1.</p>" in (tmp_path / "page.html").read_text()


def test_what_was_not_measured_is_said_and_fails(tmp_path: Path) -> None:
    failed = {"title": "idle:600", "error": "no room"}

    ended = shown(a_result(a_run()) | {"not_measured": [failed]}, tmp_path, "--html", str(tmp_path / "page.html"))

    assert ended.returncode == 1
    assert "  idle:600: not measured: no room" in ended.stdout
    assert "identical. Not measured: idle:600 (no room).</p>" in (tmp_path / "page.html").read_text()


# ── misuse ──


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hostile", "gredy"), "try greedy"),
        (("--hostile", "greedy:0"), "no number of connections"),
        (("--hostile", "greedy:1:2"), "no number of connections"),
    ],
)
def test_what_cannot_be_measured_is_one_line(options: tuple[str, ...], words: str) -> None:
    ended = show("hostile.py", *options)

    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"), [(("--seconds", "4,8,4"), "as 4,8,4,4"), (("--rate", "100,fast"), "'fast' is not a rate")]
)
def test_option_that_makes_no_sense_has_status_2(options: tuple[str, ...], words: str) -> None:
    ended = show("hostile.py", *options)

    assert ended.returncode == 2
    assert words in ended.stderr


def test_help_explains_by_example_and_says_who_there_is() -> None:
    said = show("hostile.py", "--help").stdout

    assert "python bench/hostile.py --hostile greedy" in said
    assert "  forged        Transactions that are well-formed and badly signed" in said
