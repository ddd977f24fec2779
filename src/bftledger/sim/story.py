"""A run in a few lines: the headline, and the list of what mattered, in the order in which it happened."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from bftledger.base.ids import Digest, ReplicaId, Seq, View
from bftledger.sim.describe import clean
from bftledger.sim.recording import Fate, Happening, Kind, Recording, Sending
from bftledger.sim.subject import Subject

LIES_GAP_US: Final = 250_000
"""Lies of one replica that follow each other so closely are told together."""

LATE_US: Final = 5_000
"""Who does the same so much later is told apart."""

MAX_LIES_TOLD: Final = 3
MAX_LINE_LENGTH: Final = 60


class Weight(Enum):
    """How much an entry matters to whoever looks for what went wrong."""

    NORMAL = "normal"
    FAULT = "fault"
    LIE = "lie"
    ALARM = "alarm"


@dataclass(slots=True)
class Entry:
    """Something that mattered. `replica`: where it is drawn, None if everywhere."""

    at: int
    text: str
    weight: Weight = Weight.NORMAL
    replica: ReplicaId | None = None


def headline(subject: Subject, recording: Recording) -> list[str]:
    """The run in a few sentences: who took part, what the group did, what the oracles say."""
    return [clean(subject.cast, 1_000), _deeds(subject, recording), *(clean(line, 600) for line in subject.outcome)]


def story(happenings: Iterable[Happening], sendings: Sequence[Sending], lines: Sequence[str]) -> list[Entry]:
    """What mattered. `lines`: what each of the sendings says."""
    entries = [*_joined(list(_happened(happenings))), *_lies(sendings, lines)]
    return sorted(
        entries, key=lambda entry: entry.at
    )  # stable: at the same time, in the order in which they were found


# ── the headline ──


def _deeds(subject: Subject, recording: Recording) -> str:
    honest = [i for i in subject.genesis.group.replicas if i not in subject.traitors]
    heights: dict[ReplicaId, int] = dict.fromkeys(honest, 0)
    blocks: dict[Seq, set[Digest | None]] = {}
    highest = View(0)
    crashes = 0
    for event in recording.events:
        if isinstance(event, Sending) or event.replica not in heights:
            continue
        if event.kind is Kind.EXECUTED and event.height is not None:
            heights[event.replica] = max(heights[event.replica], event.height)
            blocks.setdefault(event.height, set()).add(event.block_hash)
        if event.kind is Kind.VIEW_BEGUN and event.view is not None:
            highest = max(highest, event.view)
        crashes += event.kind is Kind.CRASHED
    lies = [event for event in recording.events if isinstance(event, Sending) and event.is_lie]
    kept_back = sum(lie.fate is Fate.WITHHELD for lie in lies)
    told = len(lies) - kept_back
    clients = Counter(lie.fate is Fate.WITHHELD for lie in lies if lie.client is not None)
    ignored = sum(isinstance(event, Sending) and event.fate is Fate.IGNORED for event in recording.events)
    forks = sorted(height for height, found in blocks.items() if len(found) > 1)
    sent = f"Traitors sent {_count(told, 'message')} that no honest replica would have sent"
    parts = [f"{sent}{_of_them(clients[False], told, 'to')}."] * bool(told)
    withheld = f"Traitors withheld {_count(kept_back, 'message')} that an honest one would have sent"
    parts += [f"{withheld}{_of_them(clients[True], kept_back, 'for')}."] * bool(kept_back)
    parts += [f"Traitors ignored {_count(ignored, 'request')} of clients."] * bool(ignored)
    parts += [f"Honest replicas crashed {'once' if crashes == 1 else f'{crashes} times'}."] * bool(crashes)
    low, high = min(heights.values(), default=0), max(heights.values(), default=0)
    if forks:
        parts.append(f"The ledger forked: honest replicas executed different blocks at height {forks[0]}.")
    elif low == high:
        parts.append(f"All honest replicas executed the same {_count(high, 'block')}.")
    else:
        parts.append(f"Honest replicas executed the same blocks, {low} of them at least and {high} at most.")
    if highest:
        primary = subject.genesis.group.primary(highest)
        parts.append(f"The primary was replaced, and the last view was {highest}, led by replica {primary}.")
    else:
        parts.append("Replica 0 was the primary to the end.")
    return " ".join(parts)


def _of_them(some: int, total: int, towards: str) -> str:
    """How many of the messages just told of concern clients."""
    if not some:
        return ""
    if total == 1:
        return f", {towards} a client"
    return f", {'all' if some == total else some} of them {towards} clients"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# ── what happened ──


@dataclass(slots=True)
class _Deed:
    """Several replicas doing the same thing, told at the time of the first. `what`: what follows the verb."""

    at: int
    kind: Kind
    what: str
    height: int = 0
    is_fork: bool = False
    replicas: set[ReplicaId] = field(default_factory=set)
    until: int = 0
    """When the last of them did it."""
    last: int = 0
    """The height of the last block, where one entry tells of several."""

    def entry(self) -> Entry:
        ids = sorted(self.replicas)
        does, do = _VERBS[self.kind]
        who = f"replica {ids[0]} {does}" if len(ids) == 1 else f"replicas {_row(ids)} {do}"
        if self.kind is Kind.EXECUTED:
            what = f"blocks {self.height} to {self.last}" if self.last else f"{self.what}{': a fork' * self.is_fork}"
            return Entry(self.at, f"{who} {what}", Weight.ALARM if self.is_fork else Weight.NORMAL, ids[0])
        late = f" (the last at {self.until / 1e6:.4f} s)" if self.until - self.at > LATE_US else ""
        return Entry(self.at, f"{who} {self.what}{late}", _WEIGHTS.get(self.kind, Weight.NORMAL), ids[0])


def _row(ids: Sequence[int]) -> str:
    """1, 2, 3; but 1 to 4 if they are many in a row."""
    if len(ids) > 3 and ids[-1] - ids[0] == len(ids) - 1:
        return f"{ids[0]} to {ids[-1]}"
    return ", ".join(map(str, ids))


_VERBS: Final = {
    Kind.VIEW_LEFT: ("leaves", "leave"),
    Kind.VIEW_BEGUN: ("enters", "enter"),
    Kind.EXECUTED: ("executes", "execute"),
    Kind.EVIDENCE: ("holds", "hold"),
}
_WEIGHTS: Final = {
    Kind.CRASHED: Weight.FAULT,
    Kind.FAULT: Weight.FAULT,
    Kind.EVIDENCE: Weight.LIE,
    Kind.HALTED: Weight.ALARM,
    Kind.VIOLATION: Weight.ALARM,
}


_UNTOLD: Final = (Kind.TIMER, Kind.CLIENT, Kind.CERTIFIED)


def _happened(happenings: Iterable[Happening]) -> Iterator[Entry | _Deed]:
    """Entries, and deeds in which more replicas may still join."""
    deeds: dict[tuple[Kind, str, Digest | None], _Deed] = {}
    views: dict[ReplicaId, View] = {}
    first: dict[Seq, Digest | None] = {}
    for h in happenings:
        if h.kind in _UNTOLD or (h.kind in (Kind.STARTED, Kind.HEALED) and not h.at):
            continue
        if h.kind not in _VERBS or h.replica is None:
            yield Entry(h.at, sentence(h), _WEIGHTS.get(h.kind, Weight.NORMAL), h.replica)
            continue
        if h.kind is Kind.VIEW_BEGUN and h.view is not None:
            if views.get(h.replica, 0) >= h.view:
                continue  # it is where it was before it started again
            views[h.replica] = h.view
        is_fork = h.height is not None and first.setdefault(h.height, h.block_hash) != h.block_hash
        what = f"another block {h.height}" if is_fork else _object(h)
        key = h.kind, what, h.block_hash
        if key not in deeds:
            deeds[key] = _Deed(h.at, h.kind, what, h.height or 0, is_fork)
            yield deeds[key]
        if h.replica not in deeds[key].replicas:
            deeds[key].replicas.add(h.replica)
            deeds[key].until = h.at


def _object(happening: Happening) -> str:
    """What was left, entered, executed or is held."""
    if happening.height is not None:
        return f"block {happening.height}"
    if happening.view is not None:
        return f"view {happening.view}"
    return clean(happening.text, 400).removeprefix("holds ")


def sentence(happening: Happening) -> str:
    """A happening with its subject."""
    text = clean(happening.text, 400)
    return text if happening.replica is None or text.startswith("replica ") else f"replica {happening.replica} {text}"


def _joined(found: Iterable[Entry | _Deed]) -> Iterator[Entry]:
    """Blocks that the same replicas execute one after the other, with nothing in between, are one entry."""
    run: _Deed | None = None
    for each in found:
        if isinstance(each, _Deed) and each.kind is Kind.EXECUTED and not each.is_fork:
            if run is not None and run.replicas == each.replicas and (run.last or run.height) + 1 == each.height:
                run.last = each.height
                continue
            if run is not None:
                yield run.entry()
            run = each
            continue
        if run is not None:
            yield run.entry()
            run = None
        yield each.entry() if isinstance(each, _Deed) else each
    if run is not None:
        yield run.entry()


# ── lies ──


class _Manner(NamedTuple):
    """How a traitor deviates, and the word before whom it does so to."""

    does: str
    towards: str


_LIES: Final = _Manner("lies:", "to")
_WITHHOLDS: Final = _Manner("withholds", "from")
_IGNORES: Final = _Manner("ignores", "from")
_MANNERS: Final[dict[Fate | None, _Manner]] = {Fate.WITHHELD: _WITHHOLDS, Fate.IGNORED: _IGNORES}
_ORDER: Final = (_LIES, _WITHHOLDS, _IGNORES)
"""What was said first, then what was not."""


@dataclass(slots=True)
class _Bout:
    """Lies of one replica to others or to clients, or its silence, that follow each other closely."""

    at: int
    replica: ReplicaId
    manner: _Manner
    is_to_clients: bool
    last: int = 0
    count: int = 0
    told: dict[str, list[int]] = field(default_factory=dict)

    def add(self, sending: Sending, line: str) -> None:
        self.last = sending.at
        self.count += 1
        line = clean(line, MAX_LINE_LENGTH)
        if line in self.told or len(self.told) < MAX_LIES_TOLD:
            others = self.told.setdefault(line, [])
            other = sending.to if sending.client is None else sending.client
            if other not in others:
                others.append(other)

    def entry(self) -> Entry:
        does, towards = self.manner
        parts = [f"{line} {towards} {self._whom(others)}" for line, others in self.told.items()]
        shown = sum(len(to) for to in self.told.values())
        until = f" until {self.last / 1e6:.4f} s" if self.last > self.at else ""
        more = f"; {self.count - shown} more{until}" if self.count > shown else ""
        return Entry(self.at, f"replica {self.replica} {does} {'; '.join(parts)}{more}", Weight.LIE, self.replica)

    def _whom(self, others: list[int]) -> str:
        if self.is_to_clients:
            return f"client{'s' * (len(others) > 1)} {_row(sorted(others))}"
        return ", ".join(map(str, sorted(others)))


def _lies(sendings: Sequence[Sending], lines: Sequence[str]) -> list[Entry]:
    bouts: list[_Bout] = []
    newest: dict[tuple[ReplicaId, _Manner, bool], _Bout] = {}
    for sending, line in zip(sendings, lines, strict=True):
        manner = _MANNERS.get(sending.fate, _LIES)
        if sending.culprit is None or (manner is _WITHHOLDS and line.startswith("STATUS")):
            continue
        key = sending.culprit, manner, sending.client is not None
        if key not in newest or sending.at - newest[key].last > LIES_GAP_US:
            newest[key] = _Bout(sending.at, *key)
            bouts.append(newest[key])
        newest[key].add(sending, line)
    bouts.sort(key=lambda bout: (bout.at, _ORDER.index(bout.manner)))
    return [bout.entry() for bout in bouts]
