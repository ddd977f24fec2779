"""A recording as a space-time diagram: one HTML file that shows the run and needs nothing but a browser.

What is drawn is decided here, as plain data that `web/` draws: `Diagram.data` is what the page is given. Times are in
microseconds. The same run gives the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import Any, Final

from bftledger.base.errors import Malformed
from bftledger.base.ids import Digest, ReplicaId, Seq
from bftledger.sim.describe import clean
from bftledger.sim.meaning import WHY, Phase, meaning, phase_of, reply_meaning, request_meaning, statement
from bftledger.sim.page import page
from bftledger.sim.recording import Fate, Happening, Kind, Recording, Sending
from bftledger.sim.story import Entry, headline, sentence, story
from bftledger.sim.subject import Subject
from bftledger.sim.transcript import describer_of, said

USUAL_FLIGHT_US: Final = 500
"""How long a message flies in a run in which none arrives."""

QUIET_FLIGHTS: Final = 20
"""A time without messages is quiet, and can be folded, if it is so many flights of a message long."""

PHASES: Final = tuple(Phase)
FATES: Final = tuple(Fate)
MARKS: Final = (Kind.TIMER, Kind.EVIDENCE, Kind.VIOLATION, Kind.HEALED, Kind.CLIENT, Kind.HALTED)
"""Happenings that are drawn as marks; all others have a shape of their own."""


def diagram(subject: Subject, recording: Recording) -> str:
    """The page. Raises `OperatorError` if the group's application is not installed."""
    drawn = Diagram(subject, recording)
    return page(subject.title, headline(subject, recording), subject.is_sound, drawn.data())


@dataclass(slots=True)
class _Frame:
    """Equal bytes from one replica or client, described once."""

    phase: Phase
    line: str
    words: str
    about: tuple[str, int, int, int] | None = None
    says: bytes = b""


