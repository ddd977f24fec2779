"""What the clients of a run did and saw, as the oracles want it."""

from collections.abc import Iterable, Iterator

from bftledger.base.ids import Millis
from bftledger.check.answers import acknowledgement, result_told, telling
from bftledger.check.durability import Acknowledgement
from bftledger.check.expiry import Expired
from bftledger.check.fates import Told
from bftledger.check.history import CAS, GET, PUT, Operation, Read, Result
from bftledger.ledger.outcome import Outcome, State
from bftledger.sim.calls import Call
from bftledger.sim.client import Client
from bftledger.sim.host import START_MS, Disk


def operations(calls: Iterable[Call]) -> list[Operation]:
    """All calls, the unanswered too."""
    return [_operation(call) for call in calls]


def _operation(call: Call) -> Operation:
    receipt = call.outcome.receipt if call.outcome else None
    return Operation(
        client=f"client {call.client}",
        key=call.key,
        kind=call.kind,
        args=_args(call),
        invoked=call.invoked,
        returned=call.returned,
        result=_result(call),
        id=call.transaction.id if call.transaction else b"",
        height=receipt.header.height if receipt else call.height if call.kind == GET and call.returned else None,
        index=receipt.index if receipt else None,
    )


def _args(call: Call) -> tuple[int | bytes, ...]:
    if call.kind == PUT:
        return (call.value,)
    return (call.version, call.value) if call.kind == CAS else ()


def _result(call: Call) -> Result | None:
    if call.returned is None:
        return None
    if call.kind == GET:
        return Read(call.found.value, call.found.version) if call.found else Read(None, 0)
    assert call.outcome is not None, "an answered write has an outcome"
    return result_told(call.kind, call.outcome)


def tellings(clients: Iterable[Client]) -> Iterator[Told]:
    """All that clients were told about their transactions."""
    for call, asked, told, outcome in _outcomes(clients):
        yield telling(outcome, _named(call), asked=asked, told=told)


def _outcomes(clients: Iterable[Client]) -> Iterator[tuple[Call, int, int, Outcome]]:
    """What each submission ended in, and each question after a fate; with when it was asked and told."""
    for client in clients:
        for call in client.calls:
            if call.outcome is not None and call.returned is not None:
                yield call, call.since, call.returned, call.outcome
        for asked in client.asked:
            if asked.outcome is not None and asked.told is not None:
                yield asked.call, asked.asked, asked.told, asked.outcome


def _named(call: Call) -> str:
    return f"{call.kind} {call.key.decode()} of client {call.client}"


def expirations(clients: Iterable[Client]) -> list[Expired]:
    """What clients were told to have expired."""
    return [
        Expired(name=_named(call), expires=call.transaction.expires, told=Millis(START_MS + told // 1_000))
        for call, _, told, outcome in _outcomes(clients)
        if call.transaction and outcome.state is State.EXPIRED
    ]


def acknowledgements(clients: Iterable[Client]) -> list[Acknowledgement]:
    """What every receipt says that a client has verified."""
    return [acknowledgement(outcome.receipt) for *_, outcome in _outcomes(clients) if outcome.receipt]


def blocks_of(disk: Disk) -> list[bytes]:
    """The encodings of a replica's blocks, from height 1 on."""
    return [rows.block for rows in disk.rows()]
