"""Several runs: their order, the one row that they make, and what may be added to a result that is there."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.ids import View
from bftledger.bench import attack as attack_module
from bftledger.bench import machine
from bftledger.bench.attack import Misplaced, is_misplaced, run, stops
from bftledger.bench.attack_plan import HONEST, attacks, parse
from bftledger.bench.attack_repeats import combined, repeats, runs_of
from bftledger.bench.attack_series import Series, known, order
from bftledger.bench.attack_watch import Event
from bftledger.bench.results import write
from bftledger.bench.staging import Staging
from tests.bench.attack_runs import a_setting

SLOW = parse("slow", faulty=1)


def a_run(ratio: float | None, *, behaviour: str = "slow", **more: Any) -> dict[str, Any]:
    """A run's row, as far as rows are put together."""
    usual: dict[str, Any] = {
        "behaviour": behaviour,
        "family": "Primary",
        "traitors": [] if behaviour.startswith("honest") else [0],
        "ratio": ratio,
        "ratio_until_replaced": None,
        "slowest_ms": 10.0,
        "bound_ms": 5_250,
        "longest_gap_ms": 20.0,
        "acknowledged": 100,
        "verdict": {"progress": {"ok": True, "text": "fine"}},
        "ok": True,
        "evidence": [],
        "deviations": {"slow": 7},
        "timeline": {"committed": [1, 2], "of": ratio},
    }
    return usual | more


def a_setup() -> Staging:
    return Staging(
        replicas=4,
        clients=2,
        size=200,
        connections=1,
        processes=1,
        warmup_s=1.0,
        timeout_s=30.0,
        parts_s=(1.0, 1.0, 1.0),
        bucket_s=0.1,
        seed=5,
        keep=None,
    )


# ── their order ──


def ordered(*texts: str, repeat: int, controls: int) -> list[str]:
    wanted = attacks(texts, faulty=1)
    return [f"{attack.name} {number}" for attack, number in order(wanted, repeat=repeat, controls=controls)]


def test_rounds_go_over_all_behaviours() -> None:
    assert ordered("slow", "late", repeat=2, controls=0) == ["slow 1", "late 1", "slow 2", "late 2"]


def test_controls_are_spread_over_every_round() -> None:
    assert ordered("slow", "late", "mute", "echo", repeat=2, controls=2) == [
        *("honest 1", "slow 1", "late 1", "honest 2", "mute 1", "echo 1"),
        *("honest 3", "slow 2", "late 2", "honest 4", "mute 2", "echo 2"),
    ]


def test_one_behaviour_has_its_controls_too() -> None:
    assert ordered("slow", repeat=1, controls=2) == ["honest 1", "honest 2", "slow 1"]


def test_of_each_occasion_that_is_needed_there_are_controls() -> None:
    assert ordered("slow", "wrong-new-view", "lie-blocks", "late", repeat=2, controls=1) == [
        *("honest 1", "honest, primary stopped 1", "honest, backup stopped 1"),
        *("slow 1", "wrong-new-view 1", "lie-blocks 1", "late 1"),
        *("honest 2", "honest, primary stopped 2", "honest, backup stopped 2"),
        *("slow 2", "wrong-new-view 2", "lie-blocks 2", "late 2"),
    ]
    assert ordered("wrong-new-view", repeat=1, controls=1) == ["honest, primary stopped 1", "wrong-new-view 1"]


# ── one row ──


def test_the_run_in_the_middle_is_shown_with_the_range() -> None:
    row = combined([a_run(0.9), a_run(0.5), a_run(0.7)])

    assert (row["ratio"], row["shown"], row["timeline"]["of"]) == (0.7, 2, 0.7)
    assert row["ratios"] == {"median": 0.7, "least": 0.5, "greatest": 0.9}


def test_of_two_in_the_middle_the_lower_is_shown() -> None:
    assert combined([a_run(0.9), a_run(0.5)])["ratio"] == 0.5


def test_a_run_without_any_receipt_counts_as_nothing_kept() -> None:
    row = combined([a_run(0.9), a_run(None), a_run(None)])

    assert (row["ratio"], row["ratios"]) == (None, {"median": 0.9, "least": 0.9, "greatest": 0.9})


def test_the_verdict_is_the_worst_of_all_runs() -> None:
    late: dict[str, Any] = {"verdict": {"progress": {"ok": False, "text": "too late"}}, "ok": False}
    row = combined([a_run(0.9), a_run(0.7, **late), a_run(0.5), a_run(0.6)])

    assert not row["ok"]
    assert row["verdict"]["progress"] == {"ok": False, "text": "run 2 of 4: too late"}


def test_the_longest_waits_count_whatever_run_is_shown() -> None:
    row = combined([a_run(0.5, slowest_ms=900.0, bound_ms=11_650), a_run(0.7), a_run(0.9, longest_gap_ms=800.0)])

    assert (row["slowest_ms"], row["bound_ms"], row["longest_gap_ms"]) == (900.0, 11_650, 800.0)
    assert row["acknowledged"] == 300


def test_evidence_of_any_run_counts_once() -> None:
    one = {"replica": 0, "rule": "two-proposals", "what": "…", "kept_by": [1]}
    row = combined([a_run(0.5), a_run(0.7, evidence=[one]), a_run(0.9, evidence=[one | {"kept_by": [2]}])])

    assert row["evidence"] == [one]


