"""`bench/aims.py`: which aims the results meet, and what is wrong with a result that does not say."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from bftledger.bench.aims import AIMS, Finding, commit_of_most, findings, results_in
from tests.bench.made_up import Results, good, result
from tests.bench.scripts import show

SCRIPT: Final = Path(__file__).parents[2] / "bench" / "aims.py"
BEGIN, END = "<!-- aims: begin (python bench/aims.py --write) -->", "<!-- aims: end -->"


def found(results: Results) -> dict[str, Finding]:
    """By the aim's words."""
    return {one.aim.what: one for one in findings(results)}


def changed(name: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Finding]:
    """What becomes of the good results with one of them changed."""
    results: Results = json.loads(json.dumps(good()))
    change(results[name])
    return found(results)


# ── verdicts ──


def test_aims_that_are_met_by_a_hair_are_met() -> None:
    said = found(good())

    assert {what: one.verdict for what, one in said.items() if one.verdict != "met"} == {
        "transactions of 4 KiB": "-",
        "throughput by size, processes on this machine": "-",
    }
    assert [one.remarks for one in said.values()] == [()] * len(AIMS)


@pytest.mark.parametrize(
    ("name", "change", "what", "text"),
    [
        ("throughput", lambda r: r["results"][2].update(tx_per_s=5_999.0), "256 clients", "5,999/s, 60% of 10,000/s"),
        ("throughput", lambda r: r["results"][1].update(tx_per_s=1_700.0), "64 clients", "1,700/s, 17% of 10,000/s"),
        ("throughput", lambda r: r["results"][0].update(p50_ms=4.1), "median", "4.1 ms"),
        ("throughput", lambda r: r["results"][0].update(p99_ms=12.1), "99 of 100", "12.1 ms"),
        ("operations", lambda r: r["results"][0].update(operations_per_s=59_999.0), "operations", "59,999/s, 64 cli"),
        (
            "breakdown",
            lambda r: r["real"].update(primary_us_per_tx=60.1),
            "processor time",
            "backup 20 µs, primary 20 µs, 256 clients; backup 20.0 µs, primary 20.0 µs, without sockets",
        ),
        ("growth", lambda r: r.update(rss_mb_at_end=151.0), "memory after", "151 MB"),
        ("growth", lambda r: r.update(rss_mb_growth_per_100k=1.6), "growth in", "+1.60 MB for each 100,000"),
        ("start", lambda r: r["results"][0].update(max_ms=2_001.0), "start of", "1.50 s, at most 2.00 s, 6 starts"),
        ("start", lambda r: r["rounds"].append({"error": "no"}), "start of", "1 rounds failed"),
        ("adversary", lambda r: r["results"][0].update(ratio=0.39), "each attack", "39% in the worst of 3 (late)"),
        (
            "adversary",
            lambda r: r["results"][1].update(ratios={"least": 0.39}),
            "each attack",
            "39% in the worst of all",
        ),
        (
            "adversary",
            lambda r: r["results"][1].update(ratio_until_replaced=0.39),
            "until a lying or stopped primary",
            "39% in the worst of 2 (silent); 1 keep less, for 1.0 s at most",
        ),
        ("adversary", lambda r: r["results"][1].update(ok=False), "each attack", "not safe: silent"),
        ("adversary", lambda r: r["not_measured"].append({}), "each attack", "1 not measured"),
        ("adversary", lambda r: r["results"][2].update(ratio_replaced=0.69), "slow", "after 1.6 s, then 69%"),
        ("adversary", lambda r: r["results"][2].update(replaced_s=None), "slow", "not replaced"),
        ("scale", lambda r: r["blocks"][2].update(excess_messages=0.2), "messages", "at most +20% block by block"),
        ("scale", lambda r: r["results"][-1].update(excess_messages=4.7), "messages", "+470% under load"),
    ],
)
def test_aim_that_is_missed_is_missed_with_its_figure(
    name: str, change: Callable[[dict[str, Any]], None], what: str, text: str
) -> None:
    said = changed(name, change)

    (missed,) = (one for one in said.values() if one.verdict == "missed")
    assert what in missed.aim.what
    assert missed.figure is not None
    assert text in missed.figure.text


