"""When a primary is suspected (OSDI'99 §4.4: "the backup starts a timer when it receives a request").

Differs from the paper: its timer starts anew with every request that is executed, so a primary that orders one a while
is never suspected, whoever starves; and if it did not, a primary with more work than one T can bear would be suspected
for being popular. What tells the two apart is the *work* of a primary, measured in full batches. The proposals
of an honest primary are as full as what waits allows, and what did not fit is the first in the next: of two in a row,
the count of one is exhausted or the bytes of both exceed one batch. So

- what waits longest must be settled within T, unless half a batch was ordered in that T (a queue is being worked off);
- what was passed on to the primary must be settled within 2T, unless a batch was ordered in those 2T, however often
  something else became the oldest: a slow primary is suspected as well. It is passed on to all first, and accused on
  behalf of only after another 2T, so that all accuse together;
- and no amount of work excuses a wait for longer than an honest primary's turns can make it (`patience`): a censor
  that orders what it likes at full speed, its friends' or its own, is suspected as well.

Work is what gets into blocks: what they leave out, as what is in the ledger already, is none.

This asks of an honest group that it orders a full batch within 2T; T and the batches must be chosen so. Accused is
only by who heard a quorum since its timer started: alone it would leave a view that the others stay in, and be of no
use there until they leave it, too. Time is counted in ticks of the status timer, so clocks may jump.
"""

from collections.abc import Iterable
from typing import Final

from bftledger.base.ids import Millis, Seq, TxId
from bftledger.base.transaction import Transaction
from bftledger.pbft import wire
from bftledger.pbft.effects import Broadcast, Effect, Ignored, Send, StartTimer, StopTimer
from bftledger.pbft.messages import Proposal, Relay
from bftledger.pbft.pace import Instant
from bftledger.pbft.passing import Moment, Passed
from bftledger.pbft.rooms import MAX_TRANSACTION_BYTES, Load, batches
from bftledger.pbft.settings import Settings
from bftledger.pbft.state import FORGIVEN_PER_TICK, State
from bftledger.pbft.timers import RequestTimer
from bftledger.pbft.turns import cost_of, least_cost

RELAYED: Final = 128
"""So many transactions are passed on to all at a time."""

BATCH: Final = 1_000
"""The work of ordering one full batch."""


