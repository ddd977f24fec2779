"""Submitted transactions, and who waits for what becomes of them.

A transaction passes here once: well-formed, not in the ledger, signed, admissible. The application sees nothing that
nobody has signed. Then the core has it, and whoever submitted it waits, first for its block, then for the block's
certificate. Submitting it again only adds a waiter.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from bftledger.apps.machine import INADMISSIBLE, MALFORMED, Rejected
from bftledger.base.errors import BadSignature, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.engine.archive import Archive, committed
from bftledger.engine.opening import Ledger
from bftledger.engine.work import WORK_PER_ANSWER, WORK_PER_ITEM, WORK_PER_LEAF, WORK_PER_LOOKUP, WORK_PER_RECEIPT, Work
from bftledger.ledger.block import Block
from bftledger.ledger.client_messages import Busy, ReceiptReply, Refused, Reply, Submit
from bftledger.ledger.executor import Dropped, Executed
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.messages import CheckpointCertificate
from bftledger.pbft.state import State
from bftledger.storage.store import Place

MAX_WAITING: Final = 40_000
"""So many submissions may wait; more are answered BUSY."""

WAITERS_PER_TRANSACTION: Final = 8
ITEMS_PER_ANSWER: Final = 256
RETRY_MS: Final = Millis(250)


class Waiter(NamedTuple):
    """Whom to answer: the connection, and the number of its request."""

    route: bytes
    request_id: int


Answer = tuple[bytes, Reply]
"""A reply, and the connection that it goes to."""


class Submissions:
    """The waiters of one replica. Methods that may answer at once return the answers."""

    def __init__(
        self, genesis: Genesis, ledger: Ledger, archive: Archive, state: State, door: Authenticator, work: Work
    ) -> None:
        """`work`: what the round under way may spend."""
        self._genesis = genesis
        self._ledger = ledger
        self._archive = archive
        self._pool = state.pool
        self._ahead_ms = Millis(2 * state.settings.clock_skew_ms)
        """By the clock of whoever this replica passes it on to, and of whoever that one does, what it takes must be
        admissible as well."""
        self._door = door
        self._work = work
        self._arrived: list[tuple[Waiter, Transaction]] = []
        self._fresh: dict[TxId, Transaction] = {}
        self._waiters: dict[TxId, list[Waiter]] = {}
        self._decided: dict[Seq, dict[tuple[bytes, TxId], tuple[Waiter, int]]] = defaultdict(dict)
        self._blocks: dict[Seq, Block] = {}
        self._waiting = 0
        self.is_behind = False
        """Whether some could be answered and are not: the round's work was spent."""
        self.refused: Counter[str] = Counter()
        """Submissions that were not taken, by the kind of reason."""

    @property
    def waiting(self) -> int:
        """How many submissions wait for an answer."""
        return self._waiting

    def take_fresh(self) -> tuple[Transaction, ...]:
        """The transactions that the core has yet to be given."""
        if not self._fresh:
            return ()
        fresh = tuple(self._fresh.values())
        self._fresh.clear()
        return fresh

    def is_pending(self, tx_id: TxId) -> bool:
        """Whether the transaction was taken and is in no block."""
        return tx_id in self._fresh or tx_id in self._pool

    def on_submit(self, waiter: Waiter, request: Submit, *, may_read: bool) -> Iterable[Answer] | None:
        """Takes a submission in: if it is new, to be looked at with all others of the round (`admit`).

        None: it is in a block that has to be read. Whoever calls is to come again with it when its turn has come with
        `WORK_PER_LOOKUP`, and then it `may_read`.
        """
        try:
            transaction = decode_transaction(request.transaction, self._genesis.genesis_hash)
        except Malformed as error:
            return self._refuse(waiter, "malformed", MALFORMED, f"it is not a transaction: {error}")
        if transaction.id in self._fresh or self._pool.is_of_client(transaction.id):
            return self._wait(waiter, transaction.id)
        place = self._archive.place(transaction.id)
        if place is None:
            self._arrived.append((waiter, transaction))
            return ()
        if place.height in self._decided:  # others wait for the same block
            return self._await_certificate(waiter, transaction.id, place)
        # Blocks can be had for the asking: anybody can send what is in them again, all of it and as often as he likes.
        if not may_read:
            return None
        answers = self._await_certificate(waiter, transaction.id, place)
        if place.height in self._decided:
            self._blocks[place.height] = self._read(place.height)
        return answers

    def _read(self, height: Seq) -> Block:
        block = self._archive.block(height)
        self._work.spend(WORK_PER_LOOKUP + WORK_PER_LEAF * block.header.count)
        return block

    def admit(self, now: Millis) -> Iterable[Answer]:
        """Looks at what arrived in this round and is new: signed, admissible?"""
        arrived, self._arrived = self._arrived, []
        answers: list[Answer] = []
        for waiter, transaction in arrived:
            answers += self._admit(waiter, transaction, now)
        return answers

    def _admit(self, waiter: Waiter, transaction: Transaction, now: Millis) -> Iterable[Answer]:
        tx_id = transaction.id
        if tx_id in self._fresh:
            return self._wait(waiter, tx_id)
        if transaction.expires < self._ledger.tip.time:
            return [(waiter.route, self._archive.expired(waiter.request_id, tx_id))]
        try:
            self._door.verify_transaction(transaction)
            self._ledger.admit(transaction, now, ahead=self._ahead_ms)
        except Rejected as error:
            if tx_id in self._pool:  # a proposal may hold it that others take
                return self._wait(waiter, tx_id)
            return self._refuse(waiter, "not admissible", error.code, error.reason)
        except BadSignature as error:
            return self._refuse(waiter, "bad signature", INADMISSIBLE, str(error))
        busy = self._wait(waiter, tx_id)
        if not busy:
            self._fresh[tx_id] = transaction
        return busy

    def on_no_room(self, tx_id: TxId) -> Iterable[Answer]:
        """The core had no room for a transaction."""
        self.refused["busy"] += 1
        return [answer for waiter in self._release(tx_id) for answer in _busy(waiter)]

    def on_executed(self, executed: Executed, unsettled: Collection[TxId]) -> Iterable[Answer]:
        """A block was executed: from here on its transactions wait for a certificate, `unsettled` ones for a block."""
        block = executed.block
        decided = {
            (waiter.route, transaction.id): (waiter, index)
            for index, transaction in enumerate(executed.transactions)
            for waiter in self._waiters.pop(transaction.id, ())
        }
        if decided:
            self._decided[block.height].update(decided)
            self._blocks[block.height] = block
        answers: list[Answer] = []
        for tx_id, reason in executed.dropped.items():
            for waiter in () if tx_id in unsettled else self._release(tx_id):
                answers += self._on_dropped(waiter, tx_id, reason)
        return answers

    def on_installed(self) -> Iterable[Answer]:
        """Blocks were fetched, and what they left out is not known: who still waits for that is told what is."""
        gone = [tx_id for tx_id in self._waiters if not self.is_pending(tx_id)]
        return [
            (waiter.route, self._archive.fate(waiter.request_id, tx_id, is_pending=False))
            for tx_id in gone
            for waiter in self._release(tx_id)
        ]

    def on_withdrawn(self, tx_ids: Iterable[TxId]) -> Iterable[Answer]:
        """These are in the ledger already, or expired unordered."""
        answers: list[Answer] = []
        for tx_id in tx_ids:
            waiters = self._release(tx_id)
            place = self._archive.place(tx_id) if waiters else None
            for waiter in waiters:
                if place is not None:
                    answers += self._await_certificate(waiter, tx_id, place)
                else:
                    answers.append((waiter.route, self._archive.expired(waiter.request_id, tx_id)))
        return answers

    def settle(self) -> Iterable[Answer]:
        """Answers those whose blocks are certified by now: one answer for each connection and block.

        As far as the round's work goes, and those first whose blocks need not be read.
        """
        answers: list[Answer] = []
        unproven: Seq | None = None
        self.is_behind = False
        for height in sorted(self._decided, key=lambda height: (height not in self._blocks, height)):
            if unproven is not None and height >= unproven:
                continue
            if self._work.is_spent:
                self.is_behind = True
                break
            certificate = self._archive.proof_from(height)
            if certificate is None:
                unproven = height
            else:
                answers += self._settle_block(height, certificate)
        return answers

    def _settle_block(self, height: Seq, certificate: CheckpointCertificate) -> Iterable[Answer]:
        """Answers those who wait for this block; those for whom there is no work left go on waiting."""
        decided = self._decided.pop(height)
        block = self._blocks.pop(height, None) or self._read(height)
        answers: list[Answer] = []
        batches = _batches(decided, ITEMS_PER_ANSWER if certificate.seq == height else 1)
        while batches and not self._work.is_spent:
            batch = batches.popleft()
            self._waiting -= len(batch)
            answers.append(self._answer(batch, block, certificate))
        if batches:
            self.is_behind = True
            self._blocks[height] = block
            self._decided[height] = {
                (waiter.route, tx_id): (waiter, index) for batch in batches for waiter, tx_id, index in batch
            }
        return answers

    def _answer(self, batch: "_Batch", block: Block, certificate: CheckpointCertificate) -> Answer:
        if certificate.seq > block.height:  # proven only through a later block: each needs a receipt of its own
            ((waiter, _, index),) = batch
            self._work.spend(WORK_PER_RECEIPT + len(block.transactions[index]))
            return self._receipt(waiter, Place(block.height, index), block)
        self._work.spend(WORK_PER_ANSWER + WORK_PER_ITEM * len(batch))
        places = [(waiter.request_id, tx_id, index) for waiter, tx_id, index in batch]
        return batch[0][0].route, committed(block, certificate, places)

    def _receipt(self, waiter: Waiter, place: Place, block: Block) -> Answer:
        receipt = self._archive.receipt(place, block)
        assert receipt is not None, "a certificate proves the block"
        return waiter.route, ReceiptReply(request_id=waiter.request_id, receipt=receipt.encode())

    def _wait(self, waiter: Waiter, tx_id: TxId) -> list[Answer]:
        """Adds a waiter; returns BUSY if there is no room for one more."""
        waiters = self._waiters.get(tx_id, [])
        for i, other in enumerate(waiters):
            if other.route == waiter.route:  # who asks again wants one answer, to the newer request
                waiters[i] = waiter
                return []
        if self._waiting >= MAX_WAITING or len(waiters) >= WAITERS_PER_TRANSACTION:
            self.refused["busy"] += 1
            return _busy(waiter)
        if waiters:
            waiters.append(waiter)
        else:
            self._waiters[tx_id] = [waiter]
        self._waiting += 1
        return []

    def _await_certificate(self, waiter: Waiter, tx_id: TxId, place: Place) -> Iterable[Answer]:
        waiting = self._decided.get(place.height, {})
        if (waiter.route, tx_id) in waiting:  # who asks again wants one answer, to the newer request
            waiting[waiter.route, tx_id] = (waiter, place.position)
            return ()
        if self._waiting >= MAX_WAITING:
            self.refused["busy"] += 1
            return _busy(waiter)
        self._waiting += 1
        self._decided[place.height][waiter.route, tx_id] = (waiter, place.position)
        return ()

    def _release(self, tx_id: TxId) -> list[Waiter]:
        waiters = self._waiters.pop(tx_id, [])
        self._waiting -= len(waiters)
        return waiters

    def _on_dropped(self, waiter: Waiter, tx_id: TxId, reason: Dropped) -> Iterable[Answer]:
        if reason is Dropped.DUPLICATE:
            place = self._archive.place(tx_id)
            assert place is not None, "what is there twice is there once"
            return self._await_certificate(waiter, tx_id, place)
        if reason is Dropped.EXPIRED:
            return [(waiter.route, self._archive.expired(waiter.request_id, tx_id))]
        return self._refuse(waiter, "not admissible", INADMISSIBLE, reason.value)

    def _refuse(self, waiter: Waiter, kind: str, code: int, reason: str) -> Iterable[Answer]:
        self.refused[kind] += 1
        return [(waiter.route, Refused(request_id=waiter.request_id, code=code, reason=reason))]


_Batch = list[tuple[Waiter, TxId, int]]
"""Who are answered together: of one connection."""


def _batches(decided: Mapping[tuple[bytes, TxId], tuple[Waiter, int]], most: int) -> deque[_Batch]:
    by_route: dict[bytes, _Batch] = defaultdict(list)
    for (route, tx_id), (waiter, index) in decided.items():
        by_route[route].append((waiter, tx_id, index))
    return deque(items[at : at + most] for items in by_route.values() for at in range(0, len(items), most))


def _busy(waiter: Waiter) -> list[Answer]:
    return [(waiter.route, Busy(request_id=waiter.request_id, retry_ms=RETRY_MS))]
