"""Who brings much delays only what it brings itself: clients take turns, and so do backups with what they pass on."""

import pytest

from bftledger.base import cbor
from bftledger.base.ids import ReplicaId, Seq
from bftledger.base.transaction import Transaction
from bftledger.pbft import wire
from bftledger.pbft.messages import Relay
from bftledger.pbft.state import State
from tests.engine.engines import Engines

BATCH = 50


@pytest.fixture
def busy() -> Engines:
    """Its primary has block 1 in flight, so that what comes next waits: a block takes 0.3 s."""
    group = Engines(delay=100, pool_count=2_000, pool_share=2_000, batch_count=BATCH, pipeline=1)
    group.run(500)
    group.submit(0, group.transaction(by="first"))
    group.run(10)
    return group


def relay(group: Engines, by: int, *transactions: Transaction) -> None:
    message = group.signed(Relay(transactions=transactions, replica=ReplicaId(by), signature=wire.UNSIGNED))
    group.peer_frame(0, wire.encode(message))


def heights(group: Engines, *transactions: Transaction) -> set[Seq]:
    places = group.hosts[0].store.locate([tx.id for tx in transactions])
    return {places[tx.id].height for tx in transactions}


def states(group: Engines) -> list[State]:
    return [host.up.replica.state for host in group.up]


def top_up(group: Engines, mine: list[Transaction], length: int, *, by: str) -> list[Transaction]:
    """What of a client's is in no block, and as much more as makes it so many."""
    placed = group.hosts[3].store.locate([tx.id for tx in mine])
    left = [tx for tx in mine if tx.id not in placed]
    return left + [group.transaction(by=by) for _ in range(length - len(left))]


def test_client_that_submits_thousands_delays_nobody_else(busy: Engines) -> None:
    busy.submit(0, *[busy.transaction(by="greedy") for _ in range(1_500)])
    busy.run(10)
    modest = [busy.transaction(by=f"client {i}") for i in range(BATCH // 2)]
    busy.submit(0, *modest)
    busy.run(2_000)

    assert heights(busy, *modest) == {2}


def test_client_that_submits_the_largest_transactions_gets_no_more_bytes_than_others(busy: Engines) -> None:
    large = cbor.encode(["put", b"k", bytes(60_000)])
    busy.submit(0, *[busy.transaction(by="greedy", payload=large) for _ in range(20)])
    busy.run(10)
    modest = [busy.transaction(by="modest") for _ in range(BATCH // 2)]
    busy.submit(0, *modest)
    busy.run(2_000)

    assert heights(busy, *modest) == {2}


def test_client_that_submits_thousands_to_a_backup_delays_nobody_else_there(busy: Engines) -> None:
    busy.submit(3, *[busy.transaction(by="greedy") for _ in range(1_000)])
    busy.run(10)
    modest = busy.transaction(by="modest")
    busy.submit(3, modest)
    busy.run(3_000)

    assert heights(busy, modest) <= {2, 3}  # after what was passed on before: a batch


def test_backup_that_passes_on_all_it_can_delays_no_other(busy: Engines) -> None:
    relay(busy, 3, *[busy.transaction(by="greedy") for _ in range(250)])
    modest = [busy.transaction(by="modest") for _ in range(BATCH // 2)]
    relay(busy, 2, *modest)
    busy.run(2_000)

    assert heights(busy, *modest) == {2}


def test_one_client_alone_is_served_in_the_order_of_its_submissions(busy: Engines) -> None:
    sent = [busy.transaction(by="alone") for _ in range(3 * BATCH)]
    busy.submit(0, *sent)
    busy.run(3_000)

    placed = busy.hosts[0].store.locate([tx.id for tx in sent])
    assert sorted(sent, key=lambda tx: placed[tx.id]) == sent


def test_what_did_not_fit_comes_first_in_the_next_proposal(busy: Engines) -> None:
    """Of two proposals in a row the bytes of both exceed a batch: that is how the backups judge the primary's work."""
    medium, large = (cbor.encode(["put", b"k", bytes(size)]) for size in (60_000, 65_000))
    first = [busy.transaction(by=f"client {i}", payload=medium) for i in range(17)]
    refused = busy.transaction(by="client 0", payload=large)  # who has had a turn already
    busy.submit(0, *first, refused)
    busy.run(320)
    later = [busy.transaction(by=f"late {i}") for i in range(BATCH)]
    busy.submit(0, *later)
    busy.run(2_000)

    assert heights(busy, *first) == {2}
    assert heights(busy, refused) == {3}


# ── what fairness to some costs others is never held against an honest primary ──


@pytest.mark.parametrize(
    ("clients", "ends_first"), [(60, False), (30, True)], ids=["in its order", "the other way round"]
)
def test_long_queue_that_backups_know_of_deposes_no_primary_that_serves_others_in_turn(
    clients: int, ends_first: bool
) -> None:
    """§4.4 would suspect it: they wait for what many others overtake. "Nothing waits longer than for as much as was
    there before it, and that half (`suspicion.patience`)": so they need not wait in vain."""
    group = Engines(delay=5, batch_count=8, pool_count=200, pool_share=60, pipeline=2)
    group.run(300)
    queue = top_up(group, [], 60, by="greedy")
    group.submit(0, *queue)
    group.run(1)
    waiting: dict[str, list[Transaction]] = {f"client {i}": [] for i in range(clients)}
    known: list[Transaction] = []
    while group.now < 1_300:
        for by, mine in waiting.items():
            waiting[by] = top_up(group, mine, 3, by=by)
            group.submit(0, *[tx for tx in waiting[by] if tx not in mine], route=by.encode())
        queue = top_up(group, queue, 60, by="greedy")
        fresh = [tx for tx in queue if tx not in known]
        for i in range(4):
            group.submit(i, *(reversed(fresh) if ends_first and i else fresh))
        known = queue
        group.run(40)

    assert {(state.view, state.active) for state in states(group)} == {(0, True)}
    assert group.hosts[3].height > 50


def test_group_whose_clients_all_load_one_backup_goes_on() -> None:
    """That backup shares what waits longest, and "the first that might find none there, and all after it, stay for
    later": what the primary had no room for would be known to all and passed on by nobody."""
    group = Engines(delay=30, batch_count=50, pool_count=200, pool_share=100)
    group.run(300)
    waiting: dict[str, list[Transaction]] = {by: [] for by in ("greedy", *(f"client {i}" for i in range(70)))}
    most_out = wasted = 0
    while group.now < 3_000:
        for by, mine in waiting.items():
            waiting[by] = top_up(group, mine, 50 if by == "greedy" else 1, by=by)
            group.submit(3, *[tx for tx in waiting[by] if tx not in mine], route=by.encode())
        group.run(20)
        most_out = max(most_out, group.engine(3).replica.state.pool.passing.out.count)
        wasted = max(wasted, group.engine(0).replica.state.wasted[ReplicaId(3)])

    assert {(state.view, state.active) for state in states(group)} == {(0, True)}
    assert (most_out, wasted) == (24, 0), "of the 25 that the primary takes; and it has refused none"
    assert group.hosts[3].height >= 30
