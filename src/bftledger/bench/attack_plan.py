"""Which attacks there are to measure: what lies, in whose place, and what gives it its chance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from bftledger.adversary import catalogue
from bftledger.base.errors import OperatorError
from bftledger.base.ids import ReplicaId

ALL: Final = "all"


class Place(Enum):
    """Who lies, as seen from view 0."""

    PRIMARY = "primary"
    """The primary, and with more traitors those who are next in line."""
    SUCCESSOR = "successor"
    """Who is next in line."""
    BACKUP = "backup"
    """Who is last in line."""


class Occasion(Enum):
    """What happens when it begins to lie, so that it can. The values are sentences for people; empty: nothing."""

    NONE = ""
    VIEW_CHANGE = "When it begins to lie, the primary is stopped until the others have left its view."
    LAG = "When it begins to lie, an honest backup is stopped until it has to fetch blocks to catch up."

    @property
    def control(self) -> str:
        """What runs are called in which this happens and nobody lies."""
        return _CONTROLS[self]


_CONTROLS: Final[Mapping[Occasion, str]] = {
    Occasion.NONE: "honest",
    Occasion.VIEW_CHANGE: "honest, primary stopped",
    Occasion.LAG: "honest, backup stopped",
}


FAMILIES: Final = {
    "equivocation": "Equivocation",
    "primary": "Primary",
    "silence": "Silence",
    "votes": "Votes",
    "certificates": "Certificates",
    "true_certificates": "True certificates",
    "view_change": "View change",
    "new_view": "New view",
    "transfer": "Transfer",
    "clients": "Clients",
    "slander": "Slander",
    "noise": "Noise",
}
"""What the modules of the catalogue are called on the page; what is in none of them is anything."""

_ANYTHING: Final = "Anything"
_PRIMARIES: Final = frozenset({"Equivocation", "Primary", "Silence", "Clients", _ANYTHING})
_SUCCESSORS: Final = frozenset({"True certificates", "View change", "New view"})
_ANSWERING: Final = frozenset({"lie-blocks", "withhold-blocks", "slow-blocks", "wrong-proposals"})
"""These lie to replicas that lag."""


SILENT: Final = frozenset({"silent", "mute", "silent-new-view", "silent-replies", "withhold-blocks"})
"""These say nothing: once may be all there is to it."""

EXCUSED: Final = frozenset({"censor", "busy-censor", "random"})
"""These let clients wait while they order enough else to be excused by their work."""

FEW: Final = 5
"""Who deviated less often had hardly any occasion to."""

CONTROL: Final = "Control"

_MANY: Final = 300
"""Frames to each replica every 100 ms: more than all honest replicas together send it.

The protocol sends a replica of 4 some 9 frames for each block of others (3(n-1)), and the groups measured here make
about 100 blocks a second: 90 frames every 100 ms. Three times that is more also on a machine that is twice as fast, and
the traitor still gets it done: `deviations_per_s` and `protocol_messages_per_s` of the row say how it was.
"""

_HARDEST: Final = {
    "mute": "mute:pre-prepare",
    "fetch-storm": f"fetch-storm:{_MANY}",
    "garbage": f"garbage:{_MANY}",
    "flood": f"flood:{_MANY}",
}
"""What is told to those of the catalogue that else might do something that nobody would notice."""

COLLUSIVE: Final = (
    "equivocate+double-vote",
    "equivocate-one+double-vote",
    "equivocate-time+double-vote",
    "forge-certificates",
    "pad-certificates",
    "pass-off",
    "private-certificates",
    "invalid-prepared",
    "early-new-view",
    "slander",
)
"""What traitors do otherwise, or only then to any effect, when they hold one another's keys."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One run: `count` replicas lie in all these ways at once (`NAME` or `NAME:ARGUMENT`, as the catalogue has it).

    Without any behaviour it is a control: nobody lies, and what changes nevertheless is its occasion or noise.
    `colludes`: the traitors hold one another's keys.
    """

    behaviours: tuple[str, ...]
    count: int
    place: Place
    occasion: Occasion
    colludes: bool = False

    @property
    def name(self) -> str:
        """As on the command line, without the number of traitors."""
        return "+".join(self.behaviours) or self.occasion.control

    @property
    def is_control(self) -> bool:
        """Whether nobody lies."""
        return not self.behaviours

    def traitors(self, n: int) -> list[ReplicaId]:
        """Who lies in a group of n."""
        first = {Place.PRIMARY: 0, Place.SUCCESSOR: 1, Place.BACKUP: n - self.count}[self.place]
        return [ReplicaId((first + i) % n) for i in range(self.count)]

    def words(self, traitor: ReplicaId, n: int) -> list[str]:
        """What `bftledger-adversary` is told to make this replica of n a traitor, but for its seed and its signals."""
        partners = [i for i in self.traitors(n) if i != traitor] if self.colludes else []
        return [
            "replica",
            *(word for name in self.behaviours for word in ("--behaviour", name)),
            *(word for partner in partners for word in ("--accomplice", str(partner))),
        ]

    @property
    def described(self) -> list[catalogue.Described]:
        """What the catalogue says of its behaviours."""
        known = {entry.name: entry for entry in catalogue.describe()}
        return [known[name] for name in self._names]

    @property
    def family(self) -> str:
        """Of the first behaviour."""
        return _FAMILY.get(self._names[0], _ANYTHING) if self.behaviours else CONTROL

    @property
    def is_excused(self) -> bool:
        """Whether a primary's work may excuse for a while that somebody waits."""
        return not EXCUSED.isdisjoint(self._names)

    def is_few(self, deviations: int) -> bool:
        """Whether so many are hardly an attack; none at all, or of who only keeps silent, are another matter."""
        return 0 < deviations < FEW and not SILENT.issuperset(self._names)

    @property
    def _names(self) -> list[str]:
        return [text.partition(":")[0] for text in self.behaviours]


