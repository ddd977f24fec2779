"""`bench/growth.py`: a real group whose ledger grows a little, and what is made of its rows."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bftledger.apps import kv_payload
from bftledger.bench.footprint import Memory, store_mb
from bftledger.bench.growth import fitted, goals, summary
from bftledger.bench.keyed_clients import key, keyed_payloads, module
from tests.bench.scripts import show

SCRIPT = Path(__file__).parents[2] / "bench" / "growth.py"
LENGTH = ("--transactions", "120", "--every", "60", "--warmup", "0.05")
BRIEFLY = (*LENGTH, "--keys", "5", "--clients", "4", "--reads", "3")
MEMORY = ("uss_mb", "pss_mb", "rss_mb", "peak_rss_mb")


@dataclass(frozen=True)
class Ran:
    """`at_rows`: what the JSON file held whenever a row was announced."""

    file: Path
    at_rows: Sequence[dict[str, Any]]

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    file = tmp_path_factory.mktemp("growth") / "growth.json"
    command = [sys.executable, str(SCRIPT), *BRIEFLY, "--json", str(file)]
    at_rows, said = [], []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if " tx/s, RSS " in line:
                at_rows.append(json.loads(file.read_text()))
    assert process.returncode == 0, said
    return Ran(file, at_rows)


# ── a real group ──


def test_rows_say_what_the_ledger_holds_and_what_that_takes(ran: Ran) -> None:
    rows = ran.result["results"]

    assert len(rows) == 2
    assert rows[0]["transactions"] >= 60
    assert rows[1]["transactions"] >= max(120, rows[0]["transactions"])
    for row in rows:
        assert row["height"] > 0
        assert row["tx_per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["failed"] == {}
        assert all(5 < mb < 500 for mb in row["rss_mb"])
        assert all(uss <= pss <= rss <= peak for uss, pss, rss, peak in zip(*(row[n] for n in MEMORY), strict=True))
        assert all(mb > 0 for mb in (*row["store_mb"], *row["wal_mb"]))
        assert row["get_ms"] > 0
        assert row["receipt_ms"] > 0
        assert len(row["replicas_cpu_us_per_tx"]) == 4
        assert row["clients_cpu_us_per_tx"] is not None


def test_end_is_a_restart_and_a_comparison_of_the_ledgers(ran: Ran) -> None:
    result = ran.result

    assert result["complete"]
    assert 0 < result["restart"]["answered_s"] <= result["restart"]["level_s"]
    assert result["ledgers"]["ok"]
    assert result["ledgers"]["text"].startswith("4 identical ledgers up to block ")
    assert result["transactions"] == result["results"][-1]["transactions"]
    assert result["rss_mb_at_end"] == max(result["results"][-1]["rss_mb"])


def test_state_is_bounded_by_the_keys(ran: Ran) -> None:
    assert 1 <= ran.result["state"]["entries"] <= 5
    assert ran.result["config"]["state"].startswith("bounded: puts to 5 keys")


def test_what_was_measured_is_in_the_file_after_each_row(ran: Ran) -> None:
    assert [len(found["results"]) for found in ran.at_rows] == [1, 2]
    assert [found["complete"] for found in ran.at_rows] == [False, False]
    assert list(ran.file.parent.iterdir()) == [ran.file]


def test_interrupted_run_is_shown_and_is_not_good(ran: Ran, tmp_path: Path) -> None:
    file, png, html = tmp_path / "part.json", tmp_path / "picture.png", tmp_path / "page.html"
    file.write_text(json.dumps(ran.at_rows[0]))

    ended = show("growth.py", "--from", str(file), "--png", str(png), "--html", str(html))

    assert ended.returncode == 1
    assert "interrupted before the end" in ended.stdout
    assert png.read_bytes().startswith(b"\x89PNG")
    assert html.read_text().count("<figure>") == 2


# ── what is made of the rows ──


def test_rows_are_made_at_equal_steps_and_at_the_end() -> None:
    assert goals(0, 100, 40) == [40, 80, 100]
    assert goals(0, 80, 40) == [40, 80]
    assert goals(500, 100, 40) == [100]  # there is that much already: one row says so


def test_growth_is_fitted_over_the_last_half_alone() -> None:
    rows = [
        {"transactions": at, "rss_mb": [mb, None]}
        for at, mb in ((100_000, 50.0), (200_000, 90.0), (300_000, 91.0), (400_000, 92.0))
    ]

    assert fitted(rows, "rss_mb") == [1.0, None]


def test_summary_takes_the_replica_that_needs_most() -> None:
    rows = [
        {"transactions": at, "rss_mb": [50.0, mb], "uss_mb": [None, None], "store_mb": [at / 1_000, at / 1_000]}
        for at, mb in ((100_000, 60.0), (200_000, 62.0))
    ]

    assert summary(rows) == {
        "transactions": 200_000,
        "rss_mb_at_end": 62.0,
        "rss_mb_growth_per_100k": 2.0,
        "rss_mb_growth_per_100k_by_replica": [0.0, 2.0],
        "uss_mb_growth_per_100k": None,
        "store_mb_per_100k": 100.0,
        "fitted_from_transactions": 100_000,
    }


# ── the clients ──


@pytest.mark.parametrize("size", [40, 200, 1_000])
def test_each_key_has_one_put_of_that_size(size: int) -> None:
    payloads = keyed_payloads(size, 50, random.Random(1))
    said = [kv_payload.decode(payload) for payload in payloads]

    assert {one[1] for one in said if isinstance(one, tuple)} == {key(i) for i in range(50)}
    assert {len(payload) for payload in payloads} == {size}


def test_loads_that_follow_one_another_draw_differently() -> None:
    one, other = (keyed_payloads(40, 50, random.Random(f"1/0/{number}")) for number in (0, 1))

    assert one != other
    assert module(50, 1)[1:] == ("50", "1")


# ── the footprint ──


def test_memory_is_that_of_the_process_and_of_nobody_who_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    held = Memory.of(os.getpid())

    assert held.rss is not None
    assert held.uss is not None
    assert 5 < held.uss < held.rss
    assert Memory.of(ended.pid) == Memory(rss=None, peak_rss=None, pss=None, uss=None)


def test_store_without_a_log_has_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(bytes(2_000_000))

    assert store_mb(tmp_path / "ledger.db") == (2.0, 0.0)


# ── misuse ──


def test_what_cannot_be_measured_is_one_line() -> None:
    ended = show("growth.py", "--size", "3")

    assert ended.returncode == 2
    assert "there is no put of 3 bytes" in ended.stderr.splitlines()[-1]


def test_help_explains_by_example() -> None:
    assert "python bench/growth.py --transactions 20000" in show("growth.py", "--help").stdout