class Diagram:
    """Everything on the page that depends on the run."""

    def __init__(self, subject: Subject, recording: Recording) -> None:
        self._subject = subject
        self._describer = describer_of(subject)
        self._sendings = [event for event in recording.events if isinstance(event, Sending)]
        self._happenings = [event for event in recording.events if isinstance(event, Happening)]
        self._frames: list[_Frame] = []
        self._numbers: dict[tuple[int, int | None, bytes, bool], int] = {}
        self._of = [self._number(sending) for sending in self._sendings]
        self._end = max((event.at for event in recording.events), default=0)
        self._end = max([self._end, *(at for sending in self._sendings for at in sending.arrives)])

    def data(self) -> dict[str, Any]:
        """As values that JSON can hold."""
        contradictions = self._contradictions()
        lines = [self._frames[number].line for number in self._of]
        return {
            "end": self._end,
            "flight": self._flight(),
            "primaries": self._subject.genesis.group.n,
            "clients": [{"hostile": i in self._subject.hostile_clients} for i in range(self._subject.clients)],
            "replicas": [self._replica(ReplicaId(i)) for i in self._subject.lanes],
            "phases": [
                {"name": phase.value, "slug": phase.name.lower().replace("_", "-"), "why": WHY[phase]}
                for phase in PHASES
            ],
            "fates": [fate.value for fate in FATES],
            "frames": [
                [PHASES.index(frame.phase), frame.line, frame.words, contradictions.get(number, "")]
                for number, frame in enumerate(self._frames)
            ],
            "messages": [
                [
                    s.at,
                    s.source,
                    s.to,
                    number,
                    int(s.culprit is not None),
                    FATES.index(s.fate) if s.fate else -1,
                    *s.arrives,
                ]
                for s, number in zip(self._sendings, self._of, strict=True)
            ],
            "marks": [
                [h.at, h.kind.name.lower(), -1 if h.replica is None else h.replica, sentence(h)]
                for h in self._happenings
                if h.kind in MARKS and h.at  # what holds from the beginning needs no mark
            ],
            "blocks": list(self._blocks()),
            "spans": [[s.begins, min(s.ends, self._end), clean(s.label), s.replicas] for s in self._subject.spans],
            "calls": [
                [c.begins, -1 if c.ends is None else c.ends, c.client, clean(c.text)] for c in self._subject.calls
            ],
            "story": [_entry(entry) for entry in story(self._happenings, self._sendings, lines)],
            "quiet": list(self._quiet()),
        }

    # ── messages ──

    def _number(self, sending: Sending) -> int:
        key = sending.source, sending.client, sending.frame, sending.is_lie
        if key not in self._numbers:
            self._numbers[key] = len(self._frames)
            self._frames.append(self._read(sending))
        return self._numbers[key]

    def _read(self, sending: Sending) -> _Frame:
        if sending.client is not None:
            return self._read_dialogue(sending, sending.client)
        message = self._describer.read(sending.frame)
        line = said(self._describer, sending)
        if isinstance(message, Malformed):
            return _Frame(Phase.GARBAGE, line, "Bytes that are no message.")
        frame = _Frame(phase_of(message), line, meaning(message, self._describer, self._subject.genesis.group))
        stated = statement(message)
        if stated is not None and stated[0][1] == self._describer.identity(ReplicaId(sending.source)):
            frame.about, frame.says = stated
        return frame

    def _read_dialogue(self, sending: Sending, client: int) -> _Frame:
        """A request, or what a client is answered; garbage is one of them as well."""
        line = said(self._describer, sending)
        if sending.source < 0:
            request = self._describer.read_request(client, sending.frame)
            words = "Bytes that ask for nothing."
            if not isinstance(request, Malformed):
                words = request_meaning(request, self._describer)
            return _Frame(Phase.CLIENT_REQUEST, line, words)
        reply = self._describer.read_reply(sending.frame)
        words = "Bytes that answer nothing."
        if not isinstance(reply, Malformed):
            words = reply_meaning(reply, self._describer, self._describer.doubt(client, reply))
        return _Frame(Phase.CLIENT_REPLY, line, words)

    def _contradictions(self) -> dict[int, str]:
        """By frame: whom its sender told what, if that is more than one thing where an honest replica says one."""
        told: dict[tuple[str, int, int, int], dict[bytes, tuple[int, set[int]]]] = {}
        for sending, number in zip(self._sendings, self._of, strict=True):
            frame = self._frames[number]
            if frame.about is not None:
                by_content = told.setdefault(frame.about, {})
                by_content.setdefault(frame.says, (number, set()))[1].add(sending.to)
        found: dict[int, str] = {}
        for number, frame in enumerate(self._frames):
            versions = told.get(frame.about, {}) if frame.about is not None else {}
            if len(versions) > 1:
                parts = [f"to {_list(to)}: {self._frames[first].line}" for first, to in versions.values()]
                found[number] = f"It contradicts itself. It says {'; '.join(parts)}."
        return found

    def _flight(self) -> int:
        """How long a message usually flies: the unit of the page's time axis."""
        flights = [at - sending.at for sending in self._sendings for at in sending.arrives if sending.client is None]
        return max(1, median_low(flights)) if flights else USUAL_FLIGHT_US

    def _quiet(self) -> Iterator[list[int]]:
        """Times in which nothing is drawn but STATUS messages and timers."""
        busy = {0, self._end}
        for sending, number in zip(self._sendings, self._of, strict=True):
            if self._frames[number].phase is not Phase.STATUS:
                busy.update((sending.at, *sending.arrives))
        busy.update(h.at for h in self._happenings if h.kind is not Kind.TIMER)
        busy.update(at for call in self._subject.calls for at in (call.begins, call.ends) if at is not None)
        flight, times = self._flight(), sorted(busy)
        for before, after in pairwise(times):
            if after - before > QUIET_FLIGHTS * flight:
                yield [before + flight, after - flight]

    # ── lanes ──

    def _replica(self, replica: ReplicaId) -> dict[str, Any]:
        traitors = self._subject.traitors
        own = [h for h in self._happenings if h.replica == replica]
        return {
            "byzantine": [str(deed) for deed in traitors[replica]] if replica in traitors else None,
            "of": self._subject.cores.get(replica),
            "down": list(self._down(own)),
            "views": list(self._views(own)),
        }

    def _down(self, own: list[Happening]) -> Iterator[list[int]]:
        """From when to when it did not run."""
        since: int | None = None
        for happening in own:
            if happening.kind in (Kind.CRASHED, Kind.HALTED) and since is None:
                since = happening.at
            elif happening.kind is Kind.STARTED and since is not None:
                yield [since, happening.at]
                since = None
        if since is not None:
            yield [since, self._end]

    def _views(self, own: list[Happening]) -> Iterator[list[int]]:
        """From when to when it was in which view, or (1) had left it and not entered another."""
        begins, view, is_left = 0, 0, 0
        for happening in own:
            if happening.kind not in (Kind.VIEW_LEFT, Kind.VIEW_BEGUN) or happening.view is None:
                continue
            left = int(happening.kind is Kind.VIEW_LEFT)
            if (happening.view, left) != (view, is_left):
                if happening.at > begins:
                    yield [begins, happening.at, view, is_left]
                begins, view, is_left = happening.at, happening.view, left
        yield [begins, self._end, view, is_left]

    def _blocks(self) -> Iterator[list[int]]:
        """Replica, time, first and last height of blocks executed together, and which of several blocks it is."""
        versions = self._versions()
        current: list[int] = []
        for h in self._happenings:
            if h.kind is Kind.EXECUTED and h.height is not None and h.replica is not None:
                version = versions[h.height].index(h.block_hash)
                if current[:2] == [h.replica, h.at] and current[3:] == [h.height - 1, version]:
                    current[3] = h.height
                    continue
                if current:
                    yield current
                current = [h.replica, h.at, h.height, h.height, version]
        if current:
            yield current

    def _versions(self) -> dict[Seq, list[Digest | None]]:
        """The blocks of each height, what most replicas have first. More than one is a fork."""
        counts: dict[Seq, dict[Digest | None, int]] = {}
        for h in self._happenings:
            if h.kind is Kind.EXECUTED and h.height is not None:
                counted = counts.setdefault(h.height, {})
                counted[h.block_hash] = counted.get(h.block_hash, 0) + 1
        return {height: sorted(found, key=lambda block: -found[block]) for height, found in counts.items()}


def _list(replicas: set[int]) -> str:
    return ", ".join(str(i) for i in sorted(replicas))


def _entry(entry: Entry) -> list[Any]:
    return [entry.at, entry.weight.value, entry.text, -1 if entry.replica is None else entry.replica]
