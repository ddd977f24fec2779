"""Loads by size: which request time-out they are measured with, what cannot be carried, and what the ceiling is."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.ids import Millis
from bftledger.bench.scale_costs import Costs
from bftledger.bench.scale_group import Model
from bftledger.bench.scale_laws import ceiling_tx_per_s, surprises
from bftledger.bench.scale_loads import OWN_CORES, SHARED_CORES, full_blocks, predict
from bftledger.bench.scale_processes import PROCESSES
from bftledger.bench.scale_timeouts import USUAL, fault, measured_within, stretched, timeout_for, without_figures
from bftledger.pbft.settings import Settings
from tests.bench.scripts import show


def a_row(**more: Any) -> dict[str, Any]:
    """As of a load that went well."""
    figures = {"tx_per_s": 80.0, "p50_ms": 9.0, "p99_ms": 12.0, "view": 0, "failed": {}, "error": None}
    what = {"replicas": 31, "how": SHARED_CORES, "load": "batches of 1", "clients": 13, "request_timeout_ms": 500}
    return what | figures | more


def measured(
    fits: Callable[[Settings], bool], chosen: Millis | None = None, replicas: int = 31
) -> list[dict[str, Any]]:
    """The rows of a group that changes its primary for nothing with any T that does not fit."""

    def measure(settings: Settings) -> dict[str, Any]:
        row = a_row(replicas=replicas, request_timeout_ms=settings.request_timeout_ms)
        return row if fits(settings) else row | {"view": 11, "failed": {"pending": 8}, "tx_per_s": 0.4}

    return list(measured_within(chosen, replicas, "2 cores", measure))


# ── which T ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_load_that_is_carried_is_measured_once_with_the_usual_timeout() -> None:
    (row,) = measured(lambda _: True)

    assert (row["request_timeout_ms"], row["tx_per_s"]) == (500, 80.0)


def test_load_that_is_not_carried_has_no_figures_and_is_measured_once_more_with_a_timeout_by_the_size() -> None:
    first, second = measured(lambda settings: settings.request_timeout_ms > 500)

    assert (first["tx_per_s"], first["p50_ms"], first["p99_ms"]) == (None, None, None)
    assert (first["view"], first["failed"]) == (11, {"pending": 8})
    assert first["got"] == {"tx_per_s": 0.4, "p50_ms": 9.0, "p99_ms": 12.0}
    assert first["error"] == (
        "no figure: 2 cores cannot carry 31 replicas within a request time-out of 500 ms: view 11, 8 pending, 0.4 tx/s"
    )
    assert (second["request_timeout_ms"], second["tx_per_s"], second["error"]) == (500 * 31 // 4, 80.0, None)


def test_what_is_never_carried_has_no_figures_in_either_row() -> None:
    assert [row["tx_per_s"] for row in measured(lambda _: False)] == [None, None]


def test_chosen_timeout_is_the_only_one() -> None:
    (row,) = measured(lambda _: False, chosen=Millis(700))

    assert (row["request_timeout_ms"], row["tx_per_s"]) == (700, None)


def test_group_of_four_gets_no_longer_timeout() -> None:
    assert len(measured(lambda _: False, replicas=4)) == 1


def test_group_of_processes_that_committed_nothing_is_measured_once_more() -> None:
    rows = [a_row(tx_per_s=None, view=None, error="nothing was committed within 4 s"), a_row()]

    assert list(measured_within(None, 31, "2 cores", lambda _: rows.pop(0))) == [
        a_row(tx_per_s=None, view=None, error="nothing was committed within 4 s"),
        a_row(),
    ]


def test_longer_timeout_stretches_what_is_measured_against_it_and_nothing_else() -> None:
    assert stretched(USUAL.request_timeout_ms) == USUAL
    assert stretched(Millis(1_500)) == replace(
        USUAL,
        request_timeout_ms=Millis(1_500),
        timeout_cap_ms=Millis(48_000),
        status_interval_ms=Millis(300),
        idle_status_interval_ms=Millis(3_000),
    )
    assert [timeout_for(n) for n in (1, 4, 7, 31)] == [500, 500, 875, 3_875]


@pytest.mark.parametrize(
    ("timeout_ms", "words"),
    [(500, None), (50, "batch_wait_ms = 50"), (40, "request_timeout_ms = 40"), (10**6, "to 600")],
)
def test_no_replica_would_start_with_such_a_timeout(timeout_ms: int, words: str | None) -> None:
    found = fault(stretched(Millis(timeout_ms)))

    assert found is None if words is None else found is not None and words in found


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_blocks_that_take_longer_than_the_timeout_change_the_primary_for_nothing() -> None:
    far = Model(replicas=4, costs=Costs(frame_us=10.0, kib_us=0.0, disk_us=0.0), delay_us=200_000)
    loop = full_blocks(1, pipeline=1, blocks=2, budget_s=5.0)

    hasty, patient = (predict(replace(far, settings=stretched(Millis(timeout_ms))), loop) for timeout_ms in (60, 8_000))

    assert hasty["view"] > 0
    assert (patient["view"], patient["failed"], patient["error"]) == (0, {}, None)
    assert patient["p50_ms"] > 3 * 200
    assert (hasty["request_timeout_ms"], patient["request_timeout_ms"]) == (60, 8_000)
    assert patient["status_interval_ms"] == 1_600


# ── the ceiling ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("how", "ceiling"), [(OWN_CORES, 20_000), (SHARED_CORES, 5_000), (PROCESSES, 2_500)])
def test_ceiling_is_of_the_cores_that_there_are(how: str, ceiling: int) -> None:
    assert ceiling_tx_per_s({"how": how, "replicas": 16}, 20_000, shared=4, machine=2) == ceiling


# ── what is said of it ───────────────────────────────────────────────────────────────────────────────────────────────


def test_primary_that_was_changed_for_nothing_is_a_surprise() -> None:
    lost = without_figures(
        a_row(view=11, failed={"pending": 8}, excess_messages=4.7, messages_per_block=9e3), "2 cores"
    )

    (found,) = surprises([], [], [a_row(), lost])

    assert found == (
        "31 replicas, batches of 1, predicted, shared cores, T 500 ms: view 11, 8 pending, "
        "though nothing was wrong with any replica"
    )


def a_result(*rows: dict[str, Any], not_measured: Sequence[Any] = ()) -> dict[str, Any]:
    return {
        "bench": "scale", "when": "", "commit": None, "seed": 1, "calibration": 31_000, "ceiling_tx_per_s": 1,
        "calibrations": {}, "machine": {"cores": 2}, "versions": {"bftledger": "0"},
        "config": {
            "replicas": [31], "processes": [4], "cores_shared": 2, "protocol": {"request_timeout_ms": 500},
        },
        "results": rows, "blocks": [], "view_changes": [], "laws": [],
        "surprises": [], "not_measured": not_measured, "costs": {},
    }  # fmt: skip


def processes(**more: Any) -> dict[str, Any]:
    return a_row(how=PROCESSES, load="64 clients", **more)


NO_FIGURES = dict.fromkeys(("tx_per_s", "p50_ms", "p99_ms"))


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (a_result(processes()), 0),
        (a_result(without_figures(processes(view=1), "2 cores"), processes(request_timeout_ms=3_875)), 0),
        (a_result(processes(**NO_FIGURES, error="did not come up")), 1),
        (a_result(processes(), not_measured=[{"what": "31 replicas", "error": "nothing moves"}]), 1),
    ],
)
def test_status_is_1_if_something_was_not_measured_and_0_if_it_was_found_not_to_be_carried(
    result: dict[str, Any], status: int, tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(result))

    assert show("scale.py", "--from", str(file)).returncode == status


def test_text_and_page_have_the_view_what_was_not_committed_and_the_ceiling(tmp_path: Path) -> None:
    lost = without_figures(a_row(view=11, failed={"pending": 8}), "2 cores")
    result = a_result(lost, a_row(request_timeout_ms=3_875))
    file, html, png = tmp_path / "result.json", tmp_path / "page.html", tmp_path / "picture.png"
    file.write_text(json.dumps(result))

    ended = show("scale.py", "--from", str(file), "--html", str(html), "--png", str(png))

    assert ended.returncode == 0, ended.stderr
    bad, good, *_ = (line for line in ended.stdout.splitlines() if line.startswith("  31  "))
    assert "11  8 pending" in bad
    assert bad.endswith("no figure: 2 cores cannot carry 31 replicas within a request time-out of 500 ms: "
                        "view 11, 8 pending, 80.0 tx/s")  # fmt: skip
    assert "3,875  80.0  4.0%" in good
    assert "0  none" in good
    page = html.read_text()
    assert "T was too short for so many replicas" in page
    assert "<td>8 pending</td>" in page


def test_text_page_and_picture_say_how_much_faster_the_model_is_than_processes(tmp_path: Path) -> None:
    rows = [
        a_row(replicas=n, load="64 clients", how=how, tx_per_s=rate, samples=2_000)
        for n, both in ((4, (1_000.0, 1_500.0)), (7, (500.0, 1_000.0)), (10, (200.0, 500.0)))
        for how, rate in zip((PROCESSES, SHARED_CORES), both, strict=True)
    ]
    result = {
        "bench": "scale", "when": "", "commit": None, "seed": 1, "calibration": 31_000, "ceiling_tx_per_s": 1,
        "calibrations": {}, "machine": {"cores": 2}, "versions": {"bftledger": "0"},
        "config": {"replicas": [4], "processes": [4], "cores_shared": 2, "protocol": {"request_timeout_ms": 500}},
        "results": rows, "blocks": [], "view_changes": [], "laws": [], "surprises": [], "not_measured": [], "costs": {},
    }  # fmt: skip
    file, html = tmp_path / "result.json", tmp_path / "page.html"
    file.write_text(json.dumps(result))

    ended = show("scale.py", "--from", str(file), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    page = html.read_text()
    said = "the model of the simulator is 1.5 (4 replicas) to 2.5 times (10) as fast as processes are"
    assert said in ended.stdout
    assert page.count(said) == 2  # in the story, and below the picture
    assert "So its throughput falls less with the size, too" in page
    assert re.search(r"time per transaction +64 clients, measured, processes +\S.*%", ended.stdout)
    assert re.search(r">[^<]* µs, off by [^<]*%</text>", page)
