"""Sweeps: which strengths there are, which are tried beside them, and what follows."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bftledger.adversary.catalogue import CATALOGUE
from bftledger.base.errors import OperatorError
from bftledger.bench.attack_series import Series, known
from bftledger.bench.attack_sweep import MOST_FRAMES, SWEEPS, Curve, limit, parse_sweep, points, worst_kept
from bftledger.bench.results import write
from bftledger.pbft.settings import Settings
from tests.bench.attack_runs import BEGUN, a_curve, a_run, a_setting

PROTOCOL = {"request_timeout_ms": 500, "batch_wait_ms": 50}


def names(curve: Curve) -> list[str]:
    return [attack.name for attack in curve.attacks()]


def a_sweep(text: str) -> Curve:
    return Curve(parse_sweep(text), Settings(), faulty=1)


def rows(curve: Curve, *, lost: int) -> Mapping[str, Any]:
    """With `lost` percent and more it is replaced."""
    return {
        point["behaviour"]: point
        for point in a_curve(
            kept=[strength for strength in _strengths(curve) if strength < lost],
            lost=[strength for strength in _strengths(curve) if strength >= lost],
        )["points"]
    }


def _strengths(curve: Curve) -> list[int]:
    return [int(attack.name.partition(":")[2]) for attack in curve.attacks()]


# ── which there are ──


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("slow", ["slow:5", "slow:10", "slow:20", "slow:30", "slow:40", "slow:60", "slow:90"]),
        ("late", ["late:25", "late:50", "late:100", "late:150", "late:200", "late:300", "late:450"]),
        ("slow:30,20", ["slow:20", "slow:30"]),
        ("flood:100", ["flood:100"]),
    ],
)
def test_strengths_of_delays_are_percent_of_the_time_out(text: str, runs: list[str]) -> None:
    assert names(a_sweep(text)) == runs


def test_noise_is_swept_from_what_it_does_by_itself_to_the_most_that_it_can_be_told() -> None:
    for name in ("garbage", "flood"):
        (usual,) = re.findall(r"(\d+) without it", CATALOGUE[name].takes)

        assert (SWEEPS[name].strengths[0], SWEEPS[name].strengths[-1]) == (int(usual), MOST_FRAMES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mute", "take slow, late"),
        ("slow:fast", "are numbers"),
        ("slow:0", "are numbers"),
        ("slow:1,,2", "are numbers"),
    ],
)
def test_what_has_no_strength_is_refused(text: str, words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        parse_sweep(text)


@pytest.mark.parametrize("text", ["slow:1001", "flood:10001"])
def test_more_than_a_behaviour_can_be_told_is_refused(text: str) -> None:
    with pytest.raises(OperatorError, match="no strength"):
        a_sweep(text).attacks()


# ── where a primary begins to be replaced ──


def test_between_the_strongest_that_stayed_and_the_weakest_that_was_replaced_others_are_tried() -> None:
    curve = a_sweep("slow:20,30,40,60")
    tried = []
    for _ in range(3):
        between = curve.refine(rows(curve, lost=36))
        assert between is not None
        tried.append(between.name)

    assert tried == ["slow:35", "slow:37", "slow:36"]
    assert curve.refine(rows(curve, lost=36)) is None, "nothing is between 35 and 36"
    assert names(curve) == ["slow:20", "slow:30", "slow:35", "slow:36", "slow:37", "slow:40", "slow:60"]


@pytest.mark.parametrize("lost", [0, 1_000])
def test_where_there_is_no_such_place_nothing_is_tried(lost: int) -> None:
    curve = a_sweep("slow:20,40")

    assert curve.refine(rows(curve, lost=lost)) is None


def test_noise_has_no_such_place() -> None:
    assert a_sweep("flood:10,100").refine({}) is None


# ── what follows ──


def test_the_limit_is_that_of_the_rule_with_no_agreement_and_with_the_longest_that_it_can_take() -> None:
    """docs/protocol.md: T/4 + `batch_wait_ms` + 4 agreements; here clients waited 10 ms."""
    found = limit(a_curve(kept=(10, 30), lost=(40, 90)), PROTOCOL)

    assert found is not None
    assert (found.least, round(found.most), found.kept, found.lost) == (175, 215, 150, 200)
    assert found.said == "it kept its view with 150 ms and was replaced with 200 ms"


def test_a_limit_that_was_not_met_is_said_not_to_be() -> None:
    always, never = (limit(a_curve(kept=kept, lost=lost), PROTOCOL) for kept, lost in ([(), (40,)], [(40,), ()]))

    assert always is not None
    assert never is not None
    assert always.said == "it never kept its view and was replaced with 200 ms"
    assert never.said == "it kept its view with 200 ms and was never replaced"


def test_noise_has_no_limit() -> None:
    curve = Curve(replace(SWEEPS["flood"], strengths=(10,)), Settings(), faulty=1)

    assert limit(curve.document({"flood:10": a_run()}), PROTOCOL) is None


def test_the_worst_is_that_of_those_who_kept_their_view() -> None:
    curve = a_curve(kept=(10, 30), lost=(90,))
    curve["points"][0]["ratio"], curve["points"][2]["ratio"] = 0.3, 0.01
    found = worst_kept([curve])

    assert found is not None
    assert found["behaviour"] == "slow:10"
    assert worst_kept([]) is None


# ── in a result ──


def test_a_sweep_is_beside_the_results_with_a_row_for_each_strength() -> None:
    curve = a_sweep("slow:20,90")
    series = Series(a_setting(), curves=[curve], wanted={"slow"})
    for attack in [*curve.attacks(), SWEEPS["slow"].attack(30, Settings(), faulty=1)]:
        series.add(attack, a_run((BEGUN + 2.0, 1), attack=attack))
    result = series.result()
    (found,) = result["sweep"]

    assert [row["behaviour"] for row in result["results"]] == ["slow:30"], "it is of no sweep"
    assert [(p["behaviour"], p["strength"], p["value"], p["cost_s"]) for p in found["points"]] == [
        ("slow:20", 20, 100, 1.8),
        ("slow:90", 90, 450, 1.8),
    ]
    assert (found["behaviour"], found["unit"], found["delays"]) == ("slow", "ms held back", True)


def test_what_is_wanted_for_itself_as_well_is_in_both() -> None:
    curve = a_sweep("flood:300")
    series = Series(a_setting(), curves=[curve], wanted={"flood:300"})
    series.add(curve.attacks()[0], a_run(attack=curve.attacks()[0]))
    result = series.result()

    assert [row["behaviour"] for row in result["results"]] == ["flood:300"]
    assert len(result["sweep"][0]["points"]) == 1
    assert list(points(result)) == [], "the page shows it once"


def test_a_sweep_is_gone_on_with(tmp_path: Any) -> None:
    path = tmp_path / "attacks.json"
    first = Series(a_setting(), curves=[a_sweep("slow:20,40")])
    (weak, strong) = a_sweep("slow:20,40").attacks()
    first.add(weak, a_run(attack=weak))
    write(first.result(), str(path))
    again = Series(a_setting(), known(path, a_setting()), curves=[a_sweep("slow:20,40")])

    assert (again.has(weak, 1), again.has(strong, 1)) == (True, False)
    assert again.result()["results"] == []
    assert [point["behaviour"] for point in again.result()["sweep"][0]["points"]] == ["slow:20"]
