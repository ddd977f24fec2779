"""Linearizability: whether some order of a history's operations, in real-time order, is what one machine would answer.

Wing and Gong's search ("Testing and verifying concurrent objects", 1993) with Lowe's improvement ("Testing for
linearizability", 2017): the same set of operations that led to the same state is explored once. Keys are judged one by
one, because a history is linearizable if and only if each key's is (Herlihy and Wing, 1990).

The problem is NP-complete, so the search is bounded, and says so when it ends before it knows. Where it is too slow,
as for thousands of operations at once, the ledger itself says in which order they were (`witness`).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import groupby
from math import inf
from typing import Any, Final, NamedTuple, TypeVar

from bftledger.check.history import Operation
from bftledger.check.models import KEY_VALUE, Model
from bftledger.check.violation import Violation, first, quoted

ORACLE = "linearizability"

MAX_CONFIGURATIONS: Final = 200_000
"""So many sets of operations and states of one key are explored: about a second."""

S = TypeVar("S", bound=Hashable)


class Verdict(Enum):
    """What a search came to."""

    LINEARIZABLE = "there is such an order"
    VIOLATED = "there is none"
    UNDECIDED = "the search ended before it knew"


class Found(NamedTuple):
    """`explored`: how many configurations. `order`: as far as one was found, the longest; `stuck`: what then had no
    place, if the verdict is not LINEARIZABLE."""

    verdict: Verdict
    explored: int
    order: tuple[Operation, ...]
    stuck: Operation | None


def check_history(
    history: Iterable[Operation],
    model: Model[Any] = KEY_VALUE,
    limit: int = MAX_CONFIGURATIONS,
) -> list[Violation]:
    """What no machine would answer, key by key. Reads that claim no freshness are left out (`witness` judges them).

    A key that is undecided after `limit` configurations is reported as well, with `is_certain` False.
    """
    keys: defaultdict[bytes, list[Operation]] = defaultdict(list)
    for operation in history:
        if operation.is_fresh:
            keys[operation.key].append(operation)
    found = ((key, search(keys[key], model, limit)) for key in sorted(keys))
    return first(_violation(key, result) for key, result in found if result.verdict is not Verdict.LINEARIZABLE)


def _violation(key: bytes, found: Found) -> Violation:
    where = f"key {quoted(key)}"
    if found.verdict is Verdict.UNDECIDED:
        return Violation(ORACLE, f"{where} after {found.explored} configurations", is_certain=False)
    before = f", last {found.order[-1]};" if found.order else ""
    what = f"{where}: no order explains what was answered; {len(found.order)} operations have one{before} then not"
    assert found.stuck is not None, "a search without an order ended at some operation"
    return Violation(ORACLE, f"{what} {found.stuck}", holders=(found.stuck.client,))


class _Event:
    """A call or a return in a doubly linked list of those that the search has not placed yet."""

    __slots__ = ("before", "bit", "is_call", "next", "operation", "partner")

    def __init__(self, operation: Operation, bit: int, is_call: bool) -> None:
        self.operation = operation
        self.bit = bit
        self.is_call = is_call
        self.partner: _Event | None = None
        """A call's return; None if there was none."""
        self.before: _Event = self
        self.next: _Event | None = None

    def lift(self) -> None:
        """Takes a call and its return out of the list."""
        self._unlink()
        if self.partner is not None:
            self.partner._unlink()

    def put_back(self) -> None:
        """Undoes `lift`; the last that was lifted is put back first."""
        if self.partner is not None:
            self.partner._relink()
        self._relink()

    def _unlink(self) -> None:
        self.before.next = self.next
        if self.next is not None:
            self.next.before = self.before

    def _relink(self) -> None:
        self.before.next = self
        if self.next is not None:
            self.next.before = self


def search(operations: Sequence[Operation], model: Model[S], limit: int = MAX_CONFIGURATIONS) -> Found:
    """Looks for an order of all operations of one key that were answered; of those that were not, any may take part."""
    head, answered = _events(operations)
    state, placed = model.initial, 0
    seen: set[tuple[int, S]] = set()
    way: list[tuple[_Event, S]] = []
    longest: tuple[Operation, ...] = ()
    stuck: Operation | None = None
    event = head.next
    while placed & answered != answered:
        assert event is not None, "what was answered and has no place yet has its return in the list"
        if event.is_call:
            fits, after = model.step(state, event.operation)
            if fits and (placed | event.bit, after) not in seen:
                if len(seen) >= limit:
                    return Found(Verdict.UNDECIDED, len(seen), longest, stuck)
                placed |= event.bit
                seen.add((placed, after))
                way.append((event, state))
                state = after
                event.lift()
                event = head.next
            else:
                event = event.next
            continue
        # This one had returned before all that follow were called, and none of those before it leads on.
        if stuck is None or len(way) > len(longest):
            longest, stuck = tuple(call.operation for call, _ in way), event.operation
        if not way:
            return Found(Verdict.VIOLATED, len(seen), longest, stuck)
        event, state = way.pop()
        placed &= ~event.bit
        event.put_back()
        event = event.next
    return Found(Verdict.LINEARIZABLE, len(seen), tuple(call.operation for call, _ in way), None)


def _events(operations: Sequence[Operation]) -> tuple[_Event, int]:
    """The list of calls and returns in the order of their times, from its head on, and the set of the answered.

    At one moment calls come first: what meets there overlapped.
    """
    timed: list[tuple[int, bool, int, _Event]] = []
    answered = 0
    for number, operation in enumerate(operations):
        if operation.is_read and not operation.is_answered:
            continue  # nobody saw it, and nothing came of it
        call = _Event(operation, 1 << number, is_call=True)
        timed.append((operation.invoked, False, number, call))
        if operation.is_answered and operation.returned is not None:
            call.partner = _Event(operation, 1 << number, is_call=False)
            timed.append((operation.returned, True, number, call.partner))
            answered |= 1 << number
    timed.sort(key=lambda entry: entry[:3])
    head = last = _Event(_NOBODY, 0, is_call=False)
    for event in _likely_first([event for *_, event in timed]):
        event.before, last.next = last, event
        last = event
    return head, answered


def _likely_first(events: Iterable[_Event]) -> Iterator[_Event]:
    """Calls with no return between them, by their places in the ledger, as far as they have one.

    Any order of those is the same history. In this one the search nearly always finds its way at once; it proves
    nothing, and where the ledger is wrong it only costs time.
    """
    for _, run in groupby(events, key=lambda event: event.is_call):
        yield from sorted(run, key=_place)


def _place(event: _Event) -> tuple[float, float]:
    """A read is after all of its block; returns stay in their order."""
    operation = event.operation
    if not event.is_call:
        return 0, 0
    height, index = operation.height, operation.index
    return inf if height is None else height, inf if index is None else index


_NOBODY: Final = Operation(client="", key=b"", kind="", invoked=0)