@pytest.mark.parametrize("ratios", [[0.7], [0.9, 0.5, 0.7]])
def test_a_row_is_taken_apart_into_its_runs(ratios: list[float]) -> None:
    runs = [a_run(ratio, slowest_ms=ratio, ok=ratio < 0.8) for ratio in ratios]
    row = json.loads(json.dumps(combined(runs)))

    assert runs_of(row) == runs
    assert repeats(row) == len(ratios)
    assert combined(runs_of(row)) == combined(runs)


def test_a_row_of_an_old_result_is_one_run() -> None:
    assert repeats(a_run(0.5)) == 1


# ── what is known ──


def test_a_result_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "attacks.json"
    series = Series(a_setting(), None)
    series.add(SLOW, a_run(0.5))
    series.add(HONEST, a_run(1.0, behaviour="honest"))
    write(series.result(), str(path))
    again = Series(a_setting(repeat=2), known(path, a_setting(repeat=2)))

    assert [again.has(attack, number) for attack in (SLOW, HONEST) for number in (1, 2)] == [True, False] * 2
    again.add(SLOW, a_run(0.6))
    (row,), (control,) = again.result()["results"], again.result()["controls"]
    assert ([run["ratio"] for run in runs_of(row)], control["behaviour"]) == ([0.5, 0.6], "honest")


def test_controls_alone_measure_nothing() -> None:
    series = Series(a_setting())
    series.add(HONEST, a_run(1.0, behaviour="honest"))

    assert series.is_empty
    assert series.result()["results"] == []


def test_where_no_file_is_nothing_is_known(tmp_path: Path) -> None:
    assert known(tmp_path / "none.json", a_setting()) is None


def change(**what: Any) -> Callable[[dict[str, Any]], object]:
    return lambda result: result.update({name: result[name] | value for name, value in what.items()})


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda result: result.update(commit="0123"), "at commit 0123, and these sources are"),
        (change(machine={"cores": 64}), r"on another machine \(cores 64, here 2\)"),
        (change(versions={"pyzmq": "1.2"}), "with pyzmq 1.2, and this is"),
        (change(config={"clients": 3}), "with other options"),
        (lambda result: result.update(seed=2), "with other options"),
        (lambda result: result.pop("controls"), "by an earlier version of this script"),
    ],
)
def test_what_was_measured_with_something_else_is_not_added_to(
    alter: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    result = Series(a_setting()).result()
    alter(result)
    write(result, str(tmp_path / "attacks.json"))

    with pytest.raises(OperatorError, match=f"attacks.json: was measured {words}.*: leave out --resume, or name"):
        known(tmp_path / "attacks.json", a_setting())


def test_how_busy_a_machine_was_makes_no_other(tmp_path: Path) -> None:
    result = Series(a_setting()).result()
    change(machine={"load_before": 9, "busy_before": 0.9})(result)
    write(result, str(tmp_path / "attacks.json"))

    assert known(tmp_path / "attacks.json", a_setting()) is not None


def test_whether_changed_sources_are_the_same_is_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "commit", lambda: "0123+")
    write(Series(a_setting()).result(), str(tmp_path / "attacks.json"))
    known(tmp_path / "attacks.json", a_setting())

    assert "changed sources of 0123+; whether they are the same is not known" in capsys.readouterr().err


# ── a traitor in the wrong place ──


def happening(*events: tuple[float, str]) -> Iterable[Event]:
    return [Event(at_s, kind, "", "", View(1) if kind == "view" else None) for at_s, kind in events]


@pytest.mark.parametrize(
    ("events", "is_so"),
    [
        ([(1.0, "edge"), (1.5, "suspected"), (1.6, "view")], False),
        ([(0.9, "suspected"), (1.0, "edge"), (1.1, "view")], True),
        ([(0.5, "view"), (1.0, "edge")], True),
        ([(0.5, "convicted"), (1.0, "edge")], False),
    ],
)
def test_a_view_left_before_the_attack_misplaces_the_traitor(events: list[tuple[float, str]], is_so: bool) -> None:
    assert is_misplaced(happening(*events), 1.0) is is_so


def test_when_a_replica_was_stopped() -> None:
    events = happening((1.0, "edge"), (1.1, "stopped"), (1.5, "suspected"), (1.9, "stopped"), (3.0, "edge"))

    assert stops(events) == ((1.1, 1.9),)


def test_a_run_with_the_traitor_misplaced_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[Mapping[str, Any] | None] = [None, None, {"ratio": 0.5}]
    monkeypatch.setattr(attack_module, "_run", lambda *_: came.pop(0))

    assert run(SLOW, a_setup(), 2) == {"ratio": 0.5, "seed": 6, "tries": 3}


def test_misplaced_every_time_it_counts_as_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack_module, "_run", lambda *_: None)
    series = Series(a_setting())
    with pytest.raises(Misplaced) as error:
        run(SLOW, a_setup())
    series.fail(SLOW, error.value)
    series.fail(SLOW, OperatorError("something else"))

    failed = series.result()["not_measured"]
    assert [(one["behaviour"], one["misplaced"]) for one in failed] == [("slow", True), ("slow", False)]
    assert failed[0]["error"] == "the group changed its primary before the attack, 3 times in a row"


def test_what_is_no_result_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "attacks.json"
    path.write_text('{"bench": "adversary", "results": [{}]}')

    with pytest.raises(OperatorError, match="is no result of this script as it is now: it lacks 'seed'"):
        known(path, a_setting())
