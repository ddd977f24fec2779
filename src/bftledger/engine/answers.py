"""Answers to submissions: about proven blocks, and those that need no proof. At once, or in turns to who has waited.

A block is read once for all who are answered in one round. While those who waited are too many for a round's work,
blocks stay in memory for them, up to a bound.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bftledger.base.ids import Seq, TxId
from bftledger.engine.archive import Archive, committed
from bftledger.engine.turns import Turns
from bftledger.engine.work import WORK_PER_ANSWER, WORK_PER_ITEM, WORK_PER_LEAF, WORK_PER_LOOKUP, WORK_PER_RECEIPT, Work
from bftledger.ledger.block import Block
from bftledger.ledger.client_messages import ReceiptReply, Reply
from bftledger.pbft.messages import CheckpointCertificate
from bftledger.storage.store import Place

ITEMS_PER_ANSWER: Final = 256

BYTES_AT_HAND: Final = 16 * 1024 * 1024
"""So much of proven blocks stays in memory for those who wait; the others are read again when somebody's turn comes."""


class Waiter(NamedTuple):
    """Whom to answer: the connection, and the number of its request."""

    route: bytes
    request_id: int


Answer = tuple[bytes, Reply]
"""A reply, and the connection that it goes to."""

Item = tuple[Waiter, TxId, int]
"""Whom to answer about which transaction, and its place in the block."""


@dataclass(slots=True, eq=False)
class Proven:
    """A block that can be told of."""

    height: Seq
    certificate: CheckpointCertificate
    """Its own, or the next."""

    block: Block | None = None
    """None: it has to be read."""

    owed: int = 0
    """So many answers have yet to be given to those who waited."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Who are answered together: of one connection."""

    proven: Proven
    items: Sequence[Item]


@dataclass(slots=True, eq=False)
class _Word:
    """What needs no proof."""

    waiter: Waiter
    reply: Reply


class Answers:
    """What one replica answers to submissions, and what it owes to those who waited."""

    def __init__(self, archive: Archive, work: Work) -> None:
        """`work`: what the round under way may spend."""
        self._archive = archive
        self._work = work
        self._due: Turns[_Batch | _Word] = Turns()
        self._at_hand: dict[Seq, Proven] = {}
        """Of which answers are owed, and what was read in this round."""
        self.owed = 0
        """To how many submissions an answer is owed."""

    @property
    def held(self) -> int:
        """The same as `owed`, counted anew."""
        return sum(len(due.items) if isinstance(due, _Batch) else 1 for due in self._due.all())

    @property
    def ranks(self) -> int:
        """How many entries the ranking of the connections has."""
        return self._due.ranks

    def at_hand(self) -> list[Proven]:
        """The proven blocks that are kept."""
        return list(self._at_hand.values())

    def proven(self, height: Seq) -> Proven | None:
        """The block of that height, if a certificate proves it."""
        proven = self._at_hand.get(height)
        if proven is None and (certificate := self._archive.proof_from(height)) is not None:
            proven = Proven(height, certificate)
        return proven

    def answer(self, proven: Proven, items: Sequence[Item]) -> Answer:
        """One answer to several requests of one connection; a receipt to one, where only a later block is certified."""
        block = proven.block
        if block is None:
            block = proven.block = self._archive.block(proven.height)
            self._work.spend(WORK_PER_LOOKUP + WORK_PER_LEAF * block.header.count)
            self._at_hand[proven.height] = proven
        waiter, _, index = items[0]
        if proven.certificate.seq > proven.height:
            self._work.spend(WORK_PER_RECEIPT + len(block.transactions[index]))
            receipt = self._archive.receipt(Place(proven.height, index), block)
            assert receipt is not None, "a certificate proves the block"
            return waiter.route, ReceiptReply(request_id=waiter.request_id, receipt=receipt.encode())
        self._work.spend(WORK_PER_ANSWER + WORK_PER_ITEM * len(items))
        places = [(waiter.request_id, tx_id, index) for waiter, tx_id, index in items]
        return waiter.route, committed(block, proven.certificate, places)

    # ── to those who have waited ──

    def owe(self, proven: Proven, route: bytes, items: Sequence[Item]) -> None:
        """These requests of one connection are to be answered in their turn."""
        self._at_hand[proven.height] = proven
        # Where only a later certificate proves it, each needs a receipt of its own.
        is_certified = proven.certificate.seq == proven.height
        most, work = (ITEMS_PER_ANSWER, WORK_PER_ANSWER) if is_certified else (1, WORK_PER_RECEIPT)
        for at in range(0, len(items), most):
            self._due.put(route, _Batch(proven, items[at : at + most]), work)
            proven.owed += 1
        self.owed += len(items)

    def owe_word(self, waiter: Waiter, reply: Reply) -> None:
        """This, too, is to be said in its turn."""
        self._due.put(waiter.route, _Word(waiter, reply), WORK_PER_ANSWER)
        self.owed += 1

    def serve(self) -> Iterable[Answer]:
        """What is owed, as far as the round's work goes."""
        answers = self._due.serve(self._work, self._serve)
        if self._at_hand:
            self._put_away()
        return answers

    def _serve(self, due: _Batch | _Word) -> Iterable[Answer]:
        if isinstance(due, _Word):
            self.owed -= 1
            self._work.spend(WORK_PER_ANSWER)
            return [(due.waiter.route, due.reply)]
        self.owed -= len(due.items)
        due.proven.owed -= 1
        return [self.answer(due.proven, due.items)]

    def _put_away(self) -> None:
        """Lets go of the blocks of which nothing is owed, and of those that are too much."""
        self._at_hand = {height: proven for height, proven in self._at_hand.items() if proven.owed}
        held = 0
        for proven in self._at_hand.values():
            if proven.block is not None:
                held += len(proven.block.encoded)
                proven.block = proven.block if held <= BYTES_AT_HAND else None
