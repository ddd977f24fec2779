"""The trace of a run: a hash of everything that was sent, when and by whom. Runs that are the same have the same."""

import hashlib
from struct import Struct
from typing import Final

_SENDING: Final = Struct(">QbbIQ")
_AT_ONCE: Final = 256
"""So many notes are hashed together, which is all that a trace costs."""


class Trace:
    """Takes notes of what is sent. Places are numbers: machines from 0 on, clients below."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._noted: list[bytes] = []

    def note(self, now: int, source: int, to: int, size: int, arrives: int = 0, frame: bytes = b"") -> None:
        """A frame of `size` bytes is sent, and arrives; times in microseconds. Of clients' only the size is noted."""
        self._noted += (_SENDING.pack(now, source, to, size, arrives), frame)
        if len(self._noted) > _AT_ONCE:
            self._settle()

    def digest(self) -> str:
        """Of everything so far: 32 hexadecimal digits."""
        self._settle()
        return self._hash.hexdigest()

    def _settle(self) -> None:
        self._hash.update(b"".join(self._noted))
        self._noted.clear()
