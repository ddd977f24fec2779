"""How cost grows with the group: what is counted against what the protocol needs, the laws, the model, the script."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from bftledger.base.ids import Millis
from bftledger.bench import scale_processes
from bftledger.bench.group import LocalGroup
from bftledger.bench.load import LoadError
from bftledger.bench.machine import cores
from bftledger.bench.measured import Load
from bftledger.bench.scale_blocks import measure_blocks
from bftledger.bench.scale_costs import Costs, disk_wait_us, transport_us
from bftledger.bench.scale_group import Model, Stalled, grouped
from bftledger.bench.scale_host import Cores
from bftledger.bench.scale_laws import all_laws, surprises
from bftledger.bench.scale_loads import OWN_CORES, SHARED_CORES, full_blocks, latencies, predict, usual
from bftledger.bench.scale_processes import measure_processes
from bftledger.bench.scale_traffic import expected_messages
from bftledger.bench.scale_views import measure_view_change
from bftledger.pbft.settings import Settings
from tests.bench.scripts import run, show

COSTS: Final = Costs(frame_us=20.0, kib_us=1.0, disk_us=100.0)
NEVER: Final = Millis(600_000)
WITHOUT_STATUS: Final = Settings(status_interval_ms=NEVER, idle_status_interval_ms=NEVER)
"""Nothing is said again, so that all counts are exact."""


def a_model(replicas: int = 4, settings: Settings = WITHOUT_STATUS, **more: Any) -> Model:
    return Model(replicas=replicas, costs=COSTS, settings=settings, **more)


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [4, 7, 16])
def test_protocol_needs_three_messages_for_each_pair_of_replicas_and_direction(n: int) -> None:
    assert sum(expected_messages(n).values()) == 3 * n * (n - 1)


@pytest.mark.parametrize(("n", "batch"), [(4, 1), (4, 3), (7, 1)])
def test_block_of_a_real_group_takes_just_the_messages_and_bytes_that_the_protocol_needs(n: int, batch: int) -> None:
    row = measure_blocks(a_model(n), batch, blocks=2)

    said = {kind: row["kinds"][kind] for kind in expected_messages(n)}
    assert {kind: one["messages"] for kind, one in said.items()} == {
        "PRE-PREPARE": n - 1,
        "PREPARE": (n - 1) ** 2,
        "COMMIT": n * (n - 1),
        "CHECKPOINT": n * (n - 1),
    }
    assert {kind: one["bytes"] for kind, one in said.items()} == {
        kind: one["expected_bytes"] for kind, one in said.items()
    }
    assert row["kinds"].keys() - said.keys() == {"Submit", "Committed"}
    assert (row["blocks"], row["excess_messages"], row["excess_bytes"], row["is_surprise"]) == (2, 0, 0, False)
    assert row["again_per_block"] == 0
    assert row["primary_messages_per_block"] == row["replica_messages_per_block"] == 3 * (n - 1)
    assert row["messages_per_tx"] == pytest.approx(3 * n * (n - 1) / batch)


def test_receipt_grows_by_the_signatures_of_the_larger_quorum() -> None:
    small, large = (measure_blocks(a_model(n), 1, blocks=1) for n in (4, 7))

    more = large["certificate_signatures"] - small["certificate_signatures"]
    assert more == 2
    assert 64 * more < large["receipt_bytes"] - small["receipt_bytes"] < 80 * more


def test_processor_time_is_measured_and_the_transport_is_charged_for_each_frame() -> None:
    row = measure_blocks(a_model(4), 1, blocks=2)

    assert row["cpu_us_per_block"]["primary"] > 100
    assert row["cpu_us_per_block"]["backup"] > 100
    frames = 9 + 9 + 1  # a backup sends nine, and takes in the PRE-PREPARE and two, three and three votes
    assert row["transport_us_per_block"]["backup"] == pytest.approx(frames * COSTS.frame_us, rel=0.2)


# ── view changes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [4, 7])
def test_view_change_carries_the_slots_in_flight_and_a_quorum_of_it_makes_the_new_view(n: int) -> None:
    idle, busy = (measure_view_change(a_model(n), in_flight) for in_flight in (0, 2))

    quorum, signature = 2 * ((n - 1) // 3) + 1, 64
    for row in (idle, busy):
        assert (row["view_changes"], row["new_views"]) == ((n - 1) ** 2, n - 1)
        assert (row["view"], row["is_surprise"]) == (1, False)
        assert (row["view_changes_again"], row["new_views_again"]) == (0, 0)
        assert row["new_view_longest"] > quorum * (row["view_change_longest"] - signature)
    assert (idle["re_proposed"], busy["re_proposed"]) == (0, 2)
    assert busy["view_change_longest"] - idle["view_change_longest"] > 2 * quorum * signature
    assert 400 < busy["suspected_ms"] < 700


def test_what_a_view_change_takes_beyond_each_being_sent_once_is_sent_again_to_the_same_replica() -> None:
    """In an idle group the request time-out and STATUS start together, and one is a multiple of the other: so at the
    moment of the VIEW-CHANGE each says that it has none."""
    in_step, apart = (
        measure_view_change(a_model(4, Settings(request_timeout_ms=Millis(500), status_interval_ms=interval)), 0)
        for interval in (Millis(100), Millis(130))
    )

    assert in_step["view_changes_again"] > 0
    assert in_step["view_changes"] - in_step["view_changes_again"] == in_step["expected_view_changes"] == 9
    assert in_step["new_views"] - in_step["new_views_again"] == in_step["expected_new_views"] == 3
    assert (apart["view_changes"], apart["view_changes_again"], apart["is_surprise"]) == (9, 0, False)


# ── predictions ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_replicas_that_share_one_core_are_predicted_to_be_slower_than_with_a_core_each() -> None:
    loop = full_blocks(2, pipeline=2, blocks=6, budget_s=20.0)

    own, shared = (predict(a_model(4, Settings(), cores=cores), loop) for cores in (None, 1))

    assert (own["how"], shared["how"]) == (OWN_CORES, SHARED_CORES)
    assert own["error"] is shared["error"] is None
    assert own["tx_per_s"] > shared["tx_per_s"] > 0
    assert 2 < own["p50_ms"] < shared["p50_ms"]
    assert own["p99_ms"] is shared["p99_ms"] is None
    assert own["blocks"] >= 6
    assert own["clients_cpu_us_per_tx"] == 0 < shared["clients_cpu_us_per_tx"]


@pytest.mark.parametrize(("blocks", "is_carried"), [(999, False), (1_000, True)])
def test_slowest_of_a_hundred_is_told_of_so_many_blocks_as_carry_it(blocks: int, is_carried: bool) -> None:
    """The transactions of a block have one fate, so their number says nothing."""
    found = latencies([1_000 * ms for ms in range(5_000)], blocks)

    assert found == {"p50_ms": 2_499, "p99_ms": 4_949 if is_carried else None}


def test_network_delay_is_part_of_the_latency() -> None:
    near, far = (measure_blocks(a_model(4, delay_us=delay), 1, blocks=2)["latency_ms"] for delay in (0, 20_000))

    assert far - near == pytest.approx(6 * 20, rel=0.15)  # there, three phases, the certificate, and back


def test_load_that_costs_more_than_its_budget_is_given_up_and_says_so() -> None:
    row = predict(a_model(), replace(usual(4, 1_000, budget_s=0.05), warm_up=1))

    assert row["error"] is not None
    assert "before it was given up" in row["error"]


def test_what_never_happens_is_reported() -> None:
    with grouped(a_model()) as group, pytest.raises(Stalled, match=r"4 replicas: no miracle within 0\.01 s"):
        group.until(lambda: False, 10_000, "no miracle")


def test_cores_are_taken_in_turn_and_nobody_waits_for_one_of_his_own() -> None:
    begun: list[str] = []
    shared, own = Cores(1), Cores(None)

    for name in "ab":
        shared.claim(lambda name=name: begun.append(name))  # type: ignore[misc]
        own.claim(lambda name=name: begun.append(f"own {name}"))  # type: ignore[misc]

    assert begun == ["a", "own a", "own b"]
    shared.release()
    assert begun[-1] == "b"


def test_transport_and_disk_cost_something(tmp_path: Path) -> None:
    frame_us, kib_us = transport_us()

    assert 1 < frame_us < 10_000
    assert 0 < kib_us < 1_000
    assert disk_wait_us(tmp_path) >= 0


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_group_that_commits_nothing_has_its_reason_and_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(group: LocalGroup, load: Load) -> None:
        raise LoadError("nothing was committed within 1 s")

    monkeypatch.setattr(scale_processes, "run_load", nothing)

    row = measure_processes(4, Load(clients=1, seconds=1), Settings())

    assert row["error"] == "nothing was committed within 1 s"
    assert row["tx_per_s"] is row["p50_ms"] is row["p99_ms"] is None


# ── surprises ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_a_tenth_above_the_protocol_is_a_surprise() -> None:
    row = measure_blocks(a_model(4), 1, blocks=1)
    view = measure_view_change(a_model(4), 1)

    load = {"replicas": 4, "load": "1 client", "how": OWN_CORES, "messages_per_block": 36.0, "excess_messages": 0.0}
    assert surprises([row], [view], [load]) == []
    found = surprises(
        [row | {"is_surprise": True}],
        [view | {"is_surprise": True, "new_views": 9}],
        [load | {"messages_per_block": 45.0, "excess_messages": 0.25}],
    )
    assert found[0].startswith("4 replicas, batches of 1: 36 messages")
    assert "45 messages of the normal case per block where 36 were expected" in found[1]
    assert "9 NEW-VIEWs where 9 and 3 were expected" in found[2]
    assert {law["batch"] for law in all_laws([row], [view])} == {1, None}


# ── the script ───────────────────────────────────────────────────────────────────────────────────────────────────────

BRIEFLY: Final = (
    *("--replicas", "4", "--batch", "1", "--blocks", "2", "--in-flight", "1", "--clients", "2"),
    *("--processes", "4", "--seconds", "0.3", "--warmup", "0.1"),
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scale") / "result.json"
    ended = run("scale.py", *BRIEFLY, "--json", str(file))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
    return file


def test_result_has_a_row_for_each_part(result: Path) -> None:
    said = json.loads(result.read_text())

    assert said["bench"] == "scale"
    assert said["calibration"] > 0
    assert said["ceiling_tx_per_s"] > 0
    assert said["costs"].keys() == {"frame_us", "kib_us", "disk_us"}
    assert said["config"]["measured"]
    assert said["config"]["modelled"]
    assert [row["messages_per_block"] >= 36 for row in said["blocks"]] == [True]
    assert [row["re_proposed"] for row in said["view_changes"]] == [1]
    assert [row["how"] for row in said["results"]] == [OWN_CORES, SHARED_CORES] * 2 + ["measured, processes"]
    for row in said["results"]:
        assert row["error"] is None
        assert row["tx_per_s"] > 0
        assert row["p50_ms"] > 0
        assert (row["p99_ms"] is None) is row["how"].startswith("predicted")
        assert row["request_timeout_ms"] == 500
        assert row["view"] == 0
        shares = 1 if row["how"] == OWN_CORES else cores() / row["replicas"]
        assert row["ceiling_tx_per_s"] == pytest.approx(shares * said["calibration"], rel=1e-3)
        assert row["primary_cpu_us_per_tx"] > 0
    assert said["not_measured"] == []


def test_result_is_shown_again_as_pictures_and_as_a_page_that_loads_nothing(result: Path, tmp_path: Path) -> None:
    png, html = tmp_path / "picture.png", tmp_path / "page.html"

    ended = show("scale.py", "--from", str(result), "--png", str(png), "--html", str(html), "--json", "-")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == json.loads(result.read_text())
    assert [path.read_bytes()[:4] for path in sorted(tmp_path.glob("*.png"))] == [b"\x89PNG"] * 4
    page = html.read_text()
    assert page.count("<figure>") == 4
    assert not re.search(r"https?:|//|@import|<script|<link|<img|url\((?!#)", page)


def test_help_explains_by_example() -> None:
    ended = show("scale.py", "--help")

    assert ended.returncode == 0
    assert "python bench/scale.py --" in ended.stdout


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--parts", "everything"), 2),
        (("--delay-ms", "-1"), 2),
        (("--replicas", "0"), 2),
        (("--in-flight", "many"), 2),
        (("--size", "3"), 2),
        (("--request-timeout-ms", "40"), 2),
        (("--request-timeout-ms", "200000"), 2),
        (("--stores", "nowhere"), 1),
    ],
)
def test_what_makes_no_sense_is_refused(options: tuple[str, ...], status: int) -> None:
    assert show("scale.py", *options).returncode == status
