"""What a store forgets while no checkpoint becomes stable, and that nothing of it was needed (OSDI'99 §4.3, §4.4)."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from bftledger.base.ids import Digest, ReplicaId
from bftledger.base.transaction import Transaction
from bftledger.pbft.messages import Blocks, Checkpoint, Commit, Message, PrePrepare, Stable
from bftledger.storage.memory import MemoryStore
from bftledger.storage.sqlite import SqliteStore
from bftledger.storage.store import KEPT_VIEWS, Store
from tests.engine.engines import Engines

WINDOW = 8


def nothing_becomes_stable(source: int, to: int, message: Message) -> bool:
    return not isinstance(message, Checkpoint | Stable)


def a_group(**how: object) -> Engines:
    """One that changes its view about five times in a second if something is not settled."""
    return Engines(window=WINDOW, request_timeout_ms=50, timeout_cap_ms=100, **how)  # type: ignore[arg-type]


def numbers(store: Store) -> set[int]:
    return {slot.seq for slot, _ in store.votes() if slot.seq}


def too_many(store: Store) -> list[str]:
    """Kinds of votes that are kept of more views than they should be."""
    views = Counter((slot.seq, slot.kind) for slot, _ in store.votes())
    return [f"{kind} for {seq} of {count} views" for (seq, kind), count in views.items() if count > KEPT_VIEWS[kind]]


@pytest.mark.parametrize("medium", ["memory", "file"])
def test_views_without_a_stable_checkpoint_do_not_make_the_store_grow(medium: str, tmp_path: Path) -> None:
    def make_store(replica: ReplicaId, genesis_hash: Digest) -> Store:
        return MemoryStore() if medium == "memory" else SqliteStore(tmp_path / str(replica), genesis_hash, replica)

    group = a_group(make_store=make_store)
    group.passes = nothing_becomes_stable
    group.submit(0, *(group.transaction() for _ in range(3)))
    group.run(50)
    group.submit(0, *(group.transaction() for _ in range(3)))

    for _ in range(5):
        group.run(500)
        assert [too_many(host.store) for host in group.hosts] == [[]] * 4

    assert all(host.up.replica.state.view > 5 for host in group.hosts)
    assert all(numbers(host.store) == {1, 2} for host in group.hosts)


@pytest.mark.parametrize("held_back", [Checkpoint | Stable, Checkpoint | Stable | Commit])
def test_after_many_views_all_restart_and_go_on_with_what_was_prepared(held_back: type[Message]) -> None:
    group = a_group()
    transactions = [group.transaction() for _ in range(6)]
    group.passes = lambda source, to, message: not isinstance(message, held_back)
    for index, transaction in enumerate(transactions):
        group.submit(index % 4, transaction)
        group.run(400)
    kept = [set(host.store.votes()) for host in group.hosts]

    for host in group.hosts:
        group.crash(host.id)
    for host in group.hosts:
        group.start(host.id)
        state = host.up.replica.state
        certified = [slot for slot in state.slots.values() if slot.certificate is not None]
        assert certified
        assert all(slot.certificate and slot.certificate.pre_prepare.digest in slot.proposals for slot in certified)
    group.cut_off()

    assert [set(host.store.votes()) for host in group.hosts] == kept
    assert group.run(5_000, lambda: _all_have(group, transactions))


def test_a_replica_that_gets_no_blocks_keeps_votes_for_two_windows_at_most() -> None:
    """§4.3: what a quorum certified needs no votes here any more, even if the block is still to be fetched."""

    def first_block_never_comes(source: int, to: int, message: Message) -> bool:
        is_first = isinstance(message, PrePrepare) and message.seq == 1
        return to != 3 or not (is_first or isinstance(message, Blocks))

    group = a_group()
    group.passes = first_block_never_comes
    most = 0
    for _ in range(4 * WINDOW):
        group.submit(0, group.transaction())
        group.run(10)
        most = max(most, len(numbers(group.hosts[3].store)))

    assert WINDOW <= most <= 2 * WINDOW
    assert group.hosts[3].height == 0
    assert group.hosts[3].up.replica.state.low > 3 * WINDOW
    group.cut_off()
    assert group.run(5_000, lambda: group.hosts[3].height == group.hosts[0].height)


def _all_have(group: Engines, transactions: Iterable[Transaction]) -> bool:
    wanted = [tx.id for tx in transactions]
    return all(len(host.store.locate(wanted)) == len(wanted) for host in group.up)
