"""The desk: the one place where clients' requests come in and answers go out.

An answer that a quorum must have signed waits for the certificate of its block; answers leave with the round that
makes them true. What clients can make grow is bounded: transactions in the core's pool, those who wait in
`submissions` and `reads`, requests in the `intake` and in `lookups`; and so is what a round spends on them.
"""

from collections import Counter
from collections.abc import Collection, Iterable

from bftledger.base.errors import Malformed
from bftledger.base.genesis import Genesis
from bftledger.base.ids import Millis, TxId
from bftledger.base.transaction import Transaction
from bftledger.engine.answers import Answer, Waiter
from bftledger.engine.archive import Archive
from bftledger.engine.aside import Aside, Stopwatch, Taken, stopped
from bftledger.engine.forgers import Forgers
from bftledger.engine.intake import MAX_FRAMES, Intake
from bftledger.engine.opening import Ledger
from bftledger.engine.questions import Questions
from bftledger.engine.reads import Reads
from bftledger.engine.submissions import RETRY_MS, Submissions
from bftledger.engine.work import (
    WORK_PER_LOOKUP,
    WORK_PER_REQUEST,
    WORK_PER_ROUND,
    Work,
    is_lookup,
    work_of,
)
from bftledger.ledger import client_wire
from bftledger.ledger.client_messages import (
    AskHeight,
    AskStatus,
    Busy,
    ErrorReply,
    Query,
    Request,
    Submit,
)
from bftledger.ledger.executor import Executed
from bftledger.pbft.authenticate import Authenticator
from bftledger.pbft.replica import Replica
from bftledger.storage.store import Store


