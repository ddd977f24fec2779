"""Submitted transactions, and who waits for what becomes of them.

A transaction passes here once: well-formed, not in the ledger, signed, admissible. The application sees nothing that
nobody has signed. Then the core has it, and whoever submitted it waits, first for its block, then for the block's
certificate. Submitting it again only adds a waiter, as long as its block is unproven; after that it is a question about
the past, answered from what the round spends on requests.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from bftledger.apps.machine import INADMISSIBLE, MALFORMED, Rejected
from bftledger.base.errors import BadSignature, Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.base.transaction import decode as decode_transaction
from bftledger.engine.answers import Answer, Answers, Item, Waiter
from bftledger.engine.archive import Archive
from bftledger.engine.forgers import Forgers
from bftledger.engine.opening import Ledger
from bftledger.engine.sizes import Sizes
from bftledger.engine.work import WORK_PER_RECEIPT, Work
from bftledger.ledger.block import Block
from bftledger.ledger.client_messages import Busy, Refused, Reply, Submit
from bftledger.ledger.executor import Dropped, Executed
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.state import State
from bftledger.storage.store import Place

MAX_WAITING: Final = 40_000
"""So many submissions may wait; more are answered BUSY. Half the room is for those that are in no block: whoever sends
again what is in a block, and anybody can, must leave room for what is new."""

WAITERS_PER_TRANSACTION: Final = 8
RETRY_MS: Final = Millis(250)

TURNS_PER_ROUND: Final = 4_096
"""When so many who wait for proven blocks have been given their turns, those of further blocks wait a round more."""

TOLD_PER_ROUND: Final = 256
"""Of so many transactions that are in no block does a round say so to those who waited."""


class Submissions:
    """The waiters of one replica. Methods that may answer at once return the answers."""

    def __init__(
        self,
        genesis: Genesis,
        ledger: Ledger,
        archive: Archive,
        state: State,
        door: Authenticator,
        *,
        work: Work,
        forgers: Forgers,
    ) -> None:
        """`work`: what the round under way may spend; `forgers`: who has brought bad signatures."""
        self._genesis = genesis
        self._ledger = ledger
        self._archive = archive
        self._pool = state.pool
        self._ahead_ms = Millis(2 * state.settings.clock_skew_ms)
        """By the clock of whoever this replica passes it on to, and of whoever that one does, what it takes must be
        admissible as well."""
        self._door = door
        self._work = work
        self._forgers = forgers
        self._arrived: list[tuple[Waiter, Transaction]] = []
        self._fresh: dict[TxId, Transaction] = {}
        self._waiters: dict[TxId, list[Waiter]] = {}
        self._decided: dict[Seq, dict[tuple[bytes, TxId], tuple[Waiter, int]]] = defaultdict(dict)
        """Who waits for the certificate of which block."""
        self._blocks: dict[Seq, Block] = {}
        """Those of them that were executed while somebody waited: a window at most, and what is fetched unproven."""
        self._gone: dict[TxId, Dropped | None] = {}
        """What no later block will hold, and why, if that is known: who waits for it is yet to be told."""
        self.answers = Answers(archive, work)
        self._has_proven = False
        """Whether there are too many who wait for proven blocks to be given their turns in one round."""
        self._waiting = 0
        self.refused: Counter[str] = Counter()
        """Submissions that were not taken, by the kind of reason."""

    @property
    def waiting(self) -> int:
        """How many submissions wait for an answer."""
        return self._waiting + self.answers.owed

    @property
    def is_behind(self) -> bool:
        """Whether some could be answered and are not: the round's work was spent."""
        return self.answers.owed > 0 or len(self._gone) > 0 or self._has_proven

    def sizes(self) -> Sizes:
        """What there is for those who wait, counted anew; to be asked between two rounds."""
        pending, gone, blocks = self._waiters, self._gone, self._blocks
        stranded = [tx_id for tx_id in pending if tx_id not in gone and not self.is_pending(tx_id)]
        proven = {height for height in self._decided if self.answers.proven(height) is not None}
        return Sizes(
            waiting=sum(map(len, (*pending.values(), *self._decided.values()))) + self.answers.held,
            for_one=max(map(len, pending.values()), default=0),
            overdue=0 if self.is_behind else sum(len(self._decided[height]) for height in proven),
            stranded=sum(len(pending[tx_id]) for tx_id in stranded),
            unadmitted=len(self._arrived) + len(self._fresh),
            gone=len(gone),
            unproven=len(blocks.keys() - proven),
            unwanted=sum(not self._decided.get(height) for height in blocks),
        )

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
        # Blocks can be had for the asking: anybody can send what is in them again, all of it and as often as he likes.
        proven = self.answers.proven(place.height)
        if proven is None:
            return self._submit_decided(waiter, transaction.id, place)
        if proven.block is None and not may_read:
            return None
        return [self.answers.answer(proven, [(waiter, transaction.id, place.position)])]

    def _submit_decided(self, waiter: Waiter, tx_id: TxId, place: Place) -> Iterable[Answer]:
        """Its block is here and unproven."""
        if self.waiting >= MAX_WAITING // 2 and (waiter.route, tx_id) not in self._decided[place.height]:
            self.refused["busy"] += 1
            return _busy(waiter)
        self._work.spend(WORK_PER_RECEIPT)  # for its answer, so that all together do not come to much when it is due
        self._await_certificate(waiter, tx_id, place)
        return ()

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
        if self._forgers.is_shunned(waiter.route, now):  # since it brought what came before this in the same round
            self.refused["busy"] += 1
            return _busy(waiter)
        try:
            self._ledger.check_envelope(transaction, now, ahead=self._ahead_ms)  # before its signature, which is dear
            self._door.verify_transaction(transaction)
            self._ledger.admit(transaction, now, ahead=self._ahead_ms)
        except Rejected as error:
            if tx_id in self._pool:  # a proposal may hold it that others take
                return self._wait(waiter, tx_id)
            return self._refuse(waiter, "not admissible", error.code, error.reason)
        except BadSignature as error:
            self._forgers.forged(waiter.route, now)
            return self._refuse(waiter, "bad signature", INADMISSIBLE, str(error))
        busy = self._wait(waiter, tx_id)
        if not busy:
            self._fresh[tx_id] = transaction
        return busy

    def on_no_room(self, tx_id: TxId) -> Iterable[Answer]:
        """The core had no room for a transaction."""
        self.refused["busy"] += 1
        return [answer for waiter in self._release(tx_id) for answer in _busy(waiter)]

    def on_executed(self, executed: Executed, unsettled: Collection[TxId]) -> None:
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
        for tx_id, reason in executed.dropped.items():
            if tx_id not in unsettled:
                self._give_up(tx_id, reason)

    def on_forgotten(self) -> None:
        """Who waits for what is pending no more is told what is known of it, or would wait, and take room, for ever."""
        for tx_id in self._waiters:
            if not self.is_pending(tx_id):
                self._give_up(tx_id, None)

    def on_expired(self, tx_ids: Iterable[TxId]) -> None:
        """These expired before the newest block's time: no later block can hold them."""
        for tx_id in tx_ids:
            self._give_up(tx_id, Dropped.EXPIRED)

    def on_withdrawn(self, tx_ids: Iterable[TxId]) -> None:
        """These are pending no more. Not for good, unless the ledger says so: what was created too early will be in
        time, and somebody may submit it again."""
        for tx_id in tx_ids:
            self._give_up(tx_id, None)

    def _give_up(self, tx_id: TxId, reason: Dropped | None) -> None:
        if tx_id in self._waiters:
            self._gone.setdefault(tx_id, reason)

    def settle(self) -> Iterable[Answer]:
        """Answers those whose blocks are certified by now: one answer for each connection and block.

        And those whose transactions no block will hold; all of them in turns, as far as the round's work goes.
        """
        if self._gone:
            self._tell_gone()
        self._has_proven, first = False, self._waiting
        for height in sorted(self._decided):
            proven = self.answers.proven(height)
            if proven is None:
                break
            if first - self._waiting >= TURNS_PER_ROUND:
                self._has_proven = True
                break
            proven.block = self._blocks.pop(height, None) or proven.block
            by_route: dict[bytes, list[Item]] = defaultdict(list)
            for (route, tx_id), (waiter, index) in self._decided.pop(height).items():
                by_route[route].append((waiter, tx_id, index))
            for route, items in by_route.items():
                self.answers.owe(proven, route, items)
                self._waiting -= len(items)
        return self.answers.serve()

    def _tell_gone(self) -> None:
        """Has those told who wait for some of what is gone."""
        some = list(islice(self._gone, TOLD_PER_ROUND))
        places = self._archive.places(some)
        for tx_id in some:
            reason = self._gone.pop(tx_id)
            if self.is_pending(tx_id):  # it has been submitted again, and a later block can hold it after all
                continue
            place = places.get(tx_id)
            for waiter in self._release(tx_id):
                if place is not None:
                    self._await_certificate(waiter, tx_id, place)
                else:
                    self.answers.owe_word(waiter, self._word(waiter.request_id, tx_id, reason))

    def _word(self, request_id: int, tx_id: TxId, reason: Dropped | None) -> Reply:
        """What to say of a transaction that is in no block."""
        match reason:
            case None:
                return self._archive.fate(request_id, tx_id, is_pending=False)
            case Dropped.EXPIRED:
                return self._archive.expired(request_id, tx_id)
            case _:
                self.refused["not admissible"] += 1
                return Refused(request_id=request_id, code=INADMISSIBLE, reason=reason.value)

    def _wait(self, waiter: Waiter, tx_id: TxId) -> list[Answer]:
        """Adds a waiter; returns BUSY if there is no room for one more."""
        waiters = self._waiters.get(tx_id, [])
        for i, other in enumerate(waiters):
            if other.route == waiter.route:  # who asks again wants one answer, to the newer request
                waiters[i] = waiter
                return []
        if self.waiting >= MAX_WAITING or len(waiters) >= WAITERS_PER_TRANSACTION:
            self.refused["busy"] += 1
            return _busy(waiter)
        if waiters:
            waiters.append(waiter)
        else:
            self._waiters[tx_id] = [waiter]
        self._waiting += 1
        return []

    def _await_certificate(self, waiter: Waiter, tx_id: TxId, place: Place) -> None:
        """Adds a waiter for a block, or puts it in the place of another: who asks again wants one answer."""
        waiting = self._decided[place.height]
        self._waiting += (waiter.route, tx_id) not in waiting
        waiting[waiter.route, tx_id] = (waiter, place.position)

    def _release(self, tx_id: TxId) -> list[Waiter]:
        waiters = self._waiters.pop(tx_id, [])
        self._waiting -= len(waiters)
        return waiters

    def _refuse(self, waiter: Waiter, kind: str, code: int, reason: str) -> Iterable[Answer]:
        self.refused[kind] += 1
        return [(waiter.route, Refused(request_id=waiter.request_id, code=code, reason=reason))]


def _busy(waiter: Waiter) -> list[Answer]:
    return [(waiter.route, Busy(request_id=waiter.request_id, retry_ms=RETRY_MS))]