def work(load: Load, settings: Settings) -> int:
    """How much of a full batch this is, by its count or its bytes: 0 to `BATCH`."""
    return min(BATCH, max(BATCH * load.number // settings.batch_count, BATCH * load.bytes // settings.batch_bytes))


def patience(state: State, ahead: int) -> int:
    """What an honest primary may order, by its cost in turns (`turns.cost_of`), before what it has got from here, when
    all that waits there from here, with that, costs `ahead`.

    It stands in the queue of this replica, whoever else brought it (`waiting`), and frames of one connection arrive in
    the order in which they were sent. With this there are n + 1 queues: one of each other backup, one of the primary's
    own clients, one of what earlier views left; one more does not hurt. Until this queue has got what is `ahead`, each
    of them gets as much, and at most three of the largest transactions: because turns are whole transactions, there and
    here, and because this queue may still have owed for one. In flight is what was proposed before it arrived, and
    somewhat more while it is on its way, which is a third of the way to agreement.
    """
    settings = state.settings
    largest = max(MAX_TRANSACTION_BYTES, least_cost(settings))
    turns = (state.group.n + 2) * (ahead + 3 * largest)
    in_flight = (settings.pipeline + 2) * max(settings.batch_bytes, largest)
    return turns + in_flight


def on_work(state: State, seq: Seq, load: Load) -> None:
    """The primary of this view had a proposal decided at `seq`, and so much of it is in the block."""
    _count(state, seq, load)
    state.rejoins = state.rejoins and state.lagging


def on_fetched(state: State, first: Seq, loads: Iterable[Load]) -> None:
    """Primaries had the blocks from `first` on decided, with this in each, that this replica fetched: it is work like
    any other.

    Else a primary that withholds one proposal or another from each backup in turn would be watched by none for long:
    none would have seen it work, and so none could hold against it that it worked too little. But who was cut off
    while it worked holds nothing against it: what was passed on before may never have got there. And who missed more at
    once than a primary can have in flight does not hold that against it: most of it was ordered before. No more is
    excused, or it would be of use to a primary to make each backup miss so much now and then. For f+1 honest replicas
    at least have every block counted, since the first that execute it cannot fetch it; so some f+1 of them have counted
    one of f+1 at least, and `patience` ends after f+1 times its measure at most.
    """
    before = state.taken
    for seq, load in enumerate(loads, start=first):
        _count(state, Seq(seq), load)
    if state.rejoins:
        state.excused = state.moment
    elif state.taken - before > (state.settings.pipeline + 2) * state.settings.batch_bytes:
        state.taken = before


def _count(state: State, seq: Seq, load: Load) -> None:
    if not _is_carried_over(state, seq):
        state.taken += cost_of(load, state.settings)
    state.work += work(load, state.settings)
    if state.work - state.batch_done.work >= BATCH:
        state.batch_done = state.moment
    if work(load, state.settings) >= BATCH // 2:
        state.pace.clear()  # a queue may be worked off, and they wait in it


def _is_carried_over(state: State, seq: Seq) -> bool:
    """Whether the NEW-VIEW of this view assigned `seq`: a faulty primary may have left a whole window of them."""
    return state.new_view is not None and any(each.seq == seq for each in state.new_view.pre_prepares)


def _has_too_much_come_first(state: State, since: Moment, ahead: int) -> bool:
    return state.taken - max(since, state.excused).taken > patience(state, ahead)


# ── passing on ──


def pass_on(state: State) -> list[Effect]:
    """§4.2: a request goes to the primary; a backup that got it passes it on."""
    if not state.pool.passing.has_more or not state.active or state.is_primary:
        return []
    transactions = state.pool.passing.pass_on(state.moment, state.now)
    effects: list[Effect] = [Send(state.primary, _relay(state, each)) for each in batches(transactions, state.settings)]
    if state.pace.alarmed:
        effects += _broadcast(state, state.pool.share_passed(RELAYED, state.moment))
    _time(state, transactions)
    return effects


def relay_refusal(state: State, message: Relay) -> Ignored | None:
    """Why this RELAY can change nothing; None if it might. Each transaction in it has a signature to be checked."""
    if not state.pool.has_room_for_relays_of(message.replica):
        return Ignored.SHARE_USED
    return Ignored.WASTEFUL if state.wasted[message.replica] >= FORGIVEN_PER_TICK * state.answers_per_tick else None


def on_relay(state: State, message: Relay) -> list[Effect]:
    """Takes what another replica passed on, as far as there is room for it."""
    found = [state.pool.admit_relayed(tx, message.replica) for tx in message.transactions]
    state.wasted[message.replica] += found.count(Ignored.SHARE_USED)
    return []


def _relay(state: State, transactions: tuple[Transaction, ...]) -> Relay:
    """Passes these on, to the primary to be ordered or to all to watch it with this replica."""
    return state.sign(Relay(transactions=transactions, replica=state.me, signature=wire.UNSIGNED))


def _broadcast(state: State, transactions: tuple[Transaction, ...]) -> list[Effect]:
    return [Broadcast(_relay(state, transactions))] if transactions else []


# ── what waits longest: the request timer ──


def watch_oldest(state: State) -> list[Effect]:
    """§4.4: a backup's timer runs while it waits for a request; here always for the *oldest*.

    It starts anew only when that one is settled, so ordering everybody else's does not excuse a censor. It runs
    also where it accuses nobody, at the primary, while no view is active, and while this replica lags or is alone:
    there it only makes others watch what would otherwise be known to this replica alone. And it runs when nothing
    is pending but a block has no certificate: those who have yet to execute it may lack what only a new view gives
    them. They wait for it as well, though nothing in it may be pending, because it is empty or holds what is in the
    ledger already: of the lowest block that was executed and has no certificate, f+1 correct replicas, the primary
    maybe among them, had prepared the number in that view, and accept it in any later one that assigns it. All of them
    leave, and pull the others along. What a primary has only proposed makes nobody wait: it could make a single backup
    leave at will.
    """
    if state.cut_off:
        state.rejoins = True
        state.batch_done = state.excused = state.moment  # what was not heard of was not left undone
    subject = state.waits_longest
    watched = None if subject is None else (state.view, subject)
    if watched == state.watched:
        return []
    state.watched, state.overdue = watched, None
    if subject is None:
        return [StopTimer(RequestTimer)]
    state.watched_since, state.work_at_start = state.moment, state.work
    state.unheard = state.others
    return [StartTimer(RequestTimer(state.view, subject, relayed=False), _half_timeout(state))]


def is_stalled(state: State) -> bool:
    """Whether the view is to be left, now that what waits longest has waited for T.

    For a number the primary leaves its own view: it may be one of those f+1 that others wait for to leave. For
    a transaction it passes that on, and those who get it leave if need be.
    """
    oldest = state.pool.oldest()
    if not _is_in_step(state) or state.alone or (oldest is not None and state.is_primary):
        return False
    if oldest is not None and _may_be_refused(state, oldest):
        return False
    return not works_off(state)


def works_off(state: State) -> bool:
    """Whether enough was ordered since the request timer started, and not yet too much."""
    if state.work - state.work_at_start < BATCH // 2:
        return False
    oldest, passing, since = state.pool.oldest(), state.pool.passing, state.watched_since
    if oldest is None:
        return not _has_too_much_come_first(state, since, 0)
    if passing.awaits_room(oldest):
        return True  # what came before it from here waits for the primary, and is watched itself
    passed = passing.passed(oldest.id)
    if passed is None:
        return not _has_too_much_come_first(state, since, 0)
    return not _has_too_much_come_first(state, max(passed.since, since), passed.ahead)


def go_on_watching(state: State, timer: RequestTimer) -> list[Effect]:
    """The request timer ran out and nobody is accused: the time begins anew, or all are asked to watch the primary."""
    if timer.relayed and works_off(state):
        state.work_at_start = state.work
        return [StartTimer(RequestTimer(timer.view, timer.subject, relayed=False), _half_timeout(state))]
    again = RequestTimer(timer.view, timer.subject, relayed=True)
    oldest = state.pool.share_oldest(RELAYED, state.moment)
    return [*_broadcast(state, oldest), StartTimer(again, _half_timeout(state))]


def _half_timeout(state: State) -> Millis:
    return Millis(state.suspicion_timeout() // 2)


# ── how fast the primary is, against the others: see `pace` ──


def _time(state: State, transactions: tuple[Transaction, ...]) -> None:
    """Times what is passed on now, if only the primary can delay it.

    Not what the primary passed on itself, because it has had that for longer; nor what others may refuse as created
    too late.
    """
    if state.carried_over > state.executed:
        return
    origins, passing = state.pool.origins(), state.pool.passing
    for transaction in transactions:
        if transaction.created <= state.latest and origins.get(transaction.id) != state.primary:
            state.pace.passed_on(transaction.id, state.now, state.tick, shared=passing.is_shared(transaction.id))


def on_proposed(state: State, seq: Seq, proposal: Proposal) -> None:
    """A backup accepted this proposal of its primary."""
    if state.is_primary or _is_carried_over(state, seq):
        return
    pace = state.pace
    pace.agreeing(seq, state.now)
    pace.proposed(seq, proposal.transactions)
    pace.arrived(_here_up_to(state, state.executed), _instant(state))


def is_slower_than_agreement(state: State) -> bool:
    """Whether the primary is to be accused because what all know waits longer for it than it must. At each tick."""
    pace = state.pace
    if not _may_accuse(state):
        pace.forget()
        return False
    pace.close_tick(_instant(state), state.settings, state.suspicion_timeout())
    if pace.accuses:
        pace.accused()
        return True
    return False


def on_settled_by_fetching(state: State, last: Seq, transactions: Iterable[TxId]) -> None:
    """Blocks up to `last` were fetched, and settle these."""
    state.pace.fetched(last, transactions, _here_up_to(state, last), _instant(state))


def _here_up_to(state: State, executed: Seq) -> Seq:
    """Up to which number all proposals of this view were accepted, if all blocks up to `executed` are here."""
    level = max(state.pace.level, executed)
    while (slot := state.slots.get(Seq(level + 1))) is not None and slot.pre_prepare is not None:
        level = slot.seq
    return level


def _instant(state: State) -> Instant:
    return Instant(state.now, state.tick, state.settings.status_interval_ms)


# ── what was passed on first: at each tick ──


def is_slow(state: State) -> bool:
    """Whether the primary is to be accused for what it and all others have known for too long.

    What they may have refused does not stand before what came later: else it would shield a faulty primary.
    """
    if not _may_accuse(state):
        return False
    shared = state.pool.passing.shared()
    first = next((each for each in shared if not _may_be_refused(state, each.transaction)), None)
    return first is not None and _is_overdue(state, first)


def share_overdue(state: State) -> list[Effect]:
    """Makes all watch the primary for what it alone has known for too long."""
    first = state.pool.passing.passed_first(1)
    if not first or not _may_accuse(state) or not _is_overdue(state, first[0]):
        return []
    return _broadcast(state, state.pool.share_passed(RELAYED, state.moment))


def _may_be_refused(state: State, transaction: Transaction) -> bool:
    """Whether it waits because of its time: nobody is accused for that.

    The door lets in what all others would take, so that happens only where a clock was set back.
    """
    return transaction.created > state.latest and transaction.id in state.pool.waiting


# ── who may accuse, and when ──


def is_late(state: State) -> bool:
    """Whether the primary was not judged when it should have been, because this replica lagged.

    Who lags has not seen all that the primary did, so it accuses nobody. But a primary can make one backup after the
    other lag for a moment: it withholds a proposal, and its CHECKPOINT until just before the backup would judge it. So
    that is made up for when the backup is level again and executes what was decided here. No primary prevents that: of
    any block, the first f+1 honest replicas that execute it are level then, for no quorum can have signed it before, or
    any later one. Not when blocks were fetched: who comes from far behind is level for a moment, as far as it knows.
    """
    return state.unjudged or state.overdue is not None


def _may_accuse(state: State) -> bool:
    return _is_in_step(state) and not state.is_primary


def _is_in_step(state: State) -> bool:
    return state.active and not (state.lagging or state.cut_off)


def _is_overdue(state: State, passed: Passed) -> bool:
    since = max(passed.since, state.excused)
    ticks = -(-2 * state.suspicion_timeout() // state.settings.status_interval_ms)
    waited = state.tick - max(since.tick, state.batch_done.tick)
    return waited > ticks or _has_too_much_come_first(state, since, passed.ahead)
