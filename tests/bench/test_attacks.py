"""`bench/adversary.py`: which runs there are, one real attack from beginning to end, and the page made of it.

What so short a run measures says nothing.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bftledger.adversary.catalogue import names
from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.bench.attack_page import page
from bftledger.bench.attack_plan import FAMILIES, Occasion, Place, attacks, parse
from bftledger.bench.attack_watch import Event, Sight, events
from tests.builders import FAST

BENCH = Path(__file__).parents[2] / "bench"
BRIEFLY = ("--seconds", "0.4,0.8,0.4", "--warmup", "0.1", "--clients", "2", "--connections", "1")
GROUP = FAST.group(4)


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "adversary.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON file of a run in which the primary equivocates, and its page beside it."""
    directory = tmp_path_factory.mktemp("attack")
    file, keep = directory / "attack.json", directory / "homes"
    to = ("--json", str(file), "--html", str(directory / "attack.html"), "--keep", str(keep))
    ended = run("-b", "equivocate", *BRIEFLY, *to)
    assert ended.returncode == 0, ended.stderr
    return file


def result(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


# ── which runs ──


def test_all_are_those_of_the_catalogue_in_its_order() -> None:
    assert [attack.behaviours[0].partition(":")[0] for attack in attacks(["all"], faulty=1)] == names()


def test_some_are_chosen_by_parts_of_their_names() -> None:
    chosen = attacks(["all"], faulty=1, only=["certificates", "slow"], skip=["blocks", "private"])

    assert [attack.name for attack in chosen] == [
        "slow",
        "forge-certificates",
        "pad-certificates",
        "stale-certificates",
    ]


@pytest.mark.parametrize(
    ("text", "behaviours", "count"),
    [
        ("slow", ("slow",), 2),
        ("slow:1", ("slow",), 1),
        ("slow:80:1", ("slow:80",), 1),
        ("mute:commit", ("mute:commit",), 2),
        ("mute:commit+stutter:1", ("mute:commit", "stutter"), 1),
    ],
)
def test_a_number_at_the_end_is_how_many_lie(text: str, behaviours: tuple[str, ...], count: int) -> None:
    attack = parse(text, faulty=2)

    assert (attack.behaviours, attack.count) == (behaviours, count)


@pytest.mark.parametrize(("text", "words"), [("slow:80", "slow:80:1"), ("slow:0", "from 1 to 1"), ("slw", "try slow")])
def test_what_cannot_be_run_is_refused_with_what_can(text: str, words: str) -> None:
    with pytest.raises(OperatorError, match=words):
        attacks([text], faulty=1)


def test_nothing_left_to_run_is_said() -> None:
    with pytest.raises(OperatorError, match="--only"):
        attacks(["all"], faulty=1, only=["no such part"])


@pytest.mark.parametrize(
    ("text", "traitors"), [("equivocate", [0, 1]), ("silent-new-view", [1, 2]), ("flip-flop", [5, 6])]
)
def test_a_traitor_stands_where_it_does_most_harm(text: str, traitors: list[int]) -> None:
    assert parse(text, faulty=2).traitors(7) == traitors


def test_who_lies_when_views_change_or_to_those_that_lag_gets_an_occasion() -> None:
    occasions = {attack.name: attack.occasion for attack in attacks(["all"], faulty=1)}

    assert occasions["wrong-new-view"] is Occasion.VIEW_CHANGE
    assert occasions["lie-blocks"] is Occasion.LAG
    assert occasions["equivocate"] is Occasion.NONE


def test_every_module_of_the_catalogue_is_a_family() -> None:
    found = {attack.family for attack in attacks(["all"], faulty=1)}

    assert found == {*FAMILIES.values(), "Anything"}


# ── what is seen from outside ──


def seen(*sights: tuple[float, int, int, bool, int]) -> Iterable[Sight]:
    return [
        Sight(at_s, ReplicaId(i), View(view), active, Seq(0), convicted) for at_s, i, view, active, convicted in sights
    ]


def test_a_view_begins_when_a_weak_quorum_is_in_it() -> None:
    sights = seen((0.0, 1, 0, True, 0), (0.1, 2, 0, False, 0), (0.2, 1, 1, True, 0), (0.3, 2, 1, True, 0))

    assert list(events(sights, GROUP, [ReplicaId(0)])) == [
        Event(0.1, "suspected", "suspected", "replica 2 leaves view 0"),
        Event(0.3, "view", "view 1", "view 1 begins: replica 1 is primary", View(1)),
    ]


def test_a_conviction_is_noted_once() -> None:
    found = list(events(seen((0.0, 1, 0, True, 0b1), (0.1, 2, 0, True, 0b1)), GROUP, [ReplicaId(0)]))

    assert [(event.at_s, event.flag) for event in found] == [(0.0, "0 convicted")]


def test_a_traitor_that_becomes_primary_is_called_one() -> None:
    (_, found) = events(seen((0.0, 2, 1, True, 0), (0.0, 3, 1, True, 0)), GROUP, [ReplicaId(1)])

    assert found.what == "view 1 begins: replica 1, a traitor, is primary"


# ── a real one ──


def test_an_attack_is_measured_judged_and_its_evidence_collected(measured: Path) -> None:
    (row,) = result(measured)["results"]

    assert (row["behaviour"], row["traitors"], row["ok"], row["failed"]) == ("equivocate", [0], True, {})
    assert row["deviations"]["equivocate"] > 0
    assert {one["replica"] for one in row["evidence"]} == {0}
    assert row["acknowledged"] > 0
    assert set(row["verdict"]) == {"agreement", "durability", "integrity", "progress", "guilt"}
    assert set(row["phases"]) >= {"clean", "attacked", "after"}
    assert row["phases"]["clean"]["transactions"] > 0
    assert row["phases"]["attacked"]["tx_per_s"] == row["tx_per_s"]


def test_its_timeline_has_the_beginning_the_end_and_every_receipt_between(measured: Path) -> None:
    (row,) = result(measured)["results"]
    edges = [event for event in row["events"] if event["kind"] == "edge"]

    assert [(edge["flag"], edge["at_s"]) for edge in edges] == [("attack", 0.0), ("end", row["attack_s"][1])]
    assert row["attack_s"][1] == pytest.approx(0.8, abs=0.3)
    assert row["timeline"]["from_s"] == pytest.approx(-0.4, abs=0.3)
    parts = [row["phases"][name]["transactions"] for name in ("clean", "attacked", "after")]
    assert sum(row["timeline"]["committed"]) == pytest.approx(sum(parts), abs=3)


def test_its_home_stays_if_it_is_to_and_is_not_overwritten(measured: Path) -> None:
    keep = measured.parent / "homes"
    ended = run("-b", "equivocate", *BRIEFLY, "--keep", str(keep))

    assert (keep / "equivocate" / "genesis.json").exists()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("remove it, or name another directory with --keep")


def test_what_is_in_the_file_is_not_run_again(measured: Path) -> None:
    before = result(measured)["results"]
    ended = run("-b", "equivocate", *BRIEFLY, "--json", str(measured), "--resume")

    assert ended.returncode == 0, ended.stderr
    assert "equivocate: known" in ended.stderr
    assert result(measured)["results"] == before


def test_a_file_of_other_options_is_not_added_to(measured: Path) -> None:
    ended = run("-b", "equivocate", *BRIEFLY, "--size", "300", "--json", str(measured), "--resume")

    assert ended.returncode == 1
    assert "was measured with other options" in ended.stderr


# ── the page ──


def test_the_page_is_the_same_whenever_it_is_made(measured: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    ended = run("--from", str(measured), "--html", str(again))

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[1].startswith("equivocate ")
    assert again.read_text() == page(result(measured))


def test_the_page_needs_nothing_from_outside(measured: Path) -> None:
    text = measured.with_suffix(".html").read_text()

    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", text) == []
    assert "default-src 'none'" in text


def test_what_a_run_says_cannot_break_out_of_the_page(measured: Path) -> None:
    document = result(measured)
    hostile = "</script><script>alert(1)</script>"
    row = document["results"][0]
    row["does"] = row["stopped_by"] = row["command"] = row["events"][0]["what"] = row["events"][0]["flag"] = hostile
    row["evidence"][0]["what"] = row["verdict"]["agreement"]["text"] = document["config"]["load"] = hostile

    assert hostile not in page(document)
    assert page(document).count("</script>") == page(result(measured)).count("</script>")


def test_many_rows_are_a_table_with_a_dot_each(measured: Path) -> None:
    document = result(measured)
    (row,) = document["results"]
    document["results"] = [row | {"behaviour": name, "ratio": i / len(names())} for i, name in enumerate(names())]
    text = page(document)

    assert text.count('<tbody class="attack') == text.count("<circle ") == len(names())
    assert all(f'id="{name}"' in text for name in names())


# ── misuse ──


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-b", "silnt"), "try silent"),
        (("-b", "slow", "--replicas", "3"), "nobody may lie in so small a group"),
        (("-b", "slow", "--resume"), "name it with --json"),
    ],
)
def test_what_cannot_be_measured_is_one_line(options: tuple[str, ...], words: str) -> None:
    ended = run(*options)

    assert ended.returncode == 1
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_times_are_three() -> None:
    ended = run("--seconds", "4,8")

    assert ended.returncode == 2
    assert "as 4,8,4" in ended.stderr


def test_places_can_be_chosen() -> None:
    (attack,) = attacks(["flood"], faulty=1, place=Place.PRIMARY)

    assert attack.traitors(4) == [0]


def test_help_explains_by_example() -> None:
    assert "python bench/adversary.py --behaviour slow" in run("--help").stdout
