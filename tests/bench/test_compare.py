"""`bench/compare.py`: how it counts, and a real group where there is no etcd (`test_etcd` has the rest)."""

import json
from array import array
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.errors import OperatorError
from bftledger.bench.clients import Seen
from bftledger.bench.contest import Spread, compete, likes_text, ratios, rows, table
from bftledger.bench.measured import Load, Measured
from tests.bench.scripts import run, show

BRIEFLY = ("--clients", "1,2", "--rounds", "1", "--seconds", "0.3", "--warmup", "0.1", "--operations", "3")


# ── counting ──


def measured(
    done: int, *, clients: int = 1, operations: int = 1, servers_cpu_s: tuple[float | None, ...] = ()
) -> Measured:
    """A window of one second with so many operations done, each in 10 ms; the clients used 0.1 s for it."""
    times = array("d", (i / done for i in range(done)))
    seen = Seen(begun=array("d", (at - 0.01 for at in times)), done=times, cpu_s=0.1)
    load = Load(clients=clients, seconds=1.0, operations=operations)
    return Measured.of(load, 0.0, [seen], replicas_cpu_s=list(servers_cpu_s), marks=[])


def test_ratios_are_of_what_was_measured_in_the_same_round() -> None:
    assert ratios([200, 100, 90], to=[100, 50, 30]) == Spread(median=2, least=2, greatest=3)


def test_ratio_of_a_slow_round_of_both_is_that_of_a_quick_one() -> None:
    found = rows({"a": [measured(100), measured(10)], "b": [measured(200), measured(20)]}, clients=1)

    assert [row["ratio"]["median"] for row in found] == [1, 2]
    assert found[1]["ratio"] == {"median": 2, "least": 2, "greatest": 2}
    assert found[1]["operations_per_s"] == {"median": 110, "least": 20, "greatest": 200}


def test_operations_are_counted_where_one_signature_is_for_several() -> None:
    (one, many) = rows({"one": [measured(50)], "many": [measured(10, operations=20)]}, clients=1)

    assert (one["tx_per_s"], many["tx_per_s"]) == (50, 10)
    assert many["operations_per_s"]["median"] == 200
    assert many["ratio"]["median"] == 4
    assert many["clients_cpu_us_per_operation"] == pytest.approx(1e6 * 0.1 / 200)


def test_processor_time_is_that_of_all_servers_together() -> None:
    (row,) = rows({"a": [measured(100, servers_cpu_s=(0.2, 0.3, None))]}, clients=1)

    assert row["servers_cpu_us_per_operation"] == pytest.approx(5_000)
    assert row["servers_cpu_share"] == pytest.approx(0.5)


def test_table_has_a_line_for_each_system_and_number_of_clients() -> None:
    found = rows({"ours": [measured(100)], "theirs": [measured(50)]}, clients=1)
    found += rows({"ours": [measured(10)] * 2, "theirs": [measured(50), measured(70)]}, clients=64)
    lines = [line.split() for line in table(found).splitlines()]

    assert lines[1][:5] == ["clients", "system", "ops/s", "ratio", "range"]
    assert lines[2][:4] == ["1", "ours", "100", "1.00x"]
    assert lines[3][:3] == ["theirs", "50", "0.50x"]
    assert lines[4] == []
    assert lines[5][:4] == ["64", "ours", "10", "1.00x"]
    assert lines[6][:4] == ["theirs", "60", "6.00x", "5.00-7.00"]


def test_table_says_what_was_not_done() -> None:
    (row,) = rows({"ours": [measured(100)]}, clients=1)

    assert table([row | {"failed": {"busy": 3}}]).endswith("  3 busy")


def test_round_that_was_missed_is_no_round_of_the_ratio() -> None:
    found = rows({"a": [measured(10), measured(100)], "b": ["not measured: it stalled", measured(300)]}, clients=4)

    assert found[1]["ratio"] == {"median": 3, "least": 3, "greatest": 3}
    assert (found[1]["rounds"], found[1]["missed"]) == ([None, 300], ["not measured: it stalled"])
    assert table(found).endswith("  1 of 2 rounds missed")


def test_system_that_missed_all_rounds_has_a_row_without_figures() -> None:
    found = rows({"a": [measured(10)], "b": ["not measured: it stalled"]}, clients=4)

    assert [found[1][name] for name in ("operations_per_s", "ratio", "p50_ms", "clients_cpu_us_per_operation")] == [
        None, None, None, None,
    ]  # fmt: skip
    assert table(found).splitlines()[-1].split() == ["b", *"------", *["1", "of", "1", "rounds", "missed"]]


class Fake:
    """A system that is as fast as it is told to be."""

    guarantees = "none"

    def __init__(self, name: str, rate: int, asked: list[str]) -> None:
        self.name = name
        self._rate = rate
        self._asked = asked

    def missing(self) -> str | None:
        return None

    def start(self, directory: Path) -> None:
        """There is nothing to start."""

    def run_load(self, load: Load) -> Measured:
        self._asked.append(f"{self.name} {load.clients}")
        if not self._rate:
            raise OperatorError("nobody is at home")
        return measured(self._rate, clients=load.clients)

    def stop(self) -> None:
        """There is nothing to stop."""

    def facts(self) -> dict[str, Any]:
        return {}


