"""Duties: an honest replica says what it has to say, in the round in which it has to (OSDI'99 §4.2).

Whoever accepts a proposal tells all so with PREPARE, unless it led; whoever is prepared tells all with COMMIT. One that
keeps its votes to itself harms nobody while all others vote: it is only missed when another one fails as well.

What is owed is read from the state after a round and must have been sent when the next one of the same process ends.
What a restart brings back is not owed: it may have been sent before, and is sent again to those who lack it.
"""

from collections import defaultdict
from collections.abc import Iterator

from bftledger.base.ids import ReplicaId, Seq, View
from bftledger.check.violation import Violation, first, named
from bftledger.pbft.messages import Commit, Message, Prepare
from bftledger.pbft.state import State

ORACLE = "duties"

Vote = tuple[str, View, Seq]


class Duties:
    """What replicas have said, and what they owe."""

    def __init__(self) -> None:
        self._said: defaultdict[ReplicaId, set[Vote]] = defaultdict(set)
        self._owed: defaultdict[ReplicaId, list[Vote]] = defaultdict(list)

    def began(self, state: State) -> None:
        """A replica starts with what it recovered."""
        self._owed[state.me].clear()
        self._said[state.me].update(_due(state))

    def said(self, message: Message) -> None:
        """`message.replica` sends this."""
        match message:
            case Prepare():
                self._said[message.replica].add(("PREPARE", message.view, message.seq))
            case Commit():
                self._said[message.replica].add(("COMMIT", message.view, message.seq))
            case _:
                pass

    def ended_round(self, state: State) -> list[Violation]:
        """A replica's round has ended; what it says has yet to be sent. Returns what it owes since the last one."""
        me, said = state.me, self._said[state.me]
        found = first(
            Violation(ORACLE, f"{named(me)} never sent {kind} for number {seq} in view {view}", seq, (me,))
            for kind, view, seq in self._owed[me]
            if (kind, view, seq) not in said
        )
        self._owed[me] = [vote for vote in _due(state) if vote not in said]
        return found


def _due(state: State) -> Iterator[Vote]:
    for seq, slot in state.slots.items():
        if slot.pre_prepare is not None:
            if slot.pre_prepare.replica != state.me:
                yield "PREPARE", slot.pre_prepare.view, seq
            if slot.prepared:
                yield "COMMIT", slot.pre_prepare.view, seq
