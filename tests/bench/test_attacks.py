"""`bench/adversary.py`: one real attack from beginning to end, what is seen of it from outside, and its page.

What so short a run measures says nothing.
"""

import json
import re
import sqlite3
from array import array
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bftledger.base import cbor
from bftledger.base.ids import ReplicaId, Seq, TxId, View
from bftledger.bench import receipts
from bftledger.bench.attack_bound import Course
from bftledger.bench.attack_page import page
from bftledger.bench.attack_verdict import Finding, judge
from bftledger.bench.attack_watch import Event, Sight, events
from bftledger.bench.measured import Load, Measured
from bftledger.check.history import Operation
from bftledger.check.ledgers import Ledgers
from bftledger.home.home import Home
from bftledger.ledger.block import Header
from tests.bench.scripts import run, show
from tests.builders import FAST

BENCH = Path(__file__).parents[2] / "bench"
BRIEFLY = ("--seconds", "0.4,0.8,0.4", "--warmup", "0.1", "--clients", "2", "--connections", "1")
GROUP = FAST.group(4)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON file of a run in which the primary equivocates, and of an honest one; the page beside it."""
    directory = tmp_path_factory.mktemp("attack")
    file, keep = directory / "attack.json", directory / "homes"
    to = ("--json", str(file), "--html", str(directory / "attack.html"), "--keep", str(keep))
    ended = run("adversary.py", "-b", "equivocate", "--controls", "1", *BRIEFLY, *to)
    assert ended.returncode == 0, ended.stderr
    return file


def result(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


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
    assert set(row["verdict"]) == {"agreement", "durability", "integrity", "witness", "progress", "guilt"}
    assert set(row["phases"]) >= {"clean", "attacked", "after"}
    assert row["phases"]["clean"]["transactions"] > 0
    assert row["phases"]["attacked"]["tx_per_s"] == row["tx_per_s"]
    assert [(one["replica"], one["is_traitor"]) for one in row["work"]] == [
        (0, True),
        (1, False),
        (2, False),
        (3, False),
    ]
    assert all(one["attacked"]["cpu_share"] is not None and None not in one["memory_mb"] for one in row["work"])
    assert all(one["disk_mb"][-1] > 0 for one in row["work"])
    assert row["protocol_messages_per_s"] > 0


def test_its_timeline_has_the_beginning_the_end_and_every_receipt_between(measured: Path) -> None:
    (row,) = result(measured)["results"]
    edges = [event for event in row["events"] if event["kind"] == "edge"]

    assert [(edge["flag"], edge["at_s"]) for edge in edges] == [("attack", 0.0), ("end", row["attack_s"][1])]
    assert edges[0]["what"] == "replica 0 begins to lie"
    assert row["attack_s"][1] > 0.75, "it is no shorter than was asked for, however busy the machine is"
    assert row["timeline"]["from_s"] < -0.35, "nor is what was before it"
    parts = [row["phases"][name]["transactions"] for name in ("clean", "attacked", "after")]
    assert sum(row["timeline"]["committed"]) == pytest.approx(sum(parts), abs=3)


def test_in_a_control_nobody_lies(measured: Path) -> None:
    (row,) = result(measured)["controls"]

    assert (row["behaviour"], row["traitors"], row["ok"], row["deviations"]) == ("honest", [], True, {})
    assert [event["what"] for event in row["events"]] == ["an attack would begin here", "an attack would end here"]
    assert row["phases"]["attacked"]["transactions"] > 0


def test_an_answer_that_comes_late_fails_the_verdict(measured: Path, tmp_path: Path) -> None:
    home = Home.open(measured.parent / "homes" / "equivocate")

    def progress(waited_s: float) -> Finding:
        seen = Measured(
            load=Load(clients=1, seconds=1.6),
            start_s=100.0,
            begun=array("d", [100.0]),
            done=array("d", [100.0 + waited_s]),
            failures=[],
        )
        verdict = judge(home, [ReplicaId(i) for i in (1, 2, 3)], tmp_path, seen, Course(views=1))
        assert verdict.ok == verdict.findings["progress"].ok, "all else is as it should be"
        return verdict.findings["progress"]

    assert progress(11.6) == Finding(
        ok=True, text="every transaction was answered, the slowest after 11.60 s of 11.65 s"
    )
    assert progress(11.7) == Finding(
        ok=False, text="transaction 0 was answered 11700 ms after it was asked, at most 11650 ms are needed"
    )


def test_an_order_that_clients_did_not_see_fails_the_verdict(measured: Path, tmp_path: Path) -> None:
    home = Home.open(measured.parent / "homes" / "equivocate")
    nothing = Measured(load=Load(clients=1, seconds=1.6), start_s=0.0, begun=array("d"), done=array("d"), failures=[])

    with closing(sqlite3.connect(home.ledger_path(ReplicaId(1)))) as db:
        stored = [block for (block,) in db.execute("SELECT block FROM blocks ORDER BY height")]
    ledger = Ledgers(home.genesis.genesis_hash).read(stored)
    first, *_, last = [each for block in ledger.operations for each in block if each is not None]

    def witness(*seen: tuple[Operation, float, float]) -> Finding:
        """`seen`: what clients did, from when to when."""
        rows = []
        for each, begun, done in seen:
            header = Header.decode(cbor.decode(stored[(each.height or 0) - 1])[0])
            receipt: Any = SimpleNamespace(header=header, index=each.index)
            rows.append(receipts.row(TxId(each.id), receipt, begun, done))
        (tmp_path / "0.rows").write_bytes(b"".join(rows))
        verdict = judge(home, [ReplicaId(i) for i in (1, 2, 3)], tmp_path, nothing)
        assert verdict.ok == verdict.findings["witness"].ok, "all else is as it should be"
        return verdict.findings["witness"]

    as_it_was = witness((first, 1.0, 2.0), (last, 3.0, 4.0))
    assert as_it_was == Finding(ok=True, text="2 operations stand in the order in which clients saw them")
    assert "has its place before" in witness((last, 1.0, 2.0), (first, 3.0, 4.0)).text


def test_its_home_stays_if_it_is_to_and_is_not_overwritten(measured: Path) -> None:
    keep = measured.parent / "homes"
    ended = run("adversary.py", "-b", "equivocate", *BRIEFLY, "--keep", str(keep))

    assert (keep / "equivocate" / "genesis.json").exists()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("remove it, or name another directory with --keep")


def test_what_is_in_the_file_is_not_run_again(measured: Path) -> None:
    before = result(measured)["results"]
    ended = run("adversary.py", "-b", "equivocate", *BRIEFLY, "--json", str(measured), "--resume")

    assert ended.returncode == 0, ended.stderr
    assert "equivocate: known" in ended.stderr
    assert result(measured)["results"] == before


def test_another_round_is_added_to_what_is_in_the_file(measured: Path, tmp_path: Path) -> None:
    file = tmp_path / "attack.json"
    file.write_text(measured.read_text())
    ended = run("adversary.py", "-b", "equivocate", "--repeat", "2", *BRIEFLY, "--json", str(file), "--resume")

    assert ended.returncode == 0, ended.stderr
    (row,) = result(file)["results"]
    first, second = row["runs"]
    assert (first["seed"], second["seed"]) == (1, 2)
    assert row["ratios"]["least"] == min(first["ratio"], second["ratio"]) == row["ratio"]
    assert "honest" in ended.stdout


def test_a_file_of_another_commit_is_refused_in_one_line(measured: Path, tmp_path: Path) -> None:
    file = tmp_path / "attack.json"
    file.write_text(json.dumps(result(measured) | {"commit": "0123456"}))
    ended = run("adversary.py", "-b", "equivocate", *BRIEFLY, "--json", str(file), "--resume")

    assert ended.returncode == 1
    assert f"bench: {file}: was measured at commit 0123456, and these sources are" in ended.stderr.splitlines()[-1]
    assert result(file)["commit"] == "0123456"


def test_a_file_of_other_options_is_not_added_to(measured: Path) -> None:
    ended = run("adversary.py", "-b", "equivocate", *BRIEFLY, "--size", "300", "--json", str(measured), "--resume")

    assert ended.returncode == 1
    assert "was measured with other options" in ended.stderr


# ── the page ──


def test_the_page_is_the_same_whenever_it_is_made(measured: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    ended = show("adversary.py", "--from", str(measured), "--html", str(again))

    assert ended.returncode == 0, ended.stderr
    assert [line.split()[0] for line in ended.stdout.splitlines()[:3]] == ["behaviour", "honest", "equivocate"]
    assert again.read_text() == page(result(measured))


def test_the_page_needs_nothing_from_outside(measured: Path) -> None:
    text = measured.with_suffix(".html").read_text()

    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", text) == []
    assert "default-src 'none'" in text


# ── misuse ──


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-b", "silnt"), "try silent"),
        (("-b", "slow", "--replicas", "3"), "nobody may lie in so small a group"),
        (("-b", "slow", "--resume"), "name it with --json"),
        (("-b", "slow", "--collude"), "let 2 lie, which needs --replicas 7"),
        (("--sweep", "mute"), "take slow, late, garbage, flood"),
        (("--sweep", "slow:2000"), "slow has no strength 2000"),
    ],
)
def test_what_cannot_be_measured_is_one_line(options: tuple[str, ...], words: str) -> None:
    ended = show("adversary.py", *options)

    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_times_are_three() -> None:
    ended = show("adversary.py", "--seconds", "4,8")

    assert ended.returncode == 2
    assert "as 4,8,4" in ended.stderr


def test_a_rate_is_one() -> None:
    ended = show("adversary.py", "--rate", "100,200")

    assert ended.returncode == 2
    assert "'100,200' is not one rate per second" in ended.stderr


def test_help_explains_by_example() -> None:
    assert "python bench/adversary.py --behaviour slow" in show("adversary.py", "--help").stdout
