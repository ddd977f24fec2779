"""Four processes, one of them a traitor, the others killed again and again: their clients cannot tell them from one
machine (OSDI'99 §3, safety: "the replicated service satisfies linearizability"), and their stores are what they say.

In the manner of Jepsen: what clients called and saw is judged by the oracles, and so is what is left in the files.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from bftledger.base.ids import Digest, Millis, ReplicaId
from bftledger.check.expiry import Expired
from bftledger.check.history import GET, Dropped, Operation, Read, Wrote
from bftledger.check.verdict import Seen
from bftledger.ledger import merkle
from bftledger.ledger.block import Block
from bftledger.ledger.outcome import State
from bftledger.pbft import messages, wire
from bftledger.pbft.messages import Commit
from bftledger.pbft.settings import Settings
from tests.processes.callers import KEPT, Caller, Calls
from tests.processes.group import ALL, DEADLINE_S, Observer, Processes, Statuses, deeds
from tests.processes.verdict import Left, judge, left_of, objections

TRAITOR = ReplicaId(0)
LIES = ("equivocate", "double-vote", "lie-replies", "lie-blocks")
"""To backups as primary, to all who vote, to clients, and to those who come back."""

HONEST = tuple(i for i in ALL if i != TRAITOR)
KILLS = 4
CALLERS = 5
EACH = 12
"""So many calls of each client around each kill."""


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(
        tmp_path_factory.mktemp("histories") / "home", Settings(request_timeout_ms=Millis(300))
    ) as processes:
        yield processes


@pytest.fixture(scope="module")
def calls(group: Processes) -> Calls:
    """Of a group that has stopped."""
    group.start(*HONEST)
    group.start_traitor(TRAITOR, *LIES)
    calls = asyncio.run(_call_while_replicas_die(group))
    group.kill(*group.running)
    return calls


@pytest.fixture(scope="module")
def left(group: Processes, calls: Calls) -> dict[ReplicaId, Left]:
    """In the stores of that group."""
    return left_of(group.home)


async def _call_while_replicas_die(group: Processes) -> Calls:
    calls = Calls()
    async with AsyncExitStack() as stack, Observer(group) as observer:
        clients = [await stack.enter_async_context(group.client(f"caller {i}")) for i in range(CALLERS)]
        callers = [Caller(i, client, calls) for i, client in enumerate(clients)]
        found = await observer.until(lambda found: len(found) == len(ALL), "all answer")
        for kill in range(KILLS):
            begun = len(calls.history)
            work = [asyncio.create_task(caller.call(EACH)) for caller in callers]
            await asyncio.wait_for(calls.until(begun + CALLERS * EACH // 4), DEADLINE_S)
            victim = _victim(found, kill)
            group.kill(victim)
            group.start(victim)
            await asyncio.gather(*work)
            found = await observer.until(lambda found: len(found) == len(ALL), "whoever died answers again")
        group.stop(TRAITOR)
        group.start(TRAITOR)
        await observer.settled()
    return calls


def _victim(found: Statuses, kill: int) -> ReplicaId:
    """Who leads, as most say, if that is no traitor; another one at each kill otherwise."""
    ((primary, _),) = Counter(found[i].primary for i in HONEST).most_common(1)
    return HONEST[kill % len(HONEST)] if primary == TRAITOR else primary


def test_clients_cannot_tell_a_group_that_is_attacked_and_killed_from_one_machine(
    group: Processes, calls: Calls
) -> None:
    assert calls.failed == []
    assert len(calls.history) == KILLS * CALLERS * EACH
    assert objections(group, calls.seen, [TRAITOR]) == []
    assert deeds(group) >= {*LIES} - {"lie-blocks"}, "who comes back may have asked others for blocks"


# ── it can fail: what really happened, with one thing changed ──

Doctored = tuple[Mapping[ReplicaId, Left], Seen, tuple[ReplicaId, ...]]


def stale_read(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """Somebody reads what was there before a write that had been answered."""
    written = next(one for one in seen.history if one.key == KEPT.encode() and isinstance(one.result, Wrote))
    place, read = next(
        (place, one)
        for place, one in enumerate(seen.history)
        if (one.key, one.kind) == (written.key, GET) and _ended(written) < one.invoked and one.is_answered
    )
    history = list(seen.history)
    history[place] = replace(read, result=Read(None, 0), height=0)
    return left, replace(seen, history=history), (TRAITOR,)


def lost_write(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """A write had its effect, and its client is told that it expired."""
    place, written = next((place, one) for place, one in enumerate(seen.history) if isinstance(one.result, Wrote))
    history = list(seen.history)
    history[place] = replace(written, result=Dropped(), height=None, index=None)
    tellings = [
        replace(one, state=State.EXPIRED, place=None) if one.tx_id == written.id else one for one in seen.tellings
    ]
    return left, replace(seen, history=history, tellings=tellings), (TRAITOR,)


def hasty_verdict(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """Somebody hears that a transaction has expired which lives for another minute."""
    now = time.time_ns() // 1_000_000
    return left, replace(seen, expired=[Expired("a put", Millis(now + 60_000), Millis(now))]), (TRAITOR,)


def fork(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """One replica lacks a transaction in a block."""
    return {**left, HONEST[0]: _without_a_transaction(left[HONEST[0]], seen)}, seen, (TRAITOR,)


def common_loss(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """All lack it."""
    return {i: _without_a_transaction(one, seen) for i, one in left.items()}, seen, (TRAITOR,)


def short_ledger(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """One replica has forgotten its newest blocks."""
    one = left[HONEST[1]]
    return {**left, HONEST[1]: replace(one, blocks=one.blocks[: len(one.blocks) // 2])}, seen, (TRAITOR,)


def second_vote(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """An honest replica has signed a COMMIT for something else, and another one's store has it."""
    vote = next(
        vote
        for one in left.values()
        for record in one.signed
        if isinstance(record, messages.Testimony)
        for vote in record.messages
        if isinstance(vote, Commit) and vote.replica in HONEST
    )
    signer = group.home.secrets(vote.replica).signer
    other = wire.sign(replace(vote, digest=Digest(bytes(32))), signer, group.home.genesis.genesis_hash)
    one = left[TRAITOR]
    return {**left, TRAITOR: replace(one, signed=(*one.signed, other))}, seen, (TRAITOR,)


