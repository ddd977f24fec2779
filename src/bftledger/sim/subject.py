"""What a transcript and a diagram are about: the facts of a run that no message and no happening tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bftledger.adversary.catalogue import parse
from bftledger.base.crypto import Ed25519Verifier, Verifier
from bftledger.base.genesis import Genesis
from bftledger.base.ids import ReplicaId
from bftledger.sim.draw import COLLUDE
from bftledger.sim.faults import befallen, describe
from bftledger.sim.plan import Crash, Plan

US_PER_MS: Final = 1_000
MAX_TOLD: Final = 2
"""Of traitors that do more than that altogether, the headline tells only the names of what they do."""


class Deed(NamedTuple):
    """A way in which a traitor misbehaves: its name in the catalogue, and what it is, in a sentence."""

    name: str
    does: str = ""

    def __str__(self) -> str:
        return f"{self.does.rstrip('.')} ({self.name})" if self.does else self.name


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which something is not as it should be, in microseconds. `replicas`: at whom; nobody: at all."""

    begins: int
    ends: int
    label: str
    replicas: tuple[ReplicaId, ...] = ()


@dataclass(frozen=True, slots=True)
class Called:
    """What a client asked for and when it was answered, in microseconds; None: never."""

    client: int
    begins: int
    ends: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A run. `traitors`: what each Byzantine replica does. `outcome`: what the oracles say, in sentences."""

    seed: int
    genesis: Genesis
    traitors: Mapping[ReplicaId, tuple[Deed, ...]] = field(default_factory=dict)
    cores: Mapping[ReplicaId, ReplicaId] = field(default_factory=dict)
    """Which replica's each second core of a twin is."""
    spans: tuple[Span, ...] = ()
    calls: tuple[Called, ...] = ()
    clients: int = 0
    hostile: int = 0
    """So many of the clients, the last ones, send what nobody should send."""
    verifier: Verifier = field(default_factory=Ed25519Verifier)
    """Knows the run's signatures, so that it can be told what clients believe."""
    outcome: tuple[str, ...] = ()
    is_sound: bool = True
    """Whether no oracle objects."""

    @property
    def title(self) -> str:
        """The run's name."""
        return f"Seed {self.seed}"

    @property
    def lanes(self) -> range:
        """All who are told apart: the replicas, and behind them the second cores of twins, which are traitors."""
        return range(max([self.genesis.group.n, *(i + 1 for i in self.traitors)]))

    @property
    def hostile_clients(self) -> range:
        """Their numbers."""
        return range(self.clients - self.hostile, self.clients)

    @property
    def cast(self) -> str:
        """Who takes part, as sentences."""
        group = self.genesis.group
        tolerated = f"{group.f} Byzantine one{'s' if group.f > 1 else ''}"
        lines = [f"{group.n} replicas that tolerate {tolerated}."]
        alike: dict[tuple[Deed, ...], list[ReplicaId]] = {}
        for i, deeds in sorted(self.traitors.items()):
            if i in group.replicas:  # a second core is told of with the first
                alike.setdefault(deeds, []).append(i)
        is_short = sum(map(len, alike)) <= MAX_TOLD
        for deeds, who in alike.items():
            names = f"Replicas {', '.join(map(str, who))} are" if len(who) > 1 else f"Replica {who[0]} is"
            if is_short:
                lines.append(f"{names} Byzantine. {' '.join(f'{deed}.' for deed in deeds)}".strip())
            else:
                lines.append(f"{names} Byzantine: {', '.join(deed.name for deed in deeds) or 'as it likes'}.")
        if not self.traitors:
            lines.append("All of them are honest.")
        if sum(i in group.replicas for i in self.traitors) > group.f:
            lines.append("These are more than the group tolerates.")
        if self.hostile:
            numbers = ", ".join(map(str, self.hostile_clients))
            lines.append(f"Clients {numbers} are hostile." if self.hostile > 1 else f"Client {numbers} is hostile.")
        return " ".join(lines)


def traitors_of(plan: Plan) -> dict[ReplicaId, tuple[Deed, ...]]:
    """What the plan's traitors do. Second cores of twins follow the replicas, as in `world.World`."""
    traitors = {i: tuple(_deed(name) for name in names) for i, names in plan.traitors.items()}
    for place, i in cores_of(plan).items():
        does = f"Two honest cores run with its key, {i} and {place}, and know nothing of each other"
        traitors[i] = traitors[place] = (Deed("twin", does),)
    return traitors


def cores_of(plan: Plan) -> dict[ReplicaId, ReplicaId]:
    """Which replica's the plan's second cores are."""
    return {ReplicaId(place): i for place, i in enumerate(plan.twins, start=plan.n)}


def _deed(name: str) -> Deed:
    if name == COLLUDE:
        return Deed(name, "It shares its key with its accomplices.")
    return Deed(name, parse(name).behaviour.does)


def spans_of(plan: Plan) -> tuple[Span, ...]:
    """The plan's faults as spans, but for crashes, which are happenings."""
    return tuple(
        Span(fault.at * US_PER_MS, fault.until * US_PER_MS, describe(fault, plan.n), befallen(fault, plan.n))
        for fault in plan.faults
        if not isinstance(fault, Crash)
    )
