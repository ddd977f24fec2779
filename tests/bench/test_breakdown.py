"""What a transaction costs, stage by stage: the result has what it must have, and adds up.

So short a run measures nothing: no test asks how long anything took.
"""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bftledger.bench import real_replica
from tests.bench.scripts import run, show

BRIEFLY = ("--wait-quiet", "0", "--batch", "1,4", "--transactions", "7", "--repeat", "1", "--real", "none")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of one short run."""
    path = tmp_path_factory.mktemp("result") / "result.json"
    ended = run("breakdown.py", *BRIEFLY, "--profile", "--json", str(path))
    assert ended.returncode == 0, ended.stderr
    assert "without one check of a client's signature" in ended.stdout
    assert "a backup under cProfile, 4 at once" in ended.stdout
    return path


@pytest.fixture(scope="module")
def result(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_result_says_where_and_with_what_it_was_measured(result: dict[str, Any]) -> None:
    assert result["bench"] == "breakdown"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", result["when"])
    assert result["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", result["commit"])
    assert result["calibration"] == result["calibrations"]["ed25519_verifications_per_s"] > 0
    assert result["ceiling_tx_per_s"] == pytest.approx(result["machine"]["cores"] * result["calibration"] / 4, rel=1e-3)
    assert {"bftledger", "python", "sqlite", "libzmq", "PyNaCl"} <= set(result["versions"])
    assert result["seed"] == 1


def test_configuration_names_all_sizes_of_batches_and_rows_the_whole_batches_that_were_made(
    result: dict[str, Any],
) -> None:
    config, rows = result["config"], result["results"]

    assert config["batch"] == [1, 4]
    assert (config["transactions"], config["size"], config["replicas"], config["senders"]) == (7, 200, 4, 64)
    assert [(row["role"], row["batch"], row["transactions"]) for row in rows] == [
        ("primary", 1, 7),
        ("backup", 1, 7),
        ("primary", 4, 8),
        ("backup", 4, 8),
    ]
    assert [row["tx_per_block"] for row in rows] == [1, 1, 4, 4]
    assert [row["samples"] for row in rows] == [7, 3 * 7, 2, 3 * 2]


def test_stages_of_every_replica_add_up_to_the_whole(result: dict[str, Any]) -> None:
    for row in result["results"]:
        stages = row["stages_us_per_tx"]
        assert {"signatures checked", "frames opened and decoded", "core steps"} <= stages.keys()
        assert {"execution", "store commit", "all else"} <= stages.keys()
        assert sum(stages.values()) == pytest.approx(row["us_per_tx"], abs=0.02)
        assert sum(row["checks_us_per_tx"].values()) == pytest.approx(stages["signatures checked"], abs=0.01)
        with_stopwatch = row["us_per_tx"] + row["stopwatch_us_per_tx"]
        assert row["instrumented_us_per_tx"] == pytest.approx(with_stopwatch, abs=0.01)


def test_each_transaction_costs_one_check_of_its_signature_and_a_block_those_of_votes(result: dict[str, Any]) -> None:
    by_batch: dict[int, float] = {}
    for row in result["results"]:
        assert row["checks_per_tx"]["clients"] == 1
        by_batch[row["batch"]] = row["checks_per_tx"]["replicas"]
        whole, one = row["us_per_tx"], row["client_check_us"]
        assert one == pytest.approx(row["checks_us_per_tx"]["clients"], abs=0.01)
        assert row["beyond_client_check_us"] == pytest.approx(whole - one, abs=0.01)
        assert row["beyond_checks_us"] == pytest.approx(whole - row["stages_us_per_tx"]["signatures checked"], abs=0.01)
        assert row["us_per_tx_beyond_checks"] == row["beyond_checks_us"]

    assert by_batch[1] > 3
    assert by_batch[1] == pytest.approx(4 * by_batch[4], rel=0.3)


def test_rows_have_the_figures_that_all_benchmarks_have(result: dict[str, Any]) -> None:
    for row in result["results"]:
        assert row["tx_per_s"] == pytest.approx(1e6 / row["us_per_tx"], rel=1e-3)
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["p50_ms"] * 1e3 / row["batch"] < 5 * row["us_per_tx"]


def test_profile_has_a_backups_functions_for_each_size_of_a_batch(result: dict[str, Any]) -> None:
    assert [one["batch"] for one in result["profile"]] == [1, 4]
    # libsodium's own function: of what Python has around it, which are among the first is a matter of microseconds
    checks = [f for one in result["profile"] for f in one["functions"] if "crypto_sign_open" in f["function"]]
    assert len(checks) == 2
    assert checks[0]["calls_per_tx"] > checks[1]["calls_per_tx"] >= 1


def test_result_is_shown_again_as_a_picture_and_as_a_page(file: Path, result: dict[str, Any], tmp_path: Path) -> None:
    png, html = tmp_path / "picture.png", tmp_path / "page.html"

    ended = show("breakdown.py", "--from", str(file), "--png", str(png), "--html", str(html), "--json", "-")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == result
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert not re.search(r"https?:|//|@import|<script|<link|<img|url\((?!#)", page)
    svg = page[page.index("<svg") : page.index("</svg>")]
    for shown in ("signatures checked: clients'", "Merkle trees", "all else", "one at a time", "4 at a time"):
        assert shown in svg
    for row in result["results"]:
        assert f"{row['us_per_tx']:,.1f} in all" in svg


# ── beside a real replica ──


def throughput(**more: Any) -> dict[str, Any]:
    """A result of `throughput.py`."""
    row = {"clients": 256, "operations": 1, "size": 200, "view": 0, "tx_per_s": 2_427.0, "tx_per_block": 76.4}
    rows = [
        row | {"clients": 1, "tx_per_block": 1.0, "replicas_cpu_us_per_tx": [3_000.0] * 4},
        row | {"replicas_cpu_us_per_tx": [189.0, 160.0, 150.0, None]},
        row | {"size": 40, "clients": 999, "replicas_cpu_us_per_tx": [1.0] * 4},
    ]
    return {"bench": "throughput", "commit": "c" * 40, "calibration": 20_000.0, "results": rows} | more


def test_figure_that_is_judged_says_what_it_leaves_out_and_what_a_real_replica_uses(
    result: dict[str, Any], tmp_path: Path
) -> None:
    file, html = tmp_path / "result.json", tmp_path / "page.html"
    (tmp_path / "throughput.json").write_text(json.dumps(throughput()))
    real = real_replica.from_result(tmp_path / "throughput.json", 200)
    file.write_text(json.dumps(result | {"real": real}))

    ended = show("breakdown.py", "--from", str(file), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    primary, backup = (row["beyond_client_check_us"] for row in result["results"] if row["batch"] == 4)
    judged = (
        f"eyond one check of a client's signature: backup {backup:,.1f} µs, primary {primary:,.1f} µs, without "
        "sockets, CURVE, the kernel's work and the event loop, in batches of 4"
    )
    beside = (
        " real replica with all of that, 256 clients, 76 transactions in a block: backup 105.0 µs, primary 139.0 µs, "
        "of 155.0 µs and 189.0 µs in all (throughput.json, commit cccccccccccc)"
    )
    for shown in (ended.stdout, unescape(html.read_text())):
        assert judged in shown
        assert beside in shown


def test_result_of_before_a_real_replica_was_beside_it_is_shown_again(result: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps({name: value for name, value in result.items() if name != "real"}))

    ended = show("breakdown.py", "--from", str(file), "--html", str(tmp_path / "page.html"))

    assert ended.returncode == 0, ended.stderr
    assert "without sockets" in ended.stdout
    assert "a real replica" not in ended.stdout


def test_primary_of_a_real_group_is_that_of_its_view() -> None:
    row = {
        "clients": 1,
        "tx_per_s": 1.0,
        "tx_per_block": 1.0,
        "view": 6,
        "replicas_cpu_us_per_tx": [1.0, 2.0, 9.0, 3.0],
    }

    found = real_replica.of_row(row, "here", check_us=None)

    assert (found["primary_us_per_tx"], found["backup_us_per_tx"]) == (9, 2)


@pytest.mark.parametrize(
    "result", [throughput(bench="latency"), throughput(results=[]), throughput(results=[throughput()["results"][2]])]
)
def test_what_says_nothing_of_such_a_replica_is_refused_before_anything_is_measured(
    result: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(result))

    ended = show("breakdown.py", "--real", str(file))

    assert ended.returncode == 1
    assert (
        ended.stderr == f"bench: {file}: is no result of throughput.py with transactions of 200 bytes and one primary\n"
    )


def test_without_a_result_a_short_run_of_processes_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_replica, "CLIENTS", 2)
    monkeypatch.setattr(real_replica, "SECONDS", 0.2)

    found = real_replica.from_run(4, 200, 1, lambda _: None)

    assert (found["source"], found["clients"]) == ("a run of 0.2 s", 2)
    assert found["primary_us_per_tx"] > 0
    assert found["backup_us_per_tx"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--replicas", "3"), "a group of 3 is none"),
        (("--batch", "16,2000"), "no room for 2000"),
        (("--batch", "1000", "--size", "8000"), "no room for 1000"),
    ],
)
def test_what_no_group_can_be_given_is_refused_in_one_line(options: tuple[str, ...], said: str) -> None:
    ended = show("breakdown.py", *options)

    assert ended.returncode == 2
    assert ended.stderr.startswith("bench: ")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr


def test_help_explains_by_example() -> None:
    ended = show("breakdown.py", "--help")

    assert ended.returncode == 0
    assert "python bench/breakdown.py --" in ended.stdout
