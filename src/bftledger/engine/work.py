"""What a replica spends on clients in a round, counted and not timed, in a unit that is about a byte of a request.

What a request takes is known from its first bytes, or is found out as it is served; then it counts as well, for the
round and for the connection (`intake`). Whoever still waits when all is spent is looked at in the next round.

The numbers are set for the dearest requests there are: a round of nothing else, with the largest blocks, should take
about 100 ms, so that no flood makes a replica late for peers that allow it half a second.
"""

from typing import Final

from bftledger.base.ids import Seq, TxId
from bftledger.base.transaction import TX_ID_BYTES
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import AskBlock, AskBlocks, AskFate, AskReceipt

WORK_PER_ROUND: Final = 1024 * 1024
"""What a round spends on clients: each request counts with its bytes, and with what follows."""

WORK_FOR_WAITERS: Final = WORK_PER_ROUND // 8
"""What there is, at least, for submissions that waited for a certificate, whatever the round has spent; and then, at
least, for reads that waited, whatever those have spent."""

WORK_PER_REQUEST: Final = 2 * 1024
"""For a request, which may have a signature to check."""

USUAL_BYTES: Final = 512
"""No more has a request of a few operations. What others have more, up to"""

BYTES_THAT_COUNT_TWICE: Final = 1024
"""so many bytes, counts twice: it may be many small items of a payload, each of which takes a look."""

WORK_PER_LOOKUP: Final = 96 * 1024
"""For a question about the past, or a transaction of the past, which may take the reading of a block, and"""

WORK_PER_LEAF: Final = 64
"""for each transaction of a block that was read, which is hashed with its result, or each header."""

WORK_PER_PROOF: Final = 512
"""For a value or a height with its proof, and"""

WORK_PER_SIGNATURE: Final = 16
"""for each signature in it."""

WORK_PER_RECEIPT: Final = 4 * 1024
"""For a receipt whose block is at hand; its transaction's bytes come on top of it."""

WORK_PER_ANSWER: Final = 512
"""For an answer about a block that is at hand, and"""

WORK_PER_ITEM: Final = 64
"""for each transaction in it."""

BLOCK_BYTES_PER_WORK: Final = 32
"""A block that is sent as it is takes so much less than a request of its length."""

_LOOKUPS: Final = frozenset(
    client_wire.encode(question)[: client_wire.REQUEST_OUTLINE_BYTES]
    for question in (
        AskFate(request_id=0, tx_id=TxId(bytes(TX_ID_BYTES))),
        AskReceipt(request_id=0, tx_id=TxId(bytes(TX_ID_BYTES))),
        AskBlock(request_id=0, height=Seq(0)),
        AskBlocks(request_id=0, count=1),
    )
)
"""How questions about the past begin, and no other request."""


def work_of(frame: bytes) -> int:
    """What it takes to serve a request, as far as that is known before it is decoded."""
    return work_of_submission(len(frame)) + (WORK_PER_LOOKUP if is_lookup(frame) else 0)


def is_lookup(frame: bytes) -> bool:
    """Whether a request is a question about the past."""
    return frame[: client_wire.REQUEST_OUTLINE_BYTES] in _LOOKUPS


def work_of_submission(size: int) -> int:
    """What it takes to look at a request of so many bytes, and at the signature in it."""
    return WORK_PER_REQUEST + size + min(max(0, size - USUAL_BYTES), BYTES_THAT_COUNT_TWICE)


class Work:
    """What is left for clients in the round under way."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = WORK_PER_ROUND

    @property
    def is_spent(self) -> bool:
        """Whether whatever else there is to do has to wait for the next round."""
        return self.left <= 0

    def begin_round(self, work: int = WORK_PER_ROUND) -> None:
        """So much of it is there."""
        self.left = work

    def turn_to_waiters(self) -> None:
        """The next are some who waited."""
        self.left = max(self.left, WORK_FOR_WAITERS)

    def spend(self, units: int) -> None:
        """This is being done; the last thing in a round may take more than is left."""
        self.left -= units
