"""Files that appear whole or not at all, and private ones that nobody else can read at any time.

A file is written under a temporary name in its own directory, made durable, and only then given its name. A private
one has mode 0600 from the moment it exists. What is read is checked on the open file itself, so nothing can be put
in its place between the check and the reading.
"""

import contextlib
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Final

from bftledger.base.errors import OperatorError
from bftledger.storage.files import sync_directory

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
PRIVATE_DIRECTORY_MODE: Final = 0o700
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""No file of a home that is read as a whole is longer, unless the caller says so."""

_OTHERS: Final = 0o077
_WRITABLE_BY_ALL: Final = 0o002


def write_private(path: Path, data: bytes, *, replace: bool = False) -> None:
    """Makes `path` hold `data` with mode 0600, durably, and at no time readable by anyone but its owner.

    Raises `OperatorError` if it cannot be written, or exists (a symbolic link, too) and `replace` is not set.
    """
    _write(path, data, PRIVATE_MODE, replace)


def write_public(path: Path, data: bytes, *, replace: bool = False) -> None:
    """As `write_private`, with mode 0644."""
    _write(path, data, PUBLIC_MODE, replace)


def read_private(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """What the private file `path` holds.

    Raises `OperatorError` if it is missing, longer than `max_bytes`, a symbolic link or not a regular file, if it
    belongs to somebody else, or if group or others have any right to it; the text names the command that mends it.
    """
    return _read(path, max_bytes, _check_private)


def read_public(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """What `path` holds. A symbolic link is followed. Raises `OperatorError` if it is missing, no file, or too long."""
    return _read(path, max_bytes, _check_regular, follow=True)


def make_directory(path: Path, *, private: bool = False) -> None:
    """Makes the directory and its parents where missing; a private one that this makes has mode 0700.

    Raises `OperatorError` if it cannot, or if a private one exists and everybody may write to it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=PRIVATE_DIRECTORY_MODE if private else 0o755, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise OperatorError(f"{path}: the directory cannot be made: {reason(error)}") from None
    if private and mode & _WRITABLE_BY_ALL:
        raise OperatorError(f"{path}: everybody may put files there (mode {mode:04o}): run chmod 700 {_quoted(path)}")


def present(path: Path) -> bool:
    """Whether there is anything at `path`, a dangling link excepted. Raises `OperatorError` if it cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OperatorError(f"{path}: cannot be looked at: {reason(error)}") from None
    return True


def reason(error: OSError) -> str:
    """The system's words for what went wrong, in the middle of a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _write(path: Path, data: bytes, mode: int, replace: bool) -> None:
    temporary = path.with_name(f".{path.name}.{token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)  # whatever the umask took away
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)  # unlike a rename, fails if the name is taken
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        sync_directory(path.parent)
    except FileExistsError:
        raise OperatorError(f"{path}: exists already and is not overwritten; move it away first") from None
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written: {reason(error)}") from None


def _read(path: Path, max_bytes: int, check: Callable[[Path, os.stat_result], None], *, follow: bool = False) -> bytes:
    # O_NONBLOCK: opening a pipe that somebody left there must not wait for a writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        if not follow and path.is_symlink():
            raise OperatorError(f"{path}: is a symbolic link; put the private file itself there")
        with open(os.open(path, flags), "rb") as file:
            check(path, os.fstat(file.fileno()))
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise OperatorError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        text = reason(error) if isinstance(error, OSError) else str(error)
        raise OperatorError(f"{path}: cannot be read: {text}") from None
    if len(data) > max_bytes:
        raise OperatorError(f"{path}: is longer than {max_bytes} bytes and cannot be what it should be")
    return data


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OperatorError(f"{path}: is not a regular file")


def _check_private(path: Path, status: os.stat_result) -> None:
    _check_regular(path, status)
    if status.st_uid != os.geteuid():
        raise OperatorError(
            f"{path}: is a private file of user {status.st_uid}, and this is user {os.geteuid()}: "
            f"run as its owner, or chown {os.geteuid()} {_quoted(path)}"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise OperatorError(
            f"{path}: is private, but others have rights to it (mode {mode:04o}): run chmod 600 {_quoted(path)}"
        )


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
