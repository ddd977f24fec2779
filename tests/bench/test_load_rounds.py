"""Several rounds of a load as one row, and the order in which they are measured."""

from typing import Any

import pytest

from bftledger.bench.rounds import in_turns, spread, together


def row(tx_per_s: float, **more: Any) -> dict[str, Any]:
    return {
        "batch_count": 512,
        "clients": 16,
        "rate": None,
        "size": 200,
        "operations": 1,
        "tx_per_s": tx_per_s,
        "p50_ms": 10.0,
        "p99_ms": 20.0,
        "max_ms": 30.0,
        "samples": 100,
        "view": 0,
        "tx_per_block": 7.5,
        "failed": {},
        "replicas_cpu_us_per_tx": [500.0, 400.0],
        **more,
    }


def test_row_has_the_median_and_the_range_of_its_rounds() -> None:
    found = together([row(700.0, p50_ms=9.0), row(900.0, p50_ms=8.0), row(710.0, p50_ms=12.0)])

    assert (found["tx_per_s"], found["tx_per_s_range"]) == (710, [700, 900])
    assert found["p50_ms"] == 9
    assert found["rounds"] == [
        {"tx_per_s": 700, "p50_ms": 9, "p99_ms": 20},
        {"tx_per_s": 900, "p50_ms": 8, "p99_ms": 20},
        {"tx_per_s": 710, "p50_ms": 12, "p99_ms": 20},
    ]
    assert spread(found, "tx_per_s") == (700, 900)
    assert spread(found, "p50_ms") == (8, 12)


def test_worst_and_sums_are_of_all_rounds() -> None:
    found = together(
        [
            row(1.0, max_ms=50.0, view=2, failed={"busy": 1}, samples=7),
            row(1.0, max_ms=40.0, view=1, failed={"busy": 2, "expired": 1}, samples=8),
        ]
    )

    assert (found["max_ms"], found["view"], found["samples"]) == (50, 2, 15)
    assert found["failed"] == {"busy": 3, "expired": 1}


def test_load_was_kept_up_with_if_it_was_in_all_rounds() -> None:
    both, one = ([row(1.0, kept_up=first), row(1.0, kept_up=True)] for first in (True, False))

    assert together(both)["kept_up"] is True
    assert together(one)["kept_up"] is False


def test_what_each_replica_used_is_a_median_of_its_own_and_what_nobody_knows_stays_unknown() -> None:
    found = together(
        [
            row(1.0, replicas_cpu_us_per_tx=[500.0, None, None], tx_per_block=None),
            row(1.0, replicas_cpu_us_per_tx=[300.0, 200.0, None], tx_per_block=None),
        ]
    )

    assert found["replicas_cpu_us_per_tx"] == [400, 200, None]
    assert found["tx_per_block"] is None


def test_one_round_is_what_it_is() -> None:
    only = row(812.3, tx_per_block=None)
    found = together([only])

    assert {name: found[name] for name in only} == only
    assert found["tx_per_s_range"] == [812.3, 812.3]


def test_row_of_before_there_were_rounds_has_no_range_but_its_value() -> None:
    assert spread(row(812.3), "tx_per_s") == (812.3, 812.3)


def test_groups_take_turns_and_rows_are_by_group_and_load() -> None:
    order: list[str] = []
    said: list[str] = []

    def group(name: str, *rates: float) -> list[dict[str, Any]]:
        order.append(name)
        return [row(rate + len(order), size=size) for size, rate in enumerate(rates, 1)]

    found = in_turns(3, [lambda: group("a", 10, 20), lambda: group("b", 30, 40)], said.append)

    assert order == ["a", "b", "a", "b", "a", "b"]
    assert [(one["size"], one["tx_per_s_range"]) for one in found] == [
        (1, [11, 15]),
        (2, [21, 25]),
        (1, [32, 36]),
        (2, [42, 46]),
    ]
    assert said == ["round 1 of 3:", "round 2 of 3:", "round 3 of 3:"]


def test_of_one_round_nothing_is_said() -> None:
    assert [one["tx_per_s"] for one in in_turns(1, [lambda: [row(5.0)]], pytest.fail)] == [5]
