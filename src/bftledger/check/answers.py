"""What clients of the library are told about their transactions, as the oracles want it: from outcomes and receipts."""

from bftledger.check.durability import Acknowledgement
from bftledger.check.fates import Place, Told
from bftledger.check.history import Dropped, Result, result_of
from bftledger.ledger.outcome import Outcome, State
from bftledger.ledger.receipt import Receipt


def acknowledgement(receipt: Receipt) -> Acknowledgement:
    """What a verified receipt says."""
    return Acknowledgement(
        tx_id=receipt.transaction.id,
        height=receipt.header.height,
        block_hash=receipt.header.hash,
        index=receipt.index,
    )


def telling(outcome: Outcome, name: str, *, asked: int, told: int) -> Told:
    """What came of asking for what `name` describes, from `asked` to `told`, two times of one clock."""
    receipt = outcome.receipt
    place = None if receipt is None else Place(receipt.header.height, receipt.index, receipt.result.ok)
    return Told(outcome.tx_id, name, asked, told, outcome.state, place)


def result_told(kind: str, outcome: Outcome) -> Result | None:
    """What became of an operation of `apps.kv`; None as long as that is not known. `kind`: as in `history`."""
    if outcome.state is State.EXPIRED:
        return Dropped()
    return None if outcome.receipt is None else result_of(kind, outcome.receipt.result)
