"""Who hears whom in which view: the part of a Twins scenario that the world performs (`sim.twins`).

A core is one process of a replica; a twin is a replica with two of them. Cores are numbered: 0 to n-1 is the first one
of each replica, and the second ones follow in the order of their replicas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bftledger.base.ids import View
from bftledger.pbft.messages import Commit, Message, NewView, Prepare, PrePrepare, Relay, Status, ViewChange

Partition = tuple[tuple[int, ...], ...]
"""Sets of cores; each core is in one of them."""

_US_PER_MS: Final = 1_000


class Held(NamedTuple):
    """Why a message does not arrive: the partition of `view` keeps it from there, or the time of `view` is over."""

    view: View
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The partition of each view from view 0 on. In a later view everybody hears everybody.

    `view_ms`: each view has so much time at most. Then its messages arrive nowhere any more, so the group must leave
    it, however well it worked there; after as many times `view_ms` as there are partitions all messages pass.
    """

    views: tuple[Partition, ...]
    view_ms: int

    @property
    def has_partitions(self) -> bool:
        """Whether anybody does not hear somebody in any view; else views only end early."""
        return any(len(partition) > 1 for partition in self.views)

    @property
    def ends_at(self) -> int:
        """When everybody hears everybody, whatever the view: milliseconds since the run began."""
        return len(self.views) * self.view_ms

    def passes(self, message: Message, sender_view: View, source: int, to: int, now: int) -> bool:
        """Whether a message from core `source` to core `to` arrives; `now` in microseconds."""
        return self.held(message, sender_view, source, to, now) is None

    def held(self, message: Message, sender_view: View, source: int, to: int, now: int) -> Held | None:
        """Why a message from core `source` to core `to` does not arrive, `now` in microseconds; None if it does.

        It belongs to the view that it names, or else to the one in which its sender is. A COMMIT goes to those who hear
        its sender in the view after: if the same ones heard PREPARE and COMMIT, what is prepared would be committed as
        well, and view changes would have nothing to carry over.

        Two kinds of messages carry nothing that could be decided, and always arrive, because without them nobody would
        ever leave a view: STATUS, as who hears no quorum accuses nobody, and RELAY. For the same reason a VIEW-CHANGE
        for a view whose time is over, sent again, arrives everywhere: only once a quorum has left for a view is the
        next one tried.
        """
        present = now // (_US_PER_MS * self.view_ms)
        if present >= len(self.views) or isinstance(message, Status | Relay):
            return None
        view = message.view if isinstance(message, _OF_A_VIEW) else sender_view
        if view < present:
            return None if isinstance(message, ViewChange) else Held(view, is_over=True)
        heard_in = View(view + 1) if isinstance(message, Commit) else view
        if heard_in >= len(self.views):
            return None
        if any(source in members and to in members for members in self.views[heard_in]):
            return None
        return Held(heard_in, is_over=False)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Script":
        """The script whose fields these are. Raises `KeyError`, `TypeError` or `ValueError` for others."""
        views = tuple(tuple(tuple(map(int, members)) for members in partition) for partition in values["views"])
        return Script(views=views, view_ms=int(values["view_ms"]))


_OF_A_VIEW: Final = (PrePrepare, Prepare, Commit, ViewChange, NewView)