_FAMILY: Final = {
    behaviour.name: FAMILIES[module.__name__.rpartition(".")[2]]
    for module in catalogue.MODULES
    for behaviour in module.BEHAVIOURS
}


def control(occasion: Occasion) -> Attack:
    """A run like others of that occasion, in which nobody lies."""
    return Attack(behaviours=(), count=0, place=Place.PRIMARY, occasion=occasion)


HONEST: Final = control(Occasion.NONE)
"""The control of those that need no occasion."""


def attacks(
    texts: Iterable[str],
    *,
    faulty: int,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    place: Place | None = None,
    collude: bool = False,
) -> list[Attack]:
    """The runs that a command line asks for, in its order; `all` are those of the catalogue.

    `faulty`: f, how many may lie. `only`, `skip`: parts of names that must, or must not, be in a behaviour's name.
    `place`: where they stand, whatever suits them. `collude`: traitors of a run hold one another's keys; then `all` are
    those to which that makes a difference (`COLLUSIVE`). Raises `OperatorError`.
    """
    everything = COLLUSIVE if collude else [_HARDEST.get(name, name) for name in catalogue.names()]
    found: dict[str, Attack] = {}
    for text in texts:
        for one in [f"{name}:{faulty}" for name in everything] if text == ALL else [text]:
            attack = parse(one, faulty)
            if collude and attack.count < 2:
                raise OperatorError(f"{one}: nobody colludes with itself: let 2 lie, which needs --replicas 7 or more")
            found[attack.name] = replace(attack, place=place or attack.place, colludes=collude)
    wanted = [
        attack
        for name, attack in found.items()
        if (not only or any(part in name for part in only)) and not any(part in name for part in skip)
    ]
    if not wanted:
        raise OperatorError("no behaviour is left to run: see --behaviour, --only and --skip")
    return wanted


def parse(text: str, faulty: int) -> Attack:
    """`NAME`, `NAME:COUNT` or `NAME:ARGUMENT:COUNT`, for an argument may look like a count; several NAMEs with `+`.

    Without a COUNT f of them lie. Raises `OperatorError`.
    """
    name, _, last = text.rpartition(":")
    is_counted = bool(name) and last.isascii() and last.isdigit()
    names, count = (name, int(last)) if is_counted else (text, faulty)
    if not 1 <= count <= faulty:
        raise OperatorError(
            f"{text}: from 1 to {faulty} of so few replicas may lie; "
            "a number that is an argument has a count after it, as slow:80:1"
        )
    behaviours = tuple(names.split("+"))
    for behaviour in behaviours:
        catalogue.parse(behaviour)
    first = behaviours[0].partition(":")[0]
    family = _FAMILY.get(first, _ANYTHING)
    place = Place.PRIMARY if family in _PRIMARIES else Place.SUCCESSOR if family in _SUCCESSORS else Place.BACKUP
    occasion = (
        Occasion.VIEW_CHANGE if place is Place.SUCCESSOR else Occasion.LAG if first in _ANSWERING else Occasion.NONE
    )
    return Attack(behaviours=behaviours, count=count, place=place, occasion=occasion)
