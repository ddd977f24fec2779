"""What the clients of a run did and saw, as the oracles want it."""

from collections.abc import Iterable, Iterator

from bftledger.apps.machine import Result as LedgerResult
from bftledger.base.ids import Digest, Millis, TxId
from bftledger.base.transaction import decode
from bftledger.check.durability import Acknowledgement, Held
from bftledger.check.expiry import Expired
from bftledger.check.fates import Place, Told
from bftledger.check.history import CAS, GET, PUT, Dropped, Operation, Read, Result, ledger_operation, result_of
from bftledger.ledger.block import Block
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
    outcome = call.outcome
    assert outcome is not None, "an answered write has an outcome"
    if outcome.state is State.EXPIRED:
        return Dropped()
    assert outcome.receipt is not None, "what is in the ledger has a receipt"
    return result_of(call.kind, outcome.receipt.result)


def tellings(clients: Iterable[Client]) -> Iterator[Told]:
    """All that clients were told about their transactions."""
    for call, asked, told, outcome in _outcomes(clients):
        receipt = outcome.receipt
        place = None if receipt is None else Place(receipt.header.height, receipt.index, receipt.result.ok)
        yield Told(outcome.tx_id, _named(call), asked, told, outcome.state, place)


def _outcomes(clients: Iterable[Client]) -> Iterator[tuple[Call, int, int, Outcome]]:
    """What each submission ended in, and each question after a fate; with when it was asked and told."""
    for client in clients:
        for call in client.calls:
            if call.outcome is not None and call.returned is not None:
                yield call, call.since, call.returned, call.outcome
        for asked in client.asked:
            if asked.outcome is not None and asked.told is not None:
                yield asked.call, asked.asked, asked.told, asked.outcome


def places(disk: Disk) -> dict[TxId, Place]:
    """Where the transactions are that a replica has, and whether they had their effect."""
    found: dict[TxId, Place] = {}
    for rows in disk.rows():
        results = [LedgerResult.decode(data) for data in Block.decode(rows.block).results]
        for index, (tx_id, result) in enumerate(zip(rows.tx_ids, results, strict=True)):
            found[tx_id] = Place(rows.height, index, result.ok)
    return found


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
    receipts = [outcome.receipt for *_, outcome in _outcomes(clients) if outcome.receipt]
    return [
        Acknowledgement(
            tx_id=receipt.transaction.id,
            height=receipt.header.height,
            block_hash=receipt.header.hash,
            index=receipt.index,
        )
        for receipt in receipts
    ]


def ledger_of(disk: Disk, genesis_block: Digest) -> list[Held]:
    """A replica's blocks as the oracle of durability wants them, from the genesis block on."""
    return [Held(genesis_block, ()), *(Held(rows.block_hash, tuple(rows.tx_ids)) for rows in disk.rows())]


def ledger_operations(disk: Disk, genesis_hash: Digest) -> list[list[Operation | None]]:
    """The operations of each block that a replica has, from the genesis block on."""
    found: list[list[Operation | None]] = [[]]
    for rows in disk.rows():
        block = Block.decode(rows.block)
        pairs = zip(block.transactions, block.results, strict=True)
        found.append(
            [
                ledger_operation(decode(data, genesis_hash), LedgerResult.decode(result), rows.height, index)
                for index, (data, result) in enumerate(pairs)
            ]
        )
    return found
