"""A plan: everything that makes one run, as data. It can be written down, shrunk, changed by hand and run again.

Times are in milliseconds since the run began, delays of messages in microseconds. Up to `heal_at` anything may happen
that the plan says; from then on there are no faults but the adversaries', and progress is required.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bftledger.base.errors import OperatorError
from bftledger.base.ids import Millis, ReplicaId
from bftledger.pbft.settings import Settings
from bftledger.sim.links import Links
from bftledger.sim.script import Script

FORMAT: Final = 1

MAX_PAYLOAD_BYTES: Final = 65_536
"""What a transaction of a run may hold at most, unless its plan says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What the network does to each message: probabilities, and delays in microseconds.

    A message takes `delay_us` and a random time on top, exponential with mean `jitter_us`. `in_order`: those of one
    link do not overtake one another. `bytes_per_ms`: what a replica can send; 0 for as much as it likes.
    """

    loss: float = 0.0
    duplication: float = 0.0
    delay_us: int = 500
    jitter_us: int = 0
    in_order: bool = True
    bytes_per_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """From `at` until `until` nothing goes from a to b, for each (a, b) of `links`."""

    at: int
    until: int
    links: tuple[tuple[ReplicaId, ReplicaId], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """From `at` until `until` the network is like this."""

    at: int
    until: int
    weather: Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The replica's process dies, and starts again at `until`; what was not durable is lost.

    `fuse`: it dies at so many operations of its store after `at`, in the midst of a round; 0: between two rounds.
    `sent`: it dies after the commit of its next round, when so many of its frames have left, those to replicas before
    those to clients; -1: it does not.
    """

    at: int
    until: int
    replica: ReplicaId
    fuse: int = 0
    sent: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The replica's wall clock jumps by `by_ms`, and is right again at `until`. Timers do not notice."""

    at: int
    until: int
    replica: ReplicaId
    by_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """From `at` until `until` the replica takes `round_us` for each round instead of the plan's."""

    at: int
    until: int
    replica: ReplicaId
    round_us: int


Fault = Cut | Storm | Crash | Jump | Slow
FAULTS: Final[dict[str, type]] = {cls.__name__.lower(): cls for cls in (Cut, Storm, Crash, Jump, Slow)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What clients do: each one operation after the other, on a few keys, until all are answered.

    `reads`: the share of operations that only read. `burst`: a client submits so many at once. `think_ms`: a client
    rests up to so long between two. `hostile`: so many clients more send what nobody should send. `patience_ms`: a
    client waits so long for one replica before it asks all. `spread_ms`: each client begins so long after the last.
    `forgets`: of so many transactions a client forgets that they are under way, or their outcome, and asks later.
    `hostile_rest_ms`: from healing on a hostile client rests so long between two things that it sends, up to twice as
    long; 0: it stops then.
    """

    clients: int = 3
    operations: int = 4
    reads: float = 0.2
    keys: int = 3
    burst: int = 1
    think_ms: int = 100
    payload_bytes: int = 0
    lifetime_ms: Millis = Millis(60_000)
    hostile: int = 0
    patience_ms: Millis = Millis(500)
    spread_ms: int = 0
    forgets: float = 0.0
    hostile_rest_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. `traitors`: what each Byzantine replica does, as `adversary.catalogue` names it.

    `twins`: Byzantine replicas of another kind: each runs on two machines, both of them honest, with one key. Where
    machines are named, the second ones come after the last replica, in this order. `script`: who hears whom in which
    view. `links`: how far machines are from one another, and what their lines carry, beside the weather.
    `max_payload_bytes`: what the genesis allows a transaction to hold.
    """

    seed: int
    n: int = 4
    settings: Settings = field(default_factory=Settings)
    weather: Weather = Weather()
    round_us: int = 200
    skew_ms: tuple[int, ...] = ()
    faults: tuple[Fault, ...] = ()
    traitors: Mapping[ReplicaId, tuple[str, ...]] = field(default_factory=dict)
    twins: tuple[ReplicaId, ...] = ()
    script: Script | None = None
    work: Work = Work()
    heal_at: int = 0
    real_keys: bool = False
    links: Links | None = None
    max_payload_bytes: int = MAX_PAYLOAD_BYTES

    @property
    def honest(self) -> tuple[ReplicaId, ...]:
        """All replicas that are neither traitors nor twins."""
        return tuple(ReplicaId(i) for i in range(self.n) if i not in self.traitors and i not in self.twins)

    @property
    def connections(self) -> int:
        """So many has each machine: one to every other one, and to each client."""
        return self.n + len(self.twins) - 1 + self.work.clients + self.work.hostile

    def to_json(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        data = {"format": FORMAT, **dataclasses.asdict(self)}
        data["faults"] = [{"kind": type(fault).__name__.lower(), **dataclasses.asdict(fault)} for fault in self.faults]
        data["traitors"] = {str(i): list(names) for i, names in sorted(self.traitors.items())}
        return data

    @staticmethod
    def from_json(data: Any) -> "Plan":
        """The plan that `to_json` wrote. Raises `OperatorError` for what is none."""
        try:
            values = dict(data)
            if values.pop("format") != FORMAT:
                raise ValueError("of another format")
            values["settings"] = _of(Settings, values["settings"])
            values["weather"] = _of(Weather, values["weather"])
            values["work"] = _of(Work, values["work"])
            values["skew_ms"] = tuple(values["skew_ms"])
            values["twins"] = tuple(map(ReplicaId, values.get("twins", ())))
            script = values.get("script")
            values["script"] = None if script is None else Script.from_json(script)
            links = values.get("links")
            values["links"] = None if links is None else Links.from_json(links)
            values["faults"] = tuple(_fault(item) for item in values["faults"])
            values["traitors"] = {ReplicaId(int(i)): tuple(names) for i, names in values["traitors"].items()}
            return _of(Plan, values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise OperatorError(f"this is not a plan ({error}): write one with --save-plan") from None


T = TypeVar("T")


def _of(cls: type[T], values: Mapping[str, Any]) -> T:
    return cls(**values)


def _fault(item: Mapping[str, Any]) -> Fault:
    values = dict(item)
    cls = FAULTS[values.pop("kind")]
    if cls is Storm:
        values["weather"] = _of(Weather, values["weather"])
    if cls is Cut:
        values["links"] = tuple((ReplicaId(a), ReplicaId(b)) for a, b in values["links"])
    found: Fault = cls(**values)
    return found
