"""Private files are private from their first moment, whole or absent, and refused when they are anything else."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bftledger.base.errors import OperatorError
from bftledger.home.files import make_directory, read_private, read_public, write_private, write_public


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def one_line(error: "pytest.ExceptionInfo[OperatorError]") -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "a.key"
    write_private(path, b"secret")
    return path


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_private_file_is_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_private(tmp_path / "a.key", b"secret")
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "a.key") == 0o600
    assert read_private(tmp_path / "a.key") == b"secret"


def test_a_private_file_is_never_readable_by_others_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    fsync, link = os.fsync, os.link

    def watch(descriptor: int) -> None:
        modes.extend(mode_of(path) for path in tmp_path.iterdir())
        fsync(descriptor)

    def watch_link(source: Path, target: Path) -> None:
        modes.append(mode_of(source))
        link(source, target)

    monkeypatch.setattr(os, "fsync", watch)
    monkeypatch.setattr(os, "link", watch_link)
    before = os.umask(0)
    try:
        write_private(tmp_path / "a.key", b"secret")
    finally:
        os.umask(before)

    assert set(modes) == {0o600}
    assert len(modes) == 3, "the file made durable, named, the directory made durable"


def test_writing_over_an_existing_file_is_refused_and_leaves_it(secret: Path) -> None:
    with pytest.raises(OperatorError, match="exists already") as error:
        write_private(secret, b"other")

    assert str(secret) in one_line(error)
    assert read_private(secret) == b"secret"
    assert [path.name for path in secret.parent.iterdir()] == ["a.key"]


def test_replacing_is_possible_when_asked_for(secret: Path) -> None:
    write_private(secret, b"other", replace=True)

    assert read_private(secret) == b"other"


@pytest.mark.parametrize("replace", [False, True])
def test_writing_never_goes_through_a_symbolic_link(tmp_path: Path, replace: bool) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"untouched")
    (tmp_path / "a.key").symlink_to(target)

    if replace:
        write_private(tmp_path / "a.key", b"secret", replace=True)
    else:
        with pytest.raises(OperatorError, match="exists already"):
            write_private(tmp_path / "a.key", b"secret")

    assert target.read_bytes() == b"untouched"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OperatorError, match="cannot be written: no space left on device") as error:
        write_private(tmp_path / "a.key", b"secret")

    one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_writing_into_a_missing_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be written") as error:
        write_private(tmp_path / "none" / "a.key", b"secret")

    one_line(error)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777])
def test_a_private_file_with_rights_for_others_is_refused_with_the_command_that_mends_it(
    secret: Path, mode: int
) -> None:
    secret.chmod(mode)

    with pytest.raises(OperatorError) as error:
        read_private(secret)

    assert one_line(error).endswith(f"(mode {mode:04o}): run chmod 600 {secret}")


def test_the_command_is_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "a b.key"
    write_private(path, b"secret")
    path.chmod(0o644)

    with pytest.raises(OperatorError, match=f"chmod 600 '{path}'"):
        read_private(path)


def test_a_private_file_of_another_user_is_refused(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)

    with pytest.raises(OperatorError, match=f"is a private file of user {me}, and this is user {me + 1}") as error:
        read_private(secret)

    one_line(error)


def test_a_private_file_behind_a_symbolic_link_is_refused(secret: Path) -> None:
    link = secret.with_name("b.key")
    link.symlink_to(secret)

    with pytest.raises(OperatorError, match="is a symbolic link") as error:
        read_private(link)

    one_line(error)


def test_a_link_put_there_after_the_look_is_not_followed(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = secret.with_name("b.key")
    link.symlink_to(secret)
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)

    with pytest.raises(OperatorError, match="cannot be read"):
        read_private(link)


def test_what_is_not_a_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.key", 0o600)
    (tmp_path / "b.key").mkdir(0o700)

    for name in ("a.key", "b.key"):
        with pytest.raises(OperatorError, match=r"not a regular file|is a directory"):
            read_private(tmp_path / name)


@pytest.mark.parametrize("read", [read_private, read_public])
def test_a_missing_or_too_long_file_is_refused(tmp_path: Path, read: Callable[..., bytes]) -> None:
    write_private(tmp_path / "a.key", b"12345")

    with pytest.raises(OperatorError, match="no such file") as missing:
        read(tmp_path / "b.key")
    with pytest.raises(OperatorError, match="longer than 4 bytes") as long:
        read(tmp_path / "a.key", 4)
    assert read(tmp_path / "a.key", 5) == b"12345"
    one_line(missing)
    one_line(long)


def test_a_public_file_can_be_read_by_everyone_and_through_a_link(tmp_path: Path) -> None:
    write_public(tmp_path / "genesis.json", b"{}")
    (tmp_path / "link").symlink_to("genesis.json")

    assert mode_of(tmp_path / "genesis.json") == 0o644
    assert read_public(tmp_path / "link") == b"{}"


def test_a_private_directory_is_0700_and_one_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    make_directory(tmp_path / "home" / "keys", private=True)
    assert mode_of(tmp_path / "home" / "keys") == 0o700
    (tmp_path / "home" / "keys").chmod(0o777)

    with pytest.raises(OperatorError, match="run chmod 700") as error:
        make_directory(tmp_path / "home" / "keys", private=True)

    one_line(error)


def test_a_file_where_a_directory_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")

    with pytest.raises(OperatorError, match="the directory cannot be made") as error:
        make_directory(tmp_path / "keys")

    one_line(error)