def test_laws_are_told_with_their_largest_error() -> None:
    said = found(good())

    messages, throughput = (said[what].figure for what in list(said)[-2:])
    assert messages is not None
    assert throughput is not None
    expected = "3·n(n-1), off by <0.1%, in batches of 1; at most +0% block by block, +10% under load"
    assert messages.text.startswith(expected)
    assert re.match(r"500 \+ 2·n³ µs per transaction, off by <0.1%, 64 clients", throughput.text)


def test_load_that_was_not_carried_says_nothing_of_messages() -> None:
    said = changed("scale", lambda r: r["results"][-1].update(excess_messages=4.7, view=3))

    assert said["messages per block by size"].verdict == "met"


@pytest.mark.parametrize(("least", "said"), [(0.40, ""), (0.39, ", 39% in the worst of all runs")])
def test_the_worst_of_all_runs_is_judged_and_told_where_it_is_worse_than_what_is_shown(least: float, said: str) -> None:
    def change(attacks: dict[str, Any]) -> None:
        for row, worst in zip(attacks["results"], (least, 0.8, 0.6), strict=True):
            row["ratios"] = {"least": worst}

    figure = changed("adversary", change)["kept under each attack, all of it"].figure

    assert figure is not None
    assert figure.text == f"40% in the worst of 3 (late), 70% in the median{said}, all safe"
    assert figure.is_met == (not said)


def test_until_replaced_all_runs_of_an_attack_count() -> None:
    def change(attacks: dict[str, Any]) -> None:
        runs = [{"ratio_until_replaced": kept, "replaced_s": after_s} for kept, after_s in ((0.5, 1.0), (0.1, 3.0))]
        attacks["results"][1] |= runs[0] | {"runs": runs}

    found = changed("adversary", change)["kept until a lying or stopped primary is replaced"]

    assert found.verdict == "missed"
    assert found.figure is not None
    assert found.figure.text == "10% in the worst of 2 (silent); 1 keep less, for 3.0 s at most"


@pytest.mark.parametrize(("us", "verdict"), [(20.0, "-"), (20.1, "missed")])
def test_without_a_real_replica_a_part_of_its_work_can_miss_the_aim_and_cannot_meet_it(us: float, verdict: str) -> None:
    def change(costs: dict[str, Any]) -> None:
        costs["real"] = None
        costs["results"][2]["beyond_client_check_us"] = us

    said = changed("breakdown", change)["a replica's processor time beyond one signature check"]

    assert said.verdict == verdict
    assert said.figure is not None
    assert said.figure.text.endswith("event loop, in batches of 128")


def test_the_range_of_rounds_is_told_if_the_result_has_it() -> None:
    rounds = changed("throughput", lambda r: r["results"][2].update(rounds=[{"tx_per_s": 5e3}, {"tx_per_s": 7e3}]))

    rate = next(iter(rounds.values())).figure
    assert rate is not None
    assert rate.text == "6,000/s (5,000 to 7,000), 60% of 10,000/s"


# ── results that do not say ──


@pytest.mark.parametrize(
    ("name", "change", "what", "why"),
    [
        ("throughput", lambda r: r["results"].pop(), "256 clients", "no row of 256 clients"),
        ("throughput", lambda r: r["results"][0].update(samples=999), "99 of 100", "999 samples carry no p99"),
        ("growth", lambda r: r.update(transactions=999_999), "memory after", "ended after 999,999 transactions"),
        ("scale", lambda r: r["blocks"].pop(), "messages", "too few sizes for a law"),
        ("adversary", lambda r: r["results"][2].update(ratio_replaced=None), "slow", "replaced too late"),
        ("start", lambda r: r["results"][0].pop("max_ms"), "start of", "of an older form, without 'max_ms'"),
    ],
)
def test_result_that_does_not_say_leaves_its_aim_open(
    name: str, change: Callable[[dict[str, Any]], None], what: str, why: str
) -> None:
    said = changed(name, change)

    unknown = next(one for one in said.values() if what in one.aim.what)
    assert (unknown.verdict, unknown.figure) == ("unknown", None)
    assert why in unknown.remarks[-1]


