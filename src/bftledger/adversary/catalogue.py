"""All behaviours by their names, and one that chooses among the others."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, NamedTuple

from bftledger.adversary.behaviour import Behaviour, Choice, Frame, Scene
from bftledger.adversary.behaviours import (
    certificates,
    clients,
    equivocation,
    new_view,
    noise,
    primary,
    silence,
    slander,
    transfer,
    true_certificates,
    view_change,
    votes,
)
from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis

MODULES: Final = (
    equivocation,
    primary,
    silence,
    votes,
    certificates,
    true_certificates,
    view_change,
    new_view,
    transfer,
    clients,
    slander,
    noise,
)
MAX_CHOSEN: Final = 4
ALIKE: Final = 0.6
"""So much alike (`difflib`) is a name to what somebody may have meant by it."""

LEAST_MS: Final = 500
MOST_MS: Final = 5_000


class RandomChoice(Behaviour):
    """Anything, and something else after a while."""

    name = "random"
    does = f"It chooses up to {MAX_CHOSEN} of the other behaviours by chance, and others after a few seconds."
    stopped_by = "Whatever stops each of them; together they are still one faulty replica (§2)."
    shows = "One ledger, and every honest client's transaction in it."

    def __init__(self, scene: Scene, argument: str = "") -> None:
        super().__init__(scene, argument)
        self._until: Millis | None = None
        self._chosen: tuple[Behaviour, ...] = ()
        self._choose()

    def acting(self) -> Iterable[Behaviour]:
        return self._chosen

    def tick(self) -> Iterable[Frame]:
        now = self.scene.now
        if self._until is None or not now <= self._until <= now + MOST_MS:
            if self._until is not None:
                self._choose()
            self._until = Millis(now + self.scene.chance.randint(LEAST_MS, MOST_MS))
        return ()

    def _choose(self) -> None:
        chance = self.scene.chance
        others = [each for each in CATALOGUE.values() if each is not RandomChoice and not each.is_heavy]
        chosen = chance.sample(others, chance.randint(1, MAX_CHOSEN))
        self._chosen = tuple(behaviour(self.scene) for behaviour in chosen)


class Described(NamedTuple):
    """An entry of the catalogue, for people."""

    name: str
    does: str
    stopped_by: str
    shows: str
    takes: str


CATALOGUE: Final[dict[str, type[Behaviour]]] = {
    behaviour.name: behaviour
    for behaviour in (*(behaviour for module in MODULES for behaviour in module.BEHAVIOURS), RandomChoice)
}
"""Every behaviour by its name."""


def names() -> list[str]:
    """Of all behaviours, in the order of the catalogue."""
    return list(CATALOGUE)


def light_names() -> list[str]:
    """Likewise, of those that any plan may have, and that do one thing."""
    return [name for name, behaviour in CATALOGUE.items() if behaviour is not RandomChoice and not behaviour.is_heavy]


def parse(text: str) -> Choice:
    """The behaviour that `NAME` or `NAME:ARGUMENT` stands for.

    Raises `OperatorError`, with the names that are like it, if any is.
    """
    name, _, argument = text.partition(":")
    behaviour = CATALOGUE.get(name)
    if behaviour is None:
        like = get_close_matches(name, CATALOGUE, n=3, cutoff=ALIKE)
        advice = f"try {', '.join(like)}" if like else "bftledger-adversary list shows all there are"
        raise OperatorError(f"{name!r} is no behaviour: {advice}")
    if argument and not behaviour.takes:
        raise OperatorError(f"{text}: {name} takes no argument, so leave out what follows the name")
    return Choice(behaviour, argument)


def describe() -> list[Described]:
    """The whole catalogue in its order."""
    return [
        Described(behaviour.name, behaviour.does, behaviour.stopped_by, behaviour.shows, behaviour.takes)
        for behaviour in CATALOGUE.values()
    ]
