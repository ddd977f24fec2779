"""`init` and `key`: what they make, and that they say it to people and to programs."""

import json
from pathlib import Path

import pytest

from bftledger.home.home import Home
from tests.cli.commands import Here

CONFIGS = Path(__file__).parents[2] / "configs"


def test_init_makes_a_group_of_four_with_kv(here: Here) -> None:
    made = here.ok("init", "--json").json

    genesis = Home.open(here.home).genesis
    assert made == {
        "home": str(here.home),
        "name": "local",
        "genesis": genesis.genesis_hash.hex(),
        "app": "kv",
        "replicas": 4,
        "tolerates": 1,
    }


def test_options_win_over_the_file(here: Here) -> None:
    made = here.ok("init", "--config", str(CONFIGS / "local-7.toml"), "--replicas", "5", "--name", "mine", "--json")

    assert (made.json["replicas"], made.json["name"]) == (5, "mine")


def test_parameters_of_the_application_are_json_and_may_name_keys(here: Here) -> None:
    key = here.ok("key", "new", "bank", "--insecure", "--json").json
    here.ok("init", "--app", "accounts", "--param", 'issuers=["key:bank"]')

    assert Home.open(here.home).genesis.app_params == {"issuers": [key["public_key"]]}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--replicas", "3"], "3 replicas make no group: use 4 or more"),
        (["--app", "chess"], "there is no application called 'chess'"),
        (["--param", "issuers"], "--param issuers: is not NAME=VALUE"),
        (["--param", "a=1"], "the application 'kv' takes no params"),
        (["--config", "missing.toml"], "there is no such file"),
    ],
)
def test_init_refuses_what_makes_no_group_and_leaves_nothing(here: Here, arguments: list[str], complaint: str) -> None:
    assert complaint in here("init", *arguments).error
    assert not Home(here.home).exists


def test_a_group_is_not_made_twice(here: Here) -> None:
    here.ok("init")

    assert "holds a group already" in here("init").error


def test_the_home_may_come_before_or_after_the_command_or_from_the_environment(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFTLEDGER_HOME", str(tmp_path / "from-environment"))
    here.ok("init")
    here.ok("init", "--home", str(tmp_path / "after"))

    assert Home(here.home).exists
    assert Home(tmp_path / "after").exists
    assert not (tmp_path / "from-environment").exists()


def test_json_may_come_before_or_after_the_command(here: Here) -> None:
    here.ok("key", "new", "alice", "--insecure")

    assert here.ok("key", "list", "--json").out == here.ok("--json", "key", "list").out


def test_a_key_is_encrypted_unless_it_is_to_be_insecure(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFTLEDGER_PASSPHRASE", "correct horse")
    here.ok("key", "new", "alice")
    here.ok("key", "new", "robot", "--insecure")

    keys = here.ok("key", "list", "--json").json
    assert [(key["name"], key["encrypted"]) for key in keys] == [("alice", True), ("robot", False)]


def test_a_passphrase_that_nobody_can_type_is_asked_from_the_environment(here: Here) -> None:
    said = here("key", "new", "alice")

    assert said.status == 1
    assert "set BFTLEDGER_PASSPHRASE, or use --insecure" in said.error


def test_a_key_is_not_overwritten_and_no_passphrase_asked_for_it(here: Here) -> None:
    here.ok("key", "new", "alice", "--insecure")

    assert "there is a key alice" in here("key", "new", "alice").error


def test_the_only_key_is_the_default_and_public_halves_are_whole_in_a_pipe(here: Here) -> None:
    made = json.loads(here.ok("key", "new", "alice", "--insecure", "--json").out)

    assert made["public_key"] in here.ok("key", "show").out
    assert made["public_key"] in here.ok("key", "list").out
