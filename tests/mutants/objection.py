"""Runs a plan until the first oracle objects. What a planted bug would do after that is of no interest: it may hang."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from bftledger.check import evidence
from bftledger.sim.plan import Plan
from bftledger.sim.recording import Happening, Kind, Sending
from bftledger.sim.run import run

PATIENCE_S: Final = 20
"""No sound run takes so much processor time, by far."""

LONGEST: Final = 300
"""So many characters of an objection are enough to know it again."""

DEFECT: Final = "defect: "
"""How an objection begins that no oracle made: it is an error that left an engine, a session or an oracle."""

_NOTICED: Final = re.compile(r"(AssertionError|StoreError) at \w+\.py: \S")
_LINE: Final = re.compile(r"^(defect: \w+ at \w+\.py):\d+")


class _Enough(Exception):
    """An oracle has objected."""


class _Listener:
    """An observer that ends the run at the first objection.

    With more than f traitors anything may happen, and the oracles say so of a program without a bug as well; but what
    happened must still be accounted for, so only what the evidence says counts.
    """

    def __init__(self, plan: Plan) -> None:
        self.heard: str | None = None
        self._only = f"{evidence.ORACLE}: " if plan.n - len(plan.honest) > (plan.n - 1) // 3 else ""

    def sent(self, sending: Sending) -> None:
        """As of `Observer`."""

    def happened(self, happening: Happening) -> None:
        """As of `Observer`."""
        is_one = happening.kind is Kind.VIOLATION and happening.text.startswith(self._only)
        if is_one and self.heard is None:
            self.heard = happening.text
            raise _Enough


def first_objection(plan: Plan) -> str | None:
    """What the first oracle says that objects to a run of the plan, "oracle: text"; None if none does.

    It is the same for the same plan and program, so it says nothing of line numbers, which any edit moves.
    """
    objection = _objection(plan)
    return objection and _LINE.sub(r"\1", objection)[:LONGEST]


def is_catch(objection: str) -> bool:
    """Whether this shows that a planted bug was noticed, and not only that something went wrong.

    An oracle noticed it, or the program did: an assertion of its own that says what is not true, or a store's refusal
    of what the replica had put there itself. The assertions of a patch say nothing: they help the type checker. Any
    other error is that of a patch that does not fit, or not handled by anybody, and that a run does not end in time
    may be because it is long.
    """
    return not objection.startswith(DEFECT) or _NOTICED.match(objection, len(DEFECT)) is not None


def _objection(plan: Plan) -> str | None:
    listener = _Listener(plan)
    try:
        with _limited():
            run(plan, listener)
    except _Enough:
        pass
    except Exception as error:  # noqa: BLE001  (an oracle that cannot make sense of a run has found something as well)
        return listener.heard or f"{DEFECT}{type(error).__name__}: {error}"
    return listener.heard


@contextmanager
def _limited() -> Iterator[None]:
    """A run that does not end is a defect like any other, found where the program is when patience ends."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the run does not end within {PATIENCE_S} s of processor time")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
