"""Loads on a group of real processes: what they are charged with, and what they say of it."""

import os
import signal
from collections.abc import Iterator

import pytest

from bftledger.base.ids import Millis, ReplicaId
from bftledger.bench.group import Group, LocalGroup, made_home, running_group
from bftledger.bench.load import LoadError, run_load, running_load
from bftledger.bench.measured import Load
from bftledger.bench.standard import Extent, measure_running
from bftledger.pbft.settings import Settings

PAUSED = (ReplicaId(2), ReplicaId(3))
"""Two of four: the others are no quorum."""

PATIENT = Settings(request_timeout_ms=Millis(5_000), timeout_cap_ms=Millis(60_000))
"""Nobody suspects the primary for a pause that is over before."""


@pytest.fixture(scope="module")
def group() -> Iterator[LocalGroup]:
    with made_home(None, replicas=4, keep=False, protocol=PATIENT) as home, running_group(home) as running:
        yield running


def test_open_loop_charges_a_stall_for_every_transaction_that_was_due_in_it(group: LocalGroup) -> None:
    with running_load(group, Load(clients=4, rate=100, seconds=1.5, warmup_s=0.3, processes=2)) as running:
        _signal(group, signal.SIGSTOP)
        running.mark("stall")
        running.sleep_until(0.6)
        _signal(group, signal.SIGCONT)
        found = running.finish()

    assert found.failed == {}
    assert abs(len(found.latencies_ms) - 150) <= 1
    assert sum(latency > 200 for latency in found.latencies_ms) >= 35  # due in the first 0.4 s of the stall
    assert found.longest_gap_s(0.1, 1.5) > 0.4
    assert [mark.what for mark in found.marks] == ["stall"]


def test_row_says_what_each_replica_used_and_a_dead_one_has_none() -> None:
    with made_home(None, replicas=4, keep=False) as home, running_group(home) as group:
        with running_load(group, Load(clients=2, seconds=0.3, warmup_s=0.1)) as running:
            group.kill(ReplicaId(3))
            found = running.finish()
        group.start(ReplicaId(3))
        said, held = group.wait_until_ready(), group.memory_bytes()

    assert [cost is None for cost in found.row()["replicas_cpu_us_per_tx"]] == [False, False, False, True]
    assert found.row()["tx_per_s"] > 0
    assert all(said.values())
    assert all(size > 1_000_000 for size in held.values())


def test_nothing_committed_is_an_error_that_says_what_became_of_it(group: LocalGroup) -> None:
    _signal(group, signal.SIGSTOP)
    try:
        with pytest.raises(LoadError, match=r"nothing was committed within 0.2 s: \{'no quorum'"):
            run_load(group, Load(clients=1, seconds=0.2, warmup_s=0.1, timeout_s=0.5))
    finally:
        _signal(group, signal.SIGCONT)
    group.wait_until_ready()


def test_group_that_runs_already_is_measured_and_left_running(group: LocalGroup) -> None:
    before = group.pids
    extent = Extent(clients=(1, 2), seconds=0.2, warmup_s=0.1, windows=2, quiet_s=0.0, keys=2)
    said: list[str] = []

    result = measure_running(group.home, extent, seed=1, say=said.append)

    assert [row["clients"] for row in result["results"]] == [1, 2, 2]
    assert [row["rate"] is None for row in result["results"]] == [True, True, False]
    assert [len(row["rounds"]) for row in result["results"]] == [2, 2, 2]
    assert all(row["tx_per_s_range"][0] <= row["tx_per_s"] <= row["tx_per_s_range"][1] for row in result["results"])
    assert result["config"]["replicas_here"] == 4
    assert result["reads"]["reads_per_s"] > 0
    assert result["fetch"] is None
    assert Group(group.home).pids == group.pids == before
    assert len([line for line in said if "closed loop" in line or "/s due" in line]) == 6
    assert "at most" in said[0]  # the ceiling, for all replicas are here


def _signal(group: LocalGroup, number: signal.Signals) -> None:
    for replica in PAUSED:
        os.kill(group.pids[replica], number)
