"""Models: what one machine that nobody doubts would have answered."""

from collections.abc import Hashable
from typing import Final, Protocol, TypeVar

from bftledger.apps.machine import CONFLICT, NOT_FOUND, RESULT_TOO_LARGE
from bftledger.check.history import Dropped, Failed, Operation, Read, Wrote

S = TypeVar("S", bound=Hashable)


class Model(Protocol[S]):
    """One key's specification. States are values: `step` makes new ones, and equal ones are the same."""

    @property
    def initial(self) -> S:
        """The state before any operation."""
        ...

    def step(self, state: S, operation: Operation) -> tuple[bool, S]:
        """Whether `operation` may answer its `result` in `state`, and the state that it leaves.

        A result that is None may have been anything.
        """
        ...


Entry = tuple[int, bytes] | None
"""Version and value; None where there is nothing."""


class KeyValueModel:
    """One key of `apps.kv`, written down a second time: by its documentation, not by its code."""

    initial: Final[Entry] = None

    def step(self, state: Entry, operation: Operation) -> tuple[bool, Entry]:
        """As the protocol says."""
        told = operation.result
        if isinstance(told, Dropped) or told == _NO_ROOM:
            return True, state
        version = state[0] if state else 0
        right: Wrote | Failed | Read
        left = state
        match operation.kind, operation.args:
            case "put", (bytes(value),):
                right, left = Wrote(version + 1), (version + 1, value)
            case "cas", (int(expected), bytes(value)):
                if expected == version:
                    right, left = Wrote(version + 1), (version + 1, value)
                else:
                    right = Failed(CONFLICT)
            case "delete", ():
                right, left = (Wrote(0), None) if state else (Failed(NOT_FOUND), None)
            case "get", ():
                right = Read(state[1] if state else None, version)
            case _:
                return False, state
        return told is None or told == right, left


KEY_VALUE: Final = KeyValueModel()
_NO_ROOM: Final = Failed(RESULT_TOO_LARGE)
"""Any operation may have come after others whose results had filled the block."""
