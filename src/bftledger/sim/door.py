"""The door of all replicas of a run: what one of them has authenticated, the others need not.

What a frame is worth depends on nothing but its bytes and the group, so the answer for one replica is the answer for
all. Each still decides for itself whether it wants the message. This halves the cost of a run and changes nothing in
it (`tests/sim` compares).
"""

from collections.abc import Callable
from typing import Final

from bftledger.base.crypto import Verifier
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.group import Group
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.messages import Message

_REMEMBERED: Final = 20_000
"""So many frames, and then as many again, before the older are forgotten."""

_WRONG: Final = (Malformed, BadProof, BadSignature)


class SharedDoor(Authenticator):
    """An `Authenticator` that remembers what it said of each frame."""

    def __init__(self, group: Group, verifier: Verifier) -> None:
        super().__init__(group, verifier)
        self._outlines: dict[bytes, Message] = {}
        self._known: dict[bytes, Message | Exception] = {}

    def authenticate(self, frame: bytes, is_wanted: Callable[[Message], bool] = lambda _: True) -> Message | None:
        """As of every door."""
        known = self._known.get(frame)
        if isinstance(known, Exception):
            # Whether the outline was wanted is asked first, as each replica counts what it does not want.
            outline = self._outlines.get(frame)
            if outline is not None and not is_wanted(outline):
                return None
            raise known.with_traceback(None)
        if known is not None:
            return known if is_wanted(known) else None
        outline = self._outlines.get(frame)
        if outline is None:
            return self._look(frame, is_wanted)
        return self._look(frame, lambda _: True) if is_wanted(outline) else None  # asked once, as of every door

    def read(self, frame: bytes) -> Message | None:
        """What the frame says, wanted or not; None if it is not authentic."""
        try:
            return self.authenticate(frame)
        except _WRONG:
            return None

    def _look(self, frame: bytes, is_wanted: Callable[[Message], bool]) -> Message | None:
        if len(self._known) + len(self._outlines) > _REMEMBERED:
            self._known.clear()
            self._outlines.clear()

        def note(outline: Message) -> bool:
            self._outlines[frame] = outline
            return is_wanted(outline)

        try:
            found = super().authenticate(frame, note)
        except _WRONG as error:
            self._known[frame] = error
            raise
        if found is not None:
            self._known[frame] = found
        return found
