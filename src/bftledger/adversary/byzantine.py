"""A Byzantine replica: an honest engine, and behaviours through which everything passes that it says and hears.

It runs wherever an engine runs. What the honest core wants to send is decoded, shown to each behaviour in turn for each
receiver, and what comes out of that is sent; the core never learns of it. Its store and its promises are the honest
core's, so it can go straight again at any time (`end`); what it says beside them is not kept.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, cast

from bftledger.adversary.behaviour import TICK_MS, Behaviour, Choice, Frame, Scene
from bftledger.adversary.behaviours.discretion import Discretion
from bftledger.base.crypto import Signer
from bftledger.base.errors import BadProof, BadSignature, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, ReplicaId
from bftledger.engine.engine import Engine, Round
from bftledger.engine.intake import MAX_FRAMES
from bftledger.engine.opening import Ledger
from bftledger.engine.work import WORK_PER_ROUND
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import Reply
from bftledger.pbft import frames, wire
from bftledger.pbft.effects import StartTimer
from bftledger.pbft.kinds import KINDS
from bftledger.pbft.messages import Message, Testimony
from bftledger.pbft.replica import Replica
from bftledger.pbft.timers import Timer
from bftledger.storage.store import Store

MAX_HELD: Final = 20_000
"""So many frames are held back at most; the first of them leaves early when there are more."""

_TESTIMONY: Final = KINDS[Testimony].number


@dataclass(frozen=True, slots=True)
class Tick:
    """The adversary's own timer: time to act of its own accord."""


@dataclass(frozen=True, slots=True)
class Later:
    """The adversary's own timer: a frame has been held back for long enough."""


@dataclass(order=True, slots=True)
class Held:
    """A frame that leaves at `due`."""

    due: Millis
    order: int
    to: ReplicaId
    frame: bytes
    is_lie: bool


@dataclass(slots=True)
class Said:
    """On its way through the behaviours: a message, or bytes that no further behaviour looks into."""

    what: Message | bytes
    frame: bytes | None
    """The honest frame, if that is still what it is."""


