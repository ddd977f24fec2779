"""A planted bug: one rule of the protocol, broken in one place, for as long as it is planted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from inspect import getattr_static
from typing import Any, NamedTuple
from unittest.mock import patch

from bftledger.sim.draw import Choice


class Patch(NamedTuple):
    """`owner.attribute` is `instead` while the bug is planted; `owner` is a class, or the module that uses the name."""

    owner: Any
    attribute: str
    instead: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`rule`: what a correct program does, and `section` where that stands. `change`: what this one does instead.

    `choice`: of the campaign that finds it.
    """

    name: str
    section: str
    rule: str
    change: str
    patches: tuple[Patch, ...]
    choice: Choice

    @contextmanager
    def planted(self) -> Iterator[None]:
        """While this is entered, everything in this process that runs the protocol has the bug."""
        with ExitStack() as stack:
            for owner, attribute, instead in self.patches:
                computed = isinstance(getattr_static(owner, attribute), property | cached_property)
                stack.enter_context(patch.object(owner, attribute, property(instead) if computed else instead))
            yield


def breaks(
    section: str,
    rule: str,
    owner: Any,
    attribute: str,
    *,
    also: tuple[Patch, ...] = (),
    traitor: str | None = None,
) -> Callable[[Callable[..., Any]], Mutant]:
    """Makes a mutant of what stands in the place of `owner.attribute`: its name is the bug's, its docstring says what
    it does. `traitor`: the behaviour that the campaign gives one replica; None: whatever the seed gives."""
    choice = Choice() if traitor is None else Choice(traitors=((traitor, 1),))

    def make(instead: Callable[..., Any]) -> Mutant:
        assert instead.__doc__ is not None, "a mutant says what it does"
        name = instead.__name__.replace("_", "-")
        patches = (Patch(owner, attribute, instead), *also)
        return Mutant(name, section, rule, instead.__doc__, patches, choice)

    return make