class Desk:
    """Serves one replica's clients: `on_…` take things in, `take_…` hand them out at the end of the round."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        store: Store,
        ledger: Ledger,
        replica: Replica,
        door: Authenticator,
        stopwatch: Stopwatch = stopped,
    ) -> None:
        """`stopwatch`: by which it is said what clients take (`take_aside`)."""
        self._archive = Archive(genesis, store, ledger)
        self._work = Work()
        self._aside = Aside(stopwatch)
        self.forgers = Forgers()
        self.submissions = Submissions(
            genesis, ledger, self._archive, replica.state, door, work=self._work, forgers=self.forgers
        )
        self.reads = Reads(ledger, self._archive, self._work)
        self.questions = Questions(self._archive, self.submissions, replica.state, self._work)
        self.intake = Intake()
        self.lookups = Intake()
        """Those who need an old block read, and had their turn in a round that reads none."""
        self.put_back: dict[bytes, bytes] = {}
        """Of which connections the oldest frame waits for the turn to have a block read, and that frame."""
        self._answers: list[Answer] = []
        self._is_unsettled = False
        self._may_be_forgotten = False
        self._is_theirs_first = False
        """Whether those in `lookups` are served first in this round, if there are any."""
        self._lookups_left = 0
        self._is_paused = False
        self.dropped: Counter[str] = Counter()
        """Frames that were no requests, by the error that said so, and such as there was no room for, or a forger's."""

    # ── what happens ──

    def on_frame(self, route: bytes, frame: bytes, now: Millis) -> None:
        """A client's frame; `route` leads back to it."""
        if self.forgers.is_shunned(route, now):
            self._shun(route, frame, now)
            return
        self._keep(self.intake, route, frame)

    def _keep(self, intake: Intake, route: bytes, frame: bytes) -> None:
        for crowded_out, other in intake.put(route, frame):
            # Whoever floods makes others' frames come here, too, and no round's work covers it: only a glance, then.
            self._aside.glanced()
            if self.put_back.get(crowded_out) is other:
                del self.put_back[crowded_out]
            request_id = client_wire.request_id_of(other)
            if request_id is None:
                self.dropped[Malformed.__name__] += 1
            else:
                self.dropped["Busy"] += 1
                self._answers.append((crowded_out, Busy(request_id=request_id, retry_ms=RETRY_MS)))

    def _shun(self, route: bytes, frame: bytes, now: Millis) -> None:
        """Drops a forger's frame at a glance, and says when to come again, if it is a request."""
        self._aside.glanced()
        self.dropped["Forger"] += 1
        request_id = client_wire.request_id_of(frame)
        if request_id is not None and (retry_ms := self.forgers.tell(route, now)) is not None:
            self._answers.append((route, Busy(request_id=request_id, retry_ms=retry_ms)))

    @property
    def unsent(self) -> int:
        """How many answers are ready, and leave with the next round."""
        return len(self._answers)

    @property
    def is_behind(self) -> bool:
        """Whether somebody waits for nothing but the work of another round."""
        return len(self.intake) > 0 or len(self.lookups) > 0 or self.submissions.is_behind or self.reads.is_behind

    @property
    def has_more(self) -> bool:
        """Whether something is left for the next round."""
        return len(self.intake) > 0 or len(self.lookups) > 0 or self._is_unsettled

    @property
    def owes_receipts(self) -> bool:
        """Whether some who have submitted could be answered and are not: the round's work was spent."""
        return self.submissions.is_behind

    @property
    def waits_for_lookup(self) -> bool:
        """Whether nobody is left but those who wait for rounds that look up old blocks."""
        return len(self.lookups) > 0 and not (len(self.intake) > 0 or self._is_unsettled)

    def serve(self, now: Millis, units: int = WORK_PER_ROUND, lookups: int = MAX_FRAMES) -> None:
        """Looks at requests, as far as so much work goes, and at the submissions among them that are new.

        `lookups`: so many at most of those who need an old block read. Others whose turn it is let the rest by, and
        wait for another round.
        """
        begin_s = self._aside.stopwatch()
        self._work.begin_round(units)
        self._is_paused = units == 0
        self._lookups_left = lookups
        if lookups and units and self.lookups:  # whoever is first in a round may leave nothing
            self._is_theirs_first = not self._is_theirs_first
            if self._is_theirs_first:
                self._look_up_waiting(now)
        self._serve_in_turn(now)
        self._look_up_waiting(now)
        self._answers += self.submissions.admit(now)
        self._aside.served(units - self._work.left, self._aside.stopwatch() - begin_s)
        self._work.spend(units - WORK_PER_ROUND)  # who waits for receipts has what any round leaves

    def _serve_in_turn(self, now: Millis) -> None:
        while not self._work.is_spent and (item := self.intake.take()) is not None:
            route, frame = item
            may_read = self.put_back.pop(route, None) is frame
            if not (may_read or is_lookup(frame)):
                self._serve_one(route, frame, now)
            elif self._lookups_left:
                self._look_up_for(self.intake, route, frame, now, ranked=WORK_PER_LOOKUP if may_read else 0)
            else:
                self._work.spend(WORK_PER_REQUEST)
                self._keep(self.lookups, route, frame)

    def _look_up_waiting(self, now: Millis) -> None:
        while not self._work.is_spent and self._lookups_left and (item := self.lookups.take()) is not None:
            self._look_up_for(self.lookups, *item, now, ranked=0)

    def _look_up_for(self, intake: Intake, route: bytes, frame: bytes, now: Millis, *, ranked: int) -> None:
        """Serves one that needs an old block read. `ranked`: more work than its frame says has it had its turn for."""
        work, aside = self._work, self._aside
        self._lookups_left -= 1
        begin, begin_s = work.left, aside.stopwatch()
        self._serve_one(route, frame, now, may_read=not is_lookup(frame), intake=intake, ranked=ranked)
        aside.looked_up(begin - work.left, aside.stopwatch() - begin_s)

    def _serve_one(
        self,
        route: bytes,
        frame: bytes,
        now: Millis,
        *,
        may_read: bool = False,
        intake: Intake | None = None,
        ranked: int = 0,
    ) -> None:
        """Serves what was just taken from that intake, or from that which is for all."""
        work = self._work
        intake = self.intake if intake is None else intake  # an empty one is false
        if self.forgers.is_shunned(route, now):
            self._shun(route, frame, now)
            return
        work.spend(WORK_PER_REQUEST if may_read else work_of(frame))
        left = work.left
        if (request := self._decode(route, frame)) is None:
            return
        if not self._serve(route, request, now, may_read=may_read):
            self.put_back[route] = frame
            intake.put_back(route, frame, WORK_PER_LOOKUP)
        elif (more := left - work.left - ranked) > 0:
            intake.charge(route, more)

    def _decode(self, route: bytes, frame: bytes) -> Request | None:
        try:
            return client_wire.decode_request(frame)
        except Malformed as error:
            self.dropped[type(error).__name__] += 1
            self._answers.append((route, ErrorReply(request_id=0, text=f"not a request: {error}")))
            return None

    def _serve(self, route: bytes, request: Request, now: Millis, *, may_read: bool) -> bool:
        """Whether it has been served: a submission is not if it needs a block, unless it `may_read` one."""
        waiter = Waiter(route, request.request_id)
        self._is_unsettled = True
        match request:
            case Submit():
                answers = self.submissions.on_submit(waiter, request, may_read=may_read)
                if answers is None:
                    return False
                self._answers += answers
            case Query() | AskHeight():
                self._answers += self.reads.on_read(waiter, request)
            case AskStatus():
                self._answers.append((route, self.questions.status(request.request_id, now)))
            case _:
                self._answers.append((route, self.questions.look_up(request)))
        return True

    def on_no_room(self, tx_id: TxId) -> None:
        """The core refused a submitted transaction."""
        self._aside.had_no_room(tx_id)
        self._answers += self.submissions.on_no_room(tx_id)

    def on_executed(self, executed: Executed, unsettled: Collection[TxId]) -> None:
        """A block was executed; `unsettled` are left out of it and still pending."""
        self.submissions.on_executed(executed, unsettled)
        self._may_be_forgotten = len(unsettled) > 0
        self._is_unsettled = True

    def on_delivered(self) -> None:
        """The core knows of the block that was executed."""
        if self._may_be_forgotten:
            self.on_forgotten()

    def on_forgotten(self) -> None:
        """The core may have given up pending transactions without a word: others' blocks were installed, a view ended,
        or what a block had left out found no room."""
        self.submissions.on_forgotten()
        self._is_unsettled = True

    def on_expired(self, tx_ids: Iterable[TxId]) -> None:
        """These expired before the newest block's time, and will be withdrawn."""
        self.submissions.on_expired(tx_ids)
        self._is_unsettled = True

    def on_withdrawn(self, tx_ids: Iterable[TxId]) -> None:
        """The core gave up pending transactions: they are in the ledger, have expired, or nobody takes them now."""
        self.submissions.on_withdrawn(tx_ids)
        self._is_unsettled = True

    def on_certificate(self) -> None:
        """A block is certified."""
        self._is_unsettled = True

    # ── what comes of it ──

    def take_submitted(self) -> tuple[Transaction, ...]:
        """The transactions that clients submitted in this round and the core should be given."""
        submitted = self.submissions.take_fresh()
        self._aside.is_new(submitted)
        return submitted

    def take_aside(self) -> Taken:
        """What this round has spent on clients beside new transactions."""
        return self._aside.take()

    def take_answers(self) -> list[tuple[bytes, bytes]]:
        """Which frame to send to which connection. To be called when the round is durable.

        In a round without work for clients, reads that wait go on waiting; receipts do not.
        """
        stopwatch, receipts = self._aside.stopwatch, 0
        if self._is_unsettled:
            self._work.turn_to_waiters()
            receipts = -len(self._answers)
            self._answers += self.submissions.settle()
            receipts += len(self._answers)
            if not self._is_paused:
                self._work.turn_to_waiters()  # or those who submit would leave nothing to those who read
                begin_s = stopwatch()
                self._answers += self.reads.settle()
                self._aside.read(stopwatch() - begin_s)
                self._is_unsettled = self.submissions.is_behind or self.reads.is_behind
        answers, self._answers = self._answers, []
        begin_s = stopwatch()
        frames = [(route, client_wire.encode(reply)) for route, reply in answers]
        self._aside.answered(len(frames), receipts, stopwatch() - begin_s)
        return frames
