"""Questions that are answered at once: about the past, and how the replica is.

What has to be read for an answer is work, beyond what counts for the question itself.
"""

from typing import Final, assert_never

from bftledger import __version__
from bftledger.base.ids import Millis, ReplicaId, TxId
from bftledger.engine.archive import Archive
from bftledger.engine.submissions import Submissions
from bftledger.engine.work import BLOCK_BYTES_PER_WORK, WORK_PER_LEAF, Work
from bftledger.ledger.client_messages import (
    AskBlock,
    AskBlocks,
    AskFate,
    AskReceipt,
    BlockReply,
    Fate,
    ReceiptReply,
    Reply,
    StatusReply,
)
from bftledger.pbft.state import State

HEARD_MS: Final = 3_000
"""A replica counts as heard if a message of its came within this time."""


class Questions:
    """Answers them for one replica."""

    def __init__(self, archive: Archive, submissions: Submissions, state: State, work: Work) -> None:
        """`work`: what the round under way may spend."""
        self._archive = archive
        self._submissions = submissions
        self._state = state
        self._work = work
        self._heard: dict[ReplicaId, Millis] = {}
        self._started: Millis | None = None

    def started(self, now: Millis) -> None:
        """The replica begins to run."""
        self._started = now

    def heard(self, replica: ReplicaId, now: Millis) -> None:
        """A peer handed over an authentic message."""
        self._heard[replica] = now

    def look_up(self, request: AskFate | AskReceipt | AskBlock | AskBlocks) -> Reply:
        """The answer to a question about the past."""
        number = request.request_id
        match request:
            case AskFate(tx_id=tx_id):
                return self._fate(number, tx_id)
            case AskReceipt(tx_id=tx_id):
                place = self._archive.place(tx_id)
                receipt = self._archive.receipt(place) if place else None
                if receipt is None:
                    return self._fate(number, tx_id)
                self._work.spend(WORK_PER_LEAF * receipt.header.count)
                return ReceiptReply(request_id=number, receipt=receipt.encode())
            case AskBlock(height=height):
                reply = self._archive.block_reply(number, height)
                if isinstance(reply, BlockReply):
                    self._work.spend(len(reply.block) // BLOCK_BYTES_PER_WORK)
                return reply
            case AskBlocks(count=count):
                self._work.spend(WORK_PER_LEAF * count)
                return self._archive.newest_blocks(number, count)
            case _:
                assert_never(request)

    def _fate(self, request_id: int, tx_id: TxId) -> Fate:
        fate = self._archive.fate(request_id, tx_id, is_pending=self._submissions.is_pending(tx_id))
        if fate.height:
            self._work.spend(WORK_PER_LEAF * self._archive.header(fate.height).count)
        return fate

    def status(self, request_id: int, now: Millis) -> StatusReply:
        """How the replica is."""
        state = self._state
        heard = {i for i, at in self._heard.items() if now - at <= HEARD_MS} | {state.me}
        return StatusReply(
            request_id=request_id,
            replica=state.me,
            view=state.view,
            active=state.active,
            primary=state.primary,
            stable=state.low,
            executed=state.executed,
            pending=len(state.pool),
            heard=sum(1 << i for i in heard),
            convicted=sum(1 << i for i in state.witness.convicted),
            uptime_ms=Millis(max(0, now - (now if self._started is None else self._started))),
            version=__version__,
        )
