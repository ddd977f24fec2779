"""The pool under whatever happens to it: its books agree, and nothing waits longer than the primary may let it."""

from collections import Counter
from itertools import chain
from random import Random
from typing import Any

import pytest

from bftledger.base.ids import Millis, ReplicaId, TxId
from bftledger.base.transaction import NONCE_BYTES, Transaction, sign
from bftledger.pbft import invariants
from bftledger.pbft.passing import Moment
from bftledger.pbft.pool import Pool
from bftledger.pbft.rooms import CLIENTS, batches
from bftledger.pbft.settings import Settings
from bftledger.pbft.turns import least_cost
from bftledger.pbft.waiting import Waiting
from tests.builders import BEGINNING, FAST, GENESIS

OPERATIONS = 300


class Run:
    """A pool, what was ever in it, the proposals under way, and the time of the ledger."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        choice = self.random.choice
        self.settings = Settings(
            pool_count=choice([8, 30, 100]),
            pool_bytes=30_000,
            pool_share=choice([3, 10, 50]),
            batch_count=choice([1, 3, 10]),
            batch_bytes=choice([500, 2_000]),
        )
        self.pool = Pool(self.settings, 4)
        self.made: list[Transaction] = []
        self.under_way: list[tuple[Transaction, ...]] = []
        self.now = Millis(1_000)
        self.moment = Moment(0, 0, 0)

    def step(self) -> None:
        """One operation, as a replica may do it."""
        self.moment = self.moment._replace(tick=self.moment.tick + 1)
        operations = [
            self.submit, self.relay, self.pass_on, self.share, self.propose, self.accept,
            self.execute, self.execute, self.end_view, self.install,
        ]  # fmt: skip
        self.random.choice(operations)()

    def submit(self) -> None:
        for transaction in self._some(5):
            self.pool.admit(transaction)

    def relay(self) -> None:
        for transaction in self._some(5):
            self.pool.admit_relayed(transaction, ReplicaId(self.random.randrange(4)))

    def pass_on(self) -> None:
        clock = self._clock()
        passed_on = self.pool.passing.pass_on(self.moment, clock)
        assert self.pool.passing.pass_on(self.moment, clock) == (), "it was all that fits"
        assert len(set(passed_on)) == len(passed_on)
        assert all(transaction.expires >= clock for transaction in passed_on)

    def share(self) -> None:
        share = self.random.choice([self.pool.share_oldest, self.pool.share_passed])
        shared = share(4, self.moment)
        assert len(list(batches(shared, self.settings))) <= 1, "one RELAY holds it"
        assert all(self.pool.passing.is_shared(transaction.id) for transaction in shared)

    def propose(self) -> None:
        clock = self._clock()
        batch = self.pool.waiting.batch(clock)
        assert all(transaction.expires >= clock for transaction in batch)
        batch = batch or self.pool.waiting.expired()
        assert bool(batch) == bool(len(self.pool.waiting))
        assert len(list(batches(batch, self.settings))) <= 1, "one proposal may hold it"
        self.pool.mark_proposed(batch)
        self.under_way.append(batch)

    def accept(self) -> None:
        batch = tuple(dict.fromkeys(self._some(3)))
        self.pool.mark_proposed(batch)
        self.under_way.append(batch)

    def execute(self) -> None:
        """A block may leave out what the proposal held, and the ledger's time goes on."""
        if not self.under_way:
            return
        batch = self.under_way.pop(0)
        left_out = {transaction.id for transaction in batch if self.random.random() < 0.1}
        self.now = Millis(self.now + self.random.randrange(5))
        self.pool.settle([transaction.id for transaction in batch if transaction.id not in left_out])
        if left_out:
            self.pool.take_back(batch)
        expired = self.pool.expired(self.now)
        assert set(expired) == {
            transaction.id for transaction in self.pool.pending() if transaction.expires <= self.now
        }
        self.pool.settle(expired)

    def end_view(self) -> None:
        if self.random.random() < 0.1:
            self.pool.return_proposed(Millis(self.now + 10))
            self.under_way.clear()

    def install(self) -> None:
        self.pool.settle([transaction.id for transaction in self._some(1)])

    def _clock(self) -> Millis:
        """A clock that jumps, more often ahead than back."""
        return Millis(self.now + self.random.randrange(-5, 15))

    def _some(self, most: int) -> list[Transaction]:
        return [self._one() for _ in range(self.random.randrange(most + 1))]

    def _one(self) -> Transaction:
        random = self.random
        if not self.made or random.random() > 0.4:
            self.made.append(
                sign(
                    FAST.signer(f"client {random.randrange(4)}"),
                    GENESIS,
                    nonce=len(self.made).to_bytes(NONCE_BYTES, "big"),
                    created=Millis(self.now + random.randrange(20)),
                    expires=Millis(self.now + 20 + random.randrange(1, 60)),
                    payload=bytes(random.choice([0, 50, 350])),
                )
            )
            return self.made[-1]
        return random.choice(self.made)


@pytest.mark.parametrize("seed", range(40))
def test_the_books_of_a_pool_agree_whatever_happens_to_it(seed: int) -> None:
    run = Run(seed)
    for _ in range(OPERATIONS):
        run.step()
        invariants.check_pool(run.pool)
        check_waiting(run.pool)
        check_passing(run.pool)


