"""A home is made whole or not at all, and one that is not as it should be is refused in one line."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis, ReplicaId
from bftledger.home import home as home_module
from bftledger.home.home import Home, init
from bftledger.home.keys import ReplicaSecrets, new_client_key, write_replica_key
from bftledger.home.template import Template, read_template

CONFIGS = Path(__file__).parents[2] / "configs"
CREATED = Millis(1_700_000_000_000)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return init(tmp_path / "G", Template(name="g"), CREATED)


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(OperatorError) as error:
        action()
    text = str(error.value)
    assert "\n" not in text
    return text


def test_init_makes_a_group_that_opens_with_all_that_its_replicas_need(home: Home) -> None:
    opened = Home.open(home.path)

    assert (opened.genesis.name, opened.genesis.created, opened.genesis.app) == ("g", CREATED, "kv")
    assert opened.genesis.group.n == 4
    assert len(opened.config.replicas) == 4
    assert opened.replicas_here() == (0, 1, 2, 3)
    for i in range(4):
        assert opened.secrets(i).public == opened.genesis.replicas[i]
        assert opened.data_path(i).is_dir()
    assert opened.run_path.is_dir()


def test_every_key_that_init_makes_is_private_and_so_is_their_directory(home: Home) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.keys_path.iterdir()}

    assert modes == {f"replica-{i}.key": 0o600 for i in range(4)} | {"clients": 0o700}
    assert home.keys_path.stat().st_mode & 0o777 == 0o700


def test_two_groups_have_nothing_in_common(home: Home, tmp_path: Path) -> None:
    other = init(tmp_path / "H", Template(name="g"), CREATED)

    assert other.genesis.genesis_hash != home.genesis.genesis_hash
    assert not set(other.genesis.replicas) & set(home.genesis.replicas)


def test_a_home_that_holds_a_group_is_not_made_again(home: Home) -> None:
    before = home.genesis_path.read_bytes()

    assert "holds a group already" in refused(lambda: init(home.path, Template()))
    assert home.genesis_path.read_bytes() == before


def test_a_directory_with_other_things_may_become_a_home(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "README.md").write_text("")

    assert init(tmp_path, Template()).exists


@pytest.mark.parametrize("step", ["write_replica_key", "write_config", "write_public"])
def test_an_init_that_fails_leaves_no_file_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    done = getattr(home_module, step)
    calls = []

    def fail(path: Path, content: object) -> None:
        calls.append(path)
        if step == "write_replica_key" and len(calls) < 3:
            done(path, content)
        else:
            raise OperatorError(f"{path}: cannot be written: no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(home_module, step, fail)
        assert "no space left" in refused(lambda: init(tmp_path / "G", Template()))

    assert [path for path in (tmp_path / "G").rglob("*") if path.is_file()] == []
    assert init(tmp_path / "G", Template()).exists


def test_what_a_killed_init_left_is_named_with_the_way_out(home: Home) -> None:
    home.genesis_path.unlink()

    text = refused(lambda: init(home.path, Template()))

    assert f"remove {home.keys_path}/replica-*.key and {home.config_path}, then init again" in text


@pytest.mark.parametrize("replicas", [0, 1, 3, 257])
def test_a_number_of_replicas_that_makes_no_group_is_refused(replicas: int) -> None:
    assert f"{replicas} replicas make no group" in refused(lambda: Template(replicas=replicas))


def test_a_port_that_is_taken_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        base = min(port, 65_535 - 7)

        text = refused(lambda: init(tmp_path / "G", Template(base_port=base)))

    assert "on 127.0.0.1 cannot be used: address already in use; choose another base port" in text
    assert not (tmp_path / "G").exists()


@pytest.mark.parametrize("base_port", [0, 80, 65_529, 70_000])
def test_a_base_port_without_room_is_refused(tmp_path: Path, base_port: int) -> None:
    text = refused(lambda: init(tmp_path / "G", Template(base_port=base_port)))

    assert text == f"base port {base_port}: for 4 replicas use one from 1024 to 65528"


def test_an_application_that_does_not_exist_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert "there is no application called 'chess'" in refused(lambda: init(tmp_path / "G", Template(app="chess")))
    assert not (tmp_path / "G").exists()


def test_client_keys_may_be_named_where_a_template_wants_public_keys(tmp_path: Path) -> None:
    home = Home(tmp_path / "G")
    template = read_template(CONFIGS / "accounts-4.toml")
    assert "make it with bftledger key new issuer" in refused(lambda: init(home.path, template))
    issuer = new_client_key(home.client_keys_path, "issuer", None)

    made = init(home.path, template)

    assert made.genesis.app_params == {"issuers": [issuer.public_key.hex()]}


def test_members_are_public_keys_or_names_of_keys(tmp_path: Path) -> None:
    alice = new_client_key(Home(tmp_path / "G").client_keys_path, "alice", None)
    assert "neither a public key" in refused(lambda: init(tmp_path / "H", Template(members=("alice",))))
    assert "the genesis is not valid" in refused(lambda: init(tmp_path / "H", Template(members=("ab",))))

    made = init(tmp_path / "G", Template(members=("key:alice", "07" * 32)))

    assert made.genesis.members == (alice.public_key, b"\x07" * 32)


@pytest.mark.parametrize("file", ["local-4", "local-7", "lan-4"])
def test_the_ready_made_configurations_make_groups(tmp_path: Path, file: str) -> None:
    template = read_template(CONFIGS / f"{file}.toml")

    made = init(tmp_path / "G", template)

    assert made.config.protocol == template.protocol
    assert len(made.config.replicas) == made.genesis.group.n == template.replicas


def test_what_is_not_a_home_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()

    assert "does not exist: make a group there with bftledger --home" in refused(lambda: Home.open(tmp_path / "none"))
    assert "is not a directory: name the home" in refused(lambda: Home.open(tmp_path / "file"))
    assert "is not a home of a group, for it has no genesis.json" in refused(lambda: Home.open(tmp_path / "empty"))
    assert "cannot be looked at: file name too long" in refused(lambda: Home.open(tmp_path / ("x" * 300)))


def test_a_missing_genesis_is_told_from_a_missing_home(home: Home) -> None:
    home.genesis_path.unlink()

    assert refused(lambda: Home.open(home.path)) == (
        f"{home.genesis_path} is missing: copy it from another replica's home"
    )


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"format": 1, "format": 1}'])
def test_a_genesis_that_is_not_one_is_refused_by_its_path(home: Home, content: bytes) -> None:
    home.genesis_path.write_bytes(content)

    assert refused(lambda: Home.open(home.path)).startswith(f"{home.genesis_path}: the genesis is not valid: ")


def test_a_genesis_of_fewer_than_four_replicas_or_with_a_key_twice_is_refused(home: Home) -> None:
    text = home.genesis_path.read_text()
    first, second = (keys.signing_key.hex() for keys in home.genesis.replicas[:2])
    home.genesis_path.write_text(text.replace(first, second))
    assert "the same signing key stands at places 0 and 1" in refused(lambda: Home.open(home.path))
    start, end = text.index('"replicas": ['), text.index('"members"')
    home.genesis_path.write_text(f'{text[:start]}"replicas": [],\n{text[end:]}')
    assert "0 replicas are listed: list at least 4" in refused(lambda: Home.open(home.path))


def test_a_foreign_genesis_is_found_when_a_key_is_needed(home: Home, tmp_path: Path) -> None:
    other = init(tmp_path / "H", Template(name="g"))
    home.genesis_path.write_bytes(other.genesis_path.read_bytes())

    text = refused(lambda: Home.open(home.path).secrets(0))

    assert f"{home.replica_key_path(0)}: is not a key of this group" in text


def test_another_replicas_key_is_refused_by_name(home: Home) -> None:
    home.replica_key_path(0).write_bytes(home.replica_key_path(3).read_bytes())

    assert "is the key of replica 3: put replica 0's own there" in refused(lambda: home.secrets(0))


def test_a_key_with_the_wrong_number_in_it_is_refused(home: Home) -> None:
    mine = home.secrets(0)
    home.replica_key_path(0).unlink()
    write_replica_key(
        home.replica_key_path(0),
        ReplicaSecrets(replica=ReplicaId(1), signing_seed=mine.signing_seed, transport=mine.transport),
    )

    assert "says replica 1, and its keys are 0's" in refused(lambda: home.secrets(0))


def test_a_key_that_others_can_read_or_that_is_missing_is_refused(home: Home) -> None:
    os.chmod(home.replica_key_path(0), 0o640)
    home.replica_key_path(1).unlink()

    assert f"run chmod 600 {home.replica_key_path(0)}" in refused(lambda: home.secrets(0))
    assert "there is no such file" in refused(lambda: home.secrets(1))
    assert home.replicas_here() == (0, 2, 3)


@pytest.mark.parametrize("replica", [-1, 4])
def test_a_replica_that_the_group_does_not_have_is_refused(home: Home, replica: int) -> None:
    assert refused(lambda: home.secrets(replica)) == f"there is no replica {replica}: this group's are 0 to 3"


def test_a_configuration_for_another_number_of_replicas_is_refused(home: Home, tmp_path: Path) -> None:
    other = init(tmp_path / "H", Template(replicas=5))
    home.config_path.write_bytes(other.config_path.read_bytes())

    assert "has 5 replicas, and the genesis 4" in refused(lambda: Home.open(home.path).config)


def test_checking_receipts_needs_nothing_but_the_genesis(home: Home, tmp_path: Path) -> None:
    (tmp_path / "auditor").mkdir()
    (tmp_path / "auditor" / "genesis.json").write_bytes(home.genesis_path.read_bytes())

    assert Home.open(tmp_path / "auditor").genesis.genesis_hash == home.genesis.genesis_hash
