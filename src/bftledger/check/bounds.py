"""Bounds: whatever a peer or client can make grow has a limit, and is within it.

`pbft.invariants` asserts what is true inside the core after each step; this measures, for whoever wants to see how near
a run came to its limits, and holds for anything else that has a size.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bftledger.check.violation import Violation, first
from bftledger.pbft.early import SEATS
from bftledger.pbft.pace import PROPOSALS as TIMED
from bftledger.pbft.rooms import CLIENTS, PROPOSALS
from bftledger.pbft.settings import MAX_BATCH_COUNT
from bftledger.pbft.state import State

ORACLE = "bounds"

_NAMES: Final = {CLIENTS: "clients", PROPOSALS: "earlier proposals"}


class Bound(NamedTuple):
    """Something that has `size`, and may have `limit` at most."""

    name: str
    size: int
    limit: int


def exceeded(bounds: Iterable[Bound], whose: str = "") -> list[Violation]:
    """What is larger than it may be."""
    owner = f" at {whose}" if whose else ""
    return first(
        Violation(ORACLE, f"{bound.name}{owner}: {bound.size}, at most {bound.limit}")
        for bound in bounds
        if bound.size > bound.limit
    )


def state_bounds(state: State) -> Iterator[Bound]:
    """Everything that grows in the core."""
    n, window = state.group.n, state.settings.window
    yield Bound("slots of the log", len(state.slots), 2 * window)
    if state.slots:
        slots = state.slots.values()
        yield Bound("proposals of a slot", max(len(slot.proposals) for slot in slots), n)
        for kind in ("prepares", "commits", "checkpoints"):
            yield Bound(f"{kind} of a slot", max(len(getattr(slot, kind)) for slot in slots), n)
    yield Bound("view changes", len(state.view_changes), n)
    yield Bound("kinds of messages of views that have yet to begin", len(state.early), 2 * n)
    most = max(map(len, state.early.values()), default=0)
    yield Bound("messages of a kind and a replica for a view that has yet to begin", most, SEATS)
    yield Bound("replicas not heard", len(state.unheard), n)
    yield Bound("answers to peers", len(state.answered), n * (2 * window + 3))
    yield from _pool_bounds(state)
    yield from _pace_bounds(state)


def _pool_bounds(state: State) -> Iterator[Bound]:
    """A single transaction always finds room, however large it is, so bytes count from the second on."""
    pool, settings = state.pool, state.settings
    for whose, room in pool.rooms().items():
        name = _NAMES.get(whose, f"replica {whose}")
        yield Bound(f"transactions in the room of {name}", room.count, max(room.max_count, 1))
        if room.count > 1:
            yield Bound(f"bytes in the room of {name}", room.bytes, room.max_bytes)
    yield Bound("transactions of one sender", max(pool.shares().values(), default=0), settings.pool_share)
    # What is in nobody's room was brought by proposals of the current view, for numbers that are not executed here.
    brought = len(pool) - len(pool.origins())
    yield Bound("transactions brought by proposals", brought, 2 * settings.window * MAX_BATCH_COUNT)


def _pace_bounds(state: State) -> Iterator[Bound]:
    """What is timed of the primary.

    Sharing what is pending longest may take twice the room that there is for what is passed on (`passing.Passing`).
    A proposal that is kept back is for a number of the log whose block is not executed, and one before it is missing.
    """
    pool, pace = state.pool, state.pace
    room = pool.passing.out
    limit = max(2 * room.max_count, 1)
    yield Bound("transactions passed on that wait", room.count, limit)
    with_primary = [tx_id for tx_id in pace.probes if tx_id in pool.waiting and pool.passing.passed(tx_id) is not None]
    yield Bound("transactions timed that wait", len(with_primary), limit)
    in_log = [seq for seq in pace.kept_back if seq in state.slots]
    yield Bound("proposals kept back", len(in_log), 2 * state.settings.window)
    yield Bound("times of one proposal kept back", max(map(len, pace.kept_back.values()), default=0), 4)
    executed = sum(seq <= state.executed for seq in pace.kept_back)
    yield Bound("proposals kept back that are executed", executed, 0)
    yield Bound("agreements timed", len(pace.accepted), TIMED)
    yield Bound("agreements timed that are executed", sum(seq <= state.executed for seq in pace.accepted), 0)
