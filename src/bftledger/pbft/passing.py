"""What a backup passes on to the primary, and what it has told all others of.

The submissions of its own clients go first, in turns, and never more at a time than a batch, nor than half the room
that it has there; what others told it may have a quarter of that, or one of them could fill it; what it makes known to
all takes as much again. So an honest primary takes all of it, however loaded it is; unless what this replica passed on
in an earlier run is still there.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from bftledger.base.ids import Millis, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft.rooms import Room, batches, room_for_others, room_out
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import Crowd, Queue, Source, cost, least_cost
from bftledger.pbft.waiting import Waiting


class Moment(NamedTuple):
    """A point in a replica's run: status ticks so far, work of primaries so far (`suspicion.work`), and what they have
    taken from their pools so far, by what it costs them in turns (`turns.cost_of`)."""

    tick: int
    work: int
    taken: int


START: Final = Moment(0, 0, 0)


class Passed(NamedTuple):
    """What the primary has: since when, and what it cost in turns with all from here that waited there then."""

    transaction: Transaction
    since: Moment
    ahead: int


class Passing:
    """Of the current view: what is to be passed on, what was, and since when the primary has it."""

    def __init__(self, settings: Settings, n: int) -> None:
        self._settings = settings
        self._least = least_cost(settings)
        self._own = Crowd(least_cost(settings))
        self._others = Queue()
        """What waits and was not passed on: this replica's clients' submissions, and all else."""
        self._passed: dict[TxId, Passed] = {}
        """What was passed on to the primary alone."""
        self._shared: dict[TxId, Passed] = {}
        """What others know as well."""
        self._out = room_out(settings, n)
        self._is_out: set[TxId] = set()
        """What was passed on and still waits."""
        self._cost = 0
        """What that costs in turns (`turns.cost`)."""
        self._before = 0
        """What an earlier run of this replica may have passed on costs at most, which it does not know of."""
        self._others_out = room_for_others(settings, n)
        self._is_others: set[TxId] = set()
        """Of that, what was passed on because others had told of it."""
        self._expired: dict[TxId, tuple[Transaction, bool]] = {}
        """What had expired when its turn came, and whether it is of a client of this replica."""
        self._expired_at = Millis(0)
        self._refused: list[Source] = []
        """Whose next finds no room: nothing more of them until something has left."""

    def restarted(self) -> None:
        """This replica has run before, and may have passed on as much as there is room for."""
        room = self._out
        self._before = 2 * (room.max_count * self._least + room.max_bytes)

    @property
    def has_more(self) -> bool:
        """Whether anything waits that was not passed on."""
        return bool(self._own or self._others.waiting or self._expired)

    @property
    def out(self) -> Room:
        """How much was passed on and still waits."""
        return self._out

    def put(self, transaction: Transaction, *, is_own: bool) -> None:
        """One more waits that the primary may not know. `is_own`: a client of this replica submitted it."""
        if transaction.id in self._passed or transaction.id in self._shared:
            return
        self._expired.pop(transaction.id, None)
        if is_own:
            self._others.waiting.pop(transaction.id, None)
            self._own.put(transaction)
        else:
            self._others.waiting[transaction.id] = transaction

    def stop(self, transaction: Transaction) -> None:
        """A proposal contains it: it need not be passed on, and takes no room at the primary any more."""
        tx_id = transaction.id
        self._is_known(transaction)
        if tx_id in self._is_out:
            self._is_out.remove(tx_id)
            self._out.remove(len(transaction.encoded))
            self._cost -= cost(transaction, self._least)
        if tx_id in self._is_others:
            self._is_others.remove(tx_id)
            self._others_out.remove(len(transaction.encoded))

    def forget(self, transaction: TxId) -> None:
        """A block settled it."""
        self._passed.pop(transaction, None)
        self._shared.pop(transaction, None)

    def clear(self) -> None:
        """A view ended: the next primary was given nothing."""
        self._own.clear()
        for held in (self._others.waiting, self._passed, self._shared, self._expired):
            held.clear()
        self._is_out.clear()
        self._is_others.clear()
        self._refused.clear()
        for room in (self._out, self._others_out):
            room.count = room.bytes = 0
        self._cost = self._before = 0

    def pass_on(self, now: Moment, clock: Millis) -> tuple[Transaction, ...]:
        """What the primary should get next, as much as is certain to find room there.

        What has expired by the `clock`, in milliseconds since the epoch, is not passed on, unless that is set back: the
        next block settles it here, and until then it would take the room of others.
        """
        if self._expired and clock < self._expired_at:
            again, self._expired = self._expired, {}
            for transaction, is_own in again.values():
                self.put(transaction, is_own=is_own)
        own, expired = self._next_of(self._own, now, clock, self._out)
        for passed in own:
            self._own.remove(passed.transaction)
            self._passed[passed.transaction.id] = passed
        for transaction in expired:
            self._own.remove(transaction)
            self._set_aside(transaction, clock, is_own=True)
        others, expired = self._next_of(self._others, now, clock, self._out, self._others_out)
        for passed in others:
            tx_id = passed.transaction.id
            del self._others.waiting[tx_id]
            self._shared[tx_id] = passed
            self._is_others.add(tx_id)
        for transaction in expired:
            del self._others.waiting[transaction.id]
            self._set_aside(transaction, clock, is_own=False)
        return tuple([passed.transaction for passed in (*own, *others)])

    def share(self, transactions: Iterable[Transaction], waiting: Waiting, now: Moment) -> tuple[Transaction, ...]:
        """These, as far as one RELAY may hold them, for all to know. What waits of them takes room at the primary: the
        first that might find none there, and all after it, stay for later."""
        shared: list[Transaction] = []
        for transaction in next(batches(transactions, self._settings), ()):
            tx_id = transaction.id
            if tx_id in waiting and tx_id not in self._is_out:
                if not self._out.has_place_for(len(transaction.encoded), times=2):
                    break
                self._out.add(len(transaction.encoded))
                self._count_as_out(transaction)
            self._is_known(transaction)
            self._passed.pop(tx_id, None)
            self._shared.setdefault(tx_id, Passed(transaction, now, self._before + self._cost))
            shared.append(transaction)
        return tuple(shared)

    def passed_first(self, count: int) -> list[Passed]:
        """The `count` that were passed on to the primary alone first."""
        return list(islice(self._passed.values(), count))

    def shared(self) -> Iterable[Passed]:
        """What the primary and the others know: what they have known longest comes first."""
        return self._shared.values()

    def awaits_room(self, transaction: Transaction) -> bool:
        """Whether it is to be passed on, and was not yet."""
        return transaction in self._own or transaction.id in self._others.waiting

    def passed(self, transaction: TxId) -> Passed | None:
        """How the primary got it from here; None if it was not passed on in this view."""
        return self._passed.get(transaction) or self._shared.get(transaction)

    def is_shared(self, transaction: TxId) -> bool:
        """Whether others know it as well as the primary, as far as this replica does."""
        return transaction in self._shared

    def passed_on(self) -> set[TxId]:
        """What was passed on, to the primary alone or to all."""
        return {*self._passed, *self._shared}

    def _next_of(
        self, source: Source, now: Moment, clock: Millis, *rooms: Room
    ) -> tuple[list[Passed], list[Transaction]]:
        """As much of a queue as finds a place in all these rooms, and what has expired before it."""
        chosen: list[Passed] = []
        expired: list[Transaction] = []
        if source in self._refused:
            return chosen, expired
        source.begin()
        while (head := source.head) is not None:
            if head.expires < clock:
                expired.append(head)
                source.skip()
                continue
            size = len(head.encoded)
            if not all(room.has_place_for(size) for room in rooms):
                source.refuse()
                self._refused.append(source)
                break
            for room in rooms:
                room.add(size)
            self._count_as_out(head)
            chosen.append(Passed(head, now, self._before + self._cost))
            source.advance()
        return chosen, expired

    def _set_aside(self, transaction: Transaction, clock: Millis, *, is_own: bool) -> None:
        self._expired[transaction.id] = (transaction, is_own)
        self._expired_at = clock

    def _count_as_out(self, transaction: Transaction) -> None:
        self._is_out.add(transaction.id)
        self._cost += cost(transaction, self._least)

    def _is_known(self, transaction: Transaction) -> None:
        self._refused.clear()
        if transaction in self._own:
            self._own.remove(transaction)
        self._others.waiting.pop(transaction.id, None)
        self._expired.pop(transaction.id, None)
