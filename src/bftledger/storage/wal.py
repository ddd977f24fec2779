"""Has SQLite's write-ahead log lost commits in its middle?

After a crash SQLite reads its log up to the first frame whose checksum fails, and silently forgets what follows. That
is right for a commit that was cut off, which nobody was told of. But every commit here waits for an fsync before the
next one begins, so two commits after a broken frame prove that the file was damaged later, and that a replica which
went on would forget votes it has sent. Format: https://sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
from pathlib import Path
from typing import BinaryIO, Final

from bftledger.base.errors import StoreError
from bftledger.storage.files import wal_of

_MAGIC: Final = (0x377F0682, 0x377F0683)
"""With little-endian and with big-endian checksums."""
_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_MASK: Final = 0xFFFFFFFF


def require_sound(path: Path) -> None:
    """Raises `StoreError` if the log of the database `path` is damaged before its last commit. Nobody may be writing.

    Takes a third of a second for each 16 MiB of log; a replica that was stopped in order has left none.
    """
    log = wal_of(path)
    try:
        with log.open("rb") as file:
            problem = _problem(file)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{log}: cannot be read: {error.strerror}") from None
    if problem is not None:
        raise StoreError(f"{log}: is damaged: {problem}; restore the store, do not vote on it")


def _problem(file: BinaryIO) -> str | None:
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.strip(b"\0"):
        return None  # nothing was ever committed to it
    magic, _, page_bytes, _ = struct.unpack(">4I", header[:16])
    salts, checksum = header[16:24], struct.unpack(">2I", header[24:])
    words = struct.Struct(">2I" if magic & 1 else "<2I")
    if magic not in _MAGIC or _checksum(words, header[:24], (0, 0)) != checksum or not 512 <= page_bytes <= 65536:
        return "its header is not what SQLite wrote"
    broken, commits_lost, number = None, 0, 0
    while len(frame := file.read(_FRAME_HEADER_BYTES + page_bytes)) == _FRAME_HEADER_BYTES + page_bytes:
        number += 1
        is_current = frame[8:16] == salts
        if broken is None:
            checksum = _checksum(words, frame[_FRAME_HEADER_BYTES:], _checksum(words, frame[:8], checksum))
            if not is_current or checksum != struct.unpack(">2I", frame[16:_FRAME_HEADER_BYTES]):
                broken = number
        if broken is not None and is_current and frame[4:8] != bytes(4):
            commits_lost += 1
    if commits_lost > 1:
        return f"frame {broken} is broken and {commits_lost} commits that were durable follow it"
    return None


def _checksum(words: struct.Struct, data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    for x, y in words.iter_unpack(data):
        first = (first + x + second) & _MASK
        second = (second + y + first) & _MASK
    return first, second
