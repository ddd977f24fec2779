"""The witness: the ledger's own order is a linearization of what clients saw, which is checked in O(n log n).

Where a history has a witness there is nothing to search for (`linearizability`), so this one judges histories of any
length, all keys in one order. It asks for more than linearizability: the order must be the ledger's.

- What was answered as done is in the ledger, at the place that its receipt names, and what was dropped is not.
- Every result, and every read at its height, is what replaying the ledger on the model gives.
- What had returned before another was called has its place before it. A read's place is after its block; one that
  claims no freshness has no place in time, and only to be right for its height.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from math import inf
from typing import Any, TypeVar

from bftledger.base.ids import Seq
from bftledger.check.history import Dropped, Operation
from bftledger.check.models import KEY_VALUE, Model
from bftledger.check.violation import Violation, first

ORACLE = "witness"

S = TypeVar("S", bound=Hashable)

Ledger = Sequence[Sequence[Operation | None]]
"""The operations of each block, from block 0, the genesis block, on (`history.ledger_operation`); None for a
transaction that is no operation."""

_Place = tuple[int, float]
"""Height and index; a read is behind all of its block."""


def check_witness(
    history: Iterable[Operation],
    ledger: Ledger,
    model: Model[Any] = KEY_VALUE,
) -> list[Violation]:
    """How the ledger's order does not explain `history`. Operations that were not answered may be in it or not.

    Those that write have ids, no two the same. Transactions of the ledger that nobody here called are replayed, too.
    """
    return first(_violations(list(history), ledger, model))


def _violations(history: Sequence[Operation], ledger: Ledger, model: Model[S]) -> Iterator[Violation]:
    calls = {operation.id: operation for operation in history if not operation.is_read}
    reads: dict[int, list[Operation]] = {}
    for operation in history:
        if operation.is_read and operation.is_answered:
            reads.setdefault(-1 if operation.height is None else operation.height, []).append(operation)
    yield from _replay(calls, reads, ledger, model)
    yield from _misplaced(calls, reads, ledger)
    yield from _too_early(_placed(calls, reads, ledger))


def _replay(
    calls: dict[bytes, Operation], reads: dict[int, list[Operation]], ledger: Ledger, model: Model[S]
) -> Iterator[Violation]:
    """Every result follows from what is before it in the ledger."""
    states: dict[bytes, S] = {}
    for height, block in enumerate(ledger):
        for index, entry in enumerate(block):
            if entry is None:
                continue
            state = states.get(entry.key, model.initial)
            fits, states[entry.key] = model.step(state, entry)
            unexplained = f"does not follow from the ledger before it, block {height}, place {index}"
            if not fits:
                yield _wrong(entry, unexplained, height)
            call = calls.get(entry.id)
            if call is None:
                continue
            if (call.kind, call.key, call.args) != (entry.kind, entry.key, entry.args):
                yield _wrong(call, f"is {entry.kind} of something else in block {height}", height)
            elif call.is_answered and isinstance(call.result, Dropped):
                yield _wrong(call, f"is in block {height} nevertheless", height)
            elif call.is_answered and fits and not model.step(state, call)[0]:
                yield _wrong(call, unexplained, height)
        for read in reads.get(height, ()):
            if not model.step(states.get(read.key, model.initial), read)[0]:
                yield _wrong(read, f"is not what block {height} left", height)


def _misplaced(calls: dict[bytes, Operation], reads: dict[int, list[Operation]], ledger: Ledger) -> Iterator[Violation]:
    """What was answered is where its receipt says, or its height."""
    for operation in calls.values():
        if not operation.is_answered or isinstance(operation.result, Dropped):
            continue
        height, index = operation.height, operation.index
        if height is None or index is None:
            yield _wrong(operation, "was answered without a place in the ledger", None)
        elif not 0 <= height < len(ledger) or not 0 <= index < len(ledger[height]):
            yield _wrong(operation, f"has a place that the ledger does not have: block {height}, {index}", height)
        else:
            entry = ledger[height][index]
            if entry is None or entry.id != operation.id:
                yield _wrong(operation, f"is not at its place in block {height}, {index}", height)
    for height, found in sorted(reads.items()):
        if not 0 <= height < len(ledger):
            for read in found:
                yield _wrong(read, f"is of a block that the ledger does not have, {read.height}", read.height)


def _placed(
    calls: dict[bytes, Operation], reads: dict[int, list[Operation]], ledger: Ledger
) -> list[tuple[Operation, _Place]]:
    """Everything with a place in time. A call that is in the ledger has one, answered or not."""
    placed: list[tuple[Operation, _Place]] = []
    for height, block in enumerate(ledger):
        for index, entry in enumerate(block):
            if entry is not None and entry.id in calls:
                placed.append((calls[entry.id], (height, index)))
        placed += [(read, (height, inf)) for read in reads.get(height, ()) if read.is_fresh]
    return placed


def _too_early(placed: Sequence[tuple[Operation, _Place]]) -> Iterator[Violation]:
    """No place is before that of anything that had returned when it was called."""
    returns = sorted(
        (operation.returned, place, number)
        for number, (operation, place) in enumerate(placed)
        if operation.is_answered and operation.returned is not None
    )
    passed = 0
    latest: tuple[_Place, int] | None = None
    for operation, place in sorted(placed, key=lambda entry: entry[0].invoked):
        while passed < len(returns) and returns[passed][0] < operation.invoked:
            latest = max(latest or returns[passed][1:], returns[passed][1:])
            passed += 1
        if latest is not None and place < latest[0]:
            earlier = placed[latest[1]][0]
            what = f"has its place before {earlier}, which had returned when it was called"
            yield _wrong(operation, f"{what}: block {place[0]}, not {latest[0][0]}", place[0])


def _wrong(operation: Operation, what: str, height: int | None) -> Violation:
    return Violation(ORACLE, f"{operation} {what}", None if height is None else Seq(height), (operation.client,))
