"""Key files: round trips, passphrases, and every way of being wrong refused in one line that shows no secret."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.pwhash import argon2id

from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId
from bftledger.home import keys
from bftledger.home.keys import (
    Cost,
    ReplicaSecrets,
    check_key_name,
    list_client_keys,
    new_client_key,
    read_client_key,
    read_replica_key,
    write_replica_key,
)
from bftledger.net.curve import TransportKey

CHEAP = Cost(passes=argon2id.OPSLIMIT_MIN, memory_bytes=argon2id.MEMLIMIT_MIN)
REPLICA = ReplicaSecrets(
    replica=ReplicaId(2), signing_seed=bytes(range(32)), transport=TransportKey(bytes(range(32, 64)))
)


@pytest.fixture
def replica_file(tmp_path: Path) -> Path:
    path = tmp_path / "replica-2.key"
    write_replica_key(path, REPLICA)
    return path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(OperatorError) as error:
        action()
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_replica_key_file_gives_back_its_keys_and_is_private(replica_file: Path) -> None:
    found = read_replica_key(replica_file)

    assert (found.replica, found.signing_seed) == (2, REPLICA.signing_seed)
    assert found.transport.secret == REPLICA.transport.secret
    assert found.signer.public_key == REPLICA.signer.public_key
    assert replica_file.stat().st_mode & 0o777 == 0o600


def test_no_secret_is_in_the_text_form_of_any_key(tmp_path: Path) -> None:
    client = new_client_key(tmp_path, "alice", None)

    seed = client.path.read_text().split('seed = "')[1][:64]
    assert repr(bytes.fromhex(seed))[2:-1] not in repr(client)
    assert seed not in repr(client)
    assert repr(REPLICA.signing_seed)[2:-1] not in repr(REPLICA)
    assert REPLICA.transport.secret.hex() not in repr(REPLICA)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("bftledger replica key", "bftledger client key", 'what is needed here is a "bftledger replica key"'),
        ("version = 1", "version = 2", "this program reads version 1"),
        ("version = 1\n", "", "version is missing"),
        ("replica = 2", "replica = -1", "replica = -1: allowed is a whole number from 0 to 199"),
        ("replica = 2", "replica = true", "replica = true: allowed is a whole number"),
        (REPLICA.signing_seed.hex(), "00", "signing_seed is not 64 hexadecimal digits"),
        (f'"{REPLICA.signing_seed.hex()}"', "7", "signing_seed is not 64 hexadecimal digits"),
        (REPLICA.signing_seed.hex(), "7" * 64, "the public keys are not those of the secrets"),
        (REPLICA.transport.secret.hex(), "7" * 64, "the public keys are not those of the secrets"),
        (REPLICA.transport.secret.hex(), "0" * 64, "secret transport key is all zeros"),
        ("replica = 2", "replica = 2\nsigning_sead = 1", 'unknown key "signing_sead": did you mean signing_seed?'),
        ("replica = 2", "replica = 2\nreplica = 2", "is not valid TOML"),
        ("kind = ", "kind ", "is not valid TOML"),
    ],
)
def test_a_damaged_replica_key_file_is_refused(replica_file: Path, old: str, new: str, complaint: str) -> None:
    edit(replica_file, old, new)

    text = refused(lambda: read_replica_key(replica_file))

    assert complaint in text
    assert text.startswith(f"{replica_file}: ")
    assert REPLICA.signing_seed.hex() not in text
    assert REPLICA.transport.secret.hex() not in text


def test_a_replica_key_that_others_can_read_is_refused(replica_file: Path) -> None:
    replica_file.chmod(0o644)

    assert f"run chmod 600 {replica_file}" in refused(lambda: read_replica_key(replica_file))


def test_replica_keys_are_never_overwritten(replica_file: Path) -> None:
    assert "exists already" in refused(lambda: write_replica_key(replica_file, ReplicaSecrets.generate(ReplicaId(2))))
    assert read_replica_key(replica_file).signing_seed == REPLICA.signing_seed


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "replica-0.key"
    path.touch(0o600)
    path.write_bytes(data)

    refused(lambda: read_replica_key(path))


def test_deep_nesting_and_excess_length_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "replica-0.key"
    path.touch(0o600)
    path.write_text("a = " + "[" * 8000)
    assert "nested too deeply" in refused(lambda: read_replica_key(path))
    path.write_text("#" * 100_000)
    assert "is longer than 8192 bytes" in refused(lambda: read_replica_key(path))


def test_an_encrypted_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    made = new_client_key(tmp_path, "alice", "correct horse", CHEAP)

    found = read_client_key(tmp_path, "alice")
    signer = found.unlock("correct horse")

    assert found == made
    assert found.encrypted
    assert signer.public_key == found.public_key
    assert f"{made.path}: this is not the passphrase of key alice" == refused(lambda: found.unlock("correct horse "))
    assert "give its passphrase" in refused(found.unlock)
    assert "PRIVATE" in made.path.read_text()
    assert made.path.stat().st_mode & 0o777 == 0o600


def test_the_same_passphrase_composed_differently_is_the_same(tmp_path: Path) -> None:
    key = new_client_key(tmp_path, "alice", "sch\N{LATIN SMALL LETTER O WITH DIAERESIS}n", CHEAP)

    assert key.unlock("scho\N{COMBINING DIAERESIS}n").public_key == key.public_key


def test_an_insecure_key_needs_no_passphrase_and_says_what_it_is(tmp_path: Path) -> None:
    key = new_client_key(tmp_path, "bot", None)

    assert not key.encrypted
    assert key.unlock().public_key == key.public_key
    assert key.unlock("is not asked for").public_key == key.public_key
    assert "NOT ENCRYPTED (made with --insecure)" in key.path.read_text()
    assert key.path.stat().st_mode & 0o777 == 0o600


def test_the_default_cost_is_libsodiums_moderate_and_within_what_is_read() -> None:
    assert (keys.DEFAULT_COST.passes, keys.DEFAULT_COST.memory_bytes) == (3, 256 * 1024 * 1024)
    assert keys.DEFAULT_COST.passes <= keys.MAX_COST.passes
    assert keys.DEFAULT_COST.memory_bytes <= keys.MAX_COST.memory_bytes


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "argon2id_memory_bytes = 8192",
            "argon2id_memory_bytes = 4398046511103",
            "argon2id_memory_bytes = 4398046511103: allowed is a whole number from 8192 to 268435456",
        ),
        ("argon2id_memory_bytes = 8192", "argon2id_memory_bytes = 1", "allowed is a whole number from 8192"),
        ("argon2id_passes = 1", "argon2id_passes = 4294967295", "allowed is a whole number from 1 to 8"),
        ('argon2id_salt = "', 'argon2id_salt = "00', "argon2id_salt is not 32 hexadecimal digits"),
        ('sealed_seed = "', 'sealed_seed = "00', "sealed_seed is not 144 hexadecimal digits"),
        ('"passphrase"', '"rot13"', 'protection = "rot13": it should be "passphrase" or "none"'),
        ('"passphrase"', '"none"', "seed is missing"),
        ('name = "alice"', 'name = "bob"', "the file of this key is called bob.key, not alice.key"),
        ("bftledger client key", "bftledger replica key", 'what is needed here is a "bftledger client key"'),
        ("version = 1", "version = 9", "this program reads version 1"),
    ],
)
def test_a_damaged_or_hostile_client_key_is_refused_when_read(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    key = new_client_key(tmp_path, "alice", "correct horse", CHEAP)
    edit(key.path, old, new)

    text = refused(lambda: read_client_key(tmp_path, "alice"))

    assert complaint in text
    assert str(key.path) in text


def test_a_secret_under_another_public_key_is_refused(tmp_path: Path) -> None:
    alice, bob = (new_client_key(tmp_path, name, None) for name in ("alice", "bob"))
    edit(alice.path, alice.public_key.hex(), bob.public_key.hex())

    assert "the public key is not that of the secret" in refused(read_client_key(tmp_path, "alice").unlock)


def test_too_little_memory_for_argon2id_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_client_key(tmp_path, "alice", "correct horse", CHEAP)

    def exhausted(*args: object, **options: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(argon2id, "kdf", exhausted)

    assert "not enough memory for argon2id" in refused(lambda: key.unlock("correct horse"))


@pytest.mark.parametrize("name", ["a", "alice", "0", "a-b_c9", "x" * 32])
def test_names_of_small_letters_digits_and_hyphens_are_taken(name: str) -> None:
    assert check_key_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Alice", "../alice", "a/b", ".hidden", "-x", "_x", "a b", "x" * 33, "alice\n", "ä", "a\0b", "١"]
)
def test_other_names_are_refused_before_any_file_is_touched(tmp_path: Path, name: str) -> None:
    assert "a key cannot be named" in refused(lambda: new_client_key(tmp_path / "keys", name, None))
    assert "a key cannot be named" in refused(lambda: read_client_key(tmp_path / "keys", name))
    assert not (tmp_path / "keys").exists()


def test_a_name_that_is_taken_is_refused_and_the_key_stays(tmp_path: Path) -> None:
    key = new_client_key(tmp_path, "alice", None)

    assert "exists already" in refused(lambda: new_client_key(tmp_path, "alice", None))
    assert read_client_key(tmp_path, "alice") == key


def test_an_empty_passphrase_is_refused_and_the_way_to_mean_it_named(tmp_path: Path) -> None:
    assert "use --insecure" in refused(lambda: new_client_key(tmp_path, "alice", ""))
    assert "longer than 1024 bytes" in refused(lambda: new_client_key(tmp_path, "alice", "x" * 1025, CHEAP))
    assert not list(tmp_path.iterdir())


def test_a_missing_key_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    assert refused(lambda: read_client_key(tmp_path, "alice")) == (
        f"there is no key alice in {tmp_path}: make it with bftledger key new alice"
    )


def test_the_list_is_by_name_and_passes_over_what_is_no_key(tmp_path: Path) -> None:
    for name in ("bob", "alice"):
        new_client_key(tmp_path, name, None)
    (tmp_path / "README.md").write_text("")
    (tmp_path / ".alice.key.12.tmp").write_text("")

    assert [key.name for key in list_client_keys(tmp_path)] == ["alice", "bob"]
    assert list_client_keys(tmp_path / "none") == ()


def test_the_list_refuses_a_key_that_others_can_read(tmp_path: Path) -> None:
    key = new_client_key(tmp_path, "alice", None)
    key.path.chmod(0o640)

    assert f"run chmod 600 {key.path}" in refused(lambda: list_client_keys(tmp_path))
