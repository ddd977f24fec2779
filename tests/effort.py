"""How much work something is, counted: a machine that is busy with something else counts the same.

Lines count what is done in Python, however often a loop goes round. What the libraries below do with one call is
not seen; checks of signatures, which cost more than anything else there, are counted for themselves.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from bftledger.base.crypto import Ed25519Verifier

_CHECK = Ed25519Verifier.verify.__code__


@dataclass
class Effort:
    """`lines`: of Python that were run. `checks`: Ed25519 signatures that were checked."""

    lines: int = 0
    checks: int = 0


@contextmanager
def counted() -> Iterator[Effort]:
    """What this thread does within the `with` block, as it goes on."""
    effort = Effort()

    def entered(frame: FrameType, _event: str, _argument: Any) -> Any:
        effort.checks += frame.f_code is _CHECK
        return went_on

    def went_on(_frame: FrameType, event: str, _argument: Any) -> Any:
        effort.lines += event == "line"
        return went_on

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        yield effort
    finally:
        sys.settrace(before)
