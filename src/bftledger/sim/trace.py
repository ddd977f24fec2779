"""The trace of a run: a hash of what was sent. Runs that are the same have the same.

Of each message between replicas it covers when it leaves, from where to where, its bytes, and when its first copy
arrives, 0 if none does; of a client's request and of an answer, no more than when it leaves, from where to where, and
its size. Answers that nobody listens to are not in it, nor is what a traitor withholds.
"""

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
        """A frame of `size` bytes is sent, and arrives; times in microseconds. Of clients' the last two are missing."""
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