def check_waiting(pool: Pool) -> None:
    """The turns are taken by all that waits, and only by that."""
    waiting, origins = pool.waiting, pool.origins()
    ids = [transaction.id for transaction in waiting.all()]
    assert all(tx_id in origins for tx_id in ids), "what waits takes room"
    assert pool._earliest <= min([tx.expires for tx in pool.pending()], default=pool._earliest)
    for tx_id, held in waiting._held.items():
        assert held.origins[0] == origins[tx_id], "first comes whose room it takes"
        assert len(set(held.origins)) == len(held.origins), "nobody has it twice"
    assert waiting.seconded() == Counter(by for held in waiting._held.values() for by in held.origins[1:])
    if not waiting._takes_turns:
        return
    in_turn = {tx_id: held for tx_id, held in waiting._held.items() if tx_id not in waiting.aside()}
    queues: dict[Any, list[TxId]] = {who: list(queue.waiting) for who, queue in waiting._replicas.items()}
    of_clients = {who: list(queue.waiting) for who, queue in waiting._clients._queues.items()}
    assert sorted(chain(*of_clients.values())) == sorted(i for i, held in in_turn.items() if CLIENTS in held.origins)
    for who, queue in queues.items():
        assert sorted(queue) == sorted(tx_id for tx_id, held in in_turn.items() if who in held.origins)
    assert all([*queues.values(), *of_clients.values()]), "who has nothing has no queue"
    assert waiting._all.parties.keys() == queues.keys() | ({CLIENTS} if of_clients else set())
    assert waiting._clients.parties.keys() == of_clients.keys()
    for turns in (waiting._all, waiting._clients):
        assert turns._starts.keys() == turns.parties.keys(), "who has something has a turn"


def check_passing(pool: Pool) -> None:
    """What waits is to be passed on, or was; what was and still waits takes room at the primary."""
    passing, waiting = pool.passing, {transaction.id for transaction in pool.waiting.all()}
    own = {tx_id for queue in passing._own._queues.values() for tx_id in queue.waiting}
    others, passed, shared = set(passing._others.waiting), set(passing._passed), set(passing._shared)
    to_be = own | others | passing._expired.keys()
    sizes = [len(transaction.encoded) for transaction in pool.pending() if transaction.id in passing._is_out]
    assert passing._is_out <= waiting & (passed | shared), "what is out was passed on, and waits"
    assert (passing.out.count, passing.out.bytes) == (len(sizes), sum(sizes)), "the room knows what is in it"
    assert passing.out.count <= max(1, 2 * passing.out.max_count), "no more is out than there is room for"
    assert passing.out.bytes <= 2 * passing.out.max_bytes or passing.out.count == 1
    states = (own, others, passing._expired, passed, shared)
    assert sum(map(len, states)) == len(to_be | passed | shared), "one state each"
    assert to_be <= waiting <= to_be | passed | shared, "what waits is to be passed on, or was"
    assert passing.has_more == bool(to_be)


@pytest.mark.parametrize("seed", range(30))
def test_what_stands_in_a_replicas_queue_waits_only_until_all_others_have_got_as_much(seed: int) -> None:
    """turns.py: "until every other party was served for c, and for one transaction more". Whoever keeps coming, and
    whoever brought it as well. A backup's patience is longer (`suspicion.patience`)."""
    random = Random(seed)
    settings = Settings(batch_count=random.choice([1, 4, 9]), batch_bytes=1_500)
    least, waiting, mine = least_cost(settings), Waiting(settings), ReplicaId(1)
    parties = [CLIENTS, mine, ReplicaId(2), ReplicaId(3)]
    allowed: dict[TxId, int] = {}
    queue: dict[TxId, int] = {}
    cost: dict[TxId, int] = {}
    chosen = made = waited = 0
    for _ in range(150):
        for origin in random.choices(parties, weights=[5, random.random(), 2, 1], k=random.randrange(12)):
            made += 1
            transaction = sign(
                FAST.signer(f"client {made % 3}"), GENESIS, nonce=made.to_bytes(NONCE_BYTES, "big"), created=Millis(1),
                expires=Millis(100), payload=bytes(random.choice([0, 300])),
            )  # fmt: skip
            cost[transaction.id] = max(least, len(transaction.encoded))
            waiting.put(transaction, origin)
            if origin != mine and random.random() < 0.1:
                waiting.second(transaction.id, mine, most=1_000)
            elif origin != mine:
                continue
            queue[transaction.id] = cost[transaction.id]
            largest = max(cost.values())
            allowed[transaction.id] = chosen + len(parties) * (sum(queue.values()) + 3 * largest)
        for transaction in waiting.batch(BEGINNING):
            chosen += cost[transaction.id]
            waiting.remove(transaction.id)
            if queue.pop(transaction.id, None):
                assert chosen <= allowed.pop(transaction.id)
                waited += 1

    assert waited > 20
    assert len(waiting), "there is always more than can be had"


def test_what_expires_at_the_time_of_a_block_is_expired_after_it() -> None:
    """The next block is at least a millisecond later."""
    pool = Pool(Settings(), 4)
    run = Run(0)
    short, long = sorted((run._one(), run._one()), key=lambda transaction: transaction.expires)
    assert short.expires < long.expires
    for transaction in (short, long):
        pool.admit(transaction)

    assert pool.expired(Millis(short.expires - 1)) == ()
    assert pool.expired(short.expires) == (short.id,)
    pool.settle([short.id])
    assert pool.expired(Millis(long.expires - 1)) == ()
    assert pool.expired(long.expires) == (long.id,)