def test_result_of_another_commit_and_of_a_busy_machine_says_so() -> None:
    said = changed("start", lambda r: r.update(commit="b" * 40 + "+", machine={"busy_before": 0.37}))

    assert said["start of a group until its first commit"].remarks == (
        "of another commit, bbbbbbb+",
        "37% of the cores were busy before",
    )
    assert [one.remarks for one in said.values() if one.aim.file != "start"] == [()] * (len(AIMS) - 1)


def test_of_two_commits_of_as_many_results_the_newest_is_that_of_all() -> None:
    old, new = (result("a", [], commit=commit, when=when) for commit, when in (("old", "2026-01"), ("new", "2026-02")))

    assert commit_of_most({"a": old, "b": new}) == "new"
    assert commit_of_most({"a": old, "b": new, "c": dict(old)}) == "old"
    assert commit_of_most({"a": "not measured"}) is None


# ── the script ──


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Good results but for one that is missing, one that is none, and one of an older form."""
    for name, one in good().items():
        (tmp_path / f"{name}.json").write_text(json.dumps(one))
    (tmp_path / "start.json").unlink()
    (tmp_path / "growth.json").write_text("{}")
    (tmp_path / "payload.json").write_text('{"bench": "throughput", "results": []}')
    return tmp_path


def test_what_is_missing_or_no_result_is_said(directory: Path) -> None:
    said = found(results_in(directory))  # type: ignore[arg-type]

    assert said["start of a group until its first commit"].remarks == ("not measured: there is no such file",)
    assert said["its growth in the last half of that"].remarks == ("not readable: is no result of a benchmark",)
    assert said["transactions of 4 KiB"].remarks == ("of an older form",)

    ended = show("aims.py", "--results", str(directory))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "missed" not in ended.stdout.splitlines()[0]
    assert "10 met, 0 missed, 4 unknown\nresults are of commit aaaaaaa, the sources of " in ended.stdout


def test_table_replaces_what_is_between_the_markers_and_nothing_else(directory: Path) -> None:
    readme = directory / "README.md"
    readme.write_text(f"# Before\n\n{BEGIN}\nan old table\n{END}\n\nafter\n")

    first = show("aims.py", "--results", str(directory), "--readme", str(readme), "--write")
    once = readme.read_text()
    second = show("aims.py", "--results", str(directory), "--readme", str(readme), "--write")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert readme.read_text() == once
    assert once.startswith(f"# Before\n\n{BEGIN}\n\nOf commit aaaaaaa, ")
    assert once.endswith(f"|\n\n{END}\n\nafter\n")
    rows = [line for line in once.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(AIMS)
    assert (
        "| the same, 64 clients | 60% of the ceiling | 6,000/s, 60% of 10,000/s | met | "
        "[throughput](results/throughput.json) |"
    ) in rows
    assert "an old table" not in once


@pytest.mark.parametrize("text", ["", f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_file_without_a_place_for_the_table_stays_as_it_is(directory: Path, text: str) -> None:
    readme = directory / "README.md"
    readme.write_text(text)

    ended = show("aims.py", "--results", str(directory), "--readme", str(readme), "--write")

    assert ended.returncode == 1
    assert "there is no place for the table" in ended.stderr
    assert readme.read_text() == text


def test_readme_of_the_benchmarks_has_a_place_for_the_table() -> None:
    readme = SCRIPT.with_name("README.md").read_text()

    assert readme.count(BEGIN) == readme.count(END) == 1