def test_systems_take_turns_within_each_number_of_clients_and_each_is_first_as_often() -> None:
    asked: list[str] = []
    systems = [Fake("a", 10, asked), Fake("b", 30, asked)]
    found = list(compete(systems, Load(clients=1, seconds=1.0), [1, 4], rounds=2, say=lambda _: None))

    assert asked == ["a 1", "b 1", "b 1", "a 1", "b 4", "a 4", "a 4", "b 4"]
    assert [(row["system"], row["clients"], len(row["rounds"])) for row in found] == [
        ("a", 1, 2),
        ("b", 1, 2),
        ("a", 4, 2),
        ("b", 4, 2),
    ]
    assert [row["ratio"]["median"] for row in found] == [1, 3, 1, 3]


def test_order_goes_on_over_the_numbers_of_clients_and_nobody_always_comes_after_the_same_other() -> None:
    """Who comes after another finds the machine as that left it."""
    asked: list[str] = []
    systems = [Fake(name, 10, asked) for name in "abc"]
    list(compete(systems, Load(clients=1, seconds=1.0), [1, 4], rounds=3, say=lambda _: None))

    rounds = ["".join(one[0] for one in asked[at : at + 3]) for at in range(0, len(asked), 3)]
    assert rounds == ["abc", "cba", "bca", "acb", "cab", "bac"]
    assert set(Counter(pair for one in rounds for pair in pairwise(one)).values()) == {2}
    assert sorted(asked) == sorted([f"{name} {clients}" for name in "abc" for clients in (1, 4)] * 3)


def test_what_is_batched_is_compared_with_what_is_batched_in_the_same_rounds() -> None:
    found = rows(
        {
            "ours": [measured(10), measured(10)],
            "ours, 20": [measured(10, operations=20), measured(5, operations=20)],
            "theirs, 20": [measured(30, operations=20), measured(10, operations=20)],
        },
        clients=4,
        likes={"theirs, 20": "ours, 20", "ours": "nobody"},
    )

    assert [row["like"] for row in found] == [None, None, "ours, 20"]
    assert [row["ratio_to_like"] for row in found] == [None, None, {"median": 2.5, "least": 2, "greatest": 3}]
    assert found[2]["ratio"]["median"] == 40
    assert likes_text(found) == ["4 clients, theirs, 20: 2.50x (2.00-3.00) ours, 20"]


def test_like_that_was_missed_in_all_rounds_gives_no_ratio() -> None:
    found = rows({"ours": ["not measured: it stalled"], "theirs": [measured(30)]}, clients=4, likes={"theirs": "ours"})

    assert (found[1]["like"], found[1]["ratio_to_like"]) == ("ours", None)
    assert likes_text(found) == []


def test_system_that_fails_is_left_out_of_that_round_alone() -> None:
    systems = [Fake("a", 10, []), Fake("b", 0, [])]
    found = list(compete(systems, Load(clients=1, seconds=1.0), [1], rounds=2, say=lambda _: None))

    assert [row["rounds"] for row in found] == [[10, 10], [None, None]]
    assert found[1]["missed"] == ["not measured: nobody is at home"] * 2


# ── the script ──


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script measures where no etcd is on PATH; its file and what it said are under `file` and `said`."""
    directory = tmp_path_factory.mktemp("compare")
    file, nothing = directory / "result.json", directory / "nothing"
    nothing.mkdir()
    ended = run("compare.py", *BRIEFLY, "--directory", str(directory), "--json", str(file), env={"PATH": str(nothing)})
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in directory.iterdir() if path.is_dir()] == ["nothing"]
    found: dict[str, Any] = json.loads(file.read_text())
    return found | {"file": file, "said": ended.stderr, "shown": ended.stdout}


def test_without_etcd_it_says_so_in_one_line_and_measures_ours(result: dict[str, Any]) -> None:
    assert [line for line in result["said"].splitlines() if "etcd" in line] == [
        "bench: etcd is not measured: etcd is not installed: there is none on PATH"
    ]
    assert result["not_measured"] == [{"system": "etcd", "why": "etcd is not installed: there is none on PATH"}]
    assert "etcd is not installed" in result["shown"]
    assert [one["name"] for one in result["systems"]] == ["bftledger", "bftledger, 3 operations per signature"]


def test_rows_of_ours_have_rates_latencies_and_costs(result: dict[str, Any]) -> None:
    found = result["results"]

    assert [(row["clients"], row["operations"]) for row in found] == [(1, 1), (1, 3), (2, 1), (2, 3)]
    for row in found:
        assert row["failed"] == {}
        assert row["operations_per_s"]["median"] == pytest.approx(row["tx_per_s"] * row["operations"], rel=0.01)
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["clients_cpu_us_per_operation"] > 0
        assert row["servers_cpu_us_per_operation"] > 0
    assert [row["ratio"]["median"] for row in found if row["operations"] == 1] == [1, 1]


def test_it_is_shown_again(result: dict[str, Any], tmp_path: Path) -> None:
    png, html = tmp_path / "compare.png", tmp_path / "compare.html"
    ended = show("compare.py", "--from", str(result["file"]), "--png", str(png), "--html", str(html))

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == result["shown"]
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "etcd is not installed" in html.read_text()


def test_values_that_no_transaction_can_hold_are_refused_in_one_line() -> None:
    ended = show("compare.py", "--operations", "257")

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


def test_help_explains_by_example() -> None:
    assert "python bench/compare.py --clients 16,256" in show("compare.py", "--help").stdout