def early_new_view(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """A replica is in a view that too few have asked for."""
    one = left[HONEST[2]]
    entered = [replace(message, view_changes=message.view_changes[1:]) for message in one.entered]
    return {**left, HONEST[2]: replace(one, entered=tuple(entered))}, seen, (TRAITOR,)


def slander(group: Processes, left: Mapping[ReplicaId, Left], seen: Seen) -> Doctored:
    """It was no traitor whom the evidence convicts."""
    return left, seen, ()


def _ended(operation: Operation) -> int:
    assert operation.returned is not None, "it was answered"
    return operation.returned


def _without_a_transaction(one: Left, seen: Seen) -> Left:
    """The first that was acknowledged and is the last of its block."""
    blocks = [Block.decode(block) for block in one.blocks]
    block = next(
        blocks[each.height - 1] for each in seen.acknowledged if each.index == blocks[each.height - 1].header.count - 1
    )
    place = block.height - 1
    transactions, results = block.transactions[:-1], block.results[:-1]
    header = replace(
        block.header,
        count=len(transactions),
        transactions_root=merkle.root(transactions),
        results_root=merkle.root(results),
    )
    doctored = Block(header=header, transactions=transactions, results=results).encoded
    return replace(one, blocks=(*one.blocks[:place], doctored, *one.blocks[place + 1 :]))


@pytest.mark.parametrize(
    ("doctored", "objecting"),
    [
        (stale_read, {"linearizability", "witness"}),
        (lost_write, {"fates", "witness"}),
        (hasty_verdict, {"expiry"}),
        (fork, {"agreement", "durability"}),
        (common_loss, {"durability", "integrity"}),
        (short_ledger, {"durability"}),
        (second_vote, {"promises"}),
        (early_new_view, {"new_views"}),
        (slander, {"evidence", "promises"}),
    ],
)
def test_one_thing_that_should_not_be_is_objected_to(
    group: Processes,
    calls: Calls,
    left: dict[ReplicaId, Left],
    doctored: Callable[[Processes, Mapping[ReplicaId, Left], Seen], Doctored],
    objecting: set[str],
) -> None:
    found = judge(group.home, *doctored(group, left, calls.seen))

    assert objecting <= {violation.oracle for violation in found}
