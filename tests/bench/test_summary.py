"""The block of text of `bftledger bench`: what it says of the machine before, of the windows, and of the ceiling."""

from typing import Any

from bftledger.bench.summary import summary

PROTOCOL = {"window": 64, "pipeline": 8, "batch_count": 512, "request_timeout_ms": 500}


def row(**more: Any) -> dict[str, Any]:
    windows = [{"tx_per_s": rate, "p50_ms": 30.0, "p99_ms": 50.0} for rate in (700.0, 900.0)]
    return {
        "clients": 16,
        "rate": None,
        "tx_per_s": 800.0,
        "p50_ms": 30.0,
        "p99_ms": 50.0,
        "max_ms": 90.0,
        "samples": 12_800,
        "failed": {},
        "view": 0,
        "kept_up": True,
        "replicas_cpu_us_per_tx": [400.0, None],
        "rounds": windows,
        **more,
    }


def result(*rows: dict[str, Any], busy: float | None = 0.02, here: int = 4, windows: int = 2) -> dict[str, Any]:
    return {
        "when": "2026-01-01T00:00:00Z",
        "commit": None,
        "seed": 1,
        "ceiling_tx_per_s": 8_000.0,
        "calibrations": {
            "ed25519_verifications_per_s": 16_000.0,
            "store_commits_per_s": 900.0,
            "zeromq_round_trip_us": 100.0,
        },
        "machine": {
            "cpu": "a processor",
            "cores": 2,
            "memory_gb": 8,
            "system": "a system",
            "filesystem": "ext4",
            "load_before": 0.5,
            "busy_before": busy,
        },
        "versions": {"bftledger": "0"},
        "config": {
            "replicas": 4,
            "replicas_here": here,
            "app": "kv",
            "group": "a group",
            "protocol": PROTOCOL,
            "size": 200,
            "clients": "one process",
            "windows": windows,
            "seconds": 8.0,
            "warmup_s": 1.5,
        },
        "results": list(rows),
        "reads": {"at_once": 16, "reads_per_s": 2_000.0, "p50_ms": 4.0, "p99_ms": 9.0},
        "fetch": None,
    }


def test_each_load_has_the_range_of_its_windows() -> None:
    said = summary(result(row()))

    assert "2 windows, in turns, of 8 s for each load" in said
    assert [line.split()[:7] for line in said.splitlines() if "16 clients" in line] == [
        ["16", "clients", "800", "700", "to", "900", "10%"]
    ]


def test_one_window_has_no_range() -> None:
    said = summary(result(row(rounds=[{"tx_per_s": 800.0, "p50_ms": 30.0, "p99_ms": 50.0}]), windows=1))

    assert "a window of 8 s for each load" in said
    assert "range" not in said


def test_how_busy_the_machine_was_before_is_said_and_warned_of() -> None:
    quiet, busy, unknown = (summary(result(row(), busy=share)) for share in (0.02, 0.37, None))

    assert "2% of the cores busy, load average 0.5" in quiet
    assert "trust no figure" not in quiet
    assert "37% of the cores busy, load average 0.5" in busy
    assert busy.splitlines()[-2] == (
        "  Right before, 37% of the cores were busy with something else: trust no figure but ratios within this run."
    )
    assert "nobody looked how busy it was" in unknown


def test_ceiling_is_left_out_where_replicas_are_on_other_machines() -> None:
    here, elsewhere = (summary(result(row(), here=count)) for count in (4, 1))

    assert "8,000 tx/s: 2 cores x verifications / 4" in here
    assert "of ceiling" in here
    assert "ceiling" not in elsewhere
    assert "10%" not in elsewhere
    assert "700 to 900" in elsewhere


def test_percentile_that_a_window_does_not_carry_is_left_out() -> None:
    said = summary(result(row(samples=1_999), row(clients=64)))

    few, many = (line for line in said.splitlines() if " clients " in line and "/s" not in line and "one" not in line)
    assert few.split()[-4:] == ["30.0", "-", "90.0", "400"]
    assert many.split()[-4:] == ["30.0", "50.0", "90.0", "400"]
    assert "Percentiles with fewer than 10 samples beyond them are left out." in said
