"""A planted bug: one rule of the protocol, broken in one place, for as long as it is planted."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from inspect import getattr_static
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from bftledger.sim.campaign import Source
from bftledger.sim.draw import Choice, Staged
from bftledger.sim.twins import Family
from tests.mutants.campaigns import Crowded, Expiring, Failing, Laden, Steady
from tests.mutants.fit import misfit

_CALLED: Final = {
    Choice: "ordinary",
    Staged: "staged",
    Family: "twins",
    Steady: "steady",
    Laden: "laden",
    Failing: "failing views",
    Crowded: "crowded",
    Expiring: "expiring",
}


class Patch(NamedTuple):
    """`owner.attribute` is `instead` while the bug is planted; `owner` is a class, or the module that uses the name."""

    owner: Any
    attribute: str
    instead: Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """`rule`: what a correct program does, and `section` where that stands. `change`: what this one does instead.

    `campaign`: the one that finds it, of groups of four, and what it is called.
    """

    name: str
    section: str
    rule: str
    change: str
    patches: tuple[Patch, ...]
    campaign: Source
    campaign_name: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        """While this is entered, everything in this process that runs the protocol has the bug.

        Raises `TypeError` if a patch does not fit what it replaces.
        """
        with ExitStack() as stack:
            for owner, attribute, instead in self.patches:
                if reason := misfit(owner, attribute, instead):
                    raise TypeError(f"{self.name}: {reason}")
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
    staged: bool = False,
    campaign: Source | None = None,
) -> Callable[[Callable[..., Any]], Mutant]:
    """Makes a mutant of what stands in the place of `owner.attribute`: its name is the bug's, its docstring says what
    it does. `traitor`: the behaviour that the campaign gives one replica; None: whatever the seed gives. `staged`: its
    plans are those of `sim.staged`. `campaign`: one of another kind."""
    traitors = None if traitor is None else ((traitor, 1),)
    drawn = (Staged if staged else Choice)(sizes=(4,), traitors=traitors)
    source = campaign or drawn
    kind = "excess" if isinstance(source, Choice) and source.excess else _CALLED[type(source)]
    called = f"{kind}{f' with {traitor}' if traitor else ''}"

    def make(instead: Callable[..., Any]) -> Mutant:
        assert instead.__doc__ is not None, "a mutant says what it does"
        name = instead.__name__.replace("_", "-")
        patches = (Patch(owner, attribute, instead), *also)
        return Mutant(name, section, rule, instead.__doc__, patches, source, called)

    return make
