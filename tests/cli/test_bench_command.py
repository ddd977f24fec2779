"""`bftledger bench`: the standard set, its block of text, and the groups it does not measure."""

import json
from pathlib import Path

import pytest

from bftledger.bench.summary import summary
from tests.cli.commands import Here, bftledger


def test_quick_measures_a_group_of_its_own_and_its_summary_fits_an_issue(tmp_path: Path) -> None:
    said = bftledger("bench", "--quick", "--json", cwd=tmp_path)

    assert said.status == 0, said.err
    result = json.loads(said.out)
    assert [row["clients"] for row in result["results"]] == [1, 16, 16]
    assert result["results"][-1]["rate"] > 0
    assert all(row["tx_per_s"] > 0 for row in result["results"])
    assert result["reads"]["reads_per_s"] > 0
    assert result["fetch"]["missed_tx"] > 0
    assert list(tmp_path.iterdir()) == []
    block = summary(result)
    assert block.startswith("```text\nbftledger ")
    assert block.endswith("\n```")
    for word in (
        "machine",
        "of the cores busy",
        "calibration",
        "ceiling",
        "1 client ",
        "16 clients",
        "/s due",
        "verified reads",
        "away for",
    ):
        assert word in block
    assert str(tmp_path) not in block


def test_group_of_the_users_is_not_written_to_unless_that_was_said(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.ok("init")
    monkeypatch.setattr("sys.stdin", None)

    said = here("bench", "--quick")

    assert said.status == 2
    assert "for good: say --yes" in said.error


def test_group_that_does_not_run_is_not_measured(here: Here) -> None:
    here.ok("init")

    said = here("bench", "--quick", "--yes")

    assert said.status == 1
    assert said.error == "0 of 4 replicas answer and are in a view: start the group first"


def test_group_with_another_application_is_not_measured(here: Here, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(
        '[group]\nname = "a"\napp = "accounts"\n[group.app_params]\nissuers = ["key:bank"]\n'
    )
    here.ok("key", "new", "bank", "--insecure")
    here.ok("init", "--config", str(tmp_path / "t.toml"))

    said = here("bench", "--yes")

    assert said.status == 1
    assert said.error == "the group's application is accounts: only kv can be measured"


def test_size_of_a_group_that_is_there_cannot_be_chosen(here: Here) -> None:
    here.ok("init")

    assert here("bench", "--replicas", "7").status == 2
