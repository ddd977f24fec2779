"""Whole groups under random faults, one schedule per seed, each ending in a time without faults.

Then every transaction must be executed everywhere, exactly once, in blocks that are the same for all. A failing seed
is a whole bug report: it belongs into `REGRESSIONS` and is never removed.
"""

import random

import pytest

from bftledger.base.transaction import Transaction
from tests.builders import tx
from tests.cluster import Cluster, Node
from tests.traitor import Traitor

SEEDS = range(100)
TRAITOROUS = range(1_000, 1_100)
"""With one Byzantine member."""

REGRESSIONS: tuple[int, ...] = ()
"""Seeds beyond `SEEDS` that found a defect once."""

FAULTY_MS = 1_500
HEALED_MS = 60_000


class Schedule:
    """What befalls a group, all of it decided by the seed."""

    def __init__(self, seed: int, *, has_traitor: bool = False) -> None:
        self.chance = random.Random(f"schedule {seed}")
        n = self.chance.choice((4, 4, 5, 7))
        self.cluster = Cluster(
            n,
            seed=seed,
            window=self.chance.choice((4, 16)),
            pipeline=self.chance.choice((1, 3, 8)),
            batch_count=self.chance.choice((1, 4, 50)),
            request_timeout_ms=self.chance.choice((200, 500)),
            timeout_cap_ms=4_000,
        )
        for node in self.cluster.nodes:
            node.skew = self.chance.randint(-500, 500)
        self.submitted: list[Transaction] = []
        self.traitor: Traitor | None = None
        if has_traitor:
            node = self.chance.choice(self.cluster.nodes)
            self.traitor = node.traitor = Traitor(seed, self.cluster.keys.signer(f"replica {node.id}"))

    def run(self) -> None:
        network = self.cluster.network
        network.loss = self.chance.choice((0, 0.02, 0.1, 0.3))
        network.duplication = self.chance.choice((0, 0.1))
        network.delay = self.chance.choice(((1, 1), (1, 10), (1, 100)))
        network.in_order = self.chance.random() < 0.5
        while self.cluster.now < FAULTY_MS:
            self.chance.choice((self.submit, self.submit, self.submit, self.crash, self.restart, self.cut, self.heal))()
            self.cluster.run(self.chance.choice((0, 5, 50, 300)))
        self.recover()

    def submit(self) -> None:
        for _ in range(self.chance.choice((1, 3))):
            transaction = tx(f"transaction {len(self.submitted)}")
            self.submitted.append(transaction)
            self.cluster.submit(self.chance.choice(self.cluster.honest), transaction)

    def crash(self) -> None:
        down = self.cluster.group.n - len(self.cluster.up)  # a traitor counts as one
        if down < self.cluster.group.f:
            self.cluster.crash(self.chance.choice(self.cluster.up).id)

    def restart(self) -> None:
        down = [node.id for node in self.cluster.nodes if node.replica is None]
        if down:
            self.cluster.start(self.chance.choice(down))

    def cut(self) -> None:
        members = list(self.cluster.group.replicas)
        self.chance.shuffle(members)
        size = self.chance.randint(1, len(members) - 1)
        self.cluster.network.partition(members[:size], members[size:])
        if self.chance.random() < 0.3:  # one-way
            self.cluster.network.cut = {(a, b) for a, b in self.cluster.network.cut if a in members[:size]}

    def heal(self) -> None:
        self.cluster.network.cut.clear()

    def recover(self) -> None:
        """No new faults from here on, though who is down may stay so; clients submit again what nobody holds."""
        self.heal()
        if self.traitor:
            self.traitor.calm = True
        self.cluster.network.loss = 0
        self.cluster.network.delay = (1, 5)
        if self.chance.random() < 0.5:
            self.start_all()
        for transaction in self.submitted:
            if not any(self._holds(node, transaction) for node in self.cluster.up):
                self.cluster.submit(self.chance.choice(self.cluster.up).id, transaction)

    def start_all(self) -> None:
        for node in self.cluster.nodes:
            if node.replica is None:
                self.cluster.start(node.id)

    @staticmethod
    def _holds(node: Node, transaction: Transaction) -> bool:
        return transaction.id in node.store.ledger or transaction.id in node.state.pool


def is_settled(cluster: Cluster) -> bool:
    """Whether every replica that runs knows that everything is final; one may wait for a view that nobody wants."""
    newest = len(cluster.chain) - 1
    states = [node.state for node in cluster.up]
    return all(
        state.executed == state.low == newest
        and not len(state.pool)
        and not any(slot.is_under_way for slot in state.slots.values())
        for state in states
    )


@pytest.mark.parametrize("seed", [*SEEDS, *TRAITOROUS, *REGRESSIONS])
def test_after_the_faults_everything_is_executed_everywhere_exactly_once(seed: int) -> None:
    schedule = Schedule(seed, has_traitor=seed in TRAITOROUS)
    cluster = schedule.cluster

    schedule.run()
    up = [node.id for node in cluster.up]
    executed_by_a_quorum = cluster.run(HEALED_MS, lambda: cluster.have_executed(*schedule.submitted, on=up))
    certified = cluster.run(HEALED_MS, lambda: is_settled(cluster))
    schedule.start_all()
    executed_by_all = cluster.run(HEALED_MS, lambda: cluster.have_executed(*schedule.submitted))
    settled = cluster.run(HEALED_MS, lambda: is_settled(cluster))

    assert executed_by_a_quorum
    assert certified
    assert executed_by_all
    assert settled
    assert all(cluster.nodes[i].store.hashes == cluster.chain for i in cluster.honest)
    accused = {found.replica for node in cluster.nodes for found in node.store.evidence}
    assert accused.isdisjoint(cluster.honest), "honest replicas are never accused"
