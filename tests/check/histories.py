"""Histories of clients: written by hand, drawn from a machine that is linearizable, judged by trying every order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from random import Random

from bftledger.apps.machine import CONFLICT, NOT_FOUND
from bftledger.check.history import Failed, Operation, Read, Result, Wrote
from bftledger.check.models import KEY_VALUE, Entry


def put(value: str, at: tuple[int, int | None], result: Result | None = None, *, by: str = "a") -> Operation:
    """A put of client `by` to the one key; without a result, nobody knows."""
    return _call("put", (value.encode(),), at, result, by)


def cas(
    version: int, value: str, at: tuple[int, int | None], result: Result | None = None, *, by: str = "a"
) -> Operation:
    return _call("cas", (version, value.encode()), at, result, by)


def delete(at: tuple[int, int | None], result: Result | None = None, *, by: str = "a") -> Operation:
    return _call("delete", (), at, result, by)


def get(at: tuple[int, int | None], value: str | None, version: int = 0, *, by: str = "a") -> Operation:
    return _call("get", (), at, Read(None if value is None else value.encode(), version), by)


def _call(
    kind: str, args: tuple[int | bytes, ...], at: tuple[int, int | None], result: Result | None, by: str
) -> Operation:
    return Operation(client=by, key=b"k", kind=kind, args=args, invoked=at[0], returned=at[1], result=result)


def explains(order: Iterable[Operation]) -> bool:
    """Whether one machine, asked in this order, answers this."""
    state: Entry = None
    for operation in order:
        fits, state = KEY_VALUE.step(state, operation)
        if not fits:
            return False
    return True


def keeps_time(order: Sequence[Operation]) -> bool:
    """Whether nothing comes after what was called when it had returned."""
    return not any(
        later.returned is not None and later.returned < earlier.invoked
        for place, earlier in enumerate(order)
        for later in order[place + 1 :]
    )


def has_an_order(history: Sequence[Operation]) -> bool:
    """The definition, word by word: some order of all that was answered and some of what was not."""
    answered = [operation for operation in history if operation.is_answered]
    open_ones = [operation for operation in history if not operation.is_answered]
    return any(
        keeps_time(order) and explains(order)
        for count in range(len(open_ones) + 1)
        for chosen in combinations(open_ones, count)
        for order in permutations([*answered, *chosen])
    )


def drawn(seed: str, count: int, *, clients: int = 3, keys: int = 1, lost: float = 0.2) -> list[Operation]:
    """What clients of one machine could see: each call has its effect at one moment between call and return.

    A share `lost` of the calls is never answered, and half of those have no effect at all. The operations come in the
    order of their effects, with their places in a ledger of blocks of at most five; a read is after a block.
    """
    chance = Random(seed)
    free = [0] * clients
    drafts: list[tuple[int, int, Operation]] = []
    for number in range(count):
        client = chance.randrange(clients)
        invoked = free[client] + chance.randrange(3)
        effect = invoked + chance.randrange(6)
        returned = effect + chance.randrange(6)
        free[client] = returned + 1
        call = Operation(
            client=f"client {client}",
            key=b"k%d" % chance.randrange(keys),
            kind=chance.choice(("put", "put", "cas", "delete", "get", "get")),
            invoked=invoked,
            returned=returned,
            id=b"id %d" % number,
        )
        args: tuple[int | bytes, ...] = ()
        if call.kind in {"put", "cas"}:
            args = (b"v%d" % number,) if call.kind == "put" else (chance.randrange(4), b"v%d" % number)
        drafts.append((effect, number, replace(call, args=args)))
    states: dict[bytes, Entry] = {}
    history = []
    height, index = 1, 0
    for _, _, call in sorted(drafts, key=lambda draft: draft[:2]):
        is_lost = chance.random() < lost
        if is_lost and chance.random() < 0.5:
            history.append(replace(call, returned=None))
            continue
        state = states.get(call.key)
        result = answer_of(call, state)
        _, states[call.key] = KEY_VALUE.step(state, call)
        if index and (call.is_read or index == 5):
            height, index = height + 1, 0
        if call.is_read:
            told = replace(call, result=result, height=height - 1)
        else:
            told = replace(call, result=result, height=height, index=index)
            index += 1
        history.append(replace(told, returned=None, result=None) if is_lost else told)
    return history


def ledger_of(history: Iterable[Operation]) -> list[list[Operation | None]]:
    """The blocks of what `drawn` placed, as a replica has them."""
    blocks: list[list[Operation | None]] = [[]]
    for operation in history:
        if operation.index is not None and operation.height is not None:
            if operation.height == len(blocks):
                blocks.append([])
            blocks[operation.height].append(replace(operation, client="somebody", returned=None))
    return blocks


def answer_of(call: Operation, state: Entry) -> Result:
    """The right answer of `apps.kv` in this state, said a third time."""
    version = state[0] if state else 0
    if call.kind == "get":
        return Read(state[1] if state else None, version)
    if call.kind == "delete":
        return Wrote(0) if state else Failed(NOT_FOUND)
    if call.kind == "cas" and call.args[0] != version:
        return Failed(CONFLICT)
    return Wrote(version + 1)


def disturbed(history: Sequence[Operation], chance: Random) -> list[Operation]:
    """The same calls with one answer or one time changed: it may still have an order, or not."""
    changed = list(history)
    place = chance.randrange(len(changed))
    victim = changed[place]
    match chance.randrange(3):
        case 0 if victim.returned is not None:
            later = victim.returned + chance.randrange(8)
            changed[place] = replace(victim, invoked=victim.returned, returned=later)
        case 1:
            changed[place] = replace(victim, result=Wrote(chance.randrange(4)), returned=victim.returned or 90)
        case _:
            seen = Read(b"v%d" % chance.randrange(len(changed)), chance.randrange(4))
            changed[place] = replace(victim, kind="get", args=(), result=seen, returned=victim.returned or 90)
    return changed
