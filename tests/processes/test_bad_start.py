"""Issue, "Bad input": "each is refused at start with one line that says what to do"."""

import asyncio
import shutil
import socket
from pathlib import Path

from bftledger.home.home import Home, init
from bftledger.home.template import Template
from tests.processes.group import Observer, Processes, refusal


def a_home(path: Path) -> Home:
    return init(path, Template(name="bad-start"))


def test_port_already_taken_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    host, port = home.config.replicas[1].client.removeprefix("tcp://").split(":")
    with socket.create_server((host, int(port))):
        said = refusal(home, 1)

    assert f"tcp://{host}:{port}" in said


def test_missing_genesis_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    home.genesis_path.unlink()

    assert f"{home.genesis_path} is missing: copy it from another replica's home" in refusal(home, 0)


def test_foreign_genesis_is_refused(tmp_path: Path) -> None:
    home, other = a_home(tmp_path / "home"), a_home(tmp_path / "other")
    shutil.copy(other.genesis_path, home.genesis_path)

    assert f"{home.replica_key_path(2)}: is not a key of this group" in refusal(home, 2)


def test_directory_that_is_no_home_is_refused(tmp_path: Path) -> None:
    assert f"{tmp_path} is not a home of a group" in refusal(Home(tmp_path), 0)


def test_key_file_readable_by_others_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    home.replica_key_path(0).chmod(0o644)

    assert f"run chmod 600 {home.replica_key_path(0)}" in refusal(home, 0)


def test_key_of_another_replica_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    home.replica_key_path(1).unlink()
    home.replica_key_path(0).rename(home.replica_key_path(1))

    assert f"{home.replica_key_path(1)}: is the key of replica 0" in refusal(home, 1)


def test_replica_that_the_group_does_not_have_is_refused(tmp_path: Path) -> None:
    assert "there is no replica 4: this group's are 0 to 3" in refusal(a_home(tmp_path / "home"), 4)


def test_config_value_out_of_range_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    config = home.config_path.read_text()
    home.config_path.write_text(config.replace("request_timeout_ms = 500", "request_timeout_ms = 5"))

    said = refusal(home, 0)
    assert f"{home.config_path}: protocol.request_timeout_ms = 5: allowed is a whole number from 50 to " in said


def test_store_of_another_group_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    with Processes(tmp_path / "other") as other:
        other.start()
        asyncio.run(_ready(other))
    home.data_path(0).rmdir()
    other.home.data_path(0).rename(home.data_path(0))

    assert f"{home.ledger_path(0)}: belongs to the group with genesis " in refusal(home, 0)


def test_store_in_use_and_store_of_another_replica_are_refused(group: Processes) -> None:
    group.start()
    asyncio.run(_ready(group))

    assert f"is running already (process {group.pid(2)}): stop it first" in refusal(group.home, 2)

    group.home.pid_path(2).unlink()  # somebody tidied up: the store itself is locked, too
    assert f"{group.home.ledger_path(2)}: another process uses it" in refusal(group.home, 2)

    group.stop(0)
    group.stop(1)
    group.home.ledger_path(0).rename(group.home.ledger_path(1))
    assert f"{group.home.ledger_path(1)}: belongs to replica 0, not 1" in refusal(group.home, 1)


async def _ready(group: Processes) -> None:
    async with Observer(group) as observer:
        await observer.ready()