class Byzantine:
    """Has the interface of the engine in it, and performs it dishonestly (`engine.running`)."""

    def __init__(
        self,
        engine: Engine,
        behaviours: Sequence[Choice],
        *,
        signers: Mapping[ReplicaId, Signer],
        seed: int | str = 0,
        is_lying: bool = True,
        on_first_lie: Callable[[str], None] | None = None,
    ) -> None:
        """`signers`: its own key, and those of its accomplices. `is_lying`: from the start, else when told (`begin`).
        `on_first_lie` is called with the name of each behaviour that deviates for the first time.

        Raises `OperatorError` for a bad argument.
        """
        assert engine.me in signers, "an adversary has its own key"
        self.engine = engine
        self.scene = Scene(engine=engine, signers=signers, chance=Random(f"{seed} {engine.me}"))
        self.behaviours = tuple(choice.begin(self.scene) for choice in behaviours)
        self._discretion = Discretion(self.scene)
        self.is_lying = is_lying
        """Else all passes as if there were no lens; what is held back still leaves in its time."""
        self.lies: Counter[str] = Counter()
        """How often each behaviour deviated, by its name; what is not sent counts, too."""
        self.last_lies: set[tuple[ReplicaId, bytes]] = set()
        """What the last round sent to whom that the honest engine would not have sent there."""
        self.withheld: set[tuple[ReplicaId, bytes]] = set()
        """What the honest engine wanted the last round to send to whom, and it did not; or not yet."""
        self.last_client_lies: set[tuple[bytes, bytes]] = set()
        """The same as `last_lies` of what went to clients, by their routes."""
        self.withheld_replies: set[tuple[bytes, bytes]] = set()
        """The same as `withheld` of what was for clients, by their routes."""
        self.ignored: set[tuple[bytes, bytes]] = set()
        """Requests since the last round that the honest engine would have had, by their routes, and did not get."""
        self._on_first_lie = on_first_lie
        self._extra: list[Frame] = []
        self._held: list[Held] = []
        self._order = 0
        self._ticks = False

    # ── what an engine has ──

    @property
    def me(self) -> ReplicaId:
        """Which replica it is."""
        return self.engine.me

    @property
    def genesis(self) -> Genesis:
        """The founding facts of its group."""
        return self.engine.genesis

    @property
    def store(self) -> Store:
        """Its honest core's."""
        return self.engine.store

    @property
    def ledger(self) -> Ledger:
        """Its honest core's."""
        return self.engine.ledger

    @property
    def replica(self) -> Replica:
        """Its honest core."""
        return self.engine.replica

    def begin(self) -> None:
        """From now on it lies. Safe at any time, also in the middle of a round, from a signal handler."""
        self._ticks = self._acts_by_itself()
        self.is_lying = True

    def end(self) -> None:
        """From now on it is honest. As safe as `begin`."""
        self.is_lying = False

    def start(self, now: Millis) -> None:
        """The first event of a run."""
        self.scene.now = now
        self._ticks = self.is_lying and self._acts_by_itself()
        self.engine.start(now)

    def on_peer(self, replica: ReplicaId, frame: bytes, now: Millis) -> None:
        """A frame that `replica` handed over."""
        self.scene.now = now
        acting = self._acting()
        listening = [behaviour for behaviour in acting if _overrides(behaviour, "heard")]
        if listening and (message := self._read(frame)) is not None:
            for behaviour in listening:
                self._add(behaviour, behaviour.heard(replica, message))
        deaf = [behaviour for behaviour in acting if not behaviour.hears(replica, frame)]
        self._count(deaf)
        if not deaf:
            self.engine.on_peer(replica, frame, now)

    def on_client(self, route: bytes, frame: bytes, now: Millis) -> None:
        """A frame from a client."""
        self.scene.now = now
        try:
            request = client_wire.decode_request(frame)
        except Malformed:
            refusing = []
        else:
            refusing = [behaviour for behaviour in self._acting() if not behaviour.takes_request(route, request)]
        self._count(refusing)
        if refusing:
            self.ignored.add((route, frame))
        else:
            self.engine.on_client(route, frame, now)

    def on_timer(self, timer: Timer, now: Millis) -> None:
        """A timer ran out: the honest core's, or one of its own."""
        self.scene.now = now
        if isinstance(timer, Tick):
            self._ticks = self.is_lying
            for chosen in self.behaviours if self.is_lying else ():
                for behaviour in (chosen, *(other for other in chosen.acting() if other is not chosen)):
                    self._add(behaviour, behaviour.tick())
        elif not isinstance(timer, Later):
            self.engine.on_timer(timer, now)

    def end_round(self, now: Millis, work: int = WORK_PER_ROUND, lookups: int = MAX_FRAMES) -> Round:
        """Ends the honest engine's round, and returns what is done instead of what that wants done."""
        self.scene.now = now
        honest = self.engine.end_round(now, work, lookups)
        acting = self._acting()
        self.last_lies.clear()
        self.withheld.clear()
        self.last_client_lies.clear()
        self.withheld_replies.clear()
        self.ignored.clear()
        finished = replace(honest, to_peers=[], to_clients=[], to_end=[])
        self._send_to_peers(honest, acting, finished)
        self._send_to_clients(honest, acting, finished)
        self._start_timers(finished)
        return finished

    def counters(self) -> dict[str, int]:
        """What the honest engine counted; the lies are in `lies`."""
        return self.engine.counters()

    def close(self) -> None:
        """An orderly stop. Raises `StoreError`."""
        self.engine.close()

    # ── the lens ──

    def _acting(self) -> list[Behaviour]:
        return [behaviour for chosen in self.behaviours for behaviour in chosen.acting()] if self.is_lying else []

    def _acts_by_itself(self) -> bool:
        return any(_overrides(behaviour, "tick") for behaviour in self.behaviours)

    def _count(self, behaviours: Iterable[Behaviour]) -> None:
        for behaviour in behaviours:
            self.lies[behaviour.name] += 1
            if self.lies[behaviour.name] == 1 and self._on_first_lie is not None:
                self._on_first_lie(behaviour.name)

    def _read(self, frame: bytes) -> Message | None:
        try:
            return self.engine.door.authenticate(frame)
        except (Malformed, BadProof, BadSignature):
            return None

    def _add(self, behaviour: Behaviour, said: Iterable[Frame]) -> None:
        for frame in said:
            self._extra.append(frame)
            self._count((behaviour,))

    def _send_to_peers(self, honest: Round, acting: list[Behaviour], finished: Round) -> None:
        meddling = [behaviour for behaviour in acting if _overrides(behaviour, "to_peer")]
        slowing = [behaviour for behaviour in acting if _overrides(behaviour, "delay")]
        due, extra = self._take_due(), self._extra
        self._extra = []
        known: dict[bytes, tuple[Message, bytes] | None] = {}
        for to, frame in honest.to_peers:
            if not (meddling or slowing or frames.number_of(frame) == _TESTIMONY):
                finished.to_peers.append((to, frame))
                continue
            if frame not in known:
                known[frame] = self._discreet(frame)
            said = known[frame]
            if said is None:
                continue
            if meddling or slowing:
                self._say_instead(to, *said, meddling, slowing, finished)
            else:
                finished.to_peers.append((to, said[1]))
        finished.to_peers += [(held.to, held.frame) for held in due]
        self.last_lies |= {(held.to, held.frame) for held in due if held.is_lie}
        for to, what in extra:
            if to != self.me and to in self.genesis.group.replicas:
                self._send(finished, to, what if isinstance(what, bytes) else wire.encode(what), is_lie=True)

    def _discreet(self, frame: bytes) -> tuple[Message, bytes] | None:
        """What the core says, without what would convict it; None if nothing is left. That is no lie, nor counted."""
        message = self._read(frame)
        assert message is not None, "an honest engine sends authentic messages"
        kept = self._discretion.keeps(message)
        if kept is None:
            return None
        return kept, frame if kept is message else wire.encode(kept)

    def _say_instead(
        self,
        to: ReplicaId,
        message: Message,
        frame: bytes,
        meddling: list[Behaviour],
        slowing: list[Behaviour],
        finished: Round,
    ) -> None:
        said = [Said(message, frame)]
        for behaviour in meddling:
            said = [after for before in said for after in self._pass(behaviour, to, before)]
        is_sent = False
        for item in said:
            is_honest = item.frame is not None
            out = item.frame or (item.what if isinstance(item.what, bytes) else wire.encode(item.what))
            if (delay := self._delay(slowing, to, item)) > 0:
                self._hold(Held(Millis(self.scene.now + delay), self._order, to, out, not is_honest))
                continue
            is_sent = is_sent or is_honest
            self._send(finished, to, out, is_lie=not is_honest)
        if not is_sent:
            self.withheld.add((to, frame))

    def _pass(self, behaviour: Behaviour, to: ReplicaId, before: Said) -> list[Said]:
        """One message through one behaviour."""
        if isinstance(before.what, bytes):
            return [before]
        after = []
        for what in behaviour.to_peer(to, before.what):
            is_same = what is before.what or (not isinstance(what, bytes) and what == before.what)
            after.append(before if is_same else Said(what, None))
        if len(after) != 1 or after[0] is not before:
            self._count((behaviour,))
        return after

    def _delay(self, slowing: list[Behaviour], to: ReplicaId, item: Said) -> Millis:
        total = 0
        if not isinstance(item.what, bytes):
            for behaviour in slowing:
                delay = behaviour.delay(to, item.what)
                total += delay
                self._count((behaviour,) if delay > 0 else ())
        return Millis(total)

    def _send(self, finished: Round, to: ReplicaId, frame: bytes, *, is_lie: bool) -> None:
        finished.to_peers.append((to, frame))
        if is_lie:
            self.last_lies.add((to, frame))

    def _send_to_clients(self, honest: Round, acting: list[Behaviour], finished: Round) -> None:
        meddling = [behaviour for behaviour in acting if _overrides(behaviour, "to_client")]
        if not meddling:
            finished.to_clients = honest.to_clients
            return
        for route, frame in honest.to_clients:
            replies: list[Reply | bytes] = [client_wire.decode_reply(frame)]
            for behaviour in meddling:
                after: list[Reply | bytes] = []
                for reply in replies:
                    after += [reply] if isinstance(reply, bytes) else behaviour.to_client(route, reply)
                self._count((behaviour,) if after != replies else ())
                replies = after
            said = [reply if isinstance(reply, bytes) else client_wire.encode(reply) for reply in replies]
            finished.to_clients += [(route, out) for out in said]
            self.last_client_lies |= {(route, out) for out in said if out != frame}
            if frame not in said:
                self.withheld_replies.add((route, frame))

    # ── its own timers ──

    def _hold(self, held: Held) -> None:
        self._order += 1
        heapq.heappush(self._held, held)

    def _take_due(self) -> list[Held]:
        due = []
        while self._held and (self._held[0].due <= self.scene.now or len(self._held) > MAX_HELD):
            due.append(heapq.heappop(self._held))
        return due

    def _start_timers(self, finished: Round) -> None:
        if self._ticks:
            self._ticks = False
            finished.timers.append(_start(Tick(), TICK_MS))
        if self._held:
            finished.timers.append(_start(Later(), Millis(max(1, self._held[0].due - self.scene.now))))


def _overrides(behaviour: Behaviour, method: str) -> bool:
    """Whether the behaviour does something of its own there: what does not is not even asked."""
    return getattr(type(behaviour), method) is not getattr(Behaviour, method)


def _start(timer: Tick | Later, after: Millis) -> StartTimer:
    """A timer that the core does not know: whoever runs the replica tells timers apart by their class alone."""
    return StartTimer(cast(Timer, timer), after)
